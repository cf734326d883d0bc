// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/backup/engine"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

func TestWhatARotationDoesNext(t *testing.T) {
	proven := v1alpha1.DestinationStatus{LastBackup: timeOf(at(-600)), LastVerified: timeOf(at(-500)), RecoverableFrom: timeOf(at(-9000))}
	in := func(stage rotationStage) *generation {
		n := &generation{Number: 2, Begun: at(-30), Since: at(-10), Stage: stage}
		n.Status.RecoverableFrom = timeOf(at(-9))
		return n
	}
	ready := rotationSight{now: noon, request: "a", status: proven, answered: at(-1), until: at(-1), nextUntil: at(-1)}
	with := func(change func(*rotationSight)) rotationSight {
		s := ready
		change(&s)
		return s
	}
	retired := make([]generation, mostRetired)
	for name, c := range map[string]struct {
		have generations
		see  rotationSight
		want string
	}{
		"nobody asks":                          {generations{Current: 1}, with(func(s *rotationSight) { s.request = "" }), "1"},
		"somebody asks":                        {generations{Current: 1}, ready, "1 then 2 Making"},
		"what was asked for was done":          {generations{Current: 2, Honoured: "a"}, ready, "2"},
		"somebody asks again":                  {generations{Current: 2, Honoured: "z"}, ready, "2 then 3 Making"},
		"another one is rotated":               {generations{Current: 1}, with(func(s *rotationSight) { s.held = "another" }), "1"},
		"nothing was proven yet":               {generations{Current: 1}, with(func(s *rotationSight) { s.status.LastVerified = nil }), "1"},
		"the log has a gap":                    {generations{Current: 1}, with(func(s *rotationSight) { s.torn = true }), "1"},
		"many have not expired":                {generations{Current: 9, Retired: retired}, ready, "9"},
		"a repository is made by a Job":        {generations{Current: 1, Next: in(stageMaking)}, ready, "1 then 2 Making"},
		"both get the log":                     {generations{Current: 1, Next: in(stageArchiving)}, ready, "1 then 2 Filling"},
		"the database does not know yet":       {generations{Current: 1, Next: in(stageArchiving)}, with(func(s *rotationSight) { s.answered = time.Time{} }), "1 then 2 Archiving"},
		"it answered before the stage":         {generations{Current: 1, Next: in(stageArchiving)}, with(func(s *rotationSight) { s.answered = at(-20) }), "1 then 2 Archiving"},
		"the new one does not take it yet":     {generations{Current: 1, Next: in(stageArchiving)}, with(func(s *rotationSight) { s.failing = at(-5) }), "1 then 2 Archiving"},
		"the new one does not take it":         {generations{Current: 1, Next: in(stageFilling)}, with(func(s *rotationSight) { s.failing = at(-15) }), "1 then 2 Making"},
		"the log fills its volume":             {generations{Current: 1, Next: in(stageProving)}, with(func(s *rotationSight) { s.failing, s.pressing = at(-1), true }), "1 then 2 Making"},
		"the destination is set aside":         {generations{Current: 1, Next: in(stageReady)}, with(func(s *rotationSight) { s.torn = true }), "1 then 2 Making"},
		"a full backup is made by a Job":       {generations{Current: 1, Next: in(stageFilling)}, ready, "1 then 2 Filling"},
		"it is proven by a Job":                {generations{Current: 1, Next: in(stageProving)}, ready, "1 then 2 Proving"},
		"the new one is proven":                {generations{Current: 1, Next: in(stageReady)}, ready, "2 after 1"},
		"a restore left its backup":            {generations{Current: 1, Next: in(stageProving)}, with(func(s *rotationSight) { s.uprooted = at(-2) }), "1 then 2 Filling"},
		"a restore left what was proven":       {generations{Current: 1, Next: in(stageReady)}, with(func(s *rotationSight) { s.uprooted = at(-2) }), "1 then 2 Filling"},
		"a Job works":                          {generations{Current: 1, Next: in(stageReady)}, with(func(s *rotationSight) { s.held = "Job works" }), "1 then 2 Ready"},
		"the old one has not so much":          {generations{Current: 1, Next: in(stageReady)}, with(func(s *rotationSight) { s.until = at(-10) }), "1 then 2 Ready"},
		"it is not known what the new one has": {generations{Current: 1, Next: in(stageReady)}, with(func(s *rotationSight) { s.nextUntil = time.Time{} }), "1 then 2 Ready"},
	} {
		t.Run(name, func(t *testing.T) {
			got := c.have.clone().next(c.see)
			said := fmt.Sprint(got.Current)
			if got.Next != nil {
				said += fmt.Sprintf(" then %d %s", got.Next.Number, got.Next.Stage)
			}
			if len(got.Retired) == 1 {
				said += fmt.Sprintf(" after %d", got.Retired[0].Number)
			}
			if said != c.want {
				t.Errorf("%s, want %s", said, c.want)
			}
		})
	}
}

