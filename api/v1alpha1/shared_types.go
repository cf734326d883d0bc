// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// ClassReference names a TenantClass.
type ClassReference struct {
	// name of the TenantClass, which is cluster-scoped.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="must be the name of a Kubernetes object: lower-case letters, digits, hyphens and dots, beginning and ending with a letter or digit"
	Name string `json:"name,omitempty"`
}

// CIDR is an IPv4 network in CIDR notation with no host bits set, such as 198.51.100.0/24.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=43
// +kubebuilder:validation:XValidation:rule="isCIDR(self) && cidr(self).ip().family() == 4",message="must be an IPv4 network in CIDR notation such as 198.51.100.0/24; IPv6 is not supported yet"
// +kubebuilder:validation:XValidation:rule="!isCIDR(self) || cidr(self) == cidr(self).masked()",message="has host bits set; write the network address, for example 198.51.100.0/24 instead of 198.51.100.7/24"
type CIDR string

// IssuerReference names a cert-manager issuer (https://cert-manager.io/docs/concepts/issuer/). It must prove the
// names by DNS-01, or need no proof (a private CA, Vault): the challenges HTTP-01 and TLS-ALPN-01 cannot reach a pod
// behind a tenant's walls, whose only open port is the gate's 443.
//
// +kubebuilder:validation:XValidation:rule="self.group != 'cert-manager.io' || self.kind in ['ClusterIssuer', 'Issuer']",message="kind must be ClusterIssuer or Issuer in group cert-manager.io; for an external issuer, name its group too"
type IssuerReference struct {
	// name of the issuer.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="must be the name of a Kubernetes object: lower-case letters, digits, hyphens and dots, beginning and ending with a letter or digit"
	Name string `json:"name,omitempty"`

	// kind of the issuer: ClusterIssuer (the default), Issuer (in the tenant's namespace), or the kind of an
	// external issuer when group names one.
	// +optional
	// +kubebuilder:default="ClusterIssuer"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Z][A-Za-z0-9]*$')",message="must be a kind such as ClusterIssuer: letters and digits, beginning with a capital letter"
	Kind string `json:"kind,omitempty"`

	// group is the API group of the issuer. Default: cert-manager.io.
	// +optional
	// +kubebuilder:default="cert-manager.io"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="must be an API group such as cert-manager.io: a DNS name in lower case"
	Group string `json:"group,omitempty"`
}

// SecretReference names a Secret in the tenant's namespace.
type SecretReference struct {
	// name of the Secret. Freehold's own Secrets (the names that begin with "freehold-") cannot be named.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="must be the name of a Kubernetes object: lower-case letters, digits, hyphens and dots, beginning and ending with a letter or digit"
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('freehold-')",message="names that begin with freehold- are Freehold's own Secrets and cannot be used here"
	Name string `json:"name,omitempty"`
}

// PostgreSQLParameters are settings of postgresql.conf by name. Only parameters that tune are accepted; those
// that decide durability, authentication, file locations or what Freehold relies on are not.
//
// They are: autovacuum_analyze_scale_factor, autovacuum_max_workers, autovacuum_naptime,
// autovacuum_vacuum_cost_limit, autovacuum_vacuum_scale_factor, checkpoint_timeout, deadlock_timeout,
// default_statistics_target, default_text_search_config, effective_cache_size, effective_io_concurrency,
// hash_mem_multiplier, idle_in_transaction_session_timeout, idle_session_timeout, jit, lock_timeout,
// log_lock_waits, log_min_duration_statement, maintenance_work_mem, max_connections,
// max_parallel_workers, max_parallel_workers_per_gather, max_wal_size, min_wal_size, random_page_cost,
// shared_buffers, statement_timeout, temp_file_limit, timezone, track_io_timing, wal_buffers, work_mem.
//
// A value that PostgreSQL would not start with makes the Tenant Stalled (InvalidSpec) before anything is changed:
// numbers, sizes (kB, MB, GB, TB) and times (ms, s, min, h, d) must be whole and in the parameter's range,
// shared_buffers at most half of the memory limit, max_connections from 10 to 5000. Two connections are
// reserved for Freehold's probes and three for the superuser.
//
// +kubebuilder:validation:MaxProperties=32
// +kubebuilder:validation:XValidation:rule="self.all(k, k in ['autovacuum_analyze_scale_factor','autovacuum_max_workers','autovacuum_naptime','autovacuum_vacuum_cost_limit','autovacuum_vacuum_scale_factor','checkpoint_timeout','deadlock_timeout','default_statistics_target','default_text_search_config','effective_cache_size','effective_io_concurrency','hash_mem_multiplier','idle_in_transaction_session_timeout','idle_session_timeout','jit','lock_timeout','log_lock_waits','log_min_duration_statement','maintenance_work_mem','max_connections','max_parallel_workers','max_parallel_workers_per_gather','max_wal_size','min_wal_size','random_page_cost','shared_buffers','statement_timeout','temp_file_limit','timezone','track_io_timing','wal_buffers','work_mem'])",message="has a parameter that may not be set; the parameters that may be set are listed in the reference of PostgreSQLParameters"
type PostgreSQLParameters map[string]PostgreSQLValue

