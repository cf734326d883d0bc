// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"encoding/json"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/backup/engine"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// newFilesScene is a scene whose application keeps data on a volume, with snapshots since five past noon.
func newFilesScene(t *testing.T, name string) *scene {
	t.Helper()
	s := newScene(t, name)
	set, claim := keeper(s.namespace, nil)
	s.create(claim)
	s.create(set)
	tenant := &v1alpha1.Tenant{}
	s.Expect(env.Client.Get(s.ctx, client.ObjectKey{Name: name}, tenant)).To(Succeed())
	tenant.Status.Backups.Destinations[0].Files = &v1alpha1.FilesStatus{FirstSnapshot: ptr.To(metav1.NewTime(at(5))), Snapshots: ptr.To(int32(2))}
	s.Expect(env.Client.Status().Update(s.ctx, tenant)).To(Succeed())
	return s
}

// filesJob that a Restore has; nil if none.
func (s *scene) filesJob(restore *v1alpha1.Restore) *batchv1.Job {
	job := &batchv1.Job{}
	err := env.Client.Get(s.ctx, client.ObjectKey{Namespace: s.namespace, Name: "restore-files-" + string(restore.UID[:8])}, job)
	if apierrors.IsNotFound(err) {
		return nil
	}
	s.Expect(err).NotTo(HaveOccurred())
	return job
}

// endsFiles ends the Job of the application's data.
func (s *scene) endsFiles(job *batchv1.Job, failure *engine.Failure) {
	result := engine.FilesResult{Job: engine.JobRestore, Destination: job.Labels[v1alpha1.LabelDestination], Failure: failure}
	if failure == nil {
		result.Recovery = &engine.FilesRecovery{Snapshot: engine.Snapshot{ID: firstSnapshot, FinishedAt: at(6)}, Files: 3, Bytes: 9, Seconds: 4}
	}
	raw := string(must(json.Marshal(result)))
	s.ends(job, engine.Result{Failure: failure})
	pod := &corev1.Pod{}
	s.Expect(env.Client.Get(s.ctx, client.ObjectKey{Namespace: s.namespace, Name: job.Name + "-x"}, pod)).To(Succeed())
	pod.Status.ContainerStatuses[0].Name, pod.Status.ContainerStatuses[0].State.Terminated.Message = meta.ContainerFiles, raw
	s.Expect(env.Client.Status().Update(s.ctx, pod)).To(Succeed())
}

// underWay is a Restore of both halves whose Jobs work.
func (s *scene) underWay(name string) *v1alpha1.Restore {
	s.order(name, to(10))
	s.pass(name)
	restore := s.restore(name)
	s.claim(restore.Status.Claim)
	s.claim(restore.Status.AppClaim)
	s.pass(name)
	s.pass(name)
	s.Expect(s.job(engine.JobRestore, restore)).NotTo(BeNil())
	s.Expect(s.filesJob(restore)).NotTo(BeNil())
	return restore
}

