// SPDX-License-Identifier: Apache-2.0

package tenant

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/apply"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
	"github.com/freehold-dev/freehold/controllers/tenant/render"
)

// hurryPause lies between two rounds.
const hurryPause = 2 * time.Second

// hurry makes the kubelet look at once at the gate's lists, which it otherwise does within 60 to 90 seconds: too late
// for a lockdown. It changes an annotation of the gate's pods, and then notes on the lists that it did, so that
// neither a converged instance nor a restart of the operator costs a request, and a crash in between forgets nothing.
func (r *Reconciler) hurry(ctx context.Context, s *scope) error {
	lists := edgeLists(s.objects)
	round := roundsTold(s.inputs.ListsHurried, lists) + 1
	if lists == nil || round > render.HurryRounds {
		return nil
	}
	// Clocks that disagree make the second round come at once, never late.
	age := s.now.Sub(lastApplied(s.observed.configMaps[meta.EdgeListsConfigMap]))
	if round > 1 && age >= 0 && age < hurryPause {
		s.hurryAgain = hurryPause - age
		return nil
	}
	mark := render.Hurried(lists, round)
	if err := r.tellEdgePods(ctx, s, mark); err != nil {
		s.failed(err)
		return nil
	}
	s.inputs.ListsHurried = mark
	if err := r.renderLive(s); err != nil {
		return err
	}
	if _, err := do(ctx, r, s, apply.ConfigMap, s.observed.configMaps[meta.EdgeListsConfigMap], edgeLists(s.objects)); err != nil {
		s.failed(err)
		return nil
	}
	if round < render.HurryRounds {
		s.hurryAgain = hurryPause
	}
	return nil
}

// tellEdgePods changes an annotation of the gate's pods that do not have it yet. There is no cache of pods.
func (r *Reconciler) tellEdgePods(ctx context.Context, s *scope, mark string) error {
	pods := &metav1.PartialObjectMetadataList{}
	pods.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("PodList"))
	err := r.api.List(ctx, pods, client.InNamespace(s.namespace),
		client.MatchingLabels{v1alpha1.LabelInstance: s.instanceID, v1alpha1.LabelServes: meta.ComponentEdge})
	if err != nil {
		return fmt.Errorf("listing the gate's pods in namespace %s: %w", s.namespace, err)
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{meta.AnnotationListsHash: mark}}})
	if err != nil {
		return fmt.Errorf("encoding an annotation: %w", err)
	}
	var errs []error
	for i := range pods.Items {
		pod := &pods.Items[i]
		if pod.Annotations[meta.AnnotationListsHash] == mark {
			continue
		}
		err := r.client.Patch(ctx, pod, client.RawPatch(types.MergePatchType, patch), client.FieldOwner(meta.FieldOwner))
		if client.IgnoreNotFound(err) != nil {
			errs = append(errs, fmt.Errorf("telling pod %s/%s of new lists: %w", s.namespace, pod.Name, err))
		}
	}
	return errors.Join(errs...)
}

// listsHurried is what is noted of the lists; empty as long as there are no lists, or no gate whose pods could be told.
func listsHurried(o observed) string {
	live := o.configMaps[meta.EdgeListsConfigMap]
	if live == nil || o.deployments[meta.EdgeDeployment] == nil {
		return ""
	}
	if mark := live.Annotations[meta.AnnotationListsHurried]; mark != "" {
		return mark
	}
	return "never"
}

// roundsTold is how often the gate's pods were told of these lists, by the mark.
func roundsTold(mark string, lists *corev1ac.ConfigMapApplyConfiguration) int {
	if lists == nil || mark == "" {
		return render.HurryRounds
	}
	for round := render.HurryRounds; round > 0; round-- {
		if mark == render.Hurried(lists, round) {
			return round
		}
	}
	return 0
}

func edgeLists(o *render.Objects) *corev1ac.ConfigMapApplyConfiguration {
	for _, config := range o.ConfigMaps {
		if ptr.Deref(config.Name, "") == meta.EdgeListsConfigMap {
			return config
		}
	}
	return nil
}

// lastApplied is when the object was last changed by us; for one that is not there, long ago.
func lastApplied(o *corev1.ConfigMap) time.Time {
	var last time.Time
	if o == nil {
		return last
	}
	for _, entry := range o.ManagedFields {
		if entry.Manager == meta.FieldOwner && entry.Time != nil && entry.Time.After(last) {
			last = entry.Time.Time
		}
	}
	return last
}
