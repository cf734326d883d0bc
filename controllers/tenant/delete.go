// SPDX-License-Identifier: Apache-2.0

package tenant

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/types"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/apply"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
	"github.com/freehold-dev/freehold/controllers/tenant/render"
)

// delete puts an instance to rest: the workloads stop; namespace, volumes, keys and address stay, marked as retained.
// It needs neither the class nor the revision: both may be gone.
func (r *Reconciler) delete(ctx context.Context, s *scope) error {
	if !controllerutil.ContainsFinalizer(s.tenant, v1alpha1.Finalizer) {
		return nil
	}
	for _, look := range []func(context.Context, *scope) error{r.guardCRD, r.confirm, r.observe} {
		if err := look(ctx, s); err != nil {
			return err
		}
	}
	ours, err := r.ownsInstance(ctx, s)
	if err != nil {
		return err
	}
	if ours {
		for _, step := range []func(context.Context, *scope) error{r.admit, r.lookAgain, r.stop, r.retain} {
			if err := step(ctx, s); err != nil {
				return err
			}
		}
	}
	return r.release(ctx, s)
}

// confirm asks the API server whether it is really this Tenant that is being deleted: the cache may still show a
// predecessor of the same name, which somebody released by hand.
func (r *Reconciler) confirm(ctx context.Context, s *scope) error {
	live := &v1alpha1.Tenant{}
	if err := r.api.Get(ctx, types.NamespacedName{Name: s.name}, live); err != nil {
		return fmt.Errorf("confirming the deletion of the Tenant: %w", err)
	}
	if live.UID != s.tenant.UID || live.DeletionTimestamp.IsZero() {
		return &waitError{message: "the deletion is an older Tenant's of the same name", retry: conflictRetry}
	}
	return nil
}

// admit gives the operator back its right to work in the namespace, should somebody have taken it.
func (r *Reconciler) admit(ctx context.Context, s *scope) error {
	want := render.RoleBinding(render.Inputs{Tenant: s.tenant, InstanceID: s.instanceID, Facts: r.options.Facts})
	_, err := do(ctx, r, s, apply.RoleBinding, s.observed.roleBindings[meta.OperatorRoleBinding], want)
	return err
}

// ownsInstance reports whether there is an instance that is this Tenant's. A Tenant that never got hold of the data in
// its namespace must not touch it on its way out.
func (r *Reconciler) ownsInstance(ctx context.Context, s *scope) (bool, error) {
	facts, err := r.identityFacts(ctx, s)
	if err != nil {
		return false, err
	}
	if ns := facts.namespace; facts.known != "" && ns != nil && ns.DeletionTimestamp == nil &&
		ns.Labels[v1alpha1.LabelTenant] == s.name && ns.Labels[v1alpha1.LabelInstance] == facts.known {
		s.instanceID = facts.known // also if it is marked already, by a pass that did not come to its end
		return true, nil
	}
	who, err := decideIdentity(facts)
	var stalled *stallError
	if errors.As(err, &stalled) && facts.known != "" && facts.namespace != nil {
		return false, stalled // It ran: letting go now would leave a running instance to the next one of the name.
	}
	if stalled != nil || who.wait {
		return false, nil //nolint:nilerr // It never got hold of an instance: there is nothing to put to rest.
	}
	s.instanceID = who.id
	return who.id != "", err
}

