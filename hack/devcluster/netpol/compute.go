// SPDX-License-Identifier: Apache-2.0

package netpol

import (
	"net/netip"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// Compute gives the meaning of the policies for each pod. Equal states give
// equal models, whatever the order of pods and policies. What the API server
// would have refused (a selector or CIDR that cannot be read, a peer without
// content) matches nothing, so that a mistake closes and never opens.
func Compute(s State) Model {
	s.Pods = slices.Clone(s.Pods)
	slices.SortFunc(s.Pods, func(a, b Pod) int { return a.IP.Compare(b.IP) })
	policies := compile(s)
	model := Model{Pods: make([]PodRules, 0, len(s.Pods))}
	for _, pod := range s.Pods {
		model.Pods = append(model.Pods, rulesFor(pod, policies))
	}
	return model
}

// compiled is a policy whose peers are resolved; that part is the same for all
// pods that the policy selects.
type compiled struct {
	namespace       string
	pods            labels.Selector
	ingress, egress compiledDirection
}

type compiledDirection struct {
	applies bool
	rules   []rule
}

// rule is one ingress or egress rule.
type rule struct {
	peers Peers
	// targets are the pods among peers.
	targets []Pod
	ports   []networkingv1.NetworkPolicyPort
}

func compile(s State) []compiled {
	ordered := slices.Clone(s.Policies)
	slices.SortFunc(ordered, func(a, b *networkingv1.NetworkPolicy) int {
		return slices.Compare([]string{a.Namespace, a.Name}, []string{b.Namespace, b.Name})
	})
	policies := make([]compiled, 0, len(ordered))
	for _, p := range ordered {
		policies = append(policies, compilePolicy(s, p))
	}
	return policies
}

func compilePolicy(s State, p *networkingv1.NetworkPolicy) compiled {
	c := compiled{namespace: p.Namespace, pods: selectorOf(&p.Spec.PodSelector)}
	c.ingress.applies, c.egress.applies = directionsOf(p)
	for _, r := range p.Spec.Ingress {
		c.ingress.rules = append(c.ingress.rules, compileRule(s, p.Namespace, r.From, r.Ports))
	}
	for _, r := range p.Spec.Egress {
		c.egress.rules = append(c.egress.rules, compileRule(s, p.Namespace, r.To, r.Ports))
	}
	return c
}

// directionsOf applies the default of policyTypes: always Ingress, Egress only
// with egress rules. A default-deny of egress therefore needs the explicit type.
func directionsOf(p *networkingv1.NetworkPolicy) (ingress, egress bool) {
	if len(p.Spec.PolicyTypes) == 0 {
		return true, len(p.Spec.Egress) > 0
	}
	return slices.Contains(p.Spec.PolicyTypes, networkingv1.PolicyTypeIngress),
		slices.Contains(p.Spec.PolicyTypes, networkingv1.PolicyTypeEgress)
}

func compileRule(s State, namespace string, from []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort) rule {
	r := rule{peers: peersOf(s, namespace, from), ports: ports}
	for _, pod := range s.Pods {
		if r.peers.contain(pod.IP) {
			r.targets = append(r.targets, pod)
		}
	}
	return r
}

func rulesFor(pod Pod, policies []compiled) PodRules {
	rules := PodRules{Namespace: pod.Namespace, Name: pod.Name, IP: pod.IP}
	for _, p := range policies {
		if p.namespace != pod.Namespace || !p.pods.Matches(pod.Labels) {
			continue
		}
		if p.ingress.applies {
			rules.Ingress.Isolated = true
			for _, r := range p.ingress.rules {
				rules.Ingress.Allow = append(rules.Ingress.Allow, r.intoPod(pod)...)
			}
		}
		if p.egress.applies {
			rules.Egress.Isolated = true
			for _, r := range p.egress.rules {
				rules.Egress.Allow = append(rules.Egress.Allow, r.outOfPod()...)
			}
		}
	}
	return rules
}

// peersOf resolves a from or to list. An empty list means everybody; a list
// whose entries match nobody means nobody.
func peersOf(s State, namespace string, list []networkingv1.NetworkPolicyPeer) Peers {
	if len(list) == 0 {
		return Peers{Any: true}
	}
	var peers Peers
	for _, peer := range list {
		if peer.IPBlock != nil {
			if block, ok := blockOf(peer.IPBlock); ok {
				peers.Blocks = append(peers.Blocks, block)
			}
			continue
		}
		peers.Pods = append(peers.Pods, selectedPods(s, namespace, peer)...)
	}
	slices.SortFunc(peers.Pods, netip.Addr.Compare)
	peers.Pods = slices.Compact(peers.Pods)
	return peers
}

// selectedPods resolves a peer with a podSelector, a namespaceSelector or both:
// without the latter it speaks of the policy's own namespace.
func selectedPods(s State, namespace string, peer networkingv1.NetworkPolicyPeer) []netip.Addr {
	if peer.PodSelector == nil && peer.NamespaceSelector == nil {
		return nil
	}
	pods := labels.Everything()
	if peer.PodSelector != nil {
		pods = selectorOf(peer.PodSelector)
	}
	inNamespace := func(name string) bool { return name == namespace }
	if peer.NamespaceSelector != nil {
		namespaces := selectorOf(peer.NamespaceSelector)
		inNamespace = func(name string) bool { return namespaces.Matches(s.Namespaces[name]) }
	}
	var addrs []netip.Addr
	for _, pod := range s.Pods {
		if inNamespace(pod.Namespace) && pods.Matches(pod.Labels) {
			addrs = append(addrs, pod.IP)
		}
	}
	return addrs
}

func selectorOf(s *metav1.LabelSelector) labels.Selector {
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		return labels.Nothing()
	}
	return selector
}

// blockOf reads an ipBlock. The second result is false if the block cannot match
// an IPv4 address or has an exception that cannot be read.
func blockOf(b *networkingv1.IPBlock) (Block, bool) {
	cidr, ok := prefixOf(b.CIDR)
	if !ok {
		return Block{}, false
	}
	block := Block{CIDR: cidr}
	for _, e := range b.Except {
		except, ok := prefixOf(e)
		if !ok {
			return Block{}, false
		}
		block.Except = append(block.Except, except)
	}
	return block, true
}
