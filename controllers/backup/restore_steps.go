// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/backup/engine"
	"github.com/freehold-dev/freehold/controllers/internal/conditions"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// choose decides where to restore from and into which volume, and asks the instance to stop. A Restore whose target no
// destination holds is refused before anything stops.
func (r *RestoreReconciler) choose(ctx context.Context, s *restoreScope) error {
	change := map[string]string{meta.AnnotationStoppedFor: s.restore.Name}
	switch {
	case s.job != nil || s.filesJob != nil:
		return r.stopAgain(ctx, s)
	case s.operation.kind == engine.JobRestore:
		if s.tenant.Spec.BackupPolicyRef == nil {
			return &refusal{"the Tenant names no BackupPolicy: there is nothing to restore from"}
		}
		withFiles, err := r.wantsFiles(ctx, s)
		if err != nil {
			return err
		}
		source, err := r.source(ctx, s, withFiles)
		if err != nil {
			return err
		}
		claim, appClaim, err := r.nextClaims(ctx, s)
		if err != nil {
			return err
		}
		s.restore.Status.Destination, s.restore.Status.Claim = v1alpha1.DestinationName(source.destination), claim
		s.restore.Status.Generation = source.numbered()
		s.restore.Status.PreviousClaim, s.restore.Status.StartedAt = databaseClaim(s.namespace, s.facts), ptr.To(metav1.NewTime(s.now))
		change[meta.AnnotationRestoreClaim] = claim
		s.restore.Status.AppClaim, s.restore.Status.PreviousAppClaim = "", "" // Whatever a pass chose that was killed.
		if withFiles {
			s.restore.Status.AppClaim, s.restore.Status.PreviousAppClaim = appClaim, s.currentAppClaim()
			change[meta.AnnotationRestoreAppClaim] = appClaim
		}
	default:
		if err := revertible(s); err != nil {
			return err
		}
	}
	s.tell(v1alpha1.ReasonRunning, "application and database are being stopped")
	// The status first: it tells the volumes apart, whoever is killed between the two.
	if err := r.writeStatus(ctx, s); err != nil {
		return err
	}
	if err := r.finalize(ctx, s, controllerutil.AddFinalizer); err != nil {
		return err
	}
	return r.annotate(ctx, s, change)
}

// stopAgain asks the instance to stop once more, for the volumes that were chosen: somebody let it start although a Job
// works on them. Others would be ones that nobody fills.
func (r *RestoreReconciler) stopAgain(ctx context.Context, s *restoreScope) error {
	change := map[string]string{meta.AnnotationStoppedFor: s.restore.Name}
	if s.operation.kind == engine.JobRestore {
		change[meta.AnnotationRestoreClaim], change[meta.AnnotationRestoreAppClaim] = s.operation.claim, s.operation.appClaim
	}
	s.tell(v1alpha1.ReasonRunning, "somebody removed the annotation %s of the namespace while a Job works on volume %s: the instance is stopped again; to give the Restore up, delete it",
		meta.AnnotationStoppedFor, volumes(s.operation.claim, s.operation.appClaim))
	return r.annotate(ctx, s, change)
}

// revertible refuses to take a Restore back whose data is not what the database runs on any more.
func revertible(s *restoreScope) error {
	if now := databaseClaim(s.namespace, s.facts); now != s.restore.Status.Claim {
		return &refusal{fmt.Sprintf("the database runs on volume %s, not on %s, which this Restore made: another Restore came after it; revert that one first", now, s.restore.Status.Claim)}
	}
	if now := s.currentAppClaim(); s.restore.Status.AppClaim != "" && now != s.restore.Status.AppClaim {
		return &refusal{fmt.Sprintf("the application's data is on volume %s, not on %s, which this Restore made", now, s.restore.Status.AppClaim)}
	}
	return nil
}

