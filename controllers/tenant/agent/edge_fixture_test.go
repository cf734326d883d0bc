// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/freehold-dev/freehold/controllers/internal/agenttest"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

const gateHost = "acme.example.com"

// gateConfig is the least that the agent needs of the operator's configuration.
const gateConfig = `
global
  log stdout format raw local0
crt-store web
  load crt "/etc/freehold/tls/tls.crt" key "/etc/freehold/tls/tls.key" alias "site"
defaults
  mode http
  option httplog
  option dontlog-normal
  log global
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend gate
  bind :8443 ssl crt "@web/site" alpn http/1.1
  tcp-request connection reject unless { src -f /etc/freehold/lists/allowed.lst }
  default_backend app
backend app
  server app 127.0.0.1:8080
frontend health
  bind :8404
  monitor-uri /healthz
`

// edgePod is a tenant's gate pod without Kubernetes, with an application behind it.
type edgePod struct {
	*agenttest.Pod
	t          *testing.T
	authority  *agenttest.Authority
	tls, lists string
	config     string
	// slow lets the application finish its answers to /slow.
	slow chan struct{}
	// arrived tells that a request to /slow is with the application.
	arrived chan struct{}
}

func newEdgePod(t *testing.T) *edgePod {
	t.Helper()
	pod := agenttest.NewPod(t, "FREEHOLD_EDGE_ROOT", meta.UIDHAProxy, "/usr/sbin:/usr/bin:/sbin:/bin")
	p := &edgePod{Pod: pod, t: t, authority: agenttest.NewAuthority(t), slow: make(chan struct{}), arrived: make(chan struct{}, 10)}
	pod.Folder(meta.HAProxyRunDir, true)
	pod.Folder(meta.TrustDir, false)
	p.config, p.tls, p.lists = pod.Folder(meta.ConfigDir, false), pod.Folder(meta.TLSDir, false), pod.Folder(meta.ListsDir, false)
	p.publish(p.config, map[string]string{meta.KeyHAProxyConf: gateConfig})
	p.allow("127.0.0.0/8")
	p.application()
	return p
}

func (p *edgePod) publish(folder string, files map[string]string) {
	p.t.Helper()
	agenttest.Publish(p.t, folder, meta.UIDHAProxy, files)
}

func (p *edgePod) allow(lines string) {
	p.t.Helper()
	p.publish(p.lists, map[string]string{meta.KeyAllowedList: "# networks that may connect\n" + lines + "\n", meta.KeyDeniedList: "# none\n"})
}

func (p *edgePod) rotateCertificate(serial int64) {
	p.t.Helper()
	cert, key := p.authority.Issue(p.t, gateHost, serial)
	p.publish(p.tls, map[string]string{meta.KeyTLSCert: cert, meta.KeyTLSKey: key})
}

// application answers at once, or on /slow when the test says so, with the status that the client wishes.
func (p *edgePod) application() {
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			p.arrived <- struct{}{}
			<-p.slow
		}
		if status, err := strconv.Atoi(r.Header.Get("X-Answer")); err == nil {
			w.WriteHeader(status)
		}
		_, _ = io.WriteString(w, "hello") // a client that went away is the test's to notice.
	})}
	listener := p.Listen("127.0.0.1:8080")
	go func() { _ = server.Serve(listener) }() // ends with the listener.
	p.t.Cleanup(func() { _ = server.Close() })
}

// run starts the gate and waits until it serves.
func (p *edgePod) run() *agenttest.Container {
	p.t.Helper()
	container := p.Start("agent", "edge", "run")
	awaitGate(p.t, container, func() error {
		_, err := p.get("/")
		return err
	})
	return container
}

// awaitGate waits until a gate answers a client, and fails at once if it ended instead.
func awaitGate(t *testing.T, gate *agenttest.Container, ask func() error) {
	t.Helper()
	agenttest.Eventually(t, "the first answer", func() error {
		select {
		case <-gate.Done():
			t.Fatalf("the gate ended:\n%s", gate.Log())
		default:
		}
		return ask()
	})
}

// get asks over a connection of its own and returns the serial number of the certificate.
func (p *edgePod) get(path string) (serial int64, err error) {
	transport := &http.Transport{
		DialContext: p.Dial, DisableKeepAlives: true,
		TLSClientConfig: &tls.Config{RootCAs: p.authority.Pool(), ServerName: gateHost, MinVersion: tls.VersionTLS12},
	}
	client := http.Client{Transport: transport, Timeout: agenttest.Patience}
	answer, err := client.Get(fmt.Sprintf("https://127.0.0.1:%d%s", meta.PortEdge, path))
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, err
	}
	if answer.StatusCode != http.StatusOK || string(body) != "hello" {
		return 0, fmt.Errorf("%s: %q", answer.Status, body)
	}
	return answer.TLS.PeerCertificates[0].SerialNumber.Int64(), nil
}

// eventuallyServes waits for a certificate.
func (p *edgePod) eventuallyServes(serial int64) {
	p.t.Helper()
	agenttest.Eventually(p.t, fmt.Sprintf("the certificate %d", serial), func() error {
		got, err := p.get("/")
		if err == nil && got != serial {
			err = fmt.Errorf("it still serves %d", got)
		}
		return err
	})
}

// edgeStatus is what the agent tells at /status.
type edgeStatus struct {
	Code              int
	State, Detail     string
	Changes, Failures int
	Digest            string
	Closed            bool
	Workers           int
	BlockedClients    int
}

func (p *edgePod) status() edgeStatus {
	p.t.Helper()
	code, body := p.Get(fmt.Sprintf("http://127.0.0.1:%d/status", meta.PortAgent))
	status := edgeStatus{Code: code}
	if code != 0 {
		if err := json.Unmarshal([]byte(body), &status); err != nil {
			p.t.Fatalf("/status answers %q: %v", body, err)
		}
	}
	return status
}

func (p *edgePod) eventually(state string) edgeStatus {
	p.t.Helper()
	var status edgeStatus
	agenttest.Eventually(p.t, "the state "+state, func() error {
		if status = p.status(); status.State != state {
			return fmt.Errorf("it is %+v", status)
		}
		return nil
	})
	return status
}
