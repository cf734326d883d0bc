// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"testing"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/agenttest"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
	"github.com/freehold-dev/freehold/controllers/tenant/render"
)

// through is a customer behind a load balancer at 127.0.0.1 that says, in version 2 of the PROXY protocol, who it is.
func (p *renderedPod) through(client string) *customer {
	return p.clientOver(func(ctx context.Context, network, _ string) (net.Conn, error) {
		conn, err := p.Dial(ctx, network, fmt.Sprintf("127.0.0.1:%d", meta.PortEdge))
		if err != nil {
			return nil, err
		}
		source, target := netip.MustParseAddr(client).As4(), netip.MustParseAddr("203.0.113.1").As4()
		header := append([]byte("\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c"), source[:]...)
		header = append(header, target[:]...)
		header = binary.BigEndian.AppendUint16(header, 40000)
		header = binary.BigEndian.AppendUint16(header, meta.PortPublic)
		_, err = conn.Write(header)
		return conn, err
	})
}

// behind makes the load balancer of a class speak for its clients.
func behind(proxies ...v1alpha1.CIDR) func(*render.Inputs) {
	return func(in *render.Inputs) {
		in.Class.Spec.LoadBalancer.ClientAddress = v1alpha1.ClientAddressProxyProtocol
		in.Class.Spec.LoadBalancer.ProxyRanges = proxies
	}
}

func TestTheWordOfALoadBalancerCountsAndNobodyElses(t *testing.T) {
	t.Parallel()
	p := newRenderedPod(t, func(in *render.Inputs) {
		in.Tenant.Spec.Network = v1alpha1.TenantNetwork{Access: v1alpha1.AccessRestricted,
			AllowedRanges: []v1alpha1.CIDR{"198.51.100.0/24", "127.0.0.0/8"}, DeniedRanges: []v1alpha1.CIDR{"198.51.100.7/32"}}
	})
	p.start()
	if err := p.through("198.51.100.8").get("/"); err == nil {
		t.Error("without a load balancer that speaks for its clients a client may say who it is")
	}

	// The switch is a live one: the gate of the running revision serves both ways.
	behind("127.0.0.1/32")(&p.inputs)
	p.publishLists()
	agenttest.Eventually(t, "an allowed client behind the load balancer is served", func() error { return p.through("198.51.100.8").get("/") })
	for client, why := range map[string]string{"198.51.100.7": "denied", "192.0.2.1": "not allowed"} {
		if err := p.through(client).get("/"); err == nil {
			t.Errorf("a client is served that is %s", why)
		}
	}
	if err := p.client().get("/"); err == nil {
		t.Error("the load balancer's address is served without saying for whom")
	}

	p.inputs.Class.Spec.LoadBalancer.ProxyRanges = []v1alpha1.CIDR{"127.0.0.2/32"}
	p.publishLists()
	agenttest.Eventually(t, "somebody who is no load balancer is turned away, whatever it says", func() error {
		if p.through("198.51.100.8").get("/") == nil {
			return fmt.Errorf("it is served")
		}
		return nil
	})
	if err := p.client().get("/"); err == nil {
		t.Error("a client that by-passes the load balancer is served")
	}
	if err := p.clientAt(meta.PortEdgeProbe).get("/"); err != nil {
		t.Errorf("what proves that the gate serves is turned away: %v", err)
	}

	p.inputs.Class.Spec.LoadBalancer = v1alpha1.ClassLoadBalancer{}
	p.publishLists()
	agenttest.Eventually(t, "clients connect by themselves again", func() error { return p.client().get("/") })
}
