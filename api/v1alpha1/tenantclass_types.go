// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ImageReference is a container image by registry, repository and tag or digest.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=512
// +kubebuilder:validation:XValidation:rule="self.matches('^[a-zA-Z0-9][a-zA-Z0-9._:/@-]*$')",message="must be an image reference such as registry.example.com/shop:1.4.2"
type ImageReference string

// Identifier is an unquoted PostgreSQL identifier
// (https://www.postgresql.org/docs/17/sql-syntax-lexical.html#SQL-SYNTAX-IDENTIFIERS).
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=63
// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z_][a-z0-9_]*$')",message="must be a PostgreSQL identifier: lower-case letters, digits and underscores, not beginning with a digit"
// +kubebuilder:validation:XValidation:rule="!self.startsWith('pg_') && !self.startsWith('freehold') && !(self in ['postgres','template0','template1','public','none','replication','all','sameuser','samerole'])",message="is a name that PostgreSQL or Freehold keeps for itself; choose another"
type Identifier string

// AbsolutePath is a path inside a container.
//
// +kubebuilder:validation:MinLength=2
// +kubebuilder:validation:MaxLength=255
// +kubebuilder:validation:XValidation:rule=`self.matches(r'^(/[.]?[A-Za-z0-9_][A-Za-z0-9_.@+-]*)+$')`,message="must be an absolute path such as /var/lib/shop: letters, digits and _ . @ + -, without . or .. as a part and without a slash at the end"
// +kubebuilder:validation:XValidation:rule="self != '/etc' && self != '/dev' && self != '/proc' && self != '/sys' && !self.startsWith('/dev/') && !self.startsWith('/proc/') && !self.startsWith('/sys/') && self != '/etc/freehold' && !self.startsWith('/etc/freehold/')",message="is a path that the system or Freehold uses; choose another"
type AbsolutePath string

// EnvSource is a value that Freehold knows and an application may be given as environment variable.
//
// +kubebuilder:validation:Enum=DatabaseURL;DatabaseHost;DatabasePort;DatabaseName;DatabaseUser;DatabasePassword;DatabaseCAFile;TLSCertificateFile;TLSKeyFile;URL;Hostname;TenantName;DisplayName
type EnvSource string

// The values that an application may be given.
const (
	// EnvDatabaseURL is a connection URI with user, password, sslmode=verify-full and the CA file
	// (https://www.postgresql.org/docs/17/libpq-connect.html#LIBPQ-CONNSTRING-URIS).
	EnvDatabaseURL EnvSource = "DatabaseURL"
	// EnvDatabaseHost is the database's DNS name.
	EnvDatabaseHost EnvSource = "DatabaseHost"
	// EnvDatabasePort is the database's port, 5432.
	EnvDatabasePort EnvSource = "DatabasePort"
	// EnvDatabaseName is the name of the database.
	EnvDatabaseName EnvSource = "DatabaseName"
	// EnvDatabaseUser is the application's role.
	EnvDatabaseUser EnvSource = "DatabaseUser"
	// EnvDatabasePassword is the role's password: letters and digits only.
	EnvDatabasePassword EnvSource = "DatabasePassword"
	// EnvDatabaseCAFile is the path of the CA bundle that the database's certificate is verified with.
	EnvDatabaseCAFile EnvSource = "DatabaseCAFile"
	// EnvTLSCertificateFile is the path of the certificate that an application with a tlsPort serves.
	EnvTLSCertificateFile EnvSource = "TLSCertificateFile"
	// EnvTLSKeyFile is the path of that certificate's key.
	EnvTLSKeyFile EnvSource = "TLSKeyFile"
	// EnvURL is the tenant's URL, https://<first hostname>.
	EnvURL EnvSource = "URL"
	// EnvHostname is the tenant's first hostname.
	EnvHostname EnvSource = "Hostname"
	// EnvTenantName is the Tenant's name.
	EnvTenantName EnvSource = "TenantName"
	// EnvDisplayName is the Tenant's display name.
	EnvDisplayName EnvSource = "DisplayName"
)

