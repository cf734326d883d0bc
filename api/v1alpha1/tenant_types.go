// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Stage says whether real customers depend on an instance.
//
// +kubebuilder:validation:Enum=Production;Preprod
type Stage string

// The stages of an instance.
const (
	// StageProduction is an instance that a customer works with.
	StageProduction Stage = "Production"
	// StagePreprod is an instance on which changes are tried first.
	StagePreprod Stage = "Preprod"
)

// AccessMode says who may reach a tenant's gate.
//
// +kubebuilder:validation:Enum=Open;Restricted;Closed
type AccessMode string

// The ways to open a tenant's gate.
const (
	// AccessOpen admits every client except those in deniedRanges.
	AccessOpen AccessMode = "Open"
	// AccessRestricted admits only clients in allowedRanges, except those in deniedRanges.
	AccessRestricted AccessMode = "Restricted"
	// AccessClosed admits nobody. It is enforced by policy and edge, never by an empty list of source
	// ranges, which Kubernetes reads as everyone.
	AccessClosed AccessMode = "Closed"
)

// TLSVersion is a version of the TLS protocol.
//
// +kubebuilder:validation:Enum=TLSv1.2;TLSv1.3
type TLSVersion string

// The TLS versions that a gate may demand as the lowest.
const (
	// TLSv12 is TLS 1.2 (RFC 5246).
	TLSv12 TLSVersion = "TLSv1.2"
	// TLSv13 is TLS 1.3 (RFC 8446).
	TLSv13 TLSVersion = "TLSv1.3"
)

// Hostname is a DNS name in lower case with at least one dot and without a trailing dot (RFC 1123); wildcards are not accepted.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=253
// +kubebuilder:validation:XValidation:rule=`self.matches(r'^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)+$')`,message="must be a DNS name with at least one dot, such as shop.example.com: lower-case letters, digits and hyphens, at most 63 characters between dots, no wildcard, no port, no trailing dot"
type Hostname string

// TenantNetwork says who may reach a tenant and where.
//
// +kubebuilder:validation:XValidation:rule="self.access != 'Restricted' || (has(self.allowedRanges) && size(self.allowedRanges) > 0)",message="access Restricted needs at least one network in allowedRanges; to let nobody in, use access Closed"
// +kubebuilder:validation:XValidation:rule="self.access == 'Restricted' || !has(self.allowedRanges) || size(self.allowedRanges) == 0",message="allowedRanges only has a meaning with access Restricted; set access to Restricted or remove allowedRanges"
// +kubebuilder:validation:XValidation:rule="!has(self.allowedRanges) || !has(self.deniedRanges) || size(self.allowedRanges) == 0 || self.deniedRanges.all(d, self.allowedRanges.exists(a, isCIDR(a) && isCIDR(d) && cidr(a).containsCIDR(cidr(d))))",message="each of deniedRanges must lie inside one of allowedRanges; what is not allowed need not be denied"
type TenantNetwork struct {
	// access says who may reach the gate: Open (the default), Restricted or Closed. Closing or restricting it
	// ends new connections at once. Closing cuts open ones within seconds too; see allowedRanges about restricting.
	// +optional
	// +kubebuilder:default=Open
	Access AccessMode `json:"access,omitempty"`

	// allowedRanges are the client networks that may connect when access is Restricted. Removing one ends new
	// connections from there at once, at Service and NetworkPolicy. A connection that is open already may
	// live on for up to an hour if the network plugin lets established flows pass.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	AllowedRanges []CIDR `json:"allowedRanges,omitempty"`

	// deniedRanges are client networks that may never connect. With access Restricted each of them must lie
	// inside one of allowedRanges. Adding one ends new connections at once; see allowedRanges about open ones.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	DeniedRanges []CIDR `json:"deniedRanges,omitempty"`

	// address is the fixed IPv4 address that the tenant's load balancer shall have. It needs a class whose
	// loadBalancer.addressAnnotation names the annotation by which the load balancer takes such a wish.
	// Default: the load balancer chooses, and keeps the address as long as the Service lives.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=39
	// +kubebuilder:validation:XValidation:rule="isIP(self) && ip(self).family() == 4",message="must be an IPv4 address such as 198.51.100.7; IPv6 is not supported yet"
	Address string `json:"address,omitempty"`
}