// A gap between two generations would be a minute that nobody can restore.
func TestWhatARotationLeavesCanBeRestored(t *testing.T) {
	n := &generation{Number: 2, Stage: stageReady}
	n.Status = v1alpha1.DestinationStatus{RecoverableFrom: timeOf(at(-9)), LastBackup: timeOf(at(-9))}
	have := generations{Current: 1, Next: n}
	got := have.next(rotationSight{now: noon, status: v1alpha1.DestinationStatus{RecoverableFrom: timeOf(at(-9000)), LastBackup: timeOf(at(-20))}, until: at(-2), nextUntil: at(-1)})
	old := got.Retired[0]
	if !old.Status.RecoverableUntil.Time.Equal(at(-2)) || old.Status.RecoverableUntil.Time.Before(got.Opened.RecoverableFrom.Time) {
		t.Errorf("the old one is restorable until %s, the new one from %s", old.Status.RecoverableUntil, got.Opened.RecoverableFrom)
	}
	policy := v1alpha1.BackupRetention{BackupDays: 180, PointInTimeDays: 30}
	if due := old.destroyedAt(policy); due.Before(at(-20).AddDate(0, 0, 180)) || due.After(at(0).AddDate(0, 0, 181)) {
		t.Errorf("it is destroyed on %s", due)
	}
	policy.BackupDays = 5
	if due := old.destroyedAt(policy); due.Before(noon.AddDate(0, 0, 30)) {
		t.Errorf("it is destroyed on %s, and every minute is to be restorable for 30 days", due)
	}
}

func TestTheGenerationToRestoreFrom(t *testing.T) {
	young := window{destination: "site-a", generation: 2, from: at(100), until: at(200), verified: at(150)}
	old := window{destination: "site-a", generation: 1, retired: true, from: at(0), until: at(120), verified: at(90)}
	label := func(minutes int) v1alpha1.RestoreTarget {
		return v1alpha1.RestoreTarget{Backup: v1alpha1.BackupLabel(at(minutes).Format("20060102-150405") + "F")}
	}
	for name, c := range map[string]struct {
		target v1alpha1.RestoreTarget
		known  map[string]int32
		want   int32
	}{
		"a time that only the old one has":       {to(50), nil, 1},
		"a time that both have":                  {to(110), nil, 2},
		"a time that only the new one has":       {to(190), nil, 2},
		"the latest":                             {v1alpha1.RestoreTarget{}, nil, 2},
		"a backup from before":                   {label(50), nil, 1},
		"a backup from after":                    {label(130), nil, 2},
		"the full one that the new began with":   {label(99), map[string]int32{"site-a": 2}, 2},
		"one of the old made at the same time":   {label(110), map[string]int32{"site-a": 1}, 1},
		"a time in neither":                      {to(-5), nil, 0},
		"a time of the other, asked for by name": {v1alpha1.RestoreTarget{Time: to(50).Time, Destination: "site-a"}, nil, 1},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := chooseSource(c.target, ofBackup([]window{young, old}, c.target, c.known))
			if got.generation != c.want || (err == nil) != (c.want > 0) {
				t.Errorf("generation %d (%v), want %d", got.generation, err, c.want)
			}
		})
	}
}

