// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"crypto/x509"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestASpareSiteRunsOnceItWasStarted(t *testing.T) {
	l := inTemp(t)
	for _, s := range Sites() {
		if got := slices.Contains(l.daemonNames(), s.Name); got == s.spare {
			t.Errorf("in a new cluster site %s runs: %v", s.Name, got)
		}
		if err := os.MkdirAll(l.site(s), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(l.startedMark(s), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(l.daemonNames(), s.Name) {
			t.Errorf("status does not show site %s, which was started", s.Name)
		}
	}
}

func TestNoTwoSitesShareAnAddress(t *testing.T) {
	seen := map[string]string{}
	for _, m := range machines() {
		if other := seen[m.address]; other != "" {
			t.Errorf("%s and %s are both at %s", other, m.name, m.address)
		}
		seen[m.address] = m.name
	}
}

func TestPodsCanResolveEverySite(t *testing.T) {
	content, err := Layout{Cache: "/cache"}.expand("coredns.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range Sites() {
		if !strings.Contains(content, s.Address+" "+s.Host()+"\n") {
			t.Errorf("the name service does not know %s:\n%s", s.Host(), content)
		}
	}
}

func TestOnlyAListeningSocketOnThePortCounts(t *testing.T) {
	const sockets = `  sl  local_address rem_address   st tx_queue rx_queue
   0: 0A0113C6:01BB 00000000:0000 0A 00000000:00000000
   1: 0A0113C6:0016 020011AC:A3C4 01 00000000:00000000
`
	for port, want := range map[int]bool{443: true, 22: false, 80: false} {
		if got := listens(sockets, port); got != want {
			t.Errorf("port %d: got %v", port, got)
		}
	}
}

func TestSitesShowAGoodOrAnExpiredCertificate(t *testing.T) {
	l := inTemp(t)
	if err := os.MkdirAll(l.State("pki"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := l.ensureSitePKI(); err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(certificate(t, l.pki(siteAuthority+".crt")))
	for _, s := range slices.DeleteFunc(Sites(), func(s Site) bool { return s.Kind != SiteS3 }) {
		good := certificate(t, l.pki(siteCertificate(s, identityGood)+".crt"))
		for _, name := range []string{s.Host(), s.Address} {
			if _, err := good.Verify(x509.VerifyOptions{Roots: roots, DNSName: name}); err != nil {
				t.Errorf("site %s cannot be reached as %s: %v", s.Name, name, err)
			}
		}
		expired := certificate(t, l.pki(siteCertificate(s, identityExpired)+".crt"))
		_, err := expired.Verify(x509.VerifyOptions{Roots: roots, DNSName: s.Host()})
		if err == nil || !strings.Contains(err.Error(), "expired") {
			t.Errorf("site %s: the expired certificate is judged %v", s.Name, err)
		}
	}
}

func TestATenantMayNeitherDeleteNorLeaveItsPrefix(t *testing.T) {
	policy := bucketPolicy([]string{"shop", "bank"})
	granted := map[string][]string{} // user and action: resources
	for _, statement := range policy.Statement {
		for _, user := range statement.Principal["AWS"] {
			for _, action := range statement.Action {
				granted[user+" "+action] = append(granted[user+" "+action], statement.Resource+statement.Condition["StringLike"]["s3:prefix"])
			}
		}
	}
	for grant, want := range map[string]string{
		"shop-write s3:PutObject":     "arn:aws:s3:::freehold/shop/*",
		"shop-write s3:GetObject":     "arn:aws:s3:::freehold/shop/*",
		"shop-write s3:ListBucket":    "arn:aws:s3:::freeholdshop/*",
		"shop-write s3:DeleteObject":  "",
		"shop-manage s3:DeleteObject": "arn:aws:s3:::freehold/shop/*",
		"bank-manage s3:DeleteObject": "arn:aws:s3:::freehold/bank/*",
	} {
		if got := strings.Join(granted[grant], " "); got != want {
			t.Errorf("%s: got %q, want %q", grant, got, want)
		}
	}
	if content, err := json.Marshal(policy); err != nil || strings.Contains(string(content), `"Condition":null`) {
		t.Errorf("the server would refuse %s, %v", content, err)
	}
}

func TestAHostKeyIsToldInEveryFormThatClientsAskFor(t *testing.T) {
	// The numbers are what `base64 -d | sha1sum` and `base64 -d | sha256sum` say.
	got, err := parseHostKey("sftp.devcluster.test", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEeICmWN7ENG56Af83+n5LAkPhMALj5mdTMR8HVfn94/ comment\n")
	want := HostKey{
		KnownHosts: "sftp.devcluster.test ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEeICmWN7ENG56Af83+n5LAkPhMALj5mdTMR8HVfn94/",
		SHA1:       "1134886e73398a7e8c82419d8954b890ead7af59",
		SHA256:     "60c842eb7a2a25b73f620c6268e7764e14c735814d7e6bed6c1b222ceec24876",
	}
	if err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := parseHostKey("x", "nonsense"); err == nil {
		t.Error("nonsense was taken for a key")
	}
}

func TestSFTPUsersExistOnlyForTheServer(t *testing.T) {
	passwd, shadow := sftpUsers(map[string]sftpAccount{"shop": {UID: 20007}, "root": {UID: 20008}})
	for _, want := range []string{"root:x:0:0::/:", "sshd:x:", "sftp-shop:x:20007:20007::/:", "sftp-root:x:20008:20008::/:"} {
		if !strings.Contains("\n"+passwd, "\n"+want) {
			t.Errorf("%q is missing from\n%s", want, passwd)
		}
	}
	for line := range strings.Lines(shadow) {
		if fields := strings.Split(line, ":"); fields[1] != "*" {
			t.Errorf("the server would refuse keys, or take a password, for %q", line)
		}
	}
}

func TestAUserIDIsNeverGivenTwice(t *testing.T) {
	if got := nextUser(nil); got != firstSFTPUser {
		t.Errorf("the first tenant gets %d", got)
	}
	revoked := sftpAccount{UID: firstSFTPUser + 4}
	if got := nextUser(map[string]sftpAccount{"a": {UID: firstSFTPUser}, "b": revoked}); got != firstSFTPUser+5 {
		t.Errorf("after a revoked tenant with id %d the next gets %d", revoked.UID, got)
	}
}

func TestWithoutAClusterNoSiteIsTouched(t *testing.T) {
	l := inTemp(t)
	if _, err := SiteTenant(t.Context(), l, "s3-a", "shop"); err == nil || !strings.Contains(err.Error(), "`up`") {
		t.Errorf("tenant: got %v", err)
	}
	if err := MendSite(t.Context(), l, NewProgress(t.Output()), "s3-a"); err == nil {
		t.Error("a site was mended that does not exist")
	}
	if _, err := os.Stat(l.State("sites")); err == nil {
		t.Error("something was left that looks like a cluster")
	}
}

func TestASkewedSiteAnswersAsS3ServersDo(t *testing.T) {
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodHead} {
		answer := httptest.NewRecorder()
		refuseForTime(answer, httptest.NewRequest(method, "/freehold/shop/x", nil))
		date, err := http.ParseTime(answer.Header().Get("Date"))
		if away := time.Until(date).Abs(); answer.Code != http.StatusForbidden || err != nil || away < 15*time.Minute {
			t.Errorf("%s: got status %d, a clock %s away, %v", method, answer.Code, away, err)
		}
		if told := strings.Contains(answer.Body.String(), "<Code>RequestTimeTooSkewed</Code>"); told == (method == http.MethodHead) {
			t.Errorf("%s: got %q", method, answer.Body)
		}
	}
}

func TestWrongWordsAreRefused(t *testing.T) {
	l := inTemp(t)
	for _, s := range Sites() {
		if err := os.MkdirAll(l.site(s), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := SetSiteIdentity(t.Context(), l, nil, "s3-a", identityOther); err == nil {
		t.Error("an S3 site cannot have another host key")
	}
	if err := SetSiteClock(t.Context(), l, nil, "sftp", clockSkewed); err == nil {
		t.Error("SFTP has no time to be wrong about")
	}
	if err := SetSiteClock(t.Context(), l, nil, "s3-a", "late"); err == nil {
		t.Error("a clock was set to an unknown word")
	}
	if err := FillSite(l, "s3-a", true); err == nil {
		t.Error("filling s3-a would fill this machine's disk")
	}
	for _, name := range []string{"", "../x", "a/b", "Shop", "-x", strings.Repeat("a", 53)} {
		if tenantName.MatchString(name) {
			t.Errorf("%q was taken for a tenant's name", name)
		}
	}
}
