// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// AuthorityLife is how long an authority's own certificate is valid: longer than any plan to replace it.
const AuthorityLife = 10 * 365 * 24 * time.Hour

// LeafLife is how long a leaf certificate is valid unless it says otherwise; after two thirds of it RenewAt has come.
const LeafLife = 90 * 24 * time.Hour

// backdate makes certificates valid a little before now, for verifiers whose clocks are behind.
const backdate = 5 * time.Minute

const (
	pemCertificate = "CERTIFICATE"
	pemECKey       = "EC PRIVATE KEY"
)

// Pair is a certificate chain and its key, both PEM.
type Pair struct {
	// CertPEM is the certificate, followed by its chain if it has one.
	CertPEM []byte
	// KeyPEM is the private key of the first certificate.
	KeyPEM []byte
}

// Leaf says whom a leaf certificate is for.
type Leaf struct {
	// CommonName is for people where a server is concerned: its clients look at DNSNames only. A client is known by it.
	CommonName string
	// DNSNames that the certificate is valid for: at least one for a server, none for a client.
	DNSNames []string
	// Client makes it a certificate that servers accept and no client does. Default: the other way round.
	Client bool
	// Life is how long the certificate shall be valid. Default: LeafLife.
	Life time.Duration
}

// use is what the certificate may be used for.
func (l Leaf) use() x509.ExtKeyUsage {
	if l.Client {
		return x509.ExtKeyUsageClientAuth
	}
	return x509.ExtKeyUsageServerAuth
}

// life is how long a leaf is valid, unless its authority ends before.
func (l Leaf) life() time.Duration {
	if l.Life > 0 {
		return l.Life
	}
	return LeafLife
}

// Authority signs the leaf certificates of one tenant.
type Authority struct {
	// Pair is the authority's own certificate and key, to be stored by the caller.
	Pair
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewAuthority makes the authority of an instance, valid from now on. It fails only if the system has no randomness.
func NewAuthority(instanceID string, now time.Time) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the key of the authority of instance %s: %w", instanceID, err)
	}
	template, err := newTemplate("Freehold instance "+instanceID, now, AuthorityLife)
	if err != nil {
		return nil, err
	}
	template.IsCA = true
	template.MaxPathLenZero = true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("signing the authority of instance %s: %w", instanceID, err)
	}
	pair, err := encode(der, key)
	if err != nil {
		return nil, err
	}
	return ParseAuthority(pair)
}

// ParseAuthority reads an authority that NewAuthority made earlier. The error says what is wrong with the pair.
func ParseAuthority(pair Pair) (*Authority, error) {
	cert, err := firstCertificate(pair.CertPEM)
	if err != nil {
		return nil, fmt.Errorf("the authority's certificate: %w", err)
	}
	if !cert.IsCA {
		return nil, errors.New("the authority's certificate is not one of a certificate authority")
	}
	block, _ := pem.Decode(pair.KeyPEM)
	if block == nil {
		return nil, errors.New("the authority's key is not PEM")
	}
	key, err := x509.ParseECPrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("the authority's key: %w", err)
	}
	if !key.PublicKey.Equal(cert.PublicKey) {
		return nil, errors.New("the authority's key does not belong to its certificate")
	}
	return &Authority{Pair: pair, cert: cert, key: key}, nil
}

// Issue makes a key and a leaf certificate, valid from now on for the leaf's life but never longer than
// the authority itself.
func (a *Authority) Issue(leaf Leaf, now time.Time) (Pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, fmt.Errorf("making the key of %s: %w", leaf.CommonName, err)
	}
	template, err := newTemplate(leaf.CommonName, now, leaf.life())
	if err != nil {
		return Pair{}, err
	}
	template.NotAfter = a.end(template.NotAfter)
	template.DNSNames = leaf.DNSNames
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{leaf.use()}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return Pair{}, fmt.Errorf("signing the certificate of %s: %w", leaf.CommonName, err)
	}
	return encode(der, key)
}

// Fingerprint tells authorities apart: the SHA-256 of the certificate, in hexadecimal.
func (a *Authority) Fingerprint() string {
	sum := sha256.Sum256(a.cert.Raw)
	return hex.EncodeToString(sum[:])
}

// end is when a leaf ends that would end then: not after its authority.
func (a *Authority) end(then time.Time) time.Time {
	if then.After(a.cert.NotAfter) {
		return a.cert.NotAfter
	}
	return then
}

// Issued reports whether a stored pair is a leaf certificate of this authority for exactly these names, this use and this
// life, and need not be renewed yet.
func (a *Authority) Issued(pair Pair, leaf Leaf, now time.Time) bool {
	cert, err := leaf.Validate(pair, now)
	if err != nil || len(cert.DNSNames) != len(leaf.DNSNames) {
		return false
	}
	// Certificates know seconds only.
	asLong := !cert.NotAfter.Before(a.end(cert.NotBefore.Add(backdate + leaf.life())).Truncate(time.Second))
	return asLong && cert.CheckSignatureFrom(a.cert) == nil && now.Before(RenewAt(cert))
}

// RenewAt is when a certificate is to be replaced: after two thirds of its life.
func RenewAt(cert *x509.Certificate) time.Time {
	return cert.NotAfter.Add(-cert.NotAfter.Sub(cert.NotBefore) / 3)
}

func newTemplate(commonName string, now time.Time, life time.Duration) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("making a serial number: %w", err)
	}
	return &x509.Certificate{
		SerialNumber:          serial.Add(serial, big.NewInt(1)),
		Subject:               pkix.Name{CommonName: shorten(commonName), Organization: []string{"Freehold"}},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(life),
		BasicConstraintsValid: true,
	}, nil
}

// shorten keeps a common name within the 64 characters that X.520 allows.
func shorten(name string) string {
	if len(name) > 64 {
		return name[:64]
	}
	return name
}

func encode(der []byte, key *ecdsa.PrivateKey) (Pair, error) {
	raw, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return Pair{}, fmt.Errorf("encoding a key: %w", err)
	}
	return Pair{
		CertPEM: pem.EncodeToMemory(&pem.Block{Type: pemCertificate, Bytes: der}),
		KeyPEM:  pem.EncodeToMemory(&pem.Block{Type: pemECKey, Bytes: raw}),
	}, nil
}
