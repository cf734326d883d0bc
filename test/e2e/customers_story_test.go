// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strconv"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/api/v1alpha1"
)

var _ = Describe("Two customers order an instance each", Ordered, func() {
	acme, globex := named("acme-e2e"), named("globex-e2e")

	BeforeAll(func(ctx SpecContext) {
		acme.order(ctx)
		globex.order(ctx)
		acme.available(ctx)
		globex.available(ctx)
	}, NodeTimeout(limit))

	It("lets each of them log in at their own address with their own password", func(ctx SpecContext) {
		acme.logsIn(ctx)
		globex.logsIn(ctx)
		Expect(acme.address(ctx)).NotTo(Equal(globex.address(ctx)), "each customer should have an address of their own")
		Expect(acme.password(ctx)).NotTo(Equal(globex.password(ctx)))
		Expect(acme.authorityPEM(ctx)).NotTo(Equal(globex.authorityPEM(ctx)))
		Expect(acme.instanceID(ctx)).NotTo(Equal(globex.instanceID(ctx)))
		Expect(acme.tenant(ctx).Status.URL).To(Equal("https://acme-e2e.example.com"))
	}, SpecTimeout(limit))

	It("refuses one customer's password at the other's instance", func(ctx SpecContext) {
		Expect(acme.browser(ctx).logIn(ctx, globex.password(ctx))).To(MatchError(ContainSubstring("a login should lead to /unread, but answered 200 OK, location \"\"")), "Miniflux should show its login form again")
	}, SpecTimeout(limit))

	It("does not let one customer's authority vouch for the other", func(ctx SpecContext) {
		_, err := c10.browse(globex.host, globex.address(ctx), acme.authority(ctx)).get(ctx, "/")
		Expect(err).To(MatchError(ContainSubstring("certificate signed by unknown authority")))
	}, SpecTimeout(limit))

	It("answers each address for its own customer's hostnames only", func(ctx SpecContext) {
		b := acme.browser(ctx)
		b.url = "https://" + globex.host
		b.Transport.(*http.Transport).TLSClientConfig.ServerName = acme.host
		got, err := b.get(ctx, "/")
		Expect(err).NotTo(HaveOccurred())
		Expect(got.StatusCode).To(Equal(http.StatusMisdirectedRequest), "a request for another customer's hostname should be refused")
	}, SpecTimeout(limit))

	It("has no other door than 443", func(ctx SpecContext) {
		needLocalCluster()
		address := acme.address(ctx)
		Expect(connects(ctx, c10, address, 443)).To(Succeed(), "the door itself should be open, or what follows says nothing")
		for _, port := range []int{22, 80, 5432, 8008, 8080, 8404, 8443, 9090} {
			Expect(connects(ctx, c10, address, port)).NotTo(Succeed(), "port %d should be closed", port)
		}
		service := &corev1.Service{}
		Expect(api.Get(ctx, client.ObjectKey{Namespace: acme.namespace, Name: "edge"}, service)).To(Succeed())
		Expect(service.Spec.Ports).To(HaveLen(1))
		Expect(service.Spec.Ports[0].NodePort).To(BeZero(), "no port of the node should lead around the address")
	}, SpecTimeout(limit))

	It("refuses TLS 1.1", func(ctx SpecContext) {
		conn, err := c10.dial(ctx, "tcp", net.JoinHostPort(acme.address(ctx), "443"))
		Expect(err).NotTo(HaveOccurred())
		defer conn.Close()
		old := tls.Client(conn, &tls.Config{ServerName: acme.host, RootCAs: acme.authority(ctx), MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})
		Expect(old.HandshakeContext(ctx)).To(MatchError(ContainSubstring("protocol version not supported")))
	}, SpecTimeout(limit))

	It("does not let the outside reach database or application around the gate", func(ctx SpecContext) {
		needLocalCluster()
		Expect(connects(ctx, c10, acme.podIP(ctx, "edge"), 8443)).To(Succeed(), "the way to the pods should exist, or what follows says nothing")
		Expect(connects(ctx, c10, acme.podIP(ctx, "database"), 5432)).NotTo(Succeed())
		Expect(connects(ctx, c10, acme.podIP(ctx, "app"), 8080)).NotTo(Succeed())
	}, SpecTimeout(limit))

	It("keeps one customer's application away from the other's database and application", func(ctx SpecContext) {
		Expect(acme.appConnects(ctx, acme.podIP(ctx, "database"), 5432)).To(Succeed(), "the application should reach its own database, or what follows says nothing")
		Expect(acme.appConnects(ctx, globex.podIP(ctx, "database"), 5432)).NotTo(Succeed())
		Expect(acme.appConnects(ctx, globex.podIP(ctx, "app"), 8080)).NotTo(Succeed())
		Expect(acme.appConnects(ctx, globex.podIP(ctx, "edge"), 8443)).NotTo(Succeed())
	}, SpecTimeout(limit))

	It("keeps the application away from the API server and the node", func(ctx SpecContext) {
		kubernetes := &corev1.Service{}
		Expect(api.Get(ctx, client.ObjectKey{Namespace: "default", Name: "kubernetes"}, kubernetes)).To(Succeed())
		Expect(acme.appConnects(ctx, kubernetes.Spec.ClusterIP, 443)).NotTo(Succeed())
		var nodes corev1.NodeList
		Expect(api.List(ctx, &nodes)).To(Succeed())
		Expect(acme.appConnects(ctx, nodes.Items[0].Status.Addresses[0].Address, 10250)).NotTo(Succeed())
	}, SpecTimeout(limit))
})

