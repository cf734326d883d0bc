// SPDX-License-Identifier: Apache-2.0

package render

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	networkingv1ac "k8s.io/client-go/applyconfigurations/networking/v1"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// networkPolicies are the walls: nothing in, nothing out, and then clients → gate → application → database, DNS
// for all, the networks that the class opens for the application, and what proves that the gate serves.
//
// A policy without rules leaves ingress and egress out instead of writing empty lists: with an empty list every
// apply is a write.
func networkPolicies(in Inputs, balancers balancers) ([]*networkingv1ac.NetworkPolicyApplyConfiguration, error) {
	clients, err := gatePeers(in, balancers)
	if err != nil {
		return nil, err
	}
	outside, err := allowedEgress(in)
	if err != nil {
		return nil, err
	}
	ports := appPorts(in)
	return []*networkingv1ac.NetworkPolicyApplyConfiguration{
		policy(in, meta.PolicyDefaultDeny, "", nil, nil),
		policy(in, meta.PolicyDNS, "", nil, dnsEgress(in)),
		policy(in, meta.PolicyDatabase, meta.ComponentDatabase,
			ingress(podPeers(meta.ComponentApp), meta.PortDatabase), nil),
		policy(in, meta.PolicyApp, meta.ComponentApp,
			ingress(podPeers(meta.ComponentEdge), ports...),
			append(egress(podPeers(meta.ComponentDatabase), meta.PortDatabase), outside...)),
		policy(in, meta.PolicyEdge, meta.ComponentEdge,
			append(ingress(clients, meta.PortEdge), ingress(podPeers(meta.ComponentEdge), probePorts(in)...)...),
			append(egress(podPeers(meta.ComponentApp), ports...), egress(podPeers(meta.ComponentEdge), probePorts(in)...)...)),
	}, nil
}

type (
	peer        = *networkingv1ac.NetworkPolicyPeerApplyConfiguration
	ingressRule = *networkingv1ac.NetworkPolicyIngressRuleApplyConfiguration
	egressRule  = *networkingv1ac.NetworkPolicyEgressRuleApplyConfiguration
)

// policy always speaks of both directions, so that each policy alone denies by default. No component means all
// pods of the namespace, also those of strangers.
func policy(in Inputs, name, component string, from []ingressRule, out []egressRule) *networkingv1ac.NetworkPolicyApplyConfiguration {
	selector := metav1ac.LabelSelector()
	if component != "" {
		selector.WithMatchLabels(map[string]string{v1alpha1.LabelPolicy: component})
	}
	return networkingv1ac.NetworkPolicy(name, namespaceOf(in)).WithLabels(labels(in, component)).
		WithSpec(networkingv1ac.NetworkPolicySpec().WithPodSelector(selector).
			WithPolicyTypes(networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress).
			WithIngress(from...).WithEgress(out...))
}

func podPeers(component string) []peer {
	return []peer{networkingv1ac.NetworkPolicyPeer().WithPodSelector(metav1ac.LabelSelector().
		WithMatchLabels(map[string]string{v1alpha1.LabelPolicy: component}))}
}

// ingress opens ports for peers; for no peers it opens nothing, since a rule without peers means everyone.
func ingress(from []peer, ports ...int32) []ingressRule {
	if len(from) == 0 {
		return nil
	}
	return []ingressRule{networkingv1ac.NetworkPolicyIngressRule().WithFrom(from...).WithPorts(tcp(ports)...)}
}

func egress(to []peer, ports ...int32) []egressRule {
	if len(to) == 0 {
		return nil
	}
	return []egressRule{networkingv1ac.NetworkPolicyEgressRule().WithTo(to...).WithPorts(tcp(ports)...)}
}

func tcp(ports []int32) []*networkingv1ac.NetworkPolicyPortApplyConfiguration {
	made := make([]*networkingv1ac.NetworkPolicyPortApplyConfiguration, 0, len(ports))
	for _, port := range ports {
		made = append(made, policyPort(corev1.ProtocolTCP, port))
	}
	return made
}

func policyPort(protocol corev1.Protocol, port int32) *networkingv1ac.NetworkPolicyPortApplyConfiguration {
	return networkingv1ac.NetworkPolicyPort().WithProtocol(protocol).WithPort(intstr.FromInt32(port))
}

// probePorts are what a pod with the gate's policy label may reach of another: how the gate is, also under lockdown,
// and the second door, which lockdown closes.
func probePorts(in Inputs) []int32 {
	if in.Tenant.Spec.Lockdown {
		return []int32{meta.PortAgent}
	}
	return []int32{meta.PortAgent, meta.PortEdgeProbe}
}

