// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/api/v1alpha1"
)

// saveTenants is step 1 of the way back in docs/operations.md: what a new object may carry of each Tenant.
func saveTenants(ctx context.Context) []v1alpha1.Tenant {
	GinkgoHelper()
	var list v1alpha1.TenantList
	Expect(api.List(ctx, &list)).To(Succeed())
	for i := range list.Items {
		t := &list.Items[i]
		list.Items[i] = v1alpha1.Tenant{
			ObjectMeta: metav1.ObjectMeta{Name: t.Name, Labels: t.Labels, Annotations: t.Annotations}, Spec: t.Spec,
		}
	}
	return list.Items
}

var _ = Describe("Somebody deletes the CRD of Tenants while the operator runs", Ordered, Serial, func() {
	customer := named("crd-deleted")
	crd := &apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: "tenants.freehold.dev"}}
	var pods map[string]string
	var instanceID string
	var stop func() (int, []string)

	BeforeAll(func(ctx SpecContext) {
		customer.order(ctx).available(ctx).answers(ctx)
		pods, instanceID = customer.lives(ctx), customer.instanceID(ctx)
	}, NodeTimeout(limit))

	// Whatever happens, the cluster gets its CRD back.
	AfterAll(func(ctx SpecContext) { install(ctx) }, NodeTimeout(limit))

	It("harms nothing, and the Tenant says what is going on", func(ctx SpecContext) {
		stop = load(context.Background(), customer.host, customer.address(ctx), customer.authority(ctx))
		Expect(breakGlass.Delete(ctx, crd)).To(Succeed())
		Eventually(func(g Gomega) {
			g.Expect(api.Get(ctx, client.ObjectKeyFromObject(crd), crd)).To(Succeed())
			g.Expect(crd.DeletionTimestamp).NotTo(BeNil())
			g.Expect(customer.tenant(ctx).DeletionTimestamp).NotTo(BeNil(), "Kubernetes should have sent the deletion to the Tenant")
		}).WithContext(ctx).Should(Succeed())
		customer.stalled(ctx, v1alpha1.ReasonCRDTerminating)
		Eventually(func() string { return run(ctx, "kubectl", "describe", "tenant", customer.name) }).WithContext(ctx).
			Should(MatchRegexp(`Warning\s+CRDTerminating`), "an event should tell too")
		Consistently(func(g Gomega) {
			g.Expect(customer.lives(ctx)).To(Equal(pods), "no pod should stop")
			g.Expect(customer.tenant(ctx).Finalizers).To(ContainElement(v1alpha1.Finalizer), "the Tenant should be held")
		}).WithContext(ctx).Should(Succeed())
	}, SpecTimeout(limit))

	It("can be gone through without the customer noticing", func(ctx SpecContext) {
		saved := saveTenants(ctx)
		Expect(saved).NotTo(BeEmpty())
		By("letting the old Tenants go; the CRD goes with the last of them")
		for i := range saved {
			t := saved[i].DeepCopy()
			Expect(client.IgnoreNotFound(api.Patch(ctx, t, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`))))).To(Succeed())
		}
		Eventually(func() error { return api.Get(ctx, client.ObjectKeyFromObject(crd), crd) }).WithContext(ctx).
			Should(Satisfy(apierrors.IsNotFound), "the CRD should be gone")
		By("installing the CRDs and the Tenants again")
		install(ctx)
		run(ctx, "kubectl", "wait", "--for=condition=Established", "--timeout=60s", "crd/tenants.freehold.dev")
		for i := range saved {
			Eventually(func() error { return api.Create(ctx, saved[i].DeepCopy()) }).WithContext(ctx).Should(Succeed())
		}
		customer.available(ctx)
		Expect(customer.instanceID(ctx)).To(Equal(instanceID), "the running instance should have been adopted")
		Expect(customer.tenant(ctx).Status.InstanceID).To(Equal(instanceID))
		Expect(customer.lives(ctx)).To(Equal(pods), "no pod should have been restarted")
		answered, failures := stop()
		Expect(failures).To(BeEmpty(), "no request should have failed in all that time")
		Expect(answered).To(BeNumerically(">", 100))
	}, SpecTimeout(limit))
})
