// SPDX-License-Identifier: Apache-2.0

// Package agent is what of Freehold runs inside a tenant's pods, as the commands
//
//	freehold agent database prepare   init container: makes the volume ready, or refuses it
//	freehold agent database run       first process of the database's container
//	freehold agent edge run           first process of the gate's container
//	freehold agent edge blocked       for people: lists the clients that may not log in
//	freehold agent edge unblock       for people: lets them again
//	freehold agent wait database      init container of the application
//
// The agent belongs to the instance's images, so it changes only with a revision. It holds no Kubernetes
// credentials and asks no API server: what the operator wants it to know is mounted.
//
// A command that fails leaves its reason in the container's termination message, where `kubectl describe pod` shows
// it, and returns it for main to print. A supervisor ends with the code of the program it supervised: main passes
// the returned error to ExitCode.
package agent
