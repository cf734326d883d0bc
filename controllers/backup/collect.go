// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/backup/engine"
	"github.com/freehold-dev/freehold/controllers/internal/conditions"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

const (
	// annotationRecorded on a Job says that its result stands in the Tenant's status.
	annotationRecorded = "freehold.dev/recorded"
	// annotationBackup on a Job names the Backup that asked for it. Without it the Backup has the Job's name.
	annotationBackup = "freehold.dev/backup"
)

// resultSeen is what a Job left behind.
type resultSeen struct {
	// Result of the database; its failure is that of both halves together.
	engine.Result
	// files is the result of the application's data; nil if the Job had nothing to do with it.
	files *engine.FilesResult
	// ended is when the Job ended.
	ended time.Time
	// before is what the status said when the Job was read.
	before v1alpha1.DestinationStatus
}

// collect reads the results of Jobs that ended, oldest first. Restores are read by their own controller. What is to stand
// beside the keys is written before any Job is marked.
func (r *Reconciler) collect(ctx context.Context, s *scope) error {
	if s.rotated {
		return nil // Somebody else wrote beside the keys: nothing is read until the next pass, which knows what.
	}
	err := r.collectAll(ctx, s)
	if kept := r.keepGenerations(ctx, s); kept != nil {
		s.collected = nil
		return errors.Join(err, kept)
	}
	return err
}

func (r *Reconciler) collectAll(ctx context.Context, s *scope) error {
	for _, job := range s.observed.jobs {
		if !toCollect(job) {
			continue
		}
		result, files, err := resultsOf(ctx, r.api, job)
		if err != nil {
			return err
		}
		if early, err := r.tooEarly(ctx, s, job, result, files); err != nil {
			return err
		} else if early {
			continue
		}
		if d := s.destination(job.Labels[v1alpha1.LabelDestination]); d != nil {
			if err := r.recordOf(ctx, s, d, job, result, files); err != nil {
				return err
			}
		}
		s.collected = append(s.collected, job)
	}
	return r.pruneBackups(ctx, s)
}

// toCollect reports whether a Job has ended and was not read yet.
func toCollect(job *batchv1.Job) bool {
	kind := job.Labels[v1alpha1.LabelBackupJob]
	return (manages(kind) || kind == engine.JobVerify) && !endOf(job).IsZero() && job.Annotations[annotationRecorded] == "" && job.DeletionTimestamp == nil
}

// leftNothing reports whether a failure is that a container left no result.
func leftNothing(failure *engine.Failure) bool {
	return failure != nil && failure.Reason == engine.FailedNoResult
}

// resultPatience is how long a Job that ended well may be without the result that its pod must have left.
const resultPatience = time.Minute

// tooEarly reports whether nothing can be said yet of a Job whose pod left no result: it was read, and removed, before,
// and only the cache shows it still; or it ended well, and what its pod left is still to be seen.
func (r *Reconciler) tooEarly(ctx context.Context, s *scope, job *batchv1.Job, result engine.Result, files *engine.FilesResult) (bool, error) {
	if !leftNothing(result.Failure) && (files == nil || !leftNothing(files.Failure)) {
		return false, nil
	}
	live := &batchv1.Job{}
	err := r.api.Get(ctx, client.ObjectKeyFromObject(job), live)
	switch {
	case apierrors.IsNotFound(err):
		return true, nil
	case err != nil:
		return false, fmt.Errorf("reading Job %s/%s: %w", job.Namespace, job.Name, err)
	case live.UID != job.UID || live.DeletionTimestamp != nil || live.Annotations[annotationRecorded] != "":
		return true, nil
	}
	left := endOf(job).Add(resultPatience).Sub(s.now)
	if failedJob(job) != nil || left <= 0 {
		return false, nil
	}
	s.comeBack(min(left, 5*time.Second))
	return true, nil
}

// record puts a result where it belongs, each half by itself; what failed as a whole is said of both. It may be done
// again: a killed operator has not marked the Job.
func (r *Reconciler) record(ctx context.Context, s *scope, d *destination, job *batchv1.Job, result engine.Result, files *engine.FilesResult) error {
	seen := &resultSeen{files: files, ended: endOf(job)}
	d.status.DeepCopyInto(&seen.before)
	d.take(result, seen.ended)
	d.takeFiles(files, seen.ended)
	result.Failure = together(result.Failure, files)
	seen.Result = result
	observeJob(s.name, d.name, job, result)
	switch job.Labels[v1alpha1.LabelBackupJob] {
	case engine.JobVerify:
		d.proofSeen = seen
		r.recordProof(s, d, result)
		return nil
	case engine.JobExpire:
		d.backupSeen = seen
		r.recordExpiry(s, d, result)
		return nil
	}
	d.backupSeen = seen
	return r.recordBackup(ctx, s, d, job, result, snapshotOf(files))
}

