// SPDX-License-Identifier: Apache-2.0

package render_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
	"github.com/freehold-dev/freehold/controllers/tenant/render"
)

// gate is a real HAProxy that runs with a rendered configuration, moved to free ports of this machine.
type gate struct {
	t       *testing.T
	address string
	probe   string
	health  string
	log     *lockedBuffer
}

// lockedBuffer collects what HAProxy writes while the test reads it.
type lockedBuffer struct {
	lock sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.lock.Lock()
	defer b.lock.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.lock.Lock()
	defer b.lock.Unlock()
	return b.text.String()
}

// startGate runs HAProxy in front of app, an address of this machine.
func startGate(t *testing.T, in render.Inputs, app string) *gate {
	t.Helper()
	trust, _ := selfSigned(t, "nobody")
	return startGateThatTrusts(t, in, app, trust)
}

// startGateThatTrusts takes the authority that the application's certificate must come from.
func startGateThatTrusts(t *testing.T, in render.Inputs, app, trust string) *gate {
	t.Helper()
	program := haproxyProgram(t)
	in.TrustBundle = trust
	config := layOut(t, in)
	g := &gate{t: t, address: freeAddress(t), probe: freeAddress(t), health: freeAddress(t), log: &lockedBuffer{}}
	text := read(t, config)
	for from, to := range map[string]string{
		fmt.Sprintf("bind :%d ", meta.PortEdge):        "bind " + g.address + " ",
		fmt.Sprintf("bind :%d ", meta.PortEdgeProbe):   "bind " + g.probe + " ",
		fmt.Sprintf("bind :%d\n", meta.PortEdgeHealth): "bind " + g.health + "\n",
		fmt.Sprintf("server app %s:%d", meta.AppHost(meta.Namespace(in.Tenant.Name), "cluster.local"), meta.PortAppService): "server app " + app,
	} {
		if !strings.Contains(text, from) {
			t.Fatalf("the configuration does not have %q", from)
		}
		text = strings.ReplaceAll(text, from, to)
	}
	write(t, config, text)
	ctx, stop := context.WithCancel(context.Background())
	command := exec.CommandContext(ctx, program, "-db", "-f", config)
	command.Stdout, command.Stderr = g.log, g.log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(); _ = command.Wait() })
	g.until("the gate's health endpoint answers", func() bool {
		answer, err := http.Get("http://" + g.health + "/healthz")
		if err != nil {
			return false
		}
		return answer.Body.Close() == nil && answer.StatusCode == http.StatusOK
	})
	return g
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

func (g *gate) until(what string, met func() bool) {
	g.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !met(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			g.t.Fatalf("never: %s; HAProxy said:\n%s", what, g.log)
		}
	}
}

// reply is what the gate answered.
type reply struct {
	status int
	proto  string
	header http.Header
	body   string
}

// get asks for a path as host, with more headers, over one connection of its own.
func (g *gate) get(host, path string, headers map[string]string, config *tls.Config) (*reply, error) {
	g.t.Helper()
	if config == nil {
		config = &tls.Config{}
	}
	return g.getAt(g.address, host, path, headers, config)
}

// getAt is get at one of the gate's doors.
func (g *gate) getAt(address, host, path string, headers map[string]string, config *tls.Config) (*reply, error) {
	g.t.Helper()
	config.InsecureSkipVerify = true // The certificate is made up; who serves it is known.
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true, DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		}}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequest(http.MethodGet, "https://"+host+path, nil)
	if err != nil {
		g.t.Fatal(err)
	}
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	answer, err := (&http.Client{Transport: transport, Timeout: 15 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}).Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	return &reply{answer.StatusCode, answer.Proto, answer.Header, string(body)}, err
}

func (g *gate) mustGet(host, path string, headers map[string]string) *reply {
	g.t.Helper()
	answer, err := g.get(host, path, headers, nil)
	if err != nil {
		g.t.Fatalf("%v; HAProxy said:\n%s", err, g.log)
	}
	return answer
}

// echo answers with the headers that reached the application.
var echo = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Server", "application/1.2.3")
	_ = json.NewEncoder(w).Encode(map[string]any{"host": r.Host, "headers": r.Header})
})

