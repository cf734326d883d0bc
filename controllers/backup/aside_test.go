// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/backup/engine"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

func TestWhenADestinationIsSetAside(t *testing.T) {
	// full is a log that threatens to fill its volume since a destination takes nothing.
	full := asideSight{now: noon, told: true, failing: at(-20), crowded: true, others: true, window: days(30), pause: asidePause}
	with := func(change func(*asideSight)) asideSight { s := full; change(&s); return s }
	well := with(func(s *asideSight) { s.failing, s.crowded = time.Time{}, false })
	for name, row := range map[string]struct {
		aside aside
		sight asideSight
		want  aside
	}{
		"all is well":                               {aside{}, well, aside{}},
		"the log threatens to fill the volume":      {aside{}, full, aside{Since: noon}},
		"the volume has room":                       {aside{}, with(func(s *asideSight) { s.crowded = false }), aside{}},
		"no other destination takes the log":        {aside{}, with(func(s *asideSight) { s.others = false }), aside{}},
		"it may come back":                          {aside{}, with(func(s *asideSight) { s.failing = at(-10) }), aside{}},
		"more than half of the log's room is taken": {aside{}, with(func(s *asideSight) { s.failing, s.pressing = at(0), true }), aside{Since: noon}},
		"more than half, and no other takes it":     {aside{}, with(func(s *asideSight) { s.failing, s.pressing, s.others = at(0), true, false }), aside{}},
		"more than half, and nobody fails":          {aside{}, with(func(s *asideSight) { s.failing, s.pressing = time.Time{}, true }), aside{}},
		"much log, and nobody fails":                {aside{}, with(func(s *asideSight) { s.failing = time.Time{} }), aside{}},
		"it is out for some minutes":                {aside{Since: at(-10)}, with(func(s *asideSight) { s.told = false }), aside{Since: at(-10)}},
		"it is tried again":                         {aside{Since: at(-15)}, well, aside{Back: noon}},
		"the pod has not seen that it is back":      {aside{Back: at(-3)}, with(func(s *asideSight) { s.told, s.crowded = false, false }), aside{Back: at(-3)}},
		"it does not answer when tried":             {aside{Back: at(-6)}, with(func(s *asideSight) { s.failing, s.crowded = at(-5), false }), aside{Since: noon}},
		"it answers when tried":                     {aside{Back: at(-6)}, well, aside{Back: at(-6)}},
		"its full backup is made":                   {aside{Back: at(-60)}, with(func(s *asideSight) { s.failing, s.whole = time.Time{}, at(-1) }), aside{Back: at(-60), Whole: at(-1)}},
		"the gap is in the window":                  {aside{Back: at(-60), Whole: at(-50)}, well, aside{Back: at(-60), Whole: at(-50)}},
		"the gap is older than the window":          {aside{Back: at(-60 * 24 * 31), Whole: at(-60*24*30 - 1)}, well, aside{}},
		"it fails once more long after":             {aside{Back: at(-600), Whole: at(-500)}, full, aside{Since: noon}},
		"it fails once more, and there is room":     {aside{Back: at(-600), Whole: at(-500)}, with(func(s *asideSight) { s.crowded = false }), aside{Back: at(-600), Whole: at(-500)}},
		"it is out, and the others fail as well":    {aside{Since: at(-20)}, with(func(s *asideSight) { s.others = false }), aside{Back: noon}},
	} {
		if got := row.aside.next(row.sight); got != row.want {
			t.Errorf("%s: %+v, want %+v", name, got, row.want)
		}
	}
}

