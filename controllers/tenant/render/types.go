// SPDX-License-Identifier: Apache-2.0

package render

import (
	"fmt"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	networkingv1ac "k8s.io/client-go/applyconfigurations/networking/v1"
	policyv1ac "k8s.io/client-go/applyconfigurations/policy/v1"
	rbacv1ac "k8s.io/client-go/applyconfigurations/rbac/v1"

	"github.com/freehold-dev/freehold/api/v1alpha1"
)

// Images are Freehold's own component images, used where a class names none.
type Images struct {
	// Database is the image with PostgreSQL and the in-pod agent, Edge the one with HAProxy and the agent.
	Database, Edge string
	// PullPolicy of both. Default: IfNotPresent.
	PullPolicy corev1.PullPolicy
}

// Facts are what the installation knows of the cluster.
type Facts struct {
	// ClusterDomain ends the cluster's DNS names. Default: cluster.local.
	ClusterDomain string
	// ClusterNetworks are those of pods, services and nodes. No class's egress reaches them, and nothing in
	// them is ever a client of a gate.
	ClusterNetworks []netip.Prefix
	// TolerateMissingWalls lets pods start where no NetworkPolicy is enforced.
	TolerateMissingWalls bool
	// DNSNamespace and DNSPodLabels select the pods that answer DNS queries.
	DNSNamespace string
	DNSPodLabels map[string]string
	// DNSAddresses are networks that answer DNS queries beside those pods, such as a node-local cache.
	DNSAddresses []netip.Prefix
	// OperatorNamespace and OperatorServiceAccount name the operator's identity.
	OperatorNamespace, OperatorServiceAccount string
	// TenantClusterRole is what the operator may do inside a tenant's namespace.
	TenantClusterRole string
}

// Inputs are everything that an instance's objects are made from.
type Inputs struct {
	// Tenant and Class are what users want; both are only read.
	Tenant *v1alpha1.Tenant
	Class  *v1alpha1.TenantClass
	// InstanceID is the identity of the instance.
	InstanceID string
	Images     Images
	Facts      Facts

	// TrustBundle holds the certificates of the tenant's own authority in PEM. Empty before it is known;
	// then there is no trust ConfigMap.
	TrustBundle string
	// SecretsHash is the hash of what the Secrets were made from; it is noted on the trust ConfigMap.
	SecretsHash string
	// GateCertificate identifies the certificate that the gate serves; noted on the lists' ConfigMap. Empty before it is
	// known.
	GateCertificate string
	// ListsHurried is how far the gate's pods were told of the lists, noted on the lists' ConfigMap. Empty: there
	// are no pods, so they are as if told of what is rendered.
	ListsHurried string
	// Initialized says that the database was up once; it never becomes false again.
	Initialized bool
	// BoundClaims are the names of the volumes that hold or held data; noted on the Namespace.
	BoundClaims []string
	// Retained marks the namespace of an instance whose Tenant was deleted.
	Retained bool
	// Backup is the policy that the Tenant names; nil if it names none, or one that does not exist. The walls and the
	// quota follow it; whether the write-ahead log is archived does not: see archiving.
	Backup *v1alpha1.BackupPolicy
	// DatabaseClaim is the claim that the database runs on; empty for the first one. Revisions do not know it.
	DatabaseClaim string
	// AppClaim is the claim that holds the application's data; empty for the first one. Revisions do not know it.
	AppClaim string
	// SpareClaims are the other claims of database and application that are to exist: those that a restore asks for, and
	// those that were in use before, or never came into it.
	SpareClaims []string
	// Claims are the live claims by name: their storage class is kept and they never shrink.
	Claims map[string]*corev1.PersistentVolumeClaim
	// Gate is the live Service of the gate; nil if there is none. Its load balancer class is kept.
	Gate *corev1.Service
	// Running is the revision that the workloads are built from; nil before the first.
	Running *Revision
}

// InvalidError is a mistake of a user that the API could not see, such as a Tenant and a class that contradict
// each other. Trying again does not help.
type InvalidError struct {
	// Message says what is wrong and how to mend it.
	Message string
}

// Error is the message.
func (e *InvalidError) Error() string { return e.Message }

func invalid(format string, args ...any) error {
	return &InvalidError{Message: fmt.Sprintf(format, args...)}
}

// Objects are the live part of an instance, in the order in which they are applied. What is nil or absent must
// not exist.
type Objects struct {
	Namespace       *corev1ac.NamespaceApplyConfiguration
	RoleBinding     *rbacv1ac.RoleBindingApplyConfiguration
	Quota           *corev1ac.ResourceQuotaApplyConfiguration
	Limits          *corev1ac.LimitRangeApplyConfiguration
	NetworkPolicies []*networkingv1ac.NetworkPolicyApplyConfiguration
	ServiceAccounts []*corev1ac.ServiceAccountApplyConfiguration
	ConfigMaps      []*corev1ac.ConfigMapApplyConfiguration
	Services        []*corev1ac.ServiceApplyConfiguration
	Claims          []*corev1ac.PersistentVolumeClaimApplyConfiguration
	Budgets         []*policyv1ac.PodDisruptionBudgetApplyConfiguration
	// Certificate is cert-manager's (cert-manager.io/v1), when an issuer is named.
	Certificate *unstructured.Unstructured
}

// Leaf is a certificate that the tenant's own authority issues into a Secret.
type Leaf struct {
	// Secret of type kubernetes.io/tls that holds it.
	Secret string
	// CommonName is only a label for people where servers are concerned: clients look at DNSNames. A client is known by it.
	CommonName string
	// DNSNames that the certificate is good for; none for a client.
	DNSNames []string
	// Client says that the certificate is shown to a server, and is good for nothing else.
	Client bool `json:",omitempty"`
	// Life is how long the certificate is valid. Zero: as long as certificates of the authority usually are.
	Life time.Duration `json:",omitempty"`
}

// Replicas of an instance's workloads.
type Replicas struct{ Database, App, Edge int32 }
