// SPDX-License-Identifier: Apache-2.0

package netpol

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"
)

// The world of the tests: two namespaces with two pods each, two clients from
// outside, and the node.
const (
	testPodCIDR = "10.246.0.0/24"
	testNodeIP  = "10.90.0.1"
)

var addresses = map[string]netip.Addr{
	"shop/web": netip.MustParseAddr("10.246.0.11"),
	"shop/db":  netip.MustParseAddr("10.246.0.12"),
	"bank/web": netip.MustParseAddr("10.246.0.21"),
	"bank/db":  netip.MustParseAddr("10.246.0.22"),
	"client10": netip.MustParseAddr("198.19.0.10"),
	"client20": netip.MustParseAddr("198.19.0.20"),
	"node":     netip.MustParseAddr(testNodeIP),
}

func worldNamespaces() map[string]labels.Set {
	return map[string]labels.Set{
		"shop": {"kubernetes.io/metadata.name": "shop", "team": "a"},
		"bank": {"kubernetes.io/metadata.name": "bank", "team": "b"},
	}
}

// worldPods: both web pods name a port http, each with another number; the
// metrics port of shop/web belongs to a sidecar.
func worldPods() []*corev1.Pod {
	shopWeb := pod("shop/web", map[string]string{"app": "web", "tier": "front"}, "http:8080/TCP")
	always := corev1.ContainerRestartPolicyAlways
	shopWeb.Spec.InitContainers = []corev1.Container{
		{Name: "once", Ports: ports("init:8081/TCP")},
		{Name: "sidecar", RestartPolicy: &always, Ports: ports("metrics:9100/TCP")},
	}
	return []*corev1.Pod{
		shopWeb,
		pod("shop/db", map[string]string{"app": "db"}, "pg:5432/TCP", "dns:53/UDP"),
		pod("bank/web", map[string]string{"app": "web"}, "http:9090/TCP"),
		pod("bank/db", map[string]string{"app": "db"}, "pg:5432/TCP"),
	}
}

func pod(name string, lbls map[string]string, containerPorts ...string) *corev1.Pod {
	namespace, short, _ := strings.Cut(name, "/")
	ip := addresses[name].String()
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: short, UID: types.UID(name), Labels: lbls},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Ports: ports(containerPorts...)}}},
		Status:     corev1.PodStatus{Phase: corev1.PodRunning, PodIP: ip, PodIPs: []corev1.PodIP{{IP: ip}}},
	}
}

func ports(specs ...string) []corev1.ContainerPort {
	var list []corev1.ContainerPort
	for _, spec := range specs {
		name, rest, _ := strings.Cut(spec, ":")
		number, protocol, _ := strings.Cut(rest, "/")
		n, err := strconv.Atoi(number)
		if err != nil {
			panic(fmt.Sprintf("port %q: %v", spec, err))
		}
		list = append(list, corev1.ContainerPort{Name: name, ContainerPort: int32(n), Protocol: corev1.Protocol(protocol)})
	}
	return list
}

// policy reads a spec; name is namespace/name.
func policy(t testing.TB, name, spec string) *networkingv1.NetworkPolicy {
	t.Helper()
	namespace, short, _ := strings.Cut(name, "/")
	p := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: short}}
	if err := yaml.UnmarshalStrict([]byte(spec), &p.Spec); err != nil {
		t.Fatalf("policy %s: %v", name, err)
	}
	return p
}

func worldState(policies ...*networkingv1.NetworkPolicy) State {
	return State{
		Pods:       PodsOf(worldPods(), addresses["node"]),
		Namespaces: worldNamespaces(),
		Policies:   policies,
	}
}

// flow is a connection that somebody tries, written "shop/web > shop/db tcp/5432".
type flow struct {
	from, to string
	protocol corev1.Protocol
	port     uint16
}

func parseFlow(t testing.TB, text string) flow {
	t.Helper()
	words := strings.Fields(text)
	if len(words) != 4 || words[1] != ">" {
		t.Fatalf("flow %q is not of the form \"shop/web > shop/db tcp/5432\"", text)
	}
	protocol, number, _ := strings.Cut(words[3], "/")
	port, err := strconv.ParseUint(number, 10, 16)
	if err != nil {
		t.Fatalf("flow %q: %v", text, err)
	}
	for _, name := range []string{words[0], words[2]} {
		if !addresses[name].IsValid() {
			t.Fatalf("flow %q: nobody is called %s", text, name)
		}
	}
	return flow{words[0], words[2], corev1.Protocol(strings.ToUpper(protocol)), uint16(port)}
}