// EnvVar is one environment variable of the application. Exactly one of value, source, generated and
// secretKeyRef says where its value comes from.
//
// +kubebuilder:validation:XValidation:rule="[has(self.value), has(self.source), has(self.generated), has(self.secretKeyRef)].exists_one(x, x)",message="set exactly one of value, source, generated and secretKeyRef"
type EnvVar struct {
	// name of the variable.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z_][A-Za-z0-9_]*$')",message="must be the name of an environment variable: letters, digits and underscores, not beginning with a digit"
	Name string `json:"name,omitempty"`

	// value is written out. It may not hold control characters, quotes, $, # or backslash.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule=`self.matches(r'^[^\p{Cc}\p{Zl}\p{Zp}\x22\x27$#\x5c]+$')`,message="may not hold control characters, line breaks, quotes, $, # or backslash; remove them"
	Value string `json:"value,omitempty"`

	// source names a value that Freehold knows.
	// +optional
	Source EnvSource `json:"source,omitempty"`

	// generated is the name of a random value (32 letters and digits) that is made once per tenant and kept
	// in its Secret freehold-generated under this key.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Label().validate(self).hasValue()",message="must be lower-case letters, digits and hyphens, beginning and ending with a letter or digit"
	Generated string `json:"generated,omitempty"`

	// secretKeyRef names a key of a Secret that the user keeps in the tenant's namespace.
	// +optional
	SecretKeyRef *SecretKeyReference `json:"secretKeyRef,omitempty"`
}

// SecretKeyReference names a key of a Secret in the tenant's namespace.
type SecretKeyReference struct {
	SecretReference `json:",inline"`

	// key in the Secret.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[-._a-zA-Z0-9]+$')",message="must be a key of a Secret: letters, digits and - _ ."
	Key string `json:"key,omitempty"`

	// optional lets the application start without the Secret or the key. Default: false.
	// +optional
	Optional bool `json:"optional,omitempty"` //nolint:kubeapilinter // Unset and false mean the same.
}

// ConfigFile is a file that the application finds in its container.
type ConfigFile struct {
	// path of the file; its folder must not be one that the application writes to.
	// +required
	Path AbsolutePath `json:"path,omitempty"`

	// content of the file, as it is (text without NUL): nothing in it is replaced. Values that differ from tenant to tenant
	// reach the application as environment variables.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=65536
	// +kubebuilder:validation:XValidation:rule=`!self.contains('\x00')`,message="may not hold NUL: files are text"
	Content string `json:"content,omitempty"`
}

// Probe is an HTTP request that tells whether the application works.
type Probe struct {
	// path of the request; an answer from 200 to 399 is a success.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:XValidation:rule="self.matches('^/[A-Za-z0-9._~/?=&%-]*$')",message="must be the path of a URL such as /healthz, with a query if needed"
	Path string `json:"path,omitempty"`
}

// AppProbes tell whether the application works.
type AppProbes struct {
	// readiness decides whether the application gets requests. Default: its port takes connections.
	// +optional
	Readiness *Probe `json:"readiness,omitempty"`

	// startupSeconds is how long the application may take until it is first ready, migrations included,
	// before it is started anew; in seconds. Default: 300.
	// +optional
	// +kubebuilder:default=300
	// +kubebuilder:validation:Minimum=10
	// +kubebuilder:validation:Maximum=86400
	StartupSeconds int32 `json:"startupSeconds,omitempty"`
}

// DataVolume is a volume that keeps what the application writes.
type DataVolume struct {
	// mountPath of the volume in the application's container.
	// +required
	MountPath AbsolutePath `json:"mountPath,omitempty"`

	// size of the volume in bytes. It may grow, never shrink.
	// +required
	// +kubebuilder:validation:XValidation:rule="quantity(string(self)).compareTo(quantity(string(oldSelf))) >= 0",message="size may only grow: a volume cannot be made smaller without losing data"
	// +kubebuilder:validation:XValidation:rule="quantity(string(self)).compareTo(quantity('1Mi')) >= 0",message="size must be at least 1Mi"
	Size resource.Quantity `json:"size,omitzero"`

	// storageClassName of the volume. Default: the cluster's default StorageClass. Volumes that exist keep
	// the one they were made with.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="must be the name of a Kubernetes object: lower-case letters, digits, hyphens and dots, beginning and ending with a letter or digit"
	StorageClassName string `json:"storageClassName,omitempty"`
}

