// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"fmt"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/backup/engine"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

func TestATenantIsBackedUpToEachDestinationFromTheBeginning(t *testing.T) {
	s := newStage(t, "first")
	s.passes()
	s.Expect(s.condition(v1alpha1.ConditionBackedUp)).To(HavePrefix("False AwaitingFirst"))
	s.Expect(*s.cronJob("site-a").Spec.Suspend).To(BeTrue(), "the first backup is the operator's")
	s.Expect(s.jobs(engine.JobBackup, "site-a")).To(BeEmpty(), "Kubernetes may just be making one")

	s.after(settleTime)
	job := s.theJob(engine.JobBackup, "site-a")
	s.Expect(job.Spec.Template.Labels).To(HaveKeyWithValue(v1alpha1.LabelPolicy, meta.ComponentBackup))
	s.Expect(argument(job, "destination")).To(Equal("site-a"))
	s.end(job, s.backedUp("site-a", 1))
	s.passes()
	s.Expect(*s.cronJob("site-b").Spec.Suspend).To(BeTrue())
	s.Expect(s.condition(v1alpha1.ConditionBackedUp)).To(HavePrefix("False AwaitingFirst: site-b"), "the whole is as good as its worst part")
	s.Expect(text(s.site("site-a").Conditions, v1alpha1.ConditionBackedUp)).To(HavePrefix("True Fresh"))

	s.end(s.theJob(engine.JobBackup, "site-b"), s.backedUp("site-b", 1))
	s.passes()
	s.Expect(s.condition(v1alpha1.ConditionBackedUp)).To(HavePrefix("True Fresh"))
	s.after(time.Minute)
	s.Expect(s.condition(v1alpha1.ConditionPointInTimeRecoverable)).To(HavePrefix("True Fresh"))
}

func TestAnIncompleteProofIsNoProof(t *testing.T) {
	s := newStage(t, "proof")
	s.firstBackups()
	s.after(settleTime)
	job := s.theJob(engine.JobVerify, "site-a")
	s.Expect(job.Spec.Template.Labels).To(HaveKeyWithValue(v1alpha1.LabelPolicy, meta.ComponentRestore))
	s.Expect(argument(job, "system-identifier")).To(Equal("7000000000000000001"))
	s.Expect(*s.cronJob("site-a").Spec.Suspend).To(BeTrue(), "nothing else works on a repository that is verified")
	s.Expect(*s.cronJob("site-b").Spec.Suspend).To(BeFalse())
	s.Expect(s.jobs(engine.JobVerify, "site-b")).To(BeEmpty(), "one at a time fits into a tenant's quota")

	s.end(job, failed(engine.JobVerify, "site-a", engine.FailedUnreachable, "no answer"))
	s.passes()
	s.Expect(s.condition(v1alpha1.ConditionRecoverable)).To(HavePrefix("False AwaitingFirst"), "an unreachable destination says nothing about the backup")
	s.collectGarbage()
	s.after(settleTime)
	s.Expect(s.jobs(engine.JobVerify, "site-b")).To(HaveLen(1), "the other destination does not wait")
}

func TestABackupThatIsNotGoodIsSaidSoUntilOneIs(t *testing.T) {
	s := newStage(t, "damaged")
	s.converged()
	s.after(8 * 24 * time.Hour)
	s.backups()
	s.after(settleTime)
	job := s.theJob(engine.JobVerify, "site-a")
	result := failed(engine.JobVerify, "site-a", engine.FailedDamaged, "checksum of file 3 is wrong")
	result.Recovery = &engine.Recovery{Backup: "20260301-013000F"}
	s.end(job, result)
	s.passes()
	s.collectGarbage()
	s.Expect(s.condition(v1alpha1.ConditionRecoverable)).To(And(HavePrefix("False VerificationFailed"), ContainSubstring("backup 20260301-013000F of destination site-a"), ContainSubstring("checksum of file 3")))
	s.Expect(s.site("site-a").VerifiedBackup).To(Equal("20260101-013000F"), "what was good stays what protects from expiry")

	s.restart()
	s.after(settleTime)
	s.after(settleTime)
	s.Expect(s.condition(v1alpha1.ConditionRecoverable)).To(HavePrefix("False VerificationFailed"), "a restarted operator knows it, too")
	s.Expect(s.jobs(engine.JobVerify, "site-a")).To(BeEmpty())
	s.end(s.theJob(engine.JobVerify, "site-b"), s.proven("site-b")) // In the meantime it was the other's turn.
	s.passes()
	s.after(proofPause)
	s.after(settleTime)
	s.end(s.theJob(engine.JobVerify, "site-a"), s.proven("site-a"))
	s.passes()
	s.Expect(s.condition(v1alpha1.ConditionRecoverable)).To(HavePrefix("True Fresh"))
}

