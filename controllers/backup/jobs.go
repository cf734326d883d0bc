// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	batchv1ac "k8s.io/client-go/applyconfigurations/batch/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/backup/engine"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
	"github.com/freehold-dev/freehold/controllers/internal/pods"
)

// The deadlines of Jobs: a stuck one is ended, and blocks no repository for longer.
const (
	backupDeadline = 12 * time.Hour
	createDeadline = 30 * time.Minute
	verifyDeadline = 12 * time.Hour
	// RestoreDeadline is generous: a person waits for it, and can delete the Job.
	restoreDeadline = 48 * time.Hour
)

// How long an ended Job is kept for people to look at its log. A throw-away volume lives as long as its Job; the operator
// removes a verification itself once it has read what came of it.
const (
	backupKept = 72 * time.Hour
	verifyKept = 6 * time.Hour
)

// task is one Job that shall be made.
type task struct {
	// kind is one of the engine's Job… constants.
	kind string
	// destination that the Job works with, for its label; empty if it works with none.
	destination string
	// generation of the repository that it works with; 0 is the first.
	generation int32
	// args of the freehold binary.
	args []string
	// secret that is mounted at meta.BackupDir: meta.BackupJobSecret, meta.BackupSecret or meta.BootstrapSecret.
	secret string
	// files is what a second container does with the application's data; nil if there is none.
	files *files
	// mounts says that the destination is a volume, which the Job has mounted.
	mounts bool
	// claim that the data lies on, of kinds restore and revert. Verifications have a throw-away volume.
	claim string
	// annotations of the Job.
	annotations map[string]string
}

// workshop is what all Jobs of an instance have in common. They are made like its database pod: the same image, the same
// nodes, the same walls to wait for.
type workshop struct {
	tenant, namespace, instanceID string
	// database is the pod template of the instance's database, as it runs.
	database *corev1.PodTemplateSpec
	// storage is what the database's claim asks for: a throw-away volume is the same.
	storage *corev1.PersistentVolumeClaimSpec
	// application that runs, if it keeps data on a volume; nil if not.
	application *application
}

// archives reports whether the running revision of a database has an archiver.
func archives(database *corev1.PodTemplateSpec) bool {
	return database != nil && slices.ContainsFunc(database.Spec.Containers, func(c corev1.Container) bool { return c.Name == meta.ContainerArchiver })
}

// labels of a Job, a CronJob and their pods.
func (w workshop) labels(t task) map[string]string {
	labels := meta.Labels(w.tenant, w.instanceID, componentOf(t.kind))
	labels[v1alpha1.LabelBackupJob] = t.kind
	if t.destination != "" {
		labels[v1alpha1.LabelDestination] = t.destination
	}
	return labels
}

// componentOf is what a Job's pods count as behind the walls.
func componentOf(kind string) string {
	if manages(kind) {
		return meta.ComponentBackup
	}
	return meta.ComponentRestore
}

// manages reports whether a kind of Job changes a repository, with the credentials that may remove.
func manages(kind string) bool {
	return slices.Contains([]string{engine.JobBackup, engine.JobExpire, engine.JobCreate, engine.JobDestroy}, kind)
}

// job makes a Job that is started at once.
func (w workshop) job(name string, t task) (*batchv1.Job, error) {
	spec, err := w.jobSpec(t)
	if err != nil {
		return nil, err
	}
	kept := verifyKept
	if t.kind != engine.JobVerify {
		kept = backupKept
	}
	spec.WithTTLSecondsAfterFinished(int32(kept / time.Second))
	made := batchv1ac.Job(name, w.namespace).WithLabels(w.labels(t)).WithSpec(spec)
	if annotations := t.annotated(); len(annotations) > 0 {
		made.WithAnnotations(annotations)
	}
	return convert[batchv1.Job](made)
}

// jobSpec is what a Job does. It has one attempt: whether there is another one, and when, is decided from what came of it.
func (w workshop) jobSpec(t task) (*batchv1ac.JobSpecApplyConfiguration, error) {
	pod, err := w.pod(t)
	if err != nil {
		return nil, err
	}
	deadline := map[string]time.Duration{engine.JobBackup: backupDeadline, engine.JobExpire: backupDeadline, engine.JobCreate: createDeadline, engine.JobDestroy: backupDeadline, engine.JobVerify: verifyDeadline}[t.kind]
	if deadline == 0 {
		deadline = restoreDeadline
	}
	return batchv1ac.JobSpec().
		WithBackoffLimit(0).
		WithActiveDeadlineSeconds(int64(deadline / time.Second)).
		// A pod that is still ending still writes: it is not replaced, and the Job has not ended.
		WithPodReplacementPolicy(batchv1.Failed).
		WithTemplate(corev1ac.PodTemplateSpec().WithLabels(w.podLabels(t)).WithSpec(pod)), nil
}

func (w workshop) podLabels(t task) map[string]string {
	labels := w.labels(t)
	labels[v1alpha1.LabelPolicy] = componentOf(t.kind)
	return labels
}

