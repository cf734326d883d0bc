// SPDX-License-Identifier: Apache-2.0

package tenant

import (
	"context"
	"errors"

	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/controllers/internal/apply"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// ground applies what everything else stands on: the namespace, and the operator's right to work in it.
func (r *Reconciler) ground(ctx context.Context, s *scope) error {
	o := s.objects
	// identify has established that the namespace is this Tenant's, also if somebody else made it.
	if _, err := do(ctx, r, s, apply.Namespace, s.observed.namespace, o.Namespace, apply.Adopting()); err != nil {
		return err
	}
	s.grounded = true
	if s.adopted {
		s.announce("Adopted", "took over the retained instance %s with its data", s.instanceID)
	}
	_, err := do(ctx, r, s, apply.RoleBinding, s.observed.roleBindings[meta.OperatorRoleBinding], o.RoleBinding)
	return err
}

// walls applies what has to stand before the first pod. All of them are tried; any failure stops the pass.
func (r *Reconciler) walls(ctx context.Context, s *scope) error {
	o := s.objects
	_, quota := do(ctx, r, s, apply.ResourceQuota, s.observed.quotas[meta.Quota], o.Quota)
	_, limits := do(ctx, r, s, apply.LimitRange, s.observed.limits[meta.Limits], o.Limits)
	return errors.Join(quota, limits,
		each(ctx, r, s, apply.NetworkPolicy, s.observed.policies, o.NetworkPolicies),
		each(ctx, r, s, apply.ServiceAccount, s.observed.serviceAccounts, o.ServiceAccounts),
	)
}

// live applies what pods read and what stands before them. A failure of one object does not hold up the others. It
// stops the pass of a new instance, whose first pods would read what a stranger wrote; but not the repair of workloads.
func (r *Reconciler) live(ctx context.Context, s *scope) error {
	o := s.objects
	err := errors.Join(
		each(ctx, r, s, apply.ConfigMap, s.observed.configMaps, o.ConfigMaps),
		each(ctx, r, s, apply.Service, s.observed.services, o.Services),
		each(ctx, r, s, apply.PersistentVolumeClaim, s.observed.claims, o.Claims),
		each(ctx, r, s, apply.PodDisruptionBudget, s.observed.budgets, o.Budgets),
	)
	if !s.inputs.Initialized {
		return err
	}
	s.failed(err)
	return nil
}

// tidy ends a pass: volumes are kept, and what is not wanted any more goes. It continues after failures.
func (r *Reconciler) tidy(ctx context.Context, s *scope) error {
	s.failed(r.retainVolumes(ctx, s))
	if s.lost == nil { // What a lost revision needs is not known.
		r.prune(ctx, s)
	}
	return nil
}

// each applies several objects of one kind; one that fails does not hold up the others.
func each[O client.Object, A apply.Configuration](ctx context.Context, r *Reconciler, s *scope, kind apply.Kind[O, A], live map[string]O, wanted []A) error {
	var errs []error
	for _, want := range wanted {
		_, err := do(ctx, r, s, kind, live[ptr.Deref(want.GetName(), "")], want)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
