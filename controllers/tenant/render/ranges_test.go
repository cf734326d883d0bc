// SPDX-License-Identifier: Apache-2.0

package render

import (
	"math/rand/v2"
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

func prefixes(texts string) []netip.Prefix {
	var parsed []netip.Prefix
	for text := range strings.FieldsSeq(texts) {
		parsed = append(parsed, netip.MustParsePrefix(text))
	}
	return parsed
}

func TestCarve(t *testing.T) {
	for _, row := range []struct {
		name, allowed, forbidden string
		except                   string
		nothingLeft              bool
	}{
		{name: "nothing is forbidden", allowed: "192.0.2.0/24"},
		{name: "the forbidden network lies elsewhere", allowed: "192.0.2.0/24", forbidden: "10.0.0.0/8"},
		{name: "a hole", allowed: "10.0.0.0/8", forbidden: "10.244.0.0/16", except: "10.244.0.0/16"},
		{name: "several holes are sorted", allowed: "10.0.0.0/8", forbidden: "10.244.0.0/16 10.96.0.0/12", except: "10.96.0.0/12 10.244.0.0/16"},
		{name: "a hole in a hole is left out", allowed: "10.0.0.0/8", forbidden: "10.96.0.10/32 10.96.0.0/12 10.96.0.0/12", except: "10.96.0.0/12"},
		{name: "the same network", allowed: "10.96.0.0/12", forbidden: "10.96.0.0/12", nothingLeft: true},
		{name: "wholly inside a forbidden one", allowed: "10.96.0.0/24", forbidden: "10.96.0.0/12", nothingLeft: true},
		{name: "two halves leave nothing", allowed: "10.0.0.0/8", forbidden: "10.0.0.0/9 10.128.0.0/9", nothingLeft: true},
		{name: "everything", allowed: "0.0.0.0/0", forbidden: "169.254.0.0/16", except: "169.254.0.0/16"},
		{name: "one address", allowed: "192.0.2.1/32", forbidden: "192.0.2.2/32"},
	} {
		t.Run(row.name, func(t *testing.T) {
			except, ok := carve(netip.MustParsePrefix(row.allowed), prefixes(row.forbidden))
			if ok == row.nothingLeft {
				t.Fatalf("something is left of %s: %v", row.allowed, ok)
			}
			if ok && !reflect.DeepEqual(except, prefixes(row.except)) {
				t.Errorf("cut out of %s: %v, expected %s", row.allowed, except, row.except)
			}
		})
	}
}

func TestSubtract(t *testing.T) {
	for _, row := range []struct{ from, minus, left string }{
		{"192.0.2.0/24", "", "192.0.2.0/24"},
		{"192.0.2.0/24", "198.51.100.0/24", "192.0.2.0/24"},
		{"192.0.2.0/24", "192.0.2.0/24", ""},
		{"192.0.2.0/24", "192.0.0.0/16", ""},
		{"192.0.2.0/24", "192.0.2.0/25", "192.0.2.128/25"},
		{"192.0.2.0/30", "192.0.2.2/32", "192.0.2.0/31 192.0.2.3/32"},
		{"0.0.0.0/0", "128.0.0.0/1 0.0.0.0/2", "64.0.0.0/2"},
		{"192.0.2.0/24 192.0.2.128/25 198.51.100.0/24", "192.0.2.0/25", "192.0.2.128/25 198.51.100.0/24"},
	} {
		left := subtract(prefixes(row.from), prefixes(row.minus))
		if !reflect.DeepEqual(left, prefixes(row.left)) {
			t.Errorf("%s without %s: %v, expected %s", row.from, row.minus, left, row.left)
		}
	}
}

// Addresses are drawn from a small space, so that networks meet often.
func TestSubtractAndCarveAgreeWithEachAddress(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	draw := func() netip.Prefix {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(random.IntN(256))}), 24+random.IntN(9)).Masked()
	}
	for range 2000 {
		allowed := draw()
		forbidden := make([]netip.Prefix, random.IntN(6))
		for i := range forbidden {
			forbidden[i] = draw()
		}
		left := subtract([]netip.Prefix{allowed}, forbidden)
		except, ok := carve(allowed, forbidden)
		for last := range 256 {
			address := netip.AddrFrom4([4]byte{10, 0, 0, byte(last)})
			want := allowed.Contains(address) && !anyContains(forbidden, address)
			if has := anyContains(left, address); has != want {
				t.Fatalf("%v without %v is %v: %s is in it: %v", allowed, forbidden, left, address, has)
			}
			if has := ok && allowed.Contains(address) && !anyContains(except, address); has != want {
				t.Fatalf("%v except %v (%v): %s is let through: %v", allowed, except, ok, address, has)
			}
		}
		for _, hole := range except {
			if hole == allowed || !within(hole, allowed) {
				t.Fatalf("Kubernetes refuses the exception %v of %v: it must lie strictly inside", hole, allowed)
			}
		}
	}
}

func anyContains(networks []netip.Prefix, address netip.Addr) bool {
	for _, network := range networks {
		if network.Contains(address) {
			return true
		}
	}
	return false
}
