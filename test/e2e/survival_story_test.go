// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"fmt"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/api/v1alpha1"
)

func adopting(instanceID string) func(*v1alpha1.Tenant) {
	return func(t *v1alpha1.Tenant) {
		t.Spec.Bootstrap = &v1alpha1.TenantBootstrap{Adopt: &v1alpha1.AdoptInstance{InstanceID: instanceID}}
	}
}

// possessions are what stays a customer's own, whatever happens to the pods.
type possessions struct{ address, password, instanceID, authority string }

func (c *customer) owns(ctx context.Context) possessions {
	GinkgoHelper()
	return possessions{address: c.address(ctx), password: c.password(ctx), instanceID: c.instanceID(ctx), authority: c.authorityPEM(ctx)}
}

var _ = Describe("A customer's data survives", Ordered, func() {
	customer := named("survivor")
	var had possessions

	replaced := func(ctx context.Context, component string) {
		GinkgoHelper()
		before := customer.pod(ctx, component)
		Expect(api.Delete(ctx, before)).To(Succeed())
		Eventually(func() bool { return customer.pod(ctx, component).UID != before.UID }).WithContext(ctx).
			Should(BeTrue(), "another pod should take the place of the deleted one")
		customer.available(ctx)
	}
	same := func(ctx context.Context) {
		GinkgoHelper()
		Expect(customer.owns(ctx)).To(Equal(had))
	}

	BeforeAll(func(ctx SpecContext) {
		customer.order(ctx).available(ctx).answers(ctx)
		had = customer.owns(ctx)
		customer.writes(ctx, "my first feeds")
	}, NodeTimeout(limit))

	It("the deletion of the database's pod", func(ctx SpecContext) {
		replaced(ctx, "database")
		customer.has(ctx, "my first feeds")
	}, SpecTimeout(limit))

	It("the deletion of the application's pod", func(ctx SpecContext) {
		replaced(ctx, "app")
		customer.has(ctx, "my first feeds")
	}, SpecTimeout(limit))

	It("a suspension, with its address", func(ctx SpecContext) {
		customer.patch(ctx, `{"spec":{"suspended":true}}`)
		Eventually(customer.poll(ctx, v1alpha1.ConditionAvailable)).WithContext(ctx).Should(HavePrefix("Available=False Suspended"))
		Eventually(func() []corev1.Pod { return customer.pods(ctx) }).WithContext(ctx).Should(BeEmpty(), "a suspended instance should have no pods")
		same(ctx)
		customer.patch(ctx, `{"spec":{"suspended":false}}`)
		customer.available(ctx)
		customer.has(ctx, "my first feeds")
		same(ctx)
	}, SpecTimeout(limit))

	It("the deletion of the Tenant, once its instance is adopted", func(ctx SpecContext) {
		customer.cancel(ctx)
		Expect(customer.pods(ctx)).To(BeEmpty(), "the instance of a deleted Tenant should have stopped")
		Expect(connects(ctx, c10, had.address, 443)).NotTo(Succeed(), "nobody should be served any more")
		Expect(api.Create(ctx, customer.manifest(adopting(had.instanceID)))).To(Succeed())
		customer.available(ctx)
		customer.has(ctx, "my first feeds")
		customer.logsIn(ctx)
		same(ctx)
	}, SpecTimeout(limit))

	It("the loss of its volume claim, which nothing empty takes the place of", func(ctx SpecContext) {
		claim := &corev1.PersistentVolumeClaim{}
		Expect(api.Get(ctx, client.ObjectKey{Namespace: customer.namespace, Name: "db-0001"}, claim)).To(Succeed())
		customer.patch(ctx, `{"spec":{"suspended":true}}`)
		Eventually(func() []corev1.Pod { return customer.pods(ctx) }).WithContext(ctx).Should(BeEmpty())
		Expect(breakGlass.Delete(ctx, claim)).To(Succeed())
		customer.stalled(ctx, v1alpha1.ReasonVolumeLost, "db-0001", "an empty one is not put in its place")
		customer.patch(ctx, `{"spec":{"suspended":false}}`)
		Consistently(func(g Gomega) {
			var claims corev1.PersistentVolumeClaimList
			g.Expect(api.List(ctx, &claims, client.InNamespace(customer.namespace))).To(Succeed())
			g.Expect(claims.Items).To(BeEmpty(), "no empty volume should be put in the lost one's place")
		}).WithContext(ctx).Should(Succeed())
		bringBack(ctx, claim)
		customer.available(ctx)
		customer.has(ctx, "my first feeds")
	}, SpecTimeout(limit))
})

