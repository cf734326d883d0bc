// SPDX-License-Identifier: Apache-2.0

package render

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// What the API defaults to is repeated here for fields that a user left out of an object that he did write, where
// the API server fills in nothing.
const (
	defaultAppUser         = 10001
	defaultGrace           = 30
	defaultStartupSeconds  = 300
	defaultEdgeReplicas    = 2
	defaultMaxConnections  = 2000
	defaultHSTSMaxAge      = 31536000
	defaultRequestSeconds  = 60
	defaultDatabaseName    = "app"
	defaultDatabaseUser    = "app"
	defaultDatabaseStorage = "10Gi"
	defaultClusterDomain   = "cluster.local"
)

// limits are what one container may use; half the processor time and all of the memory is requested.
type limits struct{ cpu, memory resource.Quantity }

var (
	defaultDatabaseLimits = limits{resource.MustParse("1"), resource.MustParse("512Mi")}
	defaultAppLimits      = limits{resource.MustParse("500m"), resource.MustParse("256Mi")}
	defaultEdgeLimits     = limits{resource.MustParse("500m"), resource.MustParse("128Mi")}
	// waitLimits are those of the init container that waits for the database.
	waitLimits = limits{resource.MustParse("100m"), resource.MustParse("64Mi")}
)

// overlay replaces what the layers say, later ones winning.
func (l limits) overlay(layers ...*v1alpha1.Compute) limits {
	for _, layer := range layers {
		if layer == nil {
			continue
		}
		if layer.CPU != nil {
			l.cpu = *layer.CPU
		}
		if layer.Memory != nil {
			l.memory = *layer.Memory
		}
	}
	return l
}

func (l limits) limitList() corev1.ResourceList {
	return corev1.ResourceList{corev1.ResourceCPU: l.cpu.DeepCopy(), corev1.ResourceMemory: l.memory.DeepCopy()}
}

func (l limits) requestList() corev1.ResourceList {
	half := resource.NewMilliQuantity(l.cpu.MilliValue()/2, resource.DecimalSI)
	return corev1.ResourceList{corev1.ResourceCPU: *half, corev1.ResourceMemory: l.memory.DeepCopy()}
}

func databaseLimits(in Inputs) limits {
	var override *v1alpha1.Compute
	if in.Tenant.Spec.Database != nil {
		override = in.Tenant.Spec.Database.Compute
	}
	return defaultDatabaseLimits.overlay(&in.Class.Spec.Database.Compute, override)
}

func appLimits(in Inputs) limits {
	var override *v1alpha1.Compute
	if in.Tenant.Spec.App != nil {
		override = in.Tenant.Spec.App.Compute
	}
	return defaultAppLimits.overlay(&in.Class.Spec.App.Compute, override)
}

func edgeLimits(in Inputs) limits {
	return defaultEdgeLimits.overlay(&in.Class.Spec.Edge.Compute)
}

// or is value, or fallback where value is zero.
func or[T comparable](value, fallback T) T {
	var zero T
	if value == zero {
		return fallback
	}
	return value
}

// access is who may reach the gate; lockdown closes it whatever else is written.
func access(in Inputs) v1alpha1.AccessMode {
	if in.Tenant.Spec.Lockdown {
		return v1alpha1.AccessClosed
	}
	return or(in.Tenant.Spec.Network.Access, v1alpha1.AccessOpen)
}

func edgeReplicas(c *v1alpha1.TenantClass) int32 {
	return or(c.Spec.Edge.Replicas, defaultEdgeReplicas)
}

func hstsMaxAge(c *v1alpha1.TenantClass) int32 {
	if c.Spec.Edge.HSTSMaxAgeSeconds == nil {
		return defaultHSTSMaxAge
	}
	return *c.Spec.Edge.HSTSMaxAgeSeconds
}

func databaseName(in Inputs) string {
	return or(string(in.Class.Spec.Database.Name), defaultDatabaseName)
}

func databaseUser(in Inputs) string {
	return or(string(in.Class.Spec.Database.User), defaultDatabaseUser)
}

func databaseImage(in Inputs) string {
	return or(string(in.Class.Spec.Database.Image), in.Images.Database)
}

func edgeImage(in Inputs) string {
	return or(string(in.Class.Spec.Edge.Image), in.Images.Edge)
}

func pullPolicy(in Inputs) corev1.PullPolicy {
	return or(in.Images.PullPolicy, corev1.PullIfNotPresent)
}

// parameters of postgresql.conf that users set: the class's, replaced one by one by the Tenant's.
func parameters(in Inputs) map[string]string {
	merged := map[string]string{}
	layers := []v1alpha1.PostgreSQLParameters{in.Class.Spec.Database.Parameters}
	if in.Tenant.Spec.Database != nil {
		layers = append(layers, in.Tenant.Spec.Database.Parameters)
	}
	for _, layer := range layers {
		for name, value := range layer {
			merged[name] = string(value)
		}
	}
	return merged
}

// appPort is the port that the application listens on, and whether it speaks TLS there.
func appPort(in Inputs) (port int32, tls bool) {
	if in.Class.Spec.App.TLSPort != 0 {
		return in.Class.Spec.App.TLSPort, true
	}
	return in.Class.Spec.App.Port, false
}

func displayName(in Inputs) string {
	return or(in.Tenant.Spec.DisplayName, in.Tenant.Name)
}

func clusterDomain(in Inputs) string {
	return or(in.Facts.ClusterDomain, defaultClusterDomain)
}

func namespaceOf(in Inputs) string { return meta.Namespace(in.Tenant.Name) }

func appHost(in Inputs) string { return meta.AppHost(namespaceOf(in), clusterDomain(in)) }

func databaseHost(in Inputs) string { return meta.DatabaseHost(namespaceOf(in), clusterDomain(in)) }

// labels of the objects of one component; of the whole instance where component is empty.
func labels(in Inputs, component string) map[string]string {
	return meta.Labels(in.Tenant.Name, in.InstanceID, component)
}
