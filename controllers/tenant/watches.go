// SPDX-License-Identifier: Apache-2.0

package tenant

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// SetupWithManager registers the watches. concurrency is how many Tenants are worked on at a time.
func (r *Reconciler) SetupWithManager(mgr manager.Manager, concurrency int) error {
	crds := &metav1.PartialObjectMetadata{}
	crds.SetGroupVersionKind(apiextensionsv1.SchemeGroupVersion.WithKind("CustomResourceDefinition"))
	b := builder.ControllerManagedBy(mgr).Named("tenant").
		For(&v1alpha1.Tenant{}).
		Watches(&v1alpha1.Tenant{}, handler.EnqueueRequestsFromMapFunc(r.rivalsOf)).
		Watches(&v1alpha1.TenantClass{}, handler.EnqueueRequestsFromMapFunc(r.tenantsOfClass)).
		Watches(&v1alpha1.BackupPolicy{}, handler.EnqueueRequestsFromMapFunc(r.tenantsOfBackupPolicy),
			builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&corev1.Namespace{}, handler.EnqueueRequestsFromMapFunc(tenantOfNamespace)).
		Watches(&corev1.PersistentVolume{}, handler.EnqueueRequestsFromMapFunc(tenantOfVolume)).
		Watches(crds, handler.EnqueueRequestsFromMapFunc(r.allTenants)).
		WithOptions(controller.Options{MaxConcurrentReconciles: concurrency})
	for _, child := range []client.Object{
		&rbacv1.RoleBinding{}, &corev1.ResourceQuota{}, &corev1.LimitRange{}, &networkingv1.NetworkPolicy{},
		&corev1.ServiceAccount{}, &corev1.ConfigMap{}, &corev1.Service{}, &corev1.PersistentVolumeClaim{},
		&appsv1.StatefulSet{}, &appsv1.Deployment{}, &appsv1.ControllerRevision{}, &policyv1.PodDisruptionBudget{},
	} {
		// An object that loses its label leaves the cache: that is a deletion, which brings us here too.
		b = b.Watches(child, handler.EnqueueRequestsFromMapFunc(tenantOfChild))
	}
	return b.Complete(r)
}

func request(tenant string) reconcile.Request {
	return reconcile.Request{NamespacedName: types.NamespacedName{Name: tenant}}
}

func requests(tenants []string) []reconcile.Request {
	out := make([]reconcile.Request, 0, len(tenants))
	for _, tenant := range tenants {
		out = append(out, request(tenant))
	}
	return out
}

// tenantOfChild goes by the namespace: the label may have been changed by somebody.
func tenantOfChild(_ context.Context, o client.Object) []reconcile.Request {
	if tenant, ok := meta.TenantOf(o.GetNamespace()); ok {
		return []reconcile.Request{request(tenant)}
	}
	return nil
}

func tenantOfNamespace(_ context.Context, o client.Object) []reconcile.Request {
	if tenant, ok := meta.TenantOf(o.GetName()); ok {
		return []reconcile.Request{request(tenant)}
	}
	return nil
}

func tenantOfVolume(_ context.Context, o client.Object) []reconcile.Request {
	volume, ok := o.(*corev1.PersistentVolume)
	if !ok || volume.Spec.ClaimRef == nil {
		return nil
	}
	if tenant, ok := meta.TenantOf(volume.Spec.ClaimRef.Namespace); ok {
		return []reconcile.Request{request(tenant)}
	}
	return nil
}

func (r *Reconciler) tenantsOfClass(ctx context.Context, o client.Object) []reconcile.Request {
	tenants, err := r.tenantsWith(ctx, IndexClass, o.GetName())
	return r.found(ctx, names(tenants), err)
}

func (r *Reconciler) tenantsOfBackupPolicy(ctx context.Context, o client.Object) []reconcile.Request {
	tenants, err := r.tenantsWith(ctx, meta.IndexBackupPolicy, o.GetName())
	return r.found(ctx, names(tenants), err)
}

func (r *Reconciler) rivalsOf(ctx context.Context, o client.Object) []reconcile.Request {
	t, ok := o.(*v1alpha1.Tenant)
	if !ok {
		return nil
	}
	rivals, err := r.rivals(ctx, t)
	return r.found(ctx, rivals, err)
}

func (r *Reconciler) allTenants(ctx context.Context, _ client.Object) []reconcile.Request {
	var list v1alpha1.TenantList
	err := r.client.List(ctx, &list, client.UnsafeDisableDeepCopy)
	return r.found(ctx, names(list.Items), err)
}

// found turns names into requests. A cache that cannot be read is a broken process; the next event comes with the
// next resync of the connection.
func (r *Reconciler) found(ctx context.Context, tenants []string, err error) []reconcile.Request {
	if err != nil {
		log.FromContext(ctx).Error(err, "cannot tell whom an event concerns")
	}
	return requests(tenants)
}

func names(tenants []v1alpha1.Tenant) []string {
	out := make([]string, 0, len(tenants))
	for i := range tenants {
		out = append(out, tenants[i].Name)
	}
	return out
}
