// SPDX-License-Identifier: Apache-2.0

package render

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// edgeGraceSeconds is how long connections that are open may take to end when a gate's pod stops.
const edgeGraceSeconds = 60

// edge is the gate. A new pod is ready before an old one goes, so that an update of the gate is not noticed.
func edge(in Inputs, config string) *appsv1ac.DeploymentApplyConfiguration {
	who := identity{meta.UIDHAProxy, meta.UIDHAProxy, meta.UIDHAProxy}
	template := podTemplate(in, meta.ComponentEdge, meta.EdgeDeployment, who, edgeGraceSeconds, in.Class.Spec.Edge.Scheduling)
	all := []mounted{
		fromConfigMap("config", config, meta.ConfigDir),
		fromConfigMap("lists", meta.EdgeListsConfigMap, meta.ListsDir),
		fromConfigMap("trust", meta.TrustConfigMap, meta.TrustDir),
		fromSecret("tls", meta.EdgeTLSSecret, meta.TLSDir),
		memory("run", meta.HAProxyRunDir, runLimit),
		scratch("tmp", tmpDir, runLimit),
	}
	template.Spec.WithVolumes(podVolumes(all...)...).
		WithTopologySpreadConstraints(spread(in)).
		WithContainers(edgeContainer(in, all))
	rolling := appsv1ac.RollingUpdateDeployment().
		WithMaxSurge(intstr.FromInt32(1)).WithMaxUnavailable(intstr.FromInt32(0))
	return appsv1ac.Deployment(meta.EdgeDeployment, namespaceOf(in)).WithLabels(labels(in, meta.ComponentEdge)).
		WithSpec(appsv1ac.DeploymentSpec().
			WithRevisionHistoryLimit(rolloutHistory).
			WithStrategy(appsv1ac.DeploymentStrategy().
				WithType(appsv1.RollingUpdateDeploymentStrategyType).WithRollingUpdate(rolling)).
			WithSelector(metav1ac.LabelSelector().WithMatchLabels(selectorLabels(in, meta.ComponentEdge))).
			WithTemplate(template))
}

func edgeContainer(in Inputs, all []mounted) *corev1ac.ContainerApplyConfiguration {
	probe := func() *corev1ac.ProbeApplyConfiguration {
		return httpProbe("health", "/healthz", corev1.URISchemeHTTP).WithTimeoutSeconds(5)
	}
	return agent(container(meta.ContainerEdge, edgeImage(in), pullPolicy(in), edgeLimits(in)), "edge", "run").
		WithVolumeMounts(mounts(all...)...).
		WithPorts(
			corev1ac.ContainerPort().WithName("https").WithContainerPort(meta.PortEdge).WithProtocol(corev1.ProtocolTCP),
			corev1ac.ContainerPort().WithName("probe").WithContainerPort(meta.PortEdgeProbe).WithProtocol(corev1.ProtocolTCP),
			corev1ac.ContainerPort().WithName("health").WithContainerPort(meta.PortEdgeHealth).WithProtocol(corev1.ProtocolTCP)).
		WithStartupProbe(probe().WithPeriodSeconds(1).WithFailureThreshold(120)).
		WithReadinessProbe(probe().WithPeriodSeconds(2).WithFailureThreshold(3)).
		WithLivenessProbe(probe().WithPeriodSeconds(10).WithFailureThreshold(6))
}

// spread puts the gate's pods on different nodes where there are enough.
func spread(in Inputs) *corev1ac.TopologySpreadConstraintApplyConfiguration {
	return corev1ac.TopologySpreadConstraint().WithMaxSkew(1).
		WithTopologyKey(corev1.LabelHostname).WithWhenUnsatisfiable(corev1.ScheduleAnyway).
		WithLabelSelector(metav1ac.LabelSelector().WithMatchLabels(map[string]string{
			v1alpha1.LabelInstance: in.InstanceID,
			v1alpha1.LabelServes:   meta.ComponentEdge,
		}))
}
