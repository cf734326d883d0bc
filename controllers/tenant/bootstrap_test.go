// SPDX-License-Identifier: Apache-2.0

package tenant_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// filledFrom makes a Tenant begin with the backups of an instance.
func (w *world) filledFrom(instanceID string) func(*v1alpha1.Tenant) {
	return func(t *v1alpha1.Tenant) {
		w.named(t)
		t.Spec.Bootstrap = &v1alpha1.TenantBootstrap{Restore: &v1alpha1.BootstrapRestore{InstanceID: instanceID, Tenant: "globex"}}
	}
}

// lostInstance is the escrow of an instance of which nothing else is left.
func lostInstance(instanceID string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: meta.EscrowSecret(instanceID), Namespace: operatorNamespace},
		Data: map[string][]byte{
			meta.KeyInstanceDatabase: []byte("app"), meta.KeyInstanceUser: []byte("app"),
			meta.KeyEscrowPassword:                           []byte("the password of the other"),
			meta.EscrowGeneratedPrefix + "admin-password":    []byte("known to the customer"),
			meta.EscrowGeneratedPrefix + "of-an-older-class": []byte("kept"),
		},
	}
}

var _ = Describe("A new instance that is filled from backups", func() {
	begun := func(source string, change func(*v1alpha1.TenantClass)) *world {
		GinkgoHelper()
		w := newWorld()
		class, t := w.class(), w.tenant()
		change(class)
		w.filledFrom(source)(t)
		w.create(class, w.backupPolicy(), t)
		return w
	}
	asUsual := func(*v1alpha1.TenantClass) {}

	It("does not start before, and then with the data, the values and the names that it was filled with", func() {
		source := newWorld().name
		Expect(env.Client.Create(ctx, lostInstance(source))).To(Succeed())
		w := begun(source, asUsual)
		w.settle()
		Expect(w.scale()).To(Equal([3]int32{0, 0, 2}))
		Expect(w.expectCondition(v1alpha1.ConditionAvailable, metav1.ConditionFalse, v1alpha1.ReasonRestoring)).To(ContainSubstring("backups of instance " + source))
		w.expectCondition(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonProgressing)
		w.expectNotStalled()
		read(w, meta.DatabaseClaim, &corev1.PersistentVolumeClaim{})
		Expect(w.opens()).NotTo(BeEmpty(), "the restore has to reach the destination")

		escrow := w.loadedEscrow().Data
		Expect(string(escrow[meta.EscrowGeneratedPrefix+"admin-password"])).To(Equal("known to the customer"))
		Expect(escrow).To(HaveKey(meta.EscrowGeneratedPrefix + "of-an-older-class"))
		Expect(string(escrow[meta.KeyEscrowPassword])).NotTo(ContainSubstring("the other"))
		Expect(w.secret(meta.GeneratedSecret).Data).To(HaveKeyWithValue("admin-password", []byte("known to the customer")))

		By("waiting on, also after a restart of the operator")
		w.restart()
		w.settle()
		Expect(w.scale()).To(Equal([3]int32{0, 0, 2}))

		By("being told that it is filled")
		w.annotate(meta.AnnotationBootstrapped, source)
		w.pass()
		Expect(w.scale()).To(Equal([3]int32{1, 1, 2}))
		Expect(read(w, meta.InstanceConfigMap, &corev1.ConfigMap{}).Data).To(
			HaveKeyWithValue(meta.KeyInitialized, "true"), "an empty volume would be taken for a beginning")
		w.settle()
		w.expectCondition(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonConverged)

		By("not asking for the other instance any more")
		Expect(env.Client.Delete(ctx, lostInstance(source))).To(Succeed())
		w.audit()
		w.expectNotStalled()
	})

	It("is not made before the other's generated values are there, and says how to bring them", func() {
		source := newWorld().name
		w := begun(source, asUsual)
		w.pass()
		Expect(w.expectStalled(v1alpha1.ReasonKeysLost)).To(And(
			ContainSubstring("Secret "+operatorNamespace+"/instance-"+source),
			ContainSubstring("globex/"+source+"/g1"), ContainSubstring("age -d")))
		err := env.Client.Get(ctx, types.NamespacedName{Name: w.namespace()}, &corev1.Namespace{})
		Expect(apierrors.IsNotFound(err)).To(BeTrue(), "reading the namespace gave: %v", err)
		Expect(w.pass().RequeueAfter).To(BeNumerically(">", 0), "nobody tells when a Secret is brought")

		Expect(env.Client.Create(ctx, lostInstance(source))).To(Succeed())
		w.settle()
		w.expectNotStalled()
		Expect(w.scale()).To(Equal([3]int32{0, 0, 2}))
	})

	It("is not made from a class that keeps its data elsewhere", func() {
		source := newWorld().name
		Expect(env.Client.Create(ctx, lostInstance(source))).To(Succeed())
		w := begun(source, elsewhere)
		w.pass()
		Expect(w.expectStalled(v1alpha1.ReasonInvalidSpec)).To(ContainSubstring("keeps its data in database shop as shopkeeper, this instance in app as app"))
	})

	It("has to begin so: one with values of its own is left as it is", func() {
		source := newWorld().name
		Expect(env.Client.Create(ctx, lostInstance(source))).To(Succeed())
		w := newWorld()
		w.create(w.class(), w.backupPolicy(), w.tenant())
		w.pass() // Its database was not up yet.
		before := read(w, meta.DatabaseStatefulSet, &appsv1.StatefulSet{})
		w.editTenant(w.filledFrom(source))
		w.pass()
		Expect(w.expectStalled(v1alpha1.ReasonInvalidSpec)).To(ContainSubstring("has generated values of its own"))
		Expect(read(w, meta.DatabaseStatefulSet, &appsv1.StatefulSet{}).Generation).To(Equal(before.Generation))

		By("removing it, as the message says")
		w.editTenant(func(t *v1alpha1.Tenant) { t.Spec.Bootstrap = nil })
		w.settle()
		w.expectNotStalled()
		w.expectCondition(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonConverged)
	})

	It("is no instance that holds data", func() {
		w := running()
		w.create(w.backupPolicy())
		w.editTenant(w.filledFrom("not-there"))
		w.settle()
		w.audit()
		w.expectNotStalled()
		Expect(w.scale()).To(Equal([3]int32{1, 1, 2}))
		w.expectCondition(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonConverged)
	})
})
