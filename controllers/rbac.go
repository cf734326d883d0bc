// SPDX-License-Identifier: Apache-2.0

package controllers

// What the operator may do, and why. `make manifests` makes config/rbac/role.yaml and the chart's copy from these
// markers. There is no rule about Secrets here except in the operator's own namespace: what it may do inside a
// tenant's namespace stands in config/rbac/tenant_role.yaml and reaches it through a RoleBinding there.

// Its own API. The spec is its users' and is never written; metadata is patched for the finalizers.
//
// +kubebuilder:rbac:groups=freehold.dev,resources=tenants,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=freehold.dev,resources=tenants/status,verbs=get;patch
// +kubebuilder:rbac:groups=freehold.dev,resources=tenants/finalizers,verbs=update
// +kubebuilder:rbac:groups=freehold.dev,resources=tenantclasses,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=freehold.dev,resources=tenantclasses/finalizers,verbs=update

// Backups: policies are marked while they are in use. What is written of Backups and Restores lies in tenants' namespaces
// and is allowed there.
//
// +kubebuilder:rbac:groups=freehold.dev,resources=backuppolicies,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=freehold.dev,resources=backuppolicies/status,verbs=get;patch
// +kubebuilder:rbac:groups=freehold.dev,resources=backuppolicies/finalizers,verbs=update
// +kubebuilder:rbac:groups=freehold.dev,resources=backups;restores,verbs=get;list;watch

// A tenant's namespace and the way into it. The ValidatingAdmissionPolicy freehold-operator holds both to
// namespaces named tenant-* and to the one role. Namespaces are never deleted, hence no such verb.
//
// +kubebuilder:rbac:groups="",resources=namespaces,verbs=get;list;watch;create;update;patch
// +kubebuilder:rbac:groups=rbac.authorization.k8s.io,resources=rolebindings,verbs=get;list;watch;create;update;patch
// +kubebuilder:rbac:groups=rbac.authorization.k8s.io,resources=clusterroles,resourceNames=freehold-tenant,verbs=bind

// The cache: one watch per kind for all tenants. RBAC cannot bound a watch by label; the operator asks only for
// objects with the label freehold.dev/tenant.
//
// +kubebuilder:rbac:groups="",resources=configmaps;limitranges;persistentvolumeclaims;resourcequotas;serviceaccounts;services,verbs=get;list;watch
// +kubebuilder:rbac:groups=apps,resources=controllerrevisions;deployments;statefulsets,verbs=get;list;watch
// +kubebuilder:rbac:groups=batch,resources=cronjobs;jobs,verbs=get;list;watch
// +kubebuilder:rbac:groups=networking.k8s.io,resources=networkpolicies,verbs=get;list;watch
// +kubebuilder:rbac:groups=policy,resources=poddisruptionbudgets,verbs=get;list;watch

// Who attests that volumes are encrypted; read when a Tenant is proven.
//
// +kubebuilder:rbac:groups=storage.k8s.io,resources=storageclasses,verbs=get

// Bound volumes of tenants are set to Retain. PersistentVolumes have no namespace, so this one reaches further than
// tenants.
//
// +kubebuilder:rbac:groups="",resources=persistentvolumes,verbs=get;list;watch;patch

// Whether the CRD of Tenants is being deleted: then nothing is touched.
//
// +kubebuilder:rbac:groups=apiextensions.k8s.io,resources=customresourcedefinitions,resourceNames=tenants.freehold.dev,verbs=get;list;watch

// Events about Tenants, which have no namespace and therefore go to the namespace default.
//
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch
// +kubebuilder:rbac:groups="",resources=events,verbs=create;patch

// Who asks for metrics, and whether they may.
//
// +kubebuilder:rbac:groups=authentication.k8s.io,resources=tokenreviews,verbs=create
// +kubebuilder:rbac:groups=authorization.k8s.io,resources=subjectaccessreviews,verbs=create

// In the operator's own namespace: the election of the leader, the escrow (Secrets instance-*) that a tenant's lost Secrets
// are rebuilt from, the keys of backups (Secrets backup-*), and the credentials of their destinations, which are only
// read. Escrow and keys are added to and never deleted.
//
// +kubebuilder:rbac:groups=coordination.k8s.io,namespace=freehold-system,resources=leases,verbs=get;create;update;patch
// +kubebuilder:rbac:groups="",namespace=freehold-system,resources=secrets,verbs=get;create;update
