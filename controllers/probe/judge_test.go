// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/dial"
)

var evening = time.Date(2026, 11, 22, 20, 0, 0, 0, time.UTC)

// instance is a Tenant whose pods all run, its gate twice.
func instance(name, network string) *member {
	return &member{
		tenant: &v1alpha1.Tenant{
			ObjectMeta: metav1.ObjectMeta{Name: name, Generation: 3},
			Spec:       v1alpha1.TenantSpec{Hostnames: []v1alpha1.Hostname{v1alpha1.Hostname(name + ".example.com")}},
		},
		name: name, namespace: "tenant-" + name,
		pods: map[role][]instancePod{
			roleDatabase: {{address: network + ".1"}},
			roleApp:      {{address: network + ".2", appPort: 8080, appTLS: true}},
			roleEdge:     {{address: network + ".3", door: true}, {address: network + ".4", door: true}},
		},
		databaseName: "app", databaseUser: "app",
		databaseHost: "db.tenant-" + name + ".svc", appHost: "app.tenant-" + name + ".svc",
		volumes: attestation{by: map[string]string{"fast": "ops@example.com"}, claims: 1},
	}
}

var outsideOfAll = world{canary: "10.0.9.9:9444", api: "10.96.0.1:443"}

// strict is what a round brings on a cluster that enforces every wall: what shall fail fails, what shall succeed does.
func strict(members []*member, w world) evidence {
	seen := evidence{}
	for from, attempts := range plan(members, w) {
		var outcomes []dial.Outcome
		for _, a := range attempts {
			outcomes = append(outcomes, strictly(a))
		}
		seen.add(from, outcomes)
	}
	return seen
}

func strictly(a dial.Attempt) dial.Outcome {
	if a.Denied || a.Address == metadata { // no cloud, no metadata
		return dial.Outcome{ID: a.ID, Result: dial.Silent, Tries: 2}
	}
	out := dial.Outcome{ID: a.ID, Result: dial.Open, Tries: 1}
	switch a.Kind {
	case dial.Gate:
		out.Handshake = &dial.Handshake{Version: "TLS 1.3", Lowest: "TLS 1.2", Names: true, NotAfter: evening.AddDate(100, 0, 0)}
	case dial.TLS, dial.PostgreSQL:
		out.Handshake = &dial.Handshake{Version: "TLS 1.3", Names: true, Verified: true, NotAfter: evening.AddDate(100, 0, 0)}
	case dial.Status:
		out.Gate = &dial.GateStatus{Closed: a.Closed, Workers: 1}
	default:
	}
	return out
}

func two() []*member { return []*member{instance("acme", "10.0.1"), instance("globex", "10.0.2")} }

func judged(members []*member, seen evidence) judgement {
	return judgement{members: members, world: outsideOfAll, seen: seen, index: 0}
}

func expect(t *testing.T, v verdict, status metav1.ConditionStatus, reason string, says ...string) {
	t.Helper()
	if v.status != status || v.reason != reason {
		t.Errorf("%s is %s/%s, want %s/%s: %s", v.condition, v.status, v.reason, status, reason, v.message)
	}
	for _, words := range says {
		if !strings.Contains(v.message, words) {
			t.Errorf("%s should say %q: %s", v.condition, words, v.message)
		}
	}
}

func TestWallsThatStandAreProven(t *testing.T) {
	members := two()
	v := judged(members, strict(members, outsideOfAll)).isolated()
	expect(t, v, metav1.ConditionTrue, v1alpha1.ReasonProven)
	for _, c := range v.claims {
		if c.Status != metav1.ConditionTrue && c.Name != clientRangesClaim {
			t.Errorf("%s: %s", c.Name, c.Message)
		}
	}
	if !strings.Contains(v.claims[1].Message, "not proven: the cloud's metadata service (it answered nobody") {
		t.Errorf("what nobody reaches is not proven: %s", v.claims[1].Message)
	}
}

func TestALonelyTenantIsProvenWithoutNeighbours(t *testing.T) {
	members := two()[:1]
	expect(t, judged(members, strict(members, outsideOfAll)).isolated(), metav1.ConditionTrue, v1alpha1.ReasonProven)
}

