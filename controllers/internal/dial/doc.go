// SPDX-License-Identifier: Apache-2.0

// Package dial makes the connection attempts that prove a tenant's walls and its encryption. The operator describes
// them as Attempts; a probe pod, or the operator itself, makes them and answers with Outcomes.
//
// An attempt that shall succeed is repeated until it does, one that shall fail until it has failed twice in a row:
// network plugins program the walls of a new pod some seconds after it starts. Both stop at a limit; the last result
// counts, and the number of tries tells that it took more than one.
//
// Misuse: taking a failure for a proof. Nothing may listen at the address. Only together with a success from
// somebody who may connect, at about the same time, does it show that a wall stands.
package dial
