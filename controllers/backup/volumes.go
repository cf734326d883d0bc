// SPDX-License-Identifier: Apache-2.0

package backup

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

const (
	// groupReadable lets a pod's fsGroup, and nobody else, read a Secret.
	groupReadable int32 = 0o440
	// worldReadable is for what is no secret.
	worldReadable int32 = 0o444
)

// Folders that are lost with their pod.
var (
	scratchLimit = resource.MustParse("2Gi")
	socketLimit  = resource.MustParse("16Mi")
	sharedLimit  = resource.MustParse("256Mi")
)

// mounted is a volume and where a Job's container sees it.
type mounted struct {
	volume   *corev1ac.VolumeApplyConfiguration
	path     string
	writable bool
}

func (m mounted) mount() *corev1ac.VolumeMountApplyConfiguration {
	made := corev1ac.VolumeMount().WithName(*m.volume.Name).WithMountPath(m.path)
	if !m.writable {
		made.WithReadOnly(true) // Never "false": Go drops it, and every pass would see a difference.
	}
	return made
}

// mounts of a Job's container.
func (w workshop) mounts(t task) []mounted {
	all := []mounted{
		secret("backup", t.secret, meta.BackupDir),
		{path: meta.TrustDir, volume: corev1ac.Volume().WithName("trust").WithConfigMap(corev1ac.ConfigMapVolumeSource().
			WithName(meta.TrustConfigMap).WithDefaultMode(worldReadable))},
		folder("tmp", "/tmp", scratchLimit),
		folder("spool", meta.SpoolDir, scratchLimit),
	}
	if t.mounts {
		all = append(all, mounted{path: meta.RepositoryFolder(t.destination), writable: true, volume: corev1ac.Volume().WithName("repository").
			WithPersistentVolumeClaim(corev1ac.PersistentVolumeClaimVolumeSource().WithClaimName(meta.RepositoryName(t.destination)))})
	}
	if manages(t.kind) {
		return append(all, secret("backup-tls", meta.BackupTLSSecret, meta.BackupTLSDir))
	}
	return append(all, w.data(t), inMemory("sockets", meta.SocketDir, socketLimit), inMemory("shared-memory", "/dev/shm", sharedLimit))
}

// data is the volume that is restored to. A throw-away one carries none of the instance's labels: what holds data for good
// is protected and kept by them.
func (w workshop) data(t task) mounted {
	if t.claim != "" {
		volume := corev1ac.Volume().WithName("data").WithPersistentVolumeClaim(corev1ac.PersistentVolumeClaimVolumeSource().WithClaimName(t.claim))
		return mounted{path: meta.DataDir, writable: true, volume: volume}
	}
	return mounted{path: meta.DataDir, writable: true, volume: throwaway("data", w.storage)}
}

// throwaway is a volume like another one, that goes with its pod.
func throwaway(volume string, like *corev1.PersistentVolumeClaimSpec) *corev1ac.VolumeApplyConfiguration {
	spec := corev1ac.PersistentVolumeClaimSpec().WithAccessModes(corev1.ReadWriteOnce)
	if like != nil {
		spec.WithResources(corev1ac.VolumeResourceRequirements().WithRequests(corev1.ResourceList{
			corev1.ResourceStorage: like.Resources.Requests[corev1.ResourceStorage]}))
		if like.StorageClassName != nil {
			spec.WithStorageClassName(*like.StorageClassName)
		}
	}
	return corev1ac.Volume().WithName(volume).WithEphemeral(corev1ac.EphemeralVolumeSource().WithVolumeClaimTemplate(
		corev1ac.PersistentVolumeClaimTemplate().WithSpec(spec)))
}

func secret(volume, name, path string) mounted {
	return mounted{path: path, volume: corev1ac.Volume().WithName(volume).
		WithSecret(corev1ac.SecretVolumeSource().WithSecretName(name).WithDefaultMode(groupReadable))}
}

func folder(volume, path string, limit resource.Quantity) mounted {
	return mounted{path: path, writable: true, volume: corev1ac.Volume().WithName(volume).
		WithEmptyDir(corev1ac.EmptyDirVolumeSource().WithSizeLimit(limit.DeepCopy()))}
}

// inMemory is a folder in the pod's memory; what lies in it counts toward the container's limit.
func inMemory(volume, path string, limit resource.Quantity) mounted {
	made := folder(volume, path, limit)
	made.volume.EmptyDir.WithMedium(corev1.StorageMediumMemory)
	return made
}
