// SPDX-License-Identifier: Apache-2.0

package tenant_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// annotate writes an annotation of the Namespace as the controller of backups does; "" takes it away.
func (w *world) annotate(key, value string) {
	GinkgoHelper()
	namespace := w.readNamespace()
	before := namespace.DeepCopy()
	if delete(namespace.Annotations, key); value != "" {
		metav1.SetMetaDataAnnotation(&namespace.ObjectMeta, key, value)
	}
	Expect(env.Client.Patch(ctx, namespace, client.MergeFrom(before), client.FieldOwner(meta.FieldOwner))).To(Succeed())
}

// scale says how many pods database, application and gate shall have.
func (w *world) scale() [3]int32 {
	GinkgoHelper()
	return [3]int32{
		ptr.Deref(read(w, meta.DatabaseStatefulSet, &appsv1.StatefulSet{}).Spec.Replicas, 1),
		ptr.Deref(read(w, meta.AppStatefulSet, &appsv1.StatefulSet{}).Spec.Replicas, 1),
		ptr.Deref(read(w, meta.EdgeDeployment, &appsv1.Deployment{}).Spec.Replicas, 1),
	}
}

// mounts is the claim that the database's pods mount.
func (w *world) mounts() string {
	GinkgoHelper()
	return w.mountsOf(meta.DatabaseStatefulSet)
}

// mountsOf is the claim that the pods of a workload mount; "" if none.
func (w *world) mountsOf(workload string) string {
	GinkgoHelper()
	for _, volume := range read(w, workload, &appsv1.StatefulSet{}).Spec.Template.Spec.Volumes {
		if volume.PersistentVolumeClaim != nil {
			return volume.PersistentVolumeClaim.ClaimName
		}
	}
	return ""
}

// lose removes a claim for good.
func (w *world) lose(name string) {
	GinkgoHelper()
	claim := read(w, name, &corev1.PersistentVolumeClaim{})
	edit(claim, func(c *corev1.PersistentVolumeClaim) { c.Finalizers = nil })
	Expect(client.IgnoreNotFound(env.Client.Delete(ctx, claim))).To(Succeed())
}

// restored is an instance that was restored into its second claim.
func restored() *world {
	GinkgoHelper()
	w := running()
	w.annotate(meta.AnnotationRestoreClaim, "db-0002")
	w.settle()
	w.annotate(meta.AnnotationDatabaseClaim, "db-0002")
	w.annotate(meta.AnnotationRestoreClaim, "")
	w.settle()
	Expect(w.mounts()).To(Equal("db-0002"))
	return w
}

