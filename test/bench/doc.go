// SPDX-License-Identifier: Apache-2.0

// Package bench measures. The tag bench turns the Go benchmarks on (make bench); start.sh times, on the local cluster,
// the way from a Tenant applied to its first answer (make bench-start).
package bench
