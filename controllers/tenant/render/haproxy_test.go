// SPDX-License-Identifier: Apache-2.0

package render_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/ptr"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
	"github.com/freehold-dev/freehold/controllers/tenant/render"
)

// haproxyProgram is a real HAProxy of at least version 3.0.
func haproxyProgram(t *testing.T) string {
	t.Helper()
	return needed(t, "FREEHOLD_HAPROXY", "the path of a haproxy program, version 3.0 or newer")
}

// needed is the value of an environment variable that names a real program; without it the test is skipped, but
// fails in continuous integration.
func needed(t *testing.T, variable, what string) string {
	t.Helper()
	value := os.Getenv(variable)
	if value == "" {
		message := variable + " is not set: it shall be " + what + "; `make test` as root sets it"
		if os.Getenv("CI") == "true" {
			t.Fatal(message)
		}
		t.Skip(message)
	}
	return value
}

func TestHAProxyTakesItsConfigurationWithoutAWarning(t *testing.T) {
	program := haproxyProgram(t)
	closed := miniflux()
	closed.Tenant.Spec.Network.Access = v1alpha1.AccessClosed
	for name, in := range map[string]render.Inputs{"miniflux": miniflux(), "dex": dex(), "closed": closed, "logins": limited()} {
		t.Run(name, func(t *testing.T) {
			in.TrustBundle, _ = selfSigned(t, "authority")
			config := layOut(t, in)
			said, err := exec.Command(program, "-c", "-dW", "-V", "-f", config).CombinedOutput()
			if err != nil || !strings.Contains(string(said), "Configuration file is valid") {
				t.Errorf("HAProxy refuses the configuration: %v\n%s", err, said)
			}
		})
	}
}

func TestHAProxyCheckCanFail(t *testing.T) {
	program := haproxyProgram(t)
	config := layOut(t, miniflux())
	text := read(t, config)
	write(t, config, strings.Replace(text, "http-request", "http-reqest", 1))
	if said, err := exec.Command(program, "-c", "-f", config).CombinedOutput(); err == nil {
		t.Errorf("HAProxy takes a configuration with a misspelt directive:\n%s", said)
	}
}

func TestGateHasMemoryForItsConnections(t *testing.T) {
	for _, row := range []struct {
		connections int32
		memory      string
		refused     string
	}{
		{0, "", ""}, // The defaults.
		{2000, "128Mi", ""},
		{409, "64Mi", ""},
		{410, "64Mi", "spec.edge.maxConnections 410 need a spec.edge.compute.memory of at least 65Mi; the 64Mi of today hold 409 connections"},
		{10000, "", "spec.edge.maxConnections 10000 need a spec.edge.compute.memory of at least 439Mi; the 128Mi of today hold 2048 connections"},
		{10000, "439Mi", ""},
		{100000, "4Gi", ""},
		{0, "64Mi", "spec.edge.maxConnections 2000 need a spec.edge.compute.memory of at least 127Mi"},
	} {
		in := miniflux()
		in.Class.Spec.Edge.MaxConnections = row.connections
		if row.memory != "" {
			in.Class.Spec.Edge.Compute.Memory = ptr.To(resource.MustParse(row.memory))
		}
		_, err := render.NewRevision(in)
		var invalid *render.InvalidError
		switch {
		case row.refused == "" && err != nil:
			t.Errorf("%d connections in %s are refused: %v", row.connections, row.memory, err)
		case row.refused != "" && (!errors.As(err, &invalid) || !strings.Contains(invalid.Message, row.refused)):
			t.Errorf("%d connections in %s: %v, expected %q", row.connections, row.memory, err, row.refused)
		}
	}
}

// layOut writes everything that the gate's pod mounts below a folder and returns the path of haproxy.cfg, with the
// paths in it moved there.
func layOut(t *testing.T, in render.Inputs) string {
	t.Helper()
	root := shortTempDir(t)
	for _, config := range mustLive(t, in).ConfigMaps {
		folder := map[string]string{meta.EdgeListsConfigMap: meta.ListsDir, meta.TrustConfigMap: meta.TrustDir}[*config.Name]
		for key, text := range config.Data {
			if folder != "" {
				write(t, root+folder+"/"+key, text)
			}
		}
	}
	certificate, key := selfSigned(t, string(in.Tenant.Spec.Hostnames[0]))
	write(t, root+meta.TLSDir+"/"+meta.KeyTLSCert, certificate)
	write(t, root+meta.TLSDir+"/"+meta.KeyTLSKey, key)
	write(t, root+meta.HAProxyRunDir+"/.keep", "")
	path := root + meta.ConfigDir + "/" + meta.KeyHAProxyConf
	text := haproxyConf(t, in)
	for _, folder := range []string{"/etc/freehold", meta.HAProxyRunDir} {
		text = strings.ReplaceAll(text, folder, root+folder)
	}
	write(t, path, text)
	if in.Class.Spec.Edge.Logins != nil {
		for _, key := range []string{meta.KeyLoginsList, meta.KeyLoginPrefixesList} {
			write(t, root+meta.ConfigDir+"/"+key, revisionFile(t, mustRevision(t, in), key))
		}
	}
	return path
}

// shortTempDir is a temporary folder without the test's name in it: paths of sockets are bounded, and HAProxy reads
// a comma in one as the end of an address.
func shortTempDir(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "render")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	return folder
}

func haproxyConf(t testing.TB, in render.Inputs) string {
	t.Helper()
	return revisionFile(t, mustRevision(t, in), meta.KeyHAProxyConf)
}

// revisionFile is the content of a configuration file of a revision.
func revisionFile(t testing.TB, revision *render.Revision, key string) string {
	t.Helper()
	for _, config := range revision.ConfigMaps {
		if text, is := config.Data[key]; is {
			return text
		}
	}
	t.Fatalf("no ConfigMap of the revision has the key %s", key)
	return ""
}

func selfSigned(t *testing.T, name string) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		DNSNames: []string{name}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
