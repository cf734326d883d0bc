// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/backup/engine"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

const (
	firstSnapshot  = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	secondSnapshot = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

// keeper is an application that keeps data on a volume, and its volume.
func keeper(namespace string, labels map[string]string) (*appsv1.StatefulSet, *corev1.PersistentVolumeClaim) {
	pod := map[string]string{v1alpha1.LabelServes: meta.ComponentApp}
	set := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: meta.AppStatefulSet, Namespace: namespace, Labels: labels},
		Spec: appsv1.StatefulSetSpec{ServiceName: "app", Selector: &metav1.LabelSelector{MatchLabels: pod}, Replicas: ptr.To(int32(1)),
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: pod}, Spec: corev1.PodSpec{
				NodeSelector:    map[string]string{"pool": "apps"},
				SecurityContext: &corev1.PodSecurityContext{RunAsUser: ptr.To(int64(4711)), RunAsGroup: ptr.To(int64(4712)), FSGroup: ptr.To(int64(4713))},
				Containers:      []corev1.Container{{Name: meta.ContainerApp, Image: "registry.example/shop:1"}},
				Volumes: []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{
					PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: meta.AppClaim}}}}}}}}
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: meta.AppClaim, Namespace: namespace, Labels: labels},
		Spec: corev1.PersistentVolumeClaimSpec{AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, StorageClassName: ptr.To("slow"),
			Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("3Gi")}}}}
	return set, claim
}

// keepsFiles gives the instance an application that keeps data on a volume.
func (s *stage) keepsFiles() {
	set, claim := keeper(s.namespace(), meta.Labels(s.name, s.instanceID(), ""))
	s.create(claim)
	s.create(set)
}

// container of a Job's pod.
func (s *stage) container(job *batchv1.Job, name string) corev1.Container {
	for _, c := range job.Spec.Template.Spec.Containers {
		if c.Name == name {
			return c
		}
	}
	s.Expect(name).To(BeEmpty(), "the Job has no such container")
	return corev1.Container{}
}

// endBoth ends a Job of two halves.
func (s *stage) endBoth(job *batchv1.Job, database engine.Result, files engine.FilesResult) {
	ended := func(result any, failure *engine.Failure) corev1.ContainerState {
		raw, err := json.Marshal(result)
		s.Expect(err).NotTo(HaveOccurred())
		exit := int32(0)
		if failure != nil {
			exit = 1
		}
		return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: exit, Message: string(raw)}}
	}
	s.pod(job, ended(database, database.Failure).Terminated)
	pod := &corev1.Pod{}
	s.get(job.Name+"-x", pod)
	pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, corev1.ContainerStatus{Name: meta.ContainerFiles, State: ended(files, files.Failure)})
	s.Expect(env.Client.Status().Update(s.ctx, pod)).To(Succeed())
	s.endJob(job, database.Failure == nil && files.Failure == nil, "BackoffLimitExceeded")
}

// snapshot is the result of a good snapshot, of which the destination then holds n.
func (s *stage) snapshot(site, id string, n int) engine.FilesResult {
	now := s.clock.Now()
	made := engine.Snapshot{ID: id, StartedAt: now.Add(-time.Minute), FinishedAt: now, Files: 12, Bytes: 5 << 20, RepositoryBytes: 1 << 20}
	return engine.FilesResult{Job: engine.JobBackup, Destination: site, Snapshot: &made,
		Catalogue: &engine.FilesCatalogue{Snapshots: n, RepositoryBytes: int64(n) << 20, Oldest: &made, Newest: &made, EarliestStarted: made.StartedAt}, Expiry: &engine.Expiry{}}
}

func (s *stage) provenFiles(site, id string) engine.FilesResult {
	return engine.FilesResult{Job: engine.JobVerify, Destination: site, Recovery: &engine.FilesRecovery{Snapshot: engine.Snapshot{ID: id}, Files: 12, Bytes: 5 << 20, Seconds: 7}}
}

