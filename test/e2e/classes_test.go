// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"os"
	"path/filepath"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/freehold-dev/freehold/api/v1alpha1"
)

const (
	minifluxName  = "e2e-miniflux"
	headscaleName = "e2e-headscale"
)

func imageOr(variable, local string) v1alpha1.ImageReference {
	if given := os.Getenv(variable); given != "" {
		return v1alpha1.ImageReference(given)
	}
	return v1alpha1.ImageReference(local)
}

// small makes room for several tenants on a machine with two cores: half of cpu is reserved.
func small(cpu, memory string) v1alpha1.Compute {
	return v1alpha1.Compute{CPU: ptr.To(resource.MustParse(cpu)), Memory: ptr.To(resource.MustParse(memory))}
}

// classes are there for all stories. A story that changes one, or needs another, makes one of its own.
func classes() []*v1alpha1.TenantClass {
	return []*v1alpha1.TenantClass{minifluxClass(), headscaleClass()}
}

// minifluxClass is an application that is configured by environment variables and speaks plain HTTP.
func minifluxClass() *v1alpha1.TenantClass {
	class := &v1alpha1.TenantClass{ObjectMeta: metav1.ObjectMeta{Name: minifluxName}}
	class.Spec.App = v1alpha1.ClassApp{
		Image: imageOr("MINIFLUX_IMAGE", "localhost/miniflux:dev"), ImagePullPolicy: corev1.PullIfNotPresent, Port: 8080,
		Env: []v1alpha1.EnvVar{
			{Name: "DATABASE_URL", Source: v1alpha1.EnvDatabaseURL},
			{Name: "BASE_URL", Source: v1alpha1.EnvURL},
			{Name: "LISTEN_ADDR", Value: "0.0.0.0:8080"},
			{Name: "RUN_MIGRATIONS", Value: "1"},
			{Name: "CREATE_ADMIN", Value: "1"},
			{Name: "ADMIN_USERNAME", Value: "admin"},
			{Name: "ADMIN_PASSWORD", Generated: "admin-password"},
		},
		Probes:  v1alpha1.AppProbes{Readiness: &v1alpha1.Probe{Path: "/healthcheck"}},
		Compute: small("200m", "128Mi"),
		Pod:     v1alpha1.PodSettings{RunAsUser: 998, RunAsGroup: 998, FSGroup: 998},
	}
	smallAround(&class.Spec)
	return class
}

// headscaleClass is an application of another shape: a configuration file, its own TLS, a data volume.
func headscaleClass() *v1alpha1.TenantClass {
	config, err := os.ReadFile(filepath.Join(root(), "hack", "images", "headscale", "config.yaml"))
	Expect(err).NotTo(HaveOccurred())
	class := &v1alpha1.TenantClass{ObjectMeta: metav1.ObjectMeta{Name: headscaleName}}
	class.Spec.App = v1alpha1.ClassApp{
		Image: imageOr("HEADSCALE_IMAGE", "localhost/headscale:dev"), ImagePullPolicy: corev1.PullIfNotPresent, TLSPort: 8443,
		Files: []v1alpha1.ConfigFile{{Path: "/etc/headscale/config.yaml", Content: string(config)}},
		Env: []v1alpha1.EnvVar{
			{Name: "HEADSCALE_SERVER_URL", Source: v1alpha1.EnvURL},
			{Name: "HEADSCALE_TLS_CERT_PATH", Source: v1alpha1.EnvTLSCertificateFile},
			{Name: "HEADSCALE_TLS_KEY_PATH", Source: v1alpha1.EnvTLSKeyFile},
			{Name: "HEADSCALE_DATABASE_POSTGRES_HOST", Source: v1alpha1.EnvDatabaseHost},
			{Name: "HEADSCALE_DATABASE_POSTGRES_PORT", Source: v1alpha1.EnvDatabasePort},
			{Name: "HEADSCALE_DATABASE_POSTGRES_NAME", Source: v1alpha1.EnvDatabaseName},
			{Name: "HEADSCALE_DATABASE_POSTGRES_USER", Source: v1alpha1.EnvDatabaseUser},
			{Name: "HEADSCALE_DATABASE_POSTGRES_PASS", Source: v1alpha1.EnvDatabasePassword},
			{Name: "PGSSLROOTCERT", Source: v1alpha1.EnvDatabaseCAFile},
		},
		DataVolume: &v1alpha1.DataVolume{MountPath: "/var/lib/headscale", Size: resource.MustParse("64Mi")},
		Probes:     v1alpha1.AppProbes{Readiness: &v1alpha1.Probe{Path: "/health"}},
		Compute:    small("200m", "192Mi"),
		Pod:        v1alpha1.PodSettings{RunAsUser: 1001, RunAsGroup: 1001, FSGroup: 1001},
	}
	class.Spec.Database.Name, class.Spec.Database.User = "headscale", "headscale"
	smallAround(&class.Spec)
	return class
}

// smallAround sizes what stands around the application.
func smallAround(spec *v1alpha1.TenantClassSpec) {
	spec.Database.Storage.Size = resource.MustParse("512Mi")
	spec.Database.Compute = small("300m", "256Mi")
	spec.Edge.Replicas = 1
	spec.Edge.Compute = small("100m", "128Mi")
	spec.Edge.HSTSMaxAgeSeconds = ptr.To[int32](31536000)
	spec.LoadBalancer.AddressAnnotation = os.Getenv("ADDRESS_ANNOTATION")
	if onLocalCluster() {
		spec.LoadBalancer.AddressAnnotation = "metallb.io/loadBalancerIPs"
	}
}
