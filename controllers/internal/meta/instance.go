// SPDX-License-Identifier: Apache-2.0

package meta

// Names inside an instance that its parts agree on.
const (
	// MonitorRole is the PostgreSQL role that the in-pod agent watches the server with; IdentMap is the
	// pg_ident.conf map that lets only the agent's user be it.
	MonitorRole = "freehold_monitor"
	IdentMap    = "freehold"

	// KeyHostsList in EdgeListsConfigMap holds the hostnames that the gate answers for, one a line.
	KeyHostsList = "hosts.lst"

	// KeyInstanceDatabase and KeyInstanceUser, in InstanceConfigMap and in the escrow, are the database that holds
	// the instance's data and the role that owns it.
	KeyInstanceDatabase = "database-name"
	KeyInstanceUser     = "database-user"

	// AppPortName is the name of the application's port, plain or TLS, which its Service points to.
	AppPortName = "app"
	// PortAppService is the port of the application's Service, whatever port the application listens on.
	PortAppService = 8080

	// AnnotationBoundClaims on the Namespace lists, sorted and separated by commas, the volumes that were
	// bound once: none of them is ever replaced by an empty one.
	AnnotationBoundClaims = "freehold.dev/bound-claims"

	// HAProxyStatsSocket is HAProxy's runtime interface inside the gate's pod.
	HAProxyStatsSocket = HAProxyRunDir + "/admin.sock"
)

// The containers of an instance's pods.
const (
	ContainerPrepare = "prepare"
	ContainerWait    = "wait-for-database"
	ContainerDB      = "postgres"
	ContainerApp     = "app"
	ContainerEdge    = "haproxy"
)

// The NetworkPolicies of a tenant's namespace.
const (
	PolicyDefaultDeny = "freehold-default-deny"
	PolicyDNS         = "freehold-dns"
	PolicyDatabase    = "freehold-database"
	PolicyApp         = "freehold-app"
	PolicyEdge        = "freehold-edge"
)
