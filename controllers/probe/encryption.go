// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/dial"
)

// encryptedInTransit judges the handshakes: client → gate, gate → application, application → database.
func (j judgement) encryptedInTransit(now time.Time) verdict {
	made := verdict{condition: v1alpha1.ConditionEncryptedInTransit}
	made.claims = []v1alpha1.Claim{j.clientToGate(now), j.gateToApp(), j.appToDatabase()}
	made.status, made.reason = metav1.ConditionTrue, v1alpha1.ReasonProven
	made.message = "handshakes were made and connections without TLS refused; status.proofs has the claims"
	var broken, unknown []string
	for _, c := range made.claims {
		switch {
		case c.Status == metav1.ConditionFalse:
			broken = append(broken, c.Name+": "+c.Message)
		case c.Status == metav1.ConditionUnknown && !j.optional(c.Name):
			unknown = append(unknown, c.Name+": "+c.Message)
		}
	}
	if len(broken) > 0 {
		made.status, made.reason, made.message = metav1.ConditionFalse, v1alpha1.ReasonNotEncrypted, strings.Join(broken, "; ")
	} else if len(unknown) > 0 {
		made.status, made.reason, made.message = metav1.ConditionUnknown, v1alpha1.ReasonNotProven, firstOf(unknown)
	}
	return made
}

// The claims about encryption.
const (
	clientToGateClaim  = "ClientToGate"
	gateToAppClaim     = "GateToApp"
	appToDatabaseClaim = "AppToDatabase"
)

// optional reports whether a claim that cannot be proven decides nothing: an application without TLS, and a gate that
// is locked down.
func (j judgement) optional(claim string) bool {
	switch claim {
	case gateToAppClaim:
		return slices.ContainsFunc(j.self().pods[roleApp], func(p instancePod) bool { return !p.appTLS })
	case clientToGateClaim:
		return j.self().tenant.Spec.Lockdown
	}
	return false
}

// handshakes are what a role saw at all addresses of a target; an error says why not all of it is known.
func (j judgement) handshakes(from source, t target) ([]dial.Handshake, error) {
	if t.why != "" {
		return nil, fmt.Errorf("%s: %s", t.text, t.why)
	}
	var out []dial.Handshake
	for i := range t.addresses {
		got, tried := j.seen[from][addressID(t, i)]
		switch {
		case !tried:
			return nil, fmt.Errorf("%s was not tried", t.text)
		case got.Result.Denied():
			return nil, fmt.Errorf("%s did not answer: %s", t.text, got.Result)
		case got.Handshake == nil:
			return nil, fmt.Errorf("%s: %s", t.text, got.Problem)
		}
		out = append(out, *got.Handshake)
	}
	return out, nil
}

// oldVersions are those that no gate may accept (RFC 8996).
var oldVersions = []string{"TLS 1.0", "TLS 1.1"}

func (j judgement) clientToGate(now time.Time) v1alpha1.Claim {
	made := v1alpha1.Claim{Name: clientToGateClaim, Status: metav1.ConditionUnknown, Message: "the gate is locked down"}
	if j.self().tenant.Spec.Lockdown {
		return made
	}
	seen, err := j.handshakes(source{j.index, roleEdge}, j.self().edge(j.index))
	if err != nil {
		made.Message = limited(err.Error())
		return made
	}
	for _, h := range seen {
		if wrong := wrongGate(h, now); wrong != "" {
			made.Status, made.Message = metav1.ConditionFalse, wrong
			return made
		}
	}
	first := seen[0]
	made.Status = metav1.ConditionTrue
	made.Message = fmt.Sprintf("%s agreed on, lowest accepted %s, without TLS refused; the certificate is good for %s until %s",
		first.Version, first.Lowest, j.self().tenant.Spec.Hostnames[0], first.NotAfter.UTC().Format(time.RFC3339))
	return made
}

func wrongGate(h dial.Handshake, now time.Time) string {
	switch {
	case h.Plain:
		return "the gate serves without TLS"
	case slices.Contains(oldVersions, h.Lowest):
		return "the gate accepts " + h.Lowest
	case !h.Names:
		return "the gate's certificate is not good for the first hostname"
	case now.After(h.NotAfter):
		return "the gate's certificate ended at " + h.NotAfter.UTC().Format(time.RFC3339)
	}
	return ""
}

