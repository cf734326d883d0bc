// SPDX-License-Identifier: Apache-2.0

package dial

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

// quick is a Dialer for servers on this machine.
func quick() Dialer {
	return Dialer{Timeout: 5 * time.Second, Limit: 50 * time.Millisecond, Pause: time.Millisecond}.withDefaults()
}

func listen(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() { defer func() { _ = conn.Close() }(); serve(conn) }()
		}
	}()
	return listener.Addr().String()
}

// nobody is an address at which nobody listens.
func nobody(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

func one(t *testing.T, d Dialer, a Attempt) Outcome {
	t.Helper()
	return d.All(t.Context(), []Attempt{a})[0]
}

func TestAnOpenDoorIsToldFromAClosedOne(t *testing.T) {
	open := listen(t, func(net.Conn) {})
	for name, row := range map[string]struct {
		attempt Attempt
		want    Result
	}{
		"open, as it shall be":     {Attempt{Address: open}, Open},
		"open, and it shall not":   {Attempt{Address: open, Denied: true}, Open},
		"closed, as it shall be":   {Attempt{Address: nobody(t), Denied: true}, Refused},
		"closed, and it shall not": {Attempt{Address: nobody(t)}, Refused},
		"no address":               {Attempt{Address: "nonsense"}, Failed},
	} {
		if got := one(t, quick(), row.attempt); got.Result != row.want {
			t.Errorf("%s: got %+v, want %s", name, got, row.want)
		}
	}
}

func TestASilentWallIsADenial(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, result := quick().connect(ctx, nobody(t)); result == Open {
		t.Errorf("got %s", result)
	}
	if got := denial(os.ErrDeadlineExceeded); got != Silent || !got.Denied() {
		t.Errorf("a connection that times out: got %s", got)
	}
}

func TestWallsThatComeLateAreWaitedFor(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { // The wall comes after the second connection.
		for range 2 {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
		}
		_ = listener.Close()
	}()
	d := quick()
	d.Limit = time.Minute
	got := one(t, d, Attempt{Address: listener.Addr().String(), Denied: true})
	if got.Result != Refused || got.Tries < 2+enough-1 {
		t.Errorf("got %+v, want a refusal after two connections", got)
	}
}

func TestWhatPerhapsNobodyAnswersIsSoonGivenUp(t *testing.T) {
	d := quick()
	d.Limit = time.Hour
	if got := one(t, d, Attempt{Address: nobody(t), Brief: true}); got.Result != Refused || got.Tries != enough {
		t.Errorf("got %+v, want %d tries", got, enough)
	}
}

// gateway is a TLS server for shop.example.com; its authority is in a file.
func gateway(t *testing.T, lowest uint16) (address, authority string) {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }))
	server.TLS = &tls.Config{MinVersion: lowest}
	server.Config.ErrorLog = nil
	server.StartTLS()
	t.Cleanup(server.Close)
	authority = filepath.Join(t.TempDir(), "ca.crt")
	raw := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(authority, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return server.Listener.Addr().String(), authority
}

func TestTheLowestVersionOfAGateIsFound(t *testing.T) {
	for lowest, want := range map[uint16]string{tls.VersionTLS10: "TLS 1.0", tls.VersionTLS12: "TLS 1.2", tls.VersionTLS13: "TLS 1.3"} {
		address, authority := gateway(t, lowest)
		d := quick()
		d.Authority = authority
		got := one(t, d, Attempt{Kind: Gate, Address: address, ServerName: "example.com"})
		if got.Handshake == nil || got.Handshake.Lowest != want || got.Handshake.Version != "TLS 1.3" || got.Handshake.Plain {
			t.Errorf("a gate from %s: got %+v %+v", want, got, got.Handshake)
		} else if !got.Handshake.Names || !got.Handshake.Verified || got.Handshake.NotAfter.IsZero() {
			t.Errorf("its certificate is good: got %+v", got.Handshake)
		}
	}
}