func TestGateTellsTheApplicationWhoAsksAndNobodyElseDoes(t *testing.T) {
	app := httptest.NewServer(echo)
	defer app.Close()
	g := startGate(t, miniflux(), app.Listener.Addr().String())
	made := map[string]string{"X-Harmless": "kept"}
	for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Anything", "Forwarded", "X-Real-Ip", "Proxy", "X_Forwarded_For",
		"X-Client-Ip", "X-Cluster-Client-Ip", "X-Originating-Ip", "X-Original-Forwarded-For", "X-Original-Url", "X-Original-Host", "X-Remote-Ip",
		"X-Remote-Addr", "X-Remote-User", "X-Rewrite-Url", "X-Envoy-External-Address", "X-Envoy-Original-Path", "X-Azure-Clientip", "X-Azure-Socketip",
		"Cf-Connecting-Ip", "Cf-Connecting-Ipv6", "Fastly-Client-Ip", "True-Client-Ip", "Front-End-Https"} {
		made[name] = "evil"
	}
	answer := g.mustGet("acme.example.com", "/", made)
	var seen struct {
		Host    string
		Headers http.Header
	}
	if err := json.Unmarshal([]byte(answer.body), &seen); err != nil {
		t.Fatalf("%v: %s", err, answer.body)
	}
	want := map[string]string{"X-Forwarded-For": "127.0.0.1", "X-Real-Ip": "127.0.0.1", "X-Forwarded-Proto": "https",
		"X-Forwarded-Host": "acme.example.com", "X-Forwarded-Port": "443"}
	for name, value := range want {
		if has := seen.Headers.Values(name); len(has) != 1 || has[0] != value {
			t.Errorf("the application sees %s %q, expected only %q", name, has, value)
		}
	}
	if strings.Contains(answer.body, "evil") {
		t.Errorf("something that the client made up reached the application: %s", answer.body)
	}
	if seen.Headers.Get("X-Harmless") != "kept" {
		t.Errorf("the gate removed a header that says nothing about the client: %s", answer.body)
	}
	if answer.proto != "HTTP/2.0" {
		t.Errorf("the gate spoke %s, expected HTTP/2", answer.proto)
	}
	if has := answer.header.Get("Strict-Transport-Security"); has != "max-age=31536000" {
		t.Errorf("Strict-Transport-Security is %q", has)
	}
	if has := answer.header.Get("Server"); has != "" {
		t.Errorf("the answer tells what serves: %q", has)
	}
}

func TestGateAnswersOnlyForItsNames(t *testing.T) {
	app := httptest.NewServer(echo)
	defer app.Close()
	g := startGate(t, miniflux(), app.Listener.Addr().String())
	for host, want := range map[string]int{
		"acme.example.com":      http.StatusOK,
		"RSS.acme.example":      http.StatusOK,
		"acme.example.com:443":  http.StatusOK,
		"acme.example.com.":     http.StatusOK,
		"globex.example.com":    http.StatusMisdirectedRequest,
		"x.acme.example.com":    http.StatusMisdirectedRequest,
		"acme.example.com.evil": http.StatusMisdirectedRequest,
		"127.0.0.1":             http.StatusMisdirectedRequest,
	} {
		if answer := g.mustGet(host, "/", nil); answer.status != want {
			t.Errorf("asked as %s it answers %d, expected %d", host, answer.status, want)
		}
	}
}