// Each forbidden connection that succeeds refutes the condition, wherever it comes from.
func TestEachOpenWallIsNoticed(t *testing.T) {
	members := two()
	for from, attempts := range plan(members, outsideOfAll) {
		for _, a := range attempts {
			concerns := from.member == 0 || strings.HasPrefix(a.ID, "0/")
			if !a.Denied || !concerns {
				continue
			}
			seen := strict(members, outsideOfAll)
			seen[from][a.ID] = dial.Outcome{ID: a.ID, Result: dial.Open, Tries: 60}
			v := judged(members, seen).isolated()
			expect(t, v, metav1.ConditionFalse, v1alpha1.ReasonWallOpen, "REACHE")
		}
	}
}

func TestAClusterWithoutWallsIsCalledByItsName(t *testing.T) {
	members := two()
	seen := strict(members, outsideOfAll)
	for _, outcomes := range seen {
		for id, outcome := range outcomes {
			outcome.Result = dial.Open
			outcomes[id] = outcome
		}
	}
	expect(t, judged(members, seen).isolated(), metav1.ConditionFalse, v1alpha1.ReasonNotEnforced, "enforces no NetworkPolicy")
	members[0].foreign = []string{"NetworkPolicy/allow-all"}
	expect(t, judged(members, seen).isolated(), metav1.ConditionFalse, v1alpha1.ReasonWallOpen, "NetworkPolicy/allow-all")
}

// A denial without a success to the same target is no proof.
func TestADenialAloneProvesNothing(t *testing.T) {
	members := two()
	for name, lost := range map[string]struct {
		from source
		id   string
	}{
		"the operator does not reach the canary":              {operator, "canary#0"},
		"the operator does not reach the API server":          {operator, "api#0"},
		"the application does not reach its database":         {source{0, roleApp}, "0/database#0"},
		"the gate does not reach its application":             {source{0, roleEdge}, "0/app#0"},
		"one gate pod does not answer those who may reach it": {source{0, roleEdge}, "0/edge#1"},
	} {
		t.Run(name, func(t *testing.T) {
			seen := strict(members, outsideOfAll)
			seen[lost.from][lost.id] = dial.Outcome{ID: lost.id, Result: dial.Silent}
			expect(t, judged(members, seen).isolated(), metav1.ConditionUnknown, v1alpha1.ReasonNotProven, "it answered nobody who may reach it")
			delete(seen, lost.from)
			expect(t, judged(members, seen).isolated(), metav1.ConditionUnknown, v1alpha1.ReasonNotProven)
		})
	}
}

func TestANeighbourThatDoesNotRunHidesNothing(t *testing.T) {
	members := two()
	members[1].pods = map[role][]instancePod{}
	expect(t, judged(members, strict(members, outsideOfAll)).isolated(), metav1.ConditionTrue, v1alpha1.ReasonProven)
}

func TestAnInstanceThatDoesNotRunIsNotProven(t *testing.T) {
	members := two()
	members[0].pods = map[role][]instancePod{}
	v := judged(members, strict(members, outsideOfAll))
	expect(t, v.isolated(), metav1.ConditionUnknown, v1alpha1.ReasonNotProven, "it does not run")
	expect(t, v.encryptedInTransit(evening), metav1.ConditionUnknown, v1alpha1.ReasonNotProven, "it does not run")
}

func TestStrangersObjectsAreNamed(t *testing.T) {
	members := two()
	members[0].foreign = []string{"NetworkPolicy/allow-all", "Service/backdoor"}
	expect(t, judged(members, strict(members, outsideOfAll)).isolated(), metav1.ConditionFalse, v1alpha1.ReasonForeignObject,
		"NetworkPolicy/allow-all", "Service/backdoor", "tenant-acme")
}

func TestEncryptionIsProvenByHandshakes(t *testing.T) {
	members := two()
	v := judged(members, strict(members, outsideOfAll)).encryptedInTransit(evening)
	expect(t, v, metav1.ConditionTrue, v1alpha1.ReasonProven)
}