// TenantTLS says which certificate the gate serves. With neither issuerRef nor secretRef, here or in the class,
// the gate serves a certificate of the tenant's own internal authority, which browsers do not trust.
//
// +kubebuilder:validation:XValidation:rule="!(has(self.issuerRef) && has(self.secretRef))",message="issuerRef and secretRef exclude each other: name the issuer that makes the certificate, or the Secret that holds it"
type TenantTLS struct {
	// issuerRef names the cert-manager issuer that makes the certificate for all hostnames.
	// Default: the class's tls.issuerRef.
	// +optional
	IssuerRef *IssuerReference `json:"issuerRef,omitempty"`

	// secretRef names a Secret of type kubernetes.io/tls in the tenant's namespace with the certificate chain
	// (tls.crt) and the key (tls.key). A pair that does not match, has expired or lacks a hostname is not
	// taken over; the gate goes on serving the last good one and the Tenant says why.
	// +optional
	SecretRef *SecretReference `json:"secretRef,omitempty"`

	// minVersion is the lowest TLS version that the gate accepts. Default: TLSv1.2.
	// +optional
	// +kubebuilder:default="TLSv1.2"
	MinVersion TLSVersion `json:"minVersion,omitempty"`
}

// TenantDatabase overrides the class's database for one tenant.
type TenantDatabase struct {
	// storage is the size of the database volume in bytes, at least 256Mi. It may grow, never shrink.
	// Default: the class's database.storage.size.
	// +optional
	// +kubebuilder:validation:XValidation:rule="quantity(string(self)).compareTo(quantity(string(oldSelf))) >= 0",message="storage may only grow: a volume cannot be made smaller without losing data"
	// +kubebuilder:validation:XValidation:rule="quantity(string(self)).compareTo(quantity('256Mi')) >= 0",message="storage must be at least 256Mi"
	Storage *resource.Quantity `json:"storage,omitempty"`

	// compute overrides the class's database.compute field by field.
	// +optional
	Compute *Compute `json:"compute,omitempty"`

	// parameters override the class's database.parameters one by one.
	// +optional
	Parameters PostgreSQLParameters `json:"parameters,omitempty"`
}

// TenantApp overrides the class's application for one tenant.
type TenantApp struct {
	// storage is the size of the application's data volume in bytes, at least 1Mi. It may grow, never
	// shrink. Default: the class's app.dataVolume.size.
	// +optional
	// +kubebuilder:validation:XValidation:rule="quantity(string(self)).compareTo(quantity('1Mi')) >= 0",message="storage must be at least 1Mi"
	// +kubebuilder:validation:XValidation:rule="quantity(string(self)).compareTo(quantity(string(oldSelf))) >= 0",message="storage may only grow: a volume cannot be made smaller without losing data"
	Storage *resource.Quantity `json:"storage,omitempty"`

	// compute overrides the class's app.compute field by field.
	// +optional
	Compute *Compute `json:"compute,omitempty"`
}

// TenantBootstrap says what a Tenant starts from.
//
// +kubebuilder:validation:XValidation:rule="!(has(self.adopt) && has(self.restore))",message="adopt and restore exclude each other: data that is still in the cluster is adopted, data that is only in backups is restored"
type TenantBootstrap struct {
	// adopt takes over the retained data of an instance that was deleted before.
	// +optional
	Adopt *AdoptInstance `json:"adopt,omitempty"`

	// restore fills a new instance from another one's backups before it starts: its database, and, if the policy includes
	// it, what the other's application kept on a volume of its own, as far as there is a snapshot of it. It has no effect
	// on an instance that holds data.
	// +optional
	Restore *BootstrapRestore `json:"restore,omitempty"`
}

// BootstrapRestore names the instance whose backups a new one is filled from, and the state that it shall have. The
// new instance gets the keys of the other from the Secrets instance-<instanceID> and backup-<instanceID> in the operator's
// namespace: they are there if this cluster had the other instance, or were brought there from a destination.
type BootstrapRestore struct {
	// instanceID of the instance whose backups are restored.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Label().validate(self).hasValue()",message="is no instance ID; it stands in the other Tenant's status.instanceID and in the path of its backups"
	InstanceID string `json:"instanceID,omitempty"`

	// tenant is the name that the other instance's Tenant has, or had. Default: this Tenant's name.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=56
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Label().validate(self).hasValue()",message="must be the name of a Tenant"
	Tenant string `json:"tenant,omitempty"`

	// target says which state of the data the new instance shall have. Default: the latest.
	// +optional
	// +kubebuilder:default={}
	Target RestoreTarget `json:"target,omitzero"`
}

// AdoptInstance names the retained instance to take over.
type AdoptInstance struct {
	// instanceID of the retained instance. It stands in the message of the Stalled condition
	// (reason RetainedDataExists) and on the namespace's label freehold.dev/instance.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Label().validate(self).hasValue()",message="is no instance ID; copy it from the message of the Stalled condition"
	InstanceID string `json:"instanceID,omitempty"`
}

