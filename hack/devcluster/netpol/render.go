// SPDX-License-Identifier: Apache-2.0

package netpol

import (
	"fmt"
	"math"
	"net/netip"
	"strings"

	"sigs.k8s.io/knftables"
)

// Names inside the table.
const (
	knownSet   = "known"   // addresses of all programmed pods
	egressMap  = "egress"  // address of an egress-isolated pod: jump to its chain
	ingressMap = "ingress" // address of an ingress-isolated pod: jump to its chain

	// podInterfaces matches the node's ends of the pods' veth pairs, as the ptp CNI
	// plugin names them.
	podInterfaces = `"veth*"`
)

// render adds to tx the replacement of the whole table by one that enforces m.
// The table is added before it is deleted because deleting a missing one is an
// error, and `nft destroy` is younger than Debian 12.
func render(tx *knftables.Transaction, m Model, podCIDR netip.Prefix, weak bool) {
	tx.Add(&knftables.Table{})
	tx.Delete(&knftables.Table{})
	tx.Add(&knftables.Table{Comment: knftables.PtrTo("NetworkPolicy of the local cluster")})
	tx.Add(&knftables.Set{Name: knownSet, Type: "ipv4_addr"})
	tx.Add(&knftables.Map{Name: egressMap, Type: "ipv4_addr : verdict"})
	tx.Add(&knftables.Map{Name: ingressMap, Type: "ipv4_addr : verdict"})
	for _, pod := range m.Pods {
		renderPod(tx, pod)
	}
	renderAntiSpoofing(tx, podCIDR)
	renderHook(tx, knftables.ForwardHook, podCIDR, weak)
	renderHook(tx, knftables.InputHook, podCIDR, weak)
}

func renderPod(tx *knftables.Transaction, pod PodRules) {
	tx.Add(&knftables.Element{Set: knownSet, Key: []string{pod.IP.String()}})
	if pod.Egress.Isolated {
		renderDirection(tx, egressMap, "daddr", "reject with icmpx admin-prohibited", pod, pod.Egress)
	}
	if pod.Ingress.Isolated {
		renderDirection(tx, ingressMap, "saddr", "drop", pod, pod.Ingress)
	}
}

// renderDirection makes the chain of one pod and direction: return on what is
// allowed, refuse the rest. It returns instead of accepting because the other
// end's walls have to agree as well.
func renderDirection(tx *knftables.Transaction, mapName, peerField, refusal string, pod PodRules, d Direction) {
	chain := mapName + "-" + pod.IP.String()
	tx.Add(&knftables.Chain{Name: chain, Comment: knftables.PtrTo(commentFor(pod))})
	add := func(parts ...string) {
		rule := strings.Join(strings.Fields(strings.Join(parts, " ")), " ")
		tx.Add(&knftables.Rule{Chain: chain, Rule: rule})
	}
	add("ip", peerField, pod.IP.String(), "return")
	for _, allow := range d.Allow {
		for _, peers := range peerMatches(peerField, allow.Peers) {
			for _, ports := range portMatches(allow.Ports) {
				add(peers, ports, "return")
			}
		}
	}
	add("counter", refusal)
	tx.Add(&knftables.Element{Map: mapName, Key: []string{pod.IP.String()}, Value: []string{"jump " + chain}})
}

func commentFor(pod PodRules) string {
	comment := pod.Namespace + "/" + pod.Name
	return comment[:min(len(comment), knftables.CommentLengthMax-1)]
}

// peerMatches gives one match per rule to write; an empty one matches everybody.
func peerMatches(field string, p Peers) []string {
	if p.Any {
		return []string{""}
	}
	var matches []string
	if len(p.Pods) > 0 {
		addrs := make([]string, 0, len(p.Pods))
		for _, addr := range p.Pods {
			addrs = append(addrs, addr.String())
		}
		matches = append(matches, fmt.Sprintf("ip %s { %s }", field, strings.Join(addrs, ", ")))
	}
	for _, block := range p.Blocks {
		matches = append(matches, blockMatch(field, block))
	}
	return matches
}

