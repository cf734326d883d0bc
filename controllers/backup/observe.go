// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// scope is one pass over one Tenant.
type scope struct {
	tenant     *v1alpha1.Tenant
	name       string
	namespace  string
	instanceID string
	now        time.Time
	// asideInterval is the installation's choice, for the messages.
	asideInterval time.Duration
	// memory is what the operator remembers of the Tenant between passes.
	memory *memory

	// observed is filled by observe.
	observed observed
	// destinations of the policy, by name; made by observe, completed by the steps.
	destinations []*destination
	// asides are the destinations that are, or were, set aside; filled by observe.
	asides map[string]aside
	// report is the archiver's, if one came not long ago; filled by ask.
	report *sighting
	// collected are Jobs that this pass read the results of; filled by collect, marked by settle.
	collected []*batchv1.Job
	// next is what shall stand in the status; filled by judge.
	next v1alpha1.TenantStatus

	// rotated says that this pass changed a destination's generations: what is made from them waits for the next.
	rotated bool
	// ended says that nothing more can be done in this pass.
	ended bool
	// again is when to come back although nothing watched changes.
	again time.Duration
	// problems did not stop the pass.
	problems []error
}

// observed is the world around one Tenant. Objects are the cache's own: nobody changes them.
type observed struct {
	// looked says that all below was read.
	looked bool
	// policy is nil if there is none of the name.
	policy    *v1alpha1.BackupPolicy
	namespace *corev1.Namespace
	// database is the StatefulSet, nil if there is none; claim is the volume that it runs on.
	database *appsv1.StatefulSet
	claim    *corev1.PersistentVolumeClaim
	// application is nil if it keeps no data on a volume, or does not exist.
	application *application
	// mounts is the claim with the application's data that its workload mounts, appClaim the one that it shall mount.
	mounts, appClaim string
	// databaseName is the database that holds the instance's data.
	databaseName string
	// authorities are what the database's certificates are checked against, in PEM.
	authorities []byte
	cronJobs    map[string]*batchv1.CronJob
	// jobs of backups, verifications and restores, and Backups, oldest first.
	jobs     []*batchv1.Job
	backups  []*v1alpha1.Backup
	restores []*v1alpha1.Restore
}

// destination is one of the policy's, and what a pass finds out about it.
type destination struct {
	spec v1alpha1.BackupDestination
	name string
	// status is what the Tenant's status says of it, and what it shall say.
	status v1alpha1.DestinationStatus
	// aside is how it was set aside; filled by gather, decided on by setAside.
	aside aside
	// uprooted is when the database went over to a timeline that no backup in it belongs to; filled by gather, zero if none.
	uprooted time.Time
	// outdated says that the status knows a later generation than what stands beside the keys.
	outdated bool
	// generations are its repositories; filled by gather, decided on by collect and rotate.
	generations generations
	// wrong is why it cannot be worked with: credentials or keys.
	wrong error
	// failures are attempts to back up that failed since the last good one; newest is the last attempt, nil if none is known.
	failures int
	newest   *v1alpha1.Backup
	// backupSeen and proofSeen are the last results that this pass read, of a backup or an expiry and of a verification; nil
	// if none.
	backupSeen, proofSeen *resultSeen
}

func (r *Reconciler) newScope(tenant *v1alpha1.Tenant) *scope {
	return &scope{
		tenant: tenant, name: tenant.Name, namespace: tenant.Status.Namespace, instanceID: tenant.Status.InstanceID,
		now: r.clock.Now(), asideInterval: r.options.AsideInterval, memory: r.known.of(tenant.Name, tenant.Status.InstanceID),
	}
}

func (s *scope) failed(err error) {
	if err != nil {
		s.problems = append(s.problems, err)
	}
}

// comeBack asks for another pass after a time.
func (s *scope) comeBack(after time.Duration) {
	after = max(after, time.Second)
	if s.again == 0 || after < s.again {
		s.again = after
	}
}