var _ = Describe("A customer orders an application of another shape: files, its own TLS, a data volume", Ordered, func() {
	customer := named("headscale-e2e")
	var key string

	publicKey := func(ctx context.Context) (string, error) {
		got, err := customer.browser(ctx).get(ctx, "/key?v=100")
		if err == nil && got.StatusCode != http.StatusOK {
			err = fmt.Errorf("/key answered %s: %.200s", got.Status, got.body)
		}
		if err != nil {
			return "", err
		}
		return got.body, nil
	}

	BeforeAll(func(ctx SpecContext) {
		customer.order(ctx, func(t *v1alpha1.Tenant) { t.Spec.ClassRef.Name = headscaleName }).available(ctx)
	}, NodeTimeout(limit))

	It("answers through the gate, which speaks TLS to it", func(ctx SpecContext) {
		Eventually(func() (err error) { key, err = publicKey(ctx); return err }).WithContext(ctx).Should(Succeed())
		Expect(key).To(ContainSubstring("publicKey"))
	}, SpecTimeout(limit))

	It("finds its data in the database and on its volume again after its pod was deleted", func(ctx SpecContext) {
		Expect(customer.exec(ctx, "app-0", "headscale", "users", "create", "alice")).Error().NotTo(HaveOccurred())
		before := customer.pod(ctx, "app").UID
		Expect(api.Delete(ctx, customer.pod(ctx, "app"))).To(Succeed())
		Eventually(func() bool { return customer.pod(ctx, "app").UID != before }).WithContext(ctx).Should(BeTrue())
		customer.available(ctx)
		Eventually(func() (string, error) { return publicKey(ctx) }).WithContext(ctx).Should(Equal(key), "the key on the volume should be the old one")
		Eventually(func() (string, error) { return customer.exec(ctx, "app-0", "headscale", "users", "list") }).WithContext(ctx).
			Should(ContainSubstring("alice"), "the user in the database should still be there")
	}, SpecTimeout(limit))
})

func connects(ctx context.Context, v visitor, address string, port int) error {
	conn, err := v.dial(ctx, "tcp", net.JoinHostPort(address, strconv.Itoa(port)))
	if err != nil {
		return err
	}
	return conn.Close()
}

// pod of a component that is not going away.
func (c *customer) pod(ctx context.Context, component string) *corev1.Pod {
	GinkgoHelper()
	var found *corev1.Pod
	Eventually(func() *corev1.Pod {
		found = nil
		for _, pod := range c.pods(ctx) {
			if pod.Labels["app.kubernetes.io/component"] == component && pod.DeletionTimestamp == nil {
				found = &pod
			}
		}
		return found
	}).WithContext(ctx).ShouldNot(BeNil(), "%s should have a pod of its %s", c.name, component)
	return found
}

func (c *customer) podIP(ctx context.Context, component string) string {
	GinkgoHelper()
	ip := c.pod(ctx, component).Status.PodIP
	Expect(ip).NotTo(BeEmpty())
	return ip
}

// appConnects tries a connection from inside the customer's application.
func (c *customer) appConnects(ctx context.Context, address string, port int) error {
	out, err := c.exec(ctx, "app-0", "timeout", "3", "bash", "-c", fmt.Sprintf("exec 3<>/dev/tcp/%s/%d", address, port))
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}