// stop scales the workloads to zero and waits until their pods are gone.
func (r *Reconciler) stop(ctx context.Context, s *scope) error {
	var errs []error
	for _, set := range s.observed.statefulSets {
		errs = append(errs, r.stopStatefulSet(ctx, s, set))
	}
	for _, deployment := range s.observed.deployments {
		errs = append(errs, r.stopDeployment(ctx, s, deployment))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if s.rolling {
		return &waitError{message: "waiting for the instance to stop", retry: conflictRetry}
	}
	if left := remaining(s.observed); left != "" {
		return &waitError{message: "waiting for the instance to stop: " + left, retry: conflictRetry}
	}
	return nil
}

// stopStatefulSet applies what we own of it, with no replicas: so it needs no revision and restarts nothing.
func (r *Reconciler) stopStatefulSet(ctx context.Context, s *scope, live *appsv1.StatefulSet) error {
	if !apply.AppliedByUs(live) {
		return nil
	}
	want, err := appsv1ac.ExtractStatefulSet(live, meta.FieldOwner)
	if err != nil {
		return fmt.Errorf("reading what we own of StatefulSet %s/%s: %w", live.Namespace, live.Name, err)
	}
	if want.Spec == nil {
		want.WithSpec(appsv1ac.StatefulSetSpec())
	}
	want.Spec.WithReplicas(0)
	changed, err := do(ctx, r, s, apply.StatefulSet, live, want)
	s.rolling = s.rolling || changed
	return err
}

func (r *Reconciler) stopDeployment(ctx context.Context, s *scope, live *appsv1.Deployment) error {
	if !apply.AppliedByUs(live) {
		return nil
	}
	want, err := appsv1ac.ExtractDeployment(live, meta.FieldOwner)
	if err != nil {
		return fmt.Errorf("reading what we own of Deployment %s/%s: %w", live.Namespace, live.Name, err)
	}
	if want.Spec == nil {
		want.WithSpec(appsv1ac.DeploymentSpec())
	}
	want.Spec.WithReplicas(0)
	changed, err := do(ctx, r, s, apply.Deployment, live, want)
	s.rolling = s.rolling || changed
	return err
}

// remaining says which workloads still have pods, or have not been looked at since they were scaled; "" if none.
func remaining(o observed) string {
	var left []string
	for name, set := range o.statefulSets {
		if set.Status.Replicas > 0 || set.Status.ObservedGeneration < set.Generation {
			left = append(left, fmt.Sprintf("StatefulSet %s has %d pods", name, set.Status.Replicas))
		}
	}
	for name, deployment := range o.deployments {
		// Unlike a StatefulSet, a Deployment does not count pods that still serve their last requests.
		pods := deployment.Status.Replicas + ptr.Deref(deployment.Status.TerminatingReplicas, 0)
		if pods > 0 || deployment.Status.ObservedGeneration < deployment.Generation {
			left = append(left, fmt.Sprintf("Deployment %s has %d pods", name, pods))
		}
	}
	slices.Sort(left)
	return strings.Join(left, ", ")
}

// retain marks the namespace: whoever comes next under this name must name the instance to get its data.
func (r *Reconciler) retain(ctx context.Context, s *scope) error {
	live := s.observed.namespace
	want, err := corev1ac.ExtractNamespace(live, meta.FieldOwner)
	if err != nil {
		return fmt.Errorf("reading what we own of namespace %s: %w", live.Name, err)
	}
	want.WithLabels(meta.Labels(s.name, s.instanceID, ""))
	want.WithLabels(meta.PodSecurityLabels()) // Somebody may have removed them; the operator may not write without.
	want.WithLabels(map[string]string{v1alpha1.LabelRetained: "true"})
	want.WithAnnotations(map[string]string{meta.AnnotationRetained: s.instanceID})
	if _, err := do(ctx, r, s, apply.Namespace, live, want, apply.Adopting()); err != nil {
		return err
	}
	s.announce("Retained", "the instance has stopped; namespace %s keeps the data, keys and address of instance %s", s.namespace, s.instanceID)
	return nil
}

// release lets the Tenant go.
func (r *Reconciler) release(ctx context.Context, s *scope) error {
	before := s.tenant.DeepCopy()
	controllerutil.RemoveFinalizer(s.tenant, v1alpha1.Finalizer)
	if err := r.patchMetadata(ctx, s, before, "removing the finalizer"); err != nil {
		return err
	}
	r.audits.forget(s.instanceID)
	return nil
}