// PodSettings are what a container image demands of its pod. Every pod runs under Pod Security Standard
// "restricted": not as root, with a read-only root file system, without capabilities.
type PodSettings struct {
	// runAsUser is the numeric user. Default: 10001.
	// +optional
	// +kubebuilder:default=10001
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=2147483647
	RunAsUser int64 `json:"runAsUser,omitempty"`

	// runAsGroup is the numeric group. Default: 10001.
	// +optional
	// +kubebuilder:default=10001
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=2147483647
	RunAsGroup int64 `json:"runAsGroup,omitempty"`

	// fsGroup owns the pod's volumes. Default: 10001.
	// +optional
	// +kubebuilder:default=10001
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=2147483647
	FSGroup int64 `json:"fsGroup,omitempty"`

	// writablePaths are folders that the application writes to and that may be lost with the pod, beside
	// /tmp, which is always writable. Each of them, and /tmp, holds at most 2Gi of the node's disk; a pod that
	// writes more is evicted.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	WritablePaths []AbsolutePath `json:"writablePaths,omitempty"`

	// terminationGracePeriodSeconds is how long the application may take to stop; in seconds. Default: 30.
	// +optional
	// +kubebuilder:default=30
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=3600
	TerminationGracePeriodSeconds int64 `json:"terminationGracePeriodSeconds,omitempty"`

	// scheduling says on which nodes the application may run.
	// +optional
	Scheduling Scheduling `json:"scheduling,omitzero"`
}

// ClassApp is the application that a class's tenants run: any web application that keeps its data in
// PostgreSQL and is configured by environment variables or files.
//
// +kubebuilder:validation:XValidation:rule="has(self.port) != has(self.tlsPort)",message="set exactly one of port (plain HTTP) and tlsPort (HTTPS)"
// +kubebuilder:validation:XValidation:rule="has(self.dataVolume) || !has(oldSelf.dataVolume)",message="dataVolume cannot be removed: tenants' data lies on it"
// +kubebuilder:validation:XValidation:rule="!has(self.dataVolume) || !has(self.pod.writablePaths) || !self.pod.writablePaths.exists(p, p == self.dataVolume.mountPath)",message="dataVolume.mountPath is also one of pod.writablePaths, which are lost with the pod; remove it there"
// +kubebuilder:validation:XValidation:rule="!has(self.files) || !self.files.exists(f, f.path.startsWith('/tmp/') || (has(self.dataVolume) && f.path.startsWith(self.dataVolume.mountPath + '/')) || (has(self.pod.writablePaths) && self.pod.writablePaths.exists(p, f.path.startsWith(p + '/'))))",message="files may not lie below a folder that the application writes to (/tmp, dataVolume.mountPath, pod.writablePaths); choose another path"
type ClassApp struct {
	// image of the application.
	// +required
	Image ImageReference `json:"image,omitempty"`

	// imagePullPolicy of the application's image: Always, IfNotPresent or Never.
	// Default: IfNotPresent.
	// +optional
	// +kubebuilder:default=IfNotPresent
	// +kubebuilder:validation:Enum=Always;IfNotPresent;Never
	ImagePullPolicy corev1.PullPolicy `json:"imagePullPolicy,omitempty"`

	// command replaces the image's entry point. Nothing in it is expanded.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="!self.exists(a, a.contains('$'))",message="may not hold $: nothing is expanded here; use env to hand over values"
	Command []string `json:"command,omitempty"`

	// args replace the image's arguments. Nothing in them is expanded.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="!self.exists(a, a.contains('$'))",message="may not hold $: nothing is expanded here; use env to hand over values"
	Args []string `json:"args,omitempty"`

	// port on which the application speaks plain HTTP; from 1024 on.
	// +optional
	// +kubebuilder:validation:Minimum=1024
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port,omitempty"`

	// tlsPort on which the application speaks HTTPS, with the certificate and key that Freehold mounts
	// (TLSCertificateFile, TLSKeyFile); from 1024 on. The gate verifies it. The certificate is valid as long as
	// the tenant's own authority, ten years: the application need not read it again while it runs.
	// +optional
	// +kubebuilder:validation:Minimum=1024
	// +kubebuilder:validation:Maximum=65535
	TLSPort int32 `json:"tlsPort,omitempty"`

	// env are the application's environment variables.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	Env []EnvVar `json:"env,omitempty"`

	// files that the application finds in its container, read-only.
	// +optional
	// +listType=map
	// +listMapKey=path
	// +kubebuilder:validation:MaxItems=16
	Files []ConfigFile `json:"files,omitempty"`

	// dataVolume keeps what the application writes beside its database. Default: none.
	// +optional
	DataVolume *DataVolume `json:"dataVolume,omitempty"`

	// probes tell whether the application works.
	// +optional
	// +kubebuilder:default={startupSeconds: 300}
	Probes AppProbes `json:"probes,omitzero"`

	// compute limits the application's container. Default: 500m and 256Mi.
	// +optional
	// +kubebuilder:default={cpu: "500m", memory: "256Mi"}
	Compute Compute `json:"compute,omitzero"`

	// pod holds what the image demands of its pod.
	// +optional
	// +kubebuilder:default={runAsUser: 10001, runAsGroup: 10001, fsGroup: 10001, terminationGracePeriodSeconds: 30}
	Pod PodSettings `json:"pod,omitzero"`
}