func TestARestoreBringsTheApplicationsDataBackToo(t *testing.T) {
	s := newFilesScene(t, "both")
	restore := s.underWay("accident")
	s.Expect(restore.Status.AppClaim).To(Equal("app-0002"))
	s.Expect(restore.Status.PreviousAppClaim).To(Equal("app-0001"))
	s.Expect(s.annotation(meta.AnnotationRestoreAppClaim)).To(Equal("app-0002"))

	job := s.filesJob(restore)
	pod := job.Spec.Template.Spec
	s.Expect(pod.Containers).To(HaveLen(1))
	s.Expect(pod.Containers[0].Name).To(Equal(meta.ContainerFiles))
	s.Expect(strings.Join(pod.Containers[0].Args, " ")).To(HavePrefix("agent backup files restore --destination=site-a --instance-id=i-both --target=2026-03-01T12:10:00Z --restore=" + string(restore.UID)))
	s.Expect(*pod.SecurityContext.FSGroup).To(Equal(int64(4713)), "its files belong to whom they belonged")
	s.Expect(*pod.SecurityContext.RunAsUser).To(Equal(int64(4711)))
	s.Expect(pod.NodeSelector).To(Equal(map[string]string{"pool": "apps"}), "the volume is made where the application may run")
	s.Expect(pod.InitContainers[0].Name).To(Equal(meta.ContainerWalls))
	s.Expect(job.Spec.Template.Labels).To(HaveKeyWithValue(v1alpha1.LabelPolicy, meta.ComponentRestore))
	for _, volume := range pod.Volumes {
		if volume.PersistentVolumeClaim != nil {
			s.Expect(volume.PersistentVolumeClaim.ClaimName).To(Equal("app-0002"))
		}
		if volume.Secret != nil {
			s.Expect(volume.Secret.SecretName).To(Equal(meta.BackupFilesSecret), "a restore cannot delete")
		}
	}

	s.ends(s.job(engine.JobRestore, restore), recovered(2))
	s.pass("accident")
	s.Expect(s.annotation(meta.AnnotationDatabaseClaim)).To(BeEmpty(), "the two halves go over together")
	s.endsFiles(job, nil)
	s.pass("accident")
	s.Expect(s.annotation(meta.AnnotationDatabaseClaim)).To(Equal("db-0002"))
	s.Expect(s.annotation(meta.AnnotationAppClaim)).To(Equal("app-0002"))
	s.Expect(s.annotation(meta.AnnotationStoppedFor)).To(BeEmpty())
	s.Expect(s.annotation(meta.AnnotationRestoreAppClaim)).To(BeEmpty())
	s.Expect(s.annotation(meta.AnnotationTimelines)).To(Equal(`[{"timeline":2,"since":"2026-03-01T13:10:00Z","filesFrom":"2026-03-01T12:10:00Z"}]`))
	got := s.restore("accident")
	s.Expect(got.Status.Snapshot).To(Equal(firstSnapshot))
	s.Expect(got.Status.SnapshotTime.Time).To(BeTemporally("==", at(6)))
	s.Expect(s.tells("accident", v1alpha1.ConditionComplete)).To(ContainSubstring("runs on volume db-0002 with app-0002, and volume db-0001 with app-0001 keeps what was before"))
}

func TestARestoreOfWhichOneHalfFailsLeavesBothAsTheyWere(t *testing.T) {
	s := newFilesScene(t, "half")
	restore := s.underWay("accident")
	s.endsFiles(s.filesJob(restore), &engine.Failure{Reason: engine.FailedDamaged, Message: "pack 7 is damaged"})
	s.pass("accident")
	s.Expect(s.annotation(meta.AnnotationStoppedFor)).To(Equal("accident"), "the other half still works")
	s.ends(s.job(engine.JobRestore, restore), recovered(2))
	s.pass("accident")
	s.Expect(s.tells("accident", v1alpha1.ConditionComplete)).To(And(HavePrefix("False Failed: the application's data: pack 7 is damaged"), ContainSubstring("starts again on volume db-0001, as it was")))
	for _, key := range []string{meta.AnnotationStoppedFor, meta.AnnotationDatabaseClaim, meta.AnnotationAppClaim, meta.AnnotationRestoreAppClaim} {
		s.Expect(s.annotation(key)).To(BeEmpty(), key)
	}
}

