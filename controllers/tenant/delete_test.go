// SPDX-License-Identifier: Apache-2.0

package tenant_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// deleted is a world whose Tenant was deleted in an orderly way; its data is retained.
func deleted() *world {
	GinkgoHelper()
	w := running()
	Expect(env.Client.Delete(ctx, w.readTenant())).To(Succeed())
	w.pass()
	w.cluster()
	w.pass()
	Expect(w.tenantGone()).To(BeTrue(), "the Tenant shall be gone once its pods are")
	return w
}

func adopting(w *world, instanceID string) *v1alpha1.Tenant {
	t := w.tenant()
	t.Spec.Bootstrap = &v1alpha1.TenantBootstrap{Adopt: &v1alpha1.AdoptInstance{InstanceID: instanceID}}
	return t
}

var _ = Describe("Deleting a Tenant", func() {
	It("stops the pods first, then keeps everything else, marked as retained", func() {
		w := running()
		gate := read(w, meta.EdgeService, &corev1.Service{})
		password := w.secret(meta.CredentialsSecret).Data
		Expect(env.Client.Delete(ctx, w.readTenant())).To(Succeed())

		w.pass()
		for _, name := range []string{meta.DatabaseStatefulSet, meta.AppStatefulSet} {
			Expect(*read(w, name, &appsv1.StatefulSet{}).Spec.Replicas).To(BeZero())
		}
		Expect(*read(w, meta.EdgeDeployment, &appsv1.Deployment{}).Spec.Replicas).To(BeZero())
		w.pass()
		Expect(w.expectCondition(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonTerminating)).To(ContainSubstring("waiting for the instance to stop"))
		Expect(w.readNamespace().Labels).NotTo(HaveKey(v1alpha1.LabelRetained), "the instance has not stopped yet")

		w.cluster()
		w.pass()
		Expect(w.tenantGone()).To(BeTrue())
		Expect(w.readNamespace().Labels).To(HaveKeyWithValue(v1alpha1.LabelRetained, "true"))
		Expect(w.said()).To(ContainSubstring("Retained"))
		Expect(read(w, meta.EdgeService, &corev1.Service{}).UID).To(Equal(gate.UID), "the address is kept")
		Expect(w.secret(meta.CredentialsSecret).Data).To(Equal(password))
		read(w, meta.DatabaseClaim, &corev1.PersistentVolumeClaim{})
		read(w, meta.AppClaim, &corev1.PersistentVolumeClaim{})
		read(w, meta.RevisionName(1), &appsv1.ControllerRevision{})
	})

	It("stops workloads that have lost their labels, too", func() {
		w := running()
		edit(read(w, meta.DatabaseStatefulSet, &appsv1.StatefulSet{}), func(s *appsv1.StatefulSet) { strip(s) })
		Expect(env.Client.Delete(ctx, w.readTenant())).To(Succeed())
		w.pass()
		Expect(*read(w, meta.DatabaseStatefulSet, &appsv1.StatefulSet{}).Spec.Replicas).To(BeZero())
	})

	It("needs neither the class nor the revision", func() {
		w := running()
		Expect(env.Client.Delete(ctx, w.class())).To(Succeed())
		Expect(env.Client.Delete(ctx, read(w, meta.RevisionName(1), &appsv1.ControllerRevision{}))).To(Succeed())
		Expect(env.Client.Delete(ctx, w.readTenant())).To(Succeed())
		w.pass()
		w.cluster()
		w.pass()
		Expect(w.tenantGone()).To(BeTrue())
		Expect(w.readNamespace().Labels).To(HaveKeyWithValue(v1alpha1.LabelRetained, "true"))
	})

	It("touches nothing while the CustomResourceDefinition is being deleted, and says so", func() {
		w := running()
		Expect(env.Client.Delete(ctx, w.readTenant())).To(Succeed())
		w.crdTerminating = true
		before := read(w, meta.DatabaseStatefulSet, &appsv1.StatefulSet{}).ResourceVersion
		w.pass()
		w.pass()
		Expect(w.readTenant().Finalizers).To(ContainElement(v1alpha1.Finalizer))
		Expect(read(w, meta.DatabaseStatefulSet, &appsv1.StatefulSet{}).ResourceVersion).To(Equal(before))
		Expect(w.readNamespace().Labels).NotTo(HaveKey(v1alpha1.LabelRetained))
		Expect(w.expectStalled(v1alpha1.ReasonCRDTerminating)).To(ContainSubstring("goes on running and is left alone"))
		Expect(w.said()).To(ContainSubstring(v1alpha1.ReasonCRDTerminating))
	})

	It("touches nothing when somebody has forced the CustomResourceDefinition out", func() {
		w := running()
		Expect(env.Client.Delete(ctx, w.readTenant())).To(Succeed())
		w.crdGone = true
		w.pass()
		Expect(w.readTenant().Finalizers).To(ContainElement(v1alpha1.Finalizer))
		Expect(*read(w, meta.DatabaseStatefulSet, &appsv1.StatefulSet{}).Spec.Replicas).To(Equal(int32(1)))
		w.expectStalled(v1alpha1.ReasonCRDTerminating)
	})

	It("brings the operator's right to work in the namespace back first", func() {
		w := running()
		Expect(env.Client.Delete(ctx, read(w, meta.OperatorRoleBinding, &rbacv1.RoleBinding{}))).To(Succeed())
		Expect(env.Client.Delete(ctx, w.readTenant())).To(Succeed())
		w.pass()
		read(w, meta.OperatorRoleBinding, &rbacv1.RoleBinding{})
	})

	It("stops and retains the instance although bootstrap.adopt names another one", func() {
		w := running()
		w.editTenant(func(t *v1alpha1.Tenant) {
			t.Spec.Bootstrap = &v1alpha1.TenantBootstrap{Adopt: &v1alpha1.AdoptInstance{InstanceID: "zzzzzzzzzz"}}
		})
		w.pass()
		Expect(w.expectStalled(v1alpha1.ReasonAdoptionMismatch)).To(ContainSubstring("and goes on"))
		w.expectCondition(v1alpha1.ConditionAvailable, metav1.ConditionTrue, v1alpha1.ReasonServing)
		Expect(env.Client.Delete(ctx, w.readTenant())).To(Succeed())
		w.pass()
		w.cluster()
		w.pass()
		Expect(w.tenantGone()).To(BeTrue())
		Expect(w.readNamespace().Labels).To(HaveKeyWithValue(v1alpha1.LabelRetained, "true"))
	})

	It("holds on to the Tenant while it cannot be told which instance is there", func() {
		w := running()
		edit(w.readNamespace(), func(n *corev1.Namespace) { n.Labels[v1alpha1.LabelInstance] = "typo" })
		w.pass()
		Expect(w.expectStalled(v1alpha1.ReasonConflict)).To(ContainSubstring("kubectl label namespace " + w.namespace()))
		Expect(env.Client.Delete(ctx, w.readTenant())).To(Succeed())
		w.pass()
		Expect(w.readTenant().Finalizers).To(ContainElement(v1alpha1.Finalizer))
		Expect(*read(w, meta.DatabaseStatefulSet, &appsv1.StatefulSet{}).Spec.Replicas).To(Equal(int32(1)))
	})

	It("leaves the data alone that the Tenant never got hold of", func() {
		w := deleted()
		w.create(w.tenant())
		w.pass()
		w.expectStalled(v1alpha1.ReasonRetainedDataExists)
		version := w.readNamespace().ResourceVersion
		Expect(env.Client.Delete(ctx, w.readTenant())).To(Succeed())
		w.pass()
		Expect(w.tenantGone()).To(BeTrue())
		Expect(w.readNamespace().ResourceVersion).To(Equal(version))
	})
})

