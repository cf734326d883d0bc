// SPDX-License-Identifier: Apache-2.0

package render

import (
	"net/netip"
	"slices"

	"github.com/freehold-dev/freehold/api/v1alpha1"
)

// everyone is the whole of IPv4, nobody a network from which no packet arrives: an empty list would mean everyone.
var (
	everyone = netip.MustParsePrefix("0.0.0.0/0")
	nobody   = netip.MustParsePrefix("127.0.0.1/32")
)

// unreachable are networks that lead to the node itself, to its cloud's metadata service, or nowhere.
var unreachable = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),      // "this host" (RFC 1122)
	netip.MustParsePrefix("127.0.0.0/8"),    // loopback
	netip.MustParsePrefix("169.254.0.0/16"), // link-local, metadata services
	netip.MustParsePrefix("224.0.0.0/4"),    // multicast
	netip.MustParsePrefix("240.0.0.0/4"),    // reserved, broadcast
}

// parseRanges reads CIDRs that the API has accepted.
func parseRanges(field string, ranges []v1alpha1.CIDR) ([]netip.Prefix, error) {
	parsed := make([]netip.Prefix, 0, len(ranges))
	for _, text := range ranges {
		prefix, err := netip.ParsePrefix(string(text))
		if err != nil || !prefix.Addr().Is4() || prefix != prefix.Masked() {
			return nil, invalid("%s: %q is not an IPv4 network such as 198.51.100.0/24", field, text)
		}
		parsed = append(parsed, prefix)
	}
	return parsed, nil
}

// within reports whether inner lies in outer or is equal to it.
func within(inner, outer netip.Prefix) bool {
	return outer.Bits() <= inner.Bits() && outer.Contains(inner.Addr())
}

// carve takes the forbidden networks out of allowed, in the form of a NetworkPolicy's ipBlock: except are the
// smallest set of networks strictly inside allowed; ok is false when nothing of allowed is left.
func carve(allowed netip.Prefix, forbidden []netip.Prefix) (except []netip.Prefix, ok bool) {
	var inside []netip.Prefix
	for _, network := range forbidden {
		if within(allowed, network) {
			return nil, false
		}
		if within(network, allowed) {
			inside = append(inside, network)
		}
	}
	if len(subtract([]netip.Prefix{allowed}, inside)) == 0 {
		return nil, false
	}
	return widest(inside), true
}

// widest leaves out duplicates and networks that lie in others, and sorts the rest.
func widest(networks []netip.Prefix) []netip.Prefix {
	sorted := slices.Clone(networks)
	slices.SortFunc(sorted, comparePrefixes)
	var kept []netip.Prefix
	for _, network := range sorted {
		if len(kept) == 0 || !within(network, kept[len(kept)-1]) {
			kept = append(kept, network)
		}
	}
	return kept
}

// comparePrefixes sorts by address; of two that begin alike the wider one comes first.
func comparePrefixes(a, b netip.Prefix) int {
	if order := a.Addr().Compare(b.Addr()); order != 0 {
		return order
	}
	return a.Bits() - b.Bits()
}

// subtract gives the networks that hold exactly the addresses of from that are not in any of minus.
func subtract(from, minus []netip.Prefix) []netip.Prefix {
	left := widest(from)
	for _, hole := range widest(minus) {
		var next []netip.Prefix
		for _, network := range left {
			next = append(next, subtractOne(network, hole)...)
		}
		left = next
	}
	return left
}

// subtractOne halves network until hole is one of the halves.
func subtractOne(network, hole netip.Prefix) []netip.Prefix {
	switch {
	case within(network, hole):
		return nil
	case !within(hole, network):
		return []netip.Prefix{network}
	}
	low, high := halves(network)
	return append(subtractOne(low, hole), subtractOne(high, hole)...)
}

func halves(network netip.Prefix) (low, high netip.Prefix) {
	bits := network.Bits() + 1
	address := network.Addr().As4()
	address[(bits-1)/8] |= 1 << (7 - (bits-1)%8)
	return netip.PrefixFrom(network.Addr(), bits), netip.PrefixFrom(netip.AddrFrom4(address), bits)
}

func prefixStrings(networks []netip.Prefix) []string {
	texts := make([]string, 0, len(networks))
	for _, network := range networks {
		texts = append(texts, network.String())
	}
	return texts
}