// TenantSpec is what a customer's instance shall be.
//
// +kubebuilder:validation:XValidation:rule="has(self.app) && has(self.app.storage) || !has(oldSelf.app) || !has(oldSelf.app.storage)",message="app.storage cannot be removed once it is set: a volume cannot be made smaller"
// +kubebuilder:validation:XValidation:rule="has(self.database) && has(self.database.storage) || !has(oldSelf.database) || !has(oldSelf.database.storage)",message="database.storage cannot be removed once it is set: a volume cannot be made smaller"
// +kubebuilder:validation:XValidation:rule="!has(self.bootstrap) || !has(self.bootstrap.restore) || has(self.backupPolicyRef)",message="bootstrap.restore needs backupPolicyRef, which says where the backups are; once the instance is filled, bootstrap.restore may be removed"
type TenantSpec struct {
	// classRef names the TenantClass that the instance is made from. Naming another class is an update like
	// any other: it waits as pending until it is approved.
	// +required
	ClassRef ClassReference `json:"classRef,omitzero"`

	// displayName is the customer's name for people. Default: the Tenant's name.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=100
	// +kubebuilder:validation:XValidation:rule=`self.matches(r'^[^\p{Cc}\p{Zl}\p{Zp}\x22\x27$#\x5c]+$')`,message="may not hold control characters, line breaks, quotes, $, # or backslash; remove them"
	DisplayName string `json:"displayName,omitempty"`

	// hostnames under which the gate serves; the first one makes the URL. No two Tenants may share one.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:XValidation:rule="self.all(a, self.exists_one(b, a == b))",message="hostnames must not repeat"
	Hostnames []Hostname `json:"hostnames,omitempty"`

	// stage says whether real customers depend on the instance: Production (the default) or Preprod.
	// +optional
	// +kubebuilder:default=Production
	Stage Stage `json:"stage,omitempty"`

	// network says who may reach the gate and at which address. Default: everyone, at an address that the
	// load balancer chooses.
	// +optional
	// +kubebuilder:default={access: Open}
	Network TenantNetwork `json:"network,omitzero"`

	// tls says which certificate the gate serves. Default: the class's.
	// +optional
	// +kubebuilder:default={minVersion: TLSv1.2}
	TLS TenantTLS `json:"tls,omitzero"`

	// database overrides the class's database for this tenant.
	// +optional
	Database *TenantDatabase `json:"database,omitempty"`

	// app overrides the class's application for this tenant.
	// +optional
	App *TenantApp `json:"app,omitempty"`

	// suspended stops application, gate and database and keeps data, keys and address. Default: false.
	// +optional
	Suspended bool `json:"suspended,omitempty"` //nolint:kubeapilinter // Unset and false mean the same.

	// lockdown closes the gate at once: nobody gets in, connections that are open are cut, and everything else keeps
	// running. The condition LockedDown says when that was proven. Default: false.
	// +optional
	Lockdown bool `json:"lockdown,omitempty"` //nolint:kubeapilinter // Unset and false mean the same.

	// backupPolicyRef names the BackupPolicy that says where and when the instance is backed up. Default: none; nothing
	// is backed up. An instance that was first rendered by an older operator needs one update before it can be.
	// +optional
	BackupPolicyRef *BackupPolicyReference `json:"backupPolicyRef,omitempty"`

	// bootstrap says what the instance starts from. Default: an empty database.
	// +optional
	Bootstrap *TenantBootstrap `json:"bootstrap,omitempty"`

	// deletionProtection refuses the deletion of the Tenant. Default: true in stage Production, else false.
	// +optional
	DeletionProtection *bool `json:"deletionProtection,omitempty"`
}

// ComponentVersion is what one component of an instance runs.
type ComponentVersion struct {
	// name of the component: database, app or edge.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name,omitempty"`

	// image that the component's revision names.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Image string `json:"image,omitempty"`
}

// RevisionStatus tells which revision runs and which one waits.
type RevisionStatus struct {
	// number of the revision that the workloads are built from; it counts up from 1.
	// +optional
	// +kubebuilder:validation:Minimum=1
	Number int64 `json:"number,omitempty"`

	// hash of the running revision's content.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Hash string `json:"hash,omitempty"`

	// pendingHash is the hash of what today's Tenant, class and operator would make, when it differs from
	// what runs. The annotation freehold.dev/approve-update with this value makes it the next revision.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	PendingHash string `json:"pendingHash,omitempty"`

	// components that the running revision consists of.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	Components []ComponentVersion `json:"components,omitempty"`
}

// Claim is one statement that was put to the proof.
type Claim struct {
	// name of the claim, such as EgressFromApp.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name,omitempty"`

	// status is True if the claim was proven, False if it was refuted, Unknown if it could not be put to the proof.
	// +required
	// +kubebuilder:validation:Enum=True;False;Unknown
	Status metav1.ConditionStatus `json:"status,omitempty"`

	// message says what was tried and what came of it.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	Message string `json:"message,omitempty"`
}