// nextClaims are claims that were never used, for the database and for the application: one higher than all that exist or
// held data.
func (r *RestoreReconciler) nextClaims(ctx context.Context, s *restoreScope) (database, app string, err error) {
	var claims corev1.PersistentVolumeClaimList
	if err := r.api.List(ctx, &claims, client.InNamespace(s.restore.Namespace)); err != nil {
		return "", "", fmt.Errorf("listing the claims of namespace %s: %w", s.restore.Namespace, err)
	}
	known := strings.Split(s.namespace.Annotations[meta.AnnotationBoundClaims], ",")
	for i := range claims.Items {
		known = append(known, claims.Items[i].Name)
	}
	return meta.DatabaseClaimName(highest(known, "db-") + 1), meta.AppClaimName(highest(known, "app-") + 1), nil
}

// highest is the highest number of claims whose names begin with a prefix; at least 1.
func highest(names []string, prefix string) int {
	found := 1
	for _, name := range names {
		digits, ours := strings.CutPrefix(strings.TrimSpace(name), prefix)
		if number, err := strconv.Atoi(digits); ours && err == nil {
			found = max(found, number)
		}
	}
	return found
}

// run makes the Jobs once their volumes exist, and waits for them.
func (r *RestoreReconciler) run(ctx context.Context, s *restoreScope) error {
	if s.job == nil {
		return r.begin(ctx, s, s.operation.claim, r.restoreJob)
	}
	if s.restoresFiles() && s.filesJob == nil {
		return r.begin(ctx, s, s.operation.appClaim, r.filesJob)
	}
	on := volumes(s.operation.claim, "")
	if s.restoresFiles() {
		on = volumes(s.operation.claim, s.operation.appClaim)
	}
	s.tell(v1alpha1.ReasonRunning, "Job %s works on volume %s since %s", s.job.Name, on, moment(s.job.CreationTimestamp.Time))
	return nil
}

// begin makes a Job once its volume exists.
func (r *RestoreReconciler) begin(ctx context.Context, s *restoreScope, volume string, build func(context.Context, *restoreScope) (*batchv1.Job, error)) error {
	claim := &corev1.PersistentVolumeClaim{}
	err := r.api.Get(ctx, client.ObjectKey{Namespace: s.restore.Namespace, Name: volume}, claim)
	if apierrors.IsNotFound(err) {
		s.tell(v1alpha1.ReasonRunning, "volume %s is being made", volume)
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading claim %s: %w", volume, err)
	}
	job, err := build(ctx, s)
	if err != nil {
		return err
	}
	if err := r.client.Create(ctx, job, client.FieldOwner(meta.FieldOwner)); client.IgnoreAlreadyExists(err) != nil {
		return fmt.Errorf("making Job %s: %w", job.Name, err)
	}
	s.tell(v1alpha1.ReasonRunning, "Job %s works on volume %s", job.Name, volume)
	return nil
}