func failedFiles(kind, site, reason, message string) engine.FilesResult {
	return engine.FilesResult{Job: kind, Destination: site, Failure: &engine.Failure{Reason: reason, Message: message}}
}

// firstSnapshots brings the Tenant to where both destinations hold a backup of both halves.
func (s *stage) firstSnapshots() {
	s.passes()
	s.after(settleTime)
	for _, site := range []string{"site-a", "site-b"} {
		s.endBoth(s.theJob(engine.JobBackup, site), s.backedUp(site, 1), s.snapshot(site, firstSnapshot, 1))
	}
	s.passes()
}

func TestTheApplicationsDataIsBackedUpBesideTheDatabaseAsItsOwnUser(t *testing.T) {
	s := newStage(t, "files")
	s.keepsFiles()
	s.passes()
	s.after(settleTime)
	job := s.theJob(engine.JobBackup, "site-a")
	pod, half := job.Spec.Template.Spec, s.container(job, meta.ContainerFiles)
	s.Expect(strings.Join(half.Args, " ")).To(HavePrefix("agent backup files run --destination=site-a --instance-id=" + s.instanceID()))
	s.Expect(half.Image).To(Equal("registry.example/postgres:1"))
	s.Expect(*half.SecurityContext.RunAsUser).To(Equal(int64(4711)), "as the application, and not as today's class says")
	s.Expect(*half.SecurityContext.RunAsGroup).To(Equal(int64(4712)))
	s.Expect(pod.SecurityContext.SupplementalGroups).To(ConsistOf(int64(4713)))
	s.Expect(*pod.SecurityContext.FSGroup).To(Equal(int64(meta.UIDPostgres)))
	s.Expect(*half.SecurityContext.ReadOnlyRootFilesystem).To(BeTrue())
	s.Expect(*half.SecurityContext.RunAsNonRoot).To(BeTrue())
	s.Expect(half.SecurityContext.Capabilities.Drop).To(ConsistOf(corev1.Capability("ALL")))
	sees := map[string]bool{}
	for _, m := range half.VolumeMounts {
		sees[m.MountPath] = m.ReadOnly
	}
	s.Expect(sees).To(Equal(map[string]bool{meta.BackupDir: true, meta.FilesDir: true, "/tmp": false}), "nothing of the database, and its own data only to read")
	for _, volume := range pod.Volumes {
		if claim := volume.PersistentVolumeClaim; claim != nil {
			s.Expect(*claim).To(Equal(corev1.PersistentVolumeClaimVolumeSource{ClaimName: meta.AppClaim, ReadOnly: true}), "the kubelet gave it to another group")
		}
	}
	for _, m := range s.container(job, meta.ContainerBackup).VolumeMounts {
		s.Expect(m.MountPath).NotTo(Equal(meta.FilesDir), "the half of the database sees nothing of the application")
	}
	s.Expect(pod.Affinity.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution[0].LabelSelector.MatchLabels).To(
		Equal(map[string]string{v1alpha1.LabelServes: meta.ComponentApp}), "one node has the volume at a time")
	s.Expect(pod.NodeSelector).To(Equal(map[string]string{"pool": "apps"}))

	s.endBoth(job, s.backedUp("site-a", 1), s.snapshot("site-a", firstSnapshot, 1))
	s.passes()
	files := s.site("site-a").Files
	s.Expect(*files.Files).To(Equal(int64(12)))
	s.Expect(files.LastSnapshot.Time).To(BeTemporally("==", s.clock.Now()))
	s.Expect(text(s.site("site-a").Conditions, v1alpha1.ConditionBackedUp)).To(And(HavePrefix("True Fresh"), ContainSubstring("the newest snapshot of the application's data is of "+moment(s.clock.Now()))))
	s.Expect(s.backup(job.Name).Status.Snapshot.ID).To(Equal(firstSnapshot))
	s.Expect(text(s.site("site-a").Conditions, v1alpha1.ConditionRetained)).To(ContainSubstring("1 snapshot of the application's data"))
	data := s.secret(s.namespace(), meta.BackupFilesSecret).Data
	s.Expect(data).To(HaveKey("site-a" + meta.ResticSuffix))
	s.Expect(s.secret(s.namespace(), meta.BackupSecret).Data).NotTo(HaveKey(HaveSuffix(meta.ResticSuffix)), "the database pod gets nothing of it")
}

