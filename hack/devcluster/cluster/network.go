// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
)

const (
	nodeBridge   = "dcnode"
	lbBridge     = "dclb"
	clientBridge = "dcext"
	siteBridge   = "dcsites"
	guardTable   = "dc-guard"
	forwardFile  = "/proc/sys/net/ipv4/ip_forward"
)

// bridges are port-less bridges, used as dummy interfaces: the dummy driver is missing from some kernels.
func bridges() map[string]string {
	return map[string]string{
		nodeBridge:   NodeIP + "/32",
		lbBridge:     loadBalancerGateway + "/24",
		clientBridge: clientGateway + "/24",
		siteBridge:   siteGateway + "/24",
	}
}

// machine is a computer outside the cluster, with an address of its own: an external client or a backup site.
type machine struct{ name, address, bridge, gateway string }

// machines are all of them.
func machines() []machine {
	var out []machine
	for name, address := range Clients() {
		out = append(out, machine{name, address, clientBridge, clientGateway})
	}
	for _, s := range Sites() {
		out = append(out, machine{s.Name, s.Address, siteBridge, siteGateway})
	}
	return out
}

// machineNamespace is the network namespace of a machine outside the cluster.
func machineNamespace(name string) string { return "dc-" + name }

// ensureNetwork makes the node's address, the LoadBalancer network, the machines outside and the guard. A network namespace
// made by `ip netns` must exist before the first pod: the first one mounts /run/netns onto itself, and namespaces
// that the CNI plugin mounted earlier would be stuck below that mount.
func (l Layout) ensureNetwork(ctx context.Context) error {
	if err := l.enableForwarding(); err != nil {
		return err
	}
	if err := ensureGuard(ctx); err != nil {
		return err
	}
	for name, address := range bridges() {
		if err := ensureBridge(ctx, name, address); err != nil {
			return err
		}
	}
	for _, m := range machines() {
		if err := ensureMachine(ctx, m); err != nil {
			return fmt.Errorf("machine %s outside the cluster: %w", m.name, err)
		}
	}
	return nil
}

func ensureBridge(ctx context.Context, name, address string) error {
	if !linkExists(name) {
		if _, err := run(ctx, "ip", "link", "add", name, "type", "bridge"); err != nil {
			return err
		}
	}
	if _, err := run(ctx, "ip", "address", "replace", address, "dev", name); err != nil {
		return err
	}
	_, err := run(ctx, "ip", "link", "set", name, "up")
	return err
}

func ensureMachine(ctx context.Context, m machine) error {
	ns, host := machineNamespace(m.name), "dc"+m.name
	if _, err := os.Stat("/run/netns/" + ns); err == nil && linkExists(host) {
		return nil
	}
	removeMachine(ctx, m.name) // half-made by a killed run
	steps := [][]string{
		{"netns", "add", ns},
		{"link", "add", host, "type", "veth", "peer", "name", "eth0", "netns", ns},
		{"link", "set", host, "master", m.bridge, "up"},
		{"-n", ns, "link", "set", "lo", "up"},
		{"-n", ns, "link", "set", "eth0", "up"},
		{"-n", ns, "address", "add", m.address + "/24", "dev", "eth0"},
		{"-n", ns, "route", "add", "default", "via", m.gateway},
	}
	for _, step := range steps {
		if _, err := run(ctx, "ip", step...); err != nil {
			return err
		}
	}
	return nil
}

// removeMachine is best effort: Down reports what is left.
func removeMachine(ctx context.Context, name string) {
	_, _ = run(ctx, "ip", "link", "delete", "dc"+name)
	_, _ = run(ctx, "ip", "netns", "delete", machineNamespace(name))
}

func linkExists(name string) bool {
	_, err := os.Stat("/sys/class/net/" + name)
	return err == nil
}

// enableForwarding remembers the value it found, so that Down can put it back.
func (l Layout) enableForwarding() error {
	found, err := os.ReadFile(forwardFile)
	if err != nil {
		return err
	}
	if strings.TrimSpace(string(found)) == "1" {
		return nil
	}
	if err := os.WriteFile(l.State("ip_forward.before"), found, 0o600); err != nil {
		return err
	}
	return os.WriteFile(forwardFile, []byte("1\n"), 0o644)
}

func (l Layout) restoreForwarding() error {
	before, err := os.ReadFile(l.State("ip_forward.before"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return os.WriteFile(forwardFile, before, 0o644)
}

// ensureGuard keeps the cluster on this machine: pods, clients and sites cannot reach the machine's network, and the
// machine's network cannot reach the node, pods, services, clients or sites.
func ensureGuard(ctx context.Context) error {
	if _, err := runInput(ctx, guardRules(), "nft", "-f", "-"); err != nil {
		return fmt.Errorf("guard table: %w", err)
	}
	return nil
}

// guardRules replaces the table in one transaction. Interfaces of ours are lo, dc* and the pods' veth*.
func guardRules() string {
	inside := fmt.Sprintf("{ %s, %s, %s, %s }", podSupernet, LoadBalancerCIDR, ClientCIDR, SiteCIDR)
	reachable := fmt.Sprintf("{ %s, %s, %s, %s, %s, %s }", nodeCIDR, podSupernet, ServiceCIDR, LoadBalancerCIDR, ClientCIDR, SiteCIDR)
	const fromOutside = `iifname != "dc*" iifname != "veth*" iifname != "lo"`
	return fmt.Sprintf(`add table inet %[1]s
delete table inet %[1]s
table inet %[1]s {
  chain prerouting {
    type filter hook prerouting priority raw; policy accept;
    %[4]s ip daddr %[3]s counter drop
  }
  chain forward {
    type filter hook forward priority filter - 10; policy accept;
    ip saddr %[2]s oifname != "dc*" oifname != "veth*" counter reject with icmpx type admin-prohibited
    %[4]s ip daddr %[3]s counter drop
  }
}
`, guardTable, inside, reachable, fromOutside)
}
