// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"net/http"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/api/v1alpha1"
)

// pending waits until an update waits for approval, and returns its hash. words tell what it would change.
func (c *customer) pending(ctx context.Context, words ...string) string {
	GinkgoHelper()
	var message string
	Eventually(func(g Gomega) {
		message = c.poll(ctx, v1alpha1.ConditionUpdatePending)()
		g.Expect(message).To(HavePrefix("UpdatePending=True " + v1alpha1.ReasonRevisionDiffers))
		for _, word := range words {
			g.Expect(message).To(ContainSubstring(word))
		}
	}).WithContext(ctx).Should(Succeed(), "the Tenant should say what waits")
	hash := c.tenant(ctx).Status.Revision.PendingHash
	Expect(message).To(ContainSubstring(hash), "the message should name the hash to approve")
	return hash
}

// untouched says that the pods go on living.
func (c *customer) untouched(ctx context.Context, pods map[string]string) {
	GinkgoHelper()
	Consistently(func() map[string]string { return c.lives(ctx) }).WithContext(ctx).Should(Equal(pods), "nothing should restart before the approval")
}

var _ = Describe("The product is updated", Ordered, func() {
	customer := named("updated")
	const className = "e2e-updates"
	var first, second string

	edit := func(ctx context.Context, change func(*v1alpha1.TenantClassSpec)) {
		GinkgoHelper()
		class := &v1alpha1.TenantClass{}
		Expect(api.Get(ctx, client.ObjectKey{Name: className}, class)).To(Succeed())
		change(&class.Spec)
		Expect(api.Update(ctx, class)).To(Succeed())
	}
	approve := func(ctx context.Context, hash string) {
		GinkgoHelper()
		run(ctx, "kubectl", "annotate", "tenant", customer.name, v1alpha1.AnnotationApproveUpdate+"="+hash, "--overwrite")
	}
	runs := func(ctx context.Context, hash string) {
		GinkgoHelper()
		Eventually(func() string { return customer.tenant(ctx).Status.Revision.Hash }).WithContext(ctx).Should(Equal(hash))
	}

	BeforeAll(func(ctx SpecContext) {
		class := minifluxClass()
		class.Name = className
		renewClass(ctx, class)
		DeferCleanup(func(ctx SpecContext) { Expect(api.Delete(ctx, class)).To(Succeed()) }, NodeTimeout(limit))
		customer.order(ctx, func(t *v1alpha1.Tenant) { t.Spec.ClassRef.Name = className }).available(ctx).answers(ctx)
		first = customer.tenant(ctx).Status.Revision.Hash
		Expect(first).NotTo(BeEmpty())
	}, NodeTimeout(limit))

	It("waits for approval when the class changes, and restarts nothing until then", func(ctx SpecContext) {
		pods := customer.lives(ctx)
		edit(ctx, func(s *v1alpha1.TenantClassSpec) {
			s.App.Env = append(s.App.Env, v1alpha1.EnvVar{Name: "POLLING_FREQUENCY", Value: "30"})
		})
		second = customer.pending(ctx, "the images stay, settings change")
		customer.untouched(ctx, pods)
		Expect(customer.poll(ctx, v1alpha1.ConditionReady)()).To(HavePrefix("Ready=True"), "a waiting update is no fault")
	}, SpecTimeout(limit))

	It("takes no approval of something else", func(ctx SpecContext) {
		pods := customer.lives(ctx)
		approve(ctx, "0000000000")
		customer.pending(ctx, "0000000000")
		customer.untouched(ctx, pods)
	}, SpecTimeout(limit))

	It("updates after the approval, and only what changed", func(ctx SpecContext) {
		database, edge := customer.pod(ctx, "database").UID, customer.pod(ctx, "edge").UID
		app := customer.pod(ctx, "app").UID
		approve(ctx, second)
		runs(ctx, second)
		Eventually(func() bool { return customer.pod(ctx, "app").UID != app }).WithContext(ctx).Should(BeTrue(), "the application should run with the new setting")
		customer.available(ctx).answers(ctx)
		Expect(customer.pod(ctx, "database").UID).To(Equal(database), "the database has nothing new and should not restart")
		Expect(customer.pod(ctx, "edge").UID).To(Equal(edge), "the gate has nothing new and should not restart")
		Expect(customer.poll(ctx, v1alpha1.ConditionUpdatePending)()).To(HavePrefix("UpdatePending=False"))
		Expect(customer.tenant(ctx).Status.Revision.Number).To(Equal(int64(2)))
	}, SpecTimeout(limit))

	It("answers 503 with Retry-After while a bad image cannot start", func(ctx SpecContext) {
		good := string(minifluxClass().Spec.App.Image)
		bad := good[:strings.LastIndex(good, ":")] + ":does-not-exist"
		edit(ctx, func(s *v1alpha1.TenantClassSpec) { s.App.Image = v1alpha1.ImageReference(bad) })
		approve(ctx, customer.pending(ctx, "app image "+good+" → "+bad))
		Eventually(customer.poll(ctx, v1alpha1.ConditionAvailable)).WithContext(ctx).Should(HavePrefix("Available=False AppNotReady"))
		b := customer.browser(ctx)
		Eventually(func(g Gomega) {
			got, err := b.get(ctx, "/")
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(got.StatusCode).To(Equal(http.StatusServiceUnavailable))
			g.Expect(got.Header.Get("Retry-After")).NotTo(BeEmpty())
		}).WithContext(ctx).Should(Succeed(), "the gate should tell clients to come back")
	}, SpecTimeout(limit))

	It("goes back by approving the older revision", func(ctx SpecContext) {
		approve(ctx, second)
		runs(ctx, second)
		customer.available(ctx).answers(ctx)
		Expect(customer.tenant(ctx).Status.Revision.Number).To(Equal(int64(4)))
		customer.pending(ctx, "does-not-exist")
	}, SpecTimeout(limit))
})

var _ = Describe("The operator itself starts anew", Ordered, Serial, func() {
	customer := named("operated")
	var pods map[string]string

	BeforeAll(func(ctx SpecContext) {
		customer.order(ctx).available(ctx).answers(ctx)
		pods = customer.lives(ctx)
	}, NodeTimeout(limit))

	It("and writes nothing to an instance that is as it should be, nor to objects of strangers", func(ctx SpecContext) {
		pipe(ctx, strangers, "kubectl", append(slices.Clone(withGlass), "apply", "-n", customer.namespace, "-f", "-")...)
		theirs, last := ofStrangers(ctx, customer), customer.rests(ctx)
		restartOperator(ctx)
		Consistently(func() string { return customer.versions(ctx) }).WithContext(ctx).Should(Equal(last), "a converged instance should not be written to, also not by an operator that has just started")
		Expect(ofStrangers(ctx, customer)).To(Equal(theirs), "strangers' objects should be byte for byte what they were")
		run(ctx, "kubectl", append(slices.Clone(withGlass), "delete", "-n", customer.namespace, "networkpolicy/their-policy", "service/their-service")...)
	}, SpecTimeout(limit))

	It("in another version, and restarts no customer", func(ctx SpecContext) {
		number := customer.tenant(ctx).Status.Revision.Number
		DeferCleanup(func(ctx SpecContext) { install(ctx) }, NodeTimeout(limit))
		install(ctx, "--set", "images.edge.tag=next")
		customer.pending(ctx, "edge image", ":next")
		customer.untouched(ctx, pods)
		customer.answers(ctx)
		Expect(customer.tenant(ctx).Status.Revision.Number).To(Equal(number))
	}, SpecTimeout(limit))
})
