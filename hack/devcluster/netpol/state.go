// SPDX-License-Identifier: Apache-2.0

package netpol

import (
	"cmp"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
)

// State is what Compute needs to know of the cluster.
type State struct {
	// Pods are the pods that have an address of their own and may still use it,
	// each address once. PodsOf makes them.
	Pods []Pod
	// Namespaces holds the labels of each namespace by its name.
	Namespaces map[string]labels.Set
	// Policies are all policies of the cluster, in any order.
	Policies []*networkingv1.NetworkPolicy
}

// Pod is what matters of a pod.
type Pod struct {
	// Namespace, Name and UID identify the pod.
	Namespace, Name string
	UID             types.UID
	// Labels are what selectors look at.
	Labels labels.Set
	// IP is the pod's IPv4 address.
	IP netip.Addr
	// Ports are the declared ports of containers and sidecars, in the order of the
	// pod: sidecars are asked after containers, as kube-proxy does.
	Ports []corev1.ContainerPort
}

// PodsOf picks the pods to police: those with an IPv4 address other than the
// node's that have not ended. Pods that have ended lose their place because their address
// may already belong to another pod. If two claim one address, the one that is
// not being deleted has it, then the younger.
func PodsOf(objects []*corev1.Pod, nodeIP netip.Addr) []Pod {
	holders := map[netip.Addr]*corev1.Pod{}
	for _, pod := range objects {
		ip, ok := addressOf(pod, nodeIP)
		if !ok {
			continue
		}
		if rival := holders[ip]; rival == nil || comparesAsHolder(pod, rival) > 0 {
			holders[ip] = pod
		}
	}
	pods := make([]Pod, 0, len(holders))
	for ip, pod := range holders {
		pods = append(pods, Pod{
			Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID,
			Labels: pod.Labels, IP: ip, Ports: portsOf(pod),
		})
	}
	slices.SortFunc(pods, func(a, b Pod) int { return a.IP.Compare(b.IP) })
	return pods
}

func addressOf(pod *corev1.Pod, nodeIP netip.Addr) (netip.Addr, bool) {
	ended := pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
	if ended || pod.Spec.HostNetwork {
		return netip.Addr{}, false
	}
	candidates := []string{pod.Status.PodIP}
	for _, p := range pod.Status.PodIPs {
		candidates = append(candidates, p.IP)
	}
	for _, c := range candidates {
		if ip, err := netip.ParseAddr(c); err == nil && ip.Is4() {
			return ip, ip != nodeIP
		}
	}
	return netip.Addr{}, false
}

func comparesAsHolder(a, b *corev1.Pod) int {
	return cmp.Or(
		cmp.Compare(aliveRank(a), aliveRank(b)),
		a.CreationTimestamp.Compare(b.CreationTimestamp.Time),
		cmp.Compare(a.UID, b.UID),
	)
}

func aliveRank(pod *corev1.Pod) int {
	if pod.DeletionTimestamp != nil {
		return 0
	}
	return 1
}

func portsOf(pod *corev1.Pod) []corev1.ContainerPort {
	var ports []corev1.ContainerPort
	for _, c := range pod.Spec.Containers {
		ports = append(ports, c.Ports...)
	}
	for _, c := range pod.Spec.InitContainers {
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			ports = append(ports, c.Ports...)
		}
	}
	return ports
}

// port finds the number of a named port. The name has to fit together with the
// protocol.
func (p Pod) port(name string, protocol corev1.Protocol) (uint16, bool) {
	for _, port := range p.Ports {
		if port.Name == name && cmp.Or(port.Protocol, corev1.ProtocolTCP) == protocol {
			return uint16(port.ContainerPort), true
		}
	}
	return 0, false
}
