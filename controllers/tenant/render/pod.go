// SPDX-License-Identifier: Apache-2.0

package render

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
	"github.com/freehold-dev/freehold/controllers/internal/pods"
)

const (
	tmpDir = "/tmp"
	// groupReadable lets a pod's fsGroup, and nobody else, read a Secret. PostgreSQL accepts such a key.
	groupReadable int32 = 0o440
	// worldReadable is for configuration, which holds no secrets.
	worldReadable int32 = 0o444
)

// Folders that may be lost with their pod are bounded, so that no tenant fills a node's disk.
var (
	scratchLimit = resource.MustParse("2Gi")
	runLimit     = resource.MustParse("16Mi")
)

// identity is who a pod's processes are.
type identity struct{ user, group, fsGroup int64 }

// podTemplate is what every pod has in common: Pod Security Standard "restricted", no token of a service account,
// no environment variables from other Services.
func podTemplate(in Inputs, component, account string, who identity, grace int64, scheduling v1alpha1.Scheduling) *corev1ac.PodTemplateSpecApplyConfiguration {
	runsAs := corev1ac.PodSecurityContext().WithRunAsUser(who.user).WithRunAsGroup(who.group).WithFSGroup(who.fsGroup)
	spec := pods.Confine(corev1ac.PodSpec(), runsAs).
		WithServiceAccountName(account).
		WithTerminationGracePeriodSeconds(grace)
	if len(scheduling.NodeSelector) > 0 {
		labels := map[string]string{}
		for name, value := range scheduling.NodeSelector {
			labels[name] = string(value)
		}
		spec.WithNodeSelector(labels)
	}
	for _, toleration := range scheduling.Tolerations {
		spec.WithTolerations(tolerationOf(toleration))
	}
	spec.WithInitContainers(waitForWalls(in, component))
	return corev1ac.PodTemplateSpec().WithLabels(podLabels(in, component)).WithSpec(spec)
}

// waitForWalls is the first thing that runs in every pod: network plugins program the walls of a new pod some time after
// it has started, and nothing else may run before.
func waitForWalls(in Inputs, component string) *corev1ac.ContainerApplyConfiguration {
	image, arguments := databaseImage(in), []string{"wait", "walls"}
	if component == meta.ComponentEdge {
		image = edgeImage(in)
	}
	if in.Facts.TolerateMissingWalls {
		arguments = append(arguments, "--tolerate-missing")
	}
	return agent(container(meta.ContainerWalls, image, pullPolicy(in), waitLimits), arguments...)
}

// podLabels are those of the instance, and the two that walls and Services select by.
func podLabels(in Inputs, component string) map[string]string {
	all := labels(in, component)
	all[v1alpha1.LabelPolicy] = component
	all[v1alpha1.LabelServes] = component
	return all
}

// selectorLabels select a workload's pods. They are immutable, so they hold nothing that an update might change.
func selectorLabels(in Inputs, component string) map[string]string {
	return map[string]string{
		v1alpha1.LabelInstance: in.InstanceID,
		meta.LabelComponent:    component,
	}
}

// tolerationOf leaves out what is empty: Go would drop it, and every pass would see a difference.
func tolerationOf(t corev1.Toleration) *corev1ac.TolerationApplyConfiguration {
	made := corev1ac.Toleration()
	if t.Key != "" {
		made.WithKey(t.Key)
	}
	if t.Operator != "" {
		made.WithOperator(t.Operator)
	}
	if t.Value != "" {
		made.WithValue(t.Value)
	}
	if t.Effect != "" {
		made.WithEffect(t.Effect)
	}
	if t.TolerationSeconds != nil {
		made.WithTolerationSeconds(*t.TolerationSeconds)
	}
	return made
}

// container is what every container has in common: limits, a read-only root, no capabilities.
func container(name, image string, pull corev1.PullPolicy, may limits) *corev1ac.ContainerApplyConfiguration {
	return corev1ac.Container().WithName(name).WithImage(image).WithImagePullPolicy(pull).
		WithTerminationMessagePolicy(corev1.TerminationMessageFallbackToLogsOnError).
		WithResources(corev1ac.ResourceRequirements().
			WithLimits(may.limitList()).WithRequests(may.requestList())).
		WithSecurityContext(pods.Confined())
}

// agent runs Freehold's binary in one of its own images.
func agent(c *corev1ac.ContainerApplyConfiguration, arguments ...string) *corev1ac.ContainerApplyConfiguration {
	return c.WithCommand(meta.AgentBinary).WithArgs(append([]string{"agent"}, arguments...)...)
}

// mounted is a volume and where it is seen.
type mounted struct {
	volume   *corev1ac.VolumeApplyConfiguration
	path     string
	subPath  string
	writable bool
}

func (m mounted) mount() *corev1ac.VolumeMountApplyConfiguration {
	made := corev1ac.VolumeMount().WithName(*m.volume.Name).WithMountPath(m.path)
	if !m.writable {
		made.WithReadOnly(true) // Never "false": Go drops it, and every pass would see a difference.
	}
	if m.subPath != "" {
		made.WithSubPath(m.subPath)
	}
	return made
}

func mounts(of ...mounted) []*corev1ac.VolumeMountApplyConfiguration {
	made := make([]*corev1ac.VolumeMountApplyConfiguration, 0, len(of))
	for _, m := range of {
		made = append(made, m.mount())
	}
	return made
}

// podVolumes are the volumes behind mounts, each once.
func podVolumes(of ...mounted) []*corev1ac.VolumeApplyConfiguration {
	seen := map[string]bool{}
	var made []*corev1ac.VolumeApplyConfiguration
	for _, m := range of {
		if !seen[*m.volume.Name] {
			seen[*m.volume.Name] = true
			made = append(made, m.volume)
		}
	}
	return made
}

func fromSecret(volume, secret, path string) mounted {
	return mounted{path: path, volume: corev1ac.Volume().WithName(volume).
		WithSecret(corev1ac.SecretVolumeSource().WithSecretName(secret).WithDefaultMode(groupReadable))}
}

func fromConfigMap(volume, name, path string) mounted {
	return mounted{path: path, volume: corev1ac.Volume().WithName(volume).
		WithConfigMap(corev1ac.ConfigMapVolumeSource().WithName(name).WithDefaultMode(worldReadable))}
}

func fromClaim(volume, claim, path string) mounted {
	return mounted{path: path, writable: true, volume: corev1ac.Volume().WithName(volume).
		WithPersistentVolumeClaim(corev1ac.PersistentVolumeClaimVolumeSource().WithClaimName(claim))}
}

func scratch(volume, path string, limit resource.Quantity) mounted {
	return mounted{path: path, writable: true, volume: corev1ac.Volume().WithName(volume).
		WithEmptyDir(corev1ac.EmptyDirVolumeSource().WithSizeLimit(limit.DeepCopy()))}
}

// memory is a folder in the pod's memory; what lies in it counts toward the containers' limits.
func memory(volume, path string, limit resource.Quantity) mounted {
	made := scratch(volume, path, limit)
	made.volume.EmptyDir.WithMedium(corev1.StorageMediumMemory)
	return made
}
