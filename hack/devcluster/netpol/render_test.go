// SPDX-License-Identifier: Apache-2.0

package netpol

import (
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/knftables"
)

var update = flag.Bool("update", false, "write the golden files anew")

func rendered(t *testing.T, m Model, weak bool) string {
	t.Helper()
	tx := knftables.NewFake(knftables.InetFamily, testTable).NewTransaction()
	render(tx, m, netip.MustParsePrefix(testPodCIDR), weak)
	return tx.String()
}

func TestTheRenderedTable(t *testing.T) {
	model := Compute(worldState(
		policy(t, "shop/deny", `{podSelector: {}, policyTypes: [Ingress, Egress]}`),
		policy(t, "shop/web", `{podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress, Egress],
			ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0, except: [198.19.0.16/28]}}, {ipBlock: {cidr: 10.246.0.0/24}}], ports: [{port: http}]}],
			egress: [{to: [{podSelector: {matchLabels: {app: db}}}], ports: [{port: 5432}, {port: 8000, endPort: 8010}, {protocol: SCTP}]}, {ports: [{port: 53, protocol: UDP}]}]}`),
		policy(t, "bank/open", `{podSelector: {matchLabels: {app: web}}, ingress: [{}]}`),
	))
	for mode, weak := range map[string]bool{ModeStrict: false, ModeWeak: true} {
		t.Run(mode, func(t *testing.T) {
			golden := filepath.Join("testdata", mode+".nft")
			got := rendered(t, model, weak)
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("the table differs from %s (go test ./netpol -update writes it anew):\n%s", golden, got)
			}
		})
	}
}

func TestLongNamesFitIntoAComment(t *testing.T) {
	pod := PodRules{Namespace: strings.Repeat("n", 63), Name: strings.Repeat("p", 253), IP: addresses["shop/web"], Ingress: Direction{Isolated: true}}
	if got := rendered(t, Model{Pods: []PodRules{pod}}, false); strings.Contains(got, "ERROR") || !strings.Contains(got, "nnn/ppp") {
		t.Errorf("a pod with a long name gives\n%s", got)
	}
}