// recordExpiry tells that a Job which only removes what has expired could not. The next one comes after a pause.
func (r *Reconciler) recordExpiry(s *scope, d *destination, result engine.Result) {
	if result.Failure != nil {
		r.events.Eventf(s.tenant, nil, corev1.EventTypeWarning, v1alpha1.ReasonExpiryFailed, "Expire", "%s",
			conditions.Shorten(fmt.Sprintf("removing what has expired from %s failed (%s): %s", d.name, result.Failure.Reason, result.Failure.Message), conditions.MaxNote))
	}
}

// recordProof remembers a verification that proved nothing: the next one comes after a pause.
func (r *Reconciler) recordProof(s *scope, d *destination, result engine.Result) {
	if result.Failure == nil {
		delete(s.memory.unproven, d.name)
		return
	}
	if before := s.memory.unproven[d.name].at; before.IsZero() || s.now.Sub(before) > time.Minute {
		r.events.Eventf(s.tenant, nil, corev1.EventTypeWarning, v1alpha1.ReasonVerificationFailed, "Verify", "%s",
			conditions.Shorten(fmt.Sprintf("restoring a backup of %s to prove it failed (%s): %s", d.name, result.Failure.Reason, result.Failure.Message), conditions.MaxNote))
	}
	s.memory.unproven[d.name] = attempt{at: s.now, refuted: refutes(result.Failure)}
}

// isNews reports whether a result tells more than the status does. That of a backup which is read late is older than the
// newest one that is known; that of an expiry is not if it ended later, and then knows better also that less is there.
func (d *destination) isNews(result engine.Result, ended time.Time) bool {
	last := timeIn(d.status.LastBackup)
	if result.Job == engine.JobExpire {
		return !ended.Before(last)
	}
	return !result.Catalogue.NewestFinished.Before(last)
}

// take puts what a result says into the status. An older result than the one that it speaks of adds nothing.
func (d *destination) take(result engine.Result, ended time.Time) {
	if c := result.Catalogue; c != nil && d.isNews(result, ended) {
		d.status.LastBackup = timeOf(c.NewestFinished)
		if d.status.LastBackup == nil {
			d.status.RecoverableUntil = nil // The log alone restores nothing.
		}
		d.status.Backups, d.status.FullBackups = count(c.Backups), count(c.Fulls)
		d.status.RepositorySize = quantity(c.RepositoryBytes)
		if e := result.Expiry; e != nil && e.Planned > 0 {
			d.status.Backups = count(max(0, c.Backups-e.Planned)) // So many at least: perhaps they are gone.
		} else {
			d.status.RecoverableFrom = timeOf(c.RecoverableFrom)
		}
	}
	if e := result.Expiry; e != nil && e.Unknown {
		d.status.Backups = nil // The next catalogue tells.
	}
	if found := result.Recovery; result.Job == engine.JobVerify && result.Failure == nil && found != nil {
		d.status.LastVerified, d.status.VerifiedBackup = timeOf(ended), found.Backup
		d.status.RecoverySeconds = count(found.Seconds)
	}
}

// endOf is when a Job ended; zero if it has not. Its pods have ended then.
func endOf(job *batchv1.Job) time.Time {
	for _, c := range job.Status.Conditions {
		if (c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed) && c.Status == corev1.ConditionTrue {
			return c.LastTransitionTime.Time
		}
	}
	return time.Time{}
}

// resultsOf reads what the containers of a Job's pod left behind, of the database and of the application's data. One that
// left nothing failed in a way that Kubernetes tells.
func resultsOf(ctx context.Context, api client.Reader, job *batchv1.Job) (engine.Result, *engine.FilesResult, error) {
	pods, err := podsOf(ctx, api, job)
	if err != nil {
		return engine.Result{}, nil, err
	}
	return judgeResult(job, pods), judgeFiles(job, pods), nil
}

// resultOf is what the container of the database left behind.
func resultOf(ctx context.Context, api client.Reader, job *batchv1.Job) (engine.Result, error) {
	result, _, err := resultsOf(ctx, api, job)
	return result, err
}

