// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"errors"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/backup/engine"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// What the application keeps on a volume of its own is backed up beside its database: a second container of the same pod,
// which runs as the application does and sees nothing of the database. Each of the two halves leaves a result of its own,
// and is judged by itself.

// application is what runs of an instance's application, as far as its data is concerned.
type application struct {
	// pod is the template of its pods, claim the volume with its data.
	pod   *corev1.PodTemplateSpec
	claim *corev1.PersistentVolumeClaim
	// runs says that there is to be a pod of it, which holds the volume.
	runs bool
}

// applicationOf is the application of an instance that keeps data on a volume; nil if it keeps none, or does not exist yet.
func applicationOf(workload *appsv1.StatefulSet, claim *corev1.PersistentVolumeClaim) *application {
	if workload == nil || claim == nil {
		return nil
	}
	return &application{pod: &workload.Spec.Template, claim: claim, runs: ptr.Deref(workload.Spec.Replicas, 1) > 0}
}

// claimOfFiles is the claim with the application's data that a workload mounts; "" if it has none.
func claimOfFiles(workload *appsv1.StatefulSet) string {
	if workload == nil {
		return ""
	}
	for _, volume := range workload.Spec.Template.Spec.Volumes {
		if claim := volume.PersistentVolumeClaim; claim != nil && meta.IsAppClaim(claim.ClaimName) {
			return claim.ClaimName
		}
	}
	return ""
}

// appClaim is the claim with the application's data: the Namespace says so, and, should that be lost, what repeats it. What
// the workload mounts follows the two, and is some moments behind after a restore. "" if the application keeps no data.
func appClaim(namespace *corev1.Namespace, facts *corev1.ConfigMap, mounts string) string {
	if mounts == "" {
		return ""
	}
	if name := namespace.Annotations[meta.AnnotationAppClaim]; name != "" {
		return name
	}
	if facts != nil && facts.Data[meta.KeyAppClaim] != "" {
		return facts.Data[meta.KeyAppClaim]
	}
	return mounts
}

// backsUpFiles reports whether the application's data is to be backed up: there is some, and the policy includes it.
func (s *scope) backsUpFiles() bool {
	return s.observed.application != nil && s.observed.policy != nil && s.observed.policy.Spec.ApplicationData != v1alpha1.ApplicationDataSkip
}

// backsUpFilesTo reports whether the application's data is to be backed up to a destination.
func (s *scope) backsUpFilesTo(d *destination) bool {
	return s.backsUpFiles() && engine.KeepsFiles(d.spec)
}

// lostClaim is the claim with the application's data, if that is to be backed up and the claim is missing. The database is
// backed up all the same: a container without its volume would never start.
func (s *scope) lostClaim() string {
	if s.observed.application != nil || s.observed.policy == nil || s.observed.policy.Spec.ApplicationData == v1alpha1.ApplicationDataSkip {
		return ""
	}
	return s.observed.mounts
}

// filesLost is what is said of a good database whose application's volume is missing.
func (f facts) filesLost(database verdict) verdict {
	return no(v1alpha1.ReasonVolumeLost, "volume claim %s of the application is missing, and its data is not backed up: bring it back; %s", f.lostClaim, database.message)
}

// files is a second container of a Job's pod, which works on the application's data.
type files struct {
	args []string
	// secret that is mounted at meta.BackupDir.
	secret string
	// throwaway says that it gets a volume that goes with the pod; else it reads the application's own.
	throwaway bool
	// into names the volume that is restored into, by a pod that does nothing else.
	into string
}

// Limits of a container that backs up, verifies or restores the application's data. Restic holds its index in memory.
var (
	filesLimits   = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(meta.BackupPodCPU), corev1.ResourceMemory: resource.MustParse(meta.BackupPodMemory)}
	filesRequests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse(meta.BackupPodMemory)}
)

