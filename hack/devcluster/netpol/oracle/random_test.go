// SPDX-License-Identifier: Apache-2.0

package oracle

import (
	"fmt"
	"math/rand/v2"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// randomPolicies makes one to five valid policies that say something about the
// pods, blocks and ports of this test.
func randomPolicies(r *rand.Rand) []*networkingv1.NetworkPolicy {
	var list []*networkingv1.NetworkPolicy
	for i := range 1 + r.IntN(5) {
		list = append(list, randomPolicy(r, i))
	}
	return list
}

func randomPolicy(r *rand.Rand, i int) *networkingv1.NetworkPolicy {
	p := &networkingv1.NetworkPolicy{}
	p.Namespace, p.Name = pick(r, "a", "b", "c"), fmt.Sprintf("p%d", i)
	p.Spec.PodSelector = *randomSelector(r, "app", "tier")
	p.Spec.PolicyTypes = pick(r,
		[]networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
		[]networkingv1.PolicyType{networkingv1.PolicyTypeEgress},
		[]networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress},
	)
	for range r.IntN(4) {
		p.Spec.Ingress = append(p.Spec.Ingress, networkingv1.NetworkPolicyIngressRule{From: randomPeers(r), Ports: randomPorts(r)})
	}
	for range r.IntN(4) {
		p.Spec.Egress = append(p.Spec.Egress, networkingv1.NetworkPolicyEgressRule{To: randomPeers(r), Ports: randomPorts(r)})
	}
	return p
}

func randomPeers(r *rand.Rand) []networkingv1.NetworkPolicyPeer {
	var list []networkingv1.NetworkPolicyPeer
	for range r.IntN(3) {
		list = append(list, randomPeer(r))
	}
	return list
}

func randomPeer(r *rand.Rand) networkingv1.NetworkPolicyPeer {
	switch r.IntN(4) {
	case 0:
		return networkingv1.NetworkPolicyPeer{PodSelector: randomSelector(r, "app", "tier")}
	case 1:
		return networkingv1.NetworkPolicyPeer{NamespaceSelector: randomSelector(r, "team", "env")}
	case 2:
		return networkingv1.NetworkPolicyPeer{
			PodSelector: randomSelector(r, "app", "tier"), NamespaceSelector: randomSelector(r, "team", "env"),
		}
	default:
		return networkingv1.NetworkPolicyPeer{IPBlock: pick(r,
			&networkingv1.IPBlock{CIDR: "0.0.0.0/0"},
			&networkingv1.IPBlock{CIDR: "0.0.0.0/0", Except: []string{"10.246.1.0/24", "198.19.0.20/32"}},
			&networkingv1.IPBlock{CIDR: "198.19.0.0/24", Except: []string{"198.19.0.16/28", "198.19.0.20/32"}},
			&networkingv1.IPBlock{CIDR: "10.246.0.0/16", Except: []string{"10.246.0.11/32"}},
			&networkingv1.IPBlock{CIDR: "10.246.2.10/31"},
		)}
	}
}

var values = map[string][]string{
	"app": {"x", "y", "z", "nobody"}, "tier": {"front", "back"},
	"team": {"red", "blue"}, "env": {"prod", "test"},
}

func randomSelector(r *rand.Rand, keys ...string) *metav1.LabelSelector {
	key := pick(r, keys...)
	some := []string{pick(r, values[key]...), pick(r, values[key]...)}
	switch r.IntN(6) {
	case 0:
		return &metav1.LabelSelector{}
	case 1:
		return expression(key, metav1.LabelSelectorOpIn, some)
	case 2:
		return expression(key, metav1.LabelSelectorOpNotIn, some)
	case 3:
		return expression(pick(r, key, "absent"), metav1.LabelSelectorOpExists, nil)
	case 4:
		return expression("absent", metav1.LabelSelectorOpDoesNotExist, nil)
	default:
		return &metav1.LabelSelector{MatchLabels: map[string]string{key: some[0]}}
	}
}

func expression(key string, op metav1.LabelSelectorOperator, values []string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: key, Operator: op, Values: values}}}
}

func randomPorts(r *rand.Rand) []networkingv1.NetworkPolicyPort {
	var list []networkingv1.NetworkPolicyPort
	for range r.IntN(3) {
		list = append(list, randomPort(r))
	}
	return list
}

func randomPort(r *rand.Rand) networkingv1.NetworkPolicyPort {
	protocol := pick(r, nil, new(corev1.ProtocolTCP), new(corev1.ProtocolUDP), new(corev1.ProtocolSCTP))
	p := networkingv1.NetworkPolicyPort{Protocol: protocol}
	switch r.IntN(5) {
	case 0:
	case 1:
		p.Port = new(intstr.FromString(pick(r, "web", "dns", "nothing")))
	case 2:
		p.Port, p.EndPort = new(intstr.FromInt32(80)), new(pick[int32](r, 80, 8080, 65535))
	default:
		p.Port = new(intstr.FromInt32(pick[int32](r, 53, 80, 8080, 8081)))
	}
	return p
}

func pick[T any](r *rand.Rand, from ...T) T {
	return from[r.IntN(len(from))]
}