func TestADestinationThatIsDownForLongIsSetAsideAndSeededAnew(t *testing.T) {
	s := newStage(t, "aside")
	s.converged()
	since := s.clock.Now()
	s.archive = func() engine.Report {
		report := s.healthy()
		report.WALBytes, report.WALVolumeFree = 4<<30, 4<<30
		report.Destinations[0] = engine.ArchiveReport{Name: "site-a", Generation: 1, AskedAt: s.clock.Now(), AnsweredAt: since, Until: since.Add(-time.Minute),
			Failure: &engine.Failure{Reason: engine.FailedUnreachable, Message: "timeout"}, Since: since}
		return report
	}
	s.after(10 * time.Minute)
	destinations := func() string { return string(s.secret(s.namespace(), meta.BackupSecret).Data[meta.KeyDestinations]) }
	s.Expect(destinations()).To(ContainSubstring("site-a"))
	s.after(6 * time.Minute)
	s.Expect(destinations()).To(And(Not(ContainSubstring("site-a")), ContainSubstring(`"repository": 2`)), "the log goes on to the other, whose number stays")
	s.Expect(s.condition(v1alpha1.ConditionPointInTimeRecoverable)).To(And(HavePrefix("False SetAside: site-a"), ContainSubstring("tried again every 15 minutes")))
	s.Expect(s.site("site-a").RecoverableFrom).To(BeNil())
	s.Expect(*s.cronJob("site-a").Spec.Suspend).To(BeTrue(), "a backup would wait for its log in vain")
	s.Expect(*s.cronJob("site-b").Spec.Suspend).To(BeFalse())

	s.restart()
	s.archive = func() engine.Report { // The pod does not speak of it any more.
		report := s.healthy()
		report.Destinations = report.Destinations[1:]
		return report
	}
	s.after(10 * time.Minute)
	s.Expect(destinations()).NotTo(ContainSubstring("site-a"), "a restarted operator knows it, too")
	s.after(6 * time.Minute)
	s.Expect(destinations()).To(ContainSubstring("site-a"))
	s.Expect(s.jobs(engine.JobBackup, "site-a")).To(BeEmpty(), "it has not answered yet")
	s.after(7 * time.Minute)
	s.Expect(destinations()).NotTo(ContainSubstring("site-a"), "it did not answer")
	s.after(16 * time.Minute)
	s.archive = s.healthy
	back := s.clock.Now()
	s.after(2 * time.Minute)
	s.after(settleTime)
	job := s.theJob(engine.JobBackup, "site-a")
	s.Expect(argument(job, "full-since")).To(Equal(back.UTC().Format(time.RFC3339)))
	s.Expect(s.condition(v1alpha1.ConditionPointInTimeRecoverable)).To(And(HavePrefix("False SetAside: site-a"), ContainSubstring("begins its history anew")))

	s.clock.SetTime(s.clock.Now().Add(3 * time.Minute))
	result := s.backedUp("site-a", 2)
	result.Catalogue.RecoverableFrom = since.Add(-time.Hour) // The catalogue does not know of gaps.
	whole := result.Backup.FinishedAt
	s.end(job, result)
	s.passes()
	s.Expect(s.condition(v1alpha1.ConditionPointInTimeRecoverable)).To(HavePrefix("True Fresh"))
	s.Expect(s.site("site-a").RecoverableFrom.Time).To(BeTemporally("==", whole), "no moment inside the gap is promised")
	s.after(settleTime)
	s.Expect(s.jobs(engine.JobBackup, "site-a")).To(BeEmpty())
	s.Expect(*s.cronJob("site-a").Spec.Suspend).To(BeFalse())
}