func (w workshop) pod(t task) (*corev1ac.PodSpecApplyConfiguration, error) {
	if w.database == nil {
		return nil, fmt.Errorf("the database of Tenant %s does not exist yet: its image is not known", w.tenant)
	}
	if t.files != nil && t.files.into != "" {
		return w.filesPod(t.files)
	}
	container, err := w.container(t)
	if err != nil {
		return nil, err
	}
	for _, m := range w.mounts(t) {
		container.WithVolumeMounts(m.mount()) // Before the pod takes a copy of it.
	}
	spec, err := bare(w.database.Spec, corev1ac.PodSecurityContext().WithRunAsUser(meta.UIDPostgres).WithRunAsGroup(meta.UIDPostgres).WithFSGroup(meta.UIDPostgres))
	if err != nil {
		return nil, err
	}
	spec.WithContainers(container)
	for _, m := range w.mounts(t) {
		spec.WithVolumes(m.volume)
	}
	if t.mounts {
		besideRepository(spec, t.destination)
	}
	return spec, errors.Join(w.withFiles(spec, t.files), w.waitForWalls(spec))
}

// besideRepository puts a pod that has the volume of a destination mounted on the node of its server: only one node has such a
// volume at a time.
func besideRepository(pod *corev1ac.PodSpecApplyConfiguration, destination string) {
	server := map[string]string{v1alpha1.LabelServes: meta.ComponentRepository, v1alpha1.LabelDestination: destination}
	pod.WithAffinity(corev1ac.Affinity().WithPodAffinity(corev1ac.PodAffinity().
		WithRequiredDuringSchedulingIgnoredDuringExecution(corev1ac.PodAffinityTerm().WithTopologyKey(corev1.LabelHostname).
			WithLabelSelector(metav1ac.LabelSelector().WithMatchLabels(server)))))
}

// bare is a pod without containers, on the nodes where another one may run.
func bare(like corev1.PodSpec, who *corev1ac.PodSecurityContextApplyConfiguration) (*corev1ac.PodSpecApplyConfiguration, error) {
	spec := pods.Confine(corev1ac.PodSpec(), who).
		WithRestartPolicy(corev1.RestartPolicyNever).
		WithServiceAccountName(meta.DatabaseStatefulSet).
		WithTerminationGracePeriodSeconds(60)
	if len(like.NodeSelector) > 0 {
		spec.WithNodeSelector(like.NodeSelector)
	}
	for _, toleration := range like.Tolerations {
		same, err := convert[corev1ac.TolerationApplyConfiguration](toleration)
		if err != nil {
			return nil, err
		}
		spec.WithTolerations(same)
	}
	return spec, nil
}

// waitForWalls is the database's own first container: nothing runs before the walls of the new pod stand.
func (w workshop) waitForWalls(spec *corev1ac.PodSpecApplyConfiguration) error {
	for _, like := range w.database.Spec.InitContainers {
		if like.Name != meta.ContainerWalls {
			continue
		}
		same, err := convert[corev1ac.ContainerApplyConfiguration](like)
		if err != nil {
			return err
		}
		spec.WithInitContainers(same)
		return nil
	}
	return fmt.Errorf("the database of Tenant %s was made before its pods waited for their walls; approve the pending update", w.tenant)
}

// Limits of a pod that makes base backups: it moves bytes between the database's pgBackRest and the destination.
var backupLimits = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("500m"), corev1.ResourceMemory: resource.MustParse("512Mi")}

// like is PostgreSQL's own container of the database as it runs: Jobs run its image.
func (w workshop) like() (corev1.Container, error) {
	at := slices.IndexFunc(w.database.Spec.Containers, func(c corev1.Container) bool { return c.Name == meta.ContainerDB })
	if at < 0 {
		return corev1.Container{}, fmt.Errorf("the database of Tenant %s has no container %s", w.tenant, meta.ContainerDB)
	}
	return w.database.Spec.Containers[at], nil
}

func (w workshop) container(t task) (*corev1ac.ContainerApplyConfiguration, error) {
	like, err := w.like()
	if err != nil {
		return nil, err
	}
	limits, requests := backupLimits, corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("512Mi")}
	if !manages(t.kind) {
		limits, requests = like.Resources.Limits, like.Resources.Requests // A PostgreSQL server with the same data.
	}
	return hardened(meta.ContainerBackup, like, t.args).WithResources(corev1ac.ResourceRequirements().WithLimits(limits).WithRequests(requests)), nil
}

// hardened is a container that runs our binary out of the image of another, and may do nothing beside.
func hardened(name string, like corev1.Container, args []string) *corev1ac.ContainerApplyConfiguration {
	return corev1ac.Container().WithName(name).WithImage(like.Image).WithImagePullPolicy(like.ImagePullPolicy).
		WithCommand(meta.AgentBinary).WithArgs(args...).
		WithTerminationMessagePolicy(corev1.TerminationMessageFallbackToLogsOnError).
		WithSecurityContext(pods.Confined())
}

// convert turns an object into another type with the same JSON.
func convert[To any](from any) (*To, error) {
	raw, err := json.Marshal(from)
	if err != nil {
		return nil, fmt.Errorf("encoding %T: %w", from, err)
	}
	to := new(To)
	if err := json.Unmarshal(raw, to); err != nil {
		return nil, fmt.Errorf("turning %T into %T: %w", from, to, err)
	}
	return to, nil
}