func TestEachHalfOfABackupIsJudgedByItself(t *testing.T) {
	s := newStage(t, "halves")
	s.keepsFiles()
	s.passes()
	s.after(settleTime)
	a, b := s.theJob(engine.JobBackup, "site-a"), s.theJob(engine.JobBackup, "site-b")
	s.endBoth(a, s.backedUp("site-a", 1), failedFiles(engine.JobBackup, "site-a", engine.FailedFull, "no space left"))
	s.endBoth(b, failed(engine.JobBackup, "site-b", engine.FailedDatabase, "no answer"), s.snapshot("site-b", firstSnapshot, 1))
	s.passes()
	s.Expect(s.site("site-a").LastBackup).NotTo(BeNil(), "the database's half is good")
	s.Expect(s.site("site-a").Files.LastSnapshot).To(BeNil())
	s.Expect(s.site("site-b").LastBackup).To(BeNil())
	s.Expect(s.site("site-b").Files.LastSnapshot).NotTo(BeNil())
	s.Expect(text(s.backup(a.Name).Status.Conditions, v1alpha1.ConditionComplete)).To(HavePrefix("False Failed: Full: the application's data: no space left; the database is good"))
	s.Expect(text(s.backup(b.Name).Status.Conditions, v1alpha1.ConditionComplete)).To(HavePrefix("False Failed: DatabaseUnreachable: the database: no answer; the application's data is good"))
	s.Expect(text(s.site("site-a").Conditions, v1alpha1.ConditionBackedUp)).To(And(HavePrefix("False BackupFailed: there is no snapshot of the application's data"), ContainSubstring("no space left")))
	s.Expect(text(s.site("site-b").Conditions, v1alpha1.ConditionBackedUp)).To(And(HavePrefix("False BackupFailed: there is no base backup"), ContainSubstring("no answer")))

	s.after(firstPause)
	s.after(settleTime)
	again := s.theJob(engine.JobBackup, "site-a")
	s.pod(again, &corev1.ContainerStateTerminated{Message: string(must(json.Marshal(s.backedUp("site-a", 2))))}) // and nothing of the other
	s.endJob(again, false, "BackoffLimitExceeded")
	s.passes()
	s.Expect(*s.site("site-a").Backups).To(Equal(int32(2)))
	s.Expect(text(s.site("site-a").Conditions, v1alpha1.ConditionBackedUp)).To(ContainSubstring("ended without a result"))
}

func must(raw []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return raw
}

func TestAnOldSnapshotOfTheApplicationsDataIsNoBackup(t *testing.T) {
	s := newStage(t, "stale-files")
	s.keepsFiles()
	s.firstSnapshots()
	s.Expect(s.condition(v1alpha1.ConditionBackedUp)).To(HavePrefix("True Fresh"))
	for range 2 {
		s.after(20 * time.Hour)
		for _, site := range []string{"site-a", "site-b"} {
			s.endBoth(s.scheduled(site, "nightly-"+site+"-"+s.clock.Now().Format("0215")), s.backedUp(site, 2), failedFiles(engine.JobBackup, site, engine.FailedEngine, "permission denied"))
		}
		s.passes()
	}
	s.Expect(s.condition(v1alpha1.ConditionBackedUp)).To(And(HavePrefix("False BackupFailed"),
		ContainSubstring("the newest snapshot of the application's data is of"), ContainSubstring("older than 30 hours")))
}

