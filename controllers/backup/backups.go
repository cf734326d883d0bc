// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"errors"
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/backup/engine"
	"github.com/freehold-dev/freehold/controllers/internal/conditions"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// history is how many Backups that Freehold recorded are kept as objects, by destination. What people made stays until
// they remove it.
const history = 10

// recordBackup notes what came of a Job in the Backup that asked for it, or in one of the Job's name.
func (r *Reconciler) recordBackup(ctx context.Context, s *scope, d *destination, job *batchv1.Job, result engine.Result, snapshot *v1alpha1.FilesSnapshot) error {
	name := job.Annotations[annotationBackup]
	object, err := r.backupObject(ctx, s, d, job, result)
	if apierrors.IsNotFound(err) && name != "" {
		return nil // Who asked for it has removed it.
	}
	if err != nil {
		return fmt.Errorf("recording the backup of Job %s/%s: %w", job.Namespace, job.Name, err)
	}
	status := backupStatus(object, d.status.Generation, result, snapshot, endOf(job))
	news := !equality.Semantic.DeepEqual(object.Status, status)
	if err := r.writeBackup(ctx, object, status); err != nil {
		return err
	}
	if result.Failure != nil && news {
		r.events.Eventf(s.tenant, nil, corev1.EventTypeWarning, v1alpha1.ReasonBackupFailed, "Backup", "%s",
			conditions.Shorten(fmt.Sprintf("the backup %s to %s failed: %s", object.Name, d.name, result.Failure.Message), conditions.MaxNote))
	}
	after := object.DeepCopy()
	after.Status = status
	d.attempted(after)
	return nil
}

// backupObject reads the Backup of a Job, and makes one that is recorded.
func (r *Reconciler) backupObject(ctx context.Context, s *scope, d *destination, job *batchv1.Job, result engine.Result) (*v1alpha1.Backup, error) {
	object := &v1alpha1.Backup{}
	name := job.Annotations[annotationBackup]
	if name != "" {
		return object, r.api.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: name}, object)
	}
	object.ObjectMeta = metav1.ObjectMeta{Name: job.Name, Namespace: s.namespace, Labels: meta.Labels(s.name, s.instanceID, meta.ComponentBackup)}
	object.Labels[v1alpha1.LabelDestination] = d.name
	object.Spec = v1alpha1.BackupSpec{Destination: d.spec.Name, Type: v1alpha1.BackupIncremental}
	if result.Backup != nil && result.Backup.Full {
		object.Spec.Type = v1alpha1.BackupFull
	}
	err := r.client.Create(ctx, object, client.FieldOwner(meta.FieldOwner))
	if apierrors.IsAlreadyExists(err) {
		return object, r.api.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: job.Name}, object)
	}
	return object, err
}

// backupStatus is what a result says of a Backup.
func backupStatus(object *v1alpha1.Backup, generation int32, result engine.Result, snapshot *v1alpha1.FilesSnapshot, ended time.Time) v1alpha1.BackupStatus {
	status := *object.Status.DeepCopy()
	status.Snapshot = snapshot
	if generation > 1 {
		status.Generation = generation // Also of one that failed: it is counted there.
	}
	if b := result.Backup; b != nil {
		status.Type = v1alpha1.BackupIncremental
		if b.Full {
			status.Type = v1alpha1.BackupFull
		}
		status.Label, status.StartLSN, status.StopLSN = b.Label, b.StartLSN, b.StopLSN
		status.StartedAt, status.FinishedAt = timeOf(b.StartedAt), timeOf(b.FinishedAt)
		status.RepositorySize, status.DatabaseSize = quantity(b.RepositoryBytes), quantity(b.DatabaseBytes)
	}
	complete := metav1.Condition{Type: v1alpha1.ConditionComplete, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonSucceeded,
		Message: "the backup is in the destination", ObservedGeneration: object.Generation}
	switch {
	case result.Failure != nil:
		complete.Status, complete.Reason, complete.Message = metav1.ConditionFalse, v1alpha1.ReasonFailed, result.Failure.Reason+": "+result.Failure.Message
	case result.Backup != nil && result.Backup.Damaged:
		complete.Message = "the backup is in the destination, but pages of the database have wrong checksums: its storage is damaged; restore to before the damage"
	}
	conditions.Set(&status.Conditions, complete, ended)
	return status
}