func TestEvidenceThatIsTooOldIsUnknown(t *testing.T) {
	s := newStage(t, "old")
	s.converged()
	s.after(31 * 24 * time.Hour)
	s.Expect(s.condition(v1alpha1.ConditionBackedUp)).To(HavePrefix("False BackupOverdue"))
	s.Expect(s.condition(v1alpha1.ConditionRecoverable)).To(HavePrefix("Unknown Stale"))
	s.Expect(s.condition(v1alpha1.ConditionRetained)).To(HavePrefix("Unknown Stale"))
	s.silent = errSilent
	s.after(time.Minute)
	s.Expect(s.condition(v1alpha1.ConditionPointInTimeRecoverable)).To(HavePrefix("True"), "a report counts for some minutes")
	s.after(4 * time.Minute)
	s.Expect(s.condition(v1alpha1.ConditionPointInTimeRecoverable)).To(And(HavePrefix("Unknown NoReport"), ContainSubstring("i/o timeout")))
}

func TestAFailedBackupIsRepeatedWithGrowingPausesAndBlocksNothing(t *testing.T) {
	s := newStage(t, "repeats")
	s.passes()
	s.after(settleTime)
	s.end(s.theJob(engine.JobBackup, "site-b"), s.backedUp("site-b", 1))
	s.end(s.theJob(engine.JobBackup, "site-a"), failed(engine.JobBackup, "site-a", engine.FailedRefused, "403 Forbidden"))
	s.passes()
	s.Expect(s.condition(v1alpha1.ConditionBackedUp)).To(And(HavePrefix("False BackupFailed: site-a"), ContainSubstring("Refused: 403 Forbidden")))
	s.Expect(*s.cronJob("site-a").Spec.Suspend).To(BeFalse(), "the schedule is not blocked")
	s.Expect(s.jobs(engine.JobBackup, "site-a")).To(BeEmpty())
	s.Expect(s.told()).To(ContainSubstring("Warning BackupFailed"))

	s.after(firstPause)
	s.after(settleTime)
	second := s.theJob(engine.JobBackup, "site-a")
	s.endJob(second, false, "DeadlineExceeded") // its pod never ran
	s.passes()
	s.Expect(s.condition(v1alpha1.ConditionBackedUp)).To(ContainSubstring("was ended since it took longer than 43200 s"))
	s.after(firstPause)
	s.Expect(s.jobs(engine.JobBackup, "site-a")).To(BeEmpty(), "the pause grows")
	s.after(firstPause)
	s.after(settleTime)
	s.end(s.theJob(engine.JobBackup, "site-a"), s.backedUp("site-a", 1))
	s.passes()
	s.Expect(s.condition(v1alpha1.ConditionBackedUp)).To(HavePrefix("True Fresh"))
}

func TestABackupThatTheCronJobMissedIsMadeUpFor(t *testing.T) {
	s := newStage(t, "missed")
	s.converged()
	s.after(overdueAfter - time.Minute)
	s.Expect(s.jobs(engine.JobBackup, "site-a")).To(BeEmpty())
	s.after(time.Minute)
	s.after(settleTime)
	s.Expect(s.jobs(engine.JobBackup, "site-a")).To(HaveLen(1))
}

func TestTheOperatorWaitsForTheCronJobsJob(t *testing.T) {
	s := newStage(t, "waits")
	s.converged()
	scheduled := s.scheduled("site-a", "backup-site-a-29600000")
	s.create(&v1alpha1.Backup{ObjectMeta: metav1.ObjectMeta{Name: "by-hand", Namespace: s.namespace()},
		Spec: v1alpha1.BackupSpec{Destination: "site-a", Type: v1alpha1.BackupFull}})
	s.after(settleTime)
	s.after(settleTime)
	s.Expect(s.jobs(engine.JobBackup, "site-a")).To(HaveLen(1), "never two on one repository")
	s.Expect(text(s.backup("by-hand").Status.Conditions, v1alpha1.ConditionComplete)).To(And(HavePrefix("False Waiting"), ContainSubstring("backup-site-a-29600000")))

	s.end(scheduled, s.backedUp("site-a", 2))
	s.passes()
	s.Expect(text(s.backup("backup-site-a-29600000").Status.Conditions, v1alpha1.ConditionComplete)).To(HavePrefix("True Succeeded"), "scheduled ones are recorded")
	s.after(settleTime)
	job := s.theJob(engine.JobBackup, "site-a")
	s.Expect(argument(job, "type")).To(Equal("Full"))
	s.Expect(text(s.backup("by-hand").Status.Conditions, v1alpha1.ConditionComplete)).To(HavePrefix("False Running"))
	s.clock.SetTime(s.clock.Now().Add(time.Minute))
	s.end(job, s.backedUp("site-a", 3))
	s.passes()
	made := s.backup("by-hand")
	s.Expect(text(made.Status.Conditions, v1alpha1.ConditionComplete)).To(HavePrefix("True Succeeded"))
	s.Expect(made.Status.RepositorySize.Value()).To(Equal(int64(3 << 20)))
	s.Expect(*s.site("site-a").Backups).To(Equal(int32(3)))
	s.after(settleTime)
	s.Expect(s.jobs(engine.JobBackup, "site-a")).To(BeEmpty(), "it is made once")
	s.Expect(*s.cronJob("site-a").Spec.Suspend).To(BeFalse())
}

