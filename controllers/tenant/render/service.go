// SPDX-License-Identifier: Apache-2.0

package render

import (
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/utils/ptr"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// maxSourceRanges is how many networks a Service's source ranges may grow to by taking denied ones out. Clouds
// make one firewall rule of each, and the scarcest allow sixty.
const maxSourceRanges = 50

func services(in Inputs, balancers balancers) ([]*corev1ac.ServiceApplyConfiguration, error) {
	gate, err := edgeService(in, balancers)
	if err != nil {
		return nil, err
	}
	return append([]*corev1ac.ServiceApplyConfiguration{databaseService(in), appService(in), gate}, repositoryServices(in)...), nil
}

func service(in Inputs, name, component string, port *corev1ac.ServicePortApplyConfiguration) *corev1ac.ServiceApplyConfiguration {
	return corev1ac.Service(name, namespaceOf(in)).WithLabels(labels(in, component)).
		WithSpec(corev1ac.ServiceSpec().
			WithSelector(map[string]string{v1alpha1.LabelServes: component}).
			WithPorts(port.WithProtocol(corev1.ProtocolTCP)))
}

// databaseService is headless: the name leads to the one pod, also before it is ready, so that clients meet its own
// answer instead of a name that does not exist.
func databaseService(in Inputs) *corev1ac.ServiceApplyConfiguration {
	port := corev1ac.ServicePort().WithName("postgresql").WithPort(meta.PortDatabase).
		WithTargetPort(intstr.FromInt32(meta.PortDatabase))
	made := service(in, meta.DatabaseService, meta.ComponentDatabase, port)
	made.Spec.WithClusterIP(corev1.ClusterIPNone).WithPublishNotReadyAddresses(true)
	return made
}

// appService keeps its port whatever port the application listens on: the gate of one revision reaches the
// application of another.
func appService(in Inputs) *corev1ac.ServiceApplyConfiguration {
	port := corev1ac.ServicePort().WithName(meta.AppPortName).WithPort(meta.PortAppService).
		WithTargetPort(intstr.FromString(meta.AppPortName))
	made := service(in, meta.AppService, meta.ComponentApp, port)
	made.Spec.WithType(corev1.ServiceTypeClusterIP)
	return made
}

// edgeService is the tenant's public address, with one port. Source ranges and node ports are always written out:
// what Kubernetes makes of leaving them out is everyone, and a port on every node.
func edgeService(in Inputs, balancers balancers) (*corev1ac.ServiceApplyConfiguration, error) {
	sources, err := sourceRanges(in, balancers)
	if err != nil {
		return nil, err
	}
	annotations, err := loadBalancerAnnotations(in)
	if err != nil {
		return nil, err
	}
	port := corev1ac.ServicePort().WithName("https").WithPort(meta.PortPublic).
		WithTargetPort(intstr.FromInt32(meta.PortEdge))
	made := service(in, meta.EdgeService, meta.ComponentEdge, port)
	made.Spec.WithType(corev1.ServiceTypeLoadBalancer).
		WithExternalTrafficPolicy(corev1.ServiceExternalTrafficPolicyLocal).
		WithAllocateLoadBalancerNodePorts(in.Class.Spec.LoadBalancer.AllocateNodePorts).
		WithLoadBalancerSourceRanges(sources...)
	if class := loadBalancerClass(in); class != "" {
		made.Spec.WithLoadBalancerClass(class)
	}
	if len(annotations) > 0 {
		made.WithAnnotations(annotations)
	}
	return made, nil
}

// loadBalancerClass is the class's, or the one that the live Service has: Kubernetes lets nobody change it.
func loadBalancerClass(in Inputs) string {
	if in.Gate == nil || in.Gate.Spec.Type != corev1.ServiceTypeLoadBalancer {
		return in.Class.Spec.LoadBalancer.Class
	}
	return ptr.Deref(in.Gate.Spec.LoadBalancerClass, "")
}

// sourceRanges are the client networks without the denied ones. Where that needs too many networks the denied ones
// stay in: NetworkPolicy and gate refuse them all the same.
//
// The load balancer's own networks are among them: some implementations compare the ranges with the client, some, and
// kube-proxy, with whoever connects.
func sourceRanges(in Inputs, balancers balancers) ([]string, error) {
	denied, err := parseRanges("spec.network.deniedRanges", in.Tenant.Spec.Network.DeniedRanges)
	if err != nil {
		return nil, err
	}
	allowed, err := allowedRanges(in)
	if err != nil {
		return nil, err
	}
	sources := subtract(allowed, denied)
	if len(sources) > maxSourceRanges {
		sources = allowed
	}
	sources = widest(append(sources, balancers.all()...))
	if len(sources) == 0 {
		return []string{nobody.String()}, nil
	}
	return prefixStrings(sources), nil
}

// loadBalancerAnnotations are the class's, and the wish for a fixed address.
func loadBalancerAnnotations(in Inputs) (map[string]string, error) {
	annotations := maps.Clone(in.Class.Spec.LoadBalancer.Annotations)
	address := in.Tenant.Spec.Network.Address
	if address == "" {
		return annotations, nil
	}
	name := in.Class.Spec.LoadBalancer.AddressAnnotation
	if name == "" {
		return nil, invalid("spec.network.address is set, but class %s does not say how its load balancer takes a fixed address; set spec.loadBalancer.addressAnnotation of the class or remove the address", in.Class.Name)
	}
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[name] = address
	return annotations, nil
}
