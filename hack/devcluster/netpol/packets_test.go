// SPDX-License-Identifier: Apache-2.0

//go:build packets

package netpol

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

var modes = map[string]bool{ModeStrict: false, ModeWeak: true}

// TestThePathsWork proves the prober before anything is denied: without a table
// every flow that any other test expects to be denied is answered.
func TestThePathsWork(t *testing.T) {
	l := newLab(t)
	for _, tc := range meaningCases {
		l.expect(tc.allowed, true)
		l.expect(tc.denied, true)
	}
}

func (l *lab) expect(flows []string, allowed bool) {
	l.t.Helper()
	for _, text := range flows {
		if got := l.tryFlow(parseFlow(l.t, text)); got != allowed {
			l.t.Errorf("%s: allowed is %v, want %v", text, got, allowed)
		}
	}
}

func TestPacketsMeetTheMeaningOfPolicies(t *testing.T) {
	for mode, weak := range modes {
		for _, tc := range meaningCases {
			t.Run(mode+"/"+tc.name, func(t *testing.T) {
				l := newLab(t)
				l.program(worldState(policiesOf(t, tc.policies)...), weak)
				l.expect(tc.allowed, true)
				l.expect(tc.denied, false)
			})
		}
	}
}

const denyAll = `{podSelector: {}, policyTypes: [Ingress, Egress]}`

func TestTheNodeAlwaysReachesItsPods(t *testing.T) {
	l := newLab(t)
	l.program(worldState(policy(t, "shop/deny", denyAll)), false)
	l.expect([]string{"node > shop/web tcp/8080", "node > shop/db udp/53"}, true)
	l.expect([]string{"shop/web > node tcp/8080"}, false)
}

// established opens a connection that works.
func established(l *lab, f flow) net.Conn {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), patience)
	defer cancel()
	conn, err := open(ctx, f.from, netip.AddrPortFrom(addresses[f.to], f.port), f.protocol, netip.Addr{})
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { _ = conn.Close() }) // a second close does no harm
	if err := ping(ctx, conn); err != nil {
		l.t.Fatal(err)
	}
	return conn
}

func TestANewDenyAndEstablishedConnections(t *testing.T) {
	for mode, kept := range map[string]bool{ModeStrict: false, ModeWeak: true} {
		for _, text := range []string{"shop/web > shop/db tcp/5432", "shop/web > shop/db udp/53", "client10 > shop/db tcp/5432", "shop/db > node tcp/6443"} {
			t.Run(mode+"/"+text, func(t *testing.T) {
				l := newLab(t)
				c := startCluster(t, l.nft, modes[mode])
				conn := established(l, parseFlow(t, text))
				c.apply(policy(t, "shop/deny", denyAll))
				if alive := l.verdict(text, func(ctx context.Context) error { return ping(ctx, conn) }); alive != kept {
					t.Errorf("the connection lives on: %v, want %v", alive, kept)
				}
				c.must(conn.Close())
				l.expect([]string{text}, false)
			})
		}
	}
}

func TestAConnectionSurvivesAChangeThatStillAllowsIt(t *testing.T) {
	l := newLab(t)
	c := startCluster(t, l.nft, false)
	conn := established(l, parseFlow(t, "shop/web > shop/db tcp/5432"))
	c.apply(policy(t, "shop/own", `{podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{from: [{podSelector: {}}]}], egress: [{to: [{podSelector: {}}]}]}`))
	if !l.verdict("the open connection", func(ctx context.Context) error { return ping(ctx, conn) }) {
		t.Error("a connection that the new policy allows was cut")
	}
}

// withoutPod starts a cluster that does not know shop/web yet.
func withoutPod(t *testing.T, l *lab, weak bool) (*cluster, func()) {
	t.Helper()
	c := startCluster(t, l.nft, weak)
	late := worldPods()[0]
	c.must(c.pods.Delete(late))
	c.changed()
	return c, func() { c.must(c.pods.Add(late)); c.changed() }
}

func TestStrictModeClosesAPodThatItDoesNotKnow(t *testing.T) {
	l := newLab(t)
	_, appear := withoutPod(t, l, false)
	flows := []string{"shop/web > bank/web tcp/9090", "shop/web > client10 tcp/80", "shop/web > node tcp/6443",
		"client10 > shop/web tcp/8080", "bank/web > shop/web tcp/8080"}
	l.expect(flows, false)
	appear()
	l.expect(flows, true)
}

func TestWeakModeLeavesANewPodOpenForTwoSeconds(t *testing.T) {
	l := newLab(t)
	c, appear := withoutPod(t, l, true)
	c.apply(policy(t, "shop/deny", denyAll))
	appear()
	flows := []string{"shop/web > bank/web tcp/9090", "shop/web > node tcp/6443", "client10 > shop/web tcp/8080"}
	l.expect(flows, true)
	c.meanwhile(lateness - 2*debounce)
	c.changed()
	l.expect(flows, true)
	c.after(debounce)
	l.expect(flows, false)
}

