// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// SetupWithManager registers the watches. concurrency bounds how many rounds begin at a time.
func (r *Reconciler) SetupWithManager(mgr manager.Manager, concurrency int) error {
	b := builder.ControllerManagedBy(mgr).Named("probe").
		For(&v1alpha1.Tenant{}).
		WithOptions(controller.Options{MaxConcurrentReconciles: concurrency})
	for _, kind := range wallKinds {
		b = b.Watches(kind, handler.EnqueueRequestsFromMapFunc(r.tenantOfWall))
	}
	return b.Complete(r)
}

func (r *Reconciler) tenantOfWall(_ context.Context, o client.Object) []reconcile.Request {
	tenant, ok := meta.TenantOf(o.GetNamespace())
	if !ok {
		return nil
	}
	r.touched(tenant)
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Name: tenant}}}
}
