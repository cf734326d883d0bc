// SPDX-License-Identifier: Apache-2.0

// Package prove is the half of Freehold that runs inside the short-lived pods of a proof, and behind its canary.
//
// A pod of a proof carries the policy labels of a part of the instance, so that the network takes it for one, and
// makes the connection attempts that the operator has listed. It has no token; its answer is its termination message.
// The canary listens where no NetworkPolicy stands: whoever cannot reach it is kept from it by walls of their own.
package prove
