// SPDX-License-Identifier: Apache-2.0

package render_test

import (
	"net/netip"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/tenant/render"
)

const instanceID = "k7m2p9x4"

func facts() render.Facts {
	return render.Facts{
		ClusterDomain: "cluster.local",
		ClusterNetworks: []netip.Prefix{
			netip.MustParsePrefix("10.244.0.0/16"),
			netip.MustParsePrefix("10.96.0.0/16"),
			netip.MustParsePrefix("10.90.0.0/16"),
		},
		DNSNamespace:           "kube-system",
		DNSPodLabels:           map[string]string{"k8s-app": "kube-dns"},
		OperatorNamespace:      "freehold-system",
		OperatorServiceAccount: "freehold",
		TenantClusterRole:      "freehold-tenant",
	}
}

func inputs(tenant *v1alpha1.Tenant, class *v1alpha1.TenantClass) render.Inputs {
	return render.Inputs{
		Tenant: tenant, Class: class, InstanceID: instanceID,
		Images:      render.Images{Database: "freehold/postgres:0.1.0", Edge: "freehold/edge:0.1.0"},
		Facts:       facts(),
		TrustBundle: "-----BEGIN CERTIFICATE-----\n(one authority)\n-----END CERTIFICATE-----\n",
		SecretsHash: "5f2c9a",
	}
}

// miniflux is the simplest shape: configured by environment variables, plain HTTP, everything by default.
func miniflux() render.Inputs {
	tenant := &v1alpha1.Tenant{ObjectMeta: metav1.ObjectMeta{Name: "acme"}, Spec: v1alpha1.TenantSpec{
		ClassRef:    v1alpha1.ClassReference{Name: "miniflux"},
		DisplayName: "Acme Incorporated",
		Hostnames:   []v1alpha1.Hostname{"acme.example.com", "rss.acme.example"},
	}}
	class := &v1alpha1.TenantClass{ObjectMeta: metav1.ObjectMeta{Name: "miniflux"}, Spec: v1alpha1.TenantClassSpec{
		App: v1alpha1.ClassApp{
			Image: "miniflux/miniflux:2.2.6",
			Port:  8080,
			Env: []v1alpha1.EnvVar{
				{Name: "DATABASE_URL", Source: v1alpha1.EnvDatabaseURL},
				{Name: "RUN_MIGRATIONS", Value: "1"},
				{Name: "BASE_URL", Source: v1alpha1.EnvURL},
				{Name: "ADMIN_USERNAME", Value: "admin"},
				{Name: "ADMIN_PASSWORD", Generated: "admin-password"},
				{Name: "POCKET_KEY", SecretKeyRef: &v1alpha1.SecretKeyReference{
					SecretReference: v1alpha1.SecretReference{Name: "pocket"}, Key: "key", Optional: true}},
			},
			Probes: v1alpha1.AppProbes{Readiness: &v1alpha1.Probe{Path: "/healthcheck"}},
			Pod:    v1alpha1.PodSettings{RunAsUser: 998, RunAsGroup: 998, FSGroup: 998},
		},
		AllowedEgress: []v1alpha1.EgressRule{{CIDR: "0.0.0.0/0", Ports: []int32{80, 443}}},
	}}
	return inputs(tenant, class)
}

