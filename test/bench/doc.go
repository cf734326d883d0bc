// SPDX-License-Identifier: Apache-2.0

// Package bench measures. The tag bench turns the Go benchmarks on (make bench), also those that stand beside what they
// measure: in controllers, controllers/backup and controllers/backup/agent. start.sh times, on the local cluster, the way
// from a Tenant applied to its first answer (make bench-start). docs/performance.md says what came out.
package bench
