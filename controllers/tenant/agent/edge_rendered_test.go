// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/agenttest"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
	"github.com/freehold-dev/freehold/controllers/tenant/render"
)

// These tests run the gate with the configuration and the lists that the operator renders.

// renderedPod is a gate's pod with what the operator makes of a Tenant and its class.
type renderedPod struct {
	*edgePod
	inputs render.Inputs
}

func newRenderedPod(t *testing.T, edits ...func(*render.Inputs)) *renderedPod {
	t.Helper()
	p := &renderedPod{edgePod: newEdgePod(t), inputs: render.Inputs{
		InstanceID: "k7m2p9x4",
		Images:     render.Images{Database: "postgres", Edge: "edge"},
		Tenant: &v1alpha1.Tenant{ObjectMeta: metav1.ObjectMeta{Name: "acme"},
			Spec: v1alpha1.TenantSpec{Hostnames: []v1alpha1.Hostname{gateHost}}},
		Class: &v1alpha1.TenantClass{ObjectMeta: metav1.ObjectMeta{Name: "shop"},
			Spec: v1alpha1.TenantClassSpec{App: v1alpha1.ClassApp{Image: "shop", Port: 8080}}},
	}}
	for _, edit := range edits {
		edit(&p.inputs)
	}
	revision, err := render.NewRevision(p.inputs)
	if err != nil {
		t.Fatal(err)
	}
	for _, config := range revision.ConfigMaps {
		if text, is := config.Data[meta.KeyHAProxyConf]; is {
			// The names of a cluster lead nowhere here; the application listens beside the gate.
			files := config.Data
			files[meta.KeyHAProxyConf] = strings.Replace(text, "server app "+meta.AppHost("tenant-acme", "cluster.local"), "server app 127.0.0.1", 1)
			p.publish(p.config, files)
		}
	}
	p.publishLists()
	p.rotateCertificate(100)
	return p
}

// publishLists puts into the pod what the operator makes of the inputs now.
func (p *renderedPod) publishLists() {
	p.t.Helper()
	objects, err := render.Live(p.inputs)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, config := range objects.ConfigMaps {
		if *config.Name == meta.EdgeListsConfigMap {
			p.publish(p.lists, config.Data)
		}
	}
}

// start starts the gate and waits until it serves.
func (p *renderedPod) start() *agenttest.Container {
	p.t.Helper()
	container := p.Start("agent", "edge", "run")
	awaitGate(p.t, container, func() error { return p.client().get("/") })
	return container
}

// customer asks over connections that it keeps.
type customer struct {
	pod       *renderedPod
	transport *http.Transport
}

// client is a customer's browser, which speaks HTTP/2.
func (p *renderedPod) client() *customer {
	return p.clientAt(meta.PortEdge)
}

func (p *renderedPod) clientAt(port int) *customer {
	return p.clientOver(func(ctx context.Context, network, _ string) (net.Conn, error) {
		return p.Dial(ctx, network, fmt.Sprintf("127.0.0.1:%d", port))
	})
}

func (p *renderedPod) clientOver(dial func(ctx context.Context, network, address string) (net.Conn, error)) *customer {
	transport := &http.Transport{
		ForceAttemptHTTP2: true,
		DialContext:       dial,
		TLSClientConfig:   &tls.Config{RootCAs: p.authority.Pool(), ServerName: gateHost, MinVersion: tls.VersionTLS12},
	}
	p.t.Cleanup(transport.CloseIdleConnections)
	return &customer{pod: p, transport: transport}
}

// get asks and demands the application's answer.
func (c *customer) get(path string) error {
	status, body, err := c.ask(http.MethodGet, path)
	if err == nil && (status != http.StatusOK || body != "hello") {
		err = fmt.Errorf("the answer is %d: %q", status, body)
	}
	return err
}

func (c *customer) ask(method, path string) (status int, body string, err error) {
	got, err := c.do(method, path, http.StatusOK)
	return got.status, got.body, err
}

// reply is what the gate answered.
type reply struct {
	status int
	header http.Header
	body   string
}

