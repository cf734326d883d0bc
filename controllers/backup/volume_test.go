// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/backup/engine"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// onVolume makes a destination a volume.
func onVolume(d *v1alpha1.BackupDestination) {
	*d = v1alpha1.BackupDestination{Name: d.Name, Volume: &v1alpha1.VolumeDestination{Size: resource.MustParse("10Gi")}}
}

// shelved is a stage whose destination site-b is a volume; its controller of tenants has made the certificate.
func shelved(t *testing.T, name string) *stage {
	t.Helper()
	s := newStage(t, name, func(p *v1alpha1.BackupPolicy) { onVolume(&p.Spec.Destinations[1]) })
	s.certificate()
	return s
}

func (s *stage) certificate() {
	s.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: meta.ArchiveTLSSecret, Namespace: s.namespace(), Labels: meta.Labels(s.name, s.instanceID(), meta.ComponentBackup)},
		Type: corev1.SecretTypeTLS, Data: map[string][]byte{meta.KeyTLSCert: []byte("certificate"), meta.KeyTLSKey: []byte("private key")}})
}

// claimsOf are the claims that a Job's pods mount, and where its container sees them.
func claimsOf(job *batchv1.Job) map[string]string {
	pod, all := job.Spec.Template.Spec, map[string]string{}
	for _, volume := range pod.Volumes {
		for _, mount := range pod.Containers[0].VolumeMounts {
			if volume.PersistentVolumeClaim != nil && mount.Name == volume.Name && !mount.ReadOnly {
				all[volume.PersistentVolumeClaim.ClaimName] = mount.MountPath
			}
		}
	}
	return all
}

func TestBaseBackupsToAVolumeHaveItMountedBesideItsServer(t *testing.T) {
	s := shelved(t, "volume-shelf")
	s.passes()
	s.after(settleTime)
	for _, job := range []*batchv1.Job{s.theJob(engine.JobBackup, "site-b"), {Spec: s.cronJob("site-b").Spec.JobTemplate.Spec}} {
		s.Expect(claimsOf(job)).To(Equal(map[string]string{"backup-site-b": meta.RepositoryFolder("site-b")}))
		near := job.Spec.Template.Spec.Affinity.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution
		s.Expect(near).To(HaveLen(1))
		s.Expect(near[0].TopologyKey).To(Equal(corev1.LabelHostname), "only one node has the volume at a time")
		s.Expect(near[0].LabelSelector.MatchLabels).To(Equal(map[string]string{v1alpha1.LabelServes: meta.ComponentRepository, v1alpha1.LabelDestination: "site-b"}))
	}
	elsewhere := s.theJob(engine.JobBackup, "site-a")
	s.Expect(claimsOf(elsewhere)).To(BeEmpty())
	s.Expect(elsewhere.Spec.Template.Spec.Affinity).To(BeNil())

	archive, job := s.secret(s.namespace(), meta.BackupSecret).Data, s.secret(s.namespace(), meta.BackupJobSecret).Data
	s.Expect(string(archive[meta.KeyPgBackRestConf])).To(ContainSubstring("repo2-host=backup-site-b.tenant-volume-shelf.svc.cluster.local\n"))
	s.Expect(archive).To(HaveKeyWithValue("site-b.tls.key", []byte("private key")))
	s.Expect(string(job[meta.KeyPgBackRestConf])).NotTo(ContainSubstring("repo2-host"), "pgBackRest makes no backup of a remote database to a remote repository")
	s.Expect(job).NotTo(HaveKey("site-b.tls.key"))
}

func TestProofsReadAVolumeThroughItsServer(t *testing.T) {
	s := shelved(t, "volume-read")
	s.firstBackups()
	for range 3 {
		s.after(settleTime)
		for _, site := range []string{"site-a", "site-b"} {
			for _, job := range s.jobs(engine.JobVerify, site) {
				s.Expect(claimsOf(&job)).NotTo(HaveKey("backup-site-b"))
				s.Expect(job.Spec.Template.Spec.Affinity).To(BeNil(), "a proof runs wherever there is room")
				s.end(&job, s.proven(site))
			}
		}
		s.passes()
		s.collectGarbage()
	}
	s.Expect(s.condition(v1alpha1.ConditionRecoverable)).To(HavePrefix("True Fresh"), "one of the two is elsewhere")
	s.Expect(s.condition(v1alpha1.ConditionBackedUp)).To(And(HavePrefix("True InCluster"), ContainSubstring("with which it would be lost")))
	s.Expect(text(s.site("site-a").Conditions, v1alpha1.ConditionBackedUp)).To(HavePrefix("True Fresh"))
}

