// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/conditions"
	"github.com/freehold-dev/freehold/controllers/internal/dial"
)

// evidence is what came of a round: the outcomes by who made the attempt and its ID.
type evidence map[source]map[string]dial.Outcome

// verdict is what one promise of one Tenant has come to.
type verdict struct {
	condition string
	status    metav1.ConditionStatus
	reason    string
	message   string
	claims    []v1alpha1.Claim
}

// judgement is all that a round says of one member.
type judgement struct {
	members []*member
	world   world
	seen    evidence
	index   int
}

func (j judgement) self() *member { return j.members[j.index] }

// finding is what is known of one forbidden connection.
type finding struct {
	text string
	// open: it succeeded. proven: it failed, and the target was there.
	open, proven bool
	required     bool
	// why it is neither.
	why string
}

// cell judges one forbidden connection at all addresses of its target.
func (j judgement) cell(from source, t target) finding {
	f := finding{text: t.text, required: t.required, why: t.why}
	if t.why != "" {
		return f
	}
	f.proven = true
	for i := range t.addresses {
		id := addressID(t, i)
		got, tried := j.seen[from][id]
		switch {
		case !tried || got.Result == dial.Failed:
			f.proven, f.why = false, "it was not tried"
		case !got.Result.Denied():
			f.open = true
		case j.seen[t.by][id].Result != dial.Open:
			f.proven, f.why = false, "it answered nobody who may reach it"
		}
	}
	f.proven = f.proven && !f.open
	return f
}

// claim sums findings up: one open door refutes it; it is proven if all that is required is.
func claim(name, what string, findings []finding) v1alpha1.Claim {
	var refused, open, unknown []string
	proven := true
	for _, f := range findings {
		switch {
		case f.open:
			open = append(open, f.text)
		case f.proven:
			refused = append(refused, f.text)
		default:
			unknown = append(unknown, fmt.Sprintf("%s (%s)", f.text, f.why))
			proven = proven && !f.required
		}
	}
	made := v1alpha1.Claim{Name: name, Status: metav1.ConditionTrue}
	switch {
	case len(open) > 0:
		made.Status = metav1.ConditionFalse
	case !proven || len(refused) == 0:
		made.Status = metav1.ConditionUnknown
	}
	var parts []string
	for _, part := range []struct {
		title string
		names []string
	}{{what + " REACHES ", open}, {what + " is kept from ", refused}, {"not proven: ", unknown}} {
		if len(part.names) > 0 {
			parts = append(parts, part.title+strings.Join(part.names, ", "))
		}
	}
	made.Message = limited(strings.Join(parts, "; "))
	return made
}

// maxMessage is the longest message of a claim that the API accepts.
const maxMessage = 2048

func limited(text string) string { return conditions.Shorten(text, maxMessage) }

// isolated judges the walls.
func (j judgement) isolated() verdict {
	m, i := j.self(), j.index
	made := verdict{condition: v1alpha1.ConditionIsolated, claims: []v1alpha1.Claim{strangers(m)}}
	titles := map[role]string{roleApp: "App", roleDatabase: "Database", roleEdge: "Gate"}
	for _, r := range partRoles {
		var findings []finding
		for _, t := range forbidden(j.members, j.world, source{i, r}) {
			findings = append(findings, j.cell(source{i, r}, t))
		}
		made.claims = append(made.claims, claim("EgressFrom"+titles[r], "a pod like "+partNames[r], findings))
	}
	for at, r := range []role{roleDatabase, roleApp, roleEdge} {
		made.claims = append(made.claims, j.ingress("IngressTo"+titles[r], m.parts(i)[at], r))
	}
	made.claims = append(made.claims, j.clientRanges())
	made.sumUp(j.notEnforced())
	return made
}

// partNames name roles for people.
var partNames = map[role]string{roleApp: "the application's", roleDatabase: "the database's", roleEdge: "the gate's", roleOperator: "the operator's"}