// withFiles adds a container that works on the application's data to a pod. It runs as the application does, so that it can
// read what that keeps from others, and writes what that can read; the pod's own user sees nothing of it.
func (w workshop) withFiles(pod *corev1ac.PodSpecApplyConfiguration, f *files) error {
	if f == nil {
		return nil
	}
	if w.application == nil {
		return fmt.Errorf("the application of Tenant %s keeps no data on a volume", w.tenant)
	}
	like, err := w.like()
	if err != nil {
		return err
	}
	return w.addFiles(pod, like, f)
}

func (w workshop) addFiles(pod *corev1ac.PodSpecApplyConfiguration, like corev1.Container, f *files) error {
	mounts := []mounted{secret("files-secret", f.secret, meta.BackupDir), folder("files-tmp", "/tmp", scratchLimit), w.filesVolume(f)}
	container := hardened(meta.ContainerFiles, like, f.args).
		WithResources(corev1ac.ResourceRequirements().WithLimits(filesLimits).WithRequests(filesRequests))
	who := w.application.pod.Spec.SecurityContext
	if who != nil && who.RunAsUser != nil {
		container.SecurityContext.WithRunAsUser(*who.RunAsUser)
	}
	if who != nil && who.RunAsGroup != nil {
		container.SecurityContext.WithRunAsGroup(*who.RunAsGroup)
	}
	if who != nil && who.FSGroup != nil {
		pod.SecurityContext.WithSupplementalGroups(*who.FSGroup)
	}
	for _, m := range mounts {
		container.WithVolumeMounts(m.mount())
		pod.WithVolumes(m.volume)
	}
	pod.WithContainers(container)
	if f.throwaway || f.into != "" {
		return nil
	}
	return w.beside(pod)
}

// filesPod is a pod that restores the application's data and does nothing else. It is like the application's, whose pods
// the volume is made for: with the database's group, the kubelet would change whom each file belongs to.
func (w workshop) filesPod(f *files) (*corev1ac.PodSpecApplyConfiguration, error) {
	if w.application == nil {
		return nil, fmt.Errorf("the application of Tenant %s keeps no data on a volume", w.tenant)
	}
	who := corev1ac.PodSecurityContext()
	if like := w.application.pod.Spec.SecurityContext; like != nil {
		who.RunAsUser, who.RunAsGroup, who.FSGroup = like.RunAsUser, like.RunAsGroup, like.FSGroup
	}
	spec, err := bare(w.application.pod.Spec, who)
	if err != nil {
		return nil, err
	}
	return spec, errors.Join(w.withFiles(spec, f), w.waitForWalls(spec))
}

// filesVolume is the application's own volume, only to read, or one like it that goes with the pod, or one to restore into.
func (w workshop) filesVolume(f *files) mounted {
	if f.into != "" {
		return mounted{path: meta.FilesDir, writable: true, volume: corev1ac.Volume().WithName("files").
			WithPersistentVolumeClaim(corev1ac.PersistentVolumeClaimVolumeSource().WithClaimName(f.into))}
	}
	if f.throwaway {
		return mounted{path: meta.FilesDir, writable: true, volume: throwaway("files", &w.application.claim.Spec)}
	}
	return mounted{path: meta.FilesDir, volume: corev1ac.Volume().WithName("files").
		// Read-only for the pod, not only for its container: else the kubelet gave it to the pod's group.
		WithPersistentVolumeClaim(corev1ac.PersistentVolumeClaimVolumeSource().WithClaimName(w.application.claim.Name).WithReadOnly(true))}
}

