// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// queue is where a controller's work waits.
type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]

// SetupWithManager registers the watches. concurrency bounds how many rounds begin at a time.
func (r *Reconciler) SetupWithManager(mgr manager.Manager, concurrency int) error {
	return builder.ControllerManagedBy(mgr).Named("probe").
		For(&v1alpha1.Tenant{}).
		Watches(&networkingv1.NetworkPolicy{}, r.wallEvents()).
		WithOptions(controller.Options{MaxConcurrentReconciles: concurrency}).
		Complete(r)
}

// wallEvents notes which walls are touched. What an operator finds when it starts is no change: otherwise each restart
// would put the whole fleet to the proof at once.
func (r *Reconciler) wallEvents() handler.EventHandler {
	return handler.Funcs{
		CreateFunc: func(_ context.Context, e event.CreateEvent, q queue) {
			if !e.IsInInitialList {
				r.touched(e.Object, q)
			}
		},
		UpdateFunc: func(_ context.Context, e event.UpdateEvent, q queue) {
			if e.ObjectOld.GetGeneration() != e.ObjectNew.GetGeneration() {
				r.touched(e.ObjectNew, q)
			}
		},
		DeleteFunc: func(_ context.Context, e event.DeleteEvent, q queue) { r.touched(e.Object, q) },
	}
}

// touched notes that a Tenant's walls changed: they are proven soon.
func (r *Reconciler) touched(o client.Object, q queue) {
	tenant, ok := meta.TenantOf(o.GetNamespace())
	if !ok {
		return
	}
	r.mu.Lock()
	r.changed[tenant] = true
	r.mu.Unlock()
	q.Add(reconcile.Request{NamespacedName: types.NamespacedName{Name: tenant}})
}