func TestAProofIsOneOfBothHalves(t *testing.T) {
	s := newStage(t, "proof-files")
	s.keepsFiles()
	s.firstSnapshots()
	s.after(settleTime)
	job := s.theJob(engine.JobVerify, "site-a")
	half := s.container(job, meta.ContainerFiles)
	s.Expect(strings.Join(half.Args, " ")).To(HavePrefix("agent backup files verify --destination=site-a --instance-id=" + s.instanceID()))
	s.Expect(half.VolumeMounts).To(ContainElement(HaveField("MountPath", meta.FilesDir)))
	for _, volume := range job.Spec.Template.Spec.Volumes {
		s.Expect(volume.PersistentVolumeClaim).To(BeNil(), "a proof touches no volume of the instance")
		if volume.Name == "files" {
			s.Expect(volume.Ephemeral.VolumeClaimTemplate.Spec.Resources.Requests.Storage().String()).To(Equal("3Gi"))
			s.Expect(*volume.Ephemeral.VolumeClaimTemplate.Spec.StorageClassName).To(Equal("slow"))
		}
		if volume.Name == "files-secret" {
			s.Expect(volume.Secret.SecretName).To(Equal(meta.BackupFilesSecret), "a proof cannot delete")
		}
	}
	s.Expect(job.Spec.Template.Spec.Affinity).To(BeNil())
	s.endBoth(job, s.proven("site-a"), failedFiles(engine.JobVerify, "site-a", engine.FailedDamaged, "pack 7 is damaged"))
	s.passes()
	s.collectGarbage()
	s.Expect(s.site("site-a").LastVerified).NotTo(BeNil(), "the database's half is proven")
	s.Expect(s.site("site-a").Files.LastVerified).To(BeNil())
	s.Expect(s.condition(v1alpha1.ConditionRecoverable)).To(And(HavePrefix("False VerificationFailed"), ContainSubstring("the application's data: pack 7 is damaged")))

	s.after(settleTime)
	s.after(settleTime)
	s.endBoth(s.theJob(engine.JobVerify, "site-b"), s.proven("site-b"), s.provenFiles("site-b", firstSnapshot))
	s.passes()
	s.collectGarbage()
	s.Expect(text(s.site("site-b").Conditions, v1alpha1.ConditionRecoverable)).To(And(HavePrefix("True Fresh"), ContainSubstring("snapshot aaaaaaaa of the application's data")))
	s.Expect(*s.site("site-b").Files.RecoverySeconds).To(Equal(int32(7)))

	s.after(proofPause)
	s.after(settleTime)
	s.endBoth(s.theJob(engine.JobVerify, "site-a"), s.proven("site-a"), s.provenFiles("site-a", firstSnapshot))
	s.passes()
	s.Expect(s.condition(v1alpha1.ConditionRecoverable)).To(HavePrefix("True Fresh"))
	s.Expect(s.site("site-a").Files.VerifiedSnapshot).To(Equal(firstSnapshot))
	s.after(settleTime)
	cronJob := s.cronJob("site-a").Spec.JobTemplate.Spec.Template.Spec.Containers
	s.Expect(cronJob[1].Args).To(ContainElement("--verified="+firstSnapshot), "what was proven bounds what is removed")
}

func TestWhereNothingOfTheApplicationIsToBeBackedUpNothingIs(t *testing.T) {
	s := newStage(t, "skip-files", func(p *v1alpha1.BackupPolicy) { p.Spec.ApplicationData = v1alpha1.ApplicationDataSkip })
	s.keepsFiles()
	s.passes()
	s.after(settleTime)
	job := s.theJob(engine.JobBackup, "site-a")
	s.Expect(job.Spec.Template.Spec.Containers).To(HaveLen(1))
	s.Expect(job.Spec.Template.Spec.Affinity).To(BeNil())
	s.end(job, s.backedUp("site-a", 1))
	s.end(s.theJob(engine.JobBackup, "site-b"), s.backedUp("site-b", 1))
	s.passes()
	s.Expect(s.condition(v1alpha1.ConditionBackedUp)).To(HavePrefix("True Fresh"))
	s.Expect(s.site("site-a").Files).To(BeNil())
	err := env.Client.Get(s.ctx, client.ObjectKey{Namespace: s.namespace(), Name: meta.BackupFilesSecret}, &corev1.Secret{})
	s.Expect(client.IgnoreNotFound(err)).To(Succeed())
	s.Expect(err).To(HaveOccurred())
}

