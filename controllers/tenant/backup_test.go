// SPDX-License-Identifier: Apache-2.0

package tenant_test

import (
	"fmt"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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
