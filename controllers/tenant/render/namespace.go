// SPDX-License-Identifier: Apache-2.0

package render

import (
	"maps"
	"slices"
	"strings"

	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	rbacv1ac "k8s.io/client-go/applyconfigurations/rbac/v1"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// namespace is the unit of ownership: it carries the instance's identity and what must outlive the Tenant.
func namespace(in Inputs) *corev1ac.NamespaceApplyConfiguration {
	all := labels(in, "")
	maps.Copy(all, meta.PodSecurityLabels())
	if in.Retained {
		all[v1alpha1.LabelRetained] = "true"
	}
	annotations := map[string]string{}
	if in.Initialized {
		annotations[meta.AnnotationInitialized] = "true"
	}
	if len(in.BoundClaims) > 0 {
		annotations[meta.AnnotationBoundClaims] = strings.Join(slices.Sorted(slices.Values(in.BoundClaims)), ",")
	}
	made := corev1ac.Namespace(namespaceOf(in)).WithLabels(all)
	if len(annotations) > 0 {
		made.WithAnnotations(annotations)
	}
	return made
}

// RoleBinding lets the operator work in the namespace, and nobody else. It needs neither class nor revision.
func RoleBinding(in Inputs) *rbacv1ac.RoleBindingApplyConfiguration {
	// The subject of a ServiceAccount has no apiGroup: its default is the empty one.
	subject := rbacv1ac.Subject().WithKind("ServiceAccount").
		WithName(in.Facts.OperatorServiceAccount).WithNamespace(in.Facts.OperatorNamespace)
	role := rbacv1ac.RoleRef().WithAPIGroup("rbac.authorization.k8s.io").WithKind("ClusterRole").
		WithName(in.Facts.TenantClusterRole)
	return rbacv1ac.RoleBinding(meta.OperatorRoleBinding, namespaceOf(in)).
		WithLabels(labels(in, "")).WithSubjects(subject).WithRoleRef(role)
}

// serviceAccounts are one per workload, so that a right given to one of them later is given to no other. No pod
// mounts a token.
func serviceAccounts(in Inputs) []*corev1ac.ServiceAccountApplyConfiguration {
	accounts := []struct{ name, component string }{
		{meta.DatabaseStatefulSet, meta.ComponentDatabase},
		{meta.AppStatefulSet, meta.ComponentApp},
		{meta.EdgeDeployment, meta.ComponentEdge},
	}
	made := make([]*corev1ac.ServiceAccountApplyConfiguration, 0, len(accounts))
	for _, account := range accounts {
		made = append(made, corev1ac.ServiceAccount(account.name, namespaceOf(in)).
			WithLabels(labels(in, account.component)).WithAutomountServiceAccountToken(false))
	}
	return made
}
