// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/freehold-dev/freehold/hack/devcluster/images"
)

func TestAnEmptyMachineHasNoConflicts(t *testing.T) {
	routes := parseRoutes(`default via 192.0.2.1 dev eth0
192.0.2.0/24 dev eth0 proto kernel scope link src 192.0.2.2
local 192.0.2.2 dev eth0 table local proto kernel scope host src 192.0.2.2
local 127.0.0.0/8 dev lo table local proto kernel scope host src 127.0.0.1
broadcast 192.0.2.255 dev eth0 table local proto kernel scope link src 192.0.2.2
`)
	if len(routes) != 4 {
		t.Fatalf("every route but the default one counts, got %v", routes)
	}
	if got := overlaps(ownRanges(), routes); len(got) != 0 {
		t.Errorf("unexpected conflicts: %v", got)
	}
}

func TestTheClustersOwnRoutesAreNoConflict(t *testing.T) {
	routes := parseRoutes(`local 10.90.0.1 dev dcnode table local proto kernel scope host src 10.90.0.1
198.18.0.0/24 dev dclb proto kernel scope link src 198.18.0.1
10.244.0.7 dev veth12ab34cd scope host
`)
	if len(routes) != 0 {
		t.Errorf("a second up would be refused because of %v", routes)
	}
}

func TestConflictsAreNamed(t *testing.T) {
	for name, test := range map[string]struct {
		theirs []foreign
		want   string
	}{
		"a wider route around pods":      {parseRoutes("10.0.0.0/8 via 10.1.1.1 dev eth0\n"), "10.244.0.0/16"},
		"a single address inside a pool": {parseRoutes("198.18.0.99 dev wg0 scope link\n"), "198.18.0.0/24"},
		"an unreachable range":           {parseRoutes("unreachable 10.96.0.0/12 dev lo\n"), "10.96.0.0/16"},
		"the name server":                {parseResolvers("# x\nsearch a\nnameserver 10.96.0.2\n"), "10.96.0.0/16"},
	} {
		t.Run(name, func(t *testing.T) {
			got := overlaps(ownRanges(), test.theirs)
			if !slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, test.want) }) {
				t.Errorf("conflict with %s was not found: %v", test.want, got)
			}
		})
	}
}

func TestHostsOfMirrorsAreFound(t *testing.T) {
	got := urlHosts("deb http://archive.example/debian trixie main\nURIs: https://mirror.example:8443/x\n")
	if want := []string{"archive.example", "mirror.example"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestRangesOfTheClusterDoNotOverlapEachOther(t *testing.T) {
	ranges := ownRanges()
	for i, a := range ranges {
		for _, b := range ranges[i+1:] {
			if a.Overlaps(b) {
				t.Errorf("%s overlaps %s", a, b)
			}
		}
	}
}

func TestEveryAddressLiesInItsRange(t *testing.T) {
	for address, cidr := range map[string]string{
		DNSIP: ServiceCIDR, APIServiceIP: ServiceCIDR, NodeIP: nodeCIDR, podGateway: PodCIDR,
		loadBalancerGateway: LoadBalancerCIDR, clientGateway: ClientCIDR,
		Clients()["c10"]: ClientCIDR, Clients()["c20"]: ClientCIDR,
		siteGateway: SiteCIDR, Sites()[0].Address: SiteCIDR, Sites()[1].Address: SiteCIDR, Sites()[2].Address: SiteCIDR,
	} {
		if !netip.MustParsePrefix(cidr).Contains(netip.MustParseAddr(address)) {
			t.Errorf("%s is not in %s", address, cidr)
		}
	}
}

func TestMissingPackagesAreListedOnce(t *testing.T) {
	needed := []requirement{{"a", "pkg-a"}, {"b", "pkg-bc"}, {"c", "pkg-bc"}, {"d", "pkg-d"}}
	got := missingPackages(needed, func(program string) bool { return program == "a" })
	if want := []string{"pkg-bc", "pkg-d"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestWhatTheImageBuilderNeedsIsInstalled(t *testing.T) {
	installs := missingPackages(requirements(), func(string) bool { return false })
	for _, name := range images.RequiredPackages() {
		if !slices.Contains(installs, name) {
			t.Errorf("load would fail on a machine without %s", name)
		}
	}
}

func TestDebianFamily(t *testing.T) {
	for osRelease, want := range map[string]bool{
		"ID=debian\n":                          true,
		"NAME=x\nID=ubuntu\nID_LIKE=debian\n":  true,
		"ID=linuxmint\nID_LIKE=\"ubuntu deb\"": true,
		"ID=fedora\nID_LIKE=rhel\n":            false,
		"":                                     false,
	} {
		if got := isDebianLike(osRelease); got != want {
			t.Errorf("%q: got %v", osRelease, got)
		}
	}
}