func TestAForeignCertificateIsNotVerified(t *testing.T) {
	address, authority := gateway(t, tls.VersionTLS12)
	d := quick()
	d.Authority = authority
	got := one(t, d, Attempt{Kind: TLS, Address: address, ServerName: "other.example.org"})
	if got.Handshake == nil || got.Handshake.Names || got.Handshake.Verified {
		t.Errorf("for another name: got %+v", got.Handshake)
	}
	if err := os.WriteFile(authority, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	got = one(t, d, Attempt{Kind: TLS, Address: address, ServerName: "example.com"})
	if got.Handshake == nil || !got.Handshake.Names || got.Handshake.Verified {
		t.Errorf("from another authority: got %+v", got.Handshake)
	}
}

func TestAGateThatServesWithoutTLSIsNoticed(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }))
	t.Cleanup(server.Close)
	address := server.Listener.Addr().String()
	if plain, err := quick().plainHTTP(t.Context(), Attempt{Address: address, ServerName: "shop.example.com"}); err != nil || !plain {
		t.Errorf("got %t %v", plain, err)
	}
	if got := one(t, quick(), Attempt{Kind: Gate, Address: address}); got.Problem == "" {
		t.Errorf("no handshake is a problem: got %+v", got)
	}
}

// postgres answers like a server: S or N to the request for TLS, and the answer to a login without.
func postgres(t *testing.T, offer byte, plain string) string {
	t.Helper()
	backend, _ := gateway(t, tls.VersionTLS12)
	return listen(t, func(conn net.Conn) {
		header := make([]byte, 8)
		if _, err := io.ReadFull(conn, header); err != nil {
			return
		}
		if header[4] != 4 { // 80877103 is 0x04d2162f, version 3.0 is 0x00030000
			_, _ = io.WriteString(conn, plain)
			return
		}
		_, _ = conn.Write([]byte{offer})
		behind, err := net.Dial("tcp", backend)
		if err != nil {
			return
		}
		go func() { _, _ = io.Copy(behind, conn); _ = behind.Close() }()
		_, _ = io.Copy(conn, behind)
	})
}

func TestADatabaseThatTakesLoginsWithoutTLSIsNoticed(t *testing.T) {
	for name, row := range map[string]struct {
		offer          byte
		plain          string
		served, broken bool
	}{
		"TLS only":                {'S', "E\x00\x00\x00\x20SFATAL\x00VFATAL\x00C28000\x00Mno pg_hba.conf entry\x00\x00", false, false},
		"a password without TLS":  {'S', "R\x00\x00\x00\x08\x00\x00\x00\x0a", true, false},
		"an error of another art": {'S', "E\x00\x00\x00\x20SFATAL\x00VFATAL\x00C53300\x00Mtoo many connections\x00\x00", false, true},
		"no TLS":                  {'N', "", false, true},
	} {
		got := one(t, quick(), Attempt{Kind: PostgreSQL, Address: postgres(t, row.offer, row.plain), ServerName: "example.com", User: "app", Database: "app"})
		if (got.Problem != "") != row.broken || !row.broken && got.Handshake.Plain != row.served {
			t.Errorf("%s: got %+v %+v", name, got, got.Handshake)
		}
	}
}

func TestTheGatesAgentIsAsked(t *testing.T) {
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1); r.URL.Path == "/status" {
			_, _ = io.WriteString(w, `{"condition":"Current","closed":true,"workers":1,"blockedClients":2}`)
		}
	}))
	t.Cleanup(server.Close)
	got := one(t, quick(), Attempt{Kind: Status, Address: server.Listener.Addr().String()})
	if got.Gate == nil || *got.Gate != (GateStatus{Closed: true, Workers: 1, BlockedClients: 2}) || asked.Load() == 0 || !got.Gate.Shut() {
		t.Errorf("got %+v", got)
	}
	if (GateStatus{Closed: true, Workers: 2}).Shut() || (GateStatus{Workers: 1}).Shut() {
		t.Error("a gate that lets somebody in, or holds somebody, is not shut")
	}
}