// DatabaseStorage is the volume of a tenant's database.
type DatabaseStorage struct {
	// size of the volume in bytes. Default: 10Gi. It may grow, never shrink.
	// +optional
	// +kubebuilder:default="10Gi"
	// +kubebuilder:validation:XValidation:rule="quantity(string(self)).compareTo(quantity(string(oldSelf))) >= 0",message="size may only grow: a volume cannot be made smaller without losing data"
	// +kubebuilder:validation:XValidation:rule="quantity(string(self)).compareTo(quantity('256Mi')) >= 0",message="size must be at least 256Mi"
	Size resource.Quantity `json:"size,omitzero"`

	// storageClassName of the volume. Default: the cluster's default StorageClass. Volumes that exist keep
	// the one they were made with.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="must be the name of a Kubernetes object: lower-case letters, digits, hyphens and dots, beginning and ending with a letter or digit"
	StorageClassName string `json:"storageClassName,omitempty"`
}

// ClassDatabase is the PostgreSQL server that each tenant of a class has for itself.
type ClassDatabase struct {
	// image of the database. Default: the one that this version of the operator was released with.
	// +optional
	Image ImageReference `json:"image,omitempty"`

	// name of the application's database. Default: app. It cannot change: data lies under it.
	// +optional
	// +kubebuilder:default=app
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="name cannot change: tenants' data lies under it"
	Name Identifier `json:"name,omitempty"`

	// user is the role that the application connects as and that owns the database. Default: app.
	// It cannot change.
	// +optional
	// +kubebuilder:default=app
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="user cannot change: it owns tenants' data"
	User Identifier `json:"user,omitempty"`

	// storage is the database's volume.
	// +optional
	// +kubebuilder:default={size: "10Gi"}
	Storage DatabaseStorage `json:"storage,omitzero"`

	// compute limits the database's container; buffers are sized from its memory. Default: 1 and 512Mi.
	// +optional
	// +kubebuilder:default={cpu: "1", memory: "512Mi"}
	Compute Compute `json:"compute,omitzero"`

	// parameters of postgresql.conf that replace those computed from compute.memory.
	// +optional
	Parameters PostgreSQLParameters `json:"parameters,omitempty"`

	// scheduling says on which nodes the database may run.
	// +optional
	Scheduling Scheduling `json:"scheduling,omitzero"`
}

// LoginPath is a path of the application under which clients log in: exact, such as /login, or everything below one,
// such as /auth/*. A slash at the end, double slashes, percent-encoding and capital letters make no difference to what
// it matches.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=255
// +kubebuilder:validation:XValidation:rule=`self.matches(r'^(/[A-Za-z0-9._~@:+-]+)+(/[*])?$') || self == '/' || self == '/*'`,message="must be a path such as /login, or /auth/* for everything below one: letters, digits and . _ ~ @ : + -, without a slash at the end"
// +kubebuilder:validation:XValidation:rule="!self.split('/').exists(s, s == '.' || s == '..')",message="may not have . or .. as a part: the gate takes them out of what clients ask for"
type LoginPath string

