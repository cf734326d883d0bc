// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/apply"
	"github.com/freehold-dev/freehold/controllers/internal/conditions"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

const (
	// annotationBootstrap on a Job names the instance whose backups it fills a new one from.
	annotationBootstrap = "freehold.dev/bootstrap"
	// bootstrapOwner is the field owner of what the Tenant's status says of it.
	bootstrapOwner = "freehold-bootstrap"
	// bootstrapKept is how long a Job that failed is kept: then its destination is tried again.
	bootstrapKept = 10 * time.Minute
)

// BootstrapReconciler fills a new instance from the backups of another one, which may be long gone: it needs the other's
// keys, a destination, and nothing else. Destinations are tried one after the other. The controller of tenants starts
// nothing until it is done (AnnotationBootstrapped).
type BootstrapReconciler struct {
	client  client.Client
	api     client.Reader
	applier *apply.Applier
	clock   clock.PassiveClock
	events  events.EventRecorder
	options Options
}

// NewBootstrapReconciler makes a BootstrapReconciler. c reads from caches and writes to the API server; live reads from
// the API server.
func NewBootstrapReconciler(c client.Client, live client.Reader, clk clock.PassiveClock, recorder events.EventRecorder, options Options) *BootstrapReconciler {
	return &BootstrapReconciler{client: c, api: live, applier: apply.New(c, live), clock: clk, events: recorder, options: options.withDefaults()}
}

// SetupWithManager registers the watches.
func (r *BootstrapReconciler) SetupWithManager(mgr manager.Manager) error {
	return builder.ControllerManagedBy(mgr).Named("bootstrap").
		For(&v1alpha1.Tenant{}).
		Watches(&batchv1.Job{}, handler.EnqueueRequestsFromMapFunc(bootstrapOf)).
		Complete(r)
}

// bootstrapOf is the Tenant that a Job fills.
func bootstrapOf(_ context.Context, o client.Object) []reconcile.Request {
	tenant, ok := meta.TenantOf(o.GetNamespace())
	if !ok || o.GetAnnotations()[annotationBootstrap] == "" {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Name: tenant}}}
}

// filling is what one pass over one Tenant knows.
type filling struct {
	tenant *v1alpha1.Tenant
	// wish is spec.bootstrap.restore; source is the Tenant's name that the other instance had.
	wish      *v1alpha1.BootstrapRestore
	source    string
	namespace *corev1.Namespace
	now       time.Time
	// condition that the Tenant shall have; again is when to look again.
	condition metav1.Condition
	again     time.Duration
}

// Reconcile is one look at one Tenant.
func (r *BootstrapReconciler) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	f, err := r.observe(ctx, request.Name)
	if err != nil || f == nil {
		return reconcile.Result{}, err
	}
	if f.namespace.Annotations[meta.AnnotationBootstrapped] == f.wish.InstanceID {
		f.say(metav1.ConditionTrue, v1alpha1.ReasonSucceeded, "the instance was filled from the backups of instance %s%s", f.wish.InstanceID, withoutFiles(f.namespace.Annotations))
	} else if err := r.fill(ctx, f); err != nil {
		return reconcile.Result{}, errors.Join(err, r.write(ctx, f))
	}
	return reconcile.Result{RequeueAfter: f.again}, r.write(ctx, f)
}

// observe reads what a pass needs; nil if there is nothing to fill.
func (r *BootstrapReconciler) observe(ctx context.Context, name string) (*filling, error) {
	tenant := &v1alpha1.Tenant{}
	if err := r.client.Get(ctx, types.NamespacedName{Name: name}, tenant); err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	bootstrap := tenant.Spec.Bootstrap
	if bootstrap == nil || bootstrap.Restore == nil || !tenant.DeletionTimestamp.IsZero() || tenant.Status.InstanceID == "" || tenant.Status.Namespace == "" {
		return nil, nil
	}
	f := &filling{tenant: tenant, wish: bootstrap.Restore, source: bootstrap.Restore.Tenant, now: r.clock.Now(), namespace: &corev1.Namespace{}}
	if f.source == "" {
		f.source = tenant.Name
	}
	if err := r.client.Get(ctx, types.NamespacedName{Name: tenant.Status.Namespace}, f.namespace); err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	done := f.namespace.Annotations[meta.AnnotationBootstrapped] != ""
	if f.namespace.Labels[v1alpha1.LabelInstance] != tenant.Status.InstanceID || f.namespace.Annotations[meta.AnnotationInitialized] == "true" && !done {
		return nil, nil // An instance that holds data is not filled.
	}
	return f, nil
}

// fill takes the next step: what a Job brought is taken over, one that works is waited for, else the next is made.
func (r *BootstrapReconciler) fill(ctx context.Context, f *filling) error {
	policy, err := r.policy(ctx, f)
	if err != nil || policy == nil {
		return err
	}
	jobs, ahead, err := r.jobs(ctx, f)
	if err != nil {
		return err
	}
	destinations := r.order(ctx, f, policy)
	if len(destinations) == 0 {
		f.say(metav1.ConditionFalse, v1alpha1.ReasonFailed, "%s", nowhere(policy, f.wish.Target.Destination))
		return nil
	}
	underWayFirst(destinations, ahead)
	var failures []string
	empty, agreed := 0, nothingAnywhere(jobs)
	for _, destination := range destinations {
		came, err := r.try(ctx, f, destination, jobs[string(destination.Name)], agreed)
		if err != nil || came.done {
			return err
		}
		if came.empty {
			empty++
		}
		failures = append(failures, came.failure)
	}
	if empty == len(destinations) {
		_, err := r.begin(ctx, f, destinations[0], true)
		return err
	}
	f.again = time.Minute
	f.say(metav1.ConditionFalse, v1alpha1.ReasonFailed, "no destination could be restored from; each is tried again ten minutes after its attempt failed. %s", strings.Join(failures, "; "))
	return nil
}

