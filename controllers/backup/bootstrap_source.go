// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/backup/engine"
	"github.com/freehold-dev/freehold/controllers/internal/apply"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// troubledSource is how often what a person has to bring is looked for: Secrets are not watched.
const troubledSource = 15 * time.Second

// policy is the Tenant's; nil, with a word about it, if there is none: its destinations are where the backups are.
func (r *BootstrapReconciler) policy(ctx context.Context, f *filling) (*v1alpha1.BackupPolicy, error) {
	if f.tenant.Spec.BackupPolicyRef == nil {
		f.say(metav1.ConditionFalse, v1alpha1.ReasonPolicyNotFound, "bootstrap.restore needs spec.backupPolicyRef: the policy's destinations are where the backups are looked for")
		return nil, nil
	}
	policy := &v1alpha1.BackupPolicy{}
	err := r.client.Get(ctx, types.NamespacedName{Name: f.tenant.Spec.BackupPolicyRef.Name}, policy)
	if apierrors.IsNotFound(err) {
		f.again = troubledSource
		f.say(metav1.ConditionFalse, v1alpha1.ReasonPolicyNotFound, "there is no BackupPolicy %s, whose destinations hold the backups", f.tenant.Spec.BackupPolicyRef.Name)
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the policy: %w", err)
	}
	return policy, nil
}

// order is in which order the destinations are tried: the one that is asked for, or all, those first that were proven
// last as long as the other instance's Tenant still tells. A volume lies in the other's namespace, which no pod of this one
// can mount or reach.
func (r *BootstrapReconciler) order(ctx context.Context, f *filling, policy *v1alpha1.BackupPolicy) []v1alpha1.BackupDestination {
	all := slices.DeleteFunc(slices.Clone(policy.Spec.Destinations), func(d v1alpha1.BackupDestination) bool { return d.Volume != nil })
	if only := f.wish.Target.Destination; only != "" {
		return slices.DeleteFunc(all, func(d v1alpha1.BackupDestination) bool { return d.Name != only })
	}
	verified := map[v1alpha1.DestinationName]time.Time{}
	source := &v1alpha1.Tenant{}
	if r.client.Get(ctx, types.NamespacedName{Name: f.source}, source) == nil && source.Status.InstanceID == f.wish.InstanceID {
		for _, w := range windowsOf(source.Status.Backups) {
			verified[v1alpha1.DestinationName(w.destination)] = w.verified
		}
	}
	slices.SortStableFunc(all, func(a, b v1alpha1.BackupDestination) int { return verified[b.Name].Compare(verified[a.Name]) })
	return all
}

// jobs of the filling, by destination.
// ahead are the destinations of which a Job works or was good: they come first, also once a Job that failed before is gone.
func (r *BootstrapReconciler) jobs(ctx context.Context, f *filling) (found map[string]*batchv1.Job, ahead map[string]bool, err error) {
	var list batchv1.JobList
	err = r.api.List(ctx, &list, client.InNamespace(f.namespace.Name), client.MatchingLabels{v1alpha1.LabelBackupJob: engine.JobRestore})
	if err != nil {
		return nil, nil, fmt.Errorf("listing the Jobs in namespace %s: %w", f.namespace.Name, err)
	}
	found, ahead = map[string]*batchv1.Job{}, map[string]bool{}
	for i := range list.Items {
		job := &list.Items[i]
		if job.Annotations[annotationBootstrap] != f.wish.InstanceID {
			continue
		}
		destination := job.Labels[v1alpha1.LabelDestination]
		ahead[destination] = ahead[destination] || stateOf(job) != jobFailed
		if !hasFiles(job) {
			found[destination] = job
		}
	}
	return found, ahead, nil
}