// ClassLogins limits how often a client may try to log in. Each of the gate's replicas counts for itself.
//
// +kubebuilder:validation:XValidation:rule="!has(self.blockSeconds) || !has(self.periodSeconds) || self.blockSeconds >= self.periodSeconds",message="blockSeconds must be at least periodSeconds: otherwise what was counted before a block would block again after it"
type ClassLogins struct {
	// paths under which clients log in.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	Paths []LoginPath `json:"paths,omitempty"`

	// failureStatuses are the HTTP statuses by which the application says that a login failed. Where it answers a
	// wrong password with the same status as a right one, only maxRequests counts. Default: 401 and 403.
	// +optional
	// +listType=set
	// +kubebuilder:default={401,403}
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:items:Minimum=200
	// +kubebuilder:validation:items:Maximum=599
	FailureStatuses []int32 `json:"failureStatuses,omitempty"`

	// maxFailures is how many failed logins a client may have within periodSeconds; with the last of them it is
	// blocked. Default: 10.
	// +optional
	// +kubebuilder:default=10
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000
	MaxFailures int32 `json:"maxFailures,omitempty"`

	// maxRequests is how many requests to paths a client may make within periodSeconds, failed or not; the next
	// one blocks it. Clients behind one address count as one. Default: 60.
	// +optional
	// +kubebuilder:default=60
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000
	MaxRequests int32 `json:"maxRequests,omitempty"`

	// periodSeconds is the period that maxFailures and maxRequests count in; in seconds. Default: 60.
	// +optional
	// +kubebuilder:default=60
	// +kubebuilder:validation:Minimum=10
	// +kubebuilder:validation:Maximum=3600
	PeriodSeconds int32 `json:"periodSeconds,omitempty"`

	// blockSeconds is how long a client is refused at paths, with status 429; in seconds. Asking meanwhile does
	// not make it longer. Everything else is still served. Default: 600.
	// +optional
	// +kubebuilder:default=600
	// +kubebuilder:validation:Minimum=10
	// +kubebuilder:validation:Maximum=86400
	BlockSeconds int32 `json:"blockSeconds,omitempty"`
}

// ClassEdge is the gate in front of each tenant's application.
type ClassEdge struct {
	// image of the gate. Default: the one that this version of the operator was released with.
	// +optional
	Image ImageReference `json:"image,omitempty"`

	// replicas of the gate. Default: 2.
	// +optional
	// +kubebuilder:default=2
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10
	Replicas int32 `json:"replicas,omitempty"`

	// maxConnections that one replica holds at a time. compute.memory must have 40Ki for each and 48Mi for the
	// gate itself; otherwise the Tenant is Stalled (InvalidSpec). Default: 2000.
	// +optional
	// +kubebuilder:default=2000
	// +kubebuilder:validation:Minimum=10
	// +kubebuilder:validation:Maximum=100000
	MaxConnections int32 `json:"maxConnections,omitempty"`

	// hstsMaxAgeSeconds is how long browsers shall use only HTTPS (RFC 6797); in seconds. 0 sends no
	// header. Default: 31536000, one year.
	// +optional
	// +kubebuilder:default=31536000
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=63072000
	HSTSMaxAgeSeconds *int32 `json:"hstsMaxAgeSeconds,omitempty"`

	// maxRequestSeconds is how long the application may take to answer; in seconds. Default: 60.
	// +optional
	// +kubebuilder:default=60
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=3600
	MaxRequestSeconds int32 `json:"maxRequestSeconds,omitempty"`

	// logins limits how often a client may try to log in. Default: no limit.
	// +optional
	Logins *ClassLogins `json:"logins,omitempty"`

	// compute limits the gate's container. Default: 500m and 128Mi.
	// +optional
	// +kubebuilder:default={cpu: "500m", memory: "128Mi"}
	Compute Compute `json:"compute,omitzero"`

	// scheduling says on which nodes the gate may run.
	// +optional
	Scheduling Scheduling `json:"scheduling,omitzero"`
}

// ClientAddressMode says how the gate learns the address of a client.
//
// +kubebuilder:validation:Enum=Preserved;ProxyProtocol
type ClientAddressMode string