// observe fills scope.observed from the caches.
func (r *Reconciler) observe(ctx context.Context, s *scope) error {
	o := &s.observed
	o.namespace, o.database = &corev1.Namespace{}, &appsv1.StatefulSet{}
	app := &appsv1.StatefulSet{}
	trust, facts := &corev1.ConfigMap{}, &corev1.ConfigMap{}
	inside := func(name string) types.NamespacedName {
		return types.NamespacedName{Namespace: s.namespace, Name: name}
	}
	err := errors.Join(
		r.observePolicy(ctx, s),
		get(ctx, r.client, types.NamespacedName{Name: s.namespace}, &o.namespace),
		get(ctx, r.client, inside(meta.DatabaseStatefulSet), &o.database),
		get(ctx, r.client, inside(meta.AppStatefulSet), &app),
		get(ctx, r.client, inside(meta.TrustConfigMap), &trust),
		get(ctx, r.client, inside(meta.InstanceConfigMap), &facts),
		r.observeJobs(ctx, s),
		r.observeObjects(ctx, s),
	)
	if err != nil {
		return err
	}
	if o.namespace == nil || o.namespace.DeletionTimestamp != nil || o.namespace.Labels[v1alpha1.LabelInstance] != s.instanceID {
		s.ended = true // It is being made, or goes. Nothing of ours belongs there.
		return nil
	}
	if trust != nil {
		o.authorities = []byte(trust.Data[meta.KeyCACert])
	}
	if facts != nil {
		o.databaseName = facts.Data[meta.KeyInstanceDatabase]
	}
	o.claim = &corev1.PersistentVolumeClaim{}
	if err := get(ctx, r.client, inside(databaseClaim(o.namespace, facts)), &o.claim); err != nil {
		return err
	}
	o.mounts = claimOfFiles(app)
	o.appClaim = appClaim(o.namespace, facts, o.mounts)
	if o.application, err = observeApplication(ctx, r.client, s.namespace, app); err != nil {
		return err
	}
	if s.asides, err = parseAsides(o.namespace.Annotations); err != nil {
		return err
	}
	if err := r.readGenerations(ctx, s); err != nil {
		return err
	}
	o.looked = true
	s.gather()
	s.ended = o.policy == nil
	return nil
}

// observeApplication reads the volume of an application's data; nil if it has none.
func observeApplication(ctx context.Context, reader client.Reader, namespace string, workload *appsv1.StatefulSet) (*application, error) {
	name := claimOfFiles(workload)
	if name == "" {
		return nil, nil
	}
	claim := &corev1.PersistentVolumeClaim{}
	err := get(ctx, reader, types.NamespacedName{Namespace: namespace, Name: name}, &claim)
	return applicationOf(workload, claim), err
}

func (r *Reconciler) observePolicy(ctx context.Context, s *scope) error {
	s.observed.policy = &v1alpha1.BackupPolicy{}
	return get(ctx, r.client, types.NamespacedName{Name: s.tenant.Spec.BackupPolicyRef.Name}, &s.observed.policy)
}

// get reads an object; into becomes nil if there is none.
func get[O any, P interface {
	*O
	client.Object
}](ctx context.Context, reader client.Reader, key types.NamespacedName, into *P) error {
	err := reader.Get(ctx, key, *into)
	if apierrors.IsNotFound(err) {
		*into = nil
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading %T %s: %w", *into, strings.Trim(key.String(), "/"), err)
	}
	return nil
}

// databaseClaim is the claim that the database runs on: the Namespace says so, and, should that be lost, what repeats it.
func databaseClaim(namespace *corev1.Namespace, facts *corev1.ConfigMap) string {
	if name := namespace.Annotations[meta.AnnotationDatabaseClaim]; name != "" {
		return name
	}
	if facts != nil && facts.Data[meta.KeyDatabaseClaim] != "" {
		return facts.Data[meta.KeyDatabaseClaim]
	}
	return meta.DatabaseClaim
}

func (r *Reconciler) observeJobs(ctx context.Context, s *scope) error {
	var jobs batchv1.JobList
	var cronJobs batchv1.CronJobList
	err := errors.Join(
		r.client.List(ctx, &jobs, client.InNamespace(s.namespace), client.HasLabels{v1alpha1.LabelTenant, v1alpha1.LabelBackupJob}, client.UnsafeDisableDeepCopy),
		r.client.List(ctx, &cronJobs, client.InNamespace(s.namespace), client.HasLabels{v1alpha1.LabelTenant, v1alpha1.LabelBackupJob}, client.UnsafeDisableDeepCopy))
	if err != nil {
		return fmt.Errorf("listing the Jobs and CronJobs in namespace %s: %w", s.namespace, err)
	}
	for i := range jobs.Items {
		s.observed.jobs = append(s.observed.jobs, &jobs.Items[i])
	}
	slices.SortFunc(s.observed.jobs, func(a, b *batchv1.Job) int { return endOf(a).Compare(endOf(b)) })
	s.observed.cronJobs = map[string]*batchv1.CronJob{}
	for i := range cronJobs.Items {
		s.observed.cronJobs[cronJobs.Items[i].Name] = &cronJobs.Items[i]
	}
	return nil
}

