// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/backup/engine"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// expired is the result of a Job that removed something, and left one backup that is not older than it may be.
func (s *stage) expired(site string, removed ...string) engine.Result {
	newest := s.site(site).LastBackup.Time
	return engine.Result{Job: engine.JobExpire, Destination: site, Expiry: &engine.Expiry{Removed: removed},
		Catalogue: &engine.Catalogue{Backups: 1, Fulls: 1, NewestFinished: newest, RecoverableFrom: newest, OldestStarted: s.clock.Now().Add(-time.Hour)}}
}

// suspend stops the instance: no pod of the database is left.
func (s *stage) suspend() {
	s.changeTenant(func(t *v1alpha1.Tenant) { t.Spec.Suspended = true })
	s.ready(0)
	s.passes()
}

// expiries ends the Jobs that remove what has expired, with the given result.
func (s *stage) expiries(result func(site string) engine.Result) {
	s.after(settleTime)
	for _, site := range []string{"site-a", "site-b"} {
		s.end(s.theJob(engine.JobExpire, site), result(site))
	}
	s.passes()
}

func TestWhatHasExpiredOfASuspendedInstanceIsRemovedEachDay(t *testing.T) {
	s := newStage(t, "expires")
	s.converged()
	s.suspend()
	s.after(23 * time.Hour)
	s.Expect(s.jobs(engine.JobExpire, "site-a")).To(BeEmpty(), "the last backup did it")

	s.after(time.Hour)
	s.Expect(s.jobs(engine.JobExpire, "site-a")).To(BeEmpty(), "Kubernetes may just be making a backup")
	s.after(settleTime)
	job := s.theJob(engine.JobExpire, "site-a")
	s.Expect(job.Spec.Template.Spec.Containers[0].Args).To(Equal([]string{"agent", "backup", "expire", "--destination=site-a",
		"--backup-days=180", "--point-in-time-days=30", "--verified=20260101-013000F"}), "nothing goes that no newer proven one supersedes")
	s.Expect(job.Spec.Template.Spec.Containers[0].Image).To(Equal("registry.example/postgres:1"), "the image that the database would run")
	s.Expect(job.Spec.Template.Labels).To(HaveKeyWithValue(v1alpha1.LabelPolicy, meta.ComponentBackup))
	s.Expect(mountsOf(job)).To(ContainElement(meta.BackupTLSDir), "its configuration names what is there")
	s.after(time.Hour)
	s.Expect(s.jobs(engine.JobExpire, "site-a")).To(HaveLen(1), "never two on one repository")

	s.expiries(func(site string) engine.Result { return s.expired(site) })
	s.Expect(s.condition(v1alpha1.ConditionRetained)).To(HavePrefix("True Fresh: site-a: the destination holds 1 base backup,"))
	s.after(23 * time.Hour)
	s.Expect(s.jobs(engine.JobExpire, "site-a")).To(BeEmpty(), "once a day is enough")
	s.restart()
	s.after(time.Hour)
	s.after(settleTime)
	s.Expect(s.jobs(engine.JobExpire, "site-a")).To(HaveLen(1), "a restarted operator knows when it was done last")
	s.Expect(s.jobs(engine.JobBackup, "site-a")).To(BeEmpty())
}

func TestRetainedOfASuspendedInstanceSaysWhatWasSeen(t *testing.T) {
	s := newStage(t, "expirytold")
	s.converged()
	s.suspend()
	s.after(24 * time.Hour)
	s.expiries(func(site string) engine.Result {
		return failed(engine.JobExpire, site, engine.FailedUnreachable, "no answer")
	})
	s.Expect(s.told()).To(ContainSubstring("Warning ExpiryFailed removing what has expired from site-a failed (Unreachable): no answer"))
	s.Expect(s.condition(v1alpha1.ConditionRetained)).To(HavePrefix("True Fresh"), "what was seen yesterday still counts")
	s.after(expiryPause - time.Minute)
	s.Expect(s.jobs(engine.JobExpire, "site-a")).To(BeEmpty())

	s.after(time.Minute)
	s.expiries(func(site string) engine.Result { return s.expired(site) })
	s.after(24 * time.Hour)
	s.expiries(func(site string) engine.Result {
		result := failed(engine.JobExpire, site, engine.FailedRefused, "403")
		result.Expiry = &engine.Expiry{Failure: result.Failure}
		return result
	})
	s.Expect(s.condition(v1alpha1.ConditionRetained)).To(And(HavePrefix("False ExpiryFailed"), ContainSubstring("403")))

	s.after(expiryPause)
	s.expiries(func(site string) engine.Result {
		result := s.expired(site)
		result.Expiry.Held = true
		return result
	})
	s.Expect(s.condition(v1alpha1.ConditionRetained)).To(And(HavePrefix("False ExpiryHeld"), ContainSubstring("none is made while the instance does not run")))

	s.after(24 * time.Hour)
	s.expiries(func(site string) engine.Result {
		result := s.expired(site)
		result.Catalogue.Backups = 0
		return result
	})
	s.Expect(s.condition(v1alpha1.ConditionRetained)).To(And(HavePrefix("False BackupsMissing"), ContainSubstring("1 base backup fewer")))
}