func TestBackupsThatAreOnlyOnVolumesWouldBeLostWithTheCluster(t *testing.T) {
	s := newStage(t, "volume-alone", func(p *v1alpha1.BackupPolicy) {
		onVolume(&p.Spec.Destinations[0])
		onVolume(&p.Spec.Destinations[1])
		p.Spec.ApplicationData = v1alpha1.ApplicationDataSkip
	})
	s.certificate()
	s.firstBackups()
	s.after(settleTime)
	s.end(s.theJob(engine.JobVerify, "site-a"), s.proven("site-a"))
	s.passes()
	s.Expect(text(s.site("site-a").Conditions, v1alpha1.ConditionRecoverable)).To(And(HavePrefix("False InCluster"), ContainSubstring("add a destination elsewhere")))
}

func TestAVolumeWaitsForItsCertificateAndHoldsUpNoOtherDestination(t *testing.T) {
	s := newStage(t, "volume-uncertain", func(p *v1alpha1.BackupPolicy) { onVolume(&p.Spec.Destinations[1]) })
	s.passes()
	s.after(settleTime)
	s.Expect(text(s.site("site-b").Conditions, v1alpha1.ConditionBackedUp)).To(And(HavePrefix("False CredentialsMissing"), ContainSubstring("tenant-volume-uncertain/"+meta.ArchiveTLSSecret)))
	s.Expect(s.jobs(engine.JobBackup, "site-a")).To(HaveLen(1))
	s.certificate()
	s.after(troubledAudit)
	s.after(settleTime)
	s.Expect(s.jobs(engine.JobBackup, "site-b")).To(HaveLen(1))
}

func TestWhatHasExpiredOnAVolumeIsRemovedByAJobThatHasItMounted(t *testing.T) {
	s := shelved(t, "volume-expires")
	s.firstBackups()
	s.changeTenant(func(t *v1alpha1.Tenant) { t.Spec.Suspended = true })
	s.ready(0)
	s.after(expiryInterval)
	s.after(settleTime)
	s.Expect(claimsOf(s.theJob(engine.JobExpire, "site-b"))).To(HaveKey("backup-site-b"))
}

// The application's data goes elsewhere, and a volume without it is a good one for all that it is meant to hold.
func TestTheApplicationsDataIsNotBackedUpToAVolume(t *testing.T) {
	s := shelved(t, "volume-halves")
	s.keepsFiles()
	s.passes()
	s.after(settleTime)
	s.Expect(hasFiles(s.theJob(engine.JobBackup, "site-a"))).To(BeTrue())
	s.Expect(hasFiles(s.theJob(engine.JobBackup, "site-b"))).To(BeFalse())
	s.Expect(string(s.secret(s.namespace(), meta.BackupFilesSecret).Data[meta.KeyDestinations])).NotTo(ContainSubstring("site-b"))
	s.end(s.theJob(engine.JobBackup, "site-b"), s.backedUp("site-b", 1))
	s.passes()
	s.Expect(text(s.site("site-b").Conditions, v1alpha1.ConditionBackedUp)).To(And(HavePrefix("True InCluster"), ContainSubstring("the application's data is not backed up to it")))
}

func TestANewInstanceIsNotFilledFromAVolumeOfAnother(t *testing.T) {
	n := newNewcomer(t, "borrower", v1alpha1.RestoreTarget{Destination: "site-b"})
	policy := &v1alpha1.BackupPolicy{}
	n.Expect(env.Client.Get(n.ctx, client.ObjectKey{Name: "of-borrower"}, policy)).To(Succeed())
	policy.Spec.Destinations = policy.Spec.Destinations[:1]
	n.Expect(env.Client.Update(n.ctx, policy)).To(Succeed())
	policy.Spec.Destinations = append(policy.Spec.Destinations, v1alpha1.BackupDestination{Name: "site-b"})
	onVolume(&policy.Spec.Destinations[1])
	n.Expect(env.Client.Update(n.ctx, policy)).To(Succeed())
	n.keys()
	n.fills()
	n.Expect(n.says()).To(Equal("False Failed: destination site-b of BackupPolicy of-borrower is a volume in the other instance's namespace, from which no other can be filled: name a destination of another kind"))
	n.Expect(n.filling("site-b")).To(BeNil())
	n.Expect(n.filling("site-a")).To(BeNil(), "it was asked for another")
	n.Expect(strings.Count(n.says(), "site-a")).To(BeZero())
}