// workshop builds the Jobs of the filling; nil, with a word about it, before volumes and workloads to be like are there.
func (r *BootstrapReconciler) workshop(ctx context.Context, f *filling) (*workshop, error) {
	database, app, claim := &appsv1.StatefulSet{}, &appsv1.StatefulSet{}, &corev1.PersistentVolumeClaim{}
	f.again = restorePoll
	for name, into := range map[string]client.Object{meta.DatabaseStatefulSet: database, meta.AppStatefulSet: app, meta.DatabaseClaim: claim} {
		err := r.client.Get(ctx, types.NamespacedName{Namespace: f.namespace.Name, Name: name}, into)
		if apierrors.IsNotFound(err) {
			f.say(metav1.ConditionFalse, v1alpha1.ReasonWaiting, "the volume of the new instance is being made")
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading %T %s: %w", into, name, err)
		}
	}
	application, err := observeApplication(ctx, r.client, f.namespace.Name, app)
	if err == nil && application == nil && claimOfFiles(app) != "" {
		f.say(metav1.ConditionFalse, v1alpha1.ReasonWaiting, "the volume of the new instance's application is being made")
		return nil, nil
	}
	return &workshop{tenant: f.tenant.Name, namespace: f.namespace.Name, instanceID: f.tenant.Status.InstanceID,
		database: &database.Spec.Template, application: application}, err
}

// begin makes the Job that restores from one destination, once there are volumes, workloads to be like, the keys, and what
// the application kept. A destination that has none of it is filled from only once all are agreed that they have none: else
// the application would start on an empty volume beside a destination that has its data.
func (r *BootstrapReconciler) begin(ctx context.Context, f *filling, destination v1alpha1.BackupDestination, agreed bool) (brought, error) {
	w, err := r.workshop(ctx, f)
	if err != nil || w == nil {
		return brought{}, err
	}
	repository, err := r.repository(ctx, f, destination)
	if err != nil || repository == nil {
		return brought{}, err // What is missing was said.
	}
	files, err := r.bringFiles(ctx, f, w, destination, *repository)
	if err == nil && files.nothing != "" && !agreed {
		files.done, files.failure = false, files.nothing
	}
	if err != nil || !files.done {
		return files, err
	}
	options := restoreOptions(f.wish.Target, nil, engine.RestoreOptions{
		Destination: string(destination.Name), Generation: repository.Generation, InstanceID: f.tenant.Status.InstanceID, Restore: f.tenant.Status.InstanceID})
	options.Timeline = "" // The other instance's lineage is not known: the newest timeline.
	annotations := map[string]string{annotationBootstrap: f.wish.InstanceID}
	if files.nothing != "" {
		annotations[annotationWithoutFiles] = files.nothing
	}
	if err := r.makeSecret(ctx, f, *repository); err != nil {
		return brought{}, err
	}
	return brought{}, r.make(ctx, f, w, "bootstrap-"+string(destination.Name), task{
		kind: engine.JobRestore, destination: string(destination.Name), generation: repository.Generation, claim: meta.DatabaseClaim, secret: meta.BootstrapSecret,
		annotations: annotations, args: options.Args(),
	})
}

// make makes a Job of the filling.
func (r *BootstrapReconciler) make(ctx context.Context, f *filling, w *workshop, name string, t task) error {
	job, err := w.job(name, t)
	if err != nil {
		return err
	}
	job.Spec.TTLSecondsAfterFinished = ptr.To(int32(bootstrapKept / time.Second))
	if err := r.client.Create(ctx, job, client.FieldOwner(meta.FieldOwner)); client.IgnoreAlreadyExists(err) != nil {
		return fmt.Errorf("making Job %s: %w", job.Name, err)
	}
	f.say(metav1.ConditionFalse, v1alpha1.ReasonRunning, "Job %s restores from %s", job.Name, t.destination)
	return nil
}

