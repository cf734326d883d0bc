// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/backup/engine"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// A restore brings the application's data back in a Job of its own, into a new volume beside the old one: its pod is like
// the application's, so that what it writes belongs to whom it belonged. Both volumes are gone over to in one write.

// observeApplication reads the application, as far as a restore has to do with its data.
func (r *RestoreReconciler) observeApplication(ctx context.Context, s *restoreScope) error {
	workload := &appsv1.StatefulSet{}
	err := get(ctx, r.client, types.NamespacedName{Namespace: s.restore.Namespace, Name: meta.AppStatefulSet}, &workload)
	if err == nil {
		s.mounts = claimOfFiles(workload)
		s.application, err = observeApplication(ctx, r.client, s.restore.Namespace, workload)
	}
	return err
}

// wantsFiles reports whether a Restore is to bring the application's data back: there is some, and it is backed up.
func (r *RestoreReconciler) wantsFiles(ctx context.Context, s *restoreScope) (bool, error) {
	if s.mounts == "" || s.restore.Spec.ApplicationData == v1alpha1.ApplicationDataLeave {
		return false, nil
	}
	policy := &v1alpha1.BackupPolicy{}
	if err := get(ctx, r.client, types.NamespacedName{Name: s.tenant.Spec.BackupPolicyRef.Name}, &policy); err != nil {
		return false, err
	}
	if policy != nil && policy.Spec.ApplicationData == v1alpha1.ApplicationDataSkip {
		return false, nil
	}
	if s.application == nil { // To restore the database alone would look like all of it.
		return false, &refusal{fmt.Sprintf("volume claim %s of the application is missing: bring it back, or set applicationData: Leave", s.mounts)}
	}
	return true, nil
}

// filesTarget is the moment whose state of the application's data belongs to a target; zero for the latest.
func filesTarget(target v1alpha1.RestoreTarget) time.Time {
	switch {
	case target.Time != nil:
		return target.Time.Time
	case target.Backup != "":
		label := string(target.Backup)
		if _, after, later := strings.Cut(label, "_"); later {
			label = after
		}
		// What is no time asks for the latest, and the engine refuses what is no label.
		began, _ := time.Parse("20060102-150405", strings.TrimRight(label, "FDI"))
		return began
	}
	return time.Time{}
}

// filesLate is how much later than a base backup its snapshot may begin: containers of a pod start one after the other.
const filesLate = 5 * time.Minute

// begunWith is by when the snapshot had begun that was made with a base backup; zero if it is not known when that was.
func begunWith(backup time.Time) time.Time {
	if backup.IsZero() {
		return backup
	}
	return backup.Add(filesLate)
}

// filesSource is which snapshot a Restore brings back: the one that was made with the backup that it names, or the last one
// at or before its target.
func (r *RestoreReconciler) filesSource(ctx context.Context, s *restoreScope, history lineage) (engine.FilesSource, error) {
	source := engine.FilesSource{Destination: string(s.restore.Status.Destination), Generation: s.restore.Status.Generation, InstanceID: s.tenant.Status.InstanceID, Target: filesTarget(s.restore.Spec.Target)}
	source.Without = history.without(source.Target)
	label := string(s.restore.Spec.Target.Backup)
	if label == "" {
		return source, nil
	}
	source.Target, source.Begun = begunWith(source.Target), !source.Target.IsZero()
	backups, err := r.backups(ctx, s)
	if err != nil {
		return source, err
	}
	for i := range backups.Items {
		b := &backups.Items[i]
		if b.Status.Label == label && b.Spec.Destination == s.restore.Status.Destination && b.Status.Generation == s.restore.Status.Generation && b.Status.Snapshot != nil {
			source.Snapshot = b.Status.Snapshot.ID
		}
	}
	return source, nil
}

func (r *RestoreReconciler) backups(ctx context.Context, s *restoreScope) (v1alpha1.BackupList, error) {
	var all v1alpha1.BackupList
	if err := r.client.List(ctx, &all, client.InNamespace(s.restore.Namespace)); err != nil {
		return all, fmt.Errorf("listing the Backups in namespace %s: %w", s.restore.Namespace, err)
	}
	return all, nil
}

// generationsOfBackup are, by destination, the generations that the backup lies in which a Restore names, as far as there
// are objects that tell.
func (r *RestoreReconciler) generationsOfBackup(ctx context.Context, s *restoreScope) (map[string]int32, error) {
	label := string(s.restore.Spec.Target.Backup)
	if label == "" {
		return nil, nil
	}
	backups, err := r.backups(ctx, s)
	known := map[string]int32{}
	for _, b := range backups.Items {
		if b.Status.Label == label {
			known[string(b.Spec.Destination)] = max(b.Status.Generation, 1)
		}
	}
	return known, err
}

// secretOf is the Secret to restore with from the repository that was chosen: that of an older generation is another one.
func (s *restoreScope) secretOf(ofCurrent string) string {
	for _, w := range windowsOf(s.tenant.Status.Backups) {
		if w.retired && w.destination == string(s.restore.Status.Destination) && w.generation == max(s.restore.Status.Generation, 1) {
			return meta.BackupRetiredSecret
		}
	}
	return ofCurrent
}