func TestARestoreToBeforeTheFirstSnapshotIsRefusedUnlessTheDataStays(t *testing.T) {
	s := newFilesScene(t, "before-files")
	s.order("early", to(3))
	s.pass("early")
	s.Expect(s.tells("early", v1alpha1.ConditionComplete)).To(And(HavePrefix("False TargetOutsideWindow"),
		ContainSubstring("snapshots of the application's data since 2026-03-01T12:05:00"), ContainSubstring("applicationData: Leave")))
	s.Expect(s.annotation(meta.AnnotationStoppedFor)).To(BeEmpty())

	target := to(3)
	restore := &v1alpha1.Restore{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "alone"}, Spec: v1alpha1.RestoreSpec{Target: target, ApplicationData: v1alpha1.ApplicationDataLeave}}
	s.create(restore)
	s.pass("alone")
	s.Expect(s.annotation(meta.AnnotationStoppedFor)).To(Equal("alone"))
	s.Expect(s.annotation(meta.AnnotationRestoreAppClaim)).To(BeEmpty())
	s.claim("db-0002")
	s.pass("alone")
	s.ends(s.job(engine.JobRestore, restore), recovered(2))
	s.pass("alone")
	s.Expect(s.annotation(meta.AnnotationDatabaseClaim)).To(Equal("db-0002"))
	s.Expect(s.annotation(meta.AnnotationAppClaim)).To(BeEmpty())
	s.Expect(s.annotation(meta.AnnotationTimelines)).NotTo(ContainSubstring("filesFrom"))
	s.Expect(s.filesJob(restore)).To(BeNil())
}

func TestARestoreThatWasChosenAnewForgetsWhatItDoesNotBringBackAnyMore(t *testing.T) {
	s := newFilesScene(t, "rechosen")
	s.order("accident", to(10))
	s.pass("accident")
	s.Expect(s.restore("accident").Status.AppClaim).To(Equal("app-0002"))
	// The operator was killed before it told the instance, and the policy says Skip by now.
	s.unstop()
	s.create(&v1alpha1.BackupPolicy{ObjectMeta: metav1.ObjectMeta{Name: "rechosen"}, Spec: v1alpha1.BackupPolicySpec{
		ApplicationData: v1alpha1.ApplicationDataSkip, Schedule: v1alpha1.BackupSchedule{TimeZone: "UTC", Start: "01:30"},
		Destinations: []v1alpha1.BackupDestination{{Name: "site-a", Region: "here", Networks: []v1alpha1.CIDR{"198.51.100.0/24"},
			Credentials: v1alpha1.DestinationCredentials{SecretName: "site-a-{tenant}"}, S3: &v1alpha1.S3Destination{Endpoint: "s3.example.com", Bucket: "backups"}}}}})
	tenant := &v1alpha1.Tenant{}
	s.Expect(env.Client.Get(s.ctx, client.ObjectKey{Name: "rechosen"}, tenant)).To(Succeed())
	tenant.Spec.BackupPolicyRef.Name = "rechosen"
	s.Expect(env.Client.Update(s.ctx, tenant)).To(Succeed())
	s.pass("accident")
	s.Expect(s.annotation(meta.AnnotationStoppedFor)).To(Equal("accident"))
	s.Expect(s.restore("accident").Status.AppClaim).To(BeEmpty(), "it would wait for a volume that nobody fills")
	s.Expect(s.restore("accident").Status.PreviousAppClaim).To(BeEmpty())
}

func TestTheOldestBackupIsRestoredWithTheSnapshotThatWasMadeWithIt(t *testing.T) {
	s := newFilesScene(t, "oldest-files") // Its first snapshot ended at five past noon.
	restore := s.order("oldest", v1alpha1.RestoreTarget{Backup: "20260301-120000F"})
	s.pass("oldest")
	s.Expect(s.annotation(meta.AnnotationStoppedFor)).To(Equal("oldest"), "it is not refused")
	s.claim("db-0002")
	s.claim("app-0002")
	s.pass("oldest")
	s.pass("oldest")
	s.Expect(s.filesJob(restore).Spec.Template.Spec.Containers[0].Args).To(ContainElements("--target=2026-03-01T12:05:00Z", "--begun"))

	s = newFilesScene(t, "older-files")
	s.order("older", v1alpha1.RestoreTarget{Backup: "20260228-230000F"})
	s.pass("older")
	s.Expect(s.tells("older", v1alpha1.ConditionComplete)).To(HavePrefix("False TargetOutsideWindow"), "no snapshot can belong to it")
}

