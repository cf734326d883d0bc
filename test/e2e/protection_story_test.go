// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/api/v1alpha1"
)

var _ = Describe("An administrator mistakes a customer's namespace for one that may go", Ordered, func() {
	customer := named("protected")
	var pods map[string]string

	BeforeAll(func(ctx SpecContext) {
		customer.order(ctx).available(ctx).answers(ctx)
		pods = customer.lives(ctx)
	}, NodeTimeout(limit))

	It("is refused everything that data and walls hang on, and told the way", func(ctx SpecContext) {
		id := customer.instanceID(ctx)
		const wayOut = "--as=break-glass --as-group=freehold:break-glass"
		for _, attempt := range []struct {
			command []string
			refusal string
		}{
			{[]string{"delete", "namespace", customer.namespace},
				"namespace " + customer.namespace + " holds data, keys and address of instance " + id +
					"; if it shall really go, run: kubectl delete namespace " + customer.namespace + " " + wayOut},
			{[]string{"label", "namespace", customer.namespace, v1alpha1.LabelInstance + "-"}, "says whose data is in it and stays " + id},
			{[]string{"delete", "namespace", operatorNamespace}, "holds Freehold and the keys of all tenants"},
			{[]string{"delete", "pvc", "--all", "-n", customer.namespace}, "kubectl delete pvc db-0001 -n " + customer.namespace + " " + wayOut},
			{[]string{"delete", "controllerrevision", "revision-0001", "-n", customer.namespace}, "is what Freehold rebuilds the workloads of " + customer.namespace + " from"},
			{[]string{"delete", "networkpolicy", "--all", "-n", customer.namespace}, "only Freehold writes network policies in " + customer.namespace},
			{[]string{"delete", "secret", "instance-" + id, "-n", operatorNamespace}, "holds the keys of instance " + id},
			{[]string{"delete", "crd", "tenants.freehold.dev"}, "kubectl delete crd tenants.freehold.dev " + wayOut},
			{[]string{"delete", "crd", "tenantclasses.freehold.dev"}, "kubectl delete crd tenantclasses.freehold.dev " + wayOut},
		} {
			out, err := try(ctx, "kubectl", attempt.command...)
			Expect(err).To(HaveOccurred(), "kubectl %v should be refused; it said: %s", attempt.command, out)
			Expect(out).To(ContainSubstring(attempt.refusal))
		}
		customer.available(ctx)
		Expect(customer.lives(ctx)).To(Equal(pods), "nothing of the customer's should have been touched")
	}, SpecTimeout(limit))

	It("can do it by breaking the glass, and the Tenant says what was lost", func(ctx SpecContext) {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: customer.namespace}}
		// As the refusal says, with the rights of the group alone; kubectl waits until the namespace is gone.
		run(ctx, "kubectl", "delete", "namespace", customer.namespace, "--as=break-glass", "--as-group=freehold:break-glass", "--timeout="+patient.String())
		customer.stalled(ctx, v1alpha1.ReasonVolumeLost, "namespace "+customer.namespace, "an empty instance is not put in its place")
		Consistently(func() error { return api.Get(ctx, client.ObjectKeyFromObject(ns), ns) }).WithContext(ctx).
			Should(Satisfy(apierrors.IsNotFound), "nothing empty should take the place of what was lost")
	}, SpecTimeout(limit))
})
