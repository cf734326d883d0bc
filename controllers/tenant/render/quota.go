// SPDX-License-Identifier: Apache-2.0

package render

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// The reserve is what the probes of the walls may use beside the instance; backups have their own, see backupReserve.
var reserve = corev1.ResourceList{
	corev1.ResourcePods:           resource.MustParse("4"),
	corev1.ResourceLimitsCPU:      resource.MustParse("2"),
	corev1.ResourceLimitsMemory:   resource.MustParse("1Gi"),
	corev1.ResourceRequestsCPU:    resource.MustParse("1"),
	corev1.ResourceRequestsMemory: resource.MustParse("1Gi"),
}

// quota bounds what the namespace may hold: the instance, while its running revision is replaced by the pending
// one, the reserve, and the class's headroom.
func quota(in Inputs, pending *Revision) (*corev1ac.ResourceQuotaApplyConfiguration, error) {
	hard := instanceDemand(in, pending)
	addList(hard, reserve)
	addList(hard, storageDemand(claims(in)))
	addList(hard, backupReserve(in))
	hard[corev1.ResourceServicesLoadBalancers] = resource.MustParse("1")
	hard[corev1.ResourceServicesNodePorts] = resource.MustParse("0")
	if in.Class.Spec.LoadBalancer.AllocateNodePorts {
		hard[corev1.ResourceServicesNodePorts] = resource.MustParse("1")
	}
	if err := addHeadroom(in, hard); err != nil {
		return nil, err
	}
	return corev1ac.ResourceQuota(meta.Quota, namespaceOf(in)).WithLabels(labels(in, "")).
		WithSpec(corev1ac.ResourceQuotaSpec().WithHard(hard)), nil
}

// storageDemand is what claims count for.
func storageDemand(claims []*corev1ac.PersistentVolumeClaimApplyConfiguration) corev1.ResourceList {
	storage := resource.Quantity{}
	for _, claim := range claims {
		storage.Add((*claim.Spec.Resources.Requests)[corev1.ResourceStorage])
	}
	return corev1.ResourceList{
		corev1.ResourceRequestsStorage:        storage,
		corev1.ResourcePersistentVolumeClaims: *resource.NewQuantity(int64(len(claims)), resource.DecimalSI),
	}
}

// addHeadroom adds the class's headroom, but no limit that would not be there without it.
func addHeadroom(in Inputs, hard corev1.ResourceList) error {
	for name, more := range in.Class.Spec.QuotaHeadroom {
		if _, known := hard[name]; !known {
			return invalid("spec.quotaHeadroom of class %s: %q is not limited by Freehold's quota, so nothing can be added to it; keys are %s",
				in.Class.Name, name, joinKeys(hard))
		}
		if more.Sign() < 0 {
			return invalid("spec.quotaHeadroom of class %s: %s must not be negative", in.Class.Name, name)
		}
	}
	addList(hard, in.Class.Spec.QuotaHeadroom)
	return nil
}

func joinKeys(list corev1.ResourceList) string {
	names := make([]string, 0, len(list))
	for name := range list {
		names = append(names, string(name))
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// instanceDemand is the most that the instance's pods may count for at one moment of an update. The StatefulSets
// replace their one pod in place. The gate starts a new pod before it stops an old one, and old ones that still
// drain their connections count until they are gone: all of them twice, and one more.
func instanceDemand(in Inputs, pending *Revision) corev1.ResourceList {
	now, next := podDemands(in.Running), podDemands(pending)
	counts := []int64{1, 1, 2*int64(edgeReplicas(in.Class)) + 1}
	total := corev1.ResourceList{}
	for i, count := range counts {
		for range count {
			addList(total, maxList(now[i], next[i]))
		}
	}
	return total
}

// podDemands are what one pod of database, application and gate counts for.
func podDemands(revision *Revision) [3]corev1.ResourceList {
	if revision == nil {
		return [3]corev1.ResourceList{}
	}
	return [3]corev1.ResourceList{
		podDemand(revision.Database.Spec.Template.Spec),
		podDemand(revision.App.Spec.Template.Spec),
		podDemand(revision.Edge.Spec.Template.Spec),
	}
}

// podDemand is the sum of the containers, or the largest init container where that is more: they run one after the
// other, and before the containers.
func podDemand(pod *corev1ac.PodSpecApplyConfiguration) corev1.ResourceList {
	sum := corev1.ResourceList{}
	for _, container := range pod.Containers {
		addList(sum, containerDemand(container))
	}
	for _, container := range pod.InitContainers {
		sum = maxList(sum, containerDemand(container))
	}
	sum[corev1.ResourcePods] = resource.MustParse("1")
	return sum
}

func containerDemand(container corev1ac.ContainerApplyConfiguration) corev1.ResourceList {
	demand := corev1.ResourceList{}
	if container.Resources == nil {
		return demand
	}
	if container.Resources.Limits != nil {
		demand[corev1.ResourceLimitsCPU] = (*container.Resources.Limits)[corev1.ResourceCPU]
		demand[corev1.ResourceLimitsMemory] = (*container.Resources.Limits)[corev1.ResourceMemory]
	}
	if container.Resources.Requests != nil {
		demand[corev1.ResourceRequestsCPU] = (*container.Resources.Requests)[corev1.ResourceCPU]
		demand[corev1.ResourceRequestsMemory] = (*container.Resources.Requests)[corev1.ResourceMemory]
	}
	return demand
}

func addList(to, more corev1.ResourceList) {
	for name, quantity := range more {
		sum := to[name].DeepCopy()
		sum.Add(quantity)
		to[name] = sum
	}
}

func maxList(a, b corev1.ResourceList) corev1.ResourceList {
	most := corev1.ResourceList{}
	for _, list := range []corev1.ResourceList{a, b} {
		for name, quantity := range list {
			if has, known := most[name]; !known || has.Cmp(quantity) < 0 {
				most[name] = quantity.DeepCopy()
			}
		}
	}
	return most
}

// limitRange gives containers without limits of their own some, since the quota would refuse them otherwise. All
// of it is written out: what the API server fills in inside the list would look like a change.
func limitRange(in Inputs) *corev1ac.LimitRangeApplyConfiguration {
	byDefault := limits{cpu: resource.MustParse("250m"), memory: resource.MustParse("128Mi")}
	item := corev1ac.LimitRangeItem().WithType(corev1.LimitTypeContainer).
		WithDefault(byDefault.limitList()).WithDefaultRequest(byDefault.requestList())
	return corev1ac.LimitRange(meta.Limits, namespaceOf(in)).WithLabels(labels(in, "")).
		WithSpec(corev1ac.LimitRangeSpec().WithLimits(item))
}