func TestARepositoryThatIsEmptiedWhileTheInstanceIsSuspendedIsTold(t *testing.T) {
	s := newStage(t, "emptied")
	s.converged()
	s.suspend()
	held := s.site("site-b").LastBackup.Time
	whole := func(site string) engine.Result {
		result := s.expired("site-b")
		result.Destination = site
		return result
	}
	emptied := func(site string) engine.Result {
		result := whole(site)
		if site == "site-a" {
			result.Catalogue = &engine.Catalogue{}
		}
		return result
	}
	s.after(24 * time.Hour)
	s.expiries(emptied)
	a := s.site("site-a")
	s.Expect(*a.Backups).To(BeZero())
	s.Expect([]any{a.LastBackup, a.RecoverableFrom, a.RecoverableUntil}).To(HaveEach(BeNil()), "nothing can be restored from there")
	s.Expect(text(a.Conditions, v1alpha1.ConditionBackedUp)).To(HavePrefix("False InstanceSuspended: there is no base backup"))
	s.Expect(text(a.Conditions, v1alpha1.ConditionRetained)).To(And(HavePrefix("False BackupsMissing"), ContainSubstring("1 base backup fewer")))
	s.Expect(s.condition(v1alpha1.ConditionBackedUp)).To(HavePrefix("False"))
	s.Expect(text(s.site("site-b").Conditions, v1alpha1.ConditionBackedUp)).To(HavePrefix("True"))

	s.after(time.Minute)
	s.changeTenant(func(t *v1alpha1.Tenant) {
		t.Annotations = map[string]string{v1alpha1.AnnotationMissingBackupsSeen: s.clock.Now().UTC().Format(time.RFC3339)}
	})
	s.after(24 * time.Hour)
	s.expiries(emptied)
	s.Expect(text(s.site("site-a").Conditions, v1alpha1.ConditionRetained)).NotTo(ContainSubstring("BackupsMissing"), "a person has seen it")

	s.after(24 * time.Hour)
	s.expiries(whole)
	s.Expect(s.site("site-a").LastBackup.Time).To(BeTemporally("==", held), "somebody has brought them back")
	s.Expect(text(s.site("site-a").Conditions, v1alpha1.ConditionRetained)).To(HavePrefix("True Fresh"))
}

func TestWhatNobodyReadsOfASuspendedInstanceIsUnknown(t *testing.T) {
	s := newStage(t, "expirystale")
	s.converged()
	set := &appsv1.StatefulSet{}
	s.get(meta.DatabaseStatefulSet, set)
	set.Spec.Template.Spec.Containers = set.Spec.Template.Spec.Containers[:1] // An image that knows nothing of backups.
	s.Expect(env.Client.Update(s.ctx, set)).To(Succeed())
	s.suspend()
	s.after(55 * time.Hour)
	s.after(settleTime)
	s.Expect(s.jobs(engine.JobExpire, "site-a")).To(BeEmpty())
	s.Expect(s.condition(v1alpha1.ConditionRetained)).To(HavePrefix("Unknown Stale"))
}

func TestARestoreOfASuspendedInstanceIsNotDisturbed(t *testing.T) {
	s := newStage(t, "expiryrestore")
	s.converged()
	s.suspend()
	namespace := &corev1.Namespace{}
	s.Expect(env.Client.Get(s.ctx, client.ObjectKey{Name: s.namespace()}, namespace)).To(Succeed())
	namespace.Annotations = map[string]string{meta.AnnotationStoppedFor: "back-to-noon"}
	s.Expect(env.Client.Update(s.ctx, namespace)).To(Succeed())
	s.after(48 * time.Hour)
	s.after(settleTime)
	s.Expect(s.jobs(engine.JobExpire, "site-a")).To(BeEmpty())
}
