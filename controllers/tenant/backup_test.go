// SPDX-License-Identifier: Apache-2.0

package tenant_test

import (
	"fmt"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// backupPolicy is one destination, outside of the cluster.
func (w *world) backupPolicy() *v1alpha1.BackupPolicy {
	return &v1alpha1.BackupPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: w.name},
		Spec: v1alpha1.BackupPolicySpec{
			Destinations: []v1alpha1.BackupDestination{{
				Name: "site-a", Region: "eu-central-1", Networks: []v1alpha1.CIDR{"198.51.100.0/24"},
				Credentials: v1alpha1.DestinationCredentials{SecretName: "site-a-{tenant}"},
				S3:          &v1alpha1.S3Destination{Endpoint: "s3.example.com", Bucket: "backups"},
			}},
			Schedule: v1alpha1.BackupSchedule{TimeZone: "UTC", Start: "01:30"},
		},
	}
}

// named makes a Tenant name the world's backup policy.
func (w *world) named(t *v1alpha1.Tenant) {
	t.Spec.BackupPolicyRef = &v1alpha1.BackupPolicyReference{Name: w.name}
}

// archiving is what the database's agent is told.
func (w *world) archiving() string {
	GinkgoHelper()
	return read(w, meta.InstanceConfigMap, &corev1.ConfigMap{}).Data[meta.KeyArchiving]
}

// opens are the networks and ports that the database may archive to.
func (w *world) opens() []string {
	GinkgoHelper()
	var out []string
	for _, rule := range read(w, meta.PolicyArchive, &networkingv1.NetworkPolicy{}).Spec.Egress {
		out = append(out, fmt.Sprintf("%s:%d", rule.To[0].IPBlock.CIDR, rule.Ports[0].Port.IntValue()))
	}
	return out
}