var _ = Describe("The node loses its power", Ordered, Serial, func() {
	customer := named("powerless")

	BeforeAll(func(ctx SpecContext) {
		needLocalCluster()
		customer.order(ctx).available(ctx).answers(ctx)
	}, NodeTimeout(limit))

	It("and the customer finds everything again", func(ctx SpecContext) {
		had := customer.owns(ctx)
		customer.writes(ctx, "written before the power cut")
		devcluster(ctx, "restart-node")
		customer.has(ctx, "written before the power cut")
		customer.available(ctx)
		Expect(customer.owns(ctx)).To(Equal(had))
	}, SpecTimeout(limit))
})

// bringBack does what docs/operations.md says about a lost claim.
func bringBack(ctx context.Context, lost *corev1.PersistentVolumeClaim) {
	GinkgoHelper()
	run(ctx, "kubectl", "patch", "pv", lost.Spec.VolumeName, "--type=merge", "-p", `{"spec":{"claimRef":{"uid":null,"resourceVersion":null}}}`)
	claim := &corev1.PersistentVolumeClaim{}
	claim.Name, claim.Namespace = lost.Name, lost.Namespace
	claim.Labels = map[string]string{v1alpha1.LabelTenant: lost.Labels[v1alpha1.LabelTenant], v1alpha1.LabelInstance: lost.Labels[v1alpha1.LabelInstance]}
	claim.Spec = corev1.PersistentVolumeClaimSpec{AccessModes: lost.Spec.AccessModes, StorageClassName: lost.Spec.StorageClassName,
		VolumeName: lost.Spec.VolumeName, Resources: lost.Spec.Resources}
	Expect(api.Create(ctx, claim)).To(Succeed())
}

var _ = Describe("A second customer comes under the name of an earlier one", Ordered, func() {
	customer := named("same-name")
	var instanceID string

	BeforeAll(func(ctx SpecContext) {
		customer.order(ctx).available(ctx).answers(ctx)
		customer.writes(ctx, "private to the first customer")
		instanceID = customer.instanceID(ctx)
	}, NodeTimeout(limit))

	It("is not in doubt while deletion is protected", func(ctx SpecContext) {
		customer.patch(ctx, `{"spec":{"deletionProtection":true}}`)
		refused := `Tenant same-name is protected from deletion; if it shall really go, first run: ` +
			`kubectl patch tenant same-name --type=merge -p '{"spec":{"deletionProtection":false}}'`
		Expect(api.Delete(ctx, customer.manifest())).To(MatchError(ContainSubstring(refused)))
		customer.patch(ctx, `{"spec":{"deletionProtection":null}}`)
		Expect(api.Delete(ctx, customer.manifest())).To(MatchError(ContainSubstring("because its stage is Production")))
		customer.patch(ctx, `{"spec":{"deletionProtection":false}}`)
		customer.cancel(ctx)
	}, SpecTimeout(limit))

	nothingRuns := func(ctx context.Context) {
		GinkgoHelper()
		Consistently(func() []corev1.Pod { return customer.pods(ctx) }).WithContext(ctx).Should(BeEmpty(), "nothing of the earlier customer may run")
		Expect(customer.instanceID(ctx)).To(Equal(instanceID))
	}

	It("does not get the data", func(ctx SpecContext) {
		Expect(api.Create(ctx, customer.manifest())).To(Succeed())
		customer.stalled(ctx, v1alpha1.ReasonRetainedDataExists, fmt.Sprintf("set spec.bootstrap.adopt.instanceID to %s to take it over", instanceID))
		nothingRuns(ctx)
	}, SpecTimeout(limit))

	It("does not get it either by naming another instance", func(ctx SpecContext) {
		customer.patch(ctx, `{"spec":{"bootstrap":{"adopt":{"instanceID":"bbbbbbbbbb"}}}}`)
		customer.stalled(ctx, v1alpha1.ReasonAdoptionMismatch, "bootstrap.adopt names instance bbbbbbbbbb", "holds instance "+instanceID)
		nothingRuns(ctx)
	}, SpecTimeout(limit))

	It("can go away again without touching it", func(ctx SpecContext) {
		customer.cancel(ctx)
		nothingRuns(ctx)
	}, SpecTimeout(limit))

	It("takes it over by naming the right instance", func(ctx SpecContext) {
		Expect(api.Create(ctx, customer.manifest(adopting(instanceID)))).To(Succeed())
		customer.available(ctx)
		customer.has(ctx, "private to the first customer")
	}, SpecTimeout(limit))
})
