// SPDX-License-Identifier: Apache-2.0

package meta

import (
	"fmt"
	"strings"

	"github.com/freehold-dev/freehold/api/v1alpha1"
)

// FieldOwner is the one field manager of everything that the operator applies.
const FieldOwner = "freehold"

// ManagedBy is the value of the label app.kubernetes.io/managed-by on everything that Freehold makes.
const ManagedBy = "freehold"

// The components of an instance, as they stand in labels and status.
const (
	ComponentDatabase = "database"
	ComponentApp      = "app"
	ComponentEdge     = "edge"
)

// Names of objects in a tenant's namespace.
const (
	// OperatorRoleBinding lets the operator work in the namespace.
	OperatorRoleBinding = "freehold-operator"
	// Quota is the ResourceQuota, Limits the LimitRange.
	Quota  = "freehold"
	Limits = "freehold"

	// DatabaseStatefulSet, AppStatefulSet and EdgeDeployment are the workloads; the Services before them
	// have the same names.
	DatabaseStatefulSet = "db"
	AppStatefulSet      = "app"
	EdgeDeployment      = "edge"

	DatabaseService = "db"
	AppService      = "app"
	EdgeService     = "edge"

	// DatabaseClaim and AppClaim are the first volumes. Freehold numbers them itself, so that a restore can
	// put a new one beside the old one.
	DatabaseClaim = "db-0001"
	AppClaim      = "app-0001"

	// CASecret holds the tenant's internal authority; no pod mounts it.
	CASecret = "freehold-ca"
	// CredentialsSecret holds the application's database role, database, password and connection URI.
	CredentialsSecret = "freehold-database"
	// DatabaseTLSSecret, AppTLSSecret and EdgeTLSSecret hold the leaf certificates that the pods serve.
	DatabaseTLSSecret = "freehold-database-tls"
	AppTLSSecret      = "freehold-app-tls"
	EdgeTLSSecret     = "freehold-edge-tls"
	// EdgeIssuedSecret is where cert-manager puts the gate's certificate; it is copied to EdgeTLSSecret
	// once it has been found good.
	EdgeIssuedSecret = "freehold-edge-issued"
	// GeneratedSecret holds the random values that the class asks for by name.
	GeneratedSecret = "freehold-generated"

	// TrustConfigMap holds the internal authority's certificates under the key ca.crt.
	TrustConfigMap = "freehold-trust"
	// InstanceConfigMap tells the database pod whose volume it expects (KeyInstanceID, KeyInitialized).
	InstanceConfigMap = "freehold-instance"
	// EdgeListsConfigMap holds the client networks that the gate admits and refuses.
	EdgeListsConfigMap = "freehold-edge-lists"
	// EdgeCertificate is the cert-manager Certificate.
	EdgeCertificate = "freehold-edge"
)

// Keys in the objects above.
const (
	KeyInstanceID  = "instance-id"
	KeyInitialized = "initialized"

	KeyCACert  = "ca.crt"
	KeyTLSCert = "tls.crt"
	KeyTLSKey  = "tls.key"

	KeyDatabaseURL      = "url"
	KeyDatabaseHost     = "host"
	KeyDatabasePort     = "port"
	KeyDatabaseName     = "database"
	KeyDatabaseUser     = "user"
	KeyDatabasePassword = "password"

	KeyAllowedList = "allowed.lst"
	KeyDeniedList  = "denied.lst"
	// KeyProbeList holds who may come in at PortEdgeProbe: everyone that the walls let through, or, under
	// lockdown, nobody.
	KeyProbeList = "probe.lst"
	// KeyProxiesList holds the load balancer's networks whose word about the client is believed, KeyDirectList who
	// may connect without one: everyone, or, where a load balancer speaks for its clients, nobody.
	KeyProxiesList = "proxies.lst"
	KeyDirectList  = "direct.lst"
	// KeyLoginsList and KeyLoginPrefixesList, beside HAProxy's configuration, hold the paths under which clients
	// log in.
	KeyLoginsList        = "logins.lst"
	KeyLoginPrefixesList = "login-prefixes.lst"

	KeyPostgreSQLConf = "postgresql.conf"
	KeyHBAConf        = "pg_hba.conf"
	KeyIdentConf      = "pg_ident.conf"
	KeyHAProxyConf    = "haproxy.cfg"
)

// Folders and files inside pods.
const (
	// DataDir is where the database volume is mounted, PGData the cluster on it, MarkFile the mark that says
	// whose volume it is.
	DataDir  = "/var/lib/postgresql"
	PGData   = DataDir + "/pgdata"
	MarkFile = DataDir + "/freehold-instance.json"

	ConfigDir      = "/etc/freehold/config"
	InstanceDir    = "/etc/freehold/instance"
	TLSDir         = "/etc/freehold/tls"
	TrustDir       = "/etc/freehold/trust"
	CredentialsDir = "/etc/freehold/credentials"
	ListsDir       = "/etc/freehold/lists"
	SocketDir      = "/run/postgresql"
	HAProxyRunDir  = "/run/haproxy"

	// AgentBinary is the one binary of Freehold in the postgres and edge images.
	AgentBinary = "/usr/bin/freehold"
)