// filesJob is the Job that brings the application's data back.
func (r *RestoreReconciler) filesJob(ctx context.Context, s *restoreScope) (*batchv1.Job, error) {
	history, err := parseLineage(s.namespace.Annotations)
	if err != nil {
		return nil, err
	}
	source, err := r.filesSource(ctx, s, history)
	if err != nil {
		return nil, err
	}
	w, err := r.workshop(ctx, s)
	if err != nil {
		return nil, err
	}
	options := engine.FilesRestoreOptions{FilesSource: source, Restore: string(s.restore.UID)}
	return w.job(filesJobName(s), task{kind: engine.JobRestore, destination: source.Destination, annotations: map[string]string{annotationRestore: s.restore.Name},
		files: &files{args: options.Args(), secret: s.secretOf(meta.BackupFilesSecret), into: s.operation.appClaim}})
}

func filesJobName(s *restoreScope) string { return fmt.Sprintf("restore-files-%s", s.restore.UID[:8]) }

// restoresFiles reports whether the operation has a Job for the application's data. To go back to a volume needs none.
func (s *restoreScope) restoresFiles() bool {
	return s.operation.kind == engine.JobRestore && s.operation.appClaim != ""
}

// state is how far the Jobs of the operation are: they have failed, or succeeded, once all of them have ended.
func (s *restoreScope) state() jobState {
	states := []jobState{jobAbsent}
	if s.job != nil {
		states[0] = stateOf(s.job)
	}
	if s.restoresFiles() {
		states = append(states, jobAbsent)
		if s.filesJob != nil {
			states[1] = stateOf(s.filesJob)
		}
	}
	first, same := states[0], true
	for _, state := range states {
		same = same && state == first
	}
	switch {
	case same:
		return first
	case slices.Contains(states, jobActive), !slices.Contains(states, jobFailed):
		return jobActive // One works, or is made next.
	}
	return jobFailed
}

// failure says what failed of the operation, in words.
func (s *restoreScope) failure() string {
	var database *engine.Failure
	if s.result != nil {
		database = s.result.Failure
	}
	if both := together(database, s.filesResult); both != nil {
		return both.Message
	}
	return "a Job ended without a result"
}

// goesOver are the annotations that have the instance go over to the operation's volumes. Where the application's data went
// back, the lineage knows to when.
func (s *restoreScope) goesOver(history lineage, timeline int) map[string]string {
	change := map[string]string{meta.AnnotationDatabaseClaim: s.operation.claim}
	next := history.switched(timeline, s.now)
	if s.operation.appClaim != "" {
		change[meta.AnnotationAppClaim] = s.operation.appClaim
		next[len(next)-1].FilesFrom = s.wentBackTo().UTC()
	}
	change[meta.AnnotationTimelines] = next.String()
	return change
}

// wentBackTo is the moment from which on the history that is left counts no more.
func (s *restoreScope) wentBackTo() time.Time {
	if s.operation.kind == engine.JobRestore && s.filesResult != nil && s.filesResult.Recovery != nil {
		if target := filesTarget(s.restore.Spec.Target); !target.IsZero() && s.restore.Spec.Target.Backup == "" {
			return target
		}
		return s.filesResult.Recovery.Snapshot.FinishedAt
	}
	return timeIn(s.restore.Status.StartedAt) // A volume that was put aside then.
}

// noteFiles puts what came back of the application's data into the status.
func (s *restoreScope) noteFiles() {
	if s.filesResult == nil || s.filesResult.Recovery == nil {
		return
	}
	snapshot := s.filesResult.Recovery.Snapshot
	s.restore.Status.Snapshot, s.restore.Status.SnapshotTime = snapshot.ID, timeOf(snapshot.FinishedAt)
}

// currentAppClaim is the claim with the application's data, as the database's is found; "" if there is none.
func (s *restoreScope) currentAppClaim() string { return appClaim(s.namespace, s.facts, s.mounts) }

// volumes names the volume of the database, and the application's that belongs to it.
func volumes(database, app string) string {
	if app == "" {
		return database
	}
	return database + " with " + app
}

// needsSnapshot are the windows of a Restore that brings the application's data back, too.
func needsSnapshot(windows []window) []window {
	marked := slices.Clone(windows)
	for i := range marked {
		marked[i].needsSnapshot = true
	}
	return marked
}

// holdsSnapshot reports whether the application's data can be restored, too, if that is wanted. The snapshot that was made
// with a base backup may have ended as late as its Job.
func (w window) holdsSnapshot(target v1alpha1.RestoreTarget) bool {
	latest := filesTarget(target)
	if target.Backup != "" && !latest.IsZero() {
		latest = latest.Add(backupDeadline)
	}
	return !w.needsSnapshot || !w.snapshot.IsZero() && (latest.IsZero() || !latest.Before(w.snapshot))
}

// snapshots says what the destination holds of the application's data, if that matters.
func (w window) snapshots() string {
	switch {
	case !w.needsSnapshot:
		return ""
	case w.snapshot.IsZero():
		return ", and no snapshot of the application's data"
	}
	return fmt.Sprintf(", and snapshots of the application's data since %s", w.snapshot.UTC().Format(metav1.RFC3339Micro))
}