func TestABackupToADestinationThatThereIsNotIsRefused(t *testing.T) {
	s := newStage(t, "stray")
	s.create(&v1alpha1.Backup{ObjectMeta: metav1.ObjectMeta{Name: "by-hand", Namespace: s.namespace()}, Spec: v1alpha1.BackupSpec{Destination: "site-x"}})
	s.passes()
	s.Expect(text(s.backup("by-hand").Status.Conditions, v1alpha1.ConditionComplete)).To(And(HavePrefix("False Failed"), ContainSubstring("has no destination site-x")))
}

func TestOnlyTheNewestRecordsAreKept(t *testing.T) {
	s := newStage(t, "history")
	s.firstBackups()
	for i := range history + 1 {
		s.clock.SetTime(s.clock.Now().Add(time.Minute))
		s.end(s.scheduled("site-a", fmt.Sprintf("backup-site-a-%d", i)), s.backedUp("site-a", i+2))
		s.passes()
	}
	s.passes()
	var all v1alpha1.BackupList
	s.Expect(env.Client.List(s.ctx, &all, client.InNamespace(s.namespace()), client.MatchingLabels{v1alpha1.LabelDestination: "site-a"})).To(Succeed())
	s.Expect(all.Items).To(HaveLen(history))
	s.Expect(*s.site("site-a").Backups).To(Equal(int32(history+2)), "nothing is removed from the destination")
}

func TestADestinationThatDoesNotAnswerIsNamedAndTheOtherIsNot(t *testing.T) {
	s := newStage(t, "down")
	s.converged()
	since := s.clock.Now()
	s.archive = func() engine.Report {
		report := s.healthy()
		report.Destinations[0].AnsweredAt, report.Destinations[0].Until = since, since.Add(-time.Minute)
		report.Destinations[0].Failure, report.Destinations[0].Since = &engine.Failure{Reason: engine.FailedUnreachable, Message: "timeout"}, since
		return report
	}
	s.after(2 * time.Minute)
	s.Expect(s.condition(v1alpha1.ConditionPointInTimeRecoverable)).To(HavePrefix("True"), "a destination may be silent for a moment")
	s.after(3 * time.Minute)
	s.Expect(s.condition(v1alpha1.ConditionPointInTimeRecoverable)).To(And(HavePrefix("False Unreachable: site-a"), ContainSubstring("since "+moment(since)), ContainSubstring("timeout")))
	s.Expect(text(s.site("site-b").Conditions, v1alpha1.ConditionPointInTimeRecoverable)).To(HavePrefix("True Fresh"))
	s.archive = s.healthy
	s.after(time.Minute)
	s.Expect(s.condition(v1alpha1.ConditionPointInTimeRecoverable)).To(HavePrefix("True Fresh"))
}

func TestASuspendedInstanceIsNotBackedUpAndSaysSo(t *testing.T) {
	s := newStage(t, "suspended")
	s.converged()
	s.changeTenant(func(t *v1alpha1.Tenant) { t.Spec.Suspended = true })
	s.ready(0)
	asked := s.asked
	s.after(48 * time.Hour)
	s.Expect(*s.cronJob("site-a").Spec.Suspend).To(BeTrue())
	s.Expect(s.jobs(engine.JobBackup, "site-a")).To(BeEmpty())
	s.Expect(s.asked).To(Equal(asked), "its archiver does not run")
	for _, kind := range owned[:2] {
		s.Expect(s.condition(kind)).To(HavePrefix("True InstanceSuspended"))
	}
	s.after(settleTime)
	for _, site := range []string{"site-a", "site-b"} {
		s.end(s.theJob(engine.JobExpire, site), s.expired(site))
	}
	s.changeTenant(func(t *v1alpha1.Tenant) { t.Spec.Suspended = false })
	s.ready(1)
	s.after(settleTime)
	s.after(settleTime)
	s.Expect(s.jobs(engine.JobBackup, "site-a")).To(HaveLen(1), "what was missed is made up for")
}