func TestEachHopWithoutEncryptionIsNoticed(t *testing.T) {
	for name, row := range map[string]struct {
		from source
		id   string
		edit func(*dial.Handshake)
	}{
		"a gate that takes TLS 1.0":           {source{0, roleEdge}, "0/edge#1", func(h *dial.Handshake) { h.Lowest = "TLS 1.0" }},
		"a gate that takes TLS 1.1":           {source{0, roleEdge}, "0/edge#0", func(h *dial.Handshake) { h.Lowest = "TLS 1.1" }},
		"a gate that serves without TLS":      {source{0, roleEdge}, "0/edge#0", func(h *dial.Handshake) { h.Plain = true }},
		"a gate with another's certificate":   {source{0, roleEdge}, "0/edge#0", func(h *dial.Handshake) { h.Names = false }},
		"a gate with an old certificate":      {source{0, roleEdge}, "0/edge#0", func(h *dial.Handshake) { h.NotAfter = evening.Add(-time.Second) }},
		"an application of another authority": {source{0, roleEdge}, "0/app#0", func(h *dial.Handshake) { h.Verified = false }},
		"a database of another authority":     {source{0, roleApp}, "0/database#0", func(h *dial.Handshake) { h.Verified = false }},
		"a database that lets in without TLS": {source{0, roleApp}, "0/database#0", func(h *dial.Handshake) { h.Plain = true }},
	} {
		members := two()
		seen := strict(members, outsideOfAll)
		row.edit(seen[row.from][row.id].Handshake)
		v := judged(members, seen).encryptedInTransit(evening)
		if v.status != metav1.ConditionFalse || v.reason != v1alpha1.ReasonNotEncrypted {
			t.Errorf("%s: got %s/%s: %s", name, v.status, v.reason, v.message)
		}
	}
}

func TestAnApplicationWithoutTLSIsSaidToHaveNone(t *testing.T) {
	members := two()
	members[0].pods[roleApp][0].appTLS = false
	v := judged(members, strict(members, outsideOfAll)).encryptedInTransit(evening)
	expect(t, v, metav1.ConditionTrue, v1alpha1.ReasonProven)
	if c := v.claims[1]; c.Name != gateToAppClaim || c.Status != metav1.ConditionUnknown || !strings.Contains(c.Message, "in clear") {
		t.Errorf("got %+v", c)
	}
}

func TestEncryptionAtRestIsWhatSomebodyAttests(t *testing.T) {
	members := two()
	j := judged(members, evidence{})
	expect(t, j.encryptedAtRest(), metav1.ConditionTrue, v1alpha1.ReasonAttested, "storage class fast, attested by ops@example.com")
	members[0].volumes.by["slow"] = ""
	expect(t, j.encryptedAtRest(), metav1.ConditionUnknown, v1alpha1.ReasonNotAttested, "storage class slow", v1alpha1.AnnotationEncryptionAttestedBy)
	members[0].volumes = attestation{}
	expect(t, j.encryptedAtRest(), metav1.ConditionUnknown, v1alpha1.ReasonNotAttested)
}

func TestALockdownIsProvenAtEveryGatePod(t *testing.T) {
	members := two()
	members[0].tenant.Spec.Lockdown = true
	seen := strict(members, outsideOfAll)
	j := judged(members, seen)
	expect(t, j.shut(), metav1.ConditionTrue, v1alpha1.ReasonProven, "each of 2 gate pods")
	expect(t, j.isolated(), metav1.ConditionTrue, v1alpha1.ReasonProven)
	expect(t, j.encryptedInTransit(evening), metav1.ConditionTrue, v1alpha1.ReasonProven)

	edge := source{0, roleEdge}
	seen[edge]["0/edge#1"] = dial.Outcome{Result: dial.Open}
	expect(t, j.shut(), metav1.ConditionFalse, v1alpha1.ReasonClosing, "still lets connections in")
	seen = strict(members, outsideOfAll)
	seen[edge]["0/agent#1"] = dial.Outcome{Result: dial.Open, Gate: &dial.GateStatus{Closed: true, Workers: 2}}
	expect(t, judged(members, seen).shut(), metav1.ConditionFalse, v1alpha1.ReasonClosing, "may hold connections: 2")
	delete(seen, edge)
	expect(t, judged(members, seen).shut(), metav1.ConditionFalse, v1alpha1.ReasonClosing, "not tried")
	members[0].pods[roleEdge] = nil
	expect(t, judged(members, seen).shut(), metav1.ConditionUnknown, v1alpha1.ReasonNotProven)
}

