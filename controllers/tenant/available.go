// SPDX-License-Identifier: Apache-2.0

package tenant

import (
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/utils/ptr"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// unavailable says why the instance does not serve; "" if it does. The first reason in the order of the request's way
// through the instance, from the back, is the one to look at.
func unavailable(s *scope) (reason, message string) {
	o := s.observed
	database, app, edge := o.statefulSets[meta.DatabaseStatefulSet], o.statefulSets[meta.AppStatefulSet], o.deployments[meta.EdgeDeployment]
	if database == nil && app == nil && edge == nil {
		return v1alpha1.ReasonNotProvisioned, "the instance does not exist yet"
	}
	if reason, message := stopped(s); reason != "" {
		return reason, message
	}
	switch {
	case database == nil || database.Status.ReadyReplicas == 0:
		return v1alpha1.ReasonDatabaseNotReady, fmt.Sprintf("no pod of StatefulSet %s/%s is ready", s.namespace, meta.DatabaseStatefulSet)
	case app == nil || app.Status.ReadyReplicas == 0:
		return v1alpha1.ReasonAppNotReady, fmt.Sprintf("no pod of StatefulSet %s/%s is ready", s.namespace, meta.AppStatefulSet)
	case edge == nil || edge.Status.ReadyReplicas == 0:
		return v1alpha1.ReasonEdgeNotReady, fmt.Sprintf("no pod of Deployment %s/%s is ready", s.namespace, meta.EdgeDeployment)
	case len(s.tenant.Status.Addresses) == 0:
		return v1alpha1.ReasonAddressPending, fmt.Sprintf("the load balancer has given Service %s/%s no address yet; if it needs node ports, set loadBalancer.allocateNodePorts in the class", s.namespace, meta.EdgeService)
	}
	return "", ""
}

// stopped says why the instance does not serve on purpose; "" if it shall.
func stopped(s *scope) (reason, message string) {
	if s.tenant.Spec.Suspended {
		return v1alpha1.ReasonSuspended, "spec.suspended has stopped the instance; data, keys and address are kept"
	}
	if message := halted(s); message != "" {
		return v1alpha1.ReasonRestoring, message
	}
	return "", ""
}

// rollout says what keeps the workloads from being as wanted; "" if they are.
func rollout(s *scope) string {
	waiting := append([]string{halted(s)}, s.pending...)
	o := s.observed
	if s.rolling {
		waiting = append(waiting, "workloads were changed and are being rolled out")
	} else {
		waiting = append(waiting,
			statefulSetRollout(o.statefulSets[meta.DatabaseStatefulSet], meta.DatabaseStatefulSet),
			statefulSetRollout(o.statefulSets[meta.AppStatefulSet], meta.AppStatefulSet),
			deploymentRollout(o.deployments[meta.EdgeDeployment]))
	}
	if len(s.tenant.Status.Addresses) == 0 {
		waiting = append(waiting, fmt.Sprintf("Service %s has no address yet", meta.EdgeService))
	}
	var out []string
	for _, text := range waiting {
		if text != "" {
			out = append(out, text)
		}
	}
	return strings.Join(out, "; ")
}

func statefulSetRollout(set *appsv1.StatefulSet, name string) string {
	if set == nil {
		return fmt.Sprintf("StatefulSet %s is being made", name)
	}
	want := ptr.Deref(set.Spec.Replicas, 1)
	status := set.Status
	switch {
	case status.ObservedGeneration < set.Generation:
		return fmt.Sprintf("StatefulSet %s was changed; Kubernetes has not taken it up yet", name)
	case status.Replicas > want:
		return fmt.Sprintf("StatefulSet %s: %d pods are to stop", name, status.Replicas-want)
	case status.UpdatedReplicas < want || status.UpdateRevision != status.CurrentRevision:
		return fmt.Sprintf("StatefulSet %s: %d of %d pods are of the wanted revision", name, status.UpdatedReplicas, want)
	case status.ReadyReplicas < want:
		return fmt.Sprintf("StatefulSet %s: %d of %d pods are ready", name, status.ReadyReplicas, want)
	}
	return ""
}

func deploymentRollout(deployment *appsv1.Deployment) string {
	name := meta.EdgeDeployment
	if deployment == nil {
		return fmt.Sprintf("Deployment %s is being made", name)
	}
	want := ptr.Deref(deployment.Spec.Replicas, 1)
	status := deployment.Status
	switch {
	case status.ObservedGeneration < deployment.Generation:
		return fmt.Sprintf("Deployment %s was changed; Kubernetes has not taken it up yet", name)
	case status.UpdatedReplicas < want:
		return fmt.Sprintf("Deployment %s: %d of %d pods are of the wanted revision", name, status.UpdatedReplicas, want)
	case status.Replicas > status.UpdatedReplicas:
		return fmt.Sprintf("Deployment %s: %d pods are to stop", name, status.Replicas-status.UpdatedReplicas)
	case status.AvailableReplicas < want:
		return fmt.Sprintf("Deployment %s: %d of %d pods are ready", name, status.AvailableReplicas, want)
	}
	return ""
}