func TestANewInstanceIsFilledFromTheGenerationThatHoldsTheTarget(t *testing.T) {
	keys := map[string][]byte{"site-a.g1": []byte("x"), "site-a.g2": []byte("x"), "site-a.g3": []byte("x")}
	keys[meta.KeyGenerations] = encodeGenerations(map[string]generations{"site-a": {Current: 2, Next: &generation{Number: 3},
		Opened:  &v1alpha1.DestinationStatus{RecoverableFrom: timeOf(at(100)), VerifiedBackup: at(99).Format("20060102-150405") + "F"},
		Retired: []generation{{Number: 1, Status: v1alpha1.DestinationStatus{RecoverableUntil: timeOf(at(120))}}}}})
	for name, c := range map[string]struct {
		target v1alpha1.RestoreTarget
		want   int32
	}{
		"the latest, which the one that is prepared does not have": {v1alpha1.RestoreTarget{}, 2},
		"a time before":         {to(50), 1},
		"a time after":          {to(110), 2},
		"the first full backup": {v1alpha1.RestoreTarget{Backup: v1alpha1.BackupLabel(at(99).Format("20060102-150405") + "F")}, 2},
	} {
		if got, err := generationFor(keys, "site-a", c.target); got != c.want || err != nil {
			t.Errorf("%s: %d (%v), want %d", name, got, err, c.want)
		}
	}
	delete(keys, "site-a.g1")
	if got, _ := generationFor(keys, "site-a", to(50)); got != 0 {
		t.Errorf("without the key of generation 1: %d", got)
	}
	if got, _ := generationFor(map[string][]byte{"site-a.g1": []byte("x")}, "site-a", to(50)); got != 1 {
		t.Errorf("without any rotation: %d", got)
	}
}

// follows is an archiver that archives to what its Secret holds.
func (s *stage) follows() {
	s.archive = func() engine.Report {
		report := s.healthy()
		known, err := engine.ParseDestinations(s.secret(s.namespace(), meta.BackupSecret).Data[meta.KeyDestinations])
		s.Expect(err).NotTo(HaveOccurred())
		report.Destinations = nil
		for _, d := range known.Destinations {
			now := s.clock.Now()
			report.Destinations = append(report.Destinations, engine.ArchiveReport{Name: d.Name, Generation: d.Generation, AskedAt: now, AnsweredAt: now, Until: now.Add(-10 * time.Second)})
		}
		return report
	}
}

// holds says which generations of a destination a Secret has.
func (s *stage) holds(secret, site string) string {
	known, err := engine.ParseDestinations(s.secret(s.namespace(), secret).Data[meta.KeyDestinations])
	s.Expect(err).NotTo(HaveOccurred())
	var all []string
	for _, d := range known.Destinations {
		if d.Name == site {
			all = append(all, fmt.Sprint(d.Generation))
		}
	}
	return strings.Join(all, " ")
}

// keys are those of destinations that there are.
func (s *stage) keys() []string {
	all := slices.Collect(maps.Keys(s.secret(s.operatorNamespace(), meta.BackupKeysSecret(s.instanceID())).Data))
	all = slices.DeleteFunc(all, func(key string) bool { return key == meta.KeyGenerations || key == meta.KeyStatusToken })
	slices.Sort(all)
	return all
}

func (s *stage) asksForRotation(value string) {
	s.changeTenant(func(t *v1alpha1.Tenant) {
		metav1.SetMetaDataAnnotation(&t.ObjectMeta, v1alpha1.AnnotationRotateBackupKeys, value)
	})
	s.passes()
}

// step lets time go by until there is a Job of a kind for a destination, whatever else is due is done well.
func (s *stage) step(kind, site string, generation int32) *batchv1.Job {
	for range 20 {
		for _, job := range s.jobs(kind, site) {
			if generationOf(&job) == generation {
				return &job
			}
		}
		s.after(time.Minute + settleTime)
	}
	s.Expect(fmt.Sprint(s.site(site).Rotation)).To(BeEmpty(), "no Job of kind %s for generation %d of %s", kind, generation, site)
	return nil
}

