// SPDX-License-Identifier: Apache-2.0

package tenant

import (
	"context"
	"errors"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/apply"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// observed is the world around one Tenant. Objects are the cache's own: nobody changes them. Children are those in
// the tenant's namespace that carry its label, by name; an object that is missing may also have lost its label.
type observed struct {
	// class is nil if there is none of that name.
	class *v1alpha1.TenantClass
	// backupPolicy is nil if the Tenant names none, or there is none of that name; what backs up says so.
	backupPolicy *v1alpha1.BackupPolicy
	// namespace is nil if there is none; a cache that has none was confirmed by a read.
	namespace *corev1.Namespace

	roleBindings    map[string]*rbacv1.RoleBinding
	quotas          map[string]*corev1.ResourceQuota
	limits          map[string]*corev1.LimitRange
	policies        map[string]*networkingv1.NetworkPolicy
	serviceAccounts map[string]*corev1.ServiceAccount
	configMaps      map[string]*corev1.ConfigMap
	services        map[string]*corev1.Service
	claims          map[string]*corev1.PersistentVolumeClaim
	statefulSets    map[string]*appsv1.StatefulSet
	deployments     map[string]*appsv1.Deployment
	budgets         map[string]*policyv1.PodDisruptionBudget
	revisions       map[string]*appsv1.ControllerRevision
}

// observe fills scope.observed from the caches.
func (r *Reconciler) observe(ctx context.Context, s *scope) error {
	o := &s.observed
	return errors.Join(
		r.observeClass(ctx, s),
		r.observeBackupPolicy(ctx, s),
		r.observeNamespace(ctx, s),
		children(ctx, r, s, &rbacv1.RoleBindingList{}, &o.roleBindings),
		children(ctx, r, s, &corev1.ResourceQuotaList{}, &o.quotas),
		children(ctx, r, s, &corev1.LimitRangeList{}, &o.limits),
		children(ctx, r, s, &networkingv1.NetworkPolicyList{}, &o.policies),
		children(ctx, r, s, &corev1.ServiceAccountList{}, &o.serviceAccounts),
		children(ctx, r, s, &corev1.ConfigMapList{}, &o.configMaps),
		children(ctx, r, s, &corev1.ServiceList{}, &o.services),
		children(ctx, r, s, &corev1.PersistentVolumeClaimList{}, &o.claims),
		children(ctx, r, s, &appsv1.StatefulSetList{}, &o.statefulSets),
		children(ctx, r, s, &appsv1.DeploymentList{}, &o.deployments),
		children(ctx, r, s, &policyv1.PodDisruptionBudgetList{}, &o.budgets),
		children(ctx, r, s, &appsv1.ControllerRevisionList{}, &o.revisions),
	)
}

func (r *Reconciler) observeClass(ctx context.Context, s *scope) error {
	class := &v1alpha1.TenantClass{}
	err := r.client.Get(ctx, types.NamespacedName{Name: s.tenant.Spec.ClassRef.Name}, class)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the class: %w", err)
	}
	s.observed.class = class
	return nil
}

func (r *Reconciler) observeBackupPolicy(ctx context.Context, s *scope) error {
	ref := s.tenant.Spec.BackupPolicyRef
	if ref == nil {
		return nil
	}
	policy := &v1alpha1.BackupPolicy{}
	err := r.client.Get(ctx, types.NamespacedName{Name: ref.Name}, policy)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the backup policy: %w", err)
	}
	s.observed.backupPolicy = policy
	return nil
}

// observeNamespace asks the API server when the cache has no namespace: a new identity must not be minted because
// the cache is behind.
func (r *Reconciler) observeNamespace(ctx context.Context, s *scope) error {
	key, namespace := types.NamespacedName{Name: s.namespace}, &corev1.Namespace{}
	err := r.client.Get(ctx, key, namespace)
	if apierrors.IsNotFound(err) {
		err = r.api.Get(ctx, key, namespace)
	}
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading namespace %s: %w", s.namespace, err)
	}
	s.observed.namespace = namespace
	return nil
}

// children lists the objects of one kind that carry the Tenant's label in its namespace, by name.
func children[O any, P interface {
	*O
	client.Object
}](ctx context.Context, r *Reconciler, s *scope, list client.ObjectList, into *map[string]P) error {
	err := r.client.List(ctx, list, client.InNamespace(s.namespace), client.MatchingLabels{v1alpha1.LabelTenant: s.name}, client.UnsafeDisableDeepCopy)
	if err != nil {
		return fmt.Errorf("listing %T in namespace %s: %w", list, s.namespace, err)
	}
	*into = map[string]P{}
	return apimeta.EachListItem(list, func(item runtime.Object) error {
		object, ok := item.(P)
		if !ok {
			return fmt.Errorf("a list of %T holds a %T", list, item)
		}
		(*into)[object.GetName()] = object
		return nil
	})
}

// lookAgain asks the API server for the workloads and the gate's Service where the caches have none: an object that
// lost its labels still runs, and must neither look like an outage nor be overlooked when the instance is stopped.
func (r *Reconciler) lookAgain(ctx context.Context, s *scope) error {
	o := &s.observed
	return errors.Join(
		lookFor(ctx, r, s, meta.DatabaseStatefulSet, &appsv1.StatefulSet{}, o.statefulSets),
		lookFor(ctx, r, s, meta.AppStatefulSet, &appsv1.StatefulSet{}, o.statefulSets),
		lookFor(ctx, r, s, meta.EdgeDeployment, &appsv1.Deployment{}, o.deployments),
		lookFor(ctx, r, s, meta.EdgeService, &corev1.Service{}, o.services),
	)
}

func lookFor[O client.Object](ctx context.Context, r *Reconciler, s *scope, name string, into O, observed map[string]O) error {
	if _, ok := observed[name]; ok {
		return nil
	}
	err := r.api.Get(ctx, types.NamespacedName{Namespace: s.namespace, Name: name}, into)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking for %T %s/%s: %w", into, s.namespace, name, err)
	}
	if apply.AppliedByUs(into) {
		observed[name] = into
	}
	return nil
}
