// SPDX-License-Identifier: Apache-2.0

package agenttest

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
	"path/filepath"
	"testing"
	"time"
)

// Publish puts files into a mounted folder as the kubelet does: all at once, by swapping a symbolic link. They
// belong to root and are readable for the group.
func Publish(t testing.TB, folder string, gid int, files map[string]string) {
	t.Helper()
	generation, err := os.MkdirTemp(folder, "..generation-")
	if err != nil {
		t.Fatal(err)
	}
	errs := []error{os.Chmod(generation, 0o755)} //nolint:gosec // as the kubelet does.
	for name, content := range files {
		path := filepath.Join(generation, name)
		errs = append(errs, os.WriteFile(path, []byte(content), 0o440), os.Chown(path, 0, gid), os.Chmod(path, 0o440))
	}
	data, next := filepath.Join(folder, "..data"), filepath.Join(folder, "..data_tmp")
	errs = append(errs, os.Symlink(filepath.Base(generation), next), os.Rename(next, data))
	for name := range files {
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(folder, name)); !errors.Is(err, os.ErrExist) {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// Authority issues certificates for tests.
type Authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	// PEM of the authority's certificate.
	PEM string
}

// NewAuthority makes an authority.
func NewAuthority(t testing.TB) *Authority {
	t.Helper()
	a := &Authority{key: newKey(t)}
	template := template("test authority", 1)
	template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
	raw := sign(t, template, template, &a.key.PublicKey, a.key)
	a.cert, a.PEM = parse(t, raw), encode("CERTIFICATE", raw)
	return a
}

// Pool trusts the authority.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// Issue makes a certificate for a name, by which its serial number tells it from others, and its key; both PEM.
func (a *Authority) Issue(t testing.TB, name string, serial int64) (cert, key string) {
	t.Helper()
	leaf := template(name, serial)
	leaf.DNSNames = []string{name}
	private := newKey(t)
	raw, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return encode("CERTIFICATE", sign(t, leaf, a.cert, &private.PublicKey, a.key)), encode("PRIVATE KEY", raw)
}

func template(name string, serial int64) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sign(t testing.TB, leaf, parent *x509.Certificate, public *ecdsa.PublicKey, signer *ecdsa.PrivateKey) []byte {
	t.Helper()
	raw, err := x509.CreateCertificate(rand.Reader, leaf, parent, public, signer)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func parse(t testing.TB, raw []byte) *x509.Certificate {
	t.Helper()
	cert, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func encode(kind string, raw []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: raw}))
}