var _ = Describe("A backup policy", func() {
	It("opens its paths and is followed when it changes, and restarts nothing", func() {
		w := running()
		before := read(w, meta.DatabaseStatefulSet, &appsv1.StatefulSet{})
		Expect(w.archiving()).To(Equal(meta.ArchivingOff))
		w.gone(meta.PolicyArchive, &networkingv1.NetworkPolicy{})

		w.create(w.backupPolicy())
		w.editTenant(w.named)
		w.settle()
		Expect(w.archiving()).To(Equal(meta.ArchivingOn))
		Expect(w.opens()).To(Equal([]string{"198.51.100.0/24:443"}))
		for _, name := range []string{meta.PolicyBackup, meta.PolicyRestore} {
			read(w, name, &networkingv1.NetworkPolicy{})
		}
		client := certificate(w.secret(meta.BackupTLSSecret))
		Expect(client.Subject.CommonName).To(Equal(meta.BackupClient))
		Expect(client.DNSNames).To(BeEmpty())

		edit(w.backupPolicy(), func(p *v1alpha1.BackupPolicy) { p.Spec.Destinations[0].S3.Port = 7443 })
		w.settle()
		Expect(w.opens()).To(Equal([]string{"198.51.100.0/24:7443"}))

		after := read(w, meta.DatabaseStatefulSet, &appsv1.StatefulSet{})
		Expect(after.Generation).To(Equal(before.Generation), "naming or editing a policy would restart the database")
		w.expectCondition(v1alpha1.ConditionUpdatePending, metav1.ConditionFalse, v1alpha1.ReasonUpToDate)
	})

	It("with a volume gets one with a server in front, keeps it, and restarts nothing else", func() {
		w := running()
		before := read(w, meta.DatabaseStatefulSet, &appsv1.StatefulSet{})
		policy := w.backupPolicy()
		policy.Spec.Destinations = append(policy.Spec.Destinations, v1alpha1.BackupDestination{
			Name: "shelf", Volume: &v1alpha1.VolumeDestination{Size: resource.MustParse("10Gi"), StorageClassName: w.name}})
		w.create(policy, &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: w.name}, Provisioner: "example.com/disk", AllowVolumeExpansion: ptr.To(true)})
		w.editTenant(w.named)
		w.settle()
		server := read(w, "backup-shelf", &appsv1.StatefulSet{})
		Expect(*server.Spec.Replicas).To(BeEquivalentTo(1))
		Expect(server.Spec.Template.Spec.Containers[0].Image).To(Equal(before.Spec.Template.Spec.Containers[0].Image))
		Expect(read(w, "backup-shelf", &corev1.Service{}).Spec.Selector).To(Equal(map[string]string{
			v1alpha1.LabelServes: meta.ComponentRepository, v1alpha1.LabelDestination: "shelf"}))
		Expect(server.Spec.Template.Labels).To(And(HaveKeyWithValue(v1alpha1.LabelServes, meta.ComponentRepository),
			HaveKeyWithValue(v1alpha1.LabelDestination, "shelf"), HaveKeyWithValue(v1alpha1.LabelPolicy, meta.ComponentRepository)))
		Expect(certificate(w.secret(meta.ArchiveTLSSecret)).Subject.CommonName).To(Equal(meta.ArchiveClient))
		Expect(certificate(w.secret(meta.RepositoryTLSSecret)).DNSNames).To(ContainElement("backup-shelf." + w.namespace() + ".svc.cluster.local"))
		claim := read(w, "backup-shelf", &corev1.PersistentVolumeClaim{})
		Expect(claim.Spec.Resources.Requests.Storage().String()).To(Equal("10Gi"))
		Expect(read(w, meta.DatabaseStatefulSet, &appsv1.StatefulSet{}).Generation).To(Equal(before.Generation))

		By("growing it")
		edit(w.backupPolicy(), func(p *v1alpha1.BackupPolicy) { p.Spec.Destinations[1].Volume.Size = resource.MustParse("20Gi") })
		w.settle()
		Expect(read(w, "backup-shelf", &corev1.PersistentVolumeClaim{}).Spec.Resources.Requests.Storage().String()).To(Equal("20Gi"))
		volume := &corev1.PersistentVolume{}
		Expect(env.Client.Get(ctx, client.ObjectKey{Name: read(w, "backup-shelf", &corev1.PersistentVolumeClaim{}).Spec.VolumeName}, volume)).To(Succeed())
		Expect(volume.Spec.PersistentVolumeReclaimPolicy).To(Equal(corev1.PersistentVolumeReclaimRetain))

		By("going on while the instance is suspended: what has expired is removed then, too")
		w.editTenant(func(t *v1alpha1.Tenant) { t.Spec.Suspended = true })
		w.settle()
		Expect(*read(w, "backup-shelf", &appsv1.StatefulSet{}).Spec.Replicas).To(BeEquivalentTo(1))
		w.editTenant(func(t *v1alpha1.Tenant) { t.Spec.Suspended = false })

		By("taking it out of the policy")
		edit(w.backupPolicy(), func(p *v1alpha1.BackupPolicy) { p.Spec.Destinations = p.Spec.Destinations[:1] })
		w.settle()
		w.gone("backup-shelf", &appsv1.StatefulSet{})
		w.gone("backup-shelf", &corev1.Service{})
		w.gone(meta.PolicyRepository, &networkingv1.NetworkPolicy{})
		Expect(read(w, "backup-shelf", &corev1.PersistentVolumeClaim{}).UID).To(Equal(claim.UID), "what lies on it is nobody's to remove")
		w.expectNotStalled()
	})

	It("has its volume's server stopped with the instance that goes, and the volume kept", func() {
		policy := func(w *world) *v1alpha1.BackupPolicy {
			p := w.backupPolicy()
			p.Spec.ApplicationData = v1alpha1.ApplicationDataSkip
			p.Spec.Destinations = []v1alpha1.BackupDestination{{Name: "shelf", Volume: &v1alpha1.VolumeDestination{Size: resource.MustParse("10Gi")}}}
			return p
		}
		w := newWorld()
		t := w.tenant()
		w.named(t)
		w.create(policy(w), w.class(), t)
		w.settle()
		Expect(env.Client.Delete(ctx, w.readTenant())).To(Succeed())
		w.pass()
		Expect(*read(w, "backup-shelf", &appsv1.StatefulSet{}).Spec.Replicas).To(BeZero())
		w.cluster()
		w.pass()
		Expect(w.tenantGone()).To(BeTrue())
		Expect(read(w, "backup-shelf", &corev1.PersistentVolumeClaim{}).DeletionTimestamp).To(BeNil())
	})

	It("does not put an empty volume in the place of one with backups", func() {
		w := newWorld()
		p, t := w.backupPolicy(), w.tenant()
		p.Spec.Destinations = append(p.Spec.Destinations, v1alpha1.BackupDestination{
			Name: "shelf", Volume: &v1alpha1.VolumeDestination{Size: resource.MustParse("10Gi")}})
		w.named(t)
		w.create(p, w.class(), t)
		w.settle()
		w.lose("backup-shelf")
		w.settle()
		w.gone("backup-shelf", &corev1.PersistentVolumeClaim{})
		Expect(w.expectStalled(v1alpha1.ReasonVolumeLost)).To(ContainSubstring("backup-shelf held data and is gone"))
		w.expectCondition(v1alpha1.ConditionAvailable, metav1.ConditionTrue, v1alpha1.ReasonServing)
	})

	It("that does not exist stops nothing, drops nothing, and is taken up once it does", func() {
		w := running(func(t *v1alpha1.Tenant) {
			t.Spec.BackupPolicyRef = &v1alpha1.BackupPolicyReference{Name: "policy-of-" + t.Name}
		})
		w.expectNotStalled()
		Expect(w.archiving()).To(Equal(meta.ArchivingOn), "the write-ahead log would be dropped")
		w.gone(meta.PolicyArchive, &networkingv1.NetworkPolicy{})

		policy := w.backupPolicy()
		policy.Name = "policy-of-" + w.name
		w.create(policy)
		w.settle()
		Expect(w.opens()).To(Equal([]string{"198.51.100.0/24:443"}))

		By("closing the paths when it is gone again")
		Expect(env.Client.Delete(ctx, policy)).To(Succeed())
		w.settle()
		w.gone(meta.PolicyArchive, &networkingv1.NetworkPolicy{})
		Expect(w.archiving()).To(Equal(meta.ArchivingOn))
	})

	It("that names the cluster's own networks is told so, and opens the others", func() {
		w := newWorld()
		policy, t := w.backupPolicy(), w.tenant()
		policy.Spec.Destinations[0].Networks = []v1alpha1.CIDR{"10.1.2.0/24", "198.51.100.0/24"}
		w.named(t)
		w.create(policy, w.class(), t)
		w.settle()
		Expect(w.expectStalled(v1alpha1.ReasonInvalidSpec)).To(ContainSubstring("the walls stay closed to site-a 10.1.2.0/24"))
		Expect(w.opens()).To(Equal([]string{"198.51.100.0/24:443"}))
		w.expectCondition(v1alpha1.ConditionAvailable, metav1.ConditionTrue, v1alpha1.ReasonServing)
	})
})
