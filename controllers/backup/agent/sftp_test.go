// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/freehold-dev/freehold/controllers/backup/agent"
	"github.com/freehold-dev/freehold/controllers/backup/engine"
)

// sshServer lets one user in with one key, and its SFTP repeats what it is told.
type sshServer struct {
	t      *testing.T
	config *ssh.ServerConfig
	port   int32
	// asked is how often somebody tried to log in.
	asked atomic.Int32
}

func newSSHServer(t *testing.T, user ssh.PublicKey, hostKeys ...crypto.Signer) *sshServer {
	t.Helper()
	s := &sshServer{t: t}
	s.config = &ssh.ServerConfig{PublicKeyCallback: func(c ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		s.asked.Add(1)
		if c.User() != "fh-acme" || !bytes.Equal(key.Marshal(), user.Marshal()) {
			return nil, errors.New("no")
		}
		return &ssh.Permissions{}, nil
	}}
	for _, key := range hostKeys {
		s.config.AddHostKey(signer(t, key))
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	s.port = int32(listener.Addr().(*net.TCPAddr).Port)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go s.serve(conn)
		}
	}()
	return s
}

func (s *sshServer) serve(conn net.Conn) {
	defer conn.Close()
	_, channels, requests, err := ssh.NewServerConn(conn, s.config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for wanted := range channels {
		channel, requests, err := wanted.Accept()
		if err != nil {
			return
		}
		go func() {
			for r := range requests {
				sftp := r.Type == "subsystem" && strings.HasSuffix(string(r.Payload), "sftp")
				_ = r.Reply(sftp, nil)
				if sftp {
					_, _ = io.Copy(channel, channel)
					_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{0}))
					_ = channel.Close()
				}
			}
		}()
	}
}

func signer(t *testing.T, key crypto.Signer) ssh.Signer {
	t.Helper()
	s, err := ssh.NewSignerFromSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func must[T any](t *testing.T) func(T, error) T {
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func ed25519Key(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// keyFile is a private key as ssh-keygen writes it.
func keyFile(t *testing.T, key crypto.PrivateKey) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	block := must[*pem.Block](t)(ssh.MarshalPrivateKey(key, ""))
	if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSFTPGoesToTheServerWithThePinnedKeyOnly(t *testing.T) {
	user, stranger := ed25519Key(t), ed25519Key(t)
	edwards := ed25519Key(t)
	curve := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	classic := must[*rsa.PrivateKey](t)(rsa.GenerateKey(rand.Reader, 2048))
	server := newSSHServer(t, signer(t, user).PublicKey(), classic, curve, edwards)
	old := newSSHServer(t, signer(t, user).PublicKey(), classic)
	pin := func(key crypto.Signer) string { return ssh.FingerprintSHA256(signer(t, key).PublicKey()) }
	for name, tc := range map[string]struct {
		server *sshServer
		pinned crypto.Signer
		key    crypto.PrivateKey
		words  string
	}{
		"its newest key is pinned":      {server, edwards, user, ""},
		"another of its keys is pinned": {server, curve, user, ""},
		"its oldest key is pinned":      {server, classic, user, ""},
		"it has an old key only":        {old, classic, user, ""},
		"the key of another server":     {server, stranger, user, engine.OtherHostKey},
		"another key of an old server":  {old, edwards, user, engine.OtherHostKey},
		"a user that it does not know":  {server, edwards, stranger, engine.SSHKeyRefused},
	} {
		t.Run(name, func(t *testing.T) {
			asked := tc.server.asked.Load()
			var out bytes.Buffer
			err := agent.ConnectSFTP(t.Context(), engine.SFTPServer{
				Host: "127.0.0.1", Port: tc.server.port, User: "fh-acme", HostKeyFingerprint: pin(tc.pinned), KeyFile: keyFile(t, tc.key),
			}, strings.NewReader("hello"), &out)
			if tc.words == "" && (err != nil || out.String() != "hello") {
				t.Fatalf("the server answered %q, %v", out.String(), err)
			}
			if tc.words != "" && (err == nil || !strings.Contains(err.Error(), tc.words)) {
				t.Fatalf("it ended with %v, want %q", err, tc.words)
			}
			if tc.words == engine.OtherHostKey && tc.server.asked.Load() != asked {
				t.Error("a server that is not the right one saw the user's key")
			}
		})
	}
}

func TestAnSFTPServerThatIsNotThereIsNamed(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := int32(listener.Addr().(*net.TCPAddr).Port)
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	err = agent.ConnectSFTP(t.Context(), engine.SFTPServer{Host: "127.0.0.1", Port: port, User: "x", KeyFile: keyFile(t, ed25519Key(t))}, strings.NewReader(""), io.Discard)
	if err == nil || engine.ClassifyRestic(1, err.Error()).Reason != engine.FailedUnreachable {
		t.Errorf("it ended with %v", err)
	}
}
