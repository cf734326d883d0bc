// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/backup/engine"
	"github.com/freehold-dev/freehold/controllers/internal/conditions"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

const (
	// annotationGeneration on a Job is the generation of the repository that it works with; absent for the first.
	annotationGeneration = "freehold.dev/generation"
	// annotationStage on a Job of a rotation says which stage it belongs to, and when that began.
	annotationStage = "freehold.dev/rotation-stage"
	// retiredPause lies between two Jobs that remove from a retired generation.
	retiredPause = 24 * time.Hour
)

// occasion is a stage of one generation's rotation, as it stands on its Jobs.
func (n generation) occasion() string { return string(n.Stage) + "-" + occasion(n.Since) }

// annotated are the annotations of a task's Job.
func (t task) annotated() map[string]string {
	if t.generation <= 1 {
		return t.annotations
	}
	all := map[string]string{annotationGeneration: strconv.Itoa(int(t.generation))}
	maps.Copy(all, t.annotations)
	return all
}

// generationOf is the generation that a Job works with.
func generationOf(job *batchv1.Job) int32 {
	number, err := strconv.ParseInt(job.Annotations[annotationGeneration], 10, 32)
	if err != nil {
		return 1
	}
	return int32(number)
}

// as is the destination as it would be if a generation were the current one.
func (d *destination) as(n generation) *destination {
	status := *n.Status.DeepCopy()
	status.Name, status.Generation = d.spec.Name, n.Number
	return &destination{spec: d.spec, name: d.name, status: status}
}

// rotate decides about the generations of all destinations: one rotates at a time.
func (r *Reconciler) rotate(ctx context.Context, s *scope) error {
	if s.rotated {
		return nil // It is decided from what is written, in the next pass.
	}
	before := map[string]generations{}
	for _, d := range s.destinations {
		before[d.name] = d.generations.clone()
		d.generations = d.generations.next(s.rotationSight(d))
	}
	if err := r.keepGenerations(ctx, s); err != nil {
		return err
	}
	for _, d := range s.destinations {
		r.announceRotation(s, d, before[d.name])
	}
	return nil
}

// rotationSight gathers what decides about a destination's generations.
func (s *scope) rotationSight(d *destination) rotationSight {
	sight := rotationSight{
		now: s.now, request: s.tenant.Annotations[v1alpha1.AnnotationRotateBackupKeys], held: s.rotationHeld(d), torn: d.aside.torn(),
		status: d.status, until: s.until(d),
	}
	n := d.generations.Next
	if n == nil {
		return sight
	}
	sight.uprooted = uprooted(s.observed.restores, d.as(*n).status)
	if s.report == nil {
		return sight
	}
	sight.pressing = s.logTakes(crowdedPercent)
	if a := s.report.ofGeneration(d, n.Number); a != nil {
		sight.answered, sight.nextUntil = s.received(a.AnsweredAt), a.Until
		if a.Failure != nil {
			sight.failing = s.received(a.Since)
		}
	}
	return sight
}

// received is a moment of the pod's clock by ours.
func (s *scope) received(at time.Time) time.Time {
	if at.IsZero() {
		return at
	}
	return at.Add(s.now.Sub(s.podNow()))
}

// rotationHeld is why nothing of a rotation may begin or be gone over to; empty if it may.
func (s *scope) rotationHeld(d *destination) string {
	if held := s.held(); held != "" {
		return held
	}
	if d.wrong != nil {
		return d.wrong.Error()
	}
	if d.spec.Volume != nil {
		return "keys of volumes in the cluster are not rotated"
	}
	if job := s.active(d.name); job != nil && d.generations.Next != nil {
		return "Job " + job.Name + " works on the destination"
	}
	if first := s.rotating(); first != nil && first != d {
		return "the key of destination " + first.name + " is rotated first"
	}
	return ""
}

// rotating is the destination whose key is being rotated; nil if none is.
func (s *scope) rotating() *destination {
	i := slices.IndexFunc(s.destinations, func(d *destination) bool { return d.generations.Next != nil })
	if i < 0 {
		return nil
	}
	return s.destinations[i]
}