func (r *Reconciler) writeBackup(ctx context.Context, object *v1alpha1.Backup, status v1alpha1.BackupStatus) error {
	if equality.Semantic.DeepEqual(object.Status, status) {
		return nil
	}
	after := object.DeepCopy()
	after.Status = status
	if err := r.client.Status().Patch(ctx, after, client.MergeFrom(object), client.FieldOwner(meta.FieldOwner)); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("writing the status of Backup %s/%s: %w", object.Namespace, object.Name, err)
	}
	return nil
}

// tell notes in a Backup that a person made how far it is.
func (r *Reconciler) tell(ctx context.Context, s *scope, object *v1alpha1.Backup, reason, message string) error {
	status := *object.Status.DeepCopy()
	state := metav1.ConditionFalse
	conditions.Set(&status.Conditions, metav1.Condition{Type: v1alpha1.ConditionComplete, Status: state, Reason: reason, Message: message,
		ObservedGeneration: object.Generation}, s.now)
	return r.writeBackup(ctx, object, status)
}

// asked are the Backups of a destination that were made by hand and have not ended, oldest first.
func (s *scope) asked(destination string) []*v1alpha1.Backup {
	var open []*v1alpha1.Backup
	for _, b := range s.observed.backups {
		if string(b.Spec.Destination) == destination && b.DeletionTimestamp == nil && !recorded(b) && !decided(b) {
			open = append(open, b)
		}
	}
	return open
}

// recorded reports whether a Backup was made by Freehold.
func recorded(b *v1alpha1.Backup) bool { return b.Labels[v1alpha1.LabelInstance] != "" }

// decided reports whether a Backup has ended.
func decided(b *v1alpha1.Backup) bool {
	complete := apimeta.FindStatusCondition(b.Status.Conditions, v1alpha1.ConditionComplete)
	return complete != nil && (complete.Status == metav1.ConditionTrue || complete.Reason == v1alpha1.ReasonFailed)
}

// refuseStrays ends Backups to destinations that the policy does not have.
func (r *Reconciler) refuseStrays(ctx context.Context, s *scope) error {
	var errs []error
	for _, b := range s.observed.backups {
		if s.destination(string(b.Spec.Destination)) == nil && !recorded(b) && !decided(b) {
			errs = append(errs, r.tell(ctx, s, b, v1alpha1.ReasonFailed,
				fmt.Sprintf("BackupPolicy %s has no destination %s; make another Backup", s.observed.policy.Name, b.Spec.Destination)))
		}
	}
	return errors.Join(errs...)
}

// pruneBackups removes the oldest of the Backups that Freehold recorded. Nothing is removed from a destination.
func (r *Reconciler) pruneBackups(ctx context.Context, s *scope) error {
	have := map[string]int{}
	for i := len(s.observed.backups) - 1; i >= 0; i-- {
		b := s.observed.backups[i]
		if !recorded(b) || b.DeletionTimestamp != nil {
			continue
		}
		if have[string(b.Spec.Destination)]++; have[string(b.Spec.Destination)] <= history {
			continue
		}
		if err := r.client.Delete(ctx, b, client.Preconditions{UID: ptr.To(b.UID)}); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("removing the record of an old backup, Backup %s/%s: %w", b.Namespace, b.Name, err)
		}
	}
	return nil
}

func timeOf(t time.Time) *metav1.Time {
	if t.IsZero() {
		return nil
	}
	return ptr.To(metav1.NewTime(t.UTC().Truncate(time.Second)))
}

func count(n int) *int32 { return ptr.To(int32(n)) } //nolint:gosec // Counts and seconds of one tenant's backups.

func quantity(bytes int64) *resource.Quantity { return resource.NewQuantity(bytes, resource.BinarySI) }
