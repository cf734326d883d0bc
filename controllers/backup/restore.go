// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"errors"
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/backup/engine"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// restorePoll is how soon a restore under way is looked at again although nothing watched changed.
const restorePoll = 2 * time.Second

// RestoreReconciler brings an earlier state of an instance's database back, in place:
//
//	choose   a destination that holds the target; the instance is asked to stop (annotations of the Namespace)
//	stop     application and database are gone, nobody works on a repository
//	run      a Job restores into a new volume, beside the old one
//	switch   the database goes over to the new volume and starts; the old one is kept
//
// A later decision to revert goes the same way, back to the old volume. Each step follows from what is seen, see
// restoreSight: whoever is killed anywhere, the next pass goes on. A Job that fails changes nothing: the instance starts
// again as it was.
type RestoreReconciler struct {
	client client.Client
	api    client.Reader
	clock  clock.PassiveClock
	events events.EventRecorder
	ask    Ask
}

// NewRestoreReconciler makes a RestoreReconciler. c reads from caches and writes to the API server; live reads from the
// API server; ask asks a Tenant's archiver.
func NewRestoreReconciler(c client.Client, live client.Reader, clk clock.PassiveClock, recorder events.EventRecorder, ask Ask) *RestoreReconciler {
	return &RestoreReconciler{client: c, api: live, clock: clk, events: recorder, ask: ask}
}

// SetupWithManager registers the watches.
func (r *RestoreReconciler) SetupWithManager(mgr manager.Manager) error {
	return builder.ControllerManagedBy(mgr).Named("restore").
		For(&v1alpha1.Restore{}).
		Watches(&batchv1.Job{}, handler.EnqueueRequestsFromMapFunc(restoreOf)).
		Complete(r)
}

// restoreOf is the Restore that a Job works for.
func restoreOf(_ context.Context, o client.Object) []reconcile.Request {
	if name := o.GetAnnotations()[annotationRestore]; name != "" {
		return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: o.GetNamespace(), Name: name}}}
	}
	return nil
}

// restoreScope is what one pass over one Restore knows.
type restoreScope struct {
	// restore is a copy of our own; its status is what will be written. stored is the status as it was read.
	restore *v1alpha1.Restore
	stored  *v1alpha1.RestoreStatus
	tenant  *v1alpha1.Tenant
	// namespace is the instance's, read from the API server: its annotations decide.
	namespace *corev1.Namespace
	// facts are what the instance remembers of itself; nil if that is gone.
	facts *corev1.ConfigMap
	// application that keeps data on a volume; nil if it keeps none.
	application *application
	// mounts is the claim that the application's workload mounts, which a switch reaches later; "" if it keeps no data.
	mounts string
	// operation is what there is to do now; kind is "" if nothing is.
	operation operation
	// job of the operation, and its result once it has ended.
	job    *batchv1.Job
	result *engine.Result
	// filesJob and filesResult are those of the application's data, if the operation has anything to do with it.
	filesJob    *batchv1.Job
	filesResult *engine.FilesResult
	now         time.Time
	// again is when to look again.
	again time.Duration
}

// operation is one change of volumes.
type operation struct {
	// kind is engine.JobRestore or engine.JobRevert.
	kind string
	// claim that the database goes over to; empty as long as it is not chosen.
	claim string
	// appClaim that the application goes over to; empty if its data stays, or as long as it is not chosen.
	appClaim string
}

// Reconcile is one look at one Restore.
func (r *RestoreReconciler) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	s, err := r.observe(ctx, request.NamespacedName)
	if err != nil || s == nil {
		return reconcile.Result{}, err
	}
	err = r.advance(ctx, s)
	if refused := (*refusal)(nil); errors.As(err, &refused) {
		r.refuse(s, refused)
		err = nil
	}
	if failure := errors.Join(err, r.writeStatus(ctx, s)); failure != nil {
		return reconcile.Result{}, failure
	}
	return reconcile.Result{RequeueAfter: s.again}, nil
}

