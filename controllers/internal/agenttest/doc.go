// SPDX-License-Identifier: Apache-2.0

// Package agenttest runs the agent as it runs in a pod, without a container engine: the test binary itself, as PID 1
// of namespaces of its own, over the read-only root file system of the real image, with the real paths, users and
// ports. It needs root.
//
// A test package calls Main from its TestMain. A Pod is one network namespace and a set of mounts; its containers
// are started one by one, and all of them end with the test.
package agenttest