func (j judgement) gateToApp() v1alpha1.Claim {
	made := v1alpha1.Claim{Name: gateToAppClaim, Status: metav1.ConditionUnknown}
	if j.optional(gateToAppClaim) {
		made.Message = "the class's application offers no TLS (spec.app.tlsPort): requests go in clear from the gate to the application, inside the walls"
		return made
	}
	seen, err := j.handshakes(source{j.index, roleEdge}, j.self().app(j.index))
	return inner(made, seen, err)
}

func (j judgement) appToDatabase() v1alpha1.Claim {
	seen, err := j.handshakes(source{j.index, roleApp}, j.self().database(j.index))
	return inner(v1alpha1.Claim{Name: appToDatabaseClaim, Status: metav1.ConditionUnknown}, seen, err)
}

// inner judges a connection inside the instance, whose server has to come from the tenant's own authority.
func inner(made v1alpha1.Claim, seen []dial.Handshake, err error) v1alpha1.Claim {
	if err != nil {
		made.Message = limited(err.Error())
		return made
	}
	for _, h := range seen {
		switch {
		case h.Plain:
			made.Status, made.Message = metav1.ConditionFalse, "the server takes connections without TLS"
			return made
		case !h.Verified:
			made.Status, made.Message = metav1.ConditionFalse, "the server's certificate is not from the tenant's authority"
			return made
		}
	}
	made.Status = metav1.ConditionTrue
	made.Message = fmt.Sprintf("%s, verified by the tenant's authority; the certificate ends %s", seen[0].Version, seen[0].NotAfter.UTC().Format(time.RFC3339))
	return made
}

// encryptedAtRest repeats what a person attests: no packet can show it.
func (j judgement) encryptedAtRest() verdict {
	volumes := j.self().volumes
	made := verdict{condition: v1alpha1.ConditionEncryptedAtRest, status: metav1.ConditionTrue, reason: v1alpha1.ReasonAttested}
	var said, silent []string
	for _, class := range slices.Sorted(maps.Keys(volumes.by)) {
		if by := volumes.by[class]; by != "" {
			said = append(said, fmt.Sprintf("storage class %s, attested by %s", class, by))
		} else {
			silent = append(silent, class)
		}
	}
	made.message = strings.Join(said, "; ")
	if len(silent) > 0 || volumes.claims == 0 || len(said) == 0 {
		made.status, made.reason = metav1.ConditionUnknown, v1alpha1.ReasonNotAttested
		made.message = fmt.Sprintf("nobody attests that volumes of storage class %s are encrypted: whoever knows it annotates the StorageClass with %s=NAME",
			strings.Join(silent, ", "), v1alpha1.AnnotationEncryptionAttestedBy)
		if len(silent) == 0 {
			made.message = "the instance has no volume of a known storage class"
		}
	}
	made.claims = []v1alpha1.Claim{{Name: "Volumes", Status: made.status, Message: limited(made.message)}}
	return made
}

// shut judges a lockdown: the prober's door refuses, and the gate's agent says that nobody gets in nor is left in.
func (j judgement) shut() verdict {
	made := verdict{condition: v1alpha1.ConditionLockedDown, status: metav1.ConditionFalse, reason: v1alpha1.ReasonClosing}
	door := j.self().edge(j.index)
	from := j.seen[source{j.index, roleEdge}]
	if door.why != "" {
		made.status, made.reason, made.message = metav1.ConditionUnknown, v1alpha1.ReasonNotProven, door.text+": "+door.why
		return made
	}
	for i := range door.addresses {
		entry, tried := from[addressID(door, i)]
		agent := from[addressID(target{id: agentID(j.index)}, i)]
		switch {
		case !tried:
			made.message = "the gate was not tried yet"
			return made
		case !entry.Result.Denied():
			made.message = "the gate still lets connections in"
			return made
		case agent.Gate == nil:
			made.message = "the gate's agent does not answer: " + agent.Problem
			return made
		case !agent.Gate.Shut():
			made.message = fmt.Sprintf("the gate is closed: %t, its processes that may hold connections: %d", agent.Gate.Closed, agent.Gate.Workers)
			return made
		}
	}
	made.status, made.reason = metav1.ConditionTrue, v1alpha1.ReasonProven
	made.message = fmt.Sprintf("a connection to each of %d gate pods was refused, and none of them holds a connection of before", len(door.addresses))
	return made
}
