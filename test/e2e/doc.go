// SPDX-License-Identifier: Apache-2.0

// Package e2e tells user stories on a real cluster: what customers, platform engineers and attackers do, and what
// Freehold promises them. docs/testing.md says how to run it; the tag e2e turns it on.
//
//	suite_test.go     installs the operator from its chart, makes the classes, prints evidence when a story fails
//	tenant_test.go    a customer's instance as its owner and the cluster's administrator see it
//	visitor_test.go   somebody outside the cluster, at an address of their own
//	*_story_test.go   the stories; each one makes its own Tenants and leaves nothing behind
//
// A story never looks into the operator. It waits for what a user would wait for: conditions, pods, answers.
package e2e
