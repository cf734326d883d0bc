// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/backup/engine"
)

func TestARestoreToBeforeAllBackupsOfADestinationLeavesThem(t *testing.T) {
	restored := func(minutes int, from v1alpha1.DestinationName, generation int32) *v1alpha1.Restore {
		return &v1alpha1.Restore{Spec: v1alpha1.RestoreSpec{Target: to(minutes)},
			Status: v1alpha1.RestoreStatus{Destination: from, Generation: generation, StartedAt: timeOf(at(195)), FinishedAt: timeOf(at(200))}}
	}
	reverted := restored(50, "site-b", 0)
	reverted.Status.FinishedAt, reverted.Status.StartedAt = timeOf(at(20)), timeOf(at(10))
	reverted.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionAccepted, Reason: v1alpha1.ReasonReverted, LastTransitionTime: metav1.NewTime(at(300))}}
	latest := restored(50, "site-b", 0)
	latest.Spec.Target = v1alpha1.RestoreTarget{}
	site := v1alpha1.DestinationStatus{Name: "site-a", Generation: 2, RecoverableFrom: timeOf(at(100)), LastBackup: timeOf(at(150))}
	newer, nothing := site, v1alpha1.DestinationStatus{Name: "site-a"}
	newer.LastBackup = timeOf(at(201))
	said := site
	said.RecoverableFrom = nil
	for name, c := range map[string]struct {
		restore *v1alpha1.Restore
		status  v1alpha1.DestinationStatus
		want    time.Time
	}{
		"to a moment of the retired generation": {restored(50, "site-a", 0), site, at(200)},
		"to a moment of an older destination":   {restored(50, "site-b", 0), site, at(200)},
		"to a moment that it holds, too":        {restored(120, "site-b", 0), site, time.Time{}},
		"from itself":                           {restored(120, "site-a", 2), site, time.Time{}},
		"to the latest moment":                  {latest, site, time.Time{}},
		"and a backup was made since":           {restored(50, "site-a", 0), newer, time.Time{}},
		"it was said already":                   {restored(50, "site-a", 0), said, at(200)},
		"it holds nothing":                      {restored(50, "site-b", 0), nothing, time.Time{}},
		"a volume from before is gone back to":  {reverted, site, at(300)},
	} {
		if got := uprooted([]*v1alpha1.Restore{c.restore}, c.status); !got.Equal(c.want) {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// What was written after a restore is lost with the volume, unless a backup of it is made at once.
func TestAfterARestoreFromTheRetiredGenerationTheNewOneGetsAFullBackup(t *testing.T) {
	s := newStage(t, "uprooted")
	s.follows()
	s.converged()
	before := s.clock.Now()
	s.clock.SetTime(before.Add(30 * time.Minute))
	s.asksForRotation("now")
	s.rotates("site-a", 2)
	s.end(s.step(engine.JobCreate, "site-a", 2), engine.Result{Job: engine.JobCreate, Destination: "site-a"})
	s.passes()
	s.after(time.Minute)
	restore := &v1alpha1.Restore{ObjectMeta: metav1.ObjectMeta{Name: "back", Namespace: s.namespace()}, Spec: v1alpha1.RestoreSpec{Target: v1alpha1.RestoreTarget{Time: timeOf(before)}}}
	s.create(restore)
	restore.Status = v1alpha1.RestoreStatus{Destination: "site-a", StartedAt: timeOf(s.clock.Now()), FinishedAt: timeOf(s.clock.Now())}
	s.Expect(env.Client.Status().Update(s.ctx, restore)).To(Succeed())
	s.after(10 * time.Second)
	s.Expect(text(s.site("site-a").Conditions, v1alpha1.ConditionPointInTimeRecoverable)).To(HavePrefix("False AwaitingFirst"))
	s.Expect(s.site("site-a").RecoverableFrom).To(BeNil())
	s.Expect(text(s.site("site-b").Conditions, v1alpha1.ConditionPointInTimeRecoverable)).To(HavePrefix("True"), "the other one's backups are older than the target")
	full := s.step(engine.JobBackup, "site-a", 2)
	s.Expect(argument(full, "full-since")).To(Equal(restore.Status.FinishedAt.UTC().Format(time.RFC3339)))
	s.end(full, s.backedUp("site-a", 2))
	s.passes()
	s.after(time.Minute)
	s.Expect(text(s.site("site-a").Conditions, v1alpha1.ConditionPointInTimeRecoverable)).To(HavePrefix("True Fresh"))
	s.Expect(s.site("site-a").RecoverableFrom).NotTo(BeNil())
}