func TestWhileARestoreHasTheDatabaseNothingElseWorks(t *testing.T) {
	s := newStage(t, "restoring")
	s.converged()
	namespace := &corev1.Namespace{}
	s.Expect(env.Client.Get(s.ctx, client.ObjectKey{Name: s.namespace()}, namespace)).To(Succeed())
	namespace.Annotations = map[string]string{meta.AnnotationStoppedFor: "back-to-noon"}
	s.Expect(env.Client.Update(s.ctx, namespace)).To(Succeed())
	s.after(30 * 24 * time.Hour)
	s.Expect(*s.cronJob("site-a").Spec.Suspend).To(BeTrue())
	for _, kind := range []string{engine.JobBackup, engine.JobVerify} {
		s.Expect(s.jobs(kind, "site-a")).To(BeEmpty())
	}
}

func TestARevisionThatDoesNotArchiveNeedsTheUpdate(t *testing.T) {
	s := newStage(t, "before")
	set := &appsv1.StatefulSet{}
	s.get(meta.DatabaseStatefulSet, set)
	set.Spec.Template.Spec.Containers = set.Spec.Template.Spec.Containers[:1]
	s.Expect(env.Client.Update(s.ctx, set)).To(Succeed())
	s.after(settleTime)
	s.after(settleTime)
	for _, kind := range owned {
		s.Expect(s.condition(kind)).To(HavePrefix("False UpdateRequired"))
	}
	s.Expect(s.jobs(engine.JobBackup, "site-a")).To(BeEmpty())
	s.Expect(s.asked).To(BeZero())
	s.secret(s.namespace(), meta.BackupSecret) // The update finds it there.
}

func TestAJobThatOnlyTheCacheStillShowsSaysNothing(t *testing.T) {
	s := newStage(t, "ghost")
	s.firstBackups()
	s.after(settleTime)
	job := s.theJob(engine.JobVerify, "site-a")
	s.end(job, s.proven("site-a"))
	s.passes()
	s.collectGarbage() // The Job was read and removed, and its pod with it.
	s.Expect(s.site("site-a").LastVerified).NotTo(BeNil())
	s.told()

	late := s.look(job)
	s.Expect(s.reconciler.collect(s.ctx, late)).To(Succeed())
	s.Expect(late.collected).To(BeEmpty())
	s.Expect(late.destination("site-a").proofSeen).To(BeNil(), "the good proof stands")
	s.Expect(s.told()).To(BeEmpty())
}

func TestAJobThatEndedWellIsNotReadBeforeItsPodHasTold(t *testing.T) {
	s := newStage(t, "early")
	s.firstBackups()
	s.after(settleTime)
	job := s.theJob(engine.JobVerify, "site-a")
	s.endJob(job, true, "")
	early := s.look()
	s.Expect(s.reconciler.collect(s.ctx, early)).To(Succeed())
	s.Expect(early.collected).To(BeEmpty())
	s.Expect(early.again).To(Equal(5 * time.Second))

	s.clock.SetTime(s.clock.Now().Add(resultPatience))
	late := s.look()
	s.Expect(s.reconciler.collect(s.ctx, late)).To(Succeed())
	s.Expect(late.collected).To(HaveLen(1))
	s.Expect(late.destination("site-a").proofSeen.Failure.Reason).To(Equal(engine.FailedNoResult), "it must not wait for ever")
	s.passes()
	s.Expect(s.site("site-a").Conditions).NotTo(ContainElement(HaveField("Reason", v1alpha1.ReasonVerificationFailed)), "nobody found a backup wanting")
}

