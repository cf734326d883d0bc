// SPDX-License-Identifier: Apache-2.0

package oracle

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/mattfenwick/cyclonus/pkg/matcher"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"

	"github.com/freehold-dev/freehold/hack/devcluster/netpol"
)

// rounds and seed fix the set of random policies: the same in every run.
const (
	rounds = 1500
	seed   = 20261121
)

var namespaces = map[string]labels.Set{
	"a": {"kubernetes.io/metadata.name": "a", "team": "red", "env": "prod"},
	"b": {"kubernetes.io/metadata.name": "b", "team": "blue", "env": "prod"},
	"c": {"kubernetes.io/metadata.name": "c", "team": "blue", "env": "test"},
}

// pods are three per namespace; each has all three labels that selectors use,
// and each has the port "web", of which the number differs.
func pods() []netpol.Pod {
	var list []netpol.Pod
	for n, namespace := range []string{"a", "b", "c"} {
		for i, app := range []string{"x", "y", "z"} {
			list = append(list, netpol.Pod{
				Namespace: namespace,
				Name:      app,
				Labels:    labels.Set{"app": app, "tier": []string{"front", "back"}[(n+i)%2], "zone": "one"},
				IP:        netip.AddrFrom4([4]byte{10, 246, byte(n), byte(10 + i)}),
				Ports: []corev1.ContainerPort{
					{Name: "web", ContainerPort: int32(8080 + i%2), Protocol: corev1.ProtocolTCP},
					{Name: "dns", ContainerPort: 53, Protocol: corev1.ProtocolUDP},
				},
			})
		}
	}
	return list
}

var outsiders = []netip.Addr{netip.MustParseAddr("198.19.0.10"), netip.MustParseAddr("198.19.0.20")}

var probes = []struct {
	protocol corev1.Protocol
	port     uint16
}{
	{corev1.ProtocolTCP, 80}, {corev1.ProtocolTCP, 8080}, {corev1.ProtocolTCP, 8081}, {corev1.ProtocolTCP, 9000},
	{corev1.ProtocolUDP, 53}, {corev1.ProtocolUDP, 8080}, {corev1.ProtocolSCTP, 8080},
}

func TestRandomPoliciesMeanTheSameToCyclonus(t *testing.T) {
	random := rand.New(rand.NewPCG(seed, seed))
	allowed, denied := 0, 0
	for round := range rounds {
		policies := randomPolicies(random)
		a, d := compare(t, policies)
		allowed, denied = allowed+a, denied+d
		if t.Failed() {
			dump(t, policies)
			t.Fatalf("round %d of seed %d differs", round, seed)
		}
	}
	t.Logf("%d policy sets: %d flows allowed, %d denied, by both", rounds, allowed, denied)
	if least := (allowed + denied) / 5; allowed < least || denied < least {
		t.Errorf("the random policies prove little: %d allowed, %d denied; want a fifth of each at least", allowed, denied)
	}
}

// end is one end of a connection, to both models.
type end struct {
	addr netip.Addr
	pod  *netpol.Pod
}

func ends() []end {
	var list []end
	for _, pod := range pods() {
		list = append(list, end{pod.IP, &pod})
	}
	for _, addr := range outsiders {
		list = append(list, end{addr: addr})
	}
	return list
}

// compare tries every pair of ends on every probe.
func compare(t *testing.T, policies []*networkingv1.NetworkPolicy) (allowed, denied int) {
	t.Helper()
	model := netpol.Compute(netpol.State{Pods: pods(), Namespaces: namespaces, Policies: policies})
	oracle := matcher.BuildNetworkPolicies(false, policies)
	for _, from := range ends() {
		for _, to := range ends() {
			if from.addr == to.addr {
				continue
			}
			for _, probe := range probes {
				want := oracle.IsTrafficAllowed(traffic(from, to, probe.protocol, probe.port)).IsAllowed()
				got := model.Permits(from.addr, to.addr, probe.protocol, probe.port)
				if got != want {
					t.Errorf("%s > %s %s/%d: we say %v, cyclonus %v", from.addr, to.addr, probe.protocol, probe.port, got, want)
				}
				if want {
					allowed++
				} else {
					denied++
				}
			}
		}
	}
	return allowed, denied
}

func traffic(from, to end, protocol corev1.Protocol, port uint16) *matcher.Traffic {
	return &matcher.Traffic{
		Source: peer(from), Destination: peer(to),
		ResolvedPort: int(port), ResolvedPortName: portName(to, protocol, port), Protocol: protocol,
	}
}

func peer(e end) *matcher.TrafficPeer {
	p := &matcher.TrafficPeer{IP: e.addr.String()}
	if e.pod != nil {
		p.Internal = &matcher.InternalPeer{
			PodLabels: e.pod.Labels, Namespace: e.pod.Namespace, NamespaceLabels: namespaces[e.pod.Namespace],
		}
	}
	return p
}

func portName(to end, protocol corev1.Protocol, port uint16) string {
	if to.pod == nil {
		return ""
	}
	for _, p := range to.pod.Ports {
		if p.Protocol == protocol && p.ContainerPort == int32(port) {
			return p.Name
		}
	}
	return ""
}

func dump(t *testing.T, policies []*networkingv1.NetworkPolicy) {
	t.Helper()
	for _, p := range policies {
		text, err := yaml.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		t.Log(fmt.Sprintf("---\n%s", text))
	}
}
