// SPDX-License-Identifier: Apache-2.0

package render

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	networkingv1ac "k8s.io/client-go/applyconfigurations/networking/v1"
	"k8s.io/utils/ptr"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// A destination that is a volume has a small server in front of it: pgBackRest's own, which the database pod archives to
// and restores read from. The database's pod does not mount the volume: a policy that is named or edited would restart it.

var (
	// repositoryLimits are those of the server in front of a volume. What is compressed and encrypted was so before it came.
	repositoryLimits  = limits{resource.MustParse("500m"), resource.MustParse("256Mi")}
	repositoryRequest = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("25m"), corev1.ResourceMemory: resource.MustParse("64Mi")}
)

// repositoryGraceSeconds is how long the server may take to end. What it was writing is written anew.
const repositoryGraceSeconds = 30

// volumeDestinations are the policy's volumes, in the order of their names.
func volumeDestinations(in Inputs) []v1alpha1.BackupDestination {
	if in.Backup == nil {
		return nil
	}
	volumes := slices.DeleteFunc(slices.Clone(in.Backup.Spec.Destinations), func(d v1alpha1.BackupDestination) bool { return d.Volume == nil })
	slices.SortFunc(volumes, func(a, b v1alpha1.BackupDestination) int { return cmp.Compare(a.Name, b.Name) })
	return volumes
}

// repositoryVolumes are the volumes that backups lie on: those of the policy, and those that were made for it before. They
// are kept: nobody else knows whether what lies on them is still wanted.
func repositoryVolumes(in Inputs) []volume {
	var wanted []volume
	known := map[string]bool{}
	for _, destination := range volumeDestinations(in) {
		name := meta.RepositoryName(string(destination.Name))
		known[name] = true
		wanted = append(wanted, volume{name: name, component: meta.ComponentRepository,
			storageClass: destination.Volume.StorageClassName, size: destination.Volume.Size})
	}
	for name, claim := range in.Claims {
		if claim.Labels[meta.LabelComponent] == meta.ComponentRepository && claim.DeletionTimestamp == nil && !known[name] {
			wanted = append(wanted, volume{name: name, component: meta.ComponentRepository})
		}
	}
	slices.SortFunc(wanted, func(a, b volume) int { return cmp.Compare(a.name, b.name) })
	return wanted
}

// repositoryServices are headless, as the database's is: each name leads to one pod.
func repositoryServices(in Inputs) []*corev1ac.ServiceApplyConfiguration {
	var made []*corev1ac.ServiceApplyConfiguration
	for _, destination := range volumeDestinations(in) {
		port := corev1ac.ServicePort().WithName("pgbackrest").WithPort(meta.PortRepository).WithTargetPort(intstr.FromInt32(meta.PortRepository))
		one := service(in, meta.RepositoryName(string(destination.Name)), meta.ComponentRepository, port)
		one.Spec.WithSelector(map[string]string{v1alpha1.LabelDestination: string(destination.Name)}).
			WithClusterIP(corev1.ClusterIPNone).WithPublishNotReadyAddresses(true)
		made = append(made, one)
	}
	return made
}

// repositoryPeers are the servers of the policy's volumes; nobody where it has none.
func repositoryPeers(in Inputs) []peer {
	if len(volumeDestinations(in)) == 0 {
		return nil
	}
	return podPeers(meta.ComponentRepository)
}

// repositoryPolicy lets in who archives and who restores, and nobody out.
func repositoryPolicy(in Inputs) []*networkingv1ac.NetworkPolicyApplyConfiguration {
	if len(volumeDestinations(in)) == 0 {
		return nil
	}
	clients := append(podPeers(meta.ComponentDatabase), podPeers(meta.ComponentRestore)...)
	return []*networkingv1ac.NetworkPolicyApplyConfiguration{
		policy(in, meta.PolicyRepository, meta.ComponentRepository, ingress(clients, meta.PortRepository), nil),
	}
}

