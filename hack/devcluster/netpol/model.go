// SPDX-License-Identifier: Apache-2.0

package netpol

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// Model is the computed meaning of all policies: what each pod may send and
// receive. It holds no selectors and no names of ports any more.
type Model struct {
	// Pods are all pods that have an address, sorted by address.
	Pods []PodRules
}

// PodRules are the walls of one pod.
type PodRules struct {
	// Namespace and Name say whose walls these are; nothing is decided by them.
	Namespace, Name string
	// IP is the pod's IPv4 address.
	IP netip.Addr
	// Ingress is what the pod may receive, Egress what it may send.
	Ingress, Egress Direction
}

// Direction is what a pod may exchange one way.
type Direction struct {
	// Isolated says that at least one policy selects the pod for this direction.
	// If false, everything is allowed and Allow is empty.
	Isolated bool
	// Allow lists what an isolated pod may exchange: whatever any entry allows.
	Allow []Allow
}

// Allow permits traffic with Peers on Ports.
type Allow struct {
	// Peers are the other ends.
	Peers Peers
	// Ports are the destination's ports. Empty means every protocol and port.
	Ports []PortRange
}

// Peers is a set of addresses: the union of its fields.
type Peers struct {
	// Any means every address, inside and outside the cluster.
	Any bool
	// Pods are addresses of single pods, sorted, each once.
	Pods []netip.Addr
	// Blocks are address ranges, of pods or not.
	Blocks []Block
}

// Block is an IPv4 range with holes.
type Block struct {
	// CIDR is the range.
	CIDR netip.Prefix
	// Except are the parts of CIDR that do not belong to the block.
	Except []netip.Prefix
}

// PortRange is a run of ports of one protocol, both ends included.
type PortRange struct {
	// Protocol is TCP, UDP or SCTP.
	Protocol corev1.Protocol
	// First and Last are port numbers; 0 and 65535 mean the whole protocol.
	First, Last uint16
}

// Permits says whether a new connection from one address to another may be
// opened. It is the meaning of the rendered rules, apart from pods that the
// model does not know: strict mode denies those everything.
func (m Model) Permits(from, to netip.Addr, protocol corev1.Protocol, port uint16) bool {
	if from == to {
		return true
	}
	for _, pod := range m.Pods {
		if pod.IP == from && !pod.Egress.permits(to, protocol, port) {
			return false
		}
		if pod.IP == to && !pod.Ingress.permits(from, protocol, port) {
			return false
		}
	}
	return true
}

func (d Direction) permits(peer netip.Addr, protocol corev1.Protocol, port uint16) bool {
	if !d.Isolated {
		return true
	}
	return slices.ContainsFunc(d.Allow, func(a Allow) bool {
		return a.Peers.contain(peer) && a.permitsPort(protocol, port)
	})
}

func (a Allow) permitsPort(protocol corev1.Protocol, port uint16) bool {
	if len(a.Ports) == 0 {
		return true
	}
	return slices.ContainsFunc(a.Ports, func(r PortRange) bool {
		return r.Protocol == protocol && r.First <= port && port <= r.Last
	})
}

func (p Peers) contain(addr netip.Addr) bool {
	return p.Any || slices.Contains(p.Pods, addr) ||
		slices.ContainsFunc(p.Blocks, func(b Block) bool { return b.contains(addr) })
}

func (p Peers) empty() bool {
	return !p.Any && len(p.Pods) == 0 && len(p.Blocks) == 0
}

func (b Block) contains(addr netip.Addr) bool {
	return b.CIDR.Contains(addr) &&
		!slices.ContainsFunc(b.Except, func(e netip.Prefix) bool { return e.Contains(addr) })
}
