// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"slices"
	"strconv"

	"github.com/freehold-dev/freehold/controllers/internal/dial"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// source is where attempts come from: a role of a member, or the operator.
type source struct {
	member int
	role   role
}

// operator is the source without walls.
var operator = source{member: -1, role: roleOperator}

// may is the whole table of what an instance allows itself: from which role which part is reached.
var may = map[role]role{roleApp: roleDatabase, roleEdge: roleApp}

// plan lists all attempts of a round by who makes them.
func plan(members []*member, w world) map[source][]dial.Attempt {
	out := map[source][]dial.Attempt{}
	for _, t := range w.targets() {
		out[operator] = append(out[operator], enrich(tries(t, false), func(_ int, a *dial.Attempt) { a.Brief = !t.required })...)
	}
	for i, m := range members {
		for _, part := range m.parts(i) {
			out[operator] = append(out[operator], tries(part, true)...)
		}
		for _, r := range partRoles {
			from := source{i, r}
			for _, cell := range forbidden(members, w, from) {
				out[from] = append(out[from], tries(cell, true)...)
			}
			out[from] = append(out[from], permitted(i, m, r)...)
		}
	}
	return out
}

// planLockdown lists only what proves that a gate is shut.
func planLockdown(members []*member) map[source][]dial.Attempt {
	return map[source][]dial.Attempt{{0, roleEdge}: gateAttempts(0, members[0])}
}

// parts are the member's parts as targets.
func (m *member) parts(index int) []target {
	return []target{m.database(index), m.app(index), m.edge(index)}
}

// forbidden are all targets that a role of a member must not reach.
func forbidden(members []*member, w world, from source) []target {
	out := w.targets()
	for j, other := range members {
		for _, part := range other.parts(j) {
			if j == from.member && (part.id == partID(j, from.role) || part.id == partID(j, may[from.role])) {
				continue
			}
			if j != from.member {
				part.required = false // A neighbour that does not run hides nothing.
			}
			out = append(out, part)
		}
	}
	return out
}

// permitted are the attempts that shall succeed, and that look at the encryption on the way.
func permitted(index int, m *member, r role) []dial.Attempt {
	switch r {
	case roleApp:
		return enrich(tries(m.database(index), false), func(_ int, a *dial.Attempt) {
			a.Kind, a.ServerName, a.User, a.Database = dial.PostgreSQL, m.databaseHost, m.databaseUser, m.databaseName
		})
	case roleEdge:
		app := enrich(tries(m.app(index), false), func(i int, a *dial.Attempt) {
			if m.pods[roleApp][i].appTLS {
				a.Kind, a.ServerName = dial.TLS, m.appHost
			}
		})
		return slices.Concat(app, gateAttempts(index, m))
	default:
		return nil
	}
}

// gateAttempts look at the gate. Under lockdown nobody may come in, and the agent has to say that nobody is left in.
func gateAttempts(index int, m *member) []dial.Attempt {
	locked := m.tenant.Spec.Lockdown
	door := enrich(tries(m.edge(index), locked), func(_ int, a *dial.Attempt) {
		if !locked {
			a.Kind, a.ServerName = dial.Gate, string(m.tenant.Spec.Hostnames[0])
		}
	})
	agent := target{id: agentID(index)}
	for _, pod := range m.pods[roleEdge] {
		if pod.door {
			agent.addresses = append(agent.addresses, hostPort(pod.address, meta.PortAgent))
		}
	}
	return slices.Concat(door, enrich(tries(agent, false), func(_ int, a *dial.Attempt) { a.Kind, a.Closed = dial.Status, locked }))
}

func agentID(index int) string { return strconv.Itoa(index) + "/agent" }

// tries are the attempts at all addresses of a target.
func tries(t target, denied bool) []dial.Attempt {
	var out []dial.Attempt
	for i, address := range t.addresses {
		out = append(out, dial.Attempt{ID: addressID(t, i), Address: address, Denied: denied})
	}
	return out
}

func addressID(t target, i int) string { return t.id + "#" + strconv.Itoa(i) }

func enrich(attempts []dial.Attempt, with func(int, *dial.Attempt)) []dial.Attempt {
	for i := range attempts {
		with(i, &attempts[i])
	}
	return attempts
}
