// SPDX-License-Identifier: Apache-2.0

package tenant_test

import (
	"fmt"
	"regexp"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
	"github.com/freehold-dev/freehold/controllers/internal/testenv"
)

func (w *world) setImage(image string) {
	GinkgoHelper()
	w.editClass(func(c *v1alpha1.TenantClass) { c.Spec.App.Image = v1alpha1.ImageReference(image) })
}

func (w *world) approve(hash string) {
	GinkgoHelper()
	w.editTenant(func(t *v1alpha1.Tenant) {
		t.Annotations = map[string]string{v1alpha1.AnnotationApproveUpdate: hash}
	})
}

func (w *world) workloadVersions() string {
	GinkgoHelper()
	return fmt.Sprint(read(w, meta.DatabaseStatefulSet, &appsv1.StatefulSet{}).Generation,
		read(w, meta.AppStatefulSet, &appsv1.StatefulSet{}).Generation, read(w, meta.EdgeDeployment, &appsv1.Deployment{}).Generation)
}

var _ = Describe("An update", func() {
	It("waits for approval: an edit of the class restarts nothing", func() {
		w := running()
		before := w.workloadVersions()
		w.setImage("registry.example/app:2")
		w.settle()
		Expect(w.workloadVersions()).To(Equal(before))
		message := w.expectCondition(v1alpha1.ConditionUpdatePending, metav1.ConditionTrue, v1alpha1.ReasonRevisionDiffers)
		pending := w.readTenant().Status.Revision.PendingHash
		Expect(message).To(ContainSubstring("app image registry.example/app:1 → registry.example/app:2"))
		Expect(message).To(ContainSubstring("kubectl annotate tenant " + w.name + " freehold.dev/approve-update=" + pending))
		w.expectCondition(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonConverged)
		Expect(w.said()).To(ContainSubstring("UpdatePending"))
	})

	It("is made when its hash is approved, and can be rolled back the same way", func() {
		w := running()
		first := w.readTenant().Status.Revision.Hash
		w.setImage("registry.example/app:2")
		w.settle()
		second := w.readTenant().Status.Revision.PendingHash

		By("approving the pending one")
		w.approve(second)
		w.settle()
		Expect(w.appImage()).To(Equal("registry.example/app:2"))
		Expect(w.readTenant().Status.Revision.Number).To(Equal(int64(2)))
		Expect(w.readTenant().Status.Revision.Hash).To(Equal(second))
		w.expectCondition(v1alpha1.ConditionUpdatePending, metav1.ConditionFalse, v1alpha1.ReasonUpToDate)
		Expect(w.said()).To(ContainSubstring("RevisionPromoted"))

		By("going back to the first")
		w.approve(first)
		w.settle()
		Expect(w.appImage()).To(Equal("registry.example/app:1"))
		Expect(w.readTenant().Status.Revision.Number).To(Equal(int64(3)), "going back is the next number with older content")
		Expect(w.readTenant().Status.Revision.Hash).To(Equal(first))
		w.expectCondition(v1alpha1.ConditionUpdatePending, metav1.ConditionTrue, v1alpha1.ReasonRevisionDiffers)
		Expect(w.readTenant().Status.Revision.PendingHash).To(Equal(second))
		Expect(read(w, meta.AppStatefulSet, &appsv1.StatefulSet{}).Annotations).To(HaveKeyWithValue(meta.AnnotationRevision, "3"))
	})

	It("ignores an approval that names nothing, and says so", func() {
		w := running()
		w.approve("0123456789")
		w.settle()
		Expect(w.expectCondition(v1alpha1.ConditionUpdatePending, metav1.ConditionFalse, v1alpha1.ReasonUpToDate)).To(
			ContainSubstring("names 0123456789, which is neither the pending hash nor that of a stored revision"))
		Expect(w.readTenant().Status.Revision.Number).To(Equal(int64(1)))
	})

	It("keeps ten revisions, and the ConfigMaps that they need", func() {
		w := running()
		for i := range 11 {
			w.setImage(fmt.Sprintf("registry.example/app:%d", i+2))
			w.pass()
			w.approve(w.readTenant().Status.Revision.PendingHash)
			w.pass()
		}
		w.settle()
		Expect(w.readTenant().Status.Revision.Number).To(Equal(int64(12)))
		w.gone(meta.RevisionName(2), &appsv1.ControllerRevision{})
		read(w, meta.RevisionName(3), &appsv1.ControllerRevision{})
	})

	It("of the database's settings keeps the earlier ConfigMap while its revision is kept", func() {
		w := running()
		before := configOf(w)
		w.editClass(func(c *v1alpha1.TenantClass) {
			c.Spec.Database.Parameters = v1alpha1.PostgreSQLParameters{"statement_timeout": "30s"}
		})
		w.settle()
		w.approve(w.readTenant().Status.Revision.PendingHash)
		w.settle()
		Expect(configOf(w)).NotTo(Equal(before))
		read(w, before, &corev1.ConfigMap{})
	})
})

