// SPDX-License-Identifier: Apache-2.0

// Package netpol enforces NetworkPolicy (networking.k8s.io/v1) on the packets of
// the local cluster's one node, with nftables.
//
// The way from objects to packets is
//
//	informers → State → Compute (pure) → Model → render (pure) → one nftables transaction
//
// The whole table is regenerated and swapped in one transaction, so that no
// packet ever meets half a policy. Only the difference between "unchanged" and
// "changed" is looked at: an unchanged transaction is not run again.
//
// # Meaning
//
// The published meaning of NetworkPolicy holds, with these choices where it
// leaves the choice to the implementation:
//
//   - Traffic of a pod to addresses of its own node (API server, kubelet, host
//     services) is egress and has to be allowed like any other. Traffic of the
//     node to a pod (probes) is never filtered.
//   - A pod may always talk to itself, also through a Service.
//   - Rules see what conntrack sees after destination NAT: the pod address and
//     the target port, never the Service address; the client's own address, never
//     a masqueraded one.
//   - A named port in an egress rule means the port of that name of each peer
//     pod, also if the peer is named by its address; an address that belongs to
//     no pod has no named ports.
//   - Pods on the node's network are neither policed nor matched by a pod
//     selector.
//   - IPv4 only. What a pod sends over IPv6 (link-local addresses reach the node)
//     is dropped, IPv6 blocks in a policy match nothing.
//   - A denied egress packet is rejected, a denied ingress packet is dropped.
//
// # Modes
//
// ModeStrict cuts established connections as soon as a policy denies them and
// drops everything from and to a pod that is not yet programmed. ModeWeak does
// what many CNI plugins do: connections that exist stay, and a new pod is
// unknown for two seconds: open to everyone and free to call everyone, except
// where the walls of another pod, which cannot know it yet, stand in the way.
// ModeNone enforces nothing. Software that is right only in strict mode relies
// on something that Kubernetes does not promise.
//
// # Tests
//
// The unit tests need nothing. Two suites are run by their own commands, from
// hack/devcluster:
//
//	go test -tags packets ./netpol                 # real packets; root, nft and ip (Debian: nftables, iproute2)
//	go -C netpol/oracle test ./...                 # against cyclonus, an independent model of NetworkPolicy
//
// The packet suite fails, and does not skip, where it cannot run. It works in a
// network namespace of its own that disappears with the test process.
package netpol
