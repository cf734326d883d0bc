// SPDX-License-Identifier: Apache-2.0

package apply

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	networkingv1ac "k8s.io/client-go/applyconfigurations/networking/v1"
	policyv1ac "k8s.io/client-go/applyconfigurations/policy/v1"
	rbacv1ac "k8s.io/client-go/applyconfigurations/rbac/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// Configuration is what generated apply configurations have in common.
type Configuration interface {
	runtime.ApplyConfiguration
	GetName() *string
	GetNamespace() *string
}

// Kind says how objects of one kind are read back and compared.
type Kind[O client.Object, A Configuration] struct {
	// New makes an empty object.
	New func() O
	// Extract gives what a field manager owns of an object, with its live values.
	Extract func(O, string) (A, error)
	// Exempt are fields that others may own; foreign metadata and status are always exempt.
	Exempt []fieldpath.Path
	// Stray finds values that nobody owns and that must not be there. Default: none.
	Stray func(O) []fieldpath.Path
}

// restartedAt is set by `kubectl rollout restart`; undoing it would cause a second restart.
var restartedAt = fieldpath.MakePathOrDie("spec", "template", "metadata", "annotations", "kubectl.kubernetes.io/restartedAt")

// setAtCreation are fields of a claim that nobody can change later. A person who brings lost data back, from a snapshot
// or by a volume's name, chooses them; to take them away again is refused for ever.
var setAtCreation = []fieldpath.Path{
	fieldpath.MakePathOrDie("spec", "volumeName"),
	fieldpath.MakePathOrDie("spec", "dataSource"),
	fieldpath.MakePathOrDie("spec", "dataSourceRef"),
	fieldpath.MakePathOrDie("spec", "selector"),
	fieldpath.MakePathOrDie("spec", "storageClassName"),
	fieldpath.MakePathOrDie("spec", "volumeMode"),
}

// The kinds that Freehold applies.
var (
	Namespace = Kind[*corev1.Namespace, *corev1ac.NamespaceApplyConfiguration]{
		New:     func() *corev1.Namespace { return &corev1.Namespace{} },
		Extract: corev1ac.ExtractNamespace,
		Exempt:  []fieldpath.Path{fieldpath.MakePathOrDie("spec", "finalizers")},
	}
	RoleBinding = Kind[*rbacv1.RoleBinding, *rbacv1ac.RoleBindingApplyConfiguration]{
		New:     func() *rbacv1.RoleBinding { return &rbacv1.RoleBinding{} },
		Extract: rbacv1ac.ExtractRoleBinding,
	}
	ResourceQuota = Kind[*corev1.ResourceQuota, *corev1ac.ResourceQuotaApplyConfiguration]{
		New:     func() *corev1.ResourceQuota { return &corev1.ResourceQuota{} },
		Extract: corev1ac.ExtractResourceQuota,
	}
	LimitRange = Kind[*corev1.LimitRange, *corev1ac.LimitRangeApplyConfiguration]{
		New:     func() *corev1.LimitRange { return &corev1.LimitRange{} },
		Extract: corev1ac.ExtractLimitRange,
	}
	NetworkPolicy = Kind[*networkingv1.NetworkPolicy, *networkingv1ac.NetworkPolicyApplyConfiguration]{
		New:     func() *networkingv1.NetworkPolicy { return &networkingv1.NetworkPolicy{} },
		Extract: networkingv1ac.ExtractNetworkPolicy,
	}
	ServiceAccount = Kind[*corev1.ServiceAccount, *corev1ac.ServiceAccountApplyConfiguration]{
		New:     func() *corev1.ServiceAccount { return &corev1.ServiceAccount{} },
		Extract: corev1ac.ExtractServiceAccount,
	}
	ConfigMap = Kind[*corev1.ConfigMap, *corev1ac.ConfigMapApplyConfiguration]{
		New:     func() *corev1.ConfigMap { return &corev1.ConfigMap{} },
		Extract: corev1ac.ExtractConfigMap,
	}
	Service = Kind[*corev1.Service, *corev1ac.ServiceApplyConfiguration]{
		New:     func() *corev1.Service { return &corev1.Service{} },
		Extract: corev1ac.ExtractService,
		Stray:   strayNodePorts,
	}
	PersistentVolumeClaim = Kind[*corev1.PersistentVolumeClaim, *corev1ac.PersistentVolumeClaimApplyConfiguration]{
		New:     func() *corev1.PersistentVolumeClaim { return &corev1.PersistentVolumeClaim{} },
		Extract: corev1ac.ExtractPersistentVolumeClaim,
		Exempt:  setAtCreation,
	}
	StatefulSet = Kind[*appsv1.StatefulSet, *appsv1ac.StatefulSetApplyConfiguration]{
		New:     func() *appsv1.StatefulSet { return &appsv1.StatefulSet{} },
		Extract: appsv1ac.ExtractStatefulSet,
		Exempt:  []fieldpath.Path{restartedAt},
	}
	Deployment = Kind[*appsv1.Deployment, *appsv1ac.DeploymentApplyConfiguration]{
		New:     func() *appsv1.Deployment { return &appsv1.Deployment{} },
		Extract: appsv1ac.ExtractDeployment,
		Exempt:  []fieldpath.Path{restartedAt},
	}
	PodDisruptionBudget = Kind[*policyv1.PodDisruptionBudget, *policyv1ac.PodDisruptionBudgetApplyConfiguration]{
		New:     func() *policyv1.PodDisruptionBudget { return &policyv1.PodDisruptionBudget{} },
		Extract: policyv1ac.ExtractPodDisruptionBudget,
	}
)

// strayNodePorts finds node ports of a Service that shall have none. They are left behind when somebody turns
// allocateLoadBalancerNodePorts on and off again, and belong to no field manager.
func strayNodePorts(s *corev1.Service) []fieldpath.Path {
	if s.Spec.Type != corev1.ServiceTypeLoadBalancer || ptr.Deref(s.Spec.AllocateLoadBalancerNodePorts, true) {
		return nil
	}
	var paths []fieldpath.Path
	for _, port := range s.Spec.Ports {
		if port.NodePort != 0 {
			paths = append(paths, fieldpath.MakePathOrDie("spec", "ports",
				fieldpath.KeyByFields("port", port.Port, "protocol", string(port.Protocol)), "nodePort"))
		}
	}
	return paths
}
