// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"net/http"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/freehold-dev/freehold/api/v1alpha1"
)

// guess tries a wrong password, and returns how that was answered.
func (c *customer) guess(ctx context.Context, who visitor) *answer {
	GinkgoHelper()
	got, err := who.browse(c.host, c.address(ctx), c.authority(ctx)).sendLogin(ctx, "a guess")
	Expect(err).NotTo(HaveOccurred())
	return got
}

var _ = Describe("Somebody guesses a customer's password", Ordered, func() {
	customer := named("guarded")
	const maxFailures = 4

	BeforeAll(func(ctx SpecContext) {
		needLocalCluster()
		class := minifluxClass()
		class.Name = "e2e-guarded"
		class.Spec.Edge.Logins = &v1alpha1.ClassLogins{Paths: []v1alpha1.LoginPath{"/login"}, FailureStatuses: []int32{200, 400, 401, 403}, MaxFailures: maxFailures}
		renewClass(ctx, class)
		DeferCleanup(func(ctx SpecContext) { Expect(api.Delete(ctx, class)).To(Succeed()) }, NodeTimeout(limit))
		customer.order(ctx, func(t *v1alpha1.Tenant) { t.Spec.ClassRef.Name = class.Name }).available(ctx).answers(ctx)
	}, NodeTimeout(limit))

	It("is blocked from logging in after some failures, and told for how long", func(ctx SpecContext) {
		for range maxFailures {
			Expect(customer.guess(ctx, c20).StatusCode).NotTo(Equal(http.StatusTooManyRequests))
		}
		refused := customer.guess(ctx, c20)
		Expect(refused.StatusCode).To(Equal(http.StatusTooManyRequests), refused.body)
		Expect(refused.Header.Get("Retry-After")).To(MatchRegexp(`^[1-9]\d*$`))
	}, SpecTimeout(limit))

	It("disturbs nobody else, and is served all that is no login", func(ctx SpecContext) {
		got, err := c20.browse(customer.host, customer.address(ctx), customer.authority(ctx)).get(ctx, "/healthcheck")
		Expect(err).NotTo(HaveOccurred())
		Expect(got.StatusCode).To(Equal(http.StatusOK))
		customer.logsIn(ctx) // from c10
	}, SpecTimeout(limit))

	It("stays blocked while the gate takes a new certificate, and is listed", func(ctx SpecContext) {
		own, _ := certificate(customer.host)
		keep(ctx, customer, own)
		customer.patch(ctx, `{"spec":{"tls":{"secretRef":{"name":"their-certificate"}}}}`)
		served := func() string {
			said, _ := customer.exec(ctx, "deploy/edge", "freehold", "agent", "edge", "blocked")
			return said
		}
		Expect(served()).To(ContainSubstring(c20.address))
		Eventually(func() error { return customer.handshake(ctx, c10) }).WithContext(ctx).
			Should(HaveOccurred(), "the tenant's own authority should not vouch any more: the gate serves another certificate")
		Expect(served()).To(ContainSubstring(c20.address))
		customer.patch(ctx, `{"spec":{"tls":{"secretRef":null}}}`)
		customer.available(ctx).answers(ctx)
		Expect(customer.guess(ctx, c20).StatusCode).To(Equal(http.StatusTooManyRequests))
	}, SpecTimeout(limit))

	It("is told to whoever watches over the fleet", func(ctx SpecContext) {
		Eventually(func() string {
			return run(ctx, "kubectl", "get", "events", "--field-selector", "reason=ClientsBlocked,involvedObject.name="+customer.name, "-o", "jsonpath={.items[*].note}{.items[*].message}")
		}).WithContext(ctx).Should(ContainSubstring("the gate keeps 1 clients from logging in"))
	}, SpecTimeout(limit))

	It("may try again once somebody has let them", func(ctx SpecContext) {
		said, err := customer.exec(ctx, "deploy/edge", "freehold", "agent", "edge", "unblock", c20.address)
		Expect(err).NotTo(HaveOccurred(), said)
		Expect(customer.guess(ctx, c20).StatusCode).NotTo(Equal(http.StatusTooManyRequests))
		said, err = customer.exec(ctx, "deploy/edge", "freehold", "agent", "edge", "unblock", c20.address)
		Expect(err).To(HaveOccurred())
		Expect(strings.TrimSpace(said)).To(ContainSubstring(c20.address + " is not blocked"))
	}, SpecTimeout(limit))
})