// observe reads what a pass needs; nil if there is no such Restore, or nothing to restore into.
func (r *RestoreReconciler) observe(ctx context.Context, key types.NamespacedName) (*restoreScope, error) {
	s := &restoreScope{restore: &v1alpha1.Restore{}, now: r.clock.Now(), namespace: &corev1.Namespace{}, tenant: &v1alpha1.Tenant{}}
	if err := r.client.Get(ctx, key, s.restore); err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	s.stored = s.restore.Status.DeepCopy()
	if err := r.api.Get(ctx, types.NamespacedName{Name: key.Namespace}, s.namespace); err != nil {
		return nil, fmt.Errorf("reading namespace %s: %w", key.Namespace, err)
	}
	name, ok := meta.TenantOf(key.Namespace)
	if !ok || s.namespace.Labels[v1alpha1.LabelTenant] != name {
		return nil, nil // Not in a tenant's namespace: nobody's business.
	}
	if err := r.client.Get(ctx, types.NamespacedName{Name: name}, s.tenant); err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	s.facts = &corev1.ConfigMap{}
	if err := get(ctx, r.client, types.NamespacedName{Namespace: key.Namespace, Name: meta.InstanceConfigMap}, &s.facts); err != nil {
		return nil, err
	}
	if err := r.observeApplication(ctx, s); err != nil {
		return nil, err
	}
	s.operation = operationOf(s)
	return s, r.observeJob(ctx, s)
}

// operationOf is what there is to do for a Restore: to make it, to take it back, or nothing.
func operationOf(s *restoreScope) operation {
	complete := apimeta.FindStatusCondition(s.restore.Status.Conditions, v1alpha1.ConditionComplete)
	switch {
	case complete == nil || complete.Reason == v1alpha1.ReasonRunning || complete.Reason == v1alpha1.ReasonWaiting:
		return operation{kind: engine.JobRestore, claim: s.restore.Status.Claim, appClaim: s.restore.Status.AppClaim}
	case apimeta.IsStatusConditionTrue(s.restore.Status.Conditions, v1alpha1.ConditionComplete) && s.restore.Spec.Decision == v1alpha1.RestoreRevert && !carriedOut(s.restore):
		return operation{kind: engine.JobRevert, claim: s.restore.Status.PreviousClaim, appClaim: s.restore.Status.PreviousAppClaim}
	default:
		return operation{}
	}
}

// carriedOut reports whether a decision was carried out, or could not be.
func carriedOut(restore *v1alpha1.Restore) bool {
	accepted := apimeta.FindStatusCondition(restore.Status.Conditions, v1alpha1.ConditionAccepted)
	return accepted != nil && (accepted.Reason == v1alpha1.ReasonAccepted || accepted.Reason == v1alpha1.ReasonReverted || accepted.Reason == v1alpha1.ReasonFailed)
}

func (r *RestoreReconciler) observeJob(ctx context.Context, s *restoreScope) error {
	if s.operation.kind == "" {
		return nil
	}
	s.job, s.filesJob = &batchv1.Job{}, &batchv1.Job{}
	err := errors.Join(
		get(ctx, r.api, types.NamespacedName{Namespace: s.restore.Namespace, Name: restoreJobName(s)}, &s.job),
		get(ctx, r.api, types.NamespacedName{Namespace: s.restore.Namespace, Name: filesJobName(s)}, &s.filesJob))
	if err != nil {
		return fmt.Errorf("reading the Jobs of Restore %s: %w", s.restore.Name, err)
	}
	if !s.restoresFiles() {
		s.filesJob = nil
	}
	if s.job != nil && stateOf(s.job) != jobActive {
		result, err := resultOf(ctx, r.api, s.job)
		if err != nil {
			return err
		}
		s.result = &result
	}
	if s.filesJob == nil || stateOf(s.filesJob) == jobActive {
		return nil
	}
	pods, err := podsOf(ctx, r.api, s.filesJob)
	s.filesResult = judgeFiles(s.filesJob, pods)
	return err
}

