// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// PolicyReconciler keeps a BackupPolicy that is in use from vanishing: without it nobody knows where a tenant's backups
// are, nor removes the expired ones.
type PolicyReconciler struct {
	client client.Client
	events events.EventRecorder
}

// NewPolicyReconciler makes a PolicyReconciler.
func NewPolicyReconciler(c client.Client, recorder events.EventRecorder) *PolicyReconciler {
	return &PolicyReconciler{client: c, events: recorder}
}

// Reconcile puts the finalizer on a policy that has Tenants, takes it from one that has none, and counts them.
func (r *PolicyReconciler) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	policy := &v1alpha1.BackupPolicy{}
	if err := r.client.Get(ctx, request.NamespacedName, policy); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	users, err := tenantsOf(ctx, r.client, policy.Name)
	if err != nil {
		return reconcile.Result{}, err
	}
	before := policy.DeepCopy()
	if r.mark(policy, users) {
		patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
		if err := r.client.Patch(ctx, policy, patch, client.FieldOwner(meta.FieldOwner)); err != nil {
			return reconcile.Result{}, client.IgnoreNotFound(fmt.Errorf("marking BackupPolicy %s: %w", policy.Name, err))
		}
		return reconcile.Result{}, nil // The change brings us back for the status.
	}
	return reconcile.Result{}, r.count(ctx, policy, len(users))
}

// mark reports whether the policy's finalizers have to change. A policy that is being deleted takes no new one.
func (r *PolicyReconciler) mark(policy *v1alpha1.BackupPolicy, users []string) bool {
	switch {
	case len(users) == 0:
		return controllerutil.RemoveFinalizer(policy, v1alpha1.FinalizerPolicyInUse)
	case policy.DeletionTimestamp.IsZero():
		return controllerutil.AddFinalizer(policy, v1alpha1.FinalizerPolicyInUse)
	}
	r.events.Eventf(policy, nil, corev1.EventTypeWarning, "InUse", "Keep",
		"the policy is kept until no Tenant names it any more: %d do, %s among them", len(users), slices.Min(users))
	return false
}

func (r *PolicyReconciler) count(ctx context.Context, policy *v1alpha1.BackupPolicy, users int) error {
	want := v1alpha1.BackupPolicyStatus{ObservedGeneration: policy.Generation, Tenants: count(users)}
	if equality.Semantic.DeepEqual(policy.Status, want) {
		return nil
	}
	after := policy.DeepCopy()
	after.Status = want
	if err := r.client.Status().Patch(ctx, after, client.MergeFrom(policy), client.FieldOwner(meta.FieldOwner)); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("writing the status of BackupPolicy %s: %w", policy.Name, err)
	}
	return nil
}

// tenantsOf are the names of the Tenants that name a policy.
func tenantsOf(ctx context.Context, reader client.Reader, policy string) ([]string, error) {
	var all v1alpha1.TenantList
	if err := reader.List(ctx, &all, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing the Tenants of BackupPolicy %s: %w", policy, err)
	}
	var users []string
	for i := range all.Items {
		if policyOf(&all.Items[i]) == policy {
			users = append(users, all.Items[i].Name)
		}
	}
	return users, nil
}

// policyOf is the name of a Tenant's policy; empty if it names none.
func policyOf(t *v1alpha1.Tenant) string {
	return ptr.Deref(t.Spec.BackupPolicyRef, v1alpha1.BackupPolicyReference{}).Name
}