// switchOver lets the database go over to the other volume and the instance start, in one write.
func (r *RestoreReconciler) switchOver(ctx context.Context, s *restoreScope) error {
	if s.result == nil || s.result.Recovery == nil || s.restoresFiles() && (s.filesResult == nil || s.filesResult.Recovery == nil) {
		return r.giveUp(ctx, s)
	}
	if s.startedByOthers() {
		return r.giveUpSince(ctx, s, "somebody removed the annotation "+meta.AnnotationStoppedFor+" of the namespace and let the instance start before it could go over to the restored data")
	}
	history, err := parseLineage(s.namespace.Annotations)
	if err != nil {
		return err
	}
	recovery := s.result.Recovery
	if err := r.release(ctx, s, s.goesOver(history, recovery.Timeline)); err != nil {
		return err
	}
	if s.operation.kind == engine.JobRevert {
		s.accept(metav1.ConditionFalse, v1alpha1.ReasonReverted, fmt.Sprintf("the database runs on volume %s again, as it was before; volume %s keeps what was written since", volumes(s.operation.claim, s.operation.appClaim), volumes(s.restore.Status.Claim, s.restore.Status.AppClaim)))
	} else {
		s.restore.Status.Backup, s.restore.Status.FinishedAt = v1alpha1.BackupLabel(recovery.Backup), ptr.To(metav1.NewTime(s.now))
		if !recovery.Reached.IsZero() {
			s.restore.Status.ReachedTime = ptr.To(metav1.NewMicroTime(recovery.Reached))
		}
		s.noteFiles()
		s.set(v1alpha1.ConditionComplete, metav1.ConditionTrue, v1alpha1.ReasonSucceeded,
			fmt.Sprintf("restored from %s in %d seconds; the database runs on volume %s, and volume %s keeps what was before", s.restore.Status.Destination, recovery.Seconds,
				volumes(s.operation.claim, s.operation.appClaim), volumes(s.restore.Status.PreviousClaim, s.restore.Status.PreviousAppClaim)))
		r.settle(s)
	}
	r.announce(s, corev1.EventTypeNormal, "Switched", "the database goes over to volume %s", s.operation.claim)
	return r.finalize(ctx, s, controllerutil.RemoveFinalizer)
}

// startedByOthers reports whether the instance is not stopped for this Restore any more, and has not gone over to its
// volume: one that has was released by a pass that was killed before it could say so.
func (s *restoreScope) startedByOthers() bool {
	return s.namespace.Annotations[meta.AnnotationStoppedFor] != s.restore.Name && databaseClaim(s.namespace, s.facts) != s.operation.claim
}

// giveUp lets the instance start again as it was.
func (r *RestoreReconciler) giveUp(ctx context.Context, s *restoreScope) error {
	return r.giveUpSince(ctx, s, s.failure())
}

func (r *RestoreReconciler) giveUpSince(ctx context.Context, s *restoreScope, why string) error {
	if err := r.release(ctx, s, nil); err != nil {
		return err
	}
	message := fmt.Sprintf("%s. The database starts again on volume %s, as it was; to try again, make another Restore", why, databaseClaim(s.namespace, s.facts))
	r.fail(s, v1alpha1.ReasonFailed, message)
	return r.finalize(ctx, s, controllerutil.RemoveFinalizer)
}

// release lets the instance start, with a further change in the same write. One that was released already, by a pass
// that was killed before it could say so, is left as it is.
func (r *RestoreReconciler) release(ctx context.Context, s *restoreScope, change map[string]string) error {
	if s.namespace.Annotations[meta.AnnotationStoppedFor] != s.restore.Name {
		return nil
	}
	all := map[string]string{meta.AnnotationStoppedFor: "", meta.AnnotationRestoreClaim: "", meta.AnnotationRestoreAppClaim: ""}
	maps.Copy(all, change)
	return r.annotate(ctx, s, all)
}

// refuse ends an operation that was never begun.
func (r *RestoreReconciler) refuse(s *restoreScope, why *refusal) {
	s.again = 0
	reason := v1alpha1.ReasonTargetOutsideWindow
	if s.operation.kind == engine.JobRevert {
		reason = v1alpha1.ReasonFailed
	}
	r.fail(s, reason, why.message)
}

// fail notes that the operation was not, and will not be, carried out.
func (r *RestoreReconciler) fail(s *restoreScope, reason, message string) {
	s.again = 0
	if s.operation.kind == engine.JobRevert {
		s.accept(metav1.ConditionFalse, reason, message)
	} else {
		s.set(v1alpha1.ConditionComplete, metav1.ConditionFalse, reason, message)
	}
	r.announce(s, corev1.EventTypeWarning, reason, "%s", message)
}

