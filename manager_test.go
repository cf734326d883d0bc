// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/freehold-dev/freehold/controllers/probe"
)

func parse(t *testing.T, args ...string) managerFlags {
	t.Helper()
	var f managerFlags
	flags := pflag.NewFlagSet("manager", pflag.ContinueOnError)
	f.bind(flags)
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFlagsBecomeTheFactsOfTheCluster(t *testing.T) {
	f := parse(t, "--postgres-image=postgres:1", "--edge-image=edge:1", "--cluster-networks=10.96.0.0/16,10.244.1.7/16",
		"--dns-addresses=169.254.20.10", "--dns-pod-labels=k8s-app=kube-dns,tier=dns", "--probe-points=198.51.100.9=http://198.51.100.9:9445/")
	options, err := f.options("freehold-system", "freehold")
	if err != nil {
		t.Fatal(err)
	}
	facts := options.Tenant.Facts
	if want := []netip.Prefix{netip.MustParsePrefix("10.96.0.0/16"), netip.MustParsePrefix("10.244.0.0/16")}; !slices.Equal(facts.ClusterNetworks, want) {
		t.Errorf("cluster networks are %v, want %v", facts.ClusterNetworks, want)
	}
	if want := []netip.Prefix{netip.MustParsePrefix("169.254.20.10/32")}; !slices.Equal(facts.DNSAddresses, want) {
		t.Errorf("DNS addresses are %v, want %v", facts.DNSAddresses, want)
	}
	if want := []probe.Point{{Address: netip.MustParseAddr("198.51.100.9"), URL: "http://198.51.100.9:9445"}}; !slices.Equal(options.Probe.Points, want) {
		t.Errorf("probe points are %v, want %v", options.Probe.Points, want)
	}
	if facts.DNSPodLabels["tier"] != "dns" || facts.OperatorNamespace != "freehold-system" || facts.OperatorServiceAccount != "freehold" {
		t.Errorf("the facts are %+v", facts)
	}
}

func TestFlagsThatAreMissingOrWrongAreNamedAllAtOnce(t *testing.T) {
	_, err := parse(t, "--image-pull-policy=Sometimes", "--dns-addresses=dns.example", "--probe-points=198.51.100.9", "--probe-outside=example.com:443").options("", "")
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"POD_NAMESPACE", "SERVICE_ACCOUNT", "--postgres-image", "--edge-image", "--cluster-networks must name",
		`--dns-addresses: "dns.example" is neither`, `--probe-points: "198.51.100.9" is not of the form`, `--probe-outside: "example.com:443" is not`, "--image-pull-policy=Sometimes"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the message lacks %q: %v", want, err)
		}
	}
}