func (r *Reconciler) observeObjects(ctx context.Context, s *scope) error {
	var backups v1alpha1.BackupList
	var restores v1alpha1.RestoreList
	err := errors.Join(
		r.client.List(ctx, &backups, client.InNamespace(s.namespace), client.UnsafeDisableDeepCopy),
		r.client.List(ctx, &restores, client.InNamespace(s.namespace), client.UnsafeDisableDeepCopy))
	if err != nil {
		return fmt.Errorf("listing the Backups and Restores in namespace %s: %w", s.namespace, err)
	}
	for i := range backups.Items {
		s.observed.backups = append(s.observed.backups, &backups.Items[i])
	}
	slices.SortFunc(s.observed.backups, func(a, b *v1alpha1.Backup) int { return decidedAt(a).Compare(decidedAt(b)) })
	for i := range restores.Items {
		s.observed.restores = append(s.observed.restores, &restores.Items[i])
	}
	return nil
}

// gather begins the destinations with what the status says of them, and with the attempts that are known.
func (s *scope) gather() {
	if s.observed.policy == nil {
		return
	}
	for _, spec := range s.observed.policy.Spec.Destinations {
		d := &destination{spec: spec, name: string(spec.Name), status: v1alpha1.DestinationStatus{Name: spec.Name}}
		if backups := s.tenant.Status.Backups; backups != nil {
			for i := range backups.Destinations {
				if backups.Destinations[i].Name == spec.Name {
					backups.Destinations[i].DeepCopyInto(&d.status)
				}
			}
		}
		d.aside = s.asides[d.name]
		s.takeGenerations(d)
		d.uprooted = uprooted(s.observed.restores, d.status)
		s.destinations = append(s.destinations, d)
	}
	slices.SortFunc(s.destinations, func(a, b *destination) int { return strings.Compare(a.name, b.name) })
	for _, b := range s.observed.backups {
		if d := s.destination(string(b.Spec.Destination)); d != nil && max(b.Status.Generation, 1) == d.status.Generation {
			d.attempted(b)
		}
	}
}

// usable reports whether keys and credentials of the destination are there.
func (d *destination) usable() bool { return d.wrong == nil }

func (s *scope) destination(name string) *destination {
	at := slices.IndexFunc(s.destinations, func(d *destination) bool { return d.name == name })
	if at < 0 {
		return nil
	}
	return s.destinations[at]
}

// attempted counts a Backup that has ended; they come in the order of their ends.
func (d *destination) attempted(b *v1alpha1.Backup) {
	complete := apimeta.FindStatusCondition(b.Status.Conditions, v1alpha1.ConditionComplete)
	if complete == nil || d.newest != nil && d.newest.Name == b.Name {
		return
	}
	switch complete.Reason {
	case v1alpha1.ReasonSucceeded:
		d.failures, d.newest = 0, b
	case v1alpha1.ReasonFailed:
		d.failures, d.newest = d.failures+1, b
	}
}

// decidedAt is when a Backup's end was noted; when it was made, for one that has not ended.
func decidedAt(b *v1alpha1.Backup) time.Time {
	if complete := apimeta.FindStatusCondition(b.Status.Conditions, v1alpha1.ConditionComplete); complete != nil {
		return complete.LastTransitionTime.Time
	}
	return b.CreationTimestamp.Time
}

// held is why no backup may be made now; empty if one may. A restore has the database, or it does not run.
func (s *scope) held() string {
	database := s.observed.database
	switch restore := s.stoppedFor(); {
	case restore != "":
		return "Restore " + restore + " has the database"
	case s.tenant.Spec.Suspended:
		return "the instance is suspended"
	case database == nil || !archives(&database.Spec.Template):
		return "the running revision archives nothing yet"
	case s.observed.mounts != s.observed.appClaim:
		return "the application goes over to another volume" // What it mounts now is left behind: no backup of that.
	}
	return ""
}

// stoppedFor is the Restore that the instance is stopped for; empty if none.
func (s *scope) stoppedFor() string {
	return s.observed.namespace.Annotations[meta.AnnotationStoppedFor]
}

// workshop builds the Tenant's Jobs.
func (s *scope) workshop() workshop {
	w := workshop{tenant: s.name, namespace: s.namespace, instanceID: s.instanceID, application: s.observed.application}
	if s.observed.database != nil {
		w.database = &s.observed.database.Spec.Template
	}
	if s.observed.claim != nil {
		w.storage = &s.observed.claim.Spec
	}
	return w
}
