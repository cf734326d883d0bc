// SPDX-License-Identifier: Apache-2.0

package tenant

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/apply"
	"github.com/freehold-dev/freehold/controllers/tenant/render"
)

// prune removes what Freehold made for this instance and what is not wanted any more. It never removes claims, which
// hold data, nor Secrets, which hold keys; and nothing that it did not apply itself, whatever labels it carries.
func (r *Reconciler) prune(ctx context.Context, s *scope) {
	o, want := s.observed, s.objects
	pruneKind(ctx, r, s, "RoleBinding", o.roleBindings, namesOf(want.RoleBinding))
	pruneKind(ctx, r, s, "ResourceQuota", o.quotas, namesOf(want.Quota))
	pruneKind(ctx, r, s, "LimitRange", o.limits, namesOf(want.Limits))
	pruneKind(ctx, r, s, "NetworkPolicy", o.policies, namesOf(want.NetworkPolicies...))
	pruneKind(ctx, r, s, "ServiceAccount", o.serviceAccounts, namesOf(want.ServiceAccounts...))
	pruneKind(ctx, r, s, "Service", o.services, namesOf(want.Services...))
	pruneKind(ctx, r, s, "PodDisruptionBudget", o.budgets, namesOf(want.Budgets...))
	pruneKind(ctx, r, s, "StatefulSet", o.statefulSets, namesOf(append(render.Repositories(s.inputs, s.running.content), s.running.content.Database, s.running.content.App)...))
	pruneKind(ctx, r, s, "Deployment", o.deployments, namesOf(s.running.content.Edge))
	r.pruneConfigMaps(ctx, s)
	for _, old := range surplus(storedRevisions(o.revisions), s.running.number) {
		s.failed(r.remove(ctx, s, old.object, "ControllerRevision"))
	}
}

// pruneConfigMaps keeps the ConfigMaps of all stored revisions: pods of an earlier one may still be there, and start
// again, while a newer one is rolled out.
func (r *Reconciler) pruneConfigMaps(ctx context.Context, s *scope) {
	wanted := namesOf(s.objects.ConfigMaps...)
	for name := range namesOf(s.running.content.ConfigMaps...) {
		wanted[name] = true
	}
	candidates := map[string]*corev1.ConfigMap{}
	for name, live := range s.observed.configMaps {
		if !wanted[name] && mayPrune(live, s.instanceID) {
			candidates[name] = live
		}
	}
	if len(candidates) == 0 {
		return
	}
	for _, stored := range storedRevisions(s.observed.revisions) {
		if stored.read() != nil {
			return // What an unreadable revision needs is not known: nothing is removed.
		}
		for name := range namesOf(stored.content.ConfigMaps...) {
			wanted[name] = true
		}
	}
	pruneKind(ctx, r, s, "ConfigMap", candidates, wanted)
}

func pruneKind[O client.Object](ctx context.Context, r *Reconciler, s *scope, kind string, observed map[string]O, wanted map[string]bool) {
	for name, live := range observed {
		if !wanted[name] && mayPrune(live, s.instanceID) {
			s.failed(r.remove(ctx, s, live, kind))
		}
	}
}

// mayPrune reports whether an object is one that Freehold made for this instance.
func mayPrune(o client.Object, instanceID string) bool {
	return o.GetLabels()[v1alpha1.LabelInstance] == instanceID &&
		o.GetDeletionTimestamp() == nil && apply.AppliedByUs(o) && metav1.GetControllerOfNoCopy(o) == nil
}

// remove deletes exactly the object that was looked at: not a successor of the same name, nor one that changed since.
func (r *Reconciler) remove(ctx context.Context, s *scope, o client.Object, kind string) error {
	err := r.client.Delete(ctx, o, client.Preconditions{UID: ptr.To(o.GetUID()), ResourceVersion: ptr.To(o.GetResourceVersion())},
		client.PropagationPolicy(metav1.DeletePropagationBackground))
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("removing %s %s/%s, which is not wanted any more: %w", kind, o.GetNamespace(), o.GetName(), err)
	}
	s.written = append(s.written, "-"+kind+"/"+o.GetName())
	return nil
}

func namesOf[A apply.Configuration](wanted ...A) map[string]bool {
	names := map[string]bool{}
	for _, want := range wanted {
		names[ptr.Deref(want.GetName(), "")] = true
	}
	return names
}
