// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Validate says whether a gate can serve a pair for all hostnames: the pair matches, is valid now, its chain is in
// order, and it covers every name. It does not ask whether clients trust the issuer. It returns the leaf certificate;
// the error is written for the user who supplied the pair.
func Validate(pair Pair, hostnames []string, now time.Time) (*x509.Certificate, error) {
	return Leaf{DNSNames: hostnames}.Validate(pair, now)
}

// Validate says whether a pair can be what the leaf is: as the function of that name, and for a client whether it is one's
// of this common name.
func (l Leaf) Validate(pair Pair, now time.Time) (*x509.Certificate, error) {
	if err := present(pair); err != nil {
		return nil, err
	}
	if _, err := tls.X509KeyPair(pair.CertPEM, pair.KeyPEM); err != nil {
		return nil, fmt.Errorf("the certificate (tls.crt) and the key (tls.key) cannot be used together: %s", strings.TrimPrefix(err.Error(), "tls: "))
	}
	chain, err := certificates(pair.CertPEM)
	if err != nil {
		return nil, err
	}
	if err := inOrder(chain); err != nil {
		return nil, err
	}
	return chain[0], l.usable(chain[0], now)
}

func present(pair Pair) error {
	if len(pair.CertPEM) == 0 {
		return errors.New("the certificate (tls.crt) is missing or empty")
	}
	if len(pair.KeyPEM) == 0 {
		return errors.New("the key (tls.key) is missing or empty")
	}
	return nil
}

// inOrder demands that each certificate is signed by the next one, as TLS servers send them.
func inOrder(chain []*x509.Certificate) error {
	for i := range len(chain) - 1 {
		if chain[i].CheckSignatureFrom(chain[i+1]) != nil {
			return fmt.Errorf("certificate %d of the chain (%s) is not signed by the one after it (%s): the order is the server's certificate, then each issuer",
				i+1, chain[i].Subject, chain[i+1].Subject)
		}
	}
	return nil
}

func (l Leaf) usable(leaf *x509.Certificate, now time.Time) error {
	if now.Before(leaf.NotBefore) {
		return fmt.Errorf("the certificate is not valid before %s", leaf.NotBefore.UTC().Format(time.RFC3339))
	}
	if !now.Before(leaf.NotAfter) {
		return fmt.Errorf("the certificate has expired at %s", leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	if err := l.allowed(leaf); err != nil {
		return err
	}
	var missing []string
	for _, name := range l.DNSNames {
		if leaf.VerifyHostname(name) != nil {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("the certificate does not cover %s; it covers %s", strings.Join(missing, ", "), covered(leaf))
	}
	return nil
}

// allowed says whether the certificate may be used for what the leaf is for.
func (l Leaf) allowed(leaf *x509.Certificate) error {
	may := func(use x509.ExtKeyUsage) bool {
		return len(leaf.ExtKeyUsage) == 0 || slices.Contains(leaf.ExtKeyUsage, use) || slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny)
	}
	switch {
	case !l.Client && !may(x509.ExtKeyUsageServerAuth):
		return errors.New("the certificate may not be used by servers (its extended key usage lacks serverAuth)")
	case l.Client && !may(x509.ExtKeyUsageClientAuth):
		return errors.New("the certificate may not be used by clients (its extended key usage lacks clientAuth)")
	case l.Client && leaf.Subject.CommonName != shorten(l.CommonName):
		return fmt.Errorf("the certificate is that of client %q, not of %q", leaf.Subject.CommonName, l.CommonName)
	}
	return nil
}

func covered(leaf *x509.Certificate) string {
	if len(leaf.DNSNames) == 0 {
		return "no DNS name"
	}
	return strings.Join(leaf.DNSNames, ", ")
}

func firstCertificate(raw []byte) (*x509.Certificate, error) {
	chain, err := certificates(raw)
	if err != nil {
		return nil, err
	}
	return chain[0], nil
}

// certificates reads every certificate of a PEM text; there is at least one if there is no error.
func certificates(raw []byte) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	for block, rest := pem.Decode(raw); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != pemCertificate {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d cannot be read: %w", len(out)+1, err)
		}
		out = append(out, cert)
	}
	if len(out) == 0 {
		return nil, errors.New("there is no certificate in the PEM text")
	}
	return out, nil
}
