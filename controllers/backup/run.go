// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// wish is a Job that the operator wants to make.
type wish struct {
	name string
	task task
	// backup is the Backup that asks for it; nil if none does.
	backup *v1alpha1.Backup
}

// run has each destination worked at by one Job at most: by the CronJob's, or, while that is suspended, by one of ours.
func (r *Reconciler) run(ctx context.Context, s *scope) error {
	s.failed(r.refuseStrays(ctx, s))
	if s.observed.database == nil {
		return nil // It will be told by the Tenant's status.
	}
	proven, err := r.proofWish(ctx, s)
	if err != nil {
		return err
	}
	for _, d := range s.destinations {
		wanted, err := r.wish(s, d)
		if wanted == nil && proven != nil && proven.task.destination == d.name {
			wanted = proven
		}
		if err == nil && wanted == nil {
			wanted, err = r.rotationWish(ctx, s, d, proven != nil)
		}
		if err == nil {
			err = r.workOn(ctx, s, d, wanted)
		}
		s.failed(err) // The other destinations do not wait.
	}
	return r.pruneCronJobs(ctx, s)
}

// workOn makes a destination's CronJob be as it shall, and the Job that is wanted.
func (r *Reconciler) workOn(ctx context.Context, s *scope, d *destination, wanted *wish) error {
	active := s.active(d.name)
	ours := active != nil && !byCronJob(active)
	if err := r.cronJob(ctx, s, d, wanted != nil || ours); err != nil {
		return err
	}
	if wanted == nil || active != nil {
		delete(s.memory.suspended, d.name)
		return r.tellWaiting(ctx, s, d, active)
	}
	live := s.observed.cronJobs[cronJobName(d.name)]
	if live == nil || !ptr.Deref(live.Spec.Suspend, false) {
		delete(s.memory.suspended, d.name)
		return nil // Its change brings us back.
	}
	since, known := s.memory.suspended[d.name]
	if !known {
		s.memory.suspended[d.name], since = s.now, s.now
	}
	if left := since.Add(settleTime).Sub(s.now); left > 0 {
		s.comeBack(left)
		return nil
	}
	return r.start(ctx, s, d, wanted)
}

// start makes a Job, once the API server has said that nothing works on the repository.
func (r *Reconciler) start(ctx context.Context, s *scope, d *destination, wanted *wish) error {
	var jobs batchv1.JobList
	err := r.api.List(ctx, &jobs, client.InNamespace(s.namespace), client.HasLabels{v1alpha1.LabelBackupJob})
	if err != nil {
		return fmt.Errorf("looking whether a Job works on the repository in %s: %w", d.name, err)
	}
	for i := range jobs.Items {
		if worksOn(&jobs.Items[i], d.name) {
			return nil // The cache will show it soon.
		}
	}
	job, err := s.workshop().job(wanted.name, wanted.task)
	if err != nil {
		return err
	}
	if err := r.client.Create(ctx, job, client.FieldOwner(meta.FieldOwner)); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("making Job %s/%s: %w", job.Namespace, job.Name, err)
	}
	if wanted.backup != nil {
		return r.tell(ctx, s, wanted.backup, v1alpha1.ReasonRunning, "Job "+job.Name+" makes it")
	}
	return nil
}

// worksOn reports whether a Job works, or may still work, on a destination's repository. One without a destination works
// on all.
func worksOn(job *batchv1.Job, destination string) bool {
	of := job.Labels[v1alpha1.LabelDestination]
	return (of == "" || of == destination) && endOf(job).IsZero()
}

func (s *scope) active(destination string) *batchv1.Job {
	for _, job := range s.observed.jobs {
		if worksOn(job, destination) {
			return job
		}
	}
	return nil
}

func byCronJob(job *batchv1.Job) bool {
	for _, owner := range job.OwnerReferences {
		if owner.Kind == "CronJob" {
			return true
		}
	}
	return false
}

// tellWaiting tells the next Backup that was asked for what it waits for.
func (r *Reconciler) tellWaiting(ctx context.Context, s *scope, d *destination, active *batchv1.Job) error {
	for _, b := range s.asked(d.name) {
		why := s.held()
		switch {
		case active != nil && active.Annotations[annotationBackup] == b.Name:
			continue
		case active != nil:
			why = "Job " + active.Name + " works on the same repository"
		case d.wrong != nil:
			why = d.wrong.Error()
		case why == "" && d.aside.torn():
			why = "the destination does not take the write-ahead log"
		case why == "":
			why = "the database is not ready, or the instance has never been available"
		}
		if err := r.tell(ctx, s, b, v1alpha1.ReasonWaiting, why); err != nil {
			return err
		}
	}
	return nil
}