// rotates takes a destination through a whole rotation; between any two steps the operator is restarted.
func (s *stage) rotates(site string, generation int32) {
	s.end(s.step(engine.JobCreate, site, generation), engine.Result{Job: engine.JobCreate, Destination: site})
	s.restart()
	s.passes()
	full := s.step(engine.JobBackup, site, generation)
	s.Expect(argument(full, "type")).To(Equal("Full"))
	s.Expect(argument(full, "generation")).To(Equal(fmt.Sprint(generation)))
	s.end(full, s.backedUp(site, 1))
	s.restart()
	s.passes()
	proof := s.step(engine.JobVerify, site, generation)
	s.Expect(argument(proof, "generation")).To(Equal(fmt.Sprint(generation)))
	s.end(proof, s.proven(site))
	s.restart()
	s.passes()
	s.collectGarbage()
	for range 5 {
		if s.site(site).Generation != generation {
			s.after(2 * time.Minute)
		}
	}
	s.Expect(s.site(site).Generation).To(Equal(generation))
}

func TestKeysAreRotatedOneDestinationAfterTheOther(t *testing.T) {
	s := newStage(t, "rotation-life")
	s.follows()
	s.converged()
	before := s.site("site-a")
	s.asksForRotation("2026-11-29")
	s.Expect(s.told()).To(ContainSubstring("the rotation of the key of site-a begins"))
	s.Expect(s.keys()).To(Equal([]string{"site-a.g1", "site-a.g2", "site-b.g1"}), "only one at a time")
	s.Expect(s.site("site-b").Rotation.StartedAt).To(BeNil())
	s.Expect(s.site("site-b").Rotation.Message).To(ContainSubstring("the key of destination site-a is rotated first"))

	s.step(engine.JobCreate, "site-a", 2)
	s.Expect(s.site("site-a").Rotation.Message).To(ContainSubstring("the new repository is being made"))
	s.Expect(s.holds(meta.BackupSecret, "site-a")).To(Equal("1"), "the database hears of a repository once it is there")
	s.Expect(s.holds(meta.BackupJobSecret, "site-a")).To(Equal("1 2"))
	s.Expect(s.cronJob("site-a").Spec.Suspend).To(Equal(ptr.To(true)), "never two Jobs on one destination")
	s.end(s.theJob(engine.JobCreate, "site-a"), engine.Result{Job: engine.JobCreate, Destination: "site-a"})
	s.passes()
	s.after(2 * time.Second)
	s.Expect(s.holds(meta.BackupSecret, "site-a")).To(Equal("1 2"), "both get the log")
	s.Expect(s.site("site-a").Generation).To(Equal(int32(1)))

	s.end(s.step(engine.JobBackup, "site-a", 2), failed(engine.JobBackup, "site-a", engine.FailedUnreachable, "no route to host"))
	s.passes()
	s.Expect(s.told()).To(ContainSubstring("RotationFailed"))
	s.Expect(s.site("site-a").Rotation.Message).To(ContainSubstring("attempt 1 failed, and is repeated: Unreachable: no route to host"))
	s.Expect(s.condition(v1alpha1.ConditionBackedUp)).To(HavePrefix("True Fresh"), "the old generation is as good as it was")
	s.after(firstPause)
	s.end(s.step(engine.JobBackup, "site-a", 2), s.backedUp("site-a", 1))
	s.passes()
	s.Expect(s.site("site-a").Backups).To(Equal(before.Backups), "the status speaks of the generation that counts")
	s.end(s.step(engine.JobVerify, "site-a", 2), s.proven("site-a"))
	s.passes()
	s.collectGarbage()
	s.after(2 * time.Minute)

	site := s.site("site-a")
	s.Expect(site.Generation).To(Equal(int32(2)))
	s.Expect(site.Rotation).To(BeNil())
	s.Expect(site.Retired).To(HaveLen(1))
	s.Expect(site.Retired[0].RecoverableFrom).To(Equal(before.RecoverableFrom))
	s.Expect(site.Retired[0].RecoverableUntil.Time).NotTo(BeTemporally("<", site.RecoverableFrom.Time), "no minute is between the two")
	s.Expect(s.tenant().Status.Backups.RecoverableFrom.Time).NotTo(BeTemporally(">", before.RecoverableFrom.Time), "the window is as long as it was")
	s.Expect(s.holds(meta.BackupSecret, "site-a")).To(Equal("2"), "the old one gets nothing new")
	s.Expect(s.holds(meta.BackupRetiredSecret, "site-a")).To(Equal("1"), "and can be restored from")
	s.Expect(s.told()).To(ContainSubstring("the key of site-a was rotated"))
	for _, kind := range owned {
		s.Expect(s.condition(kind)).To(HavePrefix("True Fresh"), kind)
	}
	s.Expect(s.cronJob("site-a").Spec.JobTemplate.Spec.Template.Spec.Containers[0].Args).To(ContainElement("--generation=2"))
	s.end(s.step(engine.JobCreate, "site-a", 2), engine.Result{Job: engine.JobCreate, Destination: "site-a"}) // The keys are sealed beside it anew.

	s.rotates("site-b", 2)
	s.Expect(s.keys()).To(Equal([]string{"site-a.g1", "site-a.g2", "site-b.g1", "site-b.g2"}))
	s.end(s.step(engine.JobCreate, "site-b", 2), engine.Result{Job: engine.JobCreate, Destination: "site-b"})
	s.passes()
	for range 3 {
		s.after(2 * time.Minute)
		s.Expect(append(s.jobs(engine.JobCreate, "site-a"), s.jobs(engine.JobCreate, "site-b")...)).To(BeEmpty(), "what was asked for once is done once")
	}
	s.restart()
	s.passes()
	s.Expect(s.writes()).To(BeEmpty())
}

