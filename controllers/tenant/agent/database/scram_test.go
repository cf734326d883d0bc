// SPDX-License-Identifier: Apache-2.0

package database

import (
	"encoding/base64"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// TestVerifierIsThatOfTheStandard uses the user, salt and password of RFC 7677, section 3. The two keys were computed
// with an independent program (Python's hashlib and hmac).
func TestVerifierIsThatOfTheStandard(t *testing.T) {
	salt, err := base64.StdEncoding.DecodeString("W22ZaJ0SNY7soEsUEjb6gQ==")
	if err != nil {
		t.Fatal(err)
	}
	got, err := verifierWith("pencil", salt, 4096)
	const want = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
	if err != nil || got != want {
		t.Errorf("got  %s, %v\nwant %s", got, err, want)
	}
}

func TestVerifies(t *testing.T) {
	verifier, err := newVerifier("secret")
	if err != nil {
		t.Fatal(err)
	}
	if !verifies(verifier, "secret") {
		t.Error("the right password is not recognised")
	}
	for _, stored := range []string{"", "secret", "md5abc", "SCRAM-SHA-256$", "SCRAM-SHA-256$0:AA==$a:b", "SCRAM-SHA-256$4096:!$a:b"} {
		if verifies(stored, "secret") {
			t.Errorf("%q passes for a verifier of the password", stored)
		}
	}
	if verifies(verifier, "other") {
		t.Error("a wrong password is recognised")
	}
	if again, _ := newVerifier("secret"); again == verifier {
		t.Error("two verifiers have the same salt")
	}
}

func TestPasswordsThatWouldNeedPreparationAreRefused(t *testing.T) {
	for _, password := range []string{"naïve", "tab\t", "null\x00"} {
		if _, err := newVerifier(password); err == nil {
			t.Errorf("%q was accepted", password)
		}
	}
}

func TestCredentialsNeverTakeOverNamesOfTheServer(t *testing.T) {
	for _, tc := range []struct{ user, database, says string }{
		{"app", "app", ""},
		{"postgres", "app", `"postgres"`},
		{"app", "postgres", `"postgres"`},
		{"app", "template1", `"template1"`},
		{"pg_monitor", "app", `"pg_monitor"`},
		{"freehold_monitor", "app", `"freehold_monitor"`},
		{"", "app", "user is empty"},
	} {
		dir := t.TempDir()
		put(t, filepath.Join(dir, meta.KeyDatabaseUser), tc.user)
		put(t, filepath.Join(dir, meta.KeyDatabaseName), tc.database)
		put(t, filepath.Join(dir, meta.KeyDatabasePassword), "secret\n")
		got, err := readCredentials(dir)
		switch {
		case tc.says == "" && (err != nil || got != credentials{tc.user, tc.database, "secret"}):
			t.Errorf("%+v: got %+v, %v", tc, got, err)
		case tc.says != "" && (err == nil || !strings.Contains(err.Error(), tc.says)):
			t.Errorf("%+v: got %v, want an error that says %q", tc, err, tc.says)
		}
	}
}
