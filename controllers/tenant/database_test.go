// SPDX-License-Identifier: Apache-2.0

package tenant_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

func (w *world) loadedEscrow() *corev1.Secret {
	GinkgoHelper()
	escrow := &corev1.Secret{}
	key := types.NamespacedName{Namespace: operatorNamespace, Name: meta.EscrowSecret(w.readTenant().Status.InstanceID)}
	Expect(env.Client.Get(ctx, key, escrow)).To(Succeed())
	return escrow
}

// elsewhere is a class whose data is under other names, with another application.
func elsewhere(c *v1alpha1.TenantClass) {
	c.Spec.Database.Name, c.Spec.Database.User = "shop", "shopkeeper"
	c.Spec.App.Image = "registry.example/other:1"
}

var _ = Describe("Where an instance's data is", func() {
	It("is a fact of the instance: a class with another database leads the application nowhere else", func() {
		w := running()
		credentials, revision := w.secret(meta.CredentialsSecret), w.readTenant().Status.Revision
		w.switchClass(elsewhere)
		w.pass()
		Expect(w.expectStalled(v1alpha1.ReasonInvalidSpec)).To(ContainSubstring(
			"keeps its data in database shop as shopkeeper, this instance in app as app"))
		w.audit()
		Expect(w.secret(meta.CredentialsSecret).Data).To(Equal(credentials.Data))
		Expect(w.secret(meta.CredentialsSecret).ResourceVersion).To(Equal(credentials.ResourceVersion))
		Expect(string(w.loadedEscrow().Data[meta.KeyInstanceDatabase])).To(Equal("app"))

		By("offering no update, nor taking an approval for one")
		w.expectCondition(v1alpha1.ConditionUpdatePending, metav1.ConditionUnknown, v1alpha1.ReasonInvalidSpec)
		Expect(w.readTenant().Status.Revision).To(Equal(revision))
		Expect(w.appImage()).To(Equal("registry.example/app:1"))

		By("repairing what runs, and its credentials")
		Expect(env.Client.Delete(ctx, read(w, meta.AppStatefulSet, &appsv1.StatefulSet{}))).To(Succeed())
		Expect(env.Client.Delete(ctx, w.secret(meta.CredentialsSecret))).To(Succeed())
		Expect(env.Client.Delete(ctx, read(w, meta.InstanceConfigMap, &corev1.ConfigMap{}))).To(Succeed())
		w.audit()
		Expect(w.appImage()).To(Equal("registry.example/app:1"))
		Expect(w.secret(meta.CredentialsSecret).Data).To(Equal(credentials.Data))
		Expect(read(w, meta.InstanceConfigMap, &corev1.ConfigMap{}).Data).To(HaveKeyWithValue(meta.KeyInstanceDatabase, "app"))
		w.expectStalled(v1alpha1.ReasonInvalidSpec)

		By("going back to a class with its names")
		w.editTenant(func(t *v1alpha1.Tenant) { t.Spec.ClassRef.Name = w.name })
		w.settle()
		w.expectNotStalled()
		w.expectCondition(v1alpha1.ConditionUpdatePending, metav1.ConditionFalse, v1alpha1.ReasonUpToDate)
	})

	It("is still known when the escrow and what the operator remembers are lost, or older than the names in them", func() {
		w := running()
		before := w.secret(meta.CredentialsSecret).Data
		edit(w.loadedEscrow(), func(s *corev1.Secret) {
			delete(s.Data, meta.KeyInstanceDatabase)
			delete(s.Data, meta.KeyInstanceUser)
		})
		Expect(env.Client.Delete(ctx, read(w, meta.InstanceConfigMap, &corev1.ConfigMap{}))).To(Succeed())
		w.switchClass(elsewhere)
		w.pass()
		w.expectStalled(v1alpha1.ReasonInvalidSpec)
		Expect(string(w.loadedEscrow().Data[meta.KeyInstanceUser])).To(Equal("app"))

		Expect(env.Client.Delete(ctx, w.loadedEscrow())).To(Succeed())
		Expect(env.Client.Delete(ctx, read(w, meta.InstanceConfigMap, &corev1.ConfigMap{}))).To(Succeed())
		w.pass()
		w.expectStalled(v1alpha1.ReasonInvalidSpec)
		Expect(string(w.loadedEscrow().Data[meta.KeyInstanceUser])).To(Equal("app"))
		Expect(w.secret(meta.CredentialsSecret).Data).To(Equal(before))
	})

	It("is not believed to be elsewhere because somebody edited what the operator remembers", func() {
		w := running()
		before := w.secret(meta.CredentialsSecret).Data
		edit(read(w, meta.InstanceConfigMap, &corev1.ConfigMap{}), func(c *corev1.ConfigMap) {
			c.Data[meta.KeyInstanceDatabase], c.Data[meta.KeyInstanceUser] = "shop", "shopkeeper"
		})
		w.settle()
		w.expectNotStalled()
		Expect(read(w, meta.InstanceConfigMap, &corev1.ConfigMap{}).Data).To(HaveKeyWithValue(meta.KeyInstanceDatabase, "app"))

		By("not even together with a class that says the same")
		edit(read(w, meta.InstanceConfigMap, &corev1.ConfigMap{}), func(c *corev1.ConfigMap) {
			c.Data[meta.KeyInstanceDatabase], c.Data[meta.KeyInstanceUser] = "shop", "shopkeeper"
		})
		w.switchClass(elsewhere)
		w.pass()
		Expect(w.expectStalled(v1alpha1.ReasonConflict)).To(ContainSubstring("the escrow"))
		Expect(w.secret(meta.CredentialsSecret).Data).To(Equal(before))
	})
})