// blockMatch writes the exceptions one after the other and not as a set: a set
// refuses overlapping ranges, a policy does not.
func blockMatch(field string, b Block) string {
	match := "meta nfproto ipv4"
	if b.CIDR.Bits() > 0 {
		match = fmt.Sprintf("ip %s %s", field, b.CIDR)
	}
	for _, except := range b.Except {
		match += fmt.Sprintf(" ip %s != %s", field, except)
	}
	return match
}

func portMatches(ranges []PortRange) []string {
	if len(ranges) == 0 {
		return []string{""}
	}
	matches := make([]string, 0, len(ranges))
	for _, r := range ranges {
		matches = append(matches, portMatch(r))
	}
	return matches
}

func portMatch(r PortRange) string {
	protocol := strings.ToLower(string(r.Protocol))
	switch {
	case r.First == 0 && r.Last == math.MaxUint16:
		return "meta l4proto " + protocol
	case r.First == r.Last:
		return fmt.Sprintf("%s dport %d", protocol, r.First)
	default:
		return fmt.Sprintf("%s dport %d-%d", protocol, r.First, r.Last)
	}
}

// renderAntiSpoofing drops, before connection tracking, what claims a source that is
// not routed to where it comes from, and IPv6, of which the walls know nothing.
func renderAntiSpoofing(tx *knftables.Transaction, podCIDR netip.Prefix) {
	const chain = "antispoof"
	addBase(tx, chain, knftables.PreroutingHook, knftables.RawPriority)
	for _, rule := range []string{
		"iifname " + podInterfaces + " meta nfproto ipv6 counter drop",
		"iifname " + podInterfaces + " fib saddr . iif oif missing counter drop",
		`iifname != "lo" ip saddr ` + podCIDR.String() + " fib saddr . iif oif missing counter drop",
	} {
		tx.Add(&knftables.Rule{Chain: chain, Rule: rule})
	}
}

// renderHook sends packets through the pods' chains. Forward sees pods among
// each other and the world, input sees pods that call their node.
func renderHook(tx *knftables.Transaction, hook knftables.BaseChainHook, podCIDR netip.Prefix, weak bool) {
	chain := string(hook)
	addBase(tx, chain, hook, knftables.FilterPriority)
	rules := admitted(weak)
	if hook == knftables.InputHook {
		rules = append([]string{`iifname "lo" accept`}, rules...)
	}
	if !weak {
		rules = append(rules, fmt.Sprintf("ip saddr %s ip saddr != @%s counter drop", podCIDR, knownSet))
	}
	if !weak && hook == knftables.ForwardHook {
		rules = append(rules, fmt.Sprintf("ip daddr %s ip daddr != @%s counter drop", podCIDR, knownSet))
	}
	rules = append(rules, "ip saddr vmap @"+egressMap)
	if hook == knftables.ForwardHook {
		rules = append(rules, "ip daddr vmap @"+ingressMap)
	}
	for _, rule := range rules {
		tx.Add(&knftables.Rule{Chain: chain, Rule: rule})
	}
}

// admitted are the packets that need no verdict of their own. In strict mode
// those are only replies: the opener's packets are judged each time, so that a
// new policy cuts what is established. An answer to a refused packet (related)
// is always let through.
func admitted(weak bool) []string {
	if weak {
		return []string{"ct state established,related accept"}
	}
	return []string{"ct direction reply ct state established accept", "ct state related accept"}
}

func addBase(tx *knftables.Transaction, chain string, hook knftables.BaseChainHook, priority knftables.BaseChainPriority) {
	tx.Add(&knftables.Chain{
		Name:     chain,
		Type:     knftables.PtrTo(knftables.FilterType),
		Hook:     knftables.PtrTo(hook),
		Priority: knftables.PtrTo(priority),
		Policy:   knftables.PtrTo(knftables.AcceptPolicy),
	})
}
