// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/dial"
)

// clientRangesClaim says who gets in from outside. While it is Unknown it decides nothing: not every installation has a
// point outside the cluster.
const clientRangesClaim = "ClientRanges"

func pointID(member, point int) string {
	return strconv.Itoa(member) + "/point/" + strconv.Itoa(point)
}

// clientRanges compares what the points outside the cluster met with what is configured.
func (j judgement) clientRanges() v1alpha1.Claim {
	made := v1alpha1.Claim{Name: clientRangesClaim, Status: metav1.ConditionUnknown}
	configured := "configured: clients from " + clientsText(j.self().tenant) + " may connect"
	if len(j.world.points) == 0 {
		made.Message = limited(configured + "; not proven, since no probe point outside the cluster is declared")
		return made
	}
	var wrong, right, silent []string
	for k, point := range j.world.points {
		got, tried := j.seen[operator][pointID(j.index, k)]
		entered, may := got.Result == dial.Open, mayEnter(j.self().tenant, point.Address)
		switch {
		case !tried || got.Result == dial.Failed:
			silent = append(silent, fmt.Sprintf("%s did not answer", point.Address))
		case entered && !may:
			wrong = append(wrong, fmt.Sprintf("%s GETS IN", point.Address))
		case entered:
			right = append(right, fmt.Sprintf("%s gets in", point.Address))
		case may:
			silent = append(silent, fmt.Sprintf("%s does not get in, and may", point.Address))
		case !j.gateAnswers():
			silent = append(silent, fmt.Sprintf("%s does not get in, but the gate answers nobody", point.Address))
		default:
			right = append(right, fmt.Sprintf("%s is kept out", point.Address))
		}
	}
	switch {
	case len(wrong) > 0:
		made.Status = metav1.ConditionFalse
	case len(silent) == 0:
		made.Status = metav1.ConditionTrue
	}
	made.Message = limited(configured + "; " + strings.Join(slices.Concat(wrong, right, silent), ", "))
	return made
}

// gateAnswers reports whether the gate served those who may always come, or is closed as it shall be.
func (j judgement) gateAnswers() bool {
	if j.self().tenant.Spec.Lockdown {
		return j.shut().status == metav1.ConditionTrue
	}
	seen, err := j.handshakes(source{j.index, roleEdge}, j.self().edge(j.index))
	return err == nil && len(seen) > 0
}

// mayEnter reports whether the Tenant's spec lets a client in.
func mayEnter(tenant *v1alpha1.Tenant, client netip.Addr) bool {
	network := tenant.Spec.Network
	switch {
	case tenant.Spec.Lockdown, network.Access == v1alpha1.AccessClosed, contains(network.DeniedRanges, client):
		return false
	case network.Access == v1alpha1.AccessRestricted:
		return contains(network.AllowedRanges, client)
	}
	return true
}

func contains(ranges []v1alpha1.CIDR, client netip.Addr) bool {
	return slices.ContainsFunc(ranges, func(text v1alpha1.CIDR) bool {
		prefix, err := netip.ParsePrefix(string(text))
		return err == nil && prefix.Contains(client)
	})
}

// clientsText says whom the spec lets in.
func clientsText(tenant *v1alpha1.Tenant) string {
	network := tenant.Spec.Network
	text := "everywhere"
	switch {
	case tenant.Spec.Lockdown, network.Access == v1alpha1.AccessClosed:
		return "nowhere"
	case network.Access == v1alpha1.AccessRestricted:
		text = joined(network.AllowedRanges)
	}
	if len(network.DeniedRanges) > 0 {
		text += " except " + joined(network.DeniedRanges)
	}
	return text
}

func joined(ranges []v1alpha1.CIDR) string {
	texts := make([]string, 0, len(ranges))
	for _, text := range ranges {
		texts = append(texts, string(text))
	}
	return strings.Join(texts, ", ")
}
