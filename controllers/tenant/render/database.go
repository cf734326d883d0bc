// SPDX-License-Identifier: Apache-2.0

package render

import (
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

const (
	// databaseGraceSeconds is how long PostgreSQL may take to write its shutdown checkpoint.
	databaseGraceSeconds = 300
	// recoverySeconds is how long crash recovery may take before the pod is started anew, which would only
	// begin it again.
	recoverySeconds = 3600
	startupPeriod   = 2
	// dataVolume is the volume with the data in the pods of database and application.
	dataVolume = "data"
	// rolloutHistory is how many of its own revisions Kubernetes keeps; Freehold keeps a tenant's.
	rolloutHistory = 2
)

// database is PostgreSQL: one pod on a volume that Freehold names itself. Pods are managed in parallel, because an
// ordered StatefulSet cannot replace a pod that never became ready.
func database(in Inputs, config string) *appsv1ac.StatefulSetApplyConfiguration {
	who := identity{meta.UIDPostgres, meta.UIDPostgres, meta.UIDPostgres}
	template := podTemplate(in, meta.ComponentDatabase, meta.DatabaseStatefulSet, who, databaseGraceSeconds, in.Class.Spec.Database.Scheduling)
	// Whoever looks at the logs means the server, not its archiver.
	template.WithAnnotations(map[string]string{"kubectl.kubernetes.io/default-container": meta.ContainerDB})
	all := databaseMounts(in, config)
	archive := archiveMounts()
	own := slices.Concat(all, archive)
	may := databaseLimits(in)
	image, pull := databaseImage(in), pullPolicy(in)
	template.Spec.WithVolumes(podVolumes(own...)...).
		WithInitContainers(agent(container(meta.ContainerPrepare, image, pull, may), "database", "prepare").
			WithVolumeMounts(mounts(all...)...)).
		WithContainers(databaseProbes(agent(container(meta.ContainerDB, image, pull, may), "database", "run").
			WithVolumeMounts(mounts(own...)...).
			WithPorts(
				corev1ac.ContainerPort().WithName("postgresql").WithContainerPort(meta.PortDatabase).WithProtocol(corev1.ProtocolTCP),
				corev1ac.ContainerPort().WithName("agent").WithContainerPort(meta.PortAgent).WithProtocol(corev1.ProtocolTCP)))).
		WithContainers(archiver(in, slices.Concat(archiverMounts(all), archive)))
	return statefulSet(in, meta.DatabaseStatefulSet, meta.DatabaseService, meta.ComponentDatabase, template)
}

// statefulSet has no volumeClaimTemplates: Freehold names and numbers volumes itself.
func statefulSet(in Inputs, name, service, component string, template *corev1ac.PodTemplateSpecApplyConfiguration) *appsv1ac.StatefulSetApplyConfiguration {
	return appsv1ac.StatefulSet(name, namespaceOf(in)).WithLabels(labels(in, component)).
		WithSpec(appsv1ac.StatefulSetSpec().
			WithServiceName(service).
			WithPodManagementPolicy(appsv1.ParallelPodManagement).
			WithRevisionHistoryLimit(rolloutHistory).
			WithUpdateStrategy(appsv1ac.StatefulSetUpdateStrategy().WithType(appsv1.RollingUpdateStatefulSetStrategyType)).
			WithSelector(metav1ac.LabelSelector().WithMatchLabels(selectorLabels(in, component))).
			WithTemplate(template))
}

func databaseMounts(in Inputs, config string) []mounted {
	limit := databaseLimits(in).memory
	shared := resource.NewQuantity(max(limit.Value()/4, 16<<20), resource.BinarySI)
	return []mounted{
		fromClaim(dataVolume, meta.DatabaseClaim, meta.DataDir),
		fromConfigMap("config", config, meta.ConfigDir),
		fromConfigMap("instance", meta.InstanceConfigMap, meta.InstanceDir),
		fromConfigMap("trust", meta.TrustConfigMap, meta.TrustDir),
		fromSecret("tls", meta.DatabaseTLSSecret, meta.TLSDir),
		fromSecret("credentials", meta.CredentialsSecret, meta.CredentialsDir),
		memory("shared-memory", "/dev/shm", *shared),
		memory("sockets", meta.SocketDir, runLimit),
		scratch("tmp", tmpDir, scratchLimit),
	}
}

// databaseProbes ask the agent, which knows starting and recovering from broken: only broken leads to a restart.
func databaseProbes(c *corev1ac.ContainerApplyConfiguration) *corev1ac.ContainerApplyConfiguration {
	return c.
		WithStartupProbe(httpProbe("agent", "/startup", corev1.URISchemeHTTP).
			WithPeriodSeconds(startupPeriod).WithFailureThreshold(recoverySeconds / startupPeriod).WithTimeoutSeconds(5)).
		WithLivenessProbe(httpProbe("agent", "/live", corev1.URISchemeHTTP).
			WithPeriodSeconds(10).WithFailureThreshold(6).WithTimeoutSeconds(5)).
		WithReadinessProbe(httpProbe("agent", "/ready", corev1.URISchemeHTTP).
			WithPeriodSeconds(2).WithFailureThreshold(3).WithTimeoutSeconds(5))
}

func httpProbe(port, path string, scheme corev1.URIScheme) *corev1ac.ProbeApplyConfiguration {
	return corev1ac.Probe().WithHTTPGet(corev1ac.HTTPGetAction().
		WithPath(path).WithPort(intstr.FromString(port)).WithScheme(scheme))
}