// settle says what became of the decision.
func (r *RestoreReconciler) settle(s *restoreScope) {
	complete := slices.ContainsFunc(s.restore.Status.Conditions, func(c metav1.Condition) bool {
		return c.Type == v1alpha1.ConditionComplete && c.Status == metav1.ConditionTrue
	})
	switch {
	case !complete || carriedOut(s.restore):
	case s.restore.Spec.Decision == v1alpha1.RestoreAccept:
		s.accept(metav1.ConditionTrue, v1alpha1.ReasonAccepted, fmt.Sprintf("the restored data stays; volume %s is not needed any more", volumes(s.restore.Status.PreviousClaim, s.restore.Status.PreviousAppClaim)))
	case s.restore.Spec.Decision == "":
		s.accept(metav1.ConditionFalse, v1alpha1.ReasonAwaitingDecision, fmt.Sprintf(
			"volumes %s (restored) and %s (from before) are both kept, and both count toward the quota, since %s; look at the data, then set spec.decision to Accept or Revert",
			volumes(s.restore.Status.Claim, s.restore.Status.AppClaim), volumes(s.restore.Status.PreviousClaim, s.restore.Status.PreviousAppClaim), moment(s.restore.Status.FinishedAt.Time)))
	}
}

// comeBack asks for another look after a time.
func (s *restoreScope) comeBack(after time.Duration) {
	if s.again == 0 || after < s.again {
		s.again = after
	}
}

// tell says how far the operation is.
func (s *restoreScope) tell(reason, format string, args ...any) {
	message := fmt.Sprintf(format, args...)
	if s.operation.kind == engine.JobRevert {
		s.accept(metav1.ConditionFalse, v1alpha1.ReasonAwaitingDecision, "going back to the volume from before: "+message)
		return
	}
	s.set(v1alpha1.ConditionComplete, metav1.ConditionFalse, reason, message)
}

func (s *restoreScope) accept(status metav1.ConditionStatus, reason, message string) {
	s.set(v1alpha1.ConditionAccepted, status, reason, message)
}

func (s *restoreScope) set(kind string, status metav1.ConditionStatus, reason, message string) {
	conditions.Set(&s.restore.Status.Conditions, metav1.Condition{
		Type: kind, Status: status, Reason: reason, Message: message, ObservedGeneration: s.restore.Generation,
	}, s.now)
}

func (r *RestoreReconciler) announce(s *restoreScope, kind, reason, format string, args ...any) {
	note := conditions.Shorten(fmt.Sprintf(format, args...), conditions.MaxNote)
	r.events.Eventf(s.restore, s.tenant, kind, reason, "Restore", "%s", note)
}

// annotate changes the annotations of the namespace by which the instance is told; an empty value removes one. Another
// writer wins, and the pass is repeated.
func (r *RestoreReconciler) annotate(ctx context.Context, s *restoreScope, change map[string]string) error {
	before := s.namespace.DeepCopy()
	if s.namespace.Annotations == nil {
		s.namespace.Annotations = map[string]string{}
	}
	for key, value := range change {
		s.namespace.Annotations[key] = value
		if value == "" {
			delete(s.namespace.Annotations, key)
		}
	}
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := r.client.Patch(ctx, s.namespace, patch, client.FieldOwner(meta.FieldOwner)); err != nil {
		return fmt.Errorf("telling the instance in namespace %s: %w", s.namespace.Name, err)
	}
	return nil
}

// writeStatus writes the status if it changed.
func (r *RestoreReconciler) writeStatus(ctx context.Context, s *restoreScope) error {
	before := s.restore.DeepCopy()
	before.Status = *s.stored
	status := s.restore.Status.DeepCopy()
	if equality.Semantic.DeepEqual(s.stored, status) {
		return nil
	}
	if err := r.client.Status().Patch(ctx, s.restore, client.MergeFrom(before), client.FieldOwner(meta.FieldOwner)); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("writing the status of Restore %s/%s: %w", s.restore.Namespace, s.restore.Name, err)
	}
	s.restore.Status, s.stored = *status, status.DeepCopy()
	return nil
}