// restoreJobName is the same for each pass: a second Job is never made.
func restoreJobName(s *restoreScope) string {
	return fmt.Sprintf("%s-%s", s.operation.kind, s.restore.UID[:8])
}

// advance takes the next step.
func (r *RestoreReconciler) advance(ctx context.Context, s *restoreScope) error {
	if !s.restore.DeletionTimestamp.IsZero() {
		return r.abort(ctx, s)
	}
	if s.operation.kind == "" {
		r.settle(s)
		return r.discard(ctx, s)
	}
	sight, err := r.look(ctx, s)
	if err != nil {
		return err
	}
	s.again = restorePoll
	switch sight.next() {
	case stepWaitForOther:
		s.tell(v1alpha1.ReasonWaiting, "the instance is stopped for Restore %s; this one follows", sight.holder)
		return nil
	case stepChoose:
		return r.choose(ctx, s)
	case stepAwaitStop:
		s.tell(v1alpha1.ReasonRunning, "application and database are being stopped, and backups under way are waited for")
		return nil
	case stepRun:
		return r.run(ctx, s)
	case stepSwitch:
		return r.switchOver(ctx, s)
	default:
		return r.giveUp(ctx, s)
	}
}

// look finds out what the next step depends on.
func (r *RestoreReconciler) look(ctx context.Context, s *restoreScope) (restoreSight, error) {
	sight := restoreSight{name: s.restore.Name, holder: s.namespace.Annotations[meta.AnnotationStoppedFor]}
	sight.job = s.state()
	if sight.holder != sight.name || sight.job != jobAbsent {
		return sight, nil
	}
	var err error
	sight.quiet, err = r.quiet(ctx, s.restore.Namespace)
	return sight, err
}

// quiet reports whether no pod of application and database is left, and no Job works on a repository.
func (r *RestoreReconciler) quiet(ctx context.Context, namespace string) (bool, error) {
	var pods corev1.PodList
	if err := r.api.List(ctx, &pods, client.InNamespace(namespace)); err != nil {
		return false, fmt.Errorf("listing the pods of namespace %s: %w", namespace, err)
	}
	for i := range pods.Items {
		if worksOnData(&pods.Items[i]) {
			return false, nil
		}
	}
	return true, nil
}

// worksOnData reports whether a pod runs that writes the instance's data or a repository.
func worksOnData(pod *corev1.Pod) bool {
	if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return false
	}
	serves := pod.Labels[v1alpha1.LabelServes]
	return serves == meta.ComponentDatabase || serves == meta.ComponentApp || pod.Labels[v1alpha1.LabelBackupJob] != ""
}

// abort ends a Restore that is deleted: one under way is given up, and the instance starts again as it was.
func (r *RestoreReconciler) abort(ctx context.Context, s *restoreScope) error {
	for _, job := range []*batchv1.Job{s.job, s.filesJob} {
		if job == nil {
			continue
		}
		if err := r.client.Delete(ctx, job, client.PropagationPolicy("Foreground")); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("removing a Job of Restore %s: %w", s.restore.Name, err)
		}
		s.again = restorePoll
	}
	if s.job != nil || s.filesJob != nil {
		return nil
	}
	if err := r.release(ctx, s, nil); err != nil {
		return err
	}
	return r.finalize(ctx, s, controllerutil.RemoveFinalizer)
}

// finalize changes the finalizer that keeps a Restore while the instance is stopped for it.
func (r *RestoreReconciler) finalize(ctx context.Context, s *restoreScope, change func(client.Object, string) bool) error {
	before := s.restore.DeepCopy()
	if !change(s.restore, v1alpha1.FinalizerRestoreUnderway) {
		return nil
	}
	status := s.restore.Status.DeepCopy()
	if err := r.client.Patch(ctx, s.restore, client.MergeFrom(before), client.FieldOwner(meta.FieldOwner)); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("marking Restore %s: %w", s.restore.Name, err)
	}
	s.restore.Status = *status // The answer has the stored one.
	return nil
}