// nowhere is why a policy has no destination that a new instance could be filled from; wanted is the one that is asked for,
// empty for any.
func nowhere(policy *v1alpha1.BackupPolicy, wanted v1alpha1.DestinationName) string {
	volumes := slices.DeleteFunc(slices.Clone(policy.Spec.Destinations), func(d v1alpha1.BackupDestination) bool {
		return d.Volume == nil || wanted != "" && d.Name != wanted
	})
	if len(volumes) == 0 {
		return fmt.Sprintf("BackupPolicy %s has no destination %s, which bootstrap.restore.target names", policy.Name, wanted)
	}
	return fmt.Sprintf("destination %s of BackupPolicy %s is a volume in the other instance's namespace, from which no other can be filled: name a destination of another kind",
		volumes[0].Name, policy.Name)
}

// underWayFirst puts the destinations first that are being restored from, or were with success.
func underWayFirst(destinations []v1alpha1.BackupDestination, ahead map[string]bool) {
	slices.SortStableFunc(destinations, func(a, b v1alpha1.BackupDestination) int {
		switch first, second := ahead[string(a.Name)], ahead[string(b.Name)]; {
		case first == second:
			return 0
		case first:
			return -1
		}
		return 1
	})
}

// tried is what came of one destination.
type tried struct {
	// failure says why the next destination's turn has come.
	failure string
	// empty says that the destination holds nothing of the application's data.
	empty bool
	// done says that nothing more is to be done in this pass.
	done bool
}

// try takes the next step with one destination: its Job is made, waited for, or taken over.
func (r *BootstrapReconciler) try(ctx context.Context, f *filling, destination v1alpha1.BackupDestination, job *batchv1.Job, agreed bool) (tried, error) {
	if job == nil {
		b, err := r.begin(ctx, f, destination, agreed)
		if err != nil || b.failure == "" {
			return tried{done: true}, err
		}
		return tried{empty: b.nothing != "", failure: fmt.Sprintf("%s: the application's data: %s", destination.Name, b.failure)}, nil
	}
	f.again = restorePoll
	if endOf(job).IsZero() {
		f.say(metav1.ConditionFalse, v1alpha1.ReasonRunning, "Job %s restores from %s since %s", job.Name, destination.Name, moment(job.CreationTimestamp.Time))
		return tried{done: true}, nil
	}
	result, err := resultOf(ctx, r.api, job)
	if err != nil {
		return tried{done: true}, err
	}
	if result.Failure == nil && result.Recovery != nil {
		return tried{done: true}, r.takeOver(ctx, f, job, result.Recovery.Timeline)
	}
	return tried{failure: fmt.Sprintf("%s: %s", destination.Name, failureOf(result))}, nil
}

// takeOver lets the controller of tenants start the instance, and removes what only the filling needed.
func (r *BootstrapReconciler) takeOver(ctx context.Context, f *filling, job *batchv1.Job, timeline int) error {
	before := f.namespace.DeepCopy()
	f.namespace = f.namespace.DeepCopy()
	metav1.SetMetaDataAnnotation(&f.namespace.ObjectMeta, meta.AnnotationTimelines, lineage{}.switched(timeline, f.now).String())
	metav1.SetMetaDataAnnotation(&f.namespace.ObjectMeta, meta.AnnotationBootstrapped, f.wish.InstanceID)
	if why := job.Annotations[annotationWithoutFiles]; why != "" {
		metav1.SetMetaDataAnnotation(&f.namespace.ObjectMeta, annotationWithoutFiles, why)
	}
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := r.client.Patch(ctx, f.namespace, patch, client.FieldOwner(meta.FieldOwner)); err != nil {
		return fmt.Errorf("telling the instance in namespace %s: %w", f.namespace.Name, err)
	}
	r.events.Eventf(f.tenant, nil, corev1.EventTypeNormal, "Filled", "Restore", "Job %s filled the instance from the backups of instance %s", job.Name, f.wish.InstanceID)
	f.say(metav1.ConditionTrue, v1alpha1.ReasonSucceeded, "the instance was filled from the backups of instance %s%s", f.wish.InstanceID, withoutFiles(job.Annotations))
	keys := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace.Name, Name: meta.BootstrapSecret}}
	return errors.Join(
		client.IgnoreNotFound(r.client.Delete(ctx, keys)),
		client.IgnoreNotFound(r.client.Delete(ctx, job, client.PropagationPolicy(metav1.DeletePropagationBackground))))
}

func (f *filling) say(status metav1.ConditionStatus, reason, format string, args ...any) {
	f.condition = metav1.Condition{Type: v1alpha1.ConditionRestored, Status: status, Reason: reason, Message: fmt.Sprintf(format, args...), ObservedGeneration: f.tenant.Generation}
}

// write writes the condition if it changed.
func (r *BootstrapReconciler) write(ctx context.Context, f *filling) error {
	if f.condition.Type == "" {
		return nil
	}
	own := v1alpha1.TenantStatus{}
	stored := apimeta.FindStatusCondition(f.tenant.Status.Conditions, v1alpha1.ConditionRestored)
	if stored != nil {
		own.Conditions = []metav1.Condition{*stored}
	}
	if !conditions.Set(&own.Conditions, f.condition, f.now) {
		return nil
	}
	return apply.Status(ctx, r.client, f.tenant, own, bootstrapOwner)
}