// repositoryCertificates are what the servers of volumes show, and what is shown to them.
func repositoryCertificates(in Inputs) []Leaf {
	var names []string
	for _, destination := range volumeDestinations(in) {
		names = append(names, serviceNames(meta.RepositoryName(string(destination.Name)), in)...)
	}
	if len(names) == 0 {
		return nil
	}
	return []Leaf{
		{Secret: meta.RepositoryTLSSecret, CommonName: meta.ComponentRepository, DNSNames: names},
		{Secret: meta.ArchiveTLSSecret, CommonName: meta.ArchiveClient, Client: true},
	}
}

// repositoryDemand is what the servers of volumes count for.
func repositoryDemand(in Inputs) corev1.ResourceList {
	total := corev1.ResourceList{}
	for range volumeDestinations(in) {
		addList(total, podDemand(corev1ac.PodSpec().WithContainers(repositoryContainer("", ""))))
	}
	return total
}

// Repositories are the servers of the policy's volumes. They are no part of a revision: a policy may change at any time. But
// they run the image of the revision that runs, on the nodes that its database may have, and there are none of a revision
// that archives nothing. They go on while the instance is suspended: what has expired is removed then, too.
func Repositories(in Inputs, running *Revision) []*appsv1ac.StatefulSetApplyConfiguration {
	like := running.Database.Spec.Template.Spec
	at := slices.IndexFunc(like.Containers, func(c corev1ac.ContainerApplyConfiguration) bool {
		return ptr.Deref(c.Name, "") == meta.ContainerArchiver
	})
	if at < 0 {
		return nil
	}
	var made []*appsv1ac.StatefulSetApplyConfiguration
	for _, destination := range volumeDestinations(in) {
		made = append(made, repository(in, string(destination.Name), like, like.Containers[at]))
	}
	return made
}

func repository(in Inputs, destination string, like *corev1ac.PodSpecApplyConfiguration, archiver corev1ac.ContainerApplyConfiguration) *appsv1ac.StatefulSetApplyConfiguration {
	name, only := meta.RepositoryName(destination), map[string]string{v1alpha1.LabelDestination: destination}
	who := identity{meta.UIDPostgres, meta.UIDPostgres, meta.UIDPostgres}
	template := podTemplate(in, meta.ComponentRepository, meta.DatabaseStatefulSet, who, repositoryGraceSeconds, v1alpha1.Scheduling{})
	template.WithLabels(only)
	template.Spec.NodeSelector, template.Spec.Tolerations, template.Spec.InitContainers = like.NodeSelector, like.Tolerations, nil
	for _, first := range like.InitContainers {
		if ptr.Deref(first.Name, "") == meta.ContainerWalls {
			template.Spec.WithInitContainers(&first)
		}
	}
	all := []mounted{
		fromClaim(dataVolume, name, meta.RepositoryFolder(destination)),
		fromConfigMap("trust", meta.TrustConfigMap, meta.TrustDir),
		fromSecret("tls", meta.RepositoryTLSSecret, meta.TLSDir),
		scratch("tmp", tmpDir, scratchLimit),
	}
	template.Spec.WithVolumes(podVolumes(all...)...).
		WithContainers(repositoryContainer(*archiver.Image, *archiver.ImagePullPolicy).WithVolumeMounts(mounts(all...)...))
	set := statefulSet(in, name, name, meta.ComponentRepository, template)
	set.Spec.WithReplicas(1).Selector.WithMatchLabels(only)
	return set.WithLabels(only)
}

func repositoryContainer(image string, pull corev1.PullPolicy) *corev1ac.ContainerApplyConfiguration {
	made := agent(container(meta.ContainerRepository, image, pull, repositoryLimits), "backup", "repository").
		WithPorts(corev1ac.ContainerPort().WithName("pgbackrest").WithContainerPort(meta.PortRepository).WithProtocol(corev1.ProtocolTCP))
	made.Resources.WithRequests(repositoryRequest)
	return made
}
