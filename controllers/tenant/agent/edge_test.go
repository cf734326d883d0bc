// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/freehold-dev/freehold/controllers/internal/agenttest"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

func TestGateWaitsForItsCertificate(t *testing.T) {
	t.Parallel()
	p := newEdgePod(t)
	gate := p.Start("agent", "edge", "run")
	if status := p.eventually("waiting"); status.Code != http.StatusServiceUnavailable {
		t.Errorf("/status answers %+v", status)
	}
	p.rotateCertificate(100)
	p.eventuallyServes(100)
	if status := p.status(); status.Code != http.StatusOK || status.State != "current" {
		t.Errorf("/status answers %+v", status)
	}
	if !strings.Contains(gate.Log(), "waiting for the gate's certificate") {
		t.Error("the log does not say what was waited for")
	}
}

func TestGateLosesNoRequestWhileItsCertificateChanges(t *testing.T) {
	t.Parallel()
	p := newEdgePod(t)
	p.rotateCertificate(100)
	gate := p.run()
	master := p.master(gate)

	old := p.begin("/slow")
	stop, asked := p.load()
	for serial := int64(101); serial <= 104; serial++ {
		p.rotateCertificate(serial)
		p.eventuallyServes(serial)
	}
	close(p.slow)
	if err := <-old; err != nil {
		t.Errorf("a request from before the reloads was lost: %v", err)
	}
	for _, err := range stop() {
		t.Errorf("a request was lost: %v", err)
	}
	t.Logf("%d requests, each over its own connection, went through four reloads", asked.Load())
	if asked.Load() < 100 {
		t.Errorf("only %d requests were made: that proves little", asked.Load())
	}
	if got := p.master(gate); got != master {
		t.Errorf("the haproxy master changed from %d to %d", master, got)
	}
	agenttest.Eventually(t, "the count of what was put into use", func() error {
		if status := p.status(); status.Changes != 5 || status.Failures != 0 {
			return fmt.Errorf("%+v, want the start and four changes", status)
		}
		return nil
	})
}

// master is HAProxy's first process, on this machine.
func (p *edgePod) master(gate *agenttest.Container) int {
	p.t.Helper()
	children, err := agenttest.Children(gate.PID())
	if err != nil || len(children) == 0 {
		p.t.Fatalf("the agent has the children %v, %v", children, err)
	}
	return children[0]
}

// begin sends a request to the application and returns when it has arrived there.
func (p *edgePod) begin(path string) <-chan error {
	p.t.Helper()
	done := make(chan error, 1)
	go func() {
		_, err := p.get(path)
		done <- err
	}()
	select {
	case <-p.arrived:
	case err := <-done:
		p.t.Fatalf("the request ended before it arrived: %v", err)
	}
	return done
}

// load asks without pause until stopped, and then returns everything that went wrong.
func (p *edgePod) load() (stop func() []error, asked *atomic.Int64) {
	var (
		workers sync.WaitGroup
		mu      sync.Mutex
		errs    []error
		ended   atomic.Bool
	)
	asked = &atomic.Int64{}
	for range 4 {
		workers.Go(func() {
			for !ended.Load() {
				_, err := p.get("/")
				asked.Add(1)
				if err != nil {
					mu.Lock()
					errs = append(errs, err)
					mu.Unlock()
				}
			}
		})
	}
	return func() []error {
		ended.Store(true)
		workers.Wait()
		return errs
	}, asked
}

func TestGateKeepsServingWhenItCannotUseWhatIsNew(t *testing.T) {
	t.Parallel()
	p := newEdgePod(t)
	p.rotateCertificate(100)
	gate := p.run()

	cert, _ := p.authority.Issue(t, gateHost, 200)
	_, key := p.authority.Issue(t, gateHost, 201)
	p.publish(p.tls, map[string]string{meta.KeyTLSCert: cert, meta.KeyTLSKey: key})
	if status := p.eventually("outdated"); !strings.Contains(status.Detail, "certificate and key do not load") {
		t.Errorf("/status answers %+v", status)
	}
	p.eventuallyServes(100)

	p.rotateCertificate(300)
	p.eventually("current")
	p.eventuallyServes(300)

	p.allow("no network at all")
	if status := p.eventually("outdated"); !strings.Contains(status.Detail, "no network at all") || status.Failures < 2 {
		t.Errorf("/status answers %+v", status)
	}
	p.eventuallyServes(300)
	if !strings.Contains(gate.Log(), "what was in use before stays in use") {
		t.Error("the log does not say that the gate goes on as it was")
	}
}

func TestGateTakesNewClientListsIntoUse(t *testing.T) {
	t.Parallel()
	p := newEdgePod(t)
	p.rotateCertificate(100)
	p.run()
	for _, tc := range []struct {
		allowed string
		open    bool
	}{{"192.0.2.0/24", false}, {"192.0.2.0/24\n127.0.0.1", true}, {"", false}} {
		p.allow(tc.allowed)
		agenttest.Eventually(t, fmt.Sprintf("open: %t for %q", tc.open, tc.allowed), func() error {
			if _, err := p.get("/"); (err == nil) != tc.open {
				return fmt.Errorf("served: %t", err == nil)
			}
			return nil
		})
	}
}

func TestGateDrainsBeforeItEnds(t *testing.T) {
	t.Parallel()
	p := newEdgePod(t)
	p.rotateCertificate(100)
	gate := p.run()
	old := p.begin("/slow")

	gate.Signal(syscall.SIGTERM)
	p.eventually("stopping")
	if _, err := p.get("/"); err != nil {
		t.Errorf("a client that had not heard of the end yet was turned away: %v", err)
	}
	agenttest.Eventually(t, "the refusal of new connections", func() error {
		if _, err := p.get("/"); err == nil {
			return fmt.Errorf("they are still served")
		}
		return nil
	})
	select {
	case <-gate.Done():
		t.Fatal("the gate ended under a request")
	default:
	}
	close(p.slow)
	if err := <-old; err != nil {
		t.Errorf("the request from before the end was lost: %v", err)
	}
	if code := gate.ExitCode(); code != 0 {
		t.Errorf("a wished end has the exit code %d", code)
	}
}

func TestGateDoesNotStartWithAConfigurationThatHAProxyRefuses(t *testing.T) {
	t.Parallel()
	p := newEdgePod(t)
	p.rotateCertificate(100)
	p.publish(p.config, map[string]string{meta.KeyHAProxyConf: "frontend x\n  bogus word\n"})
	if code := p.Start("agent", "edge", "run").ExitCode(); code != 1 {
		t.Errorf("it ended with %d, want 1", code)
	}
	if said := p.TerminationMessage(); !strings.Contains(said, "bogus") {
		t.Errorf("the termination message does not quote haproxy: %q", said)
	}
}

func TestGateEndsAsHAProxyEnds(t *testing.T) {
	t.Parallel()
	p := newEdgePod(t)
	p.rotateCertificate(100)
	gate := p.run()
	if err := syscall.Kill(p.master(gate), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if code := gate.ExitCode(); code != 128+int(syscall.SIGKILL) {
		t.Errorf("it ended with %d, want 137", code)
	}
	// The kubelet starts the container again, over the same folder with the killed master's socket.
	p.run()
	p.rotateCertificate(200)
	p.eventuallyServes(200)
}