// The ways in which a load balancer hands over the address of a client.
const (
	// ClientAddressPreserved is a load balancer that leaves the client's address in the packets.
	ClientAddressPreserved ClientAddressMode = "Preserved"
	// ClientAddressProxyProtocol is a load balancer that connects by itself and says first for whom
	// (https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt, version 1 or 2).
	ClientAddressProxyProtocol ClientAddressMode = "ProxyProtocol"
)

// ClassLoadBalancer says how a tenant's Service of type LoadBalancer is made.
//
// +kubebuilder:validation:XValidation:rule="!has(self.clientAddress) || self.clientAddress != 'ProxyProtocol' || has(self.proxyRanges) && size(self.proxyRanges) > 0",message="clientAddress ProxyProtocol needs the load balancer's own networks in proxyRanges: only what comes from there is believed"
// +kubebuilder:validation:XValidation:rule="has(self.clientAddress) && self.clientAddress == 'ProxyProtocol' || !has(self.proxyRanges) || size(self.proxyRanges) == 0",message="proxyRanges only has a meaning with clientAddress ProxyProtocol; set clientAddress or remove proxyRanges"
// +kubebuilder:validation:XValidation:rule="!has(self.proxyRanges) || self.proxyRanges.all(r, !isCIDR(r) || cidr(r).prefixLength() >= 8)",message="proxyRanges are the load balancer's own networks, of prefix length 8 or longer: whoever connects from there may claim any client address"
type ClassLoadBalancer struct {
	// class is the Service's loadBalancerClass. Default: the cluster's default implementation. It cannot
	// change on Services that exist, so it cannot change here.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$')",message="must be a load balancer class such as example.com/internal"
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="class cannot change: Kubernetes does not let a Service change it"
	Class string `json:"class,omitempty"`

	// annotations that the implementation reads from the Service.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(k, !k.contains('freehold.dev/') && k.matches('^([a-z0-9.-]{1,253}/)?[A-Za-z0-9][A-Za-z0-9._-]{0,62}$') && size(self[k]) <= 1024)",message="annotation names must be valid and not Freehold's, values have at most 1024 characters"
	Annotations map[string]string `json:"annotations,omitempty"`

	// addressAnnotation is the annotation by which the implementation takes the wish for a fixed address,
	// for example metallb.io/loadBalancerIPs. Without it a Tenant with network.address is Stalled.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$') && !self.contains('freehold.dev/')",message="must be the name of an annotation such as metallb.io/loadBalancerIPs, and none of Freehold's"
	AddressAnnotation string `json:"addressAnnotation,omitempty"`

	// allocateNodePorts opens a port on every node for implementations that need one, as those of most clouds do
	// whose load balancers send to nodes; docs/install.md has a table. Node ports by-pass
	// nothing of the tenant's walls, but they are open doors beside 443. Default: false.
	// +optional
	AllocateNodePorts bool `json:"allocateNodePorts,omitempty"` //nolint:kubeapilinter // Unset and false mean the same.

	// clientAddress is how the gate learns a client's address: Preserved (the default), where it is the sender of
	// the packets, or ProxyProtocol, where the load balancer says it. With ProxyProtocol only the gate knows the
	// client: it alone enforces a Tenant's allowed and denied networks, and the walls let nothing but the load
	// balancer through. Switch the load balancer over (by annotations) in the same edit: until both agree nobody
	// gets in.
	// +optional
	// +kubebuilder:default=Preserved
	ClientAddress ClientAddressMode `json:"clientAddress,omitempty"`

	// proxyRanges are the networks from which the load balancer connects, with clientAddress ProxyProtocol. What
	// they say about the client is believed; who else connects is turned away.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	ProxyRanges []CIDR `json:"proxyRanges,omitempty"`

	// healthCheckSourceRanges are networks from which the load balancer checks the gate's health, where it does so
	// from others than clients: they may connect unless the gate is closed. At the gate they are clients like any
	// other, which is enough for a check that only connects (TCP); one that asks for a page needs a Tenant whose
	// network admits it.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	HealthCheckSourceRanges []CIDR `json:"healthCheckSourceRanges,omitempty"`
}

