// SPDX-License-Identifier: Apache-2.0

package tenant

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// ClassReconciler keeps a TenantClass that is in use from vanishing, as Kubernetes keeps a claim that a pod uses: without
// its class a Tenant is neither repaired nor are its certificates renewed.
type ClassReconciler struct {
	client client.Client
	events events.EventRecorder
}

// NewClassReconciler makes a ClassReconciler. c reads from a cache that has Indexes.
func NewClassReconciler(c client.Client, recorder events.EventRecorder) *ClassReconciler {
	return &ClassReconciler{client: c, events: recorder}
}

// SetupWithManager registers the watches.
func (r *ClassReconciler) SetupWithManager(mgr manager.Manager) error {
	return builder.ControllerManagedBy(mgr).Named("tenantclass").
		For(&v1alpha1.TenantClass{}).
		// An update is mapped for the old and the new object: the class that a Tenant leaves is looked at too.
		Watches(&v1alpha1.Tenant{}, handler.EnqueueRequestsFromMapFunc(classOf)).
		Complete(r)
}

func classOf(_ context.Context, o client.Object) []reconcile.Request {
	if t, ok := o.(*v1alpha1.Tenant); ok {
		return []reconcile.Request{{NamespacedName: types.NamespacedName{Name: t.Spec.ClassRef.Name}}}
	}
	return nil
}

// Reconcile puts the finalizer on a class that has Tenants, and takes it from one that has none.
func (r *ClassReconciler) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	class := &v1alpha1.TenantClass{}
	if err := r.client.Get(ctx, request.NamespacedName, class); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	var users v1alpha1.TenantList
	if err := r.client.List(ctx, &users, client.MatchingFields{IndexClass: class.Name}, client.UnsafeDisableDeepCopy); err != nil {
		return reconcile.Result{}, fmt.Errorf("listing the Tenants of TenantClass %s: %w", class.Name, err)
	}
	before := class.DeepCopy()
	if !r.mark(class, users.Items) {
		return reconcile.Result{}, nil
	}
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	err := r.client.Patch(ctx, class, patch, client.FieldOwner(meta.FieldOwner))
	if stale := asStale(err); stale != nil {
		return reconcile.Result{RequeueAfter: stale.retry}, nil //nolint:nilerr // Somebody else wrote it meanwhile: no trouble of anybody's.
	}
	if err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(fmt.Errorf("marking TenantClass %s: %w", class.Name, err))
	}
	return reconcile.Result{}, nil
}

// mark reports whether the class's finalizers have to change. A class that is being deleted takes no new one.
func (r *ClassReconciler) mark(class *v1alpha1.TenantClass, users []v1alpha1.Tenant) bool {
	switch {
	case len(users) == 0:
		return controllerutil.RemoveFinalizer(class, v1alpha1.FinalizerClassInUse)
	case class.DeletionTimestamp.IsZero():
		return controllerutil.AddFinalizer(class, v1alpha1.FinalizerClassInUse)
	}
	first := slices.MinFunc(users, func(a, b v1alpha1.Tenant) int { return cmp.Compare(a.Name, b.Name) })
	r.events.Eventf(class, nil, corev1.EventTypeWarning, "InUse", action,
		"the class is kept until no Tenant names it any more: %d do, %s among them", len(users), first.Name)
	return false
}