func TestExpiryOfSnapshotsIsJudged(t *testing.T) {
	now := time.Now()
	old := &engine.Snapshot{ID: firstSnapshot, StartedAt: now.Add(-200 * 24 * time.Hour)}
	base := facts{now: now, files: true, policy: v1alpha1.BackupPolicySpec{Retention: v1alpha1.BackupRetention{BackupDays: 180}}}
	for name, row := range map[string]struct {
		files engine.FilesResult
		want  string
	}{
		"could not be removed":                 {engine.FilesResult{Expiry: &engine.Expiry{Failure: &engine.Failure{Message: "locked"}}}, v1alpha1.ReasonExpiryFailed},
		"kept, since none is good":             {engine.FilesResult{Expiry: &engine.Expiry{Held: true}}, v1alpha1.ReasonExpiryHeld},
		"overdue":                              {engine.FilesResult{Expiry: &engine.Expiry{}, Catalogue: &engine.FilesCatalogue{Snapshots: 1, Oldest: old, EarliestStarted: old.StartedAt}}, v1alpha1.ReasonExpiryFailed},
		"kept for the window":                  {engine.FilesResult{Expiry: &engine.Expiry{HeldForWindow: true}, Catalogue: &engine.FilesCatalogue{Snapshots: 1, Oldest: old, EarliestStarted: old.StartedAt}}, v1alpha1.ReasonFresh},
		"overdue, and files are missing in it": {engine.FilesResult{Expiry: &engine.Expiry{}, Catalogue: &engine.FilesCatalogue{Unfinished: 1, EarliestStarted: old.StartedAt}}, v1alpha1.ReasonExpiryFailed},
		"could not be listed":                  {engine.FilesResult{Failure: &engine.Failure{Reason: engine.FailedUnreachable, Message: "no answer"}}, v1alpha1.ReasonStale},
		"none is there":                        {engine.FilesResult{Expiry: &engine.Expiry{}, Catalogue: &engine.FilesCatalogue{}}, v1alpha1.ReasonFresh},
	} {
		f := base
		f.backupSeen = &resultSeen{files: &row.files, ended: now}
		if got := f.filesRetained(yes(v1alpha1.ReasonFresh, "well")); got.reason != row.want {
			t.Errorf("%s: %s %s, want %s", name, got.reason, got.message, row.want)
		}
	}
}

func TestASnapshotInWhichFilesAreMissingCountsForNothing(t *testing.T) {
	s := newStage(t, "unfinished")
	s.keepsFiles()
	s.passes()
	s.after(settleTime)
	job := s.theJob(engine.JobBackup, "site-a")
	half := s.snapshot("site-a", firstSnapshot, 0)
	half.Snapshot.Unfinished, half.Catalogue.Unfinished = true, 1
	half.Catalogue.Oldest, half.Catalogue.Newest = nil, nil
	half.Failure = &engine.Failure{Reason: engine.FailedEngine, Message: "2 files could not be read"}
	s.endBoth(job, s.backedUp("site-a", 1), half)
	s.endBoth(s.theJob(engine.JobBackup, "site-b"), s.backedUp("site-b", 1), s.snapshot("site-b", firstSnapshot, 1))
	s.passes()
	s.Expect(text(s.site("site-a").Conditions, v1alpha1.ConditionBackedUp)).To(And(HavePrefix("False BackupFailed: there is no snapshot"), ContainSubstring("2 files could not be read")))
	s.Expect(text(s.site("site-a").Conditions, v1alpha1.ConditionRetained)).To(ContainSubstring("and 0 snapshots of the application's data and 1 in which files are missing, which are never restored"))
	s.Expect(s.backup(job.Name).Status.Snapshot).To(BeNil(), "a Restore of this Backup would take it")
	s.Expect(s.site("site-a").Files.FirstSnapshot).To(BeNil(), "nothing can be restored from there")
	s.after(settleTime)
	s.Expect(s.theJob(engine.JobVerify, "site-a").Spec.Template.Spec.Containers).To(HaveLen(1), "there is nothing of the application to prove")
}

