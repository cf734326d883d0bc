// SPDX-License-Identifier: Apache-2.0

package tenant_test

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

func volumeOf(claim *corev1.PersistentVolumeClaim) *corev1.PersistentVolume {
	GinkgoHelper()
	volume := &corev1.PersistentVolume{}
	Expect(env.Client.Get(ctx, types.NamespacedName{Name: claim.Spec.VolumeName}, volume)).To(Succeed())
	return volume
}

var _ = Describe("Volumes", func() {
	DescribeTable("are set to Retain once they are bound, and kept so", func(name string) {
		w := running()
		claim := read(w, name, &corev1.PersistentVolumeClaim{})
		Expect(volumeOf(claim).Spec.PersistentVolumeReclaimPolicy).To(Equal(corev1.PersistentVolumeReclaimRetain))
		edit(volumeOf(claim), func(v *corev1.PersistentVolume) {
			v.Spec.PersistentVolumeReclaimPolicy = corev1.PersistentVolumeReclaimDelete
		})
		w.pass()
		Expect(volumeOf(claim).Spec.PersistentVolumeReclaimPolicy).To(Equal(corev1.PersistentVolumeReclaimRetain))
	},
		Entry("the database's", meta.DatabaseClaim),
		Entry("the application's", meta.AppClaim),
	)

	It("of others are left alone", func() {
		w := running()
		claim := read(w, meta.DatabaseClaim, &corev1.PersistentVolumeClaim{})
		volume := volumeOf(claim)
		Expect(env.Client.Delete(ctx, volume)).To(Succeed())
		edit(volume, func(v *corev1.PersistentVolume) { v.Finalizers = nil })
		other := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: volume.Name}, Spec: *volume.Spec.DeepCopy()}
		other.Spec.ClaimRef = &corev1.ObjectReference{Namespace: claim.Namespace, Name: claim.Name, UID: "an-earlier-claim"}
		other.Spec.PersistentVolumeReclaimPolicy = corev1.PersistentVolumeReclaimDelete
		w.create(other)
		w.pass()
		Expect(volumeOf(claim).Spec.PersistentVolumeReclaimPolicy).To(Equal(corev1.PersistentVolumeReclaimDelete))
	})

	DescribeTable("that held data are never replaced by empty ones", func(name string) {
		w := running()
		claim := read(w, name, &corev1.PersistentVolumeClaim{})
		edit(claim, func(c *corev1.PersistentVolumeClaim) { c.Finalizers = nil })
		Expect(client.IgnoreNotFound(env.Client.Delete(ctx, claim))).To(Succeed())
		w.pass()
		w.gone(name, &corev1.PersistentVolumeClaim{})
		Expect(w.expectStalled(v1alpha1.ReasonVolumeLost)).To(ContainSubstring("held data and is gone"))
		w.restart()
		w.pass()
		w.gone(name, &corev1.PersistentVolumeClaim{})

		By("everything else goes on converging")
		Expect(env.Client.Delete(ctx, read(w, meta.AppService, &corev1.Service{}))).To(Succeed())
		w.pass()
		read(w, meta.AppService, &corev1.Service{})

		By("bringing the volume back as the message says")
		back := &corev1.PersistentVolumeClaim{
			ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: w.namespace(), Labels: map[string]string{
				v1alpha1.LabelTenant: w.name, v1alpha1.LabelInstance: w.readTenant().Status.InstanceID,
			}},
			Spec: *claim.Spec.DeepCopy(),
		}
		w.create(back)
		w.settle()
		w.expectNotStalled()
	},
		Entry("the database's", meta.DatabaseClaim),
		Entry("the application's", meta.AppClaim),
	)

	It("that never held anything are made again", func() {
		w := newWorld()
		w.create(w.class(), w.tenant())
		w.pass()
		claim := read(w, meta.DatabaseClaim, &corev1.PersistentVolumeClaim{})
		edit(claim, func(c *corev1.PersistentVolumeClaim) { c.Finalizers = nil })
		Expect(client.IgnoreNotFound(env.Client.Delete(ctx, claim))).To(Succeed())
		w.pass()
		Expect(read(w, meta.DatabaseClaim, &corev1.PersistentVolumeClaim{}).UID).NotTo(Equal(claim.UID))
		w.expectNotStalled()
	})

	It("grow when the Tenant asks for more, where the StorageClass allows it", func() {
		w := newWorld()
		w.create(&storagev1.StorageClass{
			ObjectMeta: metav1.ObjectMeta{Name: w.name}, Provisioner: "example.com/disk", AllowVolumeExpansion: ptr.To(true),
		})
		class := w.class()
		class.Spec.App.DataVolume.StorageClassName = w.name
		w.create(class, w.tenant())
		w.settle()
		w.editTenant(func(t *v1alpha1.Tenant) { t.Spec.App = &v1alpha1.TenantApp{Storage: ptr.To(resource.MustParse("2Gi"))} })
		w.settle()
		claim := read(w, meta.AppClaim, &corev1.PersistentVolumeClaim{})
		Expect(claim.Spec.Resources.Requests.Storage().String()).To(Equal("2Gi"))
		w.expectCondition(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonConverged)
	})

	It("that cannot grow hold up nothing else", func() {
		w := running()
		w.clock.SetTime(w.clock.Now().Add(time.Minute)) // no longer a new namespace, which may refuse for a while
		w.editTenant(func(t *v1alpha1.Tenant) { t.Spec.App = &v1alpha1.TenantApp{Storage: ptr.To(resource.MustParse("2Gi"))} })
		Expect(env.Client.Delete(ctx, read(w, meta.AppService, &corev1.Service{}))).To(Succeed())
		Expect(w.failingPass()).To(MatchError(ContainSubstring(meta.AppClaim)))
		w.expectCondition(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonApplyFailed)
		read(w, meta.AppService, &corev1.Service{})
	})
})
