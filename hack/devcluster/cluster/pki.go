// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"time"
)

// certLifetime is longer than any local cluster lives.
const certLifetime = 5 * 365 * 24 * time.Hour

// authority is a certificate authority that signs the cluster's certificates.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// identity is one certificate to issue: who, and which names and addresses it serves.
type identity struct {
	file         string
	commonName   string
	organization []string
	dnsNames     []string
	addresses    []string
	expired      bool
}

// identities are the certificates of the control plane and the node, all signed by the cluster's authority.
func identities() []identity {
	masters := []string{"system:masters"}
	return []identity{
		{
			file: "apiserver", commonName: "kube-apiserver",
			dnsNames: []string{"kubernetes", "kubernetes.default", "kubernetes.default.svc",
				"kubernetes.default.svc.cluster.local", "localhost"},
			addresses: []string{NodeIP, "127.0.0.1", APIServiceIP},
		},
		{file: "kubelet-server", commonName: NodeName, dnsNames: []string{NodeName}, addresses: []string{NodeIP}},
		{file: "admin", commonName: "devcluster-admin", organization: masters},
		{file: "apiserver-kubelet", commonName: "kube-apiserver-kubelet-client", organization: masters},
		{file: "controller-manager", commonName: "system:kube-controller-manager"},
		{file: "scheduler", commonName: "system:kube-scheduler"},
		{file: "proxy", commonName: "system:kube-proxy"},
		{file: "kubelet", commonName: "system:node:" + NodeName, organization: []string{"system:nodes"}},
	}
}

// ensurePKI writes every key and certificate once; an existing set is kept, since running programs hold it.
func (l Layout) ensurePKI() error {
	if _, err := os.Stat(l.pki("complete")); err == nil {
		return nil
	}
	ca, err := l.newAuthority("ca", "devcluster")
	if err != nil {
		return err
	}
	for _, id := range identities() {
		if err := l.issue(ca, id); err != nil {
			return err
		}
	}
	frontProxy, err := l.newAuthority("fp-ca", "devcluster-front-proxy")
	if err != nil {
		return err
	}
	if err := l.issue(frontProxy, identity{file: "fp", commonName: "front-proxy-client"}); err != nil {
		return err
	}
	if err := l.serviceAccountKey(); err != nil {
		return err
	}
	return os.WriteFile(l.pki("complete"), nil, 0o600)
}

func (l Layout) newAuthority(file, name string) (authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return authority{}, err
	}
	template := certTemplate(pkix.Name{CommonName: name})
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return authority{}, fmt.Errorf("certificate authority %s: %w", name, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return authority{}, err
	}
	return authority{cert: cert, key: key}, l.writePair(file, der, key)
}

func (l Layout) issue(ca authority, id identity) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := certTemplate(pkix.Name{CommonName: id.commonName, Organization: id.organization})
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	template.DNSNames = id.dnsNames
	if id.expired {
		template.NotBefore, template.NotAfter = time.Now().Add(-48*time.Hour), time.Now().Add(-24*time.Hour)
	}
	for _, address := range id.addresses {
		template.IPAddresses = append(template.IPAddresses, net.ParseIP(address))
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, key.Public(), ca.key)
	if err != nil {
		return fmt.Errorf("certificate %s: %w", id.file, err)
	}
	return l.writePair(id.file, der, key)
}

func certTemplate(subject pkix.Name) *x509.Certificate {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		panic(err) // the operating system has no randomness: nothing that follows could be right
	}
	// A clock that is set back a little must not make fresh certificates invalid.
	return &x509.Certificate{
		SerialNumber: serial, Subject: subject,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(certLifetime),
	}
}

func (l Layout) serviceAccountKey() error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	if err := l.writeKey("sa", key); err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	return writePEM(l.pki("sa.pub"), "PUBLIC KEY", public)
}

func (l Layout) writePair(file string, der []byte, key crypto.Signer) error {
	if err := writePEM(l.pki(file+".crt"), "CERTIFICATE", der); err != nil {
		return err
	}
	return l.writeKey(file, key)
}

func (l Layout) writeKey(file string, key crypto.Signer) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return writePEM(l.pki(file+".key"), "PRIVATE KEY", der)
}

func writePEM(path, kind string, der []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}