// service makes the DNAT of a Service and its hairpin masquerade, as kube-proxy does.
func service(t *testing.T, ip string, to string) {
	t.Helper()
	run(t, "table ip fh-test-proxy {\n"+
		"chain pre { type nat hook prerouting priority dstnat; ip daddr "+ip+" tcp dport 443 dnat to "+to+"; }\n"+
		"chain post { type nat hook postrouting priority srcnat; ip saddr 10.246.0.11 ip daddr 10.246.0.11 masquerade; }\n}\n", "nft", "-f", "-")
	t.Cleanup(func() { run(t, "", "nft", "delete", "table", "ip", "fh-test-proxy") })
}

func TestRulesSeeTheClientOfALoadBalancerAndThePortOfThePod(t *testing.T) {
	const lb = "198.18.0.16"
	l := newLab(t)
	service(t, lb, "10.246.0.11:8080")
	viaLB := func(from string) bool {
		return l.verdict(from+" > "+lb, func(ctx context.Context) error {
			return call(ctx, from, netip.MustParseAddrPort(lb+":443"), corev1.ProtocolTCP)
		})
	}
	l.program(worldState(
		policy(t, "shop/deny", denyAll),
		policy(t, "shop/web", `{podSelector: {matchLabels: {app: web}}, ingress: [{from: [{ipBlock: {cidr: 198.19.0.0/24, except: [198.19.0.20/32]}}], ports: [{port: 8080}]}]}`),
	), false)
	for from, want := range map[string]bool{
		"client10": true,
		"client20": false, // the hole
		"bank/web": false, // a pod outside of the block
		"shop/web": true,  // itself, through its Service
	} {
		if got := viaLB(from); got != want {
			t.Errorf("%s through the load balancer: allowed is %v, want %v", from, got, want)
		}
	}
	l.program(worldState(policy(t, "shop/web", `{podSelector: {}, ingress: [{ports: [{port: 443}]}]}`)), false)
	if viaLB("client10") {
		t.Error("the port of the Service opened the pod's port")
	}
}

func TestABorrowedAddressIsDropped(t *testing.T) {
	l := newLab(t)
	for _, borrowed := range []string{"bank/web", "client10"} {
		t.Run(borrowed, func(t *testing.T) {
			l := &lab{t: t, nft: l.nft}
			run(t, "", "ip", "-n", "shop-web", "addr", "add", addresses[borrowed].String()+"/32", "dev", "eth0")
			t.Cleanup(func() {
				run(t, "", "ip", "-n", "shop-web", "addr", "del", addresses[borrowed].String()+"/32", "dev", "eth0")
			})
			l.program(worldState(), false)
			dropped := !l.verdict("shop/web as "+borrowed, func(ctx context.Context) error {
				conn, err := open(ctx, "shop/web", netip.AddrPortFrom(addresses["shop/db"], 5432), corev1.ProtocolTCP, addresses[borrowed])
				if err != nil {
					return err
				}
				return conn.Close()
			})
			if !dropped {
				t.Errorf("shop/web reached shop/db with the address of %s", borrowed)
			}
		})
	}
	l.expect([]string{"shop/web > shop/db tcp/5432"}, true)
}

// countCallsTo counts TCP packets to an IPv6 address before our table sees them.
func countCallsTo(t *testing.T, addr string) func() int {
	t.Helper()
	const table = "fh-test-count"
	run(t, "table ip6 "+table+" { chain pre { type filter hook prerouting priority raw - 10; ip6 daddr "+addr+" tcp dport 6444 counter; }; }\n", "nft", "-f", "-")
	t.Cleanup(func() { run(t, "", "nft", "delete", "table", "ip6", table) })
	return func() int { return counted(t, run(t, "", "nft", "list", "table", "ip6", table)) }
}

// TestIPv6DoesNotLeadAroundTheWalls calls the node by the link-local address of
// the pod's own link.
func TestIPv6DoesNotLeadAroundTheWalls(t *testing.T) {
	l := newLab(t)
	link, err := net.InterfaceByName("veth-shop-web")
	if err != nil {
		t.Fatal(err)
	}
	run(t, "addr add fe80::90:1/64 dev veth-shop-web nodad\n", "ip", "-batch", "-")
	run(t, "", "ip", "-n", "shop-web", "addr", "add", "fe80::90:2/64", "dev", "eth0", "nodad")
	listener, err := net.ListenTCP("tcp6", &net.TCPAddr{IP: net.ParseIP("fe80::90:1"), Port: 6444, Zone: link.Name})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go echoTCP(listener)
	dial := func(ctx context.Context) error {
		return inside("shop-web", func() error {
			conn, err := (&net.Dialer{}).DialContext(ctx, "tcp6", "[fe80::90:1%eth0]:6444")
			if err != nil {
				return err
			}
			return conn.Close()
		})
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := dial(ctx); err != nil {
		t.Fatalf("the path does not work without walls, so that the test would prove nothing: %v", err)
	}
	l.program(worldState(), false)
	seen := countCallsTo(t, "fe80::90:1")
	done := make(chan error, 1)
	go func() { done <- dial(ctx) }()
	for seen() < 2 { // the first packet and its repetition
		select {
		case err := <-done:
			t.Fatalf("a pod called the node over IPv6 once, and the result was %v", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
	cancel()
	if err := <-done; err == nil {
		t.Error("a pod reached the node over IPv6")
	}
	l.expect([]string{"shop/web > node tcp/6443"}, true)
}