// PostgreSQLValue is the value of a setting, as it would stand between quotes in postgresql.conf.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=64
// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9_./+-]([A-Za-z0-9_./+ -]*[A-Za-z0-9_./+-])?$')",message="a parameter's value may have letters, digits, spaces inside and _ . / + -"
type PostgreSQLValue string

// Compute is how much processor time and memory one container may use.
type Compute struct {
	// cpu is the limit in cores; half of it is requested. At least 50m.
	// +optional
	// +kubebuilder:validation:XValidation:rule="quantity(string(self)).compareTo(quantity('50m')) >= 0",message="cpu must be at least 50m"
	CPU *resource.Quantity `json:"cpu,omitempty"`

	// memory is the limit in bytes; all of it is requested, because memory cannot be taken back from a
	// process. PostgreSQL's buffers are sized from it. At least 64Mi.
	// +optional
	// +kubebuilder:validation:XValidation:rule="quantity(string(self)).compareTo(quantity('64Mi')) >= 0",message="memory must be at least 64Mi"
	Memory *resource.Quantity `json:"memory,omitempty"`
}

// LabelValue is the value of a label.
//
// +kubebuilder:validation:MaxLength=63
// +kubebuilder:validation:XValidation:rule="!format.labelValue().validate(self).hasValue()",message="must be the value of a label: letters, digits and - _ . beginning and ending with a letter or digit, or empty"
type LabelValue string

// Scheduling says on which nodes pods may run.
type Scheduling struct {
	// nodeSelector are labels that a node must carry.
	// +optional
	// +kubebuilder:validation:MaxProperties=16
	// +kubebuilder:validation:XValidation:rule="self.all(k, size(k) <= 317 && !format.qualifiedName().validate(k).hasValue())",message="the names of nodeSelector must be names of labels such as disk or example.com/pool"
	NodeSelector map[string]LabelValue `json:"nodeSelector,omitempty"`

	// tolerations let pods onto tainted nodes. A key or value that no taint can have makes the Tenant Stalled
	// (InvalidSpec).
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:XValidation:rule="self.all(t, !has(t.operator) || t.operator in ['', 'Equal', 'Exists'])",message="the operator of a toleration must be Equal (the default) or Exists"
	// +kubebuilder:validation:XValidation:rule="self.all(t, !has(t.effect) || t.effect in ['', 'NoSchedule', 'PreferNoSchedule', 'NoExecute'])",message="the effect of a toleration must be NoSchedule, PreferNoSchedule or NoExecute; without one it tolerates all"
	// +kubebuilder:validation:XValidation:rule="self.all(t, !has(t.tolerationSeconds) || (has(t.effect) && t.effect == 'NoExecute'))",message="tolerationSeconds of a toleration only has a meaning with the effect NoExecute"
	// +kubebuilder:validation:XValidation:rule="self.all(t, (has(t.key) && t.key != '') || (has(t.operator) && t.operator == 'Exists'))",message="a toleration without a key tolerates every taint and needs the operator Exists"
	// +kubebuilder:validation:XValidation:rule="self.all(t, !has(t.value) || t.value == '' || !has(t.operator) || t.operator != 'Exists')",message="a toleration with the operator Exists tolerates any value; remove its value"
	Tolerations []corev1.Toleration `json:"tolerations,omitempty"`
}
