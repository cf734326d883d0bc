// SPDX-License-Identifier: Apache-2.0

package dial

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

// Handshake is what was seen of a server's TLS.
type Handshake struct {
	// Version that was agreed on, such as "TLS 1.3".
	Version string `json:"version,omitempty"`
	// Lowest version that the server accepts: "TLS 1.0" to "TLS 1.3". Only of gates.
	Lowest string `json:"lowest,omitempty"`
	// NotAfter is when the certificate ends.
	NotAfter time.Time `json:"notAfter,omitzero"`
	// Names says that the certificate is good for the server's name; Verified that it also comes from the tenant's own
	// authority.
	Names    bool `json:"names,omitempty"`
	Verified bool `json:"verified,omitempty"`
	// Plain says that the server also served without TLS.
	Plain bool `json:"plain,omitempty"`
}

// GateStatus is what the agent of a gate tells at /status.
type GateStatus struct {
	// Closed says that the lists in use let nobody in.
	Closed bool `json:"closed"`
	// Workers is the number of HAProxy processes that may hold connections; more than one while old ones live on.
	Workers int `json:"workers"`
	// BlockedClients is how many clients are blocked for too many failed logins.
	BlockedClients int `json:"blockedClients,omitempty"`
}

// Shut reports whether nobody gets in and nobody is left in.
func (s GateStatus) Shut() bool { return s.Closed && s.Workers <= 1 }

// session is a handshake over a new connection.
func (d Dialer) session(ctx context.Context, a Attempt, config *tls.Config, upgrade func(net.Conn) error) (*tls.ConnectionState, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*d.Timeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", a.Address)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return nil, err
		}
	}
	if upgrade != nil {
		if err := upgrade(conn); err != nil {
			return nil, err
		}
	}
	// What the server presents is judged afterwards, so that all of it can be told.
	config.InsecureSkipVerify, config.ServerName = true, a.ServerName
	client := tls.Client(conn, config)
	if err := client.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	state := client.ConnectionState()
	return &state, nil
}

// describe says what a handshake showed.
func (d Dialer) describe(a Attempt, state *tls.ConnectionState) (*Handshake, error) {
	leaf := state.PeerCertificates[0]
	seen := &Handshake{Version: tls.VersionName(state.Version), NotAfter: leaf.NotAfter, Names: leaf.VerifyHostname(a.ServerName) == nil}
	if d.Authority == "" {
		return seen, nil
	}
	pem, err := os.ReadFile(d.Authority)
	if err != nil {
		return seen, fmt.Errorf("reading the tenant's authority: %w", err)
	}
	roots, chain := x509.NewCertPool(), x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	for _, certificate := range state.PeerCertificates[1:] {
		chain.AddCert(certificate)
	}
	_, err = leaf.Verify(x509.VerifyOptions{DNSName: a.ServerName, Roots: roots, Intermediates: chain})
	seen.Verified = err == nil
	return seen, nil
}

func (d Dialer) tls(ctx context.Context, a Attempt) (*Handshake, error) {
	state, err := d.session(ctx, a, &tls.Config{MinVersion: tls.VersionTLS12}, nil)
	if err != nil {
		return nil, fmt.Errorf("no TLS handshake: %w", err)
	}
	return d.describe(a, state)
}

// versions from the lowest: what a gate accepts is found by asking for each alone.
var versions = []uint16{tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12, tls.VersionTLS13}

// gate finds the lowest version that a gate accepts, and whether it serves without TLS.
func (d Dialer) gate(ctx context.Context, a Attempt) (*Handshake, error) {
	seen, err := d.tls(ctx, a)
	if err != nil {
		return nil, err
	}
	for _, version := range versions {
		config := &tls.Config{MinVersion: version, MaxVersion: version, CipherSuites: everySuite()} //nolint:gosec // Whether the server still takes it is the question.
		if _, err := d.session(ctx, a, config, nil); err == nil {
			seen.Lowest = tls.VersionName(version)
			break
		}
	}
	seen.Plain, err = d.plainHTTP(ctx, a)
	return seen, err
}