// podsOf are the pods of a Job, the newest first.
func podsOf(ctx context.Context, api client.Reader, job *batchv1.Job) ([]corev1.Pod, error) {
	var pods corev1.PodList
	err := api.List(ctx, &pods, client.InNamespace(job.Namespace), client.MatchingLabels{batchv1.JobNameLabel: job.Name})
	if err != nil {
		return nil, fmt.Errorf("listing the pods of Job %s/%s: %w", job.Namespace, job.Name, err)
	}
	pods.Items = slices.DeleteFunc(pods.Items, func(p corev1.Pod) bool { return p.Labels[batchv1.ControllerUidLabel] != string(job.UID) })
	slices.SortFunc(pods.Items, func(a, b corev1.Pod) int {
		return cmp.Or(b.CreationTimestamp.Compare(a.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
	return pods.Items, nil
}

// judgeResult is the result that the newest of a Job's pods left of the database. A container that failed has one that says
// so; that another one of the pod failed, and with it the Job, is no failure of this one.
func judgeResult(job *batchv1.Job, pods []corev1.Pod) engine.Result {
	result := engine.Result{Job: job.Labels[v1alpha1.LabelBackupJob], Destination: job.Labels[v1alpha1.LabelDestination]}
	ended, found := left[engine.Result](pods, meta.ContainerBackup)
	if found != nil && found.Job == result.Job && found.Destination == result.Destination {
		result = *found
		if result.Failure != nil || ended.ExitCode == 0 {
			return result
		}
	}
	if len(pods) == 0 || endedContainer(&pods[0], meta.ContainerBackup) == nil {
		result.Expiry = &engine.Expiry{Unknown: true}
	}
	result.Failure = &engine.Failure{Reason: engine.FailedNoResult, Message: withoutResult(job, pods, meta.ContainerBackup)}
	return result
}

// left is what a container of the newest pod that left something left, and how it ended; nil if none did.
func left[R any](pods []corev1.Pod, container string) (*corev1.ContainerStateTerminated, *R) {
	for i := range pods {
		result := new(R)
		if ended := endedContainer(&pods[i], container); ended != nil && json.Unmarshal([]byte(ended.Message), result) == nil {
			return ended, result
		}
	}
	return nil, nil
}

func endedContainer(pod *corev1.Pod, container string) *corev1.ContainerStateTerminated {
	for _, status := range pod.Status.ContainerStatuses {
		if status.Name == container {
			return status.State.Terminated
		}
	}
	return nil
}

func failedJob(job *batchv1.Job) *batchv1.JobCondition {
	for i, c := range job.Status.Conditions {
		if c.Type == batchv1.JobFailed && c.Status == corev1.ConditionTrue {
			return &job.Status.Conditions[i]
		}
	}
	return nil
}

// withoutResult says what Kubernetes tells of a Job of which a container left no result.
func withoutResult(job *batchv1.Job, pods []corev1.Pod, container string) string {
	text := "Job " + job.Name + " ended without a result"
	if failed := failedJob(job); failed != nil && failed.Reason == batchv1.JobReasonDeadlineExceeded {
		text = fmt.Sprintf("Job %s was ended since it took longer than %d s", job.Name, *job.Spec.ActiveDeadlineSeconds)
	}
	switch {
	case len(pods) == 0:
		return text + "; its pod is gone, or was never made: see kubectl events -n " + job.Namespace
	case pods[0].Status.Reason != "":
		text += "; its pod: " + pods[0].Status.Reason + " " + pods[0].Status.Message
	}
	if ended := endedContainer(&pods[0], container); ended != nil {
		text += fmt.Sprintf("; exit code %d (%s) %s", ended.ExitCode, ended.Reason, conditions.Shorten(ended.Message, 500))
	} else {
		text += "; its container never ran: see kubectl describe pod -n " + job.Namespace + " " + pods[0].Name
	}
	return conditions.Shorten(text, 1000)
}

// settle marks what was collected, once the status has it. Verifications are removed with their throw-away volume.
func (r *Reconciler) settle(ctx context.Context, s *scope) error {
	for _, job := range s.collected {
		if job.Labels[v1alpha1.LabelBackupJob] == engine.JobVerify {
			if err := r.removeJob(ctx, job); err != nil {
				return err
			}
			continue
		}
		after := job.DeepCopy()
		metav1.SetMetaDataAnnotation(&after.ObjectMeta, annotationRecorded, s.now.UTC().Format(time.RFC3339))
		if err := r.client.Patch(ctx, after, client.MergeFrom(job), client.FieldOwner(meta.FieldOwner)); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("marking Job %s/%s: %w", job.Namespace, job.Name, err)
		}
	}
	return nil
}

// removeJob deletes exactly the Job that was looked at, with its pods.
func (r *Reconciler) removeJob(ctx context.Context, job *batchv1.Job) error {
	err := r.client.Delete(ctx, job, client.Preconditions{UID: &job.UID}, client.PropagationPolicy(metav1.DeletePropagationBackground))
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("removing Job %s/%s: %w", job.Namespace, job.Name, err)
	}
	return nil
}