// The answer of a pod has to fit into a termination message, which the kubelet cuts at 4096 bytes.
func TestTheAnswerOfAPodFits(t *testing.T) {
	members := two()
	w := outsideOfAll
	w.outside = []string{"198.51.100.1:443", "198.51.100.2:443"}
	for _, m := range members { // the largest gate that a class may ask for
		for len(m.pods[roleEdge]) < 10 {
			m.pods[roleEdge] = append(m.pods[roleEdge], instancePod{address: "10.0.100.100", door: true})
		}
	}
	for from, attempts := range plan(members, w) {
		if from == operator {
			continue
		}
		var well, ill []dial.Outcome
		for _, a := range attempts {
			outcome := strictly(a)
			well = append(well, outcome)
			if a.Kind != "" {
				outcome.Handshake, outcome.Gate, outcome.Problem = nil, nil, strings.Repeat("x", dial.MaxProblem)
			}
			ill = append(ill, outcome)
		}
		for _, outcomes := range [][]dial.Outcome{well, ill} {
			if raw, err := json.Marshal(outcomes); err != nil || len(raw) > 4096 {
				t.Errorf("the answer of %s has %d bytes (%v)", from.role, len(raw), err)
			}
		}
	}
}

func TestBlockedClientsAreCountedOverAllGatePods(t *testing.T) {
	members := two()
	seen := strict(members, outsideOfAll)
	seen[source{0, roleEdge}]["0/agent#0"].Gate.BlockedClients = 2
	seen[source{0, roleEdge}]["0/agent#1"].Gate.BlockedClients = 3
	seen[source{1, roleEdge}]["1/agent#1"].Gate.BlockedClients = 7
	if got := judged(members, seen).blocked(); got != 5 {
		t.Errorf("got %d, want 5: another Tenant's do not count", got)
	}
}

func TestWhatPointsOutsideMeetIsComparedWithTheSpec(t *testing.T) {
	inside, outside := netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("198.51.100.200")
	w := outsideOfAll
	w.points = []dial.Point{{Address: inside}, {Address: outside}}
	restricted := v1alpha1.TenantNetwork{Access: v1alpha1.AccessRestricted, AllowedRanges: []v1alpha1.CIDR{"198.51.100.0/25"}}
	for name, row := range map[string]struct {
		network v1alpha1.TenantNetwork
		results [2]dial.Result
		status  metav1.ConditionStatus
		says    string
	}{
		"open to both":            {v1alpha1.TenantNetwork{}, [2]dial.Result{dial.Open, dial.Open}, metav1.ConditionTrue, "198.51.100.200 gets in"},
		"restricted to one":       {restricted, [2]dial.Result{dial.Open, dial.Silent}, metav1.ConditionTrue, "198.51.100.200 is kept out"},
		"one gets in who may not": {restricted, [2]dial.Result{dial.Open, dial.Open}, metav1.ConditionFalse, "198.51.100.200 GETS IN"},
		"one may and does not":    {restricted, [2]dial.Result{dial.Silent, dial.Silent}, metav1.ConditionUnknown, "198.51.100.1 does not get in, and may"},
		"one does not answer":     {restricted, [2]dial.Result{dial.Open, dial.Failed}, metav1.ConditionUnknown, "198.51.100.200 did not answer"},
		"denied within all":       {v1alpha1.TenantNetwork{DeniedRanges: []v1alpha1.CIDR{"198.51.100.200/32"}}, [2]dial.Result{dial.Open, dial.Refused}, metav1.ConditionTrue, "everywhere except 198.51.100.200/32"},
		"closed":                  {v1alpha1.TenantNetwork{Access: v1alpha1.AccessClosed}, [2]dial.Result{dial.Refused, dial.Silent}, metav1.ConditionTrue, "clients from nowhere"},
	} {
		members := two()
		members[0].tenant.Spec.Network = row.network
		seen := strict(members, w)
		for k, result := range row.results {
			seen[operator][pointID(0, k)] = dial.Outcome{Result: result}
		}
		j := judgement{members: members, world: w, seen: seen, index: 0}
		if c := j.clientRanges(); c.Status != row.status || !strings.Contains(c.Message, row.says) {
			t.Errorf("%s: got %s: %s", name, c.Status, c.Message)
		}
		want := metav1.ConditionTrue
		if row.status == metav1.ConditionFalse {
			want = metav1.ConditionFalse
		}
		if v := j.isolated(); v.status != want {
			t.Errorf("%s: Isolated is %s: %s", name, v.status, v.message)
		}
		delete(seen, source{0, roleEdge})
		if c := j.clientRanges(); strings.Contains(c.Message, "is kept out") {
			t.Errorf("%s: a gate that answers nobody keeps nobody out: %s", name, c.Message)
		}
	}
}
