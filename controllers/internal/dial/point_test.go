// SPDX-License-Identifier: Apache-2.0

package dial

import (
	"crypto/tls"
	"net"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

func TestAPointTellsWhetherItGetsIn(t *testing.T) {
	open, _ := gateway(t, tls.VersionTLS12)
	closes := listen(t, func(net.Conn) {})
	for name, row := range map[string]struct {
		address string
		want    Result
	}{
		"a gate that lets it in":                    {open, Open},
		"a gate that takes the connection, no more": {closes, Refused},
		"no gate": {nobody(t), Refused},
	} {
		if got := quick().enter(t.Context(), row.address); got.Result != row.want {
			t.Errorf("%s: got %s, want %s", name, got.Result, row.want)
		}
	}
}

func TestAPointTriesOnlyWhatItWasToldOf(t *testing.T) {
	server := httptest.NewServer(PointHandler([]netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}))
	t.Cleanup(server.Close)
	point := Point{URL: server.URL}
	if got := point.Reach(t.Context(), "x", "127.0.0.2"); got.ID != "x" || got.Result == Failed || got.Result == "" {
		t.Errorf("an address in its networks: got %+v", got)
	}
	for _, address := range []string{"127.0.0.1", "10.0.0.1", "nonsense", "127.0.0.2:22", ""} {
		if got := point.Reach(t.Context(), "x", address); got.Result != Failed || !strings.Contains(got.Problem, "403") {
			t.Errorf("%q: got %+v", address, got)
		}
	}
	server.Close()
	if got := point.Reach(t.Context(), "x", "127.0.0.2"); got.Result != Failed {
		t.Errorf("a point that does not answer: got %+v", got)
	}
}
