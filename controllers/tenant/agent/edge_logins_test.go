// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/agenttest"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
	"github.com/freehold-dev/freehold/controllers/tenant/render"
)

const (
	attacker  = "192.0.2.66"
	colleague = "192.0.2.67"
)

// newLoginPod is a gate that limits logins, and lets its clients say who they are.
func newLoginPod(t *testing.T) *renderedPod {
	t.Helper()
	p := newRenderedPod(t, func(in *render.Inputs) {
		in.Class.Spec.Edge.Logins = &v1alpha1.ClassLogins{Paths: []v1alpha1.LoginPath{"/login", "/auth/*"}, MaxFailures: 3, MaxRequests: 8}
	})
	p.start()
	behind("127.0.0.1/32")(&p.inputs)
	p.publishLists()
	agenttest.Eventually(t, "the gate believes its load balancer", func() error { return p.through(colleague).get("/") })
	return p
}

// login asks for a path with an answer of the application, and gives the status that arrives.
func (p *renderedPod) login(client, path string, wish int) reply {
	p.t.Helper()
	answer, err := p.through(client).do(http.MethodPost, path, wish)
	if err != nil {
		p.t.Fatal(err)
	}
	return answer
}

func (p *renderedPod) expectLogin(client, path string, wish, want int) {
	p.t.Helper()
	if got := p.login(client, path, wish).status; got != want {
		p.t.Errorf("%s at %s, where the application says %d, gets %d, want %d", client, path, wish, got, want)
	}
}

// command runs a command in the gate's pod and returns what it says.
func (p *renderedPod) command(args ...string) (string, int) {
	p.t.Helper()
	container := p.Start(append([]string{"agent", "edge"}, args...)...)
	code := container.ExitCode()
	return container.Log(), code
}

func (p *renderedPod) metric(name string) float64 {
	p.t.Helper()
	code, body := p.Get(fmt.Sprintf("http://127.0.0.1:%d/metrics", meta.PortAgent))
	for line := range strings.Lines(body) {
		if text, is := strings.CutPrefix(line, name+" "); is {
			value, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
			if err != nil {
				p.t.Fatal(err)
			}
			return value
		}
	}
	p.t.Fatalf("there is no metric %s; %d: %s", name, code, body)
	return 0
}