func TestSnapshotsThatSomebodyRemovedAreMissed(t *testing.T) {
	three, one := 3, 1
	had := v1alpha1.DestinationStatus{Files: &v1alpha1.FilesStatus{Snapshots: ptr.To(int32(3)), LastSnapshot: timeOf(at(-600))}}
	made := &engine.Snapshot{FinishedAt: noon}
	for name, row := range map[string]struct {
		files engine.FilesResult
		want  string
	}{
		"all are there":                {engine.FilesResult{Found: &three, Snapshot: made}, ""},
		"some are gone":                {engine.FilesResult{Found: &one, Snapshot: made}, "2 snapshots of the application's data"},
		"some are gone, none was made": {engine.FilesResult{Found: &one, Failure: &engine.Failure{}}, "2 snapshots of the application's data"},
		"files are missing in the new": {engine.FilesResult{Found: &one, Snapshot: &engine.Snapshot{FinishedAt: at(-700), Unfinished: true}}, "2 snapshots of the application's data"},
		"the same result again":        {engine.FilesResult{Found: &one, Snapshot: &engine.Snapshot{FinishedAt: at(-600)}}, ""},
		"nobody knows what was there":  {engine.FilesResult{}, ""},
	} {
		f := good()
		f.backupSeen = &resultSeen{files: &row.files, ended: noon, before: had}
		NewWithT(t).Expect(f.missingText()).To(Equal(row.want), name)
		v, lost := f.lost()
		NewWithT(t).Expect(lost).To(Equal(row.want != ""), name)
		NewWithT(t).Expect(v.message).To(ContainSubstring(row.want), name)
	}
}

func TestWhatIsKnownOfSnapshotsAfterAJobThatWasKilledWhileItRemoved(t *testing.T) {
	d := &destination{}
	catalogue := &engine.FilesCatalogue{Snapshots: 9}
	d.takeFiles(&engine.FilesResult{Catalogue: catalogue, Expiry: &engine.Expiry{Planned: 4}}, noon)
	NewWithT(t).Expect(*d.status.Files.Snapshots).To(Equal(int32(5)), "so many at least")
	d.takeFiles(&engine.FilesResult{Expiry: &engine.Expiry{Unknown: true}}, noon)
	NewWithT(t).Expect(d.status.Files.Snapshots).To(BeNil(), "nobody knows whether it had begun")
}

func TestARepositoryOfApplicationDataThatWasRemovedIsMadeAnewOnceAPersonHasSeenIt(t *testing.T) {
	s := newStage(t, "gone-files")
	s.keepsFiles()
	s.firstSnapshots()
	held := func() []string {
		return s.cronJob("site-a").Spec.JobTemplate.Spec.Template.Spec.Containers[1].Args
	}
	s.Expect(held()).To(ContainElement("--held"), "it is known to hold something")
	s.Expect(s.cronJob("site-a").Spec.JobTemplate.Spec.Template.Spec.Containers[0].Args).To(ContainElement("--held"), "and so is the database's half, proven or not")
	s.after(20 * time.Hour)
	refused := failedFiles(engine.JobBackup, "site-a", engine.FailedDamaged, "the repository is gone")
	refused.Found, refused.Catalogue = new(int), &engine.FilesCatalogue{}
	s.endBoth(s.scheduled("site-a", "nightly"), s.backedUp("site-a", 2), refused)
	s.passes()
	a := s.site("site-a")
	s.Expect(text(a.Conditions, v1alpha1.ConditionBackedUp)).To(HavePrefix("False BackupFailed: there is no snapshot of the application's data; the attempt of"))
	s.Expect(text(a.Conditions, v1alpha1.ConditionRetained)).To(And(HavePrefix("False BackupsMissing"), ContainSubstring("the destination held 1 snapshot of the application's data fewer")))
	s.Expect(held()).To(ContainElement("--held"))

	s.after(time.Second)
	s.changeTenant(func(t *v1alpha1.Tenant) {
		t.Annotations = map[string]string{v1alpha1.AnnotationMissingBackupsSeen: s.clock.Now().UTC().Format(time.RFC3339)}
	})
	s.passes()
	s.Expect(held()).NotTo(ContainElement("--held"))
	s.after(time.Hour)
	s.endBoth(s.scheduled("site-a", "nightly-2"), s.backedUp("site-a", 3), s.snapshot("site-a", secondSnapshot, 1))
	s.passes()
	s.Expect(text(s.site("site-a").Conditions, v1alpha1.ConditionBackedUp)).To(HavePrefix("True Fresh"))
	s.Expect(text(s.site("site-a").Conditions, v1alpha1.ConditionRetained)).To(HavePrefix("True Fresh"))
	s.Expect(held()).To(ContainElement("--held"), "it holds something again")
}

