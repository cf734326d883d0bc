// SPDX-License-Identifier: Apache-2.0

package tenant

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// missing are the wanted claims that held data and that the cache does not have.
func missing(wanted []*corev1ac.PersistentVolumeClaimApplyConfiguration, bound []string, live map[string]*corev1.PersistentVolumeClaim) []string {
	var names []string
	for _, claim := range wanted {
		if name := ptr.Deref(claim.GetName(), ""); slices.Contains(bound, name) && live[name] == nil {
			names = append(names, name)
		}
	}
	return names
}

// guardVolumes takes claims that held data and are really gone out of what is applied: a new, empty volume in the
// place of data would look like a customer who has none.
func (r *Reconciler) guardVolumes(ctx context.Context, s *scope) error {
	lost := missing(s.objects.Claims, s.inputs.BoundClaims, s.observed.claims)
	for _, name := range slices.Clone(lost) {
		found := &corev1.PersistentVolumeClaim{}
		err := r.api.Get(ctx, types.NamespacedName{Namespace: s.namespace, Name: name}, found)
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("looking for claim %s: %w", name, err)
		}
		// Somebody only removed its labels. Applying brings them back, and must keep what cannot be changed.
		s.inputs.Claims[name] = found
		lost = slices.DeleteFunc(lost, func(l string) bool { return l == name })
		if err := r.renderLive(s); err != nil {
			return err
		}
	}
	s.objects.Claims = slices.DeleteFunc(s.objects.Claims, func(c *corev1ac.PersistentVolumeClaimApplyConfiguration) bool {
		return slices.Contains(lost, ptr.Deref(c.GetName(), ""))
	})
	for _, name := range lost {
		s.failed(volumeLost(s, name))
	}
	return r.guardPrevious(ctx, s)
}

func volumeLost(s *scope, claim string) error {
	lost := stall(v1alpha1.ReasonVolumeLost,
		"PersistentVolumeClaim %s/%s held data and is gone; an empty one is not put in its place. Its PersistentVolume was set to Retain: make it available again (remove spec.claimRef.uid) and create the claim with spec.volumeName and the labels %s=%s and %s=%s",
		s.namespace, claim, v1alpha1.LabelTenant, s.name, v1alpha1.LabelInstance, s.instanceID)
	// A claim that is made without our labels wakes nobody.
	lost.retry = conflictRetry
	return lost
}

// retainVolumes sets the volumes behind the claims to Retain: with the usual Delete, a deleted claim would take
// the data along.
func (r *Reconciler) retainVolumes(ctx context.Context, s *scope) error {
	var errs []error
	for _, claim := range s.observed.claims {
		if claim.Spec.VolumeName != "" && claim.Status.Phase == corev1.ClaimBound && !thrownAway(claim) {
			errs = append(errs, r.retainVolume(ctx, s, claim))
		}
	}
	return errors.Join(errs...)
}

func (r *Reconciler) retainVolume(ctx context.Context, s *scope, claim *corev1.PersistentVolumeClaim) error {
	volume := &corev1.PersistentVolume{}
	err := r.client.Get(ctx, types.NamespacedName{Name: claim.Spec.VolumeName}, volume)
	if apierrors.IsNotFound(err) {
		return nil // The volume's own event brings us back.
	}
	if err != nil {
		return fmt.Errorf("reading PersistentVolume %s: %w", claim.Spec.VolumeName, err)
	}
	if !holds(volume, claim) || volume.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimRetain {
		return nil
	}
	before := volume.DeepCopy()
	volume.Spec.PersistentVolumeReclaimPolicy = corev1.PersistentVolumeReclaimRetain
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := r.client.Patch(ctx, volume, patch, client.FieldOwner(meta.FieldOwner)); err != nil {
		return fmt.Errorf("setting PersistentVolume %s to Retain: %w", volume.Name, err)
	}
	s.written = append(s.written, "PersistentVolume/"+volume.Name)
	return nil
}

// holds reports whether a volume is bound to exactly this claim, not to an earlier one of the same name.
func holds(volume *corev1.PersistentVolume, claim *corev1.PersistentVolumeClaim) bool {
	ref := volume.Spec.ClaimRef
	return ref != nil && ref.Namespace == claim.Namespace && ref.Name == claim.Name && ref.UID == claim.UID
}