// do asks the application for an answer with the status.
func (c *customer) do(method, path string, wish int) (reply, error) {
	request, err := http.NewRequest(method, "https://"+gateHost+path, nil)
	if err != nil {
		return reply{}, err
	}
	request.Header.Set("X-Answer", strconv.Itoa(wish))
	answer, err := (&http.Client{Transport: c.transport, Timeout: agenttest.Patience}).Do(request)
	if err != nil {
		return reply{}, err
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	return reply{answer.StatusCode, answer.Header, string(content)}, err
}

// begin sends a request that the application does not finish before the test says so.
func (c *customer) begin() <-chan error {
	c.pod.t.Helper()
	done := make(chan error, 1)
	go func() { done <- c.get("/slow") }()
	select {
	case <-c.pod.arrived:
	case err := <-done:
		c.pod.t.Fatalf("the request ended before it arrived: %v", err)
	}
	return done
}

func (p *renderedPod) eventuallyStatus(what string, met func(edgeStatus) bool) {
	p.t.Helper()
	agenttest.Eventually(p.t, what, func() error {
		if status := p.status(); !met(status) {
			return fmt.Errorf("/status is %+v", status)
		}
		return nil
	})
}

func TestLockdownCutsEstablishedConnectionsAndOpensAgain(t *testing.T) {
	t.Parallel()
	p := newRenderedPod(t)
	gate := p.start()
	master := p.master(gate)
	established := p.client().begin()

	p.inputs.Tenant.Spec.Lockdown = true
	p.publishLists()
	locked := time.Now()
	select {
	case err := <-established:
		if err == nil {
			t.Error("a request was answered under lockdown")
		}
	case <-time.After(agenttest.Patience):
		t.Fatal("an established connection outlives the lockdown")
	}
	t.Logf("the connection was cut %s after the pod saw the lockdown", time.Since(locked).Round(time.Millisecond))
	p.eventuallyStatus("a closed gate with one worker", func(s edgeStatus) bool { return s.State == "current" && s.Closed && s.Workers == 1 })
	for _, port := range []int{meta.PortEdge, meta.PortEdgeProbe} {
		if err := p.clientAt(port).get("/"); err == nil {
			t.Errorf("port %d lets somebody in under lockdown", port)
		}
	}
	if code, _ := p.Get(fmt.Sprintf("http://127.0.0.1:%d/healthz", meta.PortEdgeHealth)); code != http.StatusOK {
		t.Errorf("under lockdown the gate calls itself unhealthy: %d", code)
	}

	p.inputs.Tenant.Spec.Lockdown = false
	p.publishLists()
	opened := time.Now()
	agenttest.Eventually(t, "the gate opens again", func() error { return p.client().get("/") })
	t.Logf("the gate was open again %s after the pod saw it", time.Since(opened).Round(time.Millisecond))
	p.eventuallyStatus("an open gate", func(s edgeStatus) bool { return !s.Closed && s.Digest != "" })
	if got := p.master(gate); got != master {
		t.Errorf("the haproxy master changed from %d to %d", master, got)
	}
	close(p.slow)
}

func TestClosingTheAccessCutsCustomersAndLeavesTheSecondDoor(t *testing.T) {
	t.Parallel()
	p := newRenderedPod(t)
	p.start()
	established := p.client().begin()
	p.inputs.Tenant.Spec.Network.Access = v1alpha1.AccessClosed
	p.publishLists()
	if err := <-established; err == nil {
		t.Error("a request was answered although access is closed")
	}
	close(p.slow)
	if err := p.clientAt(meta.PortEdgeProbe).get("/"); err != nil {
		t.Errorf("the second door is closed: %v", err)
	}
}

func TestAnOrdinaryChangeCutsNobody(t *testing.T) {
	t.Parallel()
	p := newRenderedPod(t)
	p.start()
	established := p.client().begin()
	p.inputs.Tenant.Spec.Network.DeniedRanges = []v1alpha1.CIDR{"192.0.2.0/24"}
	p.publishLists()
	p.eventuallyStatus("the change in use, the old worker still there", func(s edgeStatus) bool { return s.Changes == 2 && s.Workers == 2 && !s.Closed })
	close(p.slow)
	if err := <-established; err != nil {
		t.Errorf("a request from before the change was lost: %v", err)
	}
	p.eventuallyStatus("the end of the old worker, whose last connection is idle", func(s edgeStatus) bool { return s.Workers == 1 })
}

func TestIdleCustomersDoNotHoldAStoppingGate(t *testing.T) {
	t.Parallel()
	p := newRenderedPod(t)
	gate := p.start()
	idle := p.client()
	if err := idle.get("/"); err != nil {
		t.Fatal(err)
	}
	asked := time.Now()
	gate.Signal(syscall.SIGTERM)
	if code := gate.ExitCode(); code != 0 {
		t.Errorf("a wished end has the exit code %d", code)
	}
	// Five seconds of draining are by design; without close-spread-time it takes 45 more.
	if took := time.Since(asked); took > 20*time.Second {
		t.Errorf("a gate with one idle connection took %s to end", took)
	}
}
