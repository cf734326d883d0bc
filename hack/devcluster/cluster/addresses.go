// SPDX-License-Identifier: Apache-2.0

package cluster

import "net/netip"

// The cluster's addresses. All of them stay on this machine: the guard table (see network.go) rejects what would
// leave and drops what would enter. None is documentation space, which some machines really use for their network.
const (
	// NodeIP is the address of the node, the API server and the kubelet.
	NodeIP = "10.90.0.1"
	// NodeName is the one node's name.
	NodeName = "node1"
	// PodCIDR is where pods get their addresses.
	PodCIDR = "10.244.0.0/24"
	// ServiceCIDR is where ClusterIPs come from.
	ServiceCIDR = "10.96.0.0/16"
	// APIServiceIP is the ClusterIP of Service default/kubernetes.
	APIServiceIP = "10.96.0.1"
	// DNSIP is the ClusterIP of the name service.
	DNSIP = "10.96.0.10"
	// LoadBalancerCIDR is the network of LoadBalancer addresses; LoadBalancerPool is the part given out.
	LoadBalancerCIDR = "198.18.0.0/24"
	// LoadBalancerPool is the range that the LoadBalancer implementation assigns from.
	LoadBalancerPool = "198.18.0.16-198.18.0.250"
	// ClientCIDR is the network of the external clients.
	ClientCIDR = "198.19.0.0/24"
	// SiteCIDR is the network of the backup sites.
	SiteCIDR = "198.19.1.0/24"

	nodeCIDR            = "10.90.0.0/16"
	podSupernet         = "10.244.0.0/16"
	loadBalancerGateway = "198.18.0.1"
	podGateway          = "10.244.0.1"
	clientGateway       = "198.19.0.1"
	siteGateway         = "198.19.1.1"
	etcdURL             = "http://127.0.0.1:2379"
	etcdPeerURL         = "http://127.0.0.1:2380"
	apiServerURL        = "https://" + NodeIP + ":6443"
)

// Clients are the external clients by name: machines outside the cluster, each in a network namespace of its own.
func Clients() map[string]string {
	return map[string]string{"c10": "198.19.0.10", "c20": "198.19.0.20"}
}

// ownRanges is every network that the cluster uses on this machine.
func ownRanges() []netip.Prefix {
	var out []netip.Prefix
	for _, cidr := range []string{nodeCIDR, podSupernet, ServiceCIDR, LoadBalancerCIDR, ClientCIDR, SiteCIDR} {
		out = append(out, netip.MustParsePrefix(cidr))
	}
	return out
}
