// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"regexp"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// visitor is somebody outside the cluster. On the local cluster each has a network, hence an address, of their own.
type visitor struct{ name, address string }

var (
	c10 = visitor{"c10", "198.19.0.10"}
	c20 = visitor{"c20", "198.19.0.20"}
)

const (
	c10Range = "198.19.0.10/32"
	c20Range = "198.19.0.20/32"
)

// dial connects from the visitor's own network.
func (v visitor) dial(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: 3 * time.Second, FallbackDelay: -1}
	if !onLocalCluster() {
		return dialer.DialContext(ctx, network, address)
	}
	type outcome struct {
		conn net.Conn
		err  error
	}
	done := make(chan outcome, 1)
	go func() {
		// The thread is never given back: it ends with the goroutine, so no other one inherits its network.
		runtime.LockOSThread()
		var got outcome
		if got.err = enter("/run/netns/dc-" + v.name); got.err == nil {
			got.conn, got.err = dialer.DialContext(ctx, network, address)
		}
		done <- got
	}()
	got := <-done
	return got.conn, got.err
}

// enter moves the current thread into a network namespace.
func enter(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("the local cluster has no such client: %w", err)
	}
	defer func() { _ = file.Close() }()
	if err := unix.Setns(int(file.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter %s (needs root): %w", path, err)
	}
	return nil
}

// browser is a visitor's browser that trusts one tenant's authority and finds its hostnames at its address.
type browser struct {
	http.Client
	url string
	// stays keeps the connection open after an answer. A gate that stops waits for such visitors for a while, so
	// only those have it that want to be there then.
	stays bool
}

// browse opens a browser. It keeps cookies and follows no redirect.
func (v visitor) browse(host, address string, authority *x509.CertPool) *browser {
	jar, _ := cookiejar.New(nil)
	transport := &http.Transport{
		ForceAttemptHTTP2: true,
		TLSClientConfig:   &tls.Config{RootCAs: authority, ServerName: host, MinVersion: tls.VersionTLS12},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return v.dial(ctx, network, net.JoinHostPort(address, "443"))
		},
	}
	return &browser{
		url: "https://" + host,
		Client: http.Client{Transport: transport, Jar: jar, Timeout: 10 * time.Second,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}
}

// answer is a response with its body read.
type answer struct {
	*http.Response
	body string
}

func (b *browser) do(ctx context.Context, method, path, body string, header http.Header) (*answer, error) {
	request, err := http.NewRequestWithContext(ctx, method, b.url+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		request.Header[name] = values
	}
	response, err := b.Do(request)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if !b.stays {
		b.CloseIdleConnections()
	}
	return &answer{response, string(text)}, err
}

func (b *browser) get(ctx context.Context, path string) (*answer, error) {
	return b.do(ctx, http.MethodGet, path, "", nil)
}

var csrfField = regexp.MustCompile(`name="csrf" value="([^"]+)"`)

// sendLogin fills in the login form and sends it; any answer is one.
func (b *browser) sendLogin(ctx context.Context, password string) (*answer, error) {
	page, err := b.get(ctx, "/")
	if err != nil {
		return nil, fmt.Errorf("open the login page: %w", err)
	}
	field := csrfField.FindStringSubmatch(page.body)
	if page.StatusCode != http.StatusOK || field == nil {
		return nil, fmt.Errorf("the login page should have a form, but answered %s: %.300s", page.Status, page.body)
	}
	form := url.Values{"csrf": {field[1]}, "username": {"admin"}, "password": {password}}
	got, err := b.do(ctx, http.MethodPost, "/login", form.Encode(), http.Header{"Content-Type": {"application/x-www-form-urlencoded"}})
	if err != nil {
		return nil, fmt.Errorf("send the login form: %w", err)
	}
	return got, nil
}

// logIn fills in Miniflux's login form, as a customer does.
func (b *browser) logIn(ctx context.Context, password string) error {
	got, err := b.sendLogin(ctx, password)
	if err != nil {
		return err
	}
	if got.StatusCode != http.StatusFound || !strings.HasSuffix(got.Header.Get("Location"), "/unread") {
		return fmt.Errorf("a login should lead to /unread, but answered %s, location %q", got.Status, got.Header.Get("Location"))
	}
	inside, err := b.get(ctx, "/unread")
	if err != nil {
		return fmt.Errorf("open /unread: %w", err)
	}
	if inside.StatusCode != http.StatusOK {
		return fmt.Errorf("/unread should be open after the login, but answered %s", inside.Status)
	}
	return nil
}
