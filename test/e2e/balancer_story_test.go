// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/freehold-dev/freehold/api/v1alpha1"
)

// throughBalancer asks as a load balancer at an address would that speaks the PROXY protocol for a client; with no
// client it says nothing of one. It returns the status, or why there is none.
func (c *customer) throughBalancer(ctx context.Context, balancer visitor, client string) (int, error) {
	raw, err := balancer.dial(ctx, "tcp", net.JoinHostPort(c.address(ctx), "443"))
	if err != nil {
		return 0, err
	}
	defer func() { _ = raw.Close() }()
	if err := raw.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return 0, err
	}
	if client != "" {
		if _, err := fmt.Fprintf(raw, "PROXY TCP4 %s %s 40000 443\r\n", client, c.address(ctx)); err != nil {
			return 0, err
		}
	}
	conn := tls.Client(raw, &tls.Config{RootCAs: c.authority(ctx), ServerName: c.host, MinVersion: tls.VersionTLS12})
	if _, err := fmt.Fprintf(conn, "GET /healthcheck HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", c.host); err != nil {
		return 0, err
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0, err
	}
	return answer.StatusCode, answer.Body.Close()
}

var _ = Describe("A load balancer that connects for its clients", Ordered, func() {
	customer := named("balanced")

	BeforeAll(func(ctx SpecContext) {
		needLocalCluster()
		class := minifluxClass()
		class.Name = "e2e-balanced"
		class.Spec.LoadBalancer.ClientAddress = v1alpha1.ClientAddressProxyProtocol
		class.Spec.LoadBalancer.ProxyRanges = []v1alpha1.CIDR{c20Range}
		renewClass(ctx, class)
		DeferCleanup(func(ctx SpecContext) { Expect(api.Delete(ctx, class)).To(Succeed()) }, NodeTimeout(limit))
		customer.order(ctx, func(t *v1alpha1.Tenant) {
			t.Spec.ClassRef.Name = class.Name
			t.Spec.Network = v1alpha1.TenantNetwork{Access: v1alpha1.AccessRestricted, AllowedRanges: []v1alpha1.CIDR{"198.51.100.0/25"}}
		}).available(ctx)
	}, NodeTimeout(limit))

	It("is believed whom it speaks for: who may come in does", func(ctx SpecContext) {
		Eventually(func() (int, error) { return customer.throughBalancer(ctx, c20, "198.51.100.7") }).WithContext(ctx).Should(Equal(http.StatusOK))
	}, SpecTimeout(limit))

	It("gets nobody in who may not, and not itself", func(ctx SpecContext) {
		_, err := customer.throughBalancer(ctx, c20, "198.51.100.200")
		Expect(err).To(HaveOccurred(), "a client outside of the allowed networks")
		_, err = customer.throughBalancer(ctx, c20, "")
		Expect(err).To(HaveOccurred(), "a connection that says for nobody")
	}, SpecTimeout(limit))

	It("is the only one: who only pretends to be one does not get in", func(ctx SpecContext) {
		_, err := customer.throughBalancer(ctx, c10, "198.51.100.7")
		Expect(err).To(HaveOccurred(), "a header from an address that is no load balancer's")
		_, err = customer.throughBalancer(ctx, c10, "")
		Expect(err).To(HaveOccurred(), "a client that comes past the load balancer")
		status, err := customer.throughBalancer(ctx, c20, "198.51.100.7")
		Expect(err).NotTo(HaveOccurred(), "meanwhile the load balancer should get in")
		Expect(status).To(Equal(http.StatusOK))
	}, SpecTimeout(limit))
})