// ingress judges who else reaches a part: a pod without walls, the instance's own other parts, the neighbour's.
func (j judgement) ingress(name string, part target, r role) v1alpha1.Claim {
	if r == roleEdge && j.self().tenant.Spec.Lockdown {
		shut := j.shut()
		return v1alpha1.Claim{Name: name, Status: shut.status, Message: limited(shut.message)}
	}
	var findings []finding
	from := func(s source, text string) {
		f := j.cell(s, part)
		f.text = text
		findings = append(findings, f)
	}
	from(operator, "a pod without walls")
	for at, other := range j.members {
		for _, as := range partRoles {
			if at == j.index && (as == r || may[as] == r) {
				continue
			}
			from(source{at, as}, "a pod like "+partNames[as]+" of "+other.name)
		}
	}
	made := claim(name, part.text, findings)
	made.Message = strings.NewReplacer(" is kept from ", " keeps out ", " REACHES ", " IS REACHED BY ").Replace(made.Message)
	return made
}

// strangers says whether somebody else's objects may open the walls.
func strangers(m *member) v1alpha1.Claim {
	if len(m.foreign) == 0 {
		return v1alpha1.Claim{Name: "NoForeignObjects", Status: metav1.ConditionTrue, Message: "all NetworkPolicies, Services and RoleBindings of the namespace are Freehold's"}
	}
	return v1alpha1.Claim{Name: "NoForeignObjects", Status: metav1.ConditionFalse, Message: limited(
		"not made by Freehold and able to open walls: " + strings.Join(m.foreign, ", ") + "; remove them from namespace " + m.namespace)}
}

// notEnforced reports whether every role of the instance reached the canary: then there are no walls at all, unless a
// stranger's object has opened them.
func (j judgement) notEnforced() bool {
	if len(j.self().foreign) > 0 {
		return false
	}
	canary := j.world.targets()[0]
	for _, r := range partRoles {
		if !j.cell(source{j.index, r}, canary).open {
			return false
		}
	}
	return true
}

// firstOf tells the first of several statements in full; all of them stand in status.proofs.
func firstOf(statements []string) string {
	if len(statements) == 1 {
		return statements[0]
	}
	return fmt.Sprintf("%s (and %d more claims, see status.proofs)", statements[0], len(statements)-1)
}

// sumUp makes the condition of the claims.
func (v *verdict) sumUp(notEnforced bool) {
	var broken, unknown []string
	foreign := false
	for _, c := range v.claims {
		switch {
		case c.Status == metav1.ConditionFalse:
			broken = append(broken, c.Name+": "+c.Message)
			foreign = foreign || c.Name == "NoForeignObjects"
		case c.Status == metav1.ConditionUnknown && c.Name != clientRangesClaim:
			unknown = append(unknown, c.Name+": "+c.Message)
		}
	}
	switch {
	case notEnforced:
		v.status, v.reason = metav1.ConditionFalse, v1alpha1.ReasonNotEnforced
		v.message = "this cluster enforces no NetworkPolicy: pods like those of the instance reach what every wall forbids; use a network plugin that enforces NetworkPolicy"
	case len(broken) == 1 && foreign:
		v.status, v.reason, v.message = metav1.ConditionFalse, v1alpha1.ReasonForeignObject, broken[0]
	case len(broken) > 0:
		v.status, v.reason, v.message = metav1.ConditionFalse, v1alpha1.ReasonWallOpen, strings.Join(broken, "; ")
	case len(unknown) > 0:
		v.status, v.reason, v.message = metav1.ConditionUnknown, v1alpha1.ReasonNotProven, firstOf(unknown)
	default:
		v.status, v.reason = metav1.ConditionTrue, v1alpha1.ReasonProven
		v.message = "every forbidden connection was tried and failed, and every target answered somebody who may reach it; status.proofs has the claims"
	}
}

// blocked is how many clients the gate's pods block together.
func (j judgement) blocked() int {
	clients := 0
	for _, outcome := range j.seen[source{j.index, roleEdge}] {
		if outcome.Gate != nil {
			clients += outcome.Gate.BlockedClients
		}
	}
	return clients
}