// The status is told, never asked: without it the same generations go on.
func TestRotatedGenerationsOutliveTheStatus(t *testing.T) {
	s := newStage(t, "rotation-status")
	s.follows()
	s.converged()
	s.asksForRotation("now")
	s.rotates("site-a", 2)
	tenant := s.tenant()
	tenant.Status.Backups = nil
	s.Expect(env.Client.Status().Update(s.ctx, tenant)).To(Succeed())
	s.restart()
	s.pass()
	site := s.site("site-a")
	s.Expect(site.Generation).To(Equal(int32(2)))
	s.Expect(site.LastVerified).NotTo(BeNil())
	s.Expect(site.Retired).To(HaveLen(1))
}

func TestAFirstKeyIsNotRotatedForWhatWasAskedBefore(t *testing.T) {
	s := newStage(t, "rotation-first")
	s.follows()
	s.asksForRotation("before all backups")
	s.converged()
	s.after(3 * time.Minute)
	s.Expect(s.keys()).To(Equal([]string{"site-a.g1", "site-b.g1"}))
	s.Expect(s.site("site-a").Rotation).To(BeNil())
	s.asksForRotation("later")
	s.Expect(s.keys()).To(Equal([]string{"site-a.g1", "site-a.g2", "site-b.g1"}))
}

// beginsToRotate makes the second generation of site-a: the database is about to archive to both.
func (s *stage) beginsToRotate() {
	s.asksForRotation("now")
	s.end(s.step(engine.JobCreate, "site-a", 2), engine.Result{Job: engine.JobCreate, Destination: "site-a"})
	s.passes()
}

// refuses has the second generation of site-a take no log, until the function that it returns is called.
func (s *stage) refuses() func() {
	since, well := s.clock.Now(), s.archive
	s.archive = func() engine.Report {
		report := well()
		for i := range report.Destinations {
			if report.Destinations[i].Generation == 2 {
				report.Destinations[i].Failure, report.Destinations[i].Since = &engine.Failure{Reason: engine.FailedRefused, Message: "403"}, since
			}
		}
		return report
	}
	return func() { s.archive = well }
}

// A new repository that takes no log would have the log fill its volume, although the old one takes all of it.
func TestANewRepositoryThatTakesNoLogIsTakenOutAgain(t *testing.T) {
	s := newStage(t, "rotation-deaf")
	s.follows()
	s.converged()
	s.beginsToRotate()
	s.after(2 * time.Second)
	s.Expect(s.holds(meta.BackupSecret, "site-a")).To(Equal("1 2"))
	takes := s.refuses()
	s.after(2 * time.Minute)
	s.Expect(s.holds(meta.BackupSecret, "site-a")).To(Equal("1 2"), "it may only be starting")
	s.after(rotationPatience)
	s.after(2 * time.Second)
	s.Expect(s.holds(meta.BackupSecret, "site-a")).To(Equal("1"))
	s.Expect(s.told()).To(ContainSubstring("generation 2 of site-a is not archived to any more"))
	s.Expect(s.site("site-a").Rotation.Message).To(ContainSubstring("does not take the write-ahead log"))
	takes()
	s.rotates("site-a", 2)
}