// dex is the other shape: configured by a file, HTTPS behind the gate, a data volume, and everything that a class
// and a Tenant can set.
func dex() render.Inputs {
	tenant := &v1alpha1.Tenant{ObjectMeta: metav1.ObjectMeta{Name: "globex"}, Spec: v1alpha1.TenantSpec{
		ClassRef:  v1alpha1.ClassReference{Name: "dex"},
		Hostnames: []v1alpha1.Hostname{"login.globex.example"},
		Network: v1alpha1.TenantNetwork{
			Access:        v1alpha1.AccessRestricted,
			AllowedRanges: []v1alpha1.CIDR{"198.51.100.0/24", "10.0.0.0/8"},
			DeniedRanges:  []v1alpha1.CIDR{"198.51.100.128/25"},
			Address:       "203.0.113.77",
		},
		TLS: v1alpha1.TenantTLS{MinVersion: v1alpha1.TLSv13,
			IssuerRef: &v1alpha1.IssuerReference{Name: "letsencrypt", Kind: "ClusterIssuer", Group: "cert-manager.io"}},
		Database: &v1alpha1.TenantDatabase{
			Storage:    ptr.To(resource.MustParse("20Gi")),
			Compute:    &v1alpha1.Compute{Memory: ptr.To(resource.MustParse("2Gi"))},
			Parameters: v1alpha1.PostgreSQLParameters{"statement_timeout": "30s"},
		},
		App:             &v1alpha1.TenantApp{Compute: &v1alpha1.Compute{CPU: ptr.To(resource.MustParse("2"))}},
		BackupPolicyRef: &v1alpha1.BackupPolicyReference{Name: "two-sites"},
	}}
	class := &v1alpha1.TenantClass{ObjectMeta: metav1.ObjectMeta{Name: "dex"}, Spec: v1alpha1.TenantClassSpec{
		App: v1alpha1.ClassApp{
			Image:           "dexidp/dex@sha256:4f1c0f5a3e8f0f2a5c4d6b7e8a9b0c1d2e3f405162738495a6b7c8d9e0f1a2b3",
			ImagePullPolicy: corev1.PullNever,
			TLSPort:         5556,
			Command:         []string{"/usr/bin/dex"},
			Args:            []string{"serve", "/etc/dex/config.yaml"},
			Env: []v1alpha1.EnvVar{
				{Name: "DB_HOST", Source: v1alpha1.EnvDatabaseHost}, {Name: "DB_PORT", Source: v1alpha1.EnvDatabasePort},
				{Name: "DB_NAME", Source: v1alpha1.EnvDatabaseName}, {Name: "DB_USER", Source: v1alpha1.EnvDatabaseUser},
				{Name: "DB_PASSWORD", Source: v1alpha1.EnvDatabasePassword}, {Name: "DB_CA", Source: v1alpha1.EnvDatabaseCAFile},
				{Name: "TLS_CERT", Source: v1alpha1.EnvTLSCertificateFile}, {Name: "TLS_KEY", Source: v1alpha1.EnvTLSKeyFile},
				{Name: "HOST", Source: v1alpha1.EnvHostname}, {Name: "TENANT", Source: v1alpha1.EnvTenantName},
				{Name: "TITLE", Source: v1alpha1.EnvDisplayName},
			},
			Files: []v1alpha1.ConfigFile{
				{Path: "/etc/dex/config.yaml", Content: "issuer: https://example.com # not \"expanded\": $(DB_HOST)\n"},
				{Path: "/etc/dex/theme.css", Content: "body { color: black }\n"},
			},
			DataVolume: &v1alpha1.DataVolume{MountPath: "/var/lib/dex", Size: resource.MustParse("1Gi"), StorageClassName: "fast"},
			Probes:     v1alpha1.AppProbes{Readiness: &v1alpha1.Probe{Path: "/healthz"}, StartupSeconds: 61},
			Compute:    v1alpha1.Compute{CPU: ptr.To(resource.MustParse("250m")), Memory: ptr.To(resource.MustParse("128Mi"))},
			Pod: v1alpha1.PodSettings{RunAsUser: 1001, RunAsGroup: 1001, FSGroup: 1001,
				WritablePaths: []v1alpha1.AbsolutePath{"/var/cache/dex"}, TerminationGracePeriodSeconds: 10,
				Scheduling: v1alpha1.Scheduling{NodeSelector: map[string]v1alpha1.LabelValue{"pool": "apps"},
					Tolerations: []corev1.Toleration{{Key: "pool", Operator: corev1.TolerationOpEqual, Value: "apps", Effect: corev1.TaintEffectNoSchedule}}}},
		},
		Database: v1alpha1.ClassDatabase{Image: "registry.example/postgres:17.12", Name: "dex", User: "dex_owner",
			Storage:    v1alpha1.DatabaseStorage{Size: resource.MustParse("5Gi"), StorageClassName: "fast"},
			Compute:    v1alpha1.Compute{CPU: ptr.To(resource.MustParse("2")), Memory: ptr.To(resource.MustParse("1Gi"))},
			Parameters: v1alpha1.PostgreSQLParameters{"statement_timeout": "60s", "max_connections": "50", "timezone": "Europe/Vienna"}},
		Edge: v1alpha1.ClassEdge{Image: "registry.example/edge:3.0.11", Replicas: 1, MaxConnections: 500,
			HSTSMaxAgeSeconds: ptr.To(int32(0)), MaxRequestSeconds: 120},
		LoadBalancer: v1alpha1.ClassLoadBalancer{Class: "metallb.io/metallb", Annotations: map[string]string{"metallb.io/address-pool": "public"},
			AddressAnnotation: "metallb.io/loadBalancerIPs", AllocateNodePorts: true},
		AllowedEgress: []v1alpha1.EgressRule{
			{CIDR: "192.0.2.0/24", Ports: []int32{636}},
			{CIDR: "10.96.0.0/24", Ports: []int32{443}},
		},
		QuotaHeadroom: corev1.ResourceList{corev1.ResourceLimitsMemory: resource.MustParse("1Gi")},
	}}
	in := inputs(tenant, class)
	in.Images.PullPolicy = corev1.PullNever
	in.Initialized, in.BoundClaims = true, []string{"db-0001", "app-0001"}
	in.Facts.DNSAddresses = []netip.Prefix{netip.MustParsePrefix("169.254.20.10/32")}
	in.Backup = twoSites()
	return in
}