// EgressRule is a network that the application may connect to.
type EgressRule struct {
	// cidr of the destination. Link-local addresses and the cluster's own networks are always cut out of it.
	// +required
	CIDR CIDR `json:"cidr,omitempty"`

	// ports of the destination (TCP).
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:Minimum=1
	// +kubebuilder:validation:items:Maximum=65535
	Ports []int32 `json:"ports,omitempty"`
}

// ClassTLS is where the certificates of a class's tenants come from.
type ClassTLS struct {
	// issuerRef names the cert-manager issuer for tenants that name neither issuer nor Secret.
	// Default: each tenant's own internal authority.
	// +optional
	IssuerRef *IssuerReference `json:"issuerRef,omitempty"`
}

// TenantClassSpec is a product and its plan. An edit reaches no running tenant until its update is approved. The
// exception is what needs no restart, and applies at once: load balancer, egress, TLS issuer, the number of the
// gate's replicas, quotaHeadroom, sizes of volumes, the claim of a new data volume (it is mounted when the update
// is approved) and new generated values.
//
// +kubebuilder:validation:XValidation:rule="!has(self.loadBalancer) && !has(oldSelf.loadBalancer) || (has(self.loadBalancer) && has(self.loadBalancer.class)) == (has(oldSelf.loadBalancer) && has(oldSelf.loadBalancer.class))",message="loadBalancer.class cannot be set or removed later: Kubernetes does not let a Service change it"
type TenantClassSpec struct {
	// app is the application.
	// +required
	App ClassApp `json:"app,omitzero"`

	// database is the PostgreSQL server of each tenant.
	// +optional
	// +kubebuilder:default={name: "app", user: "app", storage: {size: "10Gi"}, compute: {cpu: "1", memory: "512Mi"}}
	Database ClassDatabase `json:"database,omitzero"`

	// edge is the gate of each tenant.
	// +optional
	// +kubebuilder:default={replicas: 2, maxConnections: 2000, hstsMaxAgeSeconds: 31536000, maxRequestSeconds: 60, compute: {cpu: "500m", memory: "128Mi"}}
	Edge ClassEdge `json:"edge,omitzero"`

	// loadBalancer says how each tenant's LoadBalancer Service is made.
	// +optional
	LoadBalancer ClassLoadBalancer `json:"loadBalancer,omitzero"`

	// allowedEgress are networks that the application may connect to. Default: none; DNS and the tenant's
	// own database are always allowed.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	AllowedEgress []EgressRule `json:"allowedEgress,omitempty"`

	// tls says where certificates come from.
	// +optional
	TLS ClassTLS `json:"tls,omitzero"`

	// quotaHeadroom is added to the namespace's ResourceQuota, which otherwise fits the instance and
	// Freehold's own short-lived pods exactly. Keys: requests.cpu, requests.memory, requests.storage,
	// limits.cpu, limits.memory, pods and persistentvolumeclaims.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self.all(k, k in ['requests.cpu','requests.memory','requests.storage','limits.cpu','limits.memory','pods','persistentvolumeclaims'])",message="quotaHeadroom may have these keys: requests.cpu, requests.memory, requests.storage, limits.cpu, limits.memory, pods, persistentvolumeclaims"
	// +kubebuilder:validation:XValidation:rule="self.all(k, quantity(string(self[k])).compareTo(quantity('0')) >= 0)",message="quotaHeadroom is added to the quota and cannot be negative"
	// +kubebuilder:validation:MaxProperties=7
	QuotaHeadroom corev1.ResourceList `json:"quotaHeadroom,omitempty"`
}

// TenantClass is a product and its plan: what the instances of its tenants are made of.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,shortName=tnc,categories=freehold
// +kubebuilder:printcolumn:name="Image",type=string,JSONPath=`.spec.app.image`
// +kubebuilder:printcolumn:name="Database",type=string,JSONPath=`.spec.database.storage.size`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type TenantClass struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// spec is the product and its plan.
	// +required
	Spec TenantClassSpec `json:"spec,omitzero"`
}

// TenantClassList is a list of TenantClasses.
//
// +kubebuilder:object:root=true
type TenantClassList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`
	// items of the list.
	Items []TenantClass `json:"items"`
}