// What is wrong with one destination stays with it: the others come and go.
func TestANewRepositoryIsTakenOutWhileAnotherDestinationCannotBeConfigured(t *testing.T) {
	s := newStage(t, "rotation-keyless")
	s.follows()
	s.converged()
	s.Expect(env.Client.Delete(s.ctx, s.secret(s.operatorNamespace(), "site-b-rotation-keyless"))).To(Succeed())
	s.after(time.Hour)
	s.Expect(text(s.site("site-b").Conditions, v1alpha1.ConditionBackedUp)).To(HavePrefix("False CredentialsMissing"))
	before := s.secret(s.namespace(), meta.BackupSecret).Data
	s.beginsToRotate()
	s.after(2 * time.Second)
	s.Expect(s.holds(meta.BackupSecret, "site-a")).To(Equal("1 2"))
	s.Expect(s.holds(meta.BackupSecret, "site-b")).To(Equal("1"))
	s.refuses()
	s.after(rotationPatience)
	s.after(2 * time.Minute)
	s.Expect(s.secret(s.namespace(), meta.BackupSecret).Data).To(Equal(before), "site-b is archived to with the credentials that it had")
	s.Expect(s.holds(meta.BackupJobSecret, "site-b")).To(Equal("1"))
}

func TestAGenerationWhoseKeyIsLostIsNotGoneOverTo(t *testing.T) {
	s := newStage(t, "rotation-unkeyed")
	s.follows()
	s.converged()
	s.beginsToRotate()
	s.end(s.step(engine.JobBackup, "site-a", 2), s.backedUp("site-a", 1))
	s.passes()
	keys := s.secret(s.operatorNamespace(), meta.BackupKeysSecret(s.instanceID()))
	delete(keys.Data, "site-a.g2")
	s.Expect(env.Client.Update(s.ctx, keys)).To(Succeed())
	s.after(11 * time.Minute)
	s.after(11 * time.Minute)
	s.Expect(s.site("site-a").Generation).To(Equal(int32(1)))
	s.Expect(s.holds(meta.BackupSecret, "site-a")).To(Equal("1"), "the log goes to the one whose key is there")
	s.Expect(s.condition(v1alpha1.ConditionBackedUp)).To(HavePrefix("True"))
}

func TestARetiredGenerationWhoseKeyIsLostStaysWhereItCanStillBeRestoredFrom(t *testing.T) {
	s := newStage(t, "rotation-lost")
	s.follows()
	s.converged()
	s.asksForRotation("now")
	s.rotates("site-a", 2)
	s.Expect(s.holds(meta.BackupRetiredSecret, "site-a")).To(Equal("1"))
	retired := s.secret(s.namespace(), meta.BackupRetiredSecret).Data
	keys := s.secret(s.operatorNamespace(), meta.BackupKeysSecret(s.instanceID()))
	delete(keys.Data, "site-a.g1")
	s.Expect(env.Client.Update(s.ctx, keys)).To(Succeed())
	s.restart()
	s.after(time.Hour)
	s.Expect(s.secret(s.namespace(), meta.BackupRetiredSecret).Data).To(Equal(retired))
	s.Expect(s.holds(meta.BackupJobSecret, "site-a")).To(Equal("1 2"))
}

func TestARetiredGenerationAsksForTheProofThatItsDestructionWaitsFor(t *testing.T) {
	policy := &v1alpha1.BackupPolicy{Spec: v1alpha1.BackupPolicySpec{Retention: v1alpha1.BackupRetention{BackupDays: 14, PointInTimeDays: 6}}}
	old := generation{Number: 1, Since: at(-60 * 24 * 15), Status: ended(15)}
	d := &destination{generations: generations{Current: 2, Retired: []generation{old}}}
	for days, want := range map[int]time.Time{-2: {}, 0: old.Since} {
		s := &scope{now: noon.AddDate(0, 0, days), observed: observed{policy: policy}}
		if got := s.holdsUpDestruction(d); !got.Equal(want) {
			t.Errorf("on day %d a proof since %s is asked for, want %s", days, got, want)
		}
	}
}

