// SPDX-License-Identifier: Apache-2.0

package tenant

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// halted says why application and database shall not run although the Tenant is not suspended; "" if they shall.
func halted(s *scope) string {
	if restore := stoppedFor(s.observed); restore != "" {
		return fmt.Sprintf("application and database are stopped for Restore %s/%s and come back by themselves; the gate answers 503 meanwhile. Should there be no such Restore any more, run: kubectl annotate namespace %s %s-",
			s.namespace, restore, s.namespace, meta.AnnotationStoppedFor)
	}
	if source := filledFrom(s); source != "" {
		return fmt.Sprintf("the new instance is filled from the backups of instance %s before application and database start for the first time; the condition %s says how far that is",
			source, v1alpha1.ConditionRestored)
	}
	return ""
}

// filledFrom is the ID of the instance from whose backups a new one is to be filled; "" if it is to be filled from none, or
// holds data already: of its own, or since it was filled.
func filledFrom(s *scope) string {
	bootstrap := s.tenant.Spec.Bootstrap
	if bootstrap == nil || bootstrap.Restore == nil || initialized(s.observed) {
		return ""
	}
	return bootstrap.Restore.InstanceID
}

// stoppedFor names the Restore for which the instance is stopped; "" if for none.
func stoppedFor(o observed) string {
	if o.namespace == nil {
		return ""
	}
	return o.namespace.Annotations[meta.AnnotationStoppedFor]
}

// guardPrevious says that a restore can no longer be reverted, because a volume from before is gone. The instance does
// not need it. Once it was decided what becomes of the restore, anybody may remove that volume.
func (r *Reconciler) guardPrevious(ctx context.Context, s *scope) error {
	for _, name := range goneClaims(s) {
		restore, err := r.undecided(ctx, s, name)
		if err != nil {
			return err
		}
		if restore == "" {
			continue
		}
		err = r.api.Get(ctx, types.NamespacedName{Namespace: s.namespace, Name: name}, &corev1.PersistentVolumeClaim{})
		switch {
		case apierrors.IsNotFound(err):
			s.failed(previousLost(s, name, restore))
		case err != nil:
			return fmt.Errorf("looking for claim %s: %w", name, err)
		}
	}
	return nil
}

// goneClaims are the claims of database and application that held data, are not in use, and that the cache does not have.
func goneClaims(s *scope) []string {
	var names []string
	for _, name := range s.inputs.BoundClaims {
		spare := meta.IsDatabaseClaim(name) && name != s.inputs.DatabaseClaim || meta.IsAppClaim(name) && name != s.inputs.AppClaim
		if spare && s.observed.claims[name] == nil {
			names = append(names, name)
		}
	}
	return names
}

// undecided names the Restore that may still be reverted to a claim; "" if there is none.
func (r *Reconciler) undecided(ctx context.Context, s *scope, claim string) (string, error) {
	var restores v1alpha1.RestoreList
	if err := r.client.List(ctx, &restores, client.InNamespace(s.namespace), client.UnsafeDisableDeepCopy); err != nil {
		return "", fmt.Errorf("listing the Restores of namespace %s: %w", s.namespace, err)
	}
	for i := range restores.Items {
		restore := &restores.Items[i]
		accepted := apimeta.FindStatusCondition(restore.Status.Conditions, v1alpha1.ConditionAccepted)
		before := restore.Status.PreviousClaim == claim || restore.Status.PreviousAppClaim == claim
		if before && accepted != nil && accepted.Reason == v1alpha1.ReasonAwaitingDecision {
			return restore.Name, nil
		}
	}
	return "", nil
}

func previousLost(s *scope, claim, restore string) error {
	whose, current := databaseVolumes.whose, s.inputs.DatabaseClaim
	if meta.IsAppClaim(claim) {
		whose, current = appVolumes.whose, s.inputs.AppClaim
	}
	lost := stall(v1alpha1.ReasonVolumeLost,
		"PersistentVolumeClaim %s/%s with the data from before Restore %s is gone: %s runs on %s and goes on, but the restore cannot be reverted. The PersistentVolume was set to Retain: make it available again (remove spec.claimRef.uid) and create the claim with spec.volumeName and the labels %s=%s and %s=%s; or accept the restore",
		s.namespace, claim, restore, whose, current, v1alpha1.LabelTenant, s.name, v1alpha1.LabelInstance, s.instanceID)
	lost.retry = conflictRetry // Neither the decision nor a claim without our labels wakes us.
	return lost
}