var _ = Describe("A restore", func() {
	It("gets a claim, stops the instance, and has its database run on that claim", func() {
		w := running()
		revision := w.readTenant().Status.Revision
		w.annotate(meta.AnnotationRestoreClaim, "db-0002")
		w.settle()
		w.expectCondition(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonConverged)
		claim := read(w, "db-0002", &corev1.PersistentVolumeClaim{})
		Expect(claim.Spec.Resources.Requests.Storage().String()).To(Equal("10Gi"))
		Expect(volumeOf(claim).Spec.PersistentVolumeReclaimPolicy).To(Equal(corev1.PersistentVolumeReclaimRetain))
		Expect(w.mounts()).To(Equal("db-0001"))

		w.annotate(meta.AnnotationStoppedFor, "before-the-accident")
		w.settle()
		Expect(w.scale()).To(Equal([3]int32{0, 0, 2}), "the gate has to answer that the instance comes back")
		Expect(w.expectCondition(v1alpha1.ConditionAvailable, metav1.ConditionFalse, v1alpha1.ReasonRestoring)).To(
			And(ContainSubstring("Restore "+w.namespace()+"/before-the-accident"), ContainSubstring(meta.AnnotationStoppedFor+"-")))
		Expect(w.expectCondition(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonProgressing)).To(ContainSubstring("before-the-accident"))
		w.expectNotStalled()

		w.annotate(meta.AnnotationDatabaseClaim, "db-0002")
		w.annotate(meta.AnnotationStoppedFor, "")
		w.annotate(meta.AnnotationRestoreClaim, "")
		w.settle()
		Expect(w.mounts()).To(Equal("db-0002"))
		Expect(w.scale()).To(Equal([3]int32{1, 1, 2}))
		w.expectCondition(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonConverged)
		w.expectCondition(v1alpha1.ConditionUpdatePending, metav1.ConditionFalse, v1alpha1.ReasonUpToDate)
		Expect(w.readTenant().Status.Revision).To(Equal(revision), "a restore is no update")

		By("keeping the volume from before")
		before := read(w, "db-0001", &corev1.PersistentVolumeClaim{})
		Expect(volumeOf(before).Spec.PersistentVolumeReclaimPolicy).To(Equal(corev1.PersistentVolumeReclaimRetain))

		By("going back to it")
		w.annotate(meta.AnnotationDatabaseClaim, "db-0001")
		w.settle()
		Expect(w.mounts()).To(Equal("db-0001"))
		read(w, "db-0002", &corev1.PersistentVolumeClaim{})
	})

	It("has the application's data on a volume of its own, too", func() {
		w := running()
		revision := w.readTenant().Status.Revision
		Expect(w.mountsOf(meta.AppStatefulSet)).To(Equal("app-0001"))
		w.annotate(meta.AnnotationRestoreAppClaim, "app-0002")
		w.settle()
		claim := read(w, "app-0002", &corev1.PersistentVolumeClaim{})
		Expect(claim.Spec.Resources.Requests.Storage().String()).To(Equal("1Gi"))
		Expect(claim.Labels).To(HaveKeyWithValue("app.kubernetes.io/component", meta.ComponentApp))
		Expect(volumeOf(claim).Spec.PersistentVolumeReclaimPolicy).To(Equal(corev1.PersistentVolumeReclaimRetain))
		Expect(w.mountsOf(meta.AppStatefulSet)).To(Equal("app-0001"))

		w.annotate(meta.AnnotationAppClaim, "app-0002")
		w.annotate(meta.AnnotationRestoreAppClaim, "")
		w.settle()
		Expect(w.mountsOf(meta.AppStatefulSet)).To(Equal("app-0002"))
		Expect(w.mounts()).To(Equal("db-0001"))
		w.expectCondition(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonConverged)
		w.expectCondition(v1alpha1.ConditionUpdatePending, metav1.ConditionFalse, v1alpha1.ReasonUpToDate)
		Expect(w.readTenant().Status.Revision).To(Equal(revision), "a restore is no update")
		read(w, "app-0001", &corev1.PersistentVolumeClaim{})

		By("staying there when annotation, memory and StatefulSet are lost")
		w.annotate(meta.AnnotationAppClaim, "")
		w.settle()
		Expect(env.Client.Delete(ctx, read(w, meta.AppStatefulSet, &appsv1.StatefulSet{}))).To(Succeed())
		w.settle()
		Expect(w.mountsOf(meta.AppStatefulSet)).To(Equal("app-0002"))
		Expect(env.Client.Delete(ctx, read(w, meta.InstanceConfigMap, &corev1.ConfigMap{}))).To(Succeed())
		w.settle()
		Expect(w.mountsOf(meta.AppStatefulSet)).To(Equal("app-0002"))

		By("needing the volume from before until it was decided what becomes of it")
		restore := &v1alpha1.Restore{ObjectMeta: metav1.ObjectMeta{Name: "undecided", Namespace: w.namespace()}}
		w.create(restore)
		changeStatus(restore, func(r *v1alpha1.Restore) {
			r.Status.PreviousAppClaim = "app-0001"
			r.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionAccepted, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonAwaitingDecision, LastTransitionTime: metav1.Now()}}
		})
		w.lose("app-0001")
		w.settle()
		Expect(w.expectStalled(v1alpha1.ReasonVolumeLost)).To(And(ContainSubstring("from before Restore undecided is gone"), ContainSubstring("the application runs on app-0002 and goes on")))
	})

	It("stays where it is when the annotation, what remembers it, the StatefulSet or the revision is lost", func() {
		w := restored()
		w.annotate(meta.AnnotationDatabaseClaim, "")
		w.settle()
		Expect(w.mounts()).To(Equal("db-0002"))

		Expect(env.Client.Delete(ctx, read(w, meta.DatabaseStatefulSet, &appsv1.StatefulSet{}))).To(Succeed())
		w.settle()
		Expect(w.mounts()).To(Equal("db-0002"))

		Expect(env.Client.Delete(ctx, read(w, meta.InstanceConfigMap, &corev1.ConfigMap{}))).To(Succeed())
		w.settle()
		Expect(w.mounts()).To(Equal("db-0002"))
		Expect(read(w, meta.InstanceConfigMap, &corev1.ConfigMap{}).Data).To(HaveKeyWithValue(meta.KeyDatabaseClaim, "db-0002"))

		hash := w.readTenant().Status.Revision.Hash
		Expect(env.Client.Delete(ctx, read(w, meta.RevisionName(1), &appsv1.ControllerRevision{}))).To(Succeed())
		w.switchClass(func(c *v1alpha1.TenantClass) { c.Spec.App.Image = "registry.example/other:1" })
		w.restart()
		w.settle()
		w.expectNotStalled()
		Expect(read(w, meta.RevisionName(1), &appsv1.ControllerRevision{}).Annotations).To(HaveKeyWithValue(meta.AnnotationRevisionHash, hash))
		Expect(w.mounts()).To(Equal("db-0002"))
	})

	It("is not led astray by an annotation that names no claim", func() {
		w := restored()
		w.annotate(meta.AnnotationDatabaseClaim, "db-0022")
		w.settle()
		Expect(w.expectStalled(v1alpha1.ReasonConflict)).To(And(ContainSubstring(`names "db-0022"`), ContainSubstring("stays on db-0002")))
		Expect(w.mounts()).To(Equal("db-0002"))
		Expect(w.scale()).To(Equal([3]int32{1, 1, 2}))
		w.gone("db-0022", &corev1.PersistentVolumeClaim{})
	})

	It("never has its volume replaced by an empty one", func() {
		w := restored()
		w.lose("db-0002")
		w.pass()
		w.gone("db-0002", &corev1.PersistentVolumeClaim{})
		Expect(w.expectStalled(v1alpha1.ReasonVolumeLost)).To(ContainSubstring("db-0002 held data and is gone"))
		Expect(w.mounts()).To(Equal("db-0002"))
	})

	It("needs the volume from before until it was decided what becomes of it, and no longer", func() {
		w := restored()
		restore := &v1alpha1.Restore{ObjectMeta: metav1.ObjectMeta{Name: "undecided", Namespace: w.namespace()}}
		w.create(restore)
		decide := func(status metav1.ConditionStatus, reason string) {
			changeStatus(restore, func(r *v1alpha1.Restore) {
				r.Status.PreviousClaim = "db-0001"
				r.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionAccepted, Status: status, Reason: reason, LastTransitionTime: metav1.Now()}}
			})
		}
		decide(metav1.ConditionFalse, v1alpha1.ReasonAwaitingDecision)
		w.lose("db-0001")
		w.settle()
		Expect(w.expectStalled(v1alpha1.ReasonVolumeLost)).To(And(ContainSubstring("from before Restore undecided is gone"), ContainSubstring("runs on db-0002 and goes on")))
		w.expectCondition(v1alpha1.ConditionAvailable, metav1.ConditionTrue, v1alpha1.ReasonServing)
		w.gone("db-0001", &corev1.PersistentVolumeClaim{})

		decide(metav1.ConditionTrue, v1alpha1.ReasonAccepted)
		w.settle()
		w.expectNotStalled()
		w.gone("db-0001", &corev1.PersistentVolumeClaim{})
	})

	It("finds what others wrote on the Namespace still there", func() {
		w := running()
		w.annotate(meta.AnnotationRestoreClaim, "db-0002")
		theirs := corev1ac.Namespace(w.namespace()).WithAnnotations(map[string]string{meta.AnnotationStoppedFor: "theirs"})
		Expect(env.Client.Apply(ctx, theirs, client.FieldOwner("freehold-backup"))).To(Succeed())
		w.settle()
		edit(w.readNamespace(), func(n *corev1.Namespace) {
			n.Labels["pod-security.kubernetes.io/enforce"] = "baseline" // The operator has to write the Namespace.
			delete(n.Annotations, meta.AnnotationInitialized)
		})
		w.settle()
		namespace := w.readNamespace()
		Expect(namespace.Labels).To(HaveKeyWithValue("pod-security.kubernetes.io/enforce", "restricted"))
		Expect(namespace.Annotations).To(And(
			HaveKeyWithValue(meta.AnnotationInitialized, "true"),
			HaveKeyWithValue(meta.AnnotationRestoreClaim, "db-0002"),
			HaveKeyWithValue(meta.AnnotationStoppedFor, "theirs")))
	})

	It("that only proves a backup leaves no volume behind", func() {
		w := running()
		claim := &corev1.PersistentVolumeClaim{
			ObjectMeta: metav1.ObjectMeta{Name: "proof-data", Namespace: w.namespace(),
				Labels:          map[string]string{v1alpha1.LabelTenant: w.name, v1alpha1.LabelInstance: w.readTenant().Status.InstanceID},
				OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: "proof", UID: "of-the-pod", Controller: ptr.To(true)}}},
			Spec: *read(w, meta.DatabaseClaim, &corev1.PersistentVolumeClaim{}).Spec.DeepCopy(),
		}
		claim.Spec.VolumeName = ""
		w.create(claim)
		w.settle()
		Expect(volumeOf(read(w, claim.Name, claim)).Spec.PersistentVolumeReclaimPolicy).To(Equal(corev1.PersistentVolumeReclaimDelete))
		Expect(w.readNamespace().Annotations[meta.AnnotationBoundClaims]).NotTo(ContainSubstring("proof"))
	})
})
