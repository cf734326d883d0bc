// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/selection"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/backup"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
	"github.com/freehold-dev/freehold/controllers/probe"
	"github.com/freehold-dev/freehold/controllers/tenant"
)

// Options are what the installation decides.
type Options struct {
	// Tenant are the options of the tenant controller.
	Tenant tenant.Options
	// Probe are the options of the probe controller. Without an interval there is none, and nothing is proven.
	Probe probe.Options
	// Backup are the options of the backup controllers.
	Backup backup.Options
	// Clock of all controllers. Default: the system's.
	Clock clock.PassiveClock
	// Concurrency is how many Tenants are reconciled at a time. Default: 8.
	Concurrency int
}

// Setup adds the controllers and their indexes to a manager that was made with Scheme, CacheOptions and
// ClientOptions.
func Setup(mgr manager.Manager, options Options) error {
	if options.Clock == nil {
		options.Clock = clock.RealClock{}
	}
	if options.Concurrency == 0 {
		options.Concurrency = 8
	}
	for name, function := range tenant.Indexes() {
		if err := mgr.GetFieldIndexer().IndexField(context.Background(), &v1alpha1.Tenant{}, name, function); err != nil {
			return fmt.Errorf("indexing Tenants by %s: %w", name, err)
		}
	}
	recorder := mgr.GetEventRecorder("freehold")
	if err := tenant.NewClassReconciler(mgr.GetClient(), recorder).SetupWithManager(mgr); err != nil {
		return fmt.Errorf("setting up the class controller: %w", err)
	}
	reconciler := tenant.NewReconciler(mgr.GetClient(), mgr.GetAPIReader(), options.Clock, recorder, options.Tenant)
	if err := reconciler.SetupWithManager(mgr, options.Concurrency); err != nil {
		return fmt.Errorf("setting up the tenant controller: %w", err)
	}
	if err := setupBackup(mgr, recorder, options); err != nil {
		return err
	}
	if options.Probe.Interval <= 0 {
		return nil
	}
	prober := probe.NewReconciler(mgr.GetClient(), mgr.GetAPIReader(), options.Clock, recorder, options.Probe)
	if err := prober.SetupWithManager(mgr, options.Concurrency); err != nil {
		return fmt.Errorf("setting up the probe controller: %w", err)
	}
	return nil
}

// setupBackup adds the controllers of backups. A pass over a Tenant may wait for its archiver, hence twice as many.
func setupBackup(mgr manager.Manager, recorder events.EventRecorder, options Options) error {
	if err := backup.NewPolicyReconciler(mgr.GetClient(), recorder).SetupWithManager(mgr); err != nil {
		return fmt.Errorf("setting up the controller of backup policies: %w", err)
	}
	reconciler := backup.NewReconciler(mgr.GetClient(), mgr.GetAPIReader(), options.Clock, recorder, options.Backup)
	if err := reconciler.SetupWithManager(mgr, 2*options.Concurrency); err != nil {
		return fmt.Errorf("setting up the backup controller: %w", err)
	}
	restorer := backup.NewRestoreReconciler(mgr.GetClient(), mgr.GetAPIReader(), options.Clock, recorder, backup.AskNow(mgr.GetAPIReader(), options.Backup))
	if err := restorer.SetupWithManager(mgr); err != nil {
		return fmt.Errorf("setting up the controller of restores: %w", err)
	}
	filler := backup.NewBootstrapReconciler(mgr.GetClient(), mgr.GetAPIReader(), options.Clock, recorder, options.Backup)
	if err := filler.SetupWithManager(mgr); err != nil {
		return fmt.Errorf("setting up the controller that fills new instances: %w", err)
	}
	return nil
}

// Scheme knows the kinds of Kubernetes and of Freehold.
func Scheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(apiextensionsv1.AddToScheme(scheme))
	utilruntime.Must(v1alpha1.AddToScheme(scheme))
	return scheme
}

// ClientOptions keep Secrets out of the caches: the operator may not watch them, and does not want to hold them.
func ClientOptions() client.Options {
	return client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&corev1.Secret{}}}}
}

// CacheOptions are what the caches hold: of the kinds that tenants are made of, only objects that carry a Tenant's
// label. Their managedFields are kept, since they decide whether an object is as wanted.
func CacheOptions() cache.Options {
	exists, err := labels.NewRequirement(v1alpha1.LabelTenant, selection.Exists, nil)
	utilruntime.Must(err)
	ofTenants := cache.ByObject{Label: labels.NewSelector().Add(*exists)}
	crds := &metav1.PartialObjectMetadata{}
	crds.SetGroupVersionKind(apiextensionsv1.SchemeGroupVersion.WithKind("CustomResourceDefinition"))
	byObject := map[client.Object]cache.ByObject{
		&v1alpha1.Tenant{}:         {Transform: cache.TransformStripManagedFields()},
		&v1alpha1.TenantClass{}:    {Transform: cache.TransformStripManagedFields()},
		&v1alpha1.BackupPolicy{}:   {Transform: cache.TransformStripManagedFields()},
		&v1alpha1.Backup{}:         {Transform: cache.TransformStripManagedFields()},
		&v1alpha1.Restore{}:        {Transform: cache.TransformStripManagedFields()},
		&corev1.PersistentVolume{}: {Transform: cache.TransformStripManagedFields()},
		&corev1.Namespace{}:        {Transform: stripStrangers},
		crds:                       {Field: fields.OneTermEqualSelector("metadata.name", tenant.CRDName), Transform: cache.TransformStripManagedFields()},
	}
	for _, kind := range []client.Object{
		&rbacv1.RoleBinding{}, &corev1.ResourceQuota{}, &corev1.LimitRange{}, &networkingv1.NetworkPolicy{},
		&corev1.ServiceAccount{}, &corev1.ConfigMap{}, &corev1.Service{}, &corev1.PersistentVolumeClaim{},
		&appsv1.StatefulSet{}, &appsv1.Deployment{}, &appsv1.ControllerRevision{}, &policyv1.PodDisruptionBudget{},
		&batchv1.CronJob{}, &batchv1.Job{},
	} {
		byObject[kind] = ofTenants
	}
	return cache.Options{ByObject: byObject}
}

// stripStrangers makes namespaces small that are no tenant's. All namespaces are watched, because one that is in a
// Tenant's way carries no label of ours.
func stripStrangers(in any) (any, error) {
	if namespace, ok := in.(*corev1.Namespace); ok && !strings.HasPrefix(namespace.Name, meta.NamespacePrefix) {
		namespace.ManagedFields, namespace.Annotations = nil, nil
	}
	return in, nil
}