// repository is the other instance's in a destination; nil, with a word about it, if what it needs is not there.
func (r *BootstrapReconciler) repository(ctx context.Context, f *filling, destination v1alpha1.BackupDestination) (*engine.Repository, error) {
	name := meta.BackupKeysSecret(f.wish.InstanceID)
	keys := &corev1.Secret{}
	err := r.api.Get(ctx, types.NamespacedName{Namespace: r.options.OperatorNamespace, Name: name}, keys)
	if client.IgnoreNotFound(err) != nil {
		return nil, fmt.Errorf("reading Secret %s/%s: %w", r.options.OperatorNamespace, name, err)
	}
	generation, err := generationFor(keys.Data, string(destination.Name), f.wish.Target)
	if err != nil {
		return nil, err
	}
	if generation == 0 {
		f.again = troubledSource
		f.say(metav1.ConditionFalse, v1alpha1.ReasonKeysMissing,
			"Secret %s/%s with the keys of instance %s for destination %s is not in this cluster. It lies sealed beside the backups: fetch escrow.age from %s/%s/g1, or, if there are others, the one with the highest number, in any destination, and bring it with: age -d -i KEYFILE escrow.age | kubectl apply -f -",
			r.options.OperatorNamespace, name, f.wish.InstanceID, destination.Name, f.source, f.wish.InstanceID)
		return nil, nil
	}
	credentials := secretName(destination.Credentials.SecretName, f.source)
	data, err := secretData(ctx, r.api, r.options.OperatorNamespace, credentials)
	if err != nil {
		return nil, err
	}
	repository := engine.Repository{
		Destination: destination, Number: 1, Generation: generation, Tenant: f.source, InstanceID: f.wish.InstanceID,
		Passphrase:        string(keys.Data[passphraseKey(string(destination.Name), generation)]),
		CredentialsSecret: r.options.OperatorNamespace + "/" + credentials, Credentials: data,
	}
	if err := usable(repository); err != nil {
		f.again = troubledSource
		f.say(metav1.ConditionFalse, v1alpha1.ReasonCredentialsMissing, "%s: the other instance's credentials are needed to read its backups", err)
		return nil, nil
	}
	return &repository, nil
}

// generationFor is the generation of a destination's repository to restore a target from: the one that was backed up to
// last, or a retired one for what was before that; 0 if there is no key. One that was still being prepared holds nothing
// that counts.
func generationFor(keys map[string][]byte, destination string, target v1alpha1.RestoreTarget) (int32, error) {
	all, err := parseGenerations(keys)
	g, known := all[destination]
	if err != nil || !known {
		return newestGeneration(keys, destination), err
	}
	chosen := g.Current
	if moment := filesTarget(target); !moment.IsZero() && g.Opened != nil && string(target.Backup) != g.Opened.VerifiedBackup && moment.Before(timeIn(g.Opened.RecoverableFrom)) {
		for _, old := range slices.Backward(g.Retired) {
			if !moment.After(timeIn(old.Status.RecoverableUntil)) {
				chosen = old.Number
			}
		}
	}
	if len(keys[passphraseKey(destination, chosen)]) == 0 {
		return 0, nil
	}
	return chosen, nil
}

// newestGeneration is the highest generation of a destination's repository that there is a key of; 0 if there is none.
func newestGeneration(keys map[string][]byte, destination string) int32 {
	newest := int32(0)
	for key := range keys {
		name, number, found := strings.Cut(key, ".g")
		generation, err := strconv.ParseInt(number, 10, 32)
		if found && err == nil && name == destination {
			newest = max(newest, int32(generation))
		}
	}
	return newest
}

// makeSecret gives the Job what it reads the other instance's backups with.
func (r *BootstrapReconciler) makeSecret(ctx context.Context, f *filling, repository engine.Repository) error {
	data, err := engine.Files(engine.PodArchive, []engine.Repository{repository}, engine.Database{})
	if err != nil {
		return fmt.Errorf("configuring the restore of instance %s: %w", f.wish.InstanceID, err)
	}
	ofFiles, err := engine.ApplicationFiles([]engine.Repository{repository})
	if err != nil {
		return fmt.Errorf("configuring the restore of application data of instance %s: %w", f.wish.InstanceID, err)
	}
	maps.Copy(ofFiles, data)
	data = ofFiles
	live := &corev1.Secret{}
	if err := get(ctx, r.api, types.NamespacedName{Namespace: f.namespace.Name, Name: meta.BootstrapSecret}, &live); err != nil {
		return err
	}
	wanted := corev1ac.Secret(meta.BootstrapSecret, f.namespace.Name).
		WithLabels(meta.Labels(f.tenant.Name, f.tenant.Status.InstanceID, meta.ComponentBackup)).
		WithType(corev1.SecretTypeOpaque).WithData(maps.Clone(data))
	_, err = apply.Do(ctx, r.applier, secretKind, live, wanted)
	return err
}

func failureOf(result engine.Result) string {
	if result.Failure != nil {
		return result.Failure.Message
	}
	return "the Job ended without a result"
}
