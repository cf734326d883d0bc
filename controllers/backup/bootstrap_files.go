// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/backup/engine"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// annotationWithoutFiles says why a new instance was filled without application data: the other had none stored. On the
// Job of the database, and, once the instance is filled, on the Namespace.
const annotationWithoutFiles = "freehold.dev/without-application-data"

// brought is how far the application's data of a new instance is.
type brought struct {
	// done says that the database's turn has come.
	done bool
	// nothing is why there was nothing to bring; failure why what there is could not be brought.
	nothing, failure string
}

// bringFiles brings the application's data from a destination, before the database: its Job may be repeated without harm.
func (r *BootstrapReconciler) bringFiles(ctx context.Context, f *filling, w *workshop, destination v1alpha1.BackupDestination, repository engine.Repository) (brought, error) {
	policy, err := r.policy(ctx, f)
	if err != nil || policy == nil {
		return brought{}, err
	}
	if w.application == nil || policy.Spec.ApplicationData == v1alpha1.ApplicationDataSkip {
		return brought{done: true}, nil
	}
	name := "bootstrap-files-" + string(destination.Name)
	job := &batchv1.Job{}
	if err := get(ctx, r.api, types.NamespacedName{Namespace: f.namespace.Name, Name: name}, &job); err != nil {
		return brought{}, err
	}
	if job == nil {
		history, err := r.sourceLineage(ctx, f)
		if err != nil {
			return brought{}, err
		}
		// Only what is made now is given the keys: another destination's Job may be reading its own.
		if err := r.makeSecret(ctx, f, repository); err != nil {
			return brought{}, err
		}
		return brought{}, r.make(ctx, f, w, name, f.filesTask(w, destination, repository.Generation, history))
	}
	if endOf(job).IsZero() {
		f.say(metav1.ConditionFalse, v1alpha1.ReasonRunning, "Job %s restores the application's data from %s since %s", job.Name, destination.Name, moment(job.CreationTimestamp.Time))
		return brought{}, nil
	}
	pods, err := podsOf(ctx, r.api, job)
	if err != nil {
		return brought{}, err
	}
	return broughtBy(judgeFiles(job, pods)), nil
}

// broughtBy is what came of a Job that ended.
func broughtBy(result *engine.FilesResult) brought {
	switch {
	case result.Failure == nil:
		return brought{done: true}
	case result.Failure.Reason == engine.FailedTarget:
		return brought{done: true, nothing: result.Failure.Message}
	default:
		return brought{failure: result.Failure.Message}
	}
}

// nothingAnywhere reports whether all destinations were found to have nothing: a database is restored without it only then.
func nothingAnywhere(jobs map[string]*batchv1.Job) bool {
	for _, job := range jobs {
		if job.Annotations[annotationWithoutFiles] != "" {
			return true
		}
	}
	return false
}

// sourceLineage is the other instance's history: what its restores left behind is not its data. Its namespace tells; where
// that is gone nobody knows, and every snapshot counts.
func (r *BootstrapReconciler) sourceLineage(ctx context.Context, f *filling) (lineage, error) {
	namespace := &corev1.Namespace{}
	err := get(ctx, r.api, types.NamespacedName{Name: meta.Namespace(f.source)}, &namespace)
	if err != nil || namespace == nil || namespace.Labels[v1alpha1.LabelInstance] != f.wish.InstanceID {
		return nil, err
	}
	return parseLineage(namespace.Annotations)
}

// filesTask restores the application's data of the other instance.
func (f *filling) filesTask(w *workshop, destination v1alpha1.BackupDestination, generation int32, history lineage) task {
	options := engine.FilesRestoreOptions{Restore: f.tenant.Status.InstanceID, FilesSource: engine.FilesSource{
		Destination: string(destination.Name), Generation: generation, InstanceID: f.wish.InstanceID, Target: filesTarget(f.wish.Target)}}
	options.Without = history.without(options.Target)
	if f.wish.Target.Backup != "" {
		options.Target, options.Begun = begunWith(options.Target), !options.Target.IsZero()
	}
	return task{kind: engine.JobRestore, destination: string(destination.Name), annotations: map[string]string{annotationBootstrap: f.wish.InstanceID},
		files: &files{args: options.Args(), secret: meta.BootstrapSecret, into: w.application.claim.Name}}
}

// withoutFiles says in a message that there was no application data to bring.
func withoutFiles(annotations map[string]string) string {
	if why := annotations[annotationWithoutFiles]; why != "" {
		return fmt.Sprintf("; nothing of its application's data, which stays empty: %s", why)
	}
	return ""
}