func TestRevertingGoesBackToBothVolumes(t *testing.T) {
	s := newFilesScene(t, "undone")
	restore := s.underWay("accident")
	s.ends(s.job(engine.JobRestore, restore), recovered(2))
	s.endsFiles(s.filesJob(restore), nil)
	s.pass("accident")
	set, _ := keeper(s.namespace, nil)
	s.Expect(env.Client.Get(s.ctx, client.ObjectKeyFromObject(set), set)).To(Succeed())
	set.Spec.Template.Spec.Volumes[0].PersistentVolumeClaim.ClaimName = "app-0002" // as the controller of tenants does
	s.Expect(env.Client.Update(s.ctx, set)).To(Succeed())

	restore = s.restore("accident")
	restore.Spec.Decision = v1alpha1.RestoreRevert
	s.Expect(env.Client.Update(s.ctx, restore)).To(Succeed())
	s.clock.SetTime(at(80))
	s.pass("accident")
	s.pass("accident")
	s.ends(s.job(engine.JobRevert, restore), engine.Result{Job: engine.JobRevert, Recovery: &engine.Recovery{Timeline: 3, SystemIdentifier: "7"}})
	s.pass("accident")
	s.Expect(s.annotation(meta.AnnotationDatabaseClaim)).To(Equal("db-0001"))
	s.Expect(s.annotation(meta.AnnotationAppClaim)).To(Equal("app-0001"))
	s.Expect(s.tells("accident", v1alpha1.ConditionAccepted)).To(HavePrefix("False Reverted: the database runs on volume db-0001 with app-0001 again"))
	history, err := parseLineage(map[string]string{meta.AnnotationTimelines: s.annotation(meta.AnnotationTimelines)})
	s.Expect(err).NotTo(HaveOccurred())
	s.Expect(history.without(at(81))).To(Equal([]engine.Span{{From: at(70), Until: at(80)}}), "what was written between restore and revert is left")
}

func TestTheVolumeOfTheApplicationIsTheOneThatTheNamespaceNames(t *testing.T) {
	named := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{meta.AnnotationAppClaim: "app-0003"}}}
	facts := &corev1.ConfigMap{Data: map[string]string{meta.KeyAppClaim: "app-0002"}}
	for name, row := range map[string]struct {
		namespace *corev1.Namespace
		facts     *corev1.ConfigMap
		mounts    string
		want      string
	}{
		"the Namespace says so":         {named, facts, "app-0001", "app-0003"},
		"the annotation is lost":        {&corev1.Namespace{}, facts, "app-0001", "app-0002"},
		"nobody says so":                {&corev1.Namespace{}, nil, "app-0001", "app-0001"},
		"the application keeps no data": {named, facts, "", ""},
	} {
		s := &restoreScope{namespace: row.namespace, facts: row.facts, mounts: row.mounts}
		NewWithT(t).Expect(s.currentAppClaim()).To(Equal(row.want), name)
	}
}

func TestNothingIsBackedUpWhileTheApplicationGoesOverToAnotherVolume(t *testing.T) {
	database := &appsv1.StatefulSet{}
	database.Spec.Template.Spec.Containers = []corev1.Container{{Name: meta.ContainerArchiver}}
	s := &scope{tenant: &v1alpha1.Tenant{}, observed: observed{database: database, namespace: &corev1.Namespace{}, mounts: "app-0001", appClaim: "app-0002"}}
	NewWithT(t).Expect(s.held()).To(Equal("the application goes over to another volume"))
	s.observed.mounts = "app-0002"
	NewWithT(t).Expect(s.held()).To(BeEmpty())
}

func TestARestoreIsRefusedWhileTheApplicationsVolumeIsMissing(t *testing.T) {
	s := newScene(t, "lost-files")
	set, _ := keeper(s.namespace, nil)
	s.create(set)
	s.order("accident", to(10))
	s.pass("accident")
	s.Expect(s.tells("accident", v1alpha1.ConditionComplete)).To(ContainSubstring("volume claim app-0001 of the application is missing: bring it back, or set applicationData: Leave"))
	s.Expect(s.annotation(meta.AnnotationStoppedFor)).To(BeEmpty())
}