// configOf is the immutable ConfigMap that the database mounts.
func configOf(w *world) string {
	GinkgoHelper()
	for _, volume := range read(w, meta.DatabaseStatefulSet, &appsv1.StatefulSet{}).Spec.Template.Spec.Volumes {
		if volume.ConfigMap != nil && ptr.Deref(read(w, volume.ConfigMap.Name, &corev1.ConfigMap{}).Immutable, false) {
			return volume.ConfigMap.Name
		}
	}
	Fail("the database mounts no immutable ConfigMap")
	return ""
}

var _ = Describe("The running revision", func() {
	It("is rebuilt from the workloads when it is lost, exactly as it was", func() {
		w := running()
		w.setImage("registry.example/app:2") // so that today's rendering cannot pass for it
		w.settle()
		before := read(w, meta.RevisionName(1), &appsv1.ControllerRevision{})
		versions := w.workloadVersions()
		Expect(env.Client.Delete(ctx, before)).To(Succeed())
		w.said()
		w.settle()
		after := read(w, meta.RevisionName(1), &appsv1.ControllerRevision{})
		Expect(after.Data.Raw).To(MatchJSON(before.Data.Raw))
		Expect(after.Annotations).To(Equal(before.Annotations))
		Expect(w.workloadVersions()).To(Equal(versions))
	})

	It("gets its labels back", func() {
		w := running()
		edit(read(w, meta.RevisionName(1), &appsv1.ControllerRevision{}), func(r *appsv1.ControllerRevision) { r.Labels = nil })
		w.settle()
		Expect(read(w, meta.RevisionName(1), &appsv1.ControllerRevision{}).Labels).To(HaveKeyWithValue(v1alpha1.LabelTenant, w.name))
		Expect(w.readTenant().Status.Revision.Number).To(Equal(int64(1)))
	})

	It("is rendered once more when too much is lost to read it back, if nothing has changed since", func() {
		w := running()
		before := read(w, meta.RevisionName(1), &appsv1.ControllerRevision{})
		Expect(env.Client.Delete(ctx, before)).To(Succeed())
		Expect(env.Client.Delete(ctx, read(w, meta.EdgeDeployment, &appsv1.Deployment{}))).To(Succeed())
		w.settle()
		after := read(w, meta.RevisionName(1), &appsv1.ControllerRevision{})
		Expect(after.Data.Raw).To(MatchJSON(before.Data.Raw))
		Expect(after.Annotations).To(Equal(before.Annotations))
		Expect(read(w, meta.EdgeDeployment, &appsv1.Deployment{}).Annotations).To(HaveKeyWithValue(meta.AnnotationRevision, "1"))
	})

	// lost is an instance whose running revision nobody can tell any more.
	lost := func() *world {
		GinkgoHelper()
		w := running()
		w.setImage("registry.example/app:2")
		w.settle()
		Expect(env.Client.Delete(ctx, read(w, meta.RevisionName(1), &appsv1.ControllerRevision{}))).To(Succeed())
		Expect(env.Client.Delete(ctx, read(w, meta.EdgeDeployment, &appsv1.Deployment{}))).To(Succeed())
		return w
	}

	It("is not guessed: when it cannot be rebuilt, the workloads are left as they are", func() {
		w := lost()
		w.requests.Reset()
		w.pass()
		Expect(w.expectStalled(v1alpha1.ReasonRevisionLost)).To(ContainSubstring("the workloads are not complete enough"))
		Expect(w.appImage()).To(Equal("registry.example/app:1"))
		for _, request := range w.requests.Seen(testenv.Request.IsWrite) {
			Expect(request.Path).To(ContainSubstring("/tenants/"), "only the status may be written")
		}
	})

	It("keeps the walls up also while it is lost, and as wide as what runs needs them", func() {
		w := lost()
		w.editClass(func(c *v1alpha1.TenantClass) { c.Spec.App.Port = 9090 })
		w.pass()
		wall := read(w, meta.PolicyApp, &networkingv1.NetworkPolicy{})
		Expect(env.Client.Delete(ctx, wall)).To(Succeed())
		Expect(env.Client.Delete(ctx, read(w, meta.Quota, &corev1.ResourceQuota{}))).To(Succeed())
		w.pass()
		w.expectStalled(v1alpha1.ReasonRevisionLost)
		read(w, meta.Quota, &corev1.ResourceQuota{})
		var ports []string
		for _, port := range read(w, meta.PolicyApp, &networkingv1.NetworkPolicy{}).Spec.Ingress[0].Ports {
			ports = append(ports, port.Port.String())
		}
		Expect(ports).To(ConsistOf("8080", "9090"))
		Expect(w.appImage()).To(Equal("registry.example/app:1"))
	})

	It("is replaced by today's when a person approves that", func() {
		w := lost()
		w.pass()
		message := w.expectStalled(v1alpha1.ReasonRevisionLost)
		w.approve(regexp.MustCompile(v1alpha1.AnnotationApproveUpdate + "=([0-9a-f]+)").FindStringSubmatch(message)[1])
		w.settle()
		w.expectNotStalled()
		Expect(w.appImage()).To(Equal("registry.example/app:2"))
		Expect(w.readTenant().Status.Revision.Number).To(Equal(int64(2)))
		w.expectCondition(v1alpha1.ConditionUpdatePending, metav1.ConditionFalse, v1alpha1.ReasonUpToDate)
	})

	It("is kept up while today's class makes none", func() {
		w := running()
		w.editClass(func(c *v1alpha1.TenantClass) {
			c.Spec.Edge.MaxConnections = 100_000 // more than its memory holds
		})
		Expect(env.Client.Delete(ctx, read(w, meta.AppStatefulSet, &appsv1.StatefulSet{}))).To(Succeed())
		Expect(env.Client.Delete(ctx, read(w, meta.PolicyDefaultDeny, &networkingv1.NetworkPolicy{}))).To(Succeed())
		w.settle()
		Expect(w.expectStalled(v1alpha1.ReasonInvalidSpec)).To(ContainSubstring("spec.edge.maxConnections 100000"))
		w.expectCondition(v1alpha1.ConditionUpdatePending, metav1.ConditionUnknown, v1alpha1.ReasonInvalidSpec)
		Expect(w.appImage()).To(Equal("registry.example/app:1"))
		read(w, meta.PolicyDefaultDeny, &networkingv1.NetworkPolicy{})
	})

	It("brings a deleted workload back as it was, not as today's class would have it", func() {
		w := running()
		w.setImage("registry.example/app:2")
		w.settle()
		Expect(env.Client.Delete(ctx, read(w, meta.AppStatefulSet, &appsv1.StatefulSet{}))).To(Succeed())
		w.settle()
		Expect(w.appImage()).To(Equal("registry.example/app:1"))
	})
})