func TestSnapshotsThatNobodyLooksAtAreNotRetainedForLongerThanTheyShould(t *testing.T) {
	for name, row := range map[string]struct {
		suspended bool
		days      int
		want      string
	}{
		"young":                {true, 181, v1alpha1.ReasonFresh},
		"old, suspended":       {true, 183, "resume it"},
		"old, not backed up":   {false, 183, "applicationData"},
		"young, not backed up": {false, 10, v1alpha1.ReasonFresh},
	} {
		f := good()
		f.suspended, f.backupSeen = row.suspended, &resultSeen{ended: noon}
		f.status.Files = &v1alpha1.FilesStatus{FirstSnapshot: timeOf(noon.Add(-time.Duration(row.days) * 24 * time.Hour))}
		got := f.filesRetained(yes(v1alpha1.ReasonFresh, "well"))
		NewWithT(t).Expect(got.reason+" "+got.message).To(ContainSubstring(row.want), name)
		NewWithT(t).Expect(got.good()).To(Equal(row.want == v1alpha1.ReasonFresh), name)
	}
}

func TestWhichSnapshotsARestoreLeft(t *testing.T) {
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	hour := func(h int) time.Time { return noon.Add(time.Duration(h) * time.Hour) }
	// At 5 the data went back to 2, at 9 to 7; at 11 only the database went back.
	history := lineage{{Number: 2, Since: hour(5), FilesFrom: hour(2)}, {Number: 3, Since: hour(9), FilesFrom: hour(7)}, {Number: 4, Since: hour(11)}}
	first, second := engine.Span{From: hour(2), Until: hour(5)}, engine.Span{From: hour(7), Until: hour(9)}
	for name, row := range map[string]struct {
		moment time.Time
		want   []engine.Span
	}{
		"before anything":              {hour(1), nil},
		"what the first one left":      {hour(4), nil},
		"after the first":              {hour(6), []engine.Span{first}},
		"what the second one left":     {hour(8), []engine.Span{first}},
		"after both":                   {hour(10), []engine.Span{second, first}},
		"the latest":                   {time.Time{}, []engine.Span{second, first}},
		"the moment of the first":      {hour(5), []engine.Span{first}},
		"after the database went back": {hour(12), []engine.Span{second, first}},
	} {
		NewWithT(t).Expect(history.without(row.moment)).To(Equal(row.want), name)
	}
}

func TestAMissingVolumeOfTheApplicationIsNoGoodBackup(t *testing.T) {
	s := &scope{observed: observed{mounts: "app-0001", policy: &v1alpha1.BackupPolicy{}}}
	NewWithT(t).Expect(s.backsUpFiles()).To(BeFalse(), "the database alone is backed up")
	f := good()
	f.lostClaim = s.lostClaim()
	for _, v := range []verdict{f.filesBackedUp(f.backedUp()), f.filesRecoverable(f.recoverable())} {
		NewWithT(t).Expect(v.reason + v.message).To(HavePrefix(v1alpha1.ReasonVolumeLost + "volume claim app-0001 of the application is missing"))
		NewWithT(t).Expect(v.good()).To(BeFalse())
	}
	s.observed.application = &application{}
	NewWithT(t).Expect(s.lostClaim()).To(BeEmpty())
}
