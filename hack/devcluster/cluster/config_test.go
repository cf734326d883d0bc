// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

func TestEveryConfigurationFileIsFilledAndReadable(t *testing.T) {
	l := Layout{Cache: "/cache"}
	files, err := manifests.ReadDir("manifests")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		content, err := l.expand(file.Name())
		if err != nil {
			t.Errorf("%s: %v", file.Name(), err)
			continue
		}
		if strings.Contains(content, "{{") || strings.Contains(content, "<no value>") {
			t.Errorf("%s was not filled:\n%s", file.Name(), content)
		}
		var parsed any
		switch filepath.Ext(file.Name()) {
		case ".conflist":
			err = json.Unmarshal([]byte(content), &parsed)
		case ".yaml":
			for document := range strings.SplitSeq(content, "\n---\n") {
				if err == nil {
					err = yaml.Unmarshal([]byte(document), &parsed)
				}
			}
		}
		if err != nil {
			t.Errorf("%s: %v\n%s", file.Name(), err, content)
		}
	}
}

func TestKubeletKeepsItsDefaultSyncSettings(t *testing.T) {
	content, err := Layout{Cache: "/cache"}.expand("kubelet.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, setting := range []string{"syncFrequency", "nodeStatusUpdateFrequency", "configMapAndSecretChangeDetectionStrategy"} {
		if strings.Contains(content, setting) {
			t.Errorf("%s is set: a changed Secret would not take as long as in a customer's cluster", setting)
		}
	}
}

func TestCertificatesAreMadeOnceAndFitTheirUse(t *testing.T) {
	l := inTemp(t)
	for _, dir := range []string{"pki", "conf"} {
		if err := os.MkdirAll(l.State(dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.ensurePKI(); err != nil {
		t.Fatal(err)
	}
	server := certificate(t, l.pki("apiserver.crt"))
	roots := x509.NewCertPool()
	roots.AddCert(certificate(t, l.pki("ca.crt")))
	for _, name := range []string{NodeIP, APIServiceIP, "kubernetes.default.svc"} {
		if _, err := server.Verify(x509.VerifyOptions{Roots: roots, DNSName: name}); err != nil {
			t.Errorf("the API server cannot be reached as %s: %v", name, err)
		}
	}
	node := certificate(t, l.pki("kubelet.crt"))
	if node.Subject.CommonName != "system:node:"+NodeName || !slices.Equal(node.Subject.Organization, []string{"system:nodes"}) {
		t.Errorf("the node authorizer does not know %v", node.Subject)
	}
	if err := l.ensurePKI(); err != nil {
		t.Fatal(err)
	}
	if again := certificate(t, l.pki("apiserver.crt")); !again.Equal(server) {
		t.Error("a second up replaced the certificate of a running API server")
	}
	if err := l.ensureKubeconfigs(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.client(); err != nil {
		t.Error(err)
	}
}

func certificate(t *testing.T, path string) *x509.Certificate {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(content)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestPolicyModeIsKeptUntilAnotherIsAskedFor(t *testing.T) {
	for _, test := range []struct{ wish, before, want string }{
		{"", "", "strict"}, {"", "weak", "weak"}, {"none", "weak", "none"},
	} {
		if got := pickPolicy(test.wish, test.before); got != test.want {
			t.Errorf("wish %q after %q: got %q, want %q", test.wish, test.before, got, test.want)
		}
	}
	if _, err := inTemp(t).choosePolicy("lenient"); err == nil {
		t.Error("an unknown mode was accepted")
	}
}

func TestCacheFolderFollowsTheEnvironment(t *testing.T) {
	for _, test := range []struct {
		env  map[string]string
		want string
	}{
		{map[string]string{"FREEHOLD_CACHE": "/a", "XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/a"},
		{map[string]string{"XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/b/freehold"},
		{map[string]string{"HOME": "/c"}, "/c/.cache/freehold"},
	} {
		if got, err := cacheDir(func(name string) string { return test.env[name] }); err != nil || got != test.want {
			t.Errorf("%v: got %q, %v", test.env, got, err)
		}
	}
	if _, err := cacheDir(func(string) string { return "" }); err == nil {
		t.Error("a machine without a home got a cache folder")
	}
}