// rotationWish is the Job that a rotation needs next, or one that removes what a retired generation need not keep; nil if
// none. proves says that another destination is about to be verified.
func (r *Reconciler) rotationWish(ctx context.Context, s *scope, d *destination, proves bool) (*wish, error) {
	n := d.generations.Next
	switch {
	case s.rotated:
		return nil, nil // The Secrets know nothing of it yet.
	case n == nil:
		return cmp.Or(s.sealingWish(d), s.retiredWish(d)), nil
	case !s.able(d) || d.aside.torn():
		return s.retiredWish(d), nil
	}
	if due := n.due(); due.After(s.now) {
		s.comeBack(due.Sub(s.now))
		return s.retiredWish(d), nil
	}
	t, err := r.stageTask(ctx, s, d, proves)
	if err != nil || t == nil {
		return s.retiredWish(d), err
	}
	t.annotations = map[string]string{annotationStage: n.occasion()}
	return &wish{name: jobName(t.kind, d.name, "generation", strconv.Itoa(int(n.Number)), n.occasion(), occasion(n.Attempt)), task: *t}, nil
}

// stageTask is what a stage has a Job do; nil if nothing now.
func (r *Reconciler) stageTask(ctx context.Context, s *scope, d *destination, proves bool) (*task, error) {
	n := d.generations.Next
	then := d.as(*n)
	switch n.Stage {
	case stageMaking:
		return creation(then), nil
	case stageFilling:
		t, err := r.backupTask(s, then, v1alpha1.BackupFull)
		return &t, err
	case stageProving:
		if s.verifies() || proves {
			return nil, nil // One at a time fits into the quota.
		}
		if room, err := r.roomToVerify(ctx, s); err != nil || !room {
			s.comeBack(time.Minute)
			return nil, err
		}
		t, err := r.proofTask(s, then, s.rotationSight(d).nextUntil)
		return &t, err
	}
	return nil, nil
}

// creation makes the repository of the destination's generation, or, where there is one, puts the keys beside it.
func creation(d *destination) *task {
	options := engine.BackupOptions{Destination: d.name, Generation: d.status.Generation}
	return &task{kind: engine.JobCreate, destination: d.name, generation: d.status.Generation, secret: meta.BackupJobSecret, args: options.CreateArgs()}
}

// sealingWish puts the keys beside the generation that was just gone over to: the ones that lie there speak of it as one
// that is prepared. Nil if they lie there, or were not taken just now.
func (s *scope) sealingWish(d *destination) *wish {
	g := d.generations
	if !g.Unsealed || !s.able(d) {
		return nil
	}
	if due := dueAgain(g.SealFailures, g.SealAttempt); due.After(s.now) {
		s.comeBack(due.Sub(s.now))
		return nil
	}
	return &wish{name: jobName(engine.JobCreate, d.name, "seal", strconv.Itoa(int(d.status.Generation)), occasion(g.SealAttempt)), task: *creation(d)}
}

// retiredWish removes what retired generations need not keep: what has expired, and in the end all. What cannot be listed
// stays, and so does all while the current generation was not proven since.
func (s *scope) retiredWish(d *destination) *wish {
	if s.stoppedFor() != "" || !d.usable() || !archives(&s.observed.database.Spec.Template) {
		return nil
	}
	policy := s.observed.policy.Spec.Retention
	for _, old := range d.generations.Retired {
		options := engine.BackupOptions{Destination: d.name, Generation: old.Number, Verified: old.Status.VerifiedBackup, BackupDays: policy.BackupDays, PointInTimeDays: policy.PointInTimeDays}
		t := task{kind: engine.JobDestroy, destination: d.name, generation: old.Number, secret: meta.BackupJobSecret, args: options.DestroyArgs()}
		due := old.destroyedAt(policy)
		switch {
		case !due.After(s.now) && s.standsFor(d, old):
		case !old.expiresFrom(policy).After(s.now):
			t.kind, t.args, due = engine.JobExpire, options.ExpireArgs(), s.now
		default:
			due = old.expiresFrom(policy)
		}
		if again := old.Attempt.Add(retiredPause); again.After(due) {
			due = again
		}
		if !due.After(s.now) {
			return &wish{name: jobName(t.kind, d.name, "generation", strconv.Itoa(int(old.Number)), occasion(old.Attempt)), task: t}
		}
		s.comeBack(due.Sub(s.now))
	}
	return nil
}

// standsFor reports whether the current generation may be relied on in place of a retired one: it was proven since, not
// long ago, and nothing is said against it.
func (s *scope) standsFor(d *destination, old generation) bool {
	proven := timeIn(d.status.LastVerified)
	return proven.After(old.Since) && s.now.Sub(proven) <= days(s.observed.policy.Spec.Verification.MaximumAgeDays) &&
		d.status.LastBackup != nil && !d.aside.torn() && d.uprooted.IsZero() &&
		!apimeta.IsStatusConditionFalse(d.status.Conditions, v1alpha1.ConditionRecoverable)
}