func TestAClientThatFailsToLogInTooOftenIsBlockedThereAndNowhereElse(t *testing.T) {
	t.Parallel()
	p := newLoginPod(t)
	for range 2 {
		p.expectLogin(attacker, "/login", http.StatusUnauthorized, http.StatusUnauthorized)
	}
	p.expectLogin(attacker, "/auth/token", http.StatusForbidden, http.StatusForbidden)
	blocked := p.login(attacker, "/login", http.StatusOK)
	if wait, err := strconv.Atoi(blocked.header.Get("Retry-After")); blocked.status != http.StatusTooManyRequests || err != nil || wait < 590 || wait > 600 {
		t.Errorf("after three failures the answer is %d with Retry-After %q", blocked.status, blocked.header.Get("Retry-After"))
	}
	// However the path is spelled.
	for _, path := range []string{"/login/", "//login", "/./login", "/LOGIN", "/%6cogin", "/x/../login", "/a/b/../../login", "/login;a=b", "/login?x=1", "/auth/", "/auth/a/b", "/auth//x"} {
		p.expectLogin(attacker, path, http.StatusOK, http.StatusTooManyRequests)
	}
	for _, path := range []string{"/", "/loginx", "/authx", "/x/login", "/auth"} {
		p.expectLogin(attacker, path, http.StatusOK, http.StatusOK)
	}
	p.expectLogin(colleague, "/login", http.StatusOK, http.StatusOK)

	p.eventuallyStatus("the blocked client is counted", func(s edgeStatus) bool { return s.BlockedClients == 1 })
	for name, want := range map[string]float64{"freehold_gate_blocked_clients": 1, "freehold_gate_blocks_total": 1,
		"freehold_gate_login_requests_refused_total": 13} {
		if got := p.metric(name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	for _, name := range []string{"freehold_gate_workers", "freehold_gate_connections_total"} {
		if got := p.metric(name); got < 1 {
			t.Errorf("%s is %v after all these requests", name, got)
		}
	}
}

func TestAClientThatAsksTooOftenIsBlockedWhateverTheApplicationSays(t *testing.T) {
	t.Parallel()
	p := newLoginPod(t)
	for range 8 {
		p.expectLogin(attacker, "/login", http.StatusOK, http.StatusOK)
	}
	p.expectLogin(attacker, "/login", http.StatusOK, http.StatusTooManyRequests)
	p.expectLogin(attacker, "/login", http.StatusOK, http.StatusTooManyRequests)
	p.expectLogin(colleague, "/login", http.StatusOK, http.StatusOK)
}

func TestBlocksOutliveAReloadAndCanBeListedAndTakenBack(t *testing.T) {
	t.Parallel()
	p := newLoginPod(t)
	for _, client := range []string{attacker, "192.0.2.99"} {
		for range 3 {
			p.expectLogin(client, "/login", http.StatusUnauthorized, http.StatusUnauthorized)
		}
	}
	before := p.status().Changes
	p.rotateCertificate(200)
	p.eventuallyStatus("a reload", func(s edgeStatus) bool { return s.Changes == before+1 && s.Workers == 1 })
	p.expectLogin(attacker, "/login", http.StatusOK, http.StatusTooManyRequests)

	// Under lockdown the old process has less time to hand its tables over.
	p.inputs.Tenant.Spec.Lockdown = true
	p.publishLists()
	p.eventuallyStatus("lockdown", func(s edgeStatus) bool { return s.Closed && s.Workers == 1 })
	p.inputs.Tenant.Spec.Lockdown = false
	p.publishLists()
	agenttest.Eventually(t, "the end of the lockdown", func() error { return p.through(colleague).get("/") })
	p.expectLogin(attacker, "/login", http.StatusOK, http.StatusTooManyRequests)

	if said, code := p.command("blocked"); code != 0 || !strings.Contains(said, attacker+" ") || !strings.Contains(said, "192.0.2.99 ") || strings.Contains(said, colleague) {
		t.Errorf("the list of blocked clients, %d: %s", code, said)
	}
	if said, code := p.command("unblock", colleague); code == 0 || !strings.Contains(said, "192.0.2.67 is not blocked by this replica") {
		t.Errorf("a client that is not blocked is unblocked: %s", said)
	}
	for _, wrong := range [][]string{{"unblock"}, {"unblock", "everyone"}, {"unblock", "--all", attacker}} {
		if said, code := p.command(wrong...); code == 0 {
			t.Errorf("%v is accepted: %s", wrong, said)
		}
	}
	if said, code := p.command("unblock", attacker); code != 0 {
		t.Errorf("unblocking: %s", said)
	}
	p.expectLogin(attacker, "/login", http.StatusOK, http.StatusOK)
	p.expectLogin("192.0.2.99", "/login", http.StatusOK, http.StatusTooManyRequests)
	if said, code := p.command("unblock", "--all"); code != 0 {
		t.Errorf("unblocking everyone: %s", said)
	}
	p.expectLogin("192.0.2.99", "/login", http.StatusOK, http.StatusOK)
	if said, code := p.command("blocked"); code != 0 || !strings.Contains(said, "Nobody is blocked") {
		t.Errorf("the empty list of blocked clients, %d: %s", code, said)
	}
	if said := p.TerminationMessage(); said != "" {
		t.Errorf("a command of a person left last words for the container: %q", said)
	}
}

func TestEachBlockedClientIsLoggedOnce(t *testing.T) {
	t.Parallel()
	p := newRenderedPod(t, func(in *render.Inputs) {
		in.Class.Spec.Edge.Logins = &v1alpha1.ClassLogins{Paths: []v1alpha1.LoginPath{"/login"}, MaxFailures: 1}
	})
	gate := p.start()
	if _, err := p.client().do(http.MethodPost, "/login", http.StatusUnauthorized); err != nil {
		t.Fatal(err)
	}
	p.eventuallyStatus("the blocked client is counted", func(s edgeStatus) bool { return s.BlockedClients == 1 })
	if n := strings.Count(gate.Log(), `"msg":"blocked a client that tried to log in too often"`); n != 1 || !strings.Contains(gate.Log(), `"client":"127.0.0.1"`) {
		t.Errorf("logged %d times, want once with the client's address", n)
	}
}

func TestAGateWithoutLimitsSaysSo(t *testing.T) {
	t.Parallel()
	p := newRenderedPod(t)
	p.start()
	if said, code := p.command("blocked"); code == 0 || !strings.Contains(said, "limits no logins") {
		t.Errorf("%d: %s", code, said)
	}
	if got := p.metric("freehold_gate_blocked_clients"); got != 0 {
		t.Errorf("it counts %v blocked clients", got)
	}
}
