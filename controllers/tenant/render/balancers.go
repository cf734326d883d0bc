// SPDX-License-Identifier: Apache-2.0

package render

import (
	"net/netip"
	"slices"

	"github.com/freehold-dev/freehold/api/v1alpha1"
)

// balancers are the networks of the load balancer before the gate: proxies connect for clients and say for whom,
// checkers look whether the gate is well. A gate that is closed has none.
type balancers struct{ proxies, checkers []netip.Prefix }

func (b balancers) all() []netip.Prefix {
	return widest(append(slices.Clone(b.proxies), b.checkers...))
}

func balancersOf(in Inputs) (balancers, error) {
	wanted := in.Class.Spec.LoadBalancer
	field := func(name string) string { return "spec.loadBalancer." + name + " of class " + in.Class.Name }
	proxies, err := parseRanges(field("proxyRanges"), wanted.ProxyRanges)
	if err != nil {
		return balancers{}, err
	}
	checkers, err := parseRanges(field("healthCheckSourceRanges"), wanted.HealthCheckSourceRanges)
	if err != nil {
		return balancers{}, err
	}
	switch {
	case access(in) == v1alpha1.AccessClosed:
		return balancers{}, nil
	case !proxied(in):
		return balancers{checkers: widest(checkers)}, nil
	case len(proxies) == 0:
		return balancers{}, invalid("%s is empty, but with clientAddress ProxyProtocol nobody else is let in; name the load balancer's networks", field("proxyRanges"))
	}
	return balancers{proxies: widest(proxies), checkers: widest(checkers)}, nil
}

// proxied reports whether the load balancer connects by itself and says for whom.
func proxied(in Inputs) bool {
	return in.Class.Spec.LoadBalancer.ClientAddress == v1alpha1.ClientAddressProxyProtocol
}

// directList is who may connect without a load balancer that speaks for them, as far as the client lists admit them.
func directList(in Inputs) []string {
	if proxied(in) {
		return nil
	}
	return []string{everyone.String()}
}