func everySuite() []uint16 {
	var suites []uint16
	for _, suite := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		suites = append(suites, suite.ID)
	}
	return suites
}

// plainHTTP reports whether a request without TLS is answered by anything but an error of the gate.
func (d Dialer) plainHTTP(ctx context.Context, a Attempt) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*d.Timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+a.Address+"/", nil)
	if err != nil {
		return false, err
	}
	request.Host = a.ServerName
	answer, err := new(http.Transport).RoundTrip(request)
	if err != nil {
		return false, nil // No answer is the answer that is hoped for.
	}
	return answer.StatusCode < http.StatusBadRequest, answer.Body.Close()
}

// Numbers of PostgreSQL's protocol, see "Message Formats" in its documentation.
const (
	postgresSSLRequest = 80877103
	postgresVersion3   = 196608
)

// postgreSQL asks for TLS and then tries to come in without.
func (d Dialer) postgreSQL(ctx context.Context, a Attempt) (*Handshake, error) {
	state, err := d.session(ctx, a, &tls.Config{MinVersion: tls.VersionTLS12}, func(conn net.Conn) error {
		if err := sendPostgres(conn, postgresSSLRequest, nil); err != nil {
			return err
		}
		answer := make([]byte, 1)
		if _, err := io.ReadFull(conn, answer); err != nil {
			return err
		}
		if answer[0] != 'S' {
			return errors.New("the server offers no TLS")
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("no TLS handshake: %w", err)
	}
	seen, err := d.describe(a, state)
	if err != nil {
		return seen, err
	}
	seen.Plain, err = d.plainPostgres(ctx, a)
	return seen, err
}

// plainPostgres reports whether the server goes on with a login that came without TLS. It ends in an error message
// (type E) with a code of class 28, invalid authorization, where pg_hba.conf has no line for it.
func (d Dialer) plainPostgres(ctx context.Context, a Attempt) (bool, error) {
	conn, result := d.connect(ctx, a.Address)
	if conn == nil {
		return false, fmt.Errorf("connecting without TLS: %s", result)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(d.Clock.Now().Add(2 * d.Timeout)); err != nil {
		return false, err
	}
	body := "user\x00" + a.User + "\x00database\x00" + a.Database + "\x00\x00"
	if err := sendPostgres(conn, postgresVersion3, []byte(body)); err != nil {
		return false, err
	}
	reader := bufio.NewReader(conn)
	kind, err := reader.ReadByte()
	if err != nil {
		return false, fmt.Errorf("reading the answer to a login without TLS: %w", err)
	}
	if kind != 'E' {
		return true, nil
	}
	text := make([]byte, 512)
	n, _ := io.ReadAtLeast(reader, text, 5) // The code stands near the beginning.
	if !strings.Contains(string(text[:n]), "\x00C28") {
		return false, errors.New("a login without TLS ended in another error than that of pg_hba.conf")
	}
	return false, nil
}

// sendPostgres sends a message of the start phase: its length, a number, a body.
func sendPostgres(conn net.Conn, number uint32, body []byte) error {
	message := binary.BigEndian.AppendUint32(nil, uint32(8+len(body)))
	message = binary.BigEndian.AppendUint32(message, number)
	_, err := conn.Write(append(message, body...))
	return err
}

// status asks the gate's agent.
func (d Dialer) status(ctx context.Context, a Attempt) (*GateStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*d.Timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+a.Address+"/status", nil)
	if err != nil {
		return nil, err
	}
	answer, err := new(http.Transport).RoundTrip(request)
	if err != nil {
		return nil, fmt.Errorf("asking the gate's agent: %w", err)
	}
	status := &GateStatus{}
	err = errors.Join(json.NewDecoder(io.LimitReader(answer.Body, 64<<10)).Decode(status), answer.Body.Close())
	if err == nil && a.Closed && !status.Shut() {
		err = errors.New("the gate is not closed yet")
	}
	return status, err
}