// Ports inside pods.
const (
	PortDatabase = 5432
	// PortAgent serves the database agent's probes (/startup, /live, /ready), which only the kubelet reaches, and
	// in the gate's pod what the agent there tells (/status), which other gate pods of the namespace may ask too.
	PortAgent = 8008
	PortEdge  = 8443
	// PortEdgeProbe is the gate's second door, with the same certificate and the same rules but for the client
	// networks. Only pods of the namespace that carry the gate's policy label reach it: whoever proves that the
	// gate serves.
	PortEdgeProbe = 8444
	// PortEdgeHealth serves the gate's own health (/healthz); only the kubelet reaches it.
	PortEdgeHealth = 8404
	// PortEdgePeers, on the loopback device only, is where HAProxy hands its tables over when it is reloaded.
	PortEdgePeers = 8405
	// PortPublic is the only port of the load balancer.
	PortPublic = 443
)

// The tables of HAProxy that outlive a reload.
const (
	// TableLogins counts logins by client; gpt0 of an entry is the time until which the client is blocked.
	TableLogins = "gate/logins"
	// TableRefused counts the requests that were refused because their client is blocked.
	TableRefused = "gate/refused"
)

// Users inside the images, fixed by their package lists.
const (
	UIDPostgres = 999
	UIDHAProxy  = 997
)

// NamespacePrefix begins the name of every tenant's namespace.
const NamespacePrefix = "tenant-"

// Annotations that the operator keeps on its own objects.
const (
	// AnnotationInitialized on the Namespace says that the database was up once: from then on an empty
	// volume is a loss, not a beginning.
	AnnotationInitialized = "freehold.dev/database-initialized"
	// AnnotationRetained on the Namespace repeats the label freehold.dev/retained: it holds the ID of the
	// retained instance.
	AnnotationRetained = "freehold.dev/retained-instance"
	// AnnotationRevision and AnnotationRevisionHash on workloads name the revision they are built from.
	AnnotationRevision     = "freehold.dev/revision"
	AnnotationRevisionHash = "freehold.dev/revision-hash"
	// AnnotationSecretsHash on the trust ConfigMap is the hash of what the Secrets were made from.
	AnnotationSecretsHash = "freehold.dev/secrets-hash"
	// AnnotationListsHash on the gate's pods makes the kubelet look at the gate's lists at once when it changes.
	AnnotationListsHash = "freehold.dev/lists-hash"
	// AnnotationGateCertificate on the lists' ConfigMap identifies the certificate that the gate serves: its pods are told
	// of a new one as of new lists.
	AnnotationGateCertificate = "freehold.dev/gate-certificate"
	// AnnotationListsHurried on the lists' ConfigMap says how far the gate's pods were told of its content.
	AnnotationListsHurried = "freehold.dev/lists-hurried"
)

// Namespace is the name of a tenant's namespace.
func Namespace(tenant string) string { return NamespacePrefix + tenant }

// TenantOf is the tenant that a namespace's name belongs to; false if it is no tenant's.
func TenantOf(namespace string) (string, bool) { return strings.CutPrefix(namespace, NamespacePrefix) }

// RevisionName is the name of a ControllerRevision by number.
func RevisionName(number int64) string { return fmt.Sprintf("revision-%04d", number) }

// EscrowSecret is the name of the Secret in the operator's namespace that keeps an instance's authority and
// passwords, so that a lost Secret is rebuilt exactly as it was.
func EscrowSecret(instanceID string) string { return "instance-" + instanceID }

// DatabaseHost is the DNS name of a tenant's database.
func DatabaseHost(namespace, clusterDomain string) string {
	return serviceHost(DatabaseService, namespace, clusterDomain)
}

// AppHost is the DNS name of a tenant's application.
func AppHost(namespace, clusterDomain string) string {
	return serviceHost(AppService, namespace, clusterDomain)
}

func serviceHost(service, namespace, clusterDomain string) string {
	return service + "." + namespace + ".svc." + clusterDomain
}

// LabelComponent says which part of an instance an object belongs to; see
// https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/.
const LabelComponent = "app.kubernetes.io/component"

// Labels of every object that belongs to an instance. app.kubernetes.io/instance is left out on purpose:
// Argo CD prunes by it.
func Labels(tenant, instanceID, component string) map[string]string {
	labels := map[string]string{
		"app.kubernetes.io/managed-by": ManagedBy,
		v1alpha1.LabelTenant:           tenant,
		v1alpha1.LabelInstance:         instanceID,
	}
	if component != "" {
		labels[LabelComponent] = component
	}
	return labels
}

// PodSecurityLabels make a tenant's namespace enforce Pod Security restricted, and tell who asks for less.
func PodSecurityLabels() map[string]string {
	labels := map[string]string{}
	for _, mode := range []string{"enforce", "audit", "warn"} {
		labels["pod-security.kubernetes.io/"+mode] = "restricted"
	}
	return labels
}