// twoSites is a policy with a bucket at a port of its own and an SSH server.
func twoSites() *v1alpha1.BackupPolicy {
	return &v1alpha1.BackupPolicy{ObjectMeta: metav1.ObjectMeta{Name: "two-sites"}, Spec: v1alpha1.BackupPolicySpec{
		Destinations: []v1alpha1.BackupDestination{
			{Name: "site-b", Networks: []v1alpha1.CIDR{"192.0.2.40/32"},
				Credentials: v1alpha1.DestinationCredentials{SecretName: "site-b-{tenant}"},
				SFTP:        &v1alpha1.SFTPDestination{Host: "backup.example.net", User: "{tenant}"}},
			{Name: "site-a", Region: "eu-central-1", Networks: []v1alpha1.CIDR{"198.51.100.0/24", "192.0.2.0/28"},
				Credentials: v1alpha1.DestinationCredentials{SecretName: "site-a-{tenant}"},
				S3:          &v1alpha1.S3Destination{Endpoint: "s3.example.com", Port: 7443, Bucket: "backups"}},
		},
	}}
}

// shelved is the simplest shape, backed up to a bucket and to a volume.
func shelved() render.Inputs {
	in := miniflux()
	in.Tenant.Name = "initech"
	in.Tenant.Spec.BackupPolicyRef = &v1alpha1.BackupPolicyReference{Name: "nightly"}
	in.Class.Spec.Database.Scheduling = v1alpha1.Scheduling{
		NodeSelector: map[string]v1alpha1.LabelValue{"disk": "fast"}, Tolerations: []corev1.Toleration{{Key: "db", Operator: corev1.TolerationOpExists}}}
	in.Backup = &v1alpha1.BackupPolicy{ObjectMeta: metav1.ObjectMeta{Name: "nightly"}, Spec: v1alpha1.BackupPolicySpec{
		Destinations: []v1alpha1.BackupDestination{twoSites().Spec.Destinations[1],
			{Name: "shelf", Volume: &v1alpha1.VolumeDestination{Size: resource.MustParse("20Gi"), StorageClassName: "slow"}}},
	}}
	return in
}

// limited is miniflux in a class that limits logins.
func limited() render.Inputs {
	in := miniflux()
	in.Class.Spec.Edge.Logins = &v1alpha1.ClassLogins{Paths: []v1alpha1.LoginPath{"/login", "/auth/*", "/"}, FailureStatuses: []int32{403, 200}}
	return in
}

func mustRevision(t testing.TB, in render.Inputs) *render.Revision {
	t.Helper()
	revision, err := render.NewRevision(in)
	if err != nil {
		t.Fatalf("the revision could not be rendered: %v", err)
	}
	return revision
}

func mustLive(t testing.TB, in render.Inputs) *render.Objects {
	t.Helper()
	objects, err := render.Live(in)
	if err != nil {
		t.Fatalf("the live objects could not be rendered: %v", err)
	}
	return objects
}