// appPorts are the application's ports of the running revision and of today's class: the walls must fit both, also
// while one takes the place of the other.
func appPorts(in Inputs) []int32 {
	port, _ := appPort(in)
	ports := []int32{port}
	if in.Running != nil {
		for _, container := range in.Running.App.Spec.Template.Spec.Containers {
			for _, running := range container.Ports {
				ports = append(ports, *running.ContainerPort)
			}
		}
	}
	slices.Sort(ports)
	return slices.Compact(ports)
}

// dnsEgress lets every pod ask the cluster's DNS, and only it.
func dnsEgress(in Inputs) []egressRule {
	var to []peer
	if in.Facts.DNSNamespace != "" {
		dns := networkingv1ac.NetworkPolicyPeer().WithNamespaceSelector(metav1ac.LabelSelector().
			WithMatchLabels(map[string]string{corev1.LabelMetadataName: in.Facts.DNSNamespace}))
		if len(in.Facts.DNSPodLabels) > 0 {
			dns.WithPodSelector(metav1ac.LabelSelector().WithMatchLabels(in.Facts.DNSPodLabels))
		}
		to = append(to, dns)
	}
	for _, network := range widest(in.Facts.DNSAddresses) {
		to = append(to, blockPeer(network, nil))
	}
	if len(to) == 0 {
		return nil
	}
	return []egressRule{networkingv1ac.NetworkPolicyEgressRule().WithTo(to...).
		WithPorts(policyPort(corev1.ProtocolUDP, 53), policyPort(corev1.ProtocolTCP, 53))}
}

func blockPeer(network netip.Prefix, except []netip.Prefix) peer {
	block := networkingv1ac.IPBlock().WithCIDR(network.String()).WithExcept(prefixStrings(except)...)
	return networkingv1ac.NetworkPolicyPeer().WithIPBlock(block)
}

// gatePeers are the networks that the gate takes connections from: clients, or the load balancer that speaks for
// them; and where its health is checked from. The cluster's own networks are not cut out of a load balancer's: its
// addresses may well be nodes'. Nobody when access is Closed.
func gatePeers(in Inputs, balancers balancers) ([]peer, error) {
	peers, err := clientPeers(in)
	if err != nil {
		return nil, err
	}
	if proxied(in) {
		peers = nil
	}
	for _, network := range balancers.all() {
		peers = append(peers, blockPeer(network, nil))
	}
	return peers, nil
}

// clientPeers are the networks that clients come from; none when access is Closed.
func clientPeers(in Inputs) ([]peer, error) {
	network := in.Tenant.Spec.Network
	denied, err := parseRanges("spec.network.deniedRanges", network.DeniedRanges)
	if err != nil {
		return nil, err
	}
	allowed, err := allowedRanges(in)
	if err != nil {
		return nil, err
	}
	forbidden := append(denied, in.Facts.ClusterNetworks...)
	peers := make([]peer, 0, len(allowed))
	for _, client := range allowed {
		if _, ok := carve(client, in.Facts.ClusterNetworks); !ok {
			return nil, invalid("spec.network.allowedRanges: %s lies in the cluster's own networks, which are never clients of a gate; remove it", client)
		}
		if except, ok := carve(client, forbidden); ok {
			peers = append(peers, blockPeer(client, except))
		}
	}
	return peers, nil
}

// allowedRanges are the client networks before the denied ones are taken out.
func allowedRanges(in Inputs) ([]netip.Prefix, error) {
	switch access(in) {
	case v1alpha1.AccessOpen:
		return []netip.Prefix{everyone}, nil
	case v1alpha1.AccessRestricted:
		ranges, err := parseRanges("spec.network.allowedRanges", in.Tenant.Spec.Network.AllowedRanges)
		return widest(ranges), err
	default:
		return nil, nil
	}
}

// allowedEgress are the class's networks, less what no class may reach. A rule of which nothing is left is left
// out: it must not become one without peers, which would mean everywhere.
func allowedEgress(in Inputs) ([]egressRule, error) {
	forbidden := append(slices.Clone(unreachable), in.Facts.ClusterNetworks...)
	var rules []egressRule
	for _, rule := range in.Class.Spec.AllowedEgress {
		networks, err := parseRanges("spec.allowedEgress of class "+in.Class.Name, []v1alpha1.CIDR{rule.CIDR})
		if err != nil {
			return nil, err
		}
		if len(rule.Ports) == 0 {
			return nil, invalid("spec.allowedEgress of class %s: %s names no ports", in.Class.Name, rule.CIDR)
		}
		if except, ok := carve(networks[0], forbidden); ok {
			rules = append(rules, egress([]peer{blockPeer(networks[0], except)}, rule.Ports...)...)
		}
	}
	return rules, nil
}
