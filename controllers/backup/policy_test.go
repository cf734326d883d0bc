// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"testing"

	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/freehold-dev/freehold/api/v1alpha1"
)

// policyPasses calls the policy's reconciler until it writes nothing more.
func (s *stage) policyPasses() {
	for range 3 {
		_, err := NewPolicyReconciler(s.reconciler.client, s.events).Reconcile(s.ctx, reconcile.Request{NamespacedName: client.ObjectKey{Name: s.name}})
		s.Expect(err).NotTo(HaveOccurred())
	}
	s.requests.Reset()
	_, err := NewPolicyReconciler(s.reconciler.client, s.events).Reconcile(s.ctx, reconcile.Request{NamespacedName: client.ObjectKey{Name: s.name}})
	s.Expect(err).NotTo(HaveOccurred())
	s.Expect(s.writes()).To(BeEmpty(), "a policy that is marked costs no writes")
}

func TestAPolicyThatATenantNamesOutlivesItsDeletion(t *testing.T) {
	s := newStage(t, "policy")
	s.policyPasses()
	policy := &v1alpha1.BackupPolicy{}
	read := func() error { return env.Client.Get(s.ctx, client.ObjectKey{Name: s.name}, policy) }
	s.Expect(read()).To(Succeed())
	s.Expect(*policy.Status.Tenants).To(Equal(int32(1)))

	s.Expect(env.Client.Delete(s.ctx, policy)).To(Succeed())
	s.policyPasses()
	s.Expect(read()).To(Succeed())
	s.Expect(s.told()).To(ContainSubstring("1 do, policy among them"))

	s.changeTenant(func(t *v1alpha1.Tenant) { t.Spec.BackupPolicyRef = nil })
	s.policyPasses()
	s.Expect(apierrors.IsNotFound(read())).To(BeTrue())
}
