// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"net"
	"strconv"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/dial"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// role is whom a connection comes from: a pod with the policy label of a part of the instance, or the operator,
// which no tenant's policy holds.
type role string

const (
	roleApp      role = meta.ComponentApp
	roleDatabase role = meta.ComponentDatabase
	roleEdge     role = meta.ComponentEdge
	roleOperator role = "operator"
)

// partRoles are the roles of an instance's own parts.
var partRoles = []role{roleApp, roleDatabase, roleEdge}

// member is one Tenant of a round, as it was seen at its beginning.
type member struct {
	tenant *v1alpha1.Tenant
	// name of the Tenant, namespace of its instance.
	name, namespace string
	// pods that run, by role.
	pods map[role][]instancePod
	// foreign are objects of strangers that may open walls, as kind/name.
	foreign []string
	// volumes says who attests the encryption of the volumes.
	volumes attestation
	// names of the database and of its owner, and of the servers inside the instance.
	databaseName, databaseUser string
	databaseHost, appHost      string
}

// instancePod is a pod of an instance that runs.
type instancePod struct {
	address string
	// appPort is where the application listens, appTLS whether by TLS. Of the application only.
	appPort int32
	appTLS  bool
	// door says that the gate has the prober's door. Of the gate only.
	door bool
}

// attestation is what is known of the encryption of volumes.
type attestation struct {
	// by are the attestations by storage class; "" if there is none.
	by map[string]string
	// claims is the number of volumes.
	claims int
}

// target is something that somebody may or may not reach.
type target struct {
	// id tells targets of one round apart; kept short, since it travels in a termination message.
	id string
	// text names it for people.
	text string
	// addresses, each host:port. Several for a gate with several pods.
	addresses []string
	// by is who may reach it, and whose success shows that it is there.
	by source
	// required says that a claim about it is not proven without it; others are proven where they can be.
	required bool
	// why says why there is no address; "" if there is one.
	why string
}

func hostPort(host string, port int32) string {
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}

// database, app and edge are the member's parts as targets; index is its place in the round.
func (m *member) database(index int) target {
	t := target{id: partID(index, roleDatabase), text: "the database of " + m.name, by: source{index, roleApp}, required: true}
	for _, pod := range m.pods[roleDatabase] {
		t.addresses = append(t.addresses, hostPort(pod.address, meta.PortDatabase))
	}
	return t.orWhy("it does not run")
}

func (m *member) app(index int) target {
	t := target{id: partID(index, roleApp), text: "the application of " + m.name, by: source{index, roleEdge}, required: true}
	for _, pod := range m.pods[roleApp] {
		t.addresses = append(t.addresses, hostPort(pod.address, pod.appPort))
	}
	return t.orWhy("it does not run")
}

func (m *member) edge(index int) target {
	t := target{id: partID(index, roleEdge), text: "the gate of " + m.name, by: source{index, roleEdge}, required: !m.tenant.Spec.Lockdown}
	for _, pod := range m.pods[roleEdge] {
		if pod.door {
			t.addresses = append(t.addresses, hostPort(pod.address, meta.PortEdgeProbe))
		}
	}
	if len(m.pods[roleEdge]) > 0 {
		return t.orWhy("its revision was made before gates could be proven; approve the pending update")
	}
	return t.orWhy("it does not run")
}

func (t target) orWhy(why string) target {
	if len(t.addresses) == 0 {
		t.why = why
	}
	return t
}

func partID(index int, part role) string { return strconv.Itoa(index) + "/" + string(part) }

// world are targets outside the instances.
type world struct {
	// canary listens where no policy stands; api is the API server.
	canary, api string
	// outside are addresses beyond the cluster.
	outside []string
	// points beyond the cluster tell whether they get into gates.
	points []dial.Point
}

// metadata is the metadata service of most clouds.
const metadata = "169.254.169.254:80"

// targets are those that no tenant's pod may reach.
func (w world) targets() []target {
	out := []target{
		{id: "canary", text: "the canary", addresses: present(w.canary), required: true},
		{id: "api", text: "the API server", addresses: present(w.api), required: true},
		{id: "metadata", text: "the cloud's metadata service", addresses: []string{metadata}},
	}
	for i, address := range w.outside {
		out = append(out, target{id: "outside/" + strconv.Itoa(i), text: address, addresses: []string{address}})
	}
	for i := range out {
		out[i].by = operator
		out[i] = out[i].orWhy("its address is not known")
	}
	return out
}

func present(address string) []string {
	if address == "" {
		return nil
	}
	return []string{address}
}