// recordSealing notes whether the keys lie beside the current generation.
func (r *Reconciler) recordSealing(s *scope, d *destination, result engine.Result) {
	g := &d.generations
	if !g.Unsealed {
		return
	}
	if g.Unsealed, g.SealAttempt = result.Failure != nil, s.now; result.Failure == nil {
		g.SealFailures, g.SealAttempt = 0, time.Time{}
		return
	}
	g.SealFailures++
	r.tellRotation(s, corev1.EventTypeWarning, v1alpha1.ReasonRotationFailed, fmt.Sprintf("the keys could not be put beside generation %d of %s, and are again: %s", d.status.Generation, d.name, result.Failure.Message))
}

// recordOf puts a result where it belongs: to the current generation, or to the one that the Job worked with.
func (r *Reconciler) recordOf(ctx context.Context, s *scope, d *destination, job *batchv1.Job, result engine.Result, files *engine.FilesResult) error {
	number, kind := generationOf(job), job.Labels[v1alpha1.LabelBackupJob]
	if n := d.generations.Next; n != nil && n.Number == number {
		return r.recordNext(ctx, s, d, job, result, files)
	}
	for i := range d.generations.Retired {
		if d.generations.Retired[i].Number == number {
			r.recordRetired(s, d, i, job, result)
			return nil
		}
	}
	switch {
	case number != d.status.Generation || kind == engine.JobDestroy:
		return nil // It is no more.
	case kind == engine.JobCreate:
		r.recordSealing(s, d, result)
		return nil
	}
	return r.record(ctx, s, d, job, result, files)
}

// recordNext takes a rotation further by what came of a Job of its stage.
func (r *Reconciler) recordNext(ctx context.Context, s *scope, d *destination, job *batchv1.Job, result engine.Result, files *engine.FilesResult) error {
	n, kind := d.generations.Next, job.Labels[v1alpha1.LabelBackupJob]
	then, failure := d.as(*n), together(result.Failure, files)
	then.take(result, endOf(job))
	then.takeFiles(files, endOf(job))
	observeJob(s.name, d.name, job, result)
	if kind == engine.JobBackup {
		whole := result
		whole.Failure = failure
		if err := r.recordBackup(ctx, s, then, job, whole, snapshotOf(files)); err != nil {
			return err
		}
	}
	if job.Annotations[annotationStage] != n.occasion() {
		return nil // It belongs to a stage that is over: what it says is known, or counts no more.
	}
	if failure == nil && n.Stage == stageFilling && then.status.RecoverableFrom == nil {
		failure = &engine.Failure{Reason: engine.FailedDamaged, Message: "the write-ahead log of the backup is not whole"}
	}
	if failure != nil {
		n.failed(failure.Reason+": "+conditions.Shorten(failure.Message, 500), s.now)
		r.tellRotation(s, corev1.EventTypeWarning, v1alpha1.ReasonRotationFailed, fmt.Sprintf("a step (%s) of the rotation of the key of %s failed, and is repeated: %s", n.Stage, d.name, failure.Message))
		return nil
	}
	n.Status = then.status
	n.enter(map[rotationStage]rotationStage{stageMaking: stageArchiving, stageFilling: stageProving, stageProving: stageReady}[n.Stage], s.now)
	return nil
}

// recordRetired notes what was removed from a retired generation, or that it was destroyed.
func (r *Reconciler) recordRetired(s *scope, d *destination, i int, job *batchv1.Job, result engine.Result) {
	old := &d.generations.Retired[i]
	failures := old.Failures
	old.Attempt, old.Failures, old.Failure = s.now, 0, ""
	kind := job.Labels[v1alpha1.LabelBackupJob]
	removes := kind == engine.JobDestroy || kind == engine.JobExpire
	switch {
	case removes && result.Failure != nil:
		old.Failures = failures
		old.failed(result.Failure.Reason+": "+conditions.Shorten(result.Failure.Message, 500), s.now)
		r.tellRotation(s, corev1.EventTypeWarning, v1alpha1.ReasonExpiryFailed, fmt.Sprintf("removing what has expired from the retired generation %d of %s failed (%s): %s", old.Number, d.name, result.Failure.Reason, result.Failure.Message))
	case kind == engine.JobDestroy:
		r.tellRotation(s, corev1.EventTypeNormal, v1alpha1.ReasonDestroyed, fmt.Sprintf("the retired generation %d of %s has expired and was destroyed; its key goes now", old.Number, d.name))
		d.generations.Retired = slices.Delete(d.generations.Retired, i, i+1)
	case kind == engine.JobExpire:
		then := d.as(*old)
		then.take(result, endOf(job))
		old.Status = then.status
	}
}
