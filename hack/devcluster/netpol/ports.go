// SPDX-License-Identifier: Apache-2.0

package netpol

import (
	"math"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	netutils "k8s.io/utils/net"
)

// intoPod gives what an ingress rule allows into pod, whose declared ports give
// named ports their numbers.
func (r rule) intoPod(pod Pod) []Allow {
	if r.peers.empty() {
		return nil
	}
	if len(r.ports) == 0 {
		return []Allow{{Peers: r.peers}}
	}
	var ports []PortRange
	for _, p := range r.ports {
		if name, protocol, named := nameOf(p); named {
			if number, ok := pod.port(name, protocol); ok {
				ports = append(ports, PortRange{protocol, number, number})
			}
			continue
		}
		ports = append(ports, rangeOf(p))
	}
	return allowPorts(r.peers, ports)
}

// outOfPod gives what an egress rule allows. A named port is another number at
// each peer, hence an entry for each number with the pods that use it.
func (r rule) outOfPod() []Allow {
	if r.peers.empty() {
		return nil
	}
	if len(r.ports) == 0 {
		return []Allow{{Peers: r.peers}}
	}
	var numbered []PortRange
	var allow []Allow
	for _, p := range r.ports {
		if name, protocol, named := nameOf(p); named {
			allow = append(allow, r.toNamedPort(name, protocol)...)
			continue
		}
		numbered = append(numbered, rangeOf(p))
	}
	return append(allowPorts(r.peers, numbered), allow...)
}

func (r rule) toNamedPort(name string, protocol corev1.Protocol) []Allow {
	var allow []Allow
	at := map[uint16]int{}
	for _, pod := range r.targets {
		number, ok := pod.port(name, protocol)
		if !ok {
			continue
		}
		i, seen := at[number]
		if !seen {
			i = len(allow)
			at[number] = i
			allow = append(allow, Allow{Ports: []PortRange{{protocol, number, number}}})
		}
		allow[i].Peers.Pods = append(allow[i].Peers.Pods, pod.IP)
	}
	for _, a := range allow {
		slices.SortFunc(a.Peers.Pods, netip.Addr.Compare)
	}
	return allow
}

// allowPorts never widens "none of the ports exist" to "every port".
func allowPorts(peers Peers, ports []PortRange) []Allow {
	if len(ports) == 0 {
		return nil
	}
	return []Allow{{Peers: peers, Ports: ports}}
}

func nameOf(p networkingv1.NetworkPolicyPort) (name string, protocol corev1.Protocol, named bool) {
	if p.Port == nil || p.Port.Type != intstr.String {
		return "", "", false
	}
	return p.Port.StrVal, protocolOf(p), true
}

func rangeOf(p networkingv1.NetworkPolicyPort) PortRange {
	if p.Port == nil {
		return PortRange{protocolOf(p), 0, math.MaxUint16}
	}
	r := PortRange{protocolOf(p), uint16(p.Port.IntVal), uint16(p.Port.IntVal)}
	if p.EndPort != nil {
		r.Last = uint16(*p.EndPort)
	}
	return r
}

func protocolOf(p networkingv1.NetworkPolicyPort) corev1.Protocol {
	if p.Protocol == nil {
		return corev1.ProtocolTCP
	}
	return *p.Protocol
}

// prefixOf reads an IPv4 CIDR as the API server does, which accepts host bits
// and leading zeros in objects that were stored before it warned of them.
func prefixOf(cidr string) (netip.Prefix, bool) {
	_, network, err := netutils.ParseCIDRSloppy(cidr)
	if err != nil {
		return netip.Prefix{}, false
	}
	addr, ok := netip.AddrFromSlice(network.IP)
	ones, bits := network.Mask.Size()
	if !ok || !addr.Is4() || bits != 32 {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(addr, ones), true
}
