// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// What a restore put aside is not needed any more once it was accepted, and takes room in the tenant's quota. This is the
// one place where Freehold deletes a volume claim. No data is deleted with it: the PersistentVolume was set to Retain, stays,
// and is named. An admission policy holds the operator to the same: see config/admission/operator.yaml.

const (
	// discardDwell is how long after the acceptance the claim from before stays; docs/backups.md says so.
	discardDwell = 24 * time.Hour
	// discardRetry is how soon a claim is looked at again that something speaks against removing, or that is going.
	discardRetry = time.Hour
)

// previousClaims are the claims that a Restore took out of use.
func previousClaims(restore *v1alpha1.Restore) []string {
	return slices.DeleteFunc([]string{restore.Status.PreviousClaim, restore.Status.PreviousAppClaim}, func(name string) bool { return name == "" })
}

// accepted reports whether the restored data stays.
func accepted(restore *v1alpha1.Restore) bool {
	return restore.Spec.Decision == v1alpha1.RestoreAccept && apimeta.IsStatusConditionTrue(restore.Status.Conditions, v1alpha1.ConditionAccepted)
}

// discard removes the claims that an accepted Restore took out of use, in two steps: marked, and, a day later, removed. Its
// condition tells how far that is.
func (r *RestoreReconciler) discard(ctx context.Context, s *restoreScope) error {
	if !accepted(s.restore) {
		return nil
	}
	if err := r.writeStatus(ctx, s); err != nil {
		return err // What is looked at below is what is stored.
	}
	told := []string{"the restored data stays"}
	var errs []error
	for _, name := range previousClaims(s.restore) {
		text, err := r.discardClaim(ctx, s, name)
		if errs = append(errs, err); err == nil {
			told = append(told, text)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if kept := s.restore.Status.KeptVolumes; len(kept) > 0 {
		told = append(told, fmt.Sprintf("the data from before stays on PersistentVolume %s; to destroy it once its claim is gone, run: kubectl patch pv %s --type=merge -p '{\"spec\":{\"persistentVolumeReclaimPolicy\":\"Delete\"}}'",
			strings.Join(kept, ", "), strings.Join(kept, " ")))
	}
	s.accept(metav1.ConditionTrue, v1alpha1.ReasonAccepted, strings.Join(told, "; "))
	return nil
}

// discardClaim takes the next step with one claim, and says in words how it is with it.
func (r *RestoreReconciler) discardClaim(ctx context.Context, s *restoreScope, name string) (string, error) {
	claim := &corev1.PersistentVolumeClaim{}
	if err := get(ctx, r.api, types.NamespacedName{Namespace: s.restore.Namespace, Name: name}, &claim); err != nil {
		return "", err
	}
	if claim == nil {
		return fmt.Sprintf("volume claim %s from before is gone", name), nil
	}
	if claim.DeletionTimestamp != nil {
		s.comeBack(discardRetry)
		return fmt.Sprintf("volume claim %s from before is being removed", name), nil
	}
	view, err := r.viewOf(ctx, s, claim)
	if err != nil {
		return "", err
	}
	if why := view.objection(); why != "" {
		s.comeBack(discardRetry)
		return fmt.Sprintf("volume claim %s from before is kept: %s", name, why), nil
	}
	if err := r.noteVolume(ctx, s, claim.Spec.VolumeName); err != nil {
		return "", err
	}
	due, err := r.marked(ctx, s, claim)
	if err != nil {
		return "", err
	}
	if left := due.Sub(s.now); left > 0 {
		s.comeBack(left)
		return fmt.Sprintf("volume claim %s from before is removed after %s (its annotation %s)", name, moment(due), v1alpha1.AnnotationDiscardAfter), nil
	}
	return r.deleteClaim(ctx, s, claim)
}

// marked is from when on a claim may be removed. One that is not marked yet is marked, and waits.
func (r *RestoreReconciler) marked(ctx context.Context, s *restoreScope, claim *corev1.PersistentVolumeClaim) (time.Time, error) {
	acceptedAt := apimeta.FindStatusCondition(s.restore.Status.Conditions, v1alpha1.ConditionAccepted).LastTransitionTime.Time
	due, err := time.Parse(time.RFC3339, claim.Annotations[v1alpha1.AnnotationDiscardAfter])
	if claim.Annotations[v1alpha1.AnnotationDiscardClaim] == claim.Name && err == nil {
		if earliest := acceptedAt.Add(discardDwell); due.Before(earliest) {
			due = earliest
		}
		return due, nil
	}
	due = s.now.Add(discardDwell)
	before := claim.DeepCopy()
	metav1.SetMetaDataAnnotation(&claim.ObjectMeta, v1alpha1.AnnotationDiscardClaim, claim.Name)
	metav1.SetMetaDataAnnotation(&claim.ObjectMeta, v1alpha1.AnnotationDiscardAfter, due.UTC().Format(time.RFC3339))
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := r.client.Patch(ctx, claim, patch, client.FieldOwner(meta.FieldOwner)); err != nil {
		return due, fmt.Errorf("marking claim %s/%s to be removed: %w", claim.Namespace, claim.Name, err)
	}
	return due, nil
}

// noteVolume remembers the volume before its claim goes, whoever is killed between the two.
func (r *RestoreReconciler) noteVolume(ctx context.Context, s *restoreScope, volume string) error {
	if slices.Contains(s.restore.Status.KeptVolumes, volume) {
		return nil
	}
	s.restore.Status.KeptVolumes = append(s.restore.Status.KeptVolumes, volume)
	return r.writeStatus(ctx, s)
}

// deleteClaim deletes exactly the claim that was looked at.
func (r *RestoreReconciler) deleteClaim(ctx context.Context, s *restoreScope, claim *corev1.PersistentVolumeClaim) (string, error) {
	err := r.client.Delete(ctx, claim, client.Preconditions{UID: ptr.To(claim.UID), ResourceVersion: ptr.To(claim.ResourceVersion)})
	if client.IgnoreNotFound(err) != nil {
		return "", fmt.Errorf("removing claim %s/%s, which Restore %s put aside: %w", claim.Namespace, claim.Name, s.restore.Name, err)
	}
	s.comeBack(discardRetry)
	r.announce(s, corev1.EventTypeNormal, "Discarded", "removed volume claim %s with the data from before; PersistentVolume %s stays, and its data with it", claim.Name, claim.Spec.VolumeName)
	return fmt.Sprintf("volume claim %s from before was removed", claim.Name), nil
}

// discardView is all that may speak against removing a claim, read from the API server just before.
type discardView struct {
	// restore that was accepted, and all of the namespace.
	restore  *v1alpha1.Restore
	restores []v1alpha1.Restore
	// tenant is whose instance it is.
	tenant    *v1alpha1.Tenant
	namespace *corev1.Namespace
	// facts are what the instance remembers of itself; nil if that is gone.
	facts *corev1.ConfigMap
	sets  []appsv1.StatefulSet
	pods  []corev1.Pod
	// claim that may go, and the volume behind it; nil if there is none.
	claim  *corev1.PersistentVolumeClaim
	volume *corev1.PersistentVolume
	// current is the claim that the database runs on, or the application, if the claim is one of its; nil if there is none.
	current *corev1.PersistentVolumeClaim
}

// viewOf reads all of it anew: a cache that is behind has cost others their customers' volumes.
func (r *RestoreReconciler) viewOf(ctx context.Context, s *restoreScope, claim *corev1.PersistentVolumeClaim) (*discardView, error) {
	v := &discardView{restore: &v1alpha1.Restore{}, tenant: &v1alpha1.Tenant{}, namespace: &corev1.Namespace{}, facts: &corev1.ConfigMap{},
		claim: claim, volume: &corev1.PersistentVolume{}, current: &corev1.PersistentVolumeClaim{}}
	inside := func(name string) types.NamespacedName {
		return types.NamespacedName{Namespace: claim.Namespace, Name: name}
	}
	var restores v1alpha1.RestoreList
	var sets appsv1.StatefulSetList
	var pods corev1.PodList
	err := errors.Join(
		get(ctx, r.api, inside(s.restore.Name), &v.restore),
		get(ctx, r.api, types.NamespacedName{Name: s.tenant.Name}, &v.tenant),
		get(ctx, r.api, types.NamespacedName{Name: claim.Namespace}, &v.namespace),
		get(ctx, r.api, inside(meta.InstanceConfigMap), &v.facts),
		r.api.List(ctx, &restores, client.InNamespace(claim.Namespace)),
		r.api.List(ctx, &sets, client.InNamespace(claim.Namespace)),
		r.api.List(ctx, &pods, client.InNamespace(claim.Namespace)),
	)
	if err != nil {
		return nil, fmt.Errorf("looking at what speaks against removing claim %s/%s: %w", claim.Namespace, claim.Name, err)
	}
	v.restores, v.sets, v.pods = restores.Items, sets.Items, pods.Items
	if v.namespace == nil || claim.Spec.VolumeName == "" {
		v.volume, v.current = nil, nil
		return v, nil // That alone speaks against it.
	}
	return v, errors.Join(
		get(ctx, r.api, types.NamespacedName{Name: claim.Spec.VolumeName}, &v.volume),
		get(ctx, r.api, inside(v.currentName()), &v.current))
}

// currentName is the claim that whoever used the claim before runs on now.
func (v *discardView) currentName() string {
	if meta.IsAppClaim(v.claim.Name) {
		return appClaim(v.namespace, v.facts, meta.AppClaim)
	}
	return databaseClaim(v.namespace, v.facts)
}

// objection is what speaks against removing the claim; empty if nothing does.
func (v *discardView) objection() string {
	for _, objection := range []func() string{v.undecided, v.strange, v.unsafe, v.used} {
		if why := objection(); why != "" {
			return why
		}
	}
	return ""
}

// undecided: it is not settled that nobody goes back to it.
func (v *discardView) undecided() string {
	if v.restore == nil || v.restore.DeletionTimestamp != nil || !accepted(v.restore) || !slices.Contains(previousClaims(v.restore), v.claim.Name) {
		return "the Restore that put it aside is not accepted any more"
	}
	for i := range v.restores {
		other := &v.restores[i]
		names := append(previousClaims(other), other.Status.Claim, other.Status.AppClaim)
		if other.UID != v.restore.UID && stillOpen(other) && slices.Contains(names, v.claim.Name) {
			return "Restore " + other.Name + " may still need it"
		}
	}
	return ""
}

// stillOpen reports whether a Restore is under way, or may still be taken back.
func stillOpen(restore *v1alpha1.Restore) bool {
	complete := apimeta.FindStatusCondition(restore.Status.Conditions, v1alpha1.ConditionComplete)
	underway := complete == nil || complete.Reason == v1alpha1.ReasonRunning || complete.Reason == v1alpha1.ReasonWaiting
	return underway || complete.Status == metav1.ConditionTrue && !carriedOut(restore)
}

// strange: it is not, or not surely, of the instance that the Restore is about.
func (v *discardView) strange() string {
	switch {
	case v.tenant == nil || v.tenant.DeletionTimestamp != nil || v.namespace == nil || v.namespace.DeletionTimestamp != nil:
		return "the Tenant or its namespace goes"
	case v.tenant.Status.InstanceID == "" || v.namespace.Labels[v1alpha1.LabelInstance] != v.tenant.Status.InstanceID:
		return "the namespace does not belong to the Tenant's instance"
	case v.claim.Labels[v1alpha1.LabelInstance] != v.tenant.Status.InstanceID:
		return "its label " + v1alpha1.LabelInstance + " does not name the Tenant's instance"
	}
	return ""
}

// used: the instance runs on it, or somebody has it mounted.
func (v *discardView) used() string {
	name := v.claim.Name
	if name == v.currentName() || slices.Contains(namedClaims(v.namespace), name) {
		return "the namespace names it as one that is in use"
	}
	for _, set := range v.sets {
		if mounts(set.Spec.Template.Spec, name) {
			return "StatefulSet " + set.Name + " uses it"
		}
	}
	for _, pod := range v.pods {
		if pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed && mounts(pod.Spec, name) {
			return "pod " + pod.Name + " has it mounted"
		}
	}
	if v.current == nil || v.current.Status.Phase != corev1.ClaimBound {
		return "the claim in its place, " + v.currentName() + ", is not bound"
	}
	return ""
}

// unsafe: its data would not survive it.
func (v *discardView) unsafe() string {
	switch {
	case v.claim.Spec.VolumeName == "" || v.volume == nil:
		return "it has no PersistentVolume that could keep the data"
	case v.volume.Spec.ClaimRef == nil || v.volume.Spec.ClaimRef.UID != v.claim.UID:
		return "PersistentVolume " + v.volume.Name + " is not bound to it"
	case v.volume.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimRetain:
		return "PersistentVolume " + v.volume.Name + " is not set to Retain, and would be deleted with it"
	}
	return ""
}

// namedClaims are all claims that the namespace's annotations name.
func namedClaims(namespace *corev1.Namespace) []string {
	var names []string
	for key, value := range namespace.Annotations {
		if strings.HasPrefix(key, "freehold.dev/") && strings.HasSuffix(key, "-claim") {
			names = append(names, value)
		}
	}
	return names
}

func mounts(pod corev1.PodSpec, claim string) bool {
	return slices.ContainsFunc(pod.Volumes, func(v corev1.Volume) bool {
		return v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ClaimName == claim
	})
}
