// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"errors"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	batchv1ac "k8s.io/client-go/applyconfigurations/batch/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/apply"
)

const (
	// startingDeadlineSeconds is how late a CronJob may start: it was suspended, or Kubernetes did not run.
	startingDeadlineSeconds = 12 * 3600
	// Jobs of a CronJob that are kept for people to look at.
	succeededKept, failedKept = 1, 2
)

var cronJobKind = apply.Kind[*batchv1.CronJob, *batchv1ac.CronJobApplyConfiguration]{
	New:     func() *batchv1.CronJob { return &batchv1.CronJob{} },
	Extract: batchv1ac.ExtractCronJob,
}

// cronJob makes a destination's CronJob be as it shall. yield says that a Job of the operator works on the repository, or
// is about to.
func (r *Reconciler) cronJob(ctx context.Context, s *scope, d *destination, yield bool) error {
	live := s.observed.cronJobs[cronJobName(d.name)]
	suspended := yield || s.held() != "" || !d.usable() || d.aside.torn()
	if live == nil && !d.usable() {
		return nil // It could not do anything.
	}
	if !archives(&s.observed.database.Spec.Template) {
		return r.suspend(ctx, live)
	}
	made, err := r.backupTask(s, d, "")
	if err != nil {
		return err
	}
	want, err := s.workshop().cronJob(made, s.observed.policy.Spec.Schedule)
	if err != nil {
		return err
	}
	if suspended {
		want.Spec.WithSuspend(true)
	}
	if d.usable() {
		want.WithAnnotations(map[string]string{annotationSecrets: s.memory.secrets})
	}
	_, err = apply.Do(ctx, r.applier, cronJobKind, live, want)
	return err
}

// cronJob makes backups of one kind by schedule, one at a time.
func (w workshop) cronJob(t task, schedule v1alpha1.BackupSchedule) (*batchv1ac.CronJobApplyConfiguration, error) {
	when, _, err := cronSchedule(schedule, w.instanceID)
	if err != nil {
		return nil, err
	}
	spec, err := w.jobSpec(t)
	if err != nil {
		return nil, err
	}
	template := batchv1ac.JobTemplateSpec().WithLabels(w.labels(t)).WithSpec(spec)
	if annotations := t.annotated(); len(annotations) > 0 {
		template.WithAnnotations(annotations)
	}
	return batchv1ac.CronJob(cronJobName(t.destination), w.namespace).WithLabels(w.labels(t)).
		WithSpec(batchv1ac.CronJobSpec().
			WithSchedule(when).WithTimeZone(schedule.TimeZone).
			WithConcurrencyPolicy(batchv1.ForbidConcurrent).
			WithStartingDeadlineSeconds(startingDeadlineSeconds).
			WithSuccessfulJobsHistoryLimit(succeededKept).WithFailedJobsHistoryLimit(failedKept).
			WithJobTemplate(template)), nil
}

// suspend keeps a CronJob of which today's cannot be made from starting anything.
func (r *Reconciler) suspend(ctx context.Context, live *batchv1.CronJob) error {
	if live == nil || ptr.Deref(live.Spec.Suspend, false) {
		return nil
	}
	after := live.DeepCopy()
	after.Spec.Suspend = ptr.To(true)
	if err := r.client.Patch(ctx, after, client.MergeFrom(live), client.FieldOwner(fieldOwner)); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("suspending CronJob %s/%s: %w", live.Namespace, live.Name, err)
	}
	return nil
}

// pruneCronJobs removes those of destinations that the policy does not have any more. Their repositories stay.
func (r *Reconciler) pruneCronJobs(ctx context.Context, s *scope) error {
	var errs []error
	for _, live := range s.observed.cronJobs {
		if s.destination(live.Labels[v1alpha1.LabelDestination]) == nil {
			errs = append(errs, r.removeCronJob(ctx, live))
		}
	}
	return errors.Join(errs...)
}

// removeCronJob removes a CronJob that we made, and the Jobs that it made.
func (r *Reconciler) removeCronJob(ctx context.Context, live *batchv1.CronJob) error {
	if live.DeletionTimestamp != nil || !apply.AppliedByUs(live) {
		return nil
	}
	err := r.client.Delete(ctx, live, client.Preconditions{UID: ptr.To(live.UID)}, client.PropagationPolicy(metav1.DeletePropagationBackground))
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("removing CronJob %s/%s, which is not wanted any more: %w", live.Namespace, live.Name, err)
	}
	return nil
}