// beside puts a pod that reads the application's volume where it can be read: on the node of the application's pod, if the
// volume is one that only one node has at a time.
func (w workshop) beside(pod *corev1ac.PodSpecApplyConfiguration) error {
	shared := slices.ContainsFunc(w.application.claim.Spec.AccessModes, func(m corev1.PersistentVolumeAccessMode) bool {
		return m == corev1.ReadWriteMany || m == corev1.ReadOnlyMany
	})
	if shared || !w.application.runs {
		return nil
	}
	pod.NodeSelector = nil
	if like := w.application.pod.Spec; len(like.NodeSelector) > 0 {
		pod.WithNodeSelector(like.NodeSelector)
	}
	for _, toleration := range w.application.pod.Spec.Tolerations {
		if slices.Contains(w.database.Spec.Tolerations, toleration) {
			continue
		}
		same, err := convert[corev1ac.TolerationApplyConfiguration](toleration)
		if err != nil {
			return err
		}
		pod.WithTolerations(same)
	}
	pod.WithAffinity(corev1ac.Affinity().WithPodAffinity(corev1ac.PodAffinity().
		WithRequiredDuringSchedulingIgnoredDuringExecution(corev1ac.PodAffinityTerm().WithTopologyKey(corev1.LabelHostname).
			WithLabelSelector(metav1ac.LabelSelector().WithMatchLabels(map[string]string{v1alpha1.LabelServes: meta.ComponentApp})))))
	return nil
}

// filesTask is the half of a base backup that is the application's; nil if there is none.
func (s *scope) filesTask(d *destination) *files {
	if !s.backsUpFilesTo(d) {
		return nil
	}
	retention := s.observed.policy.Spec.Retention
	options := engine.FilesBackupOptions{Destination: d.name, Generation: d.status.Generation, InstanceID: s.instanceID, BackupDays: retention.BackupDays, PointInTimeDays: retention.PointInTimeDays}
	known := d.filesStatus()
	options.Verified, options.Held = known.VerifiedSnapshot, known.held() && !s.acknowledged().After(known.LastSnapshot.Time)
	return &files{args: options.Args(), secret: meta.BackupJobSecret}
}

// hasFiles reports whether a Job works on the application's data, too.
func hasFiles(job *batchv1.Job) bool {
	return slices.ContainsFunc(job.Spec.Template.Spec.Containers, func(c corev1.Container) bool { return c.Name == meta.ContainerFiles })
}

// judgeFiles is what the container of the application's data left; nil if the Job has none. One that left nothing failed.
func judgeFiles(job *batchv1.Job, pods []corev1.Pod) *engine.FilesResult {
	if !hasFiles(job) {
		return nil
	}
	result := engine.FilesResult{Job: job.Labels[v1alpha1.LabelBackupJob], Destination: job.Labels[v1alpha1.LabelDestination]}
	ended, found := left[engine.FilesResult](pods, meta.ContainerFiles)
	if found != nil && found.Job == result.Job && found.Destination == result.Destination {
		result = *found
		if result.Failure != nil || ended.ExitCode == 0 {
			return &result
		}
	}
	if len(pods) == 0 || endedContainer(&pods[0], meta.ContainerFiles) == nil {
		result.Expiry = &engine.Expiry{Unknown: true}
	}
	result.Failure = &engine.Failure{Reason: engine.FailedNoResult, Message: withoutResult(job, pods, meta.ContainerFiles)}
	return &result
}

// takeFiles puts what a result says of the application's data into the status. A snapshot in which files are missing is no
// fresh one.
func (d *destination) takeFiles(result *engine.FilesResult, ended time.Time) {
	if result == nil {
		return
	}
	if d.status.Files == nil {
		d.status.Files = &v1alpha1.FilesStatus{}
	}
	status := d.status.Files
	if made := result.Snapshot; made != nil && result.Failure == nil && !made.FinishedAt.Before(timeIn(status.LastSnapshot)) {
		status.LastSnapshot, status.Files, status.Size = timeOf(made.FinishedAt), ptr.To(made.Files), quantity(made.Bytes)
	}
	countSnapshots(status, result)
	if found := result.Recovery; result.Job == engine.JobVerify && result.Failure == nil && found != nil {
		status.LastVerified, status.VerifiedSnapshot, status.RecoverySeconds = timeOf(ended), found.Snapshot.ID, count(found.Seconds)
	}
}

