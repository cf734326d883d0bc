// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// foreign is a network that this machine already uses, with the place where that was seen.
type foreign struct {
	prefix netip.Prefix
	what   string
}

// overlaps names every conflict between the cluster's ranges and the machine's.
func overlaps(ours []netip.Prefix, theirs []foreign) []string {
	var out []string
	for _, f := range theirs {
		for _, own := range ours {
			if own.Overlaps(f.prefix) {
				out = append(out, fmt.Sprintf("%s (%s) overlaps the cluster's %s", f.prefix, f.what, own))
			}
		}
	}
	return out
}

// parseRoutes reads `ip -4 route show table all`. The default route and the cluster's own interfaces do not count.
func parseRoutes(output string) []foreign {
	var out []foreign
	for line := range strings.Lines(output) {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.Contains(line, " dev dc") || strings.Contains(line, " dev veth") {
			continue
		}
		destination := fields[0]
		switch destination {
		case "default":
			continue
		case "local", "broadcast", "unreachable", "blackhole", "throw", "prohibit":
			if len(fields) < 2 || fields[1] == "default" {
				continue
			}
			destination = fields[1]
		}
		if prefix, err := parsePrefix(destination); err == nil {
			out = append(out, foreign{prefix, "route: " + strings.TrimSpace(line)})
		}
	}
	return out
}

// parsePrefix reads a network or a single address.
func parsePrefix(s string) (netip.Prefix, error) {
	if prefix, err := netip.ParsePrefix(s); err == nil {
		return prefix, nil
	}
	addr, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, err
	}
	return netip.PrefixFrom(addr, addr.BitLen()), nil
}

// parseResolvers reads the name servers of a resolv.conf.
func parseResolvers(resolvConf string) []foreign {
	var out []foreign
	for line := range strings.Lines(resolvConf) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "nameserver" {
			continue
		}
		if prefix, err := parsePrefix(fields[1]); err == nil {
			out = append(out, foreign{prefix, "name server in /etc/resolv.conf"})
		}
	}
	return out
}

var urlHost = regexp.MustCompile(`https?://([^/\s:\]]+)`)

// urlHosts returns the host names of the URLs in a package manager's sources.
func urlHosts(content string) []string {
	var out []string
	for _, match := range urlHost.FindAllStringSubmatch(content, -1) {
		out = append(out, match[1])
	}
	return out
}

// checkRanges refuses to start where the cluster's networks would cut off the machine's own: its routes, its name
// server, or the package mirrors and proxies that it is configured with.
func checkRanges(ctx context.Context) error {
	routes, err := run(ctx, "ip", "-4", "route", "show", "table", "all")
	if err != nil {
		return err
	}
	theirs := parseRoutes(routes)
	if content, err := os.ReadFile("/etc/resolv.conf"); err == nil {
		theirs = append(theirs, parseResolvers(string(content))...)
	}
	theirs = append(theirs, mirrors(ctx)...)
	if conflicts := overlaps(ownRanges(), theirs); len(conflicts) > 0 {
		return fmt.Errorf("the cluster's addresses are taken on this machine:\n  %s", strings.Join(conflicts, "\n  "))
	}
	return nil
}

// mirrors resolves the hosts of apt's sources and of the usual proxy variables; names that do not resolve are
// skipped, since an unreachable mirror cannot be cut off.
func mirrors(ctx context.Context) []foreign {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	hosts := map[string]bool{}
	files, _ := filepath.Glob("/etc/apt/sources.list.d/*")
	for _, file := range append(files, "/etc/apt/sources.list") {
		content, _ := os.ReadFile(file)
		for _, host := range urlHosts(string(content)) {
			hosts[host] = true
		}
	}
	for _, variable := range []string{"http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "GOPROXY"} {
		for _, host := range urlHosts(os.Getenv(variable)) {
			hosts[host] = true
		}
	}
	var out []foreign
	for host := range hosts {
		addresses, _ := net.DefaultResolver.LookupNetIP(ctx, "ip4", host)
		for _, address := range addresses {
			address = address.Unmap()
			out = append(out, foreign{netip.PrefixFrom(address, address.BitLen()), "package mirror or proxy " + host})
		}
	}
	return out
}

// checkPorts refuses to start a program whose port somebody else holds, which would otherwise be a riddle in a log.
func (l Layout) checkPorts() error {
	ports := map[string]string{
		"etcd": "127.0.0.1:2379", "controller-manager": "127.0.0.1:10257", "scheduler": "127.0.0.1:10259",
		"metallb": "127.0.0.1:7472", "kubelet": "127.0.0.1:10248", "proxy": "127.0.0.1:10249",
	}
	var taken []error
	for name, address := range ports {
		if _, alive := l.running(name); alive {
			continue
		}
		listener, err := net.Listen("tcp", address)
		if err != nil {
			taken = append(taken, fmt.Errorf("%s needs %s: %w", name, address, err))
			continue
		}
		_ = listener.Close()
	}
	return errors.Join(taken...)
}
