// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

func info(t *testing.T, file string, repository int) Info {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "info", file+".json"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseInfo(raw, repository)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestARealCatalogueIsRead(t *testing.T) {
	got := info(t, "three", 2)
	if got.Failure != nil || got.Empty || got.SystemIdentifier == "" {
		t.Fatalf("read %+v", got)
	}
	if got.OldestSegment != "000000010000000000000005" || got.NewestSegment != "00000001000000000000001C" {
		t.Errorf("the log is from %s to %s", got.OldestSegment, got.NewestSegment)
	}
	first, ok := got.Find("20261122-062659F")
	if !ok || !first.Full || first.Damaged || first.RepositoryBytes != 7963864 || first.DatabaseBytes != 37594269 || first.StartLSN != "0/5000028" ||
		first.StartedAt.Unix() != 1795328819 || first.FinishedAt.Unix() != 1795328821 || first.Timeline() != 1 {
		t.Errorf("the first backup is %+v", first)
	}
	for _, b := range got.Backups {
		if _, ok := got.Find(b.FullLabel()); !ok {
			t.Errorf("%s builds on %s, which is not there", b.Label, b.FullLabel())
		}
	}
	var all []string
	for number := 5; number <= 0x1C; number++ {
		all = append(all, fmt.Sprintf("0000000100000000/0000000100000000000000%02X-24683047d16f5b5f72757a33ebef67d6dfaec953.zst", number))
	}
	newest, _ := got.Newest()
	catalogue := got.Catalogue(all, nil)
	if catalogue.Backups != len(got.Backups) || catalogue.Fulls == 0 || catalogue.Oldest != first.Label || catalogue.Newest != newest.Label ||
		!catalogue.RecoverableFrom.Equal(first.consistent()) {
		t.Errorf("the catalogue is %+v", catalogue)
	}
	if c := got.Catalogue(nil, nil); !c.RecoverableFrom.IsZero() {
		t.Errorf("without a log, the catalogue is %+v", c)
	}
	if other := info(t, "three", 3); len(other.Backups) == 0 || other.OldestSegment != "000000010000000000000018" {
		t.Errorf("another repository is mixed up with this one: %+v", other)
	}
}

// TestRealFailuresAreToldApart uses answers of pgBackRest 2.55 to destinations with these faults.
func TestRealFailuresAreToldApart(t *testing.T) {
	for file, want := range map[string]struct{ reason, words string }{
		"badbucket": {FailedRefused, "NoSuchBucket"},
		"badca":     {FailedCertificate, "unable to get local issuer certificate"},
		"badname":   {FailedUnreachable, "Name or service not known"},
		"badregion": {FailedRefused, "region"},
		"badsecret": {FailedRefused, "SignatureDoesNotMatch: The request signature"},
		"blackhole": {FailedUnreachable, "timeout connecting to"},
		"expired":   {FailedCertificate, "certificate has expired"},
		"refused":   {FailedUnreachable, "Connection refused"},
		"revoked":   {FailedRefused, "InvalidAccessKeyId"},
		"wrongpass": {FailedKey, "/t1/pg/backup/main/backup.info"},
	} {
		t.Run(file, func(t *testing.T) {
			failure := info(t, file, 1).Failure
			if failure == nil {
				t.Fatal("no failure was seen")
			}
			if failure.Reason != want.reason || !strings.Contains(failure.Message, want.words) {
				t.Errorf("%s: %s; want %s with %q", failure.Reason, failure.Message, want.reason, want.words)
			}
			for _, noise := range []string{"x-amz", "authorization:", "&#", "<", "HINT", "retries", "\n"} {
				if strings.Contains(failure.Message, noise) {
					t.Errorf("the message has %q: %s", noise, failure.Message)
				}
			}
			if len(failure.Message) > mostWords || !utf8.ValidString(failure.Message) {
				t.Errorf("the message cannot be stored: %q", failure.Message)
			}
		})
	}
}

func TestFailuresOfCommandsAreToldApart(t *testing.T) {
	for output, want := range map[string]struct {
		code   int
		reason string
	}{
		"ERROR: [101]: host [ab] and configured fingerprint (repo-sftp-host-fingerprint) [cd] do not match":                                                                                                            {101, FailedCertificate},
		"ERROR: [101]: public key authentication failed: libssh2 error [-18]":                                                                                                                                          {101, FailedRefused},
		"ERROR: [047]: sftp error unable to create path '/other': libssh2 error [-31]: sftp error [3] permission denied":                                                                                               {47, FailedRefused},
		"ERROR: [026]: raised from local-1 shim protocol: error restoring '/d/base/1/1255': actual checksum 'X' does not match expected checksum 'Y'":                                                                  {26, FailedDamaged},
		"ERROR: [028]: backup and archive info files exist but do not match the database\n       HINT: is this the correct stanza?":                                                                                    {28, FailedForeign},
		"ERROR: [044]: WAL segment system-id 1 do not match stanza version":                                                                                                                                            {44, FailedForeign},
		"ERROR: [095]: unable to load info file '/a/archive.info' or '/a/archive.info.copy':\nCryptoError: unable to flush\nHINT: is or was the repo encrypted?":                                                       {95, FailedKey},
		"ERROR: [039]: HTTP request failed with 507 (Insufficient Storage)":                                                                                                                                            {39, FailedFull},
		"ERROR: [039]: HTTP request failed with 503 (Slow Down)":                                                                                                                                                       {39, FailedUnreachable},
		"ERROR: [082]: WAL segment 000000010000000000000004 was not archived before the 300000ms timeout":                                                                                                              {82, FailedEngine},
		"WARN: unable to check pg1: [DbConnectError] raised from remote-0 tls protocol on 'db.tenant-acme.svc.cluster.local': unable to connect to 'x'\nERROR: [056]: unable to find primary cluster - cannot proceed": {56, FailedDatabase},
		"ERROR: [049]: unable to connect to 'db.tenant-acme.svc.cluster.local:8432 (10.0.0.1)': [111] Connection refused":                                                                                              {49, FailedDatabase},
		"": {122, FailedEngine},
	} {
		got := Classify(want.code, output)
		if got.Reason != want.reason || got.Message == "" {
			t.Errorf("%q is %s (%s), want %s", output, got.Reason, got.Message, want.reason)
		}
		if strings.Contains(got.Message, "ERROR") || strings.Contains(got.Message, "HINT") {
			t.Errorf("the message has what nobody reads: %s", got.Message)
		}
	}
}

func TestErrorsAreToldBeforeWarnings(t *testing.T) {
	log := "2026-11-22 06:37:34.123 P00   INFO: backup command begin\n" +
		"2026-11-22 06:37:34.123 P00   WARN: unable to check something\n" +
		"2026-11-22 06:37:35.123 P00  ERROR: [082]: WAL segment was not archived\n" +
		"                                    in time\n" +
		"2026-11-22 06:37:36.123 P00   INFO: backup command end: aborted with exception [082]\n"
	if got := Classify(82, log); got.Message != "WAL segment was not archived in time" {
		t.Errorf("told %q", got.Message)
	}
	warned := "P00   WARN: repo1: [FileMissingError] gone\nP00   INFO: end\n"
	if got := Classify(103, warned); got.Message != "repo1: gone" {
		t.Errorf("told %q", got.Message)
	}
}

func TestOddAnswersAreNotTakenForEmptyRepositories(t *testing.T) {
	for name, raw := range map[string]string{
		"no JSON":            `ERROR: [031]`,
		"two stanzas":        `[{"repo":[]},{"repo":[]}]`,
		"another repository": `[{"repo":[{"key":2,"status":{"code":0}}]}]`,
		"nothing":            ``,
	} {
		if got, err := ParseInfo([]byte(raw), 1); err == nil {
			t.Errorf("%s was read as %+v", name, got)
		}
	}
	missing, err := ParseInfo([]byte(`[{"repo":[{"key":1,"status":{"code":1,"message":"missing stanza path"}}]}]`), 1)
	if err != nil || !missing.Empty {
		t.Errorf("a repository without stanza is %+v, %v", missing, err)
	}
	unknown, err := ParseInfo([]byte(`[{"repo":[{"key":1,"status":{"code":77,"message":""}}]}]`), 1)
	if err != nil || unknown.Failure == nil || unknown.Empty {
		t.Errorf("an unknown state is %+v, %v", unknown, err)
	}
}

func FuzzAnyAnswerIsReadOrRefused(f *testing.F) {
	f.Add([]byte(`[{"repo":[{"key":1,"status":{"code":99,"message":"x"}}]}]`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		info, err := ParseInfo(raw, 1)
		if err == nil && info.Failure != nil && (len(info.Failure.Message) > mostWords || !utf8.ValidString(info.Failure.Message)) {
			t.Errorf("a message that cannot be stored: %q", info.Failure.Message)
		}
	})
}
