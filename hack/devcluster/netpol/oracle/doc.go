// SPDX-License-Identifier: Apache-2.0

// Package oracle compares package netpol with cyclonus' model of NetworkPolicy,
// which was written by others from the same published meaning. It is a module
// of its own because cyclonus brings many dependencies, and it holds tests only:
//
//	go -C hack/devcluster/netpol/oracle test ./...
//
// Two differences are known, and the random policies stay clear of them:
//
//   - cyclonus lets a NotIn requirement match only objects that have the label;
//     Kubernetes lets it match those without the label too.
//   - cyclonus has no rule that a pod may talk to itself.
package oracle