func TestADestinationIsSetAsideWhileTheCredentialsOfAnotherAreMissing(t *testing.T) {
	s := newStage(t, "aside-keyless")
	s.converged()
	s.Expect(env.Client.Delete(s.ctx, s.secret(s.operatorNamespace(), "site-b-aside-keyless"))).To(Succeed())
	s.after(time.Hour)
	s.Expect(text(s.site("site-b").Conditions, v1alpha1.ConditionBackedUp)).To(HavePrefix("False CredentialsMissing"))
	s.restart()
	s.after(2 * time.Second)
	s.Expect(text(s.site("site-b").Conditions, v1alpha1.ConditionBackedUp)).To(HavePrefix("False CredentialsMissing"), "a restarted operator does not forget it")
	since, before := s.clock.Now(), s.secret(s.namespace(), meta.BackupSecret).Data
	s.archive = func() engine.Report {
		report := s.healthy()
		report.WALBytes, report.WALVolumeFree = 4<<30, 4<<30
		report.Destinations[0].Failure, report.Destinations[0].Since = &engine.Failure{Reason: engine.FailedUnreachable, Message: "timeout"}, since
		return report
	}
	s.after(17 * time.Minute)
	s.Expect(s.holds(meta.BackupSecret, "site-a")).To(BeEmpty())
	s.Expect(s.holds(meta.BackupSecret, "site-b")).To(Equal("1"), "the log goes on to it with the credentials that it had")
	s.archive = s.healthy
	s.after(17 * time.Minute)
	s.Expect(s.secret(s.namespace(), meta.BackupSecret).Data).To(Equal(before))
}

func TestTheLogNeverFillsItsVolumeForADestinationThatIsDead(t *testing.T) {
	s := newStage(t, "filling")
	s.reconciler.options.AsideInterval = 2 * time.Minute
	s.converged()
	dead := func(report *engine.Report, i int) {
		d := &report.Destinations[i]
		d.Failure, d.Since = &engine.Failure{Reason: engine.FailedUnreachable, Message: "timeout"}, s.clock.Now()
	}
	filled := func(broken ...int) func() engine.Report {
		return func() engine.Report {
			report := s.healthy()
			report.WALBytes, report.WALVolumeFree = 5<<30, 4<<30
			for _, i := range broken {
				dead(&report, i)
			}
			return report
		}
	}
	destinations := func() string { return string(s.secret(s.namespace(), meta.BackupSecret).Data[meta.KeyDestinations]) }

	s.archive = filled(0, 1)
	s.after(time.Minute)
	s.Expect(destinations()).To(And(ContainSubstring("site-a"), ContainSubstring("site-b")), "nothing takes the log: all of it waits")

	s.archive = filled(0)
	s.after(time.Minute)
	s.Expect(destinations()).To(And(Not(ContainSubstring("site-a")), ContainSubstring("site-b")), "there is no time to wait")
	s.Expect(s.condition(v1alpha1.ConditionPointInTimeRecoverable)).To(And(HavePrefix("False SetAside: site-a"), ContainSubstring("tried again every 2 minutes")))

	s.archive = s.healthy
	s.after(2 * time.Minute)
	s.Expect(destinations()).To(ContainSubstring("site-a"), "it is tried again as often as the installation says")
}

func TestAnotherDestinationTakesTheLogOnlyIfItSaysSoNow(t *testing.T) {
	a, b := &destination{name: "site-a", status: v1alpha1.DestinationStatus{Generation: 1}}, &destination{name: "site-b", status: v1alpha1.DestinationStatus{Generation: 1}}
	s := &scope{now: noon, destinations: []*destination{a, b}, observed: observed{policy: &v1alpha1.BackupPolicy{}}, memory: &memory{}}
	for name, row := range map[string]struct {
		answered time.Time
		want     bool
	}{
		"just now": {at(-1), true}, "long ago": {at(-10), false}, "never": {time.Time{}, false},
	} {
		s.report = &sighting{received: noon, Report: engine.Report{At: noon, Destinations: []engine.ArchiveReport{{Name: "site-b", Generation: 1, AnsweredAt: row.answered}}}}
		if got := s.asideSight(a, asidePause).others; got != row.want {
			t.Errorf("%s: %t, want %t", name, got, row.want)
		}
	}
	s.report.Destinations[0].AnsweredAt, b.aside = at(-1), aside{Since: at(-1)}
	if s.asideSight(a, asidePause).others {
		t.Error("one that is set aside itself gets nothing of the log, whatever was heard of it before")
	}
}