// countSnapshots puts into the status how many snapshots there are, as far as a result tells, and which is the first.
func countSnapshots(status *v1alpha1.FilesStatus, result *engine.FilesResult) {
	if c := result.Catalogue; c != nil {
		status.Snapshots, status.FirstSnapshot = count(c.Snapshots), nil
		if c.Oldest != nil {
			status.FirstSnapshot = timeOf(c.Oldest.FinishedAt)
		}
	}
	switch e := result.Expiry; {
	case e != nil && e.Unknown:
		status.Snapshots = nil // The next catalogue tells.
	case e != nil && e.Planned > 0 && result.Catalogue != nil:
		status.Snapshots = count(max(0, result.Catalogue.Snapshots-e.Planned)) // So many at least: perhaps they are gone.
	}
}

// snapshotOf is a snapshot as it stands in the status of a Backup; nil if there is none that can be restored.
func snapshotOf(result *engine.FilesResult) *v1alpha1.FilesSnapshot {
	if result == nil || result.Snapshot == nil || result.Snapshot.Unfinished {
		return nil
	}
	made := result.Snapshot
	return &v1alpha1.FilesSnapshot{ID: made.ID, TakenAt: timeOf(made.FinishedAt), Files: ptr.To(made.Files), Size: quantity(made.Bytes), RepositorySize: quantity(made.RepositoryBytes)}
}

// together is the failure of a Job of two halves, which says which of them it is; nil if both are good.
func together(database *engine.Failure, files *engine.FilesResult) *engine.Failure {
	switch {
	case files == nil:
		return database
	case database != nil && files.Failure != nil:
		reason := database.Reason
		if slices.Contains(inconclusive, reason) {
			reason = files.Failure.Reason // It may say more.
		}
		return &engine.Failure{Reason: reason, Message: "the database: " + database.Message + "; the application's data: " + files.Failure.Reason + ": " + files.Failure.Message}
	case database != nil:
		return &engine.Failure{Reason: database.Reason, Message: "the database: " + database.Message + "; the application's data is good"}
	case files.Failure != nil:
		return &engine.Failure{Reason: files.Failure.Reason, Message: "the application's data: " + files.Failure.Message + "; the database is good"}
	}
	return nil
}

// earlier is the earlier of two moments; zero, never, is the earliest.
func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// lastOfBoth is when the older of a destination's newest base backup and, if it is to have them, newest snapshot was made.
func (d *destination) lastOfBoth(withFiles bool) time.Time {
	last := timeIn(d.status.LastBackup)
	if !withFiles {
		return last
	}
	return earlier(last, d.filesStatus().lastSnapshot())
}

// provenBoth is when the older of the proofs of a destination's database and, once it holds a snapshot, of its application
// data was.
func (d *destination) provenBoth(withFiles bool) time.Time {
	proven := timeIn(d.status.LastVerified)
	if f := d.filesStatus(); withFiles && f.any() {
		return earlier(proven, timeIn(f.LastVerified))
	}
	return proven
}

// filesSeen is what the status says of the application's data.
type filesSeen struct{ v1alpha1.FilesStatus }

func (d *destination) filesStatus() filesSeen { return filesIn(d.status) }

func filesIn(status v1alpha1.DestinationStatus) filesSeen {
	return filesSeen{ptr.Deref(status.Files, v1alpha1.FilesStatus{})}
}

// lastSnapshot is when the newest snapshot was made that is there.
func (f filesSeen) lastSnapshot() time.Time {
	if f.emptied() {
		return time.Time{}
	}
	return timeIn(f.LastSnapshot)
}

// held reports whether the destination is known to have held a snapshot, emptied that it holds none.
func (f filesSeen) held() bool    { return f.LastSnapshot != nil }
func (f filesSeen) emptied() bool { return f.Snapshots != nil && *f.Snapshots == 0 }

// any reports whether there is something to restore.
func (f filesSeen) any() bool { return ptr.Deref(f.Snapshots, 0) > 0 }