func TestBackupsThatAreMissingAreSaidToBeUntilSomebodyHasSeenIt(t *testing.T) {
	s := newStage(t, "missing")
	s.converged()
	again := func(holds int, edits ...func(*engine.Result)) {
		s.after(26 * time.Hour)
		s.after(settleTime)
		for _, site := range []string{"site-a", "site-b"} {
			result := s.backedUp(site, int(ptr.Deref(s.site(site).Backups, 0))+1)
			if site == "site-a" {
				result = s.backedUp(site, holds)
				for _, edit := range edits {
					edit(&result)
				}
			}
			s.end(s.theJob(engine.JobBackup, site), result)
		}
		s.passes()
		s.collectGarbage()
	}
	again(2)
	s.Expect(s.condition(v1alpha1.ConditionRetained)).To(HavePrefix("True Fresh"))
	again(2) // One of two is gone.
	found := s.clock.Now()
	s.Expect(s.condition(v1alpha1.ConditionRetained)).To(And(HavePrefix("False BackupsMissing: site-a"), ContainSubstring("1 base backup fewer")))
	again(3)
	s.Expect(s.condition(v1alpha1.ConditionRetained)).To(HavePrefix("False BackupsMissing: site-a"), "the next look finds none missing, and nobody has seen it")

	seen := func(at time.Time) {
		s.changeTenant(func(tenant *v1alpha1.Tenant) {
			tenant.Annotations = map[string]string{v1alpha1.AnnotationMissingBackupsSeen: at.UTC().Format(time.RFC3339)}
		})
		s.passes()
	}
	seen(found.Add(-time.Minute))
	s.Expect(s.condition(v1alpha1.ConditionRetained)).To(HavePrefix("False BackupsMissing"), "that was before")
	seen(s.clock.Now().Add(24 * time.Hour))
	s.Expect(s.condition(v1alpha1.ConditionRetained)).To(HavePrefix("False BackupsMissing"), "nobody has seen what is still to come")
	seen(found)
	s.Expect(s.condition(v1alpha1.ConditionRetained)).To(HavePrefix("True Fresh"))
}

func TestABackupThatIsKilledWhileItExpiresDoesNotLookLikeMissingBackups(t *testing.T) {
	s := newStage(t, "expiring")
	s.converged()
	next := func(site string, result engine.Result) {
		s.end(s.theJob(engine.JobBackup, site), result)
		s.passes()
		s.collectGarbage()
	}
	s.after(26 * time.Hour)
	s.after(settleTime)
	killed := s.backedUp("site-a", 2)
	killed.Failure, killed.Expiry = &engine.Failure{Reason: engine.FailedNoResult, Message: "killed"}, &engine.Expiry{Planned: 1}
	next("site-a", killed)
	s.Expect(*s.site("site-a").Backups).To(Equal(int32(1)), "perhaps one is gone")
	s.endJob(s.theJob(engine.JobBackup, "site-b"), false, "BackoffLimitExceeded") // Its pod is gone altogether.
	s.passes()
	s.Expect(s.site("site-b").Backups).To(BeNil(), "nobody knows")

	s.after(10 * time.Minute)
	s.after(settleTime)
	next("site-b", s.backedUp("site-b", 1))
	s.Expect(s.condition(v1alpha1.ConditionRetained)).To(HavePrefix("True Fresh"))
	s.after(26 * time.Hour)
	s.after(settleTime)
	next("site-a", s.backedUp("site-a", 2)) // One was removed, one was made.
	next("site-b", s.backedUp("site-b", 2))
	s.Expect(s.condition(v1alpha1.ConditionRetained)).To(HavePrefix("True Fresh"))
}

// look is a pass that has looked at the world, and, as a cache that is behind does, sees Jobs that are gone.
func (s *stage) look(gone ...*batchv1.Job) *scope {
	scope := s.reconciler.newScope(s.tenant())
	s.Expect(s.reconciler.observe(s.ctx, scope)).To(Succeed())
	scope.observed.jobs = append(scope.observed.jobs, gone...)
	return scope
}

func TestTheFleetVerifiesOnlySoManyAtATime(t *testing.T) {
	s := newStage(t, "fleet")
	for i := range 2 {
		labels := map[string]string{v1alpha1.LabelBackupJob: engine.JobVerify, v1alpha1.LabelTenant: fmt.Sprintf("other-%d", i)}
		s.create(&batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("verify-%d", i), Namespace: s.operatorNamespace(), Labels: labels},
			Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "x", Image: "x"}}}}}})
	}
	s.firstBackups()
	s.after(time.Minute)
	s.Expect(s.jobs(engine.JobVerify, "site-a")).To(BeEmpty())
	s.Expect(*s.cronJob("site-a").Spec.Suspend).To(BeFalse(), "who waits for a place holds up nothing")
	other := &batchv1.Job{}
	s.Expect(env.Client.Get(s.ctx, client.ObjectKey{Namespace: s.operatorNamespace(), Name: "verify-0"}, other)).To(Succeed())
	s.endJob(other, true, "")
	s.after(time.Minute)
	s.after(settleTime)
	s.Expect(s.jobs(engine.JobVerify, "site-a")).To(HaveLen(1))
}
