// SPDX-License-Identifier: Apache-2.0

package tenant_test

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/api/v1alpha1"
)

var _ = Describe("A pass that is stopped before the audit that is due", func() {
	It("is repeated at the pace of the obstacle, not in a loop", func() {
		w := running()
		var policies networkingv1.NetworkPolicyList
		Expect(env.Client.List(ctx, &policies, client.InNamespace(w.namespace()))).To(Succeed())
		ours := policies.Items[0]
		Expect(env.Client.Delete(ctx, &ours)).To(Succeed())
		strangers := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: ours.Name, Namespace: ours.Namespace}, Spec: ours.Spec}
		w.create(strangers)
		w.clock.SetTime(w.clock.Now().Add(10 * time.Minute))
		for range 2 {
			Expect(w.pass().RequeueAfter).To(And(BeNumerically(">=", 5*time.Second), BeNumerically("<=", time.Minute)))
			w.expectStalled(v1alpha1.ReasonConflict)
		}

		By("catching up on the audit once the obstacle is gone")
		Expect(env.Client.Delete(ctx, strangers)).To(Succeed())
		w.settle()
		w.expectNotStalled()
	})
})
