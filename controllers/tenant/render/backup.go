// SPDX-License-Identifier: Apache-2.0

package render

import (
	"cmp"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	networkingv1ac "k8s.io/client-go/applyconfigurations/networking/v1"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

var (
	// archiverLimits are those of the container beside the database. While a base backup is made it reads, compresses and
	// encrypts all data; at all other times it does next to nothing, hence the small request: what is reserved for each
	// tenant and hardly used fills nodes, on which proofs and probes then find no place.
	archiverLimits  = limits{resource.MustParse("1"), resource.MustParse("256Mi")}
	archiverRequest = resource.MustParse("25m")
	// backupLimits are those of a container that makes a base backup, or a snapshot of the application's data.
	backupLimits = limits{resource.MustParse(meta.BackupPodCPU), resource.MustParse(meta.BackupPodMemory)}
	// spoolLimit is far beyond what the notes on segments take, one small file each: a pod whose folder is full is stopped.
	spoolLimit = resource.MustParse("256Mi")
)

// archiving is the Tenant's wish alone. A policy that is named and does not exist, or not any more, must not look like
// none: then the write-ahead log waits until there is a place for it, and none of it is dropped.
func archiving(in Inputs) string {
	if in.Tenant.Spec.BackupPolicyRef != nil {
		return meta.ArchivingOn
	}
	return meta.ArchivingOff
}

// archiveMounts are what archiving needs beside what the database has anyway. The Secret comes when a policy is named,
// and the pod does not wait for it.
func archiveMounts() []mounted {
	secret := fromSecret("backup", meta.BackupSecret, meta.BackupDir)
	secret.volume.Secret.WithOptional(true)
	return []mounted{secret, scratch("spool", meta.SpoolDir, spoolLimit)}
}

// archiverMounts are what the archiver sees of the database's: the data only to read, and neither the server's
// configuration nor the application's password.
func archiverMounts(database []mounted) []mounted {
	var made []mounted
	for _, m := range database {
		switch *m.volume.Name {
		case dataVolume, "sockets":
			m.writable = false // To connect to a socket is not to write to its folder.
			made = append(made, m)
		case "instance", "trust", "tls", "tmp":
			made = append(made, m)
		}
	}
	return made
}

// archiver is pgBackRest's server, the heartbeat, and the report on the archive. It has no probes: an archive that is
// behind is a condition of its own, and must never make the database look unready.
func archiver(in Inputs, all []mounted) *corev1ac.ContainerApplyConfiguration {
	made := container(meta.ContainerArchiver, databaseImage(in), pullPolicy(in), archiverLimits)
	made.Resources.WithRequests(corev1.ResourceList{corev1.ResourceCPU: archiverRequest.DeepCopy(), corev1.ResourceMemory: archiverLimits.memory.DeepCopy()})
	return agent(made, "backup", "serve").
		WithVolumeMounts(mounts(all...)...).
		WithPorts(
			corev1ac.ContainerPort().WithName("pgbackrest").WithContainerPort(meta.PortPgBackRest).WithProtocol(corev1.ProtocolTCP),
			corev1ac.ContainerPort().WithName("archiver").WithContainerPort(meta.PortArchiver).WithProtocol(corev1.ProtocolTCP))
}

// backupPolicies open exactly the paths that backups need: database → destinations, operator → archiver, base backups →
// database and destinations, restores → destinations. A destination that is a volume is its server; base backups have it
// mounted. Without a policy there are none.
func backupPolicies(in Inputs) []*networkingv1ac.NetworkPolicyApplyConfiguration {
	if in.Backup == nil {
		return nil
	}
	outside, _ := destinationEgress(in)
	served := append(egress(repositoryPeers(in), meta.PortRepository), outside...)
	return append([]*networkingv1ac.NetworkPolicyApplyConfiguration{
		policy(in, meta.PolicyArchive, meta.ComponentDatabase,
			append(ingress(podPeers(meta.ComponentBackup), meta.PortPgBackRest), ingress(operatorPeers(in), meta.PortArchiver)...), served),
		policy(in, meta.PolicyBackup, meta.ComponentBackup, nil,
			append(egress(podPeers(meta.ComponentDatabase), meta.PortPgBackRest), outside...)),
		policy(in, meta.PolicyRestore, meta.ComponentRestore, nil, served),
	}, repositoryPolicy(in)...)
}

// operatorPeers are the operator's own pods; nobody where its namespace is not known.
func operatorPeers(in Inputs) []peer {
	if in.Facts.OperatorNamespace == "" {
		return nil
	}
	return []peer{networkingv1ac.NetworkPolicyPeer().
		WithNamespaceSelector(metav1ac.LabelSelector().
			WithMatchLabels(map[string]string{corev1.LabelMetadataName: in.Facts.OperatorNamespace})).
		WithPodSelector(metav1ac.LabelSelector().WithMatchLabels(meta.OperatorPodLabels()))}
}

// ClosedDestinations are the networks of the policy's destinations that no wall is ever opened to: the cluster's own,
// and those that lead nowhere. What is stored at a destination with nothing else cannot be reached.
func ClosedDestinations(in Inputs) []string {
	if in.Backup == nil {
		return nil
	}
	_, closed := destinationEgress(in)
	return closed
}

// destinationEgress is one rule for each destination, in the order of their names, and the networks that are left out.
// A destination of which nothing is left has no rule: one without peers would mean everywhere.
func destinationEgress(in Inputs) (rules []egressRule, closed []string) {
	forbidden := append(slices.Clone(unreachable), in.Facts.ClusterNetworks...)
	destinations := slices.SortedFunc(slices.Values(in.Backup.Spec.Destinations), func(a, b v1alpha1.BackupDestination) int {
		return cmp.Compare(a.Name, b.Name)
	})
	for _, destination := range destinations {
		networks, unread := destinationNetworks(destination)
		closed = append(closed, unread...)
		var to []peer
		for _, network := range networks {
			if except, ok := carve(network, forbidden); ok {
				to = append(to, blockPeer(network, except))
			} else {
				closed = append(closed, string(destination.Name)+" "+network.String())
			}
		}
		rules = append(rules, egress(to, destinationPort(destination))...)
	}
	return rules, closed
}

// destinationNetworks reads the networks of a destination, and names those that it cannot read.
func destinationNetworks(destination v1alpha1.BackupDestination) (networks []netip.Prefix, unread []string) {
	for _, text := range destination.Networks {
		parsed, err := parseRanges("networks", []v1alpha1.CIDR{text})
		if err != nil {
			unread = append(unread, string(destination.Name)+" "+string(text))
			continue
		}
		networks = append(networks, parsed...)
	}
	return widest(networks), unread
}

// destinationPort is where a destination listens: a port of its own, or that of HTTPS, or of SSH.
func destinationPort(destination v1alpha1.BackupDestination) int32 {
	const https, ssh = 443, 22
	switch {
	case destination.SFTP != nil:
		return or(destination.SFTP.Port, ssh)
	case destination.S3 != nil:
		return or(destination.S3.Port, https)
	default:
		return https
	}
}

// backupReserve is the most that backups use at one moment beside the instance: a base backup to each destination, and
// one restored server as large as the database, on a throw-away volume or, in its place, on one that it is restored into;
// and all of that for the application's data, where it is backed up.
func backupReserve(in Inputs) corev1.ResourceList {
	total := corev1.ResourceList{}
	if in.Backup == nil {
		return total
	}
	for range in.Backup.Spec.Destinations {
		addList(total, podOf(backupLimits))
	}
	addList(total, maxList(podOf(databaseLimits(in)), runningServer(in.Running)))
	current := claims(in)[:1]
	if keepsFiles(in) && in.Backup.Spec.ApplicationData != v1alpha1.ApplicationDataSkip {
		current = claims(in)[:2]
		for range len(in.Backup.Spec.Destinations) + 1 {
			addList(total, podOf(backupLimits)) // Restores of it are pods of their own.
		}
	}
	addList(total, storageDemand(current))
	addList(total, storageDemand(current))
	addList(total, repositoryDemand(in))
	return total
}

// podOf is what a pod of one container with the given limits counts for.
func podOf(may limits) corev1.ResourceList {
	demand := containerDemand(*corev1ac.Container().WithResources(corev1ac.ResourceRequirements().
		WithLimits(may.limitList()).WithRequests(may.requestList())))
	demand[corev1.ResourcePods] = resource.MustParse("1")
	return demand
}

// runningServer is what PostgreSQL's own container of the running revision counts for.
func runningServer(running *Revision) corev1.ResourceList {
	if running == nil {
		return nil
	}
	for _, container := range running.Database.Spec.Template.Spec.Containers {
		if container.Name != nil && *container.Name == meta.ContainerDB {
			return containerDemand(container)
		}
	}
	return nil
}