// raw sends the lines of a request over HTTP/1.1 as they stand and returns the answer's status and body.
func (g *gate) raw(lines ...string) (int, string) {
	g.t.Helper()
	connection, err := tls.Dial("tcp", g.address, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
	if err != nil {
		g.t.Fatal(err)
	}
	defer func() { _ = connection.Close() }()
	if err := connection.SetDeadline(time.Now().Add(15 * time.Second)); err != nil {
		g.t.Fatal(err)
	}
	if _, err := io.WriteString(connection, strings.Join(lines, "\r\n")+"\r\nConnection: close\r\n\r\n"); err != nil {
		g.t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		g.t.Fatalf("%q: %v", lines, err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

func TestGateTellsTheApplicationTheNameThatItLookedAt(t *testing.T) {
	app := httptest.NewServer(echo)
	defer app.Close()
	g := startGate(t, miniflux(), app.Listener.Addr().String())
	for _, row := range []struct {
		request []string
		status  int
	}{
		{[]string{"GET / HTTP/1.1", "Host: acme.example.com"}, http.StatusOK},
		{[]string{"GET / HTTP/1.1", "Host: ACME.example.com.:443"}, http.StatusOK},
		{[]string{"GET https://acme.example.com/ HTTP/1.1", "Host: acme.example.com"}, http.StatusOK},
		// HAProxy's own parser refuses these before the gate's rules would, with 421.
		{[]string{"GET / HTTP/1.1", "Host: other,acme.example.com"}, http.StatusBadRequest},
		{[]string{"GET / HTTP/1.1", "Host: acme.example.com,other"}, http.StatusBadRequest},
		{[]string{"GET / HTTP/1.1", "Host: "}, http.StatusMisdirectedRequest},
		{[]string{"GET / HTTP/1.1", "Host: acme.example.com", "Host: other"}, http.StatusBadRequest},
		{[]string{"GET https://other/ HTTP/1.1", "Host: acme.example.com"}, http.StatusBadRequest},
	} {
		status, body := g.raw(row.request...)
		if status != row.status {
			t.Errorf("%q is answered with %d, expected %d: %s", row.request, status, row.status, body)
		}
		if status == http.StatusOK && !strings.Contains(body, `"host":"acme.example.com"`) {
			t.Errorf("%q: the application sees another name: %s", row.request, body)
		}
	}
}

func TestGateSaysTryAgainWhileTheApplicationIsDown(t *testing.T) {
	g := startGate(t, miniflux(), freeAddress(t))
	answer := g.mustGet("acme.example.com", "/", nil)
	if answer.status != http.StatusServiceUnavailable || answer.header.Get("Retry-After") != "10" {
		t.Errorf("it answers %d with Retry-After %q, expected 503 with 10: %s", answer.status, answer.header.Get("Retry-After"), answer.body)
	}
	if answer.header.Get("Strict-Transport-Security") == "" {
		t.Error("the answer that the gate makes itself lacks Strict-Transport-Security")
	}
	if answer, err := http.Get("http://" + g.health + "/healthz"); err != nil || answer.Body.Close() != nil || answer.StatusCode != http.StatusOK {
		t.Errorf("the gate calls itself unhealthy because the application is down: %v", err)
	}
	if answer, err := http.Get("http://" + g.health + "/other"); err != nil || answer.Body.Close() != nil || answer.StatusCode != http.StatusNotFound {
		t.Errorf("the health port answers for more than health: %v", err)
	}
}

func TestGateRefusesOldTLS(t *testing.T) {
	app := httptest.NewServer(echo)
	defer app.Close()
	at13 := miniflux()
	at13.Tenant.Spec.TLS.MinVersion = v1alpha1.TLSv13
	for name, row := range map[string]struct {
		in      render.Inputs
		version uint16
		served  bool
	}{
		"TLS 1.1 where 1.2 is demanded": {miniflux(), tls.VersionTLS11, false},
		"TLS 1.2 where 1.2 is demanded": {miniflux(), tls.VersionTLS12, true},
		"TLS 1.2 where 1.3 is demanded": {at13, tls.VersionTLS12, false},
		"TLS 1.3 where 1.3 is demanded": {at13, tls.VersionTLS13, true},
	} {
		g := startGate(t, row.in, app.Listener.Addr().String())
		_, err := g.get("acme.example.com", "/", nil, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: row.version})
		if (err == nil) != row.served {
			t.Errorf("%s: served %v, expected %v (%v)", name, err == nil, row.served, err)
		}
	}
}

func TestGateAdmitsByItsLists(t *testing.T) {
	app := httptest.NewServer(echo)
	defer app.Close()
	network := func(access v1alpha1.AccessMode, allowed, denied []v1alpha1.CIDR) v1alpha1.TenantNetwork {
		return v1alpha1.TenantNetwork{Access: access, AllowedRanges: allowed, DeniedRanges: denied}
	}
	for name, row := range map[string]struct {
		network v1alpha1.TenantNetwork
		served  bool
	}{
		"open":                    {network(v1alpha1.AccessOpen, nil, nil), true},
		"open, but not for us":    {network(v1alpha1.AccessOpen, nil, []v1alpha1.CIDR{"127.0.0.0/8"}), false},
		"restricted to us":        {network(v1alpha1.AccessRestricted, []v1alpha1.CIDR{"127.0.0.0/30"}, nil), true},
		"restricted to others":    {network(v1alpha1.AccessRestricted, []v1alpha1.CIDR{"192.0.2.0/24"}, nil), false},
		"allowed and denied: out": {network(v1alpha1.AccessRestricted, []v1alpha1.CIDR{"127.0.0.0/8"}, []v1alpha1.CIDR{"127.0.0.1/32"}), false},
		"closed":                  {network(v1alpha1.AccessClosed, nil, nil), false},
	} {
		in := miniflux()
		in.Tenant.Spec.Network = row.network
		g := startGate(t, in, app.Listener.Addr().String())
		if _, err := g.get("acme.example.com", "/", nil, nil); (err == nil) != row.served {
			t.Errorf("%s: served %v, expected %v (%v)", name, err == nil, row.served, err)
		}
	}
}

func TestGatesSecondDoorIsClosedByLockdownOnly(t *testing.T) {
	app := httptest.NewServer(echo)
	defer app.Close()
	for name, row := range map[string]struct {
		network           v1alpha1.TenantNetwork
		lockdown          bool
		first, secondDoor bool
	}{
		"open":              {v1alpha1.TenantNetwork{}, false, true, true},
		"open, locked down": {v1alpha1.TenantNetwork{}, true, false, false},
		"closed":            {v1alpha1.TenantNetwork{Access: v1alpha1.AccessClosed}, false, false, true},
		"we are denied":     {v1alpha1.TenantNetwork{DeniedRanges: []v1alpha1.CIDR{"127.0.0.0/8"}}, false, false, true},
		"denied and locked": {v1alpha1.TenantNetwork{DeniedRanges: []v1alpha1.CIDR{"127.0.0.0/8"}}, true, false, false},
	} {
		in := miniflux()
		in.Tenant.Spec.Network, in.Tenant.Spec.Lockdown = row.network, row.lockdown
		g := startGate(t, in, app.Listener.Addr().String())
		for door, served := range map[string]bool{g.address: row.first, g.probe: row.secondDoor} {
			if _, err := g.getAt(door, "acme.example.com", "/", nil, &tls.Config{}); (err == nil) != served {
				t.Errorf("%s: the door of %v served %v (%v)", name, served, err == nil, err)
			}
		}
	}
}

func TestGateVerifiesTheApplicationsCertificate(t *testing.T) {
	for name, row := range map[string]struct {
		certificateFor string
		trusted        bool
		status         int
	}{
		"its own name, trusted":     {"app.tenant-globex.svc.cluster.local", true, http.StatusOK},
		"another name, trusted":     {"app.tenant-acme.svc.cluster.local", true, http.StatusServiceUnavailable},
		"its own name, not trusted": {"app.tenant-globex.svc.cluster.local", false, http.StatusServiceUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			certificate, key := selfSigned(t, row.certificateFor)
			pair, err := tls.X509KeyPair([]byte(certificate), []byte(key))
			if err != nil {
				t.Fatal(err)
			}
			app := httptest.NewUnstartedServer(echo)
			app.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
			app.Config.ErrorLog = log.New(io.Discard, "", 0) // Refused handshakes are the point.
			app.StartTLS()
			defer app.Close()
			in := dex()
			in.Tenant.Spec.Network = v1alpha1.TenantNetwork{}
			trust, _ := selfSigned(t, "another authority")
			if row.trusted {
				trust = certificate
			}
			g := startGateThatTrusts(t, in, app.Listener.Addr().String(), trust)
			// The first health check decides; until it is over the server counts as up.
			g.until(fmt.Sprintf("the gate answers %d", row.status), func() bool {
				answer := g.mustGet("login.globex.example", "/", nil)
				return answer.status == row.status
			})
		})
	}
}

func TestGateWritesOneJSONLineForEachRequest(t *testing.T) {
	app := httptest.NewServer(echo)
	defer app.Close()
	g := startGate(t, miniflux(), app.Listener.Addr().String())
	g.mustGet("acme.example.com", `/a"b\path?secret=1`, nil)
	var line map[string]any
	g.until("the request is in the log", func() bool {
		for text := range strings.Lines(g.log.String()) {
			if strings.HasPrefix(text, "{") {
				if err := json.Unmarshal([]byte(text), &line); err != nil {
					t.Fatalf("a line of the log is no JSON: %v: %s", err, text)
				}
				return true
			}
		}
		return false
	})
	for key, want := range map[string]any{"client": "127.0.0.1", "method": "GET", "host": "acme.example.com", "status": float64(200), "tls": "TLSv1.3"} {
		if line[key] != want {
			t.Errorf("the log says %s = %v, expected %v: %v", key, line[key], want, line)
		}
	}
	if strings.Contains(g.log.String(), "secret") {
		t.Error("the log holds the query of a request, in which users' secrets may stand")
	}
	if at, is := line["time"].(float64); !is || time.Since(time.UnixMilli(int64(at))).Abs() > time.Hour {
		t.Errorf("the log does not say when, in milliseconds: %v", line)
	}
}