func TestARetiredGenerationIsDestroyedWithItsKeyOnceItHasExpired(t *testing.T) {
	s := newStage(t, "rotation-end", func(p *v1alpha1.BackupPolicy) {
		p.Spec.Destinations = p.Spec.Destinations[:1]
		p.Spec.Retention = v1alpha1.BackupRetention{BackupDays: 20, PointInTimeDays: 5}
		p.Spec.Schedule.FullDays = []v1alpha1.Weekday{"Monday", "Wednesday", "Friday", "Sunday"}
	})
	s.follows()
	s.passes()
	s.after(settleTime)
	s.end(s.theJob(engine.JobBackup, "site-a"), s.backedUp("site-a", 1))
	s.passes()
	s.after(settleTime)
	s.end(s.theJob(engine.JobVerify, "site-a"), s.proven("site-a"))
	s.passes()
	s.collectGarbage()
	s.asksForRotation("now")
	s.rotates("site-a", 2)
	s.end(s.step(engine.JobCreate, "site-a", 2), engine.Result{Job: engine.JobCreate, Destination: "site-a"})
	s.passes()
	due := s.site("site-a").Retired[0].DestroyAfter.Time

	s.clock.SetTime(due.Add(days(overdueDays) + time.Minute))
	s.passes()
	s.after(settleTime)
	s.Expect(s.jobs(engine.JobDestroy, "site-a")).To(BeEmpty(), "the new generation was not proven since long")
	s.end(s.step(engine.JobBackup, "site-a", 2), s.backedUp("site-a", 2))
	s.passes()
	s.Expect(s.condition(v1alpha1.ConditionRetained)).To(And(HavePrefix("False RetiredOverdue: site-a"), ContainSubstring("see Recoverable")))
	s.end(s.step(engine.JobVerify, "site-a", 2), s.proven("site-a"))
	s.passes()
	s.collectGarbage()
	s.end(s.step(engine.JobDestroy, "site-a", 1), failed(engine.JobDestroy, "site-a", engine.FailedUnreachable, "no route to host"))
	s.passes()
	s.Expect(s.told()).To(ContainSubstring("removing what has expired from the retired generation 1 of site-a failed"))
	s.Expect(s.keys()).To(Equal([]string{"site-a.g1", "site-a.g2"}), "the key is the last that goes")
	s.Expect(s.condition(v1alpha1.ConditionRetained)).To(And(HavePrefix("False RetiredOverdue: site-a"), ContainSubstring("no route to host")))
	s.after(retiredPause)
	gone := s.step(engine.JobDestroy, "site-a", 1)
	s.Expect(argument(gone, "backup-days")).To(Equal("20"))
	s.end(gone, engine.Result{Job: engine.JobDestroy, Destination: "site-a"})
	s.passes()
	s.after(2 * time.Second)
	s.Expect(s.keys()).To(Equal([]string{"site-a.g2"}))
	s.Expect(s.site("site-a").Retired).To(BeEmpty())
	s.Expect(s.condition(v1alpha1.ConditionRetained)).To(HavePrefix("True"))
	s.Expect(s.holds(meta.BackupJobSecret, "site-a")).To(Equal("2"))
	s.Expect(client.IgnoreNotFound(env.Client.Get(s.ctx, client.ObjectKey{Namespace: s.namespace(), Name: meta.BackupRetiredSecret}, &corev1.Secret{}))).To(Succeed())
	s.Expect(env.Client.Get(s.ctx, client.ObjectKey{Namespace: s.namespace(), Name: meta.BackupRetiredSecret}, &corev1.Secret{})).NotTo(Succeed())
}

// An attempt that failed is counted where it was made: else the next one would have its name, and none would be made.
func TestAFailedBackupIsRepeatedInARotatedGeneration(t *testing.T) {
	s := newStage(t, "rotation-failing")
	s.follows()
	s.converged()
	s.asksForRotation("now")
	s.rotates("site-a", 2)
	s.end(s.step(engine.JobCreate, "site-a", 2), failed(engine.JobCreate, "site-a", engine.FailedUnreachable, "no route to host"))
	s.passes()
	for range 3 {
		s.after(settleTime)
		s.Expect(s.jobs(engine.JobCreate, "site-a")).To(BeEmpty(), "the keys are put there after a pause")
	}
	s.after(firstPause)
	s.end(s.step(engine.JobCreate, "site-a", 2), engine.Result{Job: engine.JobCreate, Destination: "site-a"})
	s.passes()
	s.after(26 * time.Hour)
	first := s.step(engine.JobBackup, "site-a", 2)
	s.end(first, failed(engine.JobBackup, "site-a", engine.FailedUnreachable, "no route to host"))
	s.passes()
	s.Expect(text(s.site("site-a").Conditions, v1alpha1.ConditionBackedUp)).To(ContainSubstring("no route to host"))
	s.after(firstPause)
	second := s.step(engine.JobBackup, "site-a", 2)
	s.Expect(second.Name).NotTo(Equal(first.Name))
}

