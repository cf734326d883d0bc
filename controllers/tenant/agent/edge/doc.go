// SPDX-License-Identifier: Apache-2.0

// Package edge is the half of Freehold that runs inside the pods of a tenant's gate: it supervises HAProxy and
// puts new certificates and client lists into use without losing a connection. The exception is by design: when
// nobody may come in any more (lockdown, access Closed), the connections of before are cut.
//
// Nothing new reaches the running HAProxy before `haproxy -c` has accepted it, and what HAProxy itself then
// refuses to load leaves the old processes at work. A failed change is therefore never an outage, but it must not
// be silent: it is logged, and told at /status.
//
// When told to stop, the gate serves on for a few seconds, because load balancers and nodes learn of a leaving pod
// later than the pod itself; then it takes no new connections and lets those there are end.
//
// Misuse: signalling the HAProxy master beside the agent, or a configuration that binds the master's socket.
package edge
