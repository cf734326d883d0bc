// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"k8s.io/utils/clock"
)

func TestBlocksAreReadFromATable(t *testing.T) {
	const answer = "# table: gate/logins, type: ip, size:20480, used:1\n" +
		"0x7fc8a8010d98: key=192.0.2.66 use=0 exp=599000 shard=0 gpt0=1795318634 gpc0=4 gpc0_rate(60000)=3 gpc1=9 gpc1_rate(60000)=2\n\n"
	found := entries(answer)
	if len(found) != 1 {
		t.Fatalf("%d entries", len(found))
	}
	block, err := found[0].block()
	want := Block{Client: netip.MustParseAddr("192.0.2.66"), Until: time.Unix(1795318634, 0).UTC(), Failures: 2, Requests: 3}
	if err != nil || block != want {
		t.Errorf("%+v, %v; want %+v", block, err, want)
	}
	for _, broken := range []string{"0x1: key=nobody gpt0=1 gpc0_rate(1)=1 gpc1_rate(1)=1", "0x1: key=192.0.2.1 gpt0=soon gpc0_rate(1)=1 gpc1_rate(1)=1", "0x1: key=192.0.2.1 gpt0=1"} {
		if block, err := entries(broken)[0].block(); err == nil {
			t.Errorf("%q is read as %+v", broken, block)
		}
	}
}

func TestABlockIsToldOnceAndAgainWhenItIsANewOne(t *testing.T) {
	var log strings.Builder
	h := haproxy{config: Config{Clock: clock.RealClock{}, Log: slog.New(slog.NewTextHandler(&log, nil))}}
	state := newTracker(clock.RealClock{})
	client, other := netip.MustParseAddr("192.0.2.66"), netip.MustParseAddr("192.0.2.67")
	first := Block{Client: client, Until: time.Unix(1000, 0)}
	known := h.tellOfBlocks([]Block{first}, nil, state)
	known = h.tellOfBlocks([]Block{first, {Client: other, Until: time.Unix(1000, 0)}}, known, state)
	known = h.tellOfBlocks(nil, known, state)
	h.tellOfBlocks([]Block{{Client: client, Until: time.Unix(2000, 0)}}, known, state)
	if now, ever := state.blocked(); now != 1 || ever != 3 {
		t.Errorf("%d blocked now, %d ever; want 1 and 3", now, ever)
	}
	if n := strings.Count(log.String(), "client=192.0.2.66"); n != 2 {
		t.Errorf("the client was told of %d times, want 2:\n%s", n, log.String())
	}
}