// Keys that were brought back from before a rotation do not open what has been written since: they must not make the old
// generation the one that counts.
func TestKeysFromBeforeARotationDoNotTurnItBack(t *testing.T) {
	s := newStage(t, "rotation-back")
	s.follows()
	s.converged()
	s.asksForRotation("now")
	s.step(engine.JobCreate, "site-a", 2)
	old := s.secret(s.operatorNamespace(), meta.BackupKeysSecret(s.instanceID())).Data
	s.rotates("site-a", 2)
	keys := s.secret(s.operatorNamespace(), meta.BackupKeysSecret(s.instanceID()))
	keys.Data = old
	s.Expect(env.Client.Update(s.ctx, keys)).To(Succeed())
	s.restart()
	s.after(15 * time.Minute)
	s.Expect(s.site("site-a").Generation).To(Equal(int32(2)))
	s.Expect(text(s.site("site-a").Conditions, v1alpha1.ConditionBackedUp)).To(HavePrefix("False KeysLost"))
	s.Expect(s.holds(meta.BackupSecret, "site-a")).To(Equal("2"), "the log goes where it went")
	s.Expect(text(s.site("site-b").Conditions, v1alpha1.ConditionRecoverable)).To(HavePrefix("True"))

	before, since, well := s.secret(s.namespace(), meta.BackupJobSecret).Data, s.clock.Now(), s.archive
	s.archive = func() engine.Report {
		report := well()
		report.WALBytes, report.WALVolumeFree = 4<<30, 4<<30
		for i := range report.Destinations {
			if report.Destinations[i].Name == "site-b" {
				report.Destinations[i].Failure, report.Destinations[i].Since = &engine.Failure{Reason: engine.FailedUnreachable, Message: "timeout"}, since
			}
		}
		return report
	}
	s.after(17 * time.Minute)
	s.Expect(s.holds(meta.BackupSecret, "site-b")).To(BeEmpty(), "a dead site is taken out all the same")
	s.Expect(s.holds(meta.BackupSecret, "site-a")).To(Equal("2"))
	s.Expect(s.secret(s.namespace(), meta.BackupJobSecret).Data).To(Equal(before), "and the newest keys that are sealed stay so")
}

func TestNothingIsDestroyedForAGenerationThatMayNotBeGood(t *testing.T) {
	policy := &v1alpha1.BackupPolicy{}
	policy.Spec.Verification.MaximumAgeDays = 10
	s := &scope{now: noon}
	s.observed.policy = policy
	old := generation{Number: 1, Since: noon.AddDate(0, 0, -200)}
	good := func() *destination {
		return &destination{name: "site-a", status: v1alpha1.DestinationStatus{LastBackup: timeOf(noon), LastVerified: timeOf(noon.AddDate(0, 0, -5))}}
	}
	for name, c := range map[string]struct {
		change func(*destination)
		want   bool
	}{
		"proven since":          {func(*destination) {}, true},
		"proven long ago":       {func(d *destination) { d.status.LastVerified = timeOf(noon.AddDate(0, 0, -11)) }, false},
		"never proven":          {func(d *destination) { d.status.LastVerified = nil }, false},
		"without a backup":      {func(d *destination) { d.status.LastBackup = nil }, false},
		"with a gap in the log": {func(d *destination) { d.aside.Back = noon }, false},
		"left by a restore":     {func(d *destination) { d.uprooted = noon }, false},
		"found to be damaged": {func(d *destination) {
			d.status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionRecoverable, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonVerificationFailed}}
		}, false},
	} {
		d := good()
		if c.change(d); s.standsFor(d, old) != c.want {
			t.Errorf("%s: %v", name, !c.want)
		}
	}
}
