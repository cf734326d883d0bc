// SPDX-License-Identifier: Apache-2.0

package pki_test

import (
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"github.com/freehold-dev/freehold/controllers/tenant/pki"
)

var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func authority(t *testing.T) *pki.Authority {
	t.Helper()
	a, err := pki.NewAuthority("k7x2m9q4zt", now)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func issue(t *testing.T, a *pki.Authority, at time.Time, names ...string) pki.Pair {
	t.Helper()
	pair, err := a.Issue(pki.Leaf{CommonName: names[0], DNSNames: names}, at)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

func TestALeafIsTrustedThroughItsAuthorityForItsNamesOnly(t *testing.T) {
	a := authority(t)
	cert, err := pki.Validate(issue(t, a, now, "acme.example.com"), []string{"acme.example.com"}, now)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(a.CertPEM) {
		t.Fatal("the authority's certificate is not PEM")
	}
	for name, trusted := range map[string]bool{"acme.example.com": true, "globex.example.com": false} {
		_, err := cert.Verify(x509.VerifyOptions{Roots: roots, DNSName: name, CurrentTime: now})
		if (err == nil) != trusted {
			t.Errorf("verifying as %s: trusted should be %t, got error %v", name, trusted, err)
		}
	}
}

func TestAStoredAuthorityGoesOnIssuing(t *testing.T) {
	a := authority(t)
	again, err := pki.ParseAuthority(a.Pair)
	if err != nil {
		t.Fatal(err)
	}
	if again.Fingerprint() != a.Fingerprint() {
		t.Error("the authority read back is another one")
	}
	leaf := pki.Leaf{CommonName: "db", DNSNames: []string{"db.tenant-acme.svc.cluster.local"}}
	if !a.Issued(issue(t, again, now, leaf.DNSNames...), leaf, now) {
		t.Error("the authority does not recognise what it issued after it was read back")
	}
}

func TestAnAuthorityWithAStrangersKeyIsRefused(t *testing.T) {
	a, b := authority(t), authority(t)
	if _, err := pki.ParseAuthority(pki.Pair{CertPEM: a.CertPEM, KeyPEM: b.KeyPEM}); err == nil {
		t.Fatal("a key that does not belong to the certificate was accepted")
	}
	leaf := issue(t, a, now, "db")
	if _, err := pki.ParseAuthority(leaf); err == nil || !strings.Contains(err.Error(), "not one of a certificate authority") {
		t.Fatalf("a leaf certificate was accepted as authority: %v", err)
	}
}

func TestLeavesAreRenewedAfterTwoThirdsOfTheirLife(t *testing.T) {
	a := authority(t)
	leaf := pki.Leaf{CommonName: "db", DNSNames: []string{"db.example"}}
	pair := issue(t, a, now, leaf.DNSNames...)
	for _, row := range []struct {
		after time.Duration
		good  bool
	}{
		{0, true},
		{59 * 24 * time.Hour, true},
		{61 * 24 * time.Hour, false},
		{91 * 24 * time.Hour, false},
	} {
		if got := a.Issued(pair, leaf, now.Add(row.after)); got != row.good {
			t.Errorf("after %s: still good is %t, want %t", row.after, got, row.good)
		}
	}
	if a.Issued(pair, pki.Leaf{DNSNames: []string{"db.example", "other.example"}}, now) {
		t.Error("a certificate that lacks a name counts as issued for it")
	}
	if a.Issued(issue(t, a, now, "db.example", "other.example"), leaf, now) {
		t.Error("a certificate with a name too many counts as issued for the shorter list")
	}
	if a.Issued(issue(t, authority(t), now, leaf.DNSNames...), leaf, now) {
		t.Error("another authority's certificate counts as issued by this one")
	}
}

func TestALeafNeverOutlivesItsAuthority(t *testing.T) {
	a := authority(t)
	late := now.Add(pki.AuthorityLife - 24*time.Hour)
	cert, err := pki.Validate(issue(t, a, late, "db.example"), nil, late)
	if err != nil {
		t.Fatal(err)
	}
	if cert.NotAfter.After(now.Add(pki.AuthorityLife)) {
		t.Errorf("the leaf is valid until %s, beyond its authority", cert.NotAfter)
	}
}

func TestALeafForTheAuthoritysLifeOutlastsTheUsualOnes(t *testing.T) {
	a := authority(t)
	usual := pki.Leaf{CommonName: "app", DNSNames: []string{"app.example"}}
	lasting := usual
	lasting.Life = 10 * pki.AuthorityLife
	if a.Issued(issue(t, a, now, "app.example"), lasting, now) {
		t.Error("a certificate of the usual life counts as issued for the authority's life")
	}
	pair, err := a.Issue(lasting, now.Add(24*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	for _, days := range []int{1, 91, 5 * 365} {
		if at := now.AddDate(0, 0, days); !a.Issued(pair, lasting, at) {
			t.Errorf("after %d days it would be replaced", days)
		}
	}
	if cert, err := pki.Validate(pair, usual.DNSNames, now.Add(pki.AuthorityLife-time.Hour)); err != nil {
		t.Errorf("it is not valid until its authority ends: %v", err)
	} else if cert.NotAfter.After(now.Add(pki.AuthorityLife)) {
		t.Errorf("it is valid until %s, beyond its authority", cert.NotAfter)
	}
}

func TestUserCertificatesAreRefusedWithTheReason(t *testing.T) {
	a, b := authority(t), authority(t)
	good := issue(t, a, now, "acme.example.com")
	other := issue(t, a, now, "acme.example.com")
	chain := pki.Pair{CertPEM: append(append([]byte{}, good.CertPEM...), a.CertPEM...), KeyPEM: good.KeyPEM}
	disordered := pki.Pair{CertPEM: append(append([]byte{}, good.CertPEM...), b.CertPEM...), KeyPEM: good.KeyPEM}
	wildcard := issue(t, a, now, "*.example.com")
	for name, row := range map[string]struct {
		pair  pki.Pair
		names []string
		at    time.Time
		want  string // "" accepts
	}{
		"a matching pair":                  {good, []string{"acme.example.com"}, now, ""},
		"a pair with its chain":            {chain, []string{"acme.example.com"}, now, ""},
		"a wildcard covers one label":      {wildcard, []string{"acme.example.com"}, now, ""},
		"a wildcard covers no two labels":  {wildcard, []string{"a.b.example.com"}, now, "does not cover a.b.example.com; it covers *.example.com"},
		"no certificate":                   {pki.Pair{KeyPEM: good.KeyPEM}, nil, now, "tls.crt) is missing"},
		"no key":                           {pki.Pair{CertPEM: good.CertPEM}, nil, now, "tls.key) is missing"},
		"not PEM":                          {pki.Pair{CertPEM: []byte("x"), KeyPEM: good.KeyPEM}, nil, now, "cannot be used together"},
		"another certificate's key":        {pki.Pair{CertPEM: good.CertPEM, KeyPEM: other.KeyPEM}, nil, now, "cannot be used together"},
		"a chain in the wrong order":       {disordered, []string{"acme.example.com"}, now, "is not signed by the one after it"},
		"expired":                          {good, []string{"acme.example.com"}, now.Add(pki.LeafLife + time.Hour), "has expired at"},
		"not yet valid":                    {good, []string{"acme.example.com"}, now.Add(-time.Hour), "is not valid before"},
		"one of two hostnames is missing":  {good, []string{"acme.example.com", "www.acme.example.com"}, now, "does not cover www.acme.example.com; it covers acme.example.com"},
		"an authority instead of a server": {a.Pair, []string{"acme.example.com"}, now, "it covers no DNS name"},
	} {
		_, err := pki.Validate(row.pair, row.names, row.at)
		switch {
		case row.want == "" && err != nil:
			t.Errorf("%s: refused: %v", name, err)
		case row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)):
			t.Errorf("%s: want a refusal with %q, got %v", name, row.want, err)
		}
	}
}

func TestAClientsCertificateIsItsOwnAndNoServers(t *testing.T) {
	a := authority(t)
	client := pki.Leaf{CommonName: "freehold-backup", Client: true}
	pair, err := a.Issue(client, now)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := client.Validate(pair, now)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(a.CertPEM)
	for use, trusted := range map[x509.ExtKeyUsage]bool{x509.ExtKeyUsageClientAuth: true, x509.ExtKeyUsageServerAuth: false} {
		_, err := cert.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{use}})
		if (err == nil) != trusted {
			t.Errorf("verifying for use %d: trusted should be %t, got error %v", use, trusted, err)
		}
	}
	if !a.Issued(pair, client, now) {
		t.Error("the authority does not recognise the client's certificate that it issued")
	}
	if _, err := pki.Validate(pair, nil, now); err == nil {
		t.Error("a gate would serve the certificate of a client")
	}
	for name, other := range map[string]pki.Leaf{
		"another client": {CommonName: "somebody", Client: true},
		"a server":       {CommonName: "freehold-backup", DNSNames: []string{"freehold-backup"}},
	} {
		if a.Issued(pair, other, now) {
			t.Errorf("the client's certificate passes for that of %s", name)
		}
	}
	if server := issue(t, a, now, "freehold-backup"); a.Issued(server, client, now) {
		t.Error("a server's certificate passes for that of the client")
	}
}