var _ = Describe("A name that is used again", func() {
	It("does not get the data of the earlier customer", func() {
		w := deleted()
		id := w.readNamespace().Labels[v1alpha1.LabelInstance]
		w.create(w.tenant())
		w.pass()
		Expect(w.expectStalled(v1alpha1.ReasonRetainedDataExists)).To(ContainSubstring("spec.bootstrap.adopt.instanceID to " + id))
		Expect(*read(w, meta.DatabaseStatefulSet, &appsv1.StatefulSet{}).Spec.Replicas).To(BeZero())
		Expect(w.readTenant().Finalizers).To(BeEmpty())
		Expect(w.readTenant().Status.InstanceID).To(BeEmpty())
	})

	It("does not get the data either when one of the two marks was removed", func() {
		w := deleted()
		edit(w.readNamespace(), func(n *corev1.Namespace) { delete(n.Labels, v1alpha1.LabelRetained) })
		w.create(w.tenant())
		w.pass()
		w.expectStalled(v1alpha1.ReasonRetainedDataExists)
	})

	It("gets the data when it names the instance", func() {
		w := deleted()
		id := w.readNamespace().Labels[v1alpha1.LabelInstance]
		password := w.secret(meta.CredentialsSecret).Data
		w.create(adopting(w, id))
		w.settle()
		w.expectCondition(v1alpha1.ConditionAvailable, metav1.ConditionTrue, v1alpha1.ReasonServing)
		Expect(w.readTenant().Status.InstanceID).To(Equal(id))
		Expect(w.readNamespace().Labels).NotTo(HaveKey(v1alpha1.LabelRetained))
		Expect(w.readNamespace().Annotations).NotTo(HaveKey(meta.AnnotationRetained))
		Expect(w.secret(meta.CredentialsSecret).Data).To(Equal(password))
		Expect(w.readTenant().Status.Revision.Number).To(Equal(int64(1)), "adopting runs the revision that ran before")
		Expect(w.said()).To(ContainSubstring("Adopted"))
	})

	It("is refused when it names another instance, or one that is not there", func() {
		w := deleted()
		w.create(adopting(w, "zzzzzzzzzz"))
		w.pass()
		Expect(w.expectStalled(v1alpha1.ReasonAdoptionMismatch)).To(ContainSubstring("holds instance " + w.readNamespace().Labels[v1alpha1.LabelInstance]))

		nowhere := newWorld()
		nowhere.create(nowhere.class(), adopting(nowhere, "zzzzzzzzzz"))
		nowhere.pass()
		Expect(nowhere.expectStalled(v1alpha1.ReasonAdoptionMismatch)).To(ContainSubstring("there is no namespace"))
		Expect(client.IgnoreNotFound(env.Client.Get(ctx, client.ObjectKey{Name: nowhere.namespace()}, &corev1.Namespace{}))).To(Succeed())
	})

	It("takes over an instance that still runs, as after a restore of the Tenants from Git", func() {
		w := running()
		id := w.readTenant().Status.InstanceID
		edit(w.readTenant(), func(t *v1alpha1.Tenant) { t.Finalizers = nil })
		Expect(env.Client.Delete(ctx, w.readTenant())).To(Succeed())
		Expect(w.tenantGone()).To(BeTrue())
		before := read(w, meta.DatabaseStatefulSet, &appsv1.StatefulSet{}).ResourceVersion

		w.create(w.tenant())
		w.settle()
		Expect(w.readTenant().Status.InstanceID).To(Equal(id))
		Expect(read(w, meta.DatabaseStatefulSet, &appsv1.StatefulSet{}).ResourceVersion).To(Equal(before), "the customer must not notice")
		w.expectCondition(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonConverged)
	})

	It("does not inherit data through a namespace that lost its labels", func() {
		w := deleted()
		id := w.readNamespace().Labels[v1alpha1.LabelInstance]
		edit(w.readNamespace(), func(n *corev1.Namespace) {
			delete(n.Labels, v1alpha1.LabelRetained)
			delete(n.Labels, v1alpha1.LabelInstance)
		})
		w.create(w.tenant())
		w.pass()
		Expect(w.expectStalled(v1alpha1.ReasonRetainedDataExists)).To(ContainSubstring("objects of instance " + id))
	})
})