// Proof is the evidence behind one condition.
type Proof struct {
	// condition that the claims add up to: Isolated, EncryptedInTransit or EncryptedAtRest.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Condition string `json:"condition,omitempty"`

	// observedAt is when the evidence was gathered. Evidence that is older than three probe intervals does not count.
	// +required
	ObservedAt metav1.Time `json:"observedAt,omitzero"`

	// claims that were put to the proof.
	// +required
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	Claims []Claim `json:"claims,omitempty"`
}

// TenantStatus is what was observed of a customer's instance.
type TenantStatus struct {
	// observedGeneration is the generation of the spec that this status speaks of.
	// +optional
	// +kubebuilder:validation:Minimum=1
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// instanceID is the identity of the instance: minted once, kept on the namespace, never used again.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	InstanceID string `json:"instanceID,omitempty"`

	// namespace that holds the instance.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace,omitempty"`

	// addresses at which the load balancer takes connections for the gate.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=253
	Addresses []string `json:"addresses,omitempty"`

	// url under which the customer reaches the instance.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	URL string `json:"url,omitempty"`

	// revision tells which revision runs and which one waits for approval.
	// +optional
	Revision RevisionStatus `json:"revision,omitzero"`

	// proofs are the evidence behind the conditions Isolated, EncryptedInTransit and EncryptedAtRest.
	// +optional
	// +listType=map
	// +listMapKey=condition
	// +kubebuilder:validation:MaxItems=8
	Proofs []Proof `json:"proofs,omitempty"`

	// backups is what is known of the instance's backups.
	// +optional
	Backups *TenantBackups `json:"backups,omitempty"`

	// conditions of the instance: Available, Ready, Reconciling, Stalled, UpdatePending, Isolated, EncryptedInTransit,
	// EncryptedAtRest and LockedDown; with a BackupPolicy also BackedUp, PointInTimeRecoverable, Recoverable and Retained.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +patchMergeKey=type
	// +patchStrategy=merge
	// +kubebuilder:validation:MaxItems=32
	Conditions []metav1.Condition `json:"conditions,omitempty" patchStrategy:"merge" patchMergeKey:"type"`
}

// Tenant is one customer's isolated instance of a SaaS product.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=tn,categories=freehold
// +kubebuilder:printcolumn:name="Class",type=string,JSONPath=`.spec.classRef.name`
// +kubebuilder:printcolumn:name="Available",type=string,JSONPath=`.status.conditions[?(@.type=="Available")].status`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Update",type=string,JSONPath=`.status.conditions[?(@.type=="UpdatePending")].status`
// +kubebuilder:printcolumn:name="Isolated",type=string,JSONPath=`.status.conditions[?(@.type=="Isolated")].status`
// +kubebuilder:printcolumn:name="Address",type=string,JSONPath=`.status.addresses[0]`
// +kubebuilder:printcolumn:name="URL",type=string,JSONPath=`.status.url`
// +kubebuilder:printcolumn:name="Namespace",type=string,JSONPath=`.status.namespace`,priority=1
// +kubebuilder:printcolumn:name="Instance",type=string,JSONPath=`.status.instanceID`,priority=1
// +kubebuilder:printcolumn:name="Recoverable from",type=date,JSONPath=`.status.backups.recoverableFrom`,priority=1
// +kubebuilder:printcolumn:name="Last backup",type=date,JSONPath=`.status.backups.destinations[0].lastBackup`,priority=1
// +kubebuilder:printcolumn:name="Last verified",type=date,JSONPath=`.status.backups.destinations[0].lastVerified`,priority=1
// +kubebuilder:printcolumn:name="Recovery seconds",type=integer,JSONPath=`.status.backups.destinations[0].recoverySeconds`,priority=1
// +kubebuilder:printcolumn:name="Since",type=date,JSONPath=`.status.conditions[?(@.type=="Available")].lastTransitionTime`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="size(self.metadata.name) <= 56 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="a Tenant's name becomes its namespace tenant-<name>: at most 56 characters, lower-case letters, digits and hyphens, no dots"
type Tenant struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is standard object metadata; the name has at most 56 characters and becomes the namespace
	// tenant-<name>.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// spec is what the instance shall be.
	// +required
	Spec TenantSpec `json:"spec,omitzero"`

	// status is what was observed of the instance.
	// +optional
	Status TenantStatus `json:"status,omitzero"`
}

// TenantList is a list of Tenants.
//
// +kubebuilder:object:root=true
type TenantList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`
	// items of the list.
	Items []Tenant `json:"items"`
}
