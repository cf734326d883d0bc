// SPDX-License-Identifier: Apache-2.0

package tenant_test

import (
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
	"github.com/freehold-dev/freehold/controllers/internal/testenv"
)

var _ = Describe("Creating a Tenant", func() {
	It("makes walls before pods, and everything in one pass", func() {
		w := newWorld()
		w.create(w.class(), w.tenant())
		w.pass()

		var order []string
		for _, request := range w.requests.Seen(testenv.Request.IsWrite) {
			path, _, _ := strings.Cut(request.Path, "?")
			order = append(order, path)
		}
		at := func(part string) int {
			GinkgoHelper()
			i := slices.IndexFunc(order, func(path string) bool { return strings.Contains(path, part) })
			Expect(i).To(BeNumerically(">=", 0), "nothing was written to %s; written were %v", part, order)
			return i
		}
		Expect([]int{
			at("/tenants/"), at("/namespaces/tenant-"), at("/rolebindings/"), at("/resourcequotas/"), at("/networkpolicies/"),
			at("/serviceaccounts/"), at("/secrets"), at("/configmaps/"), at("/services/"), at("/persistentvolumeclaims/"),
			at("/controllerrevisions"), at("/statefulsets/"), at("/deployments/"),
		}).To(Satisfy(func(positions []int) bool { return slices.IsSorted(positions) }), "the order of first writes was %v", order)

		w.expectCondition(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonProgressing)
		w.expectCondition(v1alpha1.ConditionReconciling, metav1.ConditionTrue, v1alpha1.ReasonProgressing)
		w.expectNotStalled()
	})

	It("becomes available and ready, tells its address, and then costs nothing", func() {
		w := running()
		t := w.readTenant()
		Expect(t.Finalizers).To(ContainElement(v1alpha1.Finalizer))
		Expect(t.Status.Namespace).To(Equal(w.namespace()))
		Expect(t.Status.Addresses).To(Equal([]string{"198.51.100.7"}))
		Expect(t.Status.URL).To(Equal("https://" + w.name + ".example.com"))
		Expect(t.Status.InstanceID).To(MatchRegexp("^[bcdfghjklmnpqrstvwxz2456789]{10}$"))
		Expect(t.Status.InstanceID).To(Equal(w.readNamespace().Labels[v1alpha1.LabelInstance]))
		Expect(t.Status.Revision.Number).To(Equal(int64(1)))
		Expect(t.Status.Revision.Components).To(ContainElement(v1alpha1.ComponentVersion{Name: "app", Image: "registry.example/app:1"}))
		w.expectCondition(v1alpha1.ConditionAvailable, metav1.ConditionTrue, v1alpha1.ReasonServing)
		w.expectCondition(v1alpha1.ConditionUpdatePending, metav1.ConditionFalse, v1alpha1.ReasonUpToDate)
		w.expectNotStalled()
		Expect(w.condition(v1alpha1.ConditionReconciling)).To(BeNil())
		Expect(t.OwnerReferences).To(BeEmpty())
		Expect(w.readNamespace().OwnerReferences).To(BeEmpty())

		Expect(metric("freehold_tenant_condition", map[string]string{"tenant": w.name, "type": v1alpha1.ConditionReady})).To(Equal(1.0))
		Expect(metric("freehold_tenant_condition", map[string]string{"tenant": w.name, "type": v1alpha1.ConditionStalled})).To(Equal(0.0))

		w.restart()
		Expect(w.writes()).To(BeEmpty(), "an operator that was restarted must not write")
		for _, request := range w.requests.Seen(func(testenv.Request) bool { return true }) {
			Expect(request.Path).NotTo(ContainSubstring("/secrets"), "an operator that was restarted must not read Secrets at once")
		}
	})

	It("says what the instance waits for, from the back to the front", func() {
		w := newWorld()
		w.create(w.class(), w.tenant())
		w.pass()
		w.pass()
		w.expectCondition(v1alpha1.ConditionAvailable, metav1.ConditionFalse, v1alpha1.ReasonDatabaseNotReady)

		database := read(w, meta.DatabaseStatefulSet, &appsv1.StatefulSet{})
		database.Status = appsv1.StatefulSetStatus{ObservedGeneration: database.Generation, Replicas: 1, ReadyReplicas: 1}
		Expect(env.Client.Status().Update(ctx, database)).To(Succeed())
		w.pass()
		w.expectCondition(v1alpha1.ConditionAvailable, metav1.ConditionFalse, v1alpha1.ReasonAppNotReady)
		Expect(w.readNamespace().Annotations).To(HaveKeyWithValue(meta.AnnotationInitialized, "true"))
		Expect(read(w, meta.InstanceConfigMap, &corev1.ConfigMap{}).Data).To(HaveKeyWithValue(meta.KeyInitialized, "true"))

		app := read(w, meta.AppStatefulSet, &appsv1.StatefulSet{})
		app.Status = appsv1.StatefulSetStatus{ObservedGeneration: app.Generation, Replicas: 1, ReadyReplicas: 1}
		Expect(env.Client.Status().Update(ctx, app)).To(Succeed())
		w.pass()
		w.expectCondition(v1alpha1.ConditionAvailable, metav1.ConditionFalse, v1alpha1.ReasonEdgeNotReady)

		edge := read(w, meta.EdgeDeployment, &appsv1.Deployment{})
		edge.Status = appsv1.DeploymentStatus{ObservedGeneration: edge.Generation, Replicas: 2, ReadyReplicas: 2}
		Expect(env.Client.Status().Update(ctx, edge)).To(Succeed())
		w.pass()
		w.expectCondition(v1alpha1.ConditionAvailable, metav1.ConditionFalse, v1alpha1.ReasonAddressPending)
	})

	It("remembers that the database was initialised when the pods are gone", func() {
		w := running()
		w.editTenant(func(t *v1alpha1.Tenant) { t.Spec.Suspended = true })
		w.settle()
		Expect(w.readNamespace().Annotations).To(HaveKeyWithValue(meta.AnnotationInitialized, "true"))
		edit(w.readNamespace(), func(n *corev1.Namespace) { delete(n.Annotations, meta.AnnotationInitialized) })
		w.pass()
		Expect(w.readNamespace().Annotations).To(HaveKeyWithValue(meta.AnnotationInitialized, "true"))
	})

	It("keeps the escrow in the operator's namespace and away from the pods", func() {
		w := running()
		escrow := &corev1.Secret{}
		key := types.NamespacedName{Namespace: operatorNamespace, Name: meta.EscrowSecret(w.readTenant().Status.InstanceID)}
		Expect(env.Client.Get(ctx, key, escrow)).To(Succeed())
		Expect(w.secret(meta.CredentialsSecret).Data[meta.KeyDatabasePassword]).To(Equal(escrow.Data[meta.KeyEscrowPassword]))
		Expect(w.secret(meta.GeneratedSecret).Data["admin-password"]).To(Equal(escrow.Data[meta.EscrowGeneratedPrefix+"admin-password"]))
		Expect(string(w.secret(meta.GeneratedSecret).Data["admin-password"])).To(MatchRegexp("^[A-Za-z0-9]{32}$"))
		for _, set := range []string{meta.DatabaseStatefulSet, meta.AppStatefulSet} {
			for _, volume := range read(w, set, &appsv1.StatefulSet{}).Spec.Template.Spec.Volumes {
				if volume.Secret != nil {
					Expect(volume.Secret.SecretName).NotTo(Equal(meta.CASecret), "the authority's key must not reach a pod")
				}
			}
		}
	})

	It("waits for its class, and says so", func() {
		w := newWorld()
		w.create(w.tenant())
		Expect(w.pass().RequeueAfter).To(BeZero(), "the class is watched; nothing else brings it")
		Expect(w.expectStalled(v1alpha1.ReasonClassNotFound)).To(ContainSubstring("there is no TenantClass " + w.name))
		w.create(w.class())
		w.settle()
		w.expectCondition(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonConverged)
		w.expectNotStalled()
	})

	It("refuses an address that the class cannot ask for", func() {
		w := newWorld()
		class, t := w.class(), w.tenant()
		class.Spec.LoadBalancer.AddressAnnotation = ""
		t.Spec.Network.Address = "198.51.100.9"
		w.create(class, t)
		w.pass()
		w.expectStalled(v1alpha1.ReasonInvalidSpec)
	})

	It("suspends to zero pods and back, and keeps data and address", func() {
		w := running()
		before := w.secret(meta.CredentialsSecret).Data
		w.editTenant(func(t *v1alpha1.Tenant) { t.Spec.Suspended = true })
		w.settle()
		w.expectCondition(v1alpha1.ConditionAvailable, metav1.ConditionFalse, v1alpha1.ReasonSuspended)
		w.expectCondition(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonConverged)
		Expect(*read(w, meta.DatabaseStatefulSet, &appsv1.StatefulSet{}).Spec.Replicas).To(BeZero())
		Expect(*read(w, meta.EdgeDeployment, &appsv1.Deployment{}).Spec.Replicas).To(BeZero())
		Expect(w.readTenant().Status.Addresses).To(Equal([]string{"198.51.100.7"}))

		w.editTenant(func(t *v1alpha1.Tenant) { t.Spec.Suspended = false })
		w.settle()
		w.expectCondition(v1alpha1.ConditionAvailable, metav1.ConditionTrue, v1alpha1.ReasonServing)
		Expect(w.secret(meta.CredentialsSecret).Data).To(Equal(before))
		Expect(w.readTenant().Status.Revision.Number).To(Equal(int64(1)), "resuming is no new revision")
	})
})
