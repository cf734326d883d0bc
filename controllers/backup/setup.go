// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// SetupWithManager registers the watches. concurrency is how many Tenants are worked on at a time; a pass may wait some
// seconds for an archiver.
func (r *Reconciler) SetupWithManager(mgr manager.Manager, concurrency int) error {
	inside := handler.EnqueueRequestsFromMapFunc(tenantOfNamespace)
	return builder.ControllerManagedBy(mgr).Named("backup").
		For(&v1alpha1.Tenant{}).
		Watches(&v1alpha1.BackupPolicy{}, r.users(), builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&batchv1.Job{}, inside, builder.WithPredicates(forBackups())).
		Watches(&batchv1.CronJob{}, inside, builder.WithPredicates(forBackups())).
		Watches(&v1alpha1.Backup{}, inside).
		Watches(&v1alpha1.Restore{}, inside).
		Watches(&corev1.Namespace{}, handler.EnqueueRequestsFromMapFunc(tenantOfName), builder.WithPredicates(predicate.AnnotationChangedPredicate{})).
		WithOptions(controller.Options{MaxConcurrentReconciles: concurrency}).
		Complete(r)
}

// SetupWithManager registers the watches.
func (r *PolicyReconciler) SetupWithManager(mgr manager.Manager) error {
	return builder.ControllerManagedBy(mgr).Named("backuppolicy").
		For(&v1alpha1.BackupPolicy{}).
		// An update is mapped for the old and the new object: the policy that a Tenant leaves is looked at too.
		Watches(&v1alpha1.Tenant{}, handler.EnqueueRequestsFromMapFunc(nameOfPolicy), builder.WithPredicates(policyChanges())).
		Complete(r)
}

// users are the Tenants that name a policy.
func (r *Reconciler) users() handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, o client.Object) []reconcile.Request {
		names, err := tenantsOf(ctx, r.client, o.GetName())
		if err != nil {
			log.FromContext(ctx).Error(err, "a change of a policy reaches its Tenants only with their next look")
		}
		requests := make([]reconcile.Request, 0, len(names))
		for _, name := range names {
			requests = append(requests, requestFor(name))
		}
		return requests
	})
}

func tenantOfNamespace(_ context.Context, o client.Object) []reconcile.Request {
	return of(o.GetNamespace())
}

func tenantOfName(_ context.Context, o client.Object) []reconcile.Request { return of(o.GetName()) }

func of(namespace string) []reconcile.Request {
	if tenant, ok := meta.TenantOf(namespace); ok {
		return []reconcile.Request{requestFor(tenant)}
	}
	return nil
}

func requestFor(name string) reconcile.Request {
	return reconcile.Request{NamespacedName: types.NamespacedName{Name: name}}
}

func nameOfPolicy(_ context.Context, o client.Object) []reconcile.Request {
	if t, ok := o.(*v1alpha1.Tenant); ok && policyOf(t) != "" {
		return []reconcile.Request{requestFor(policyOf(t))}
	}
	return nil
}

// forBackups are Jobs and CronJobs of this package.
func forBackups() predicate.Predicate {
	return predicate.NewPredicateFuncs(func(o client.Object) bool { return o.GetLabels()[v1alpha1.LabelBackupJob] != "" })
}

// policyChanges are the changes of a Tenant that concern its policy.
func policyChanges() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, ok := e.ObjectOld.(*v1alpha1.Tenant)
		after, also := e.ObjectNew.(*v1alpha1.Tenant)
		return ok && also && policyOf(before) != policyOf(after)
	}}
}
