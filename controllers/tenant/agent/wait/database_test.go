// SPDX-License-Identifier: Apache-2.0

package wait

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"
)

func TestEachReasonIsLoggedOnceUntilItChanges(t *testing.T) {
	var log bytes.Buffer
	clock := clocktesting.NewFakeClock(time.Unix(0, 0))
	c := Config{Clock: clock, Log: slog.New(slog.NewTextHandler(&log, nil))}
	reasons := []error{errors.New("no server"), errors.New("no server"), errors.New("no role"), errors.New("no server"), nil}
	attempts := 0
	go stepAlong(t.Context(), clock)
	err := c.until(t.Context(), func(context.Context) error {
		attempts++
		return reasons[attempts-1]
	})
	if err != nil || attempts != len(reasons) {
		t.Fatalf("%d attempts, %v", attempts, err)
	}
	for text, want := range map[string]int{"no server": 2, "no role": 1, "the database is there": 1} {
		if got := strings.Count(log.String(), text); got != want {
			t.Errorf("%q was logged %d times, want %d:\n%s", text, got, want, &log)
		}
	}
}

// stepAlong lets time pass whenever somebody waits for it.
func stepAlong(ctx context.Context, clock *clocktesting.FakeClock) {
	for ctx.Err() == nil {
		if clock.HasWaiters() {
			clock.Step(interval)
		}
		runtime.Gosched()
	}
}

func TestTheEndOfTheWaitNamesTheLastReason(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := Config{Clock: clocktesting.NewFakeClock(time.Unix(0, 0)), Log: slog.New(slog.DiscardHandler)}
	err := c.until(ctx, func(context.Context) error {
		cancel()
		return errors.New("no server")
	})
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "no server") {
		t.Error(err)
	}
}

func credentials(t *testing.T, values map[string]string) Config {
	t.Helper()
	dir := t.TempDir()
	for name, value := range values {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(value), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return Config{CredentialsDir: dir, TrustDir: "/trust"}
}

func TestAddressKeepsEveryCharacterOfThePassword(t *testing.T) {
	const password = "p@ss/w:rd?&#%20 '\\"
	got, err := credentials(t, map[string]string{"host": "db.example\n", "port": "5432", "database": "app", "user": "app", "password": password}).address()
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := url.Parse(got)
	if err != nil {
		t.Fatal(err)
	}
	if back, _ := parsed.User.Password(); back != password {
		t.Errorf("the password became %q", back)
	}
	for key, want := range map[string]string{"sslmode": "verify-full", "require_auth": "scram-sha-256", "sslrootcert": "/trust/ca.crt"} {
		if got := parsed.Query().Get(key); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
}

func TestMissingAndEmptyCredentialsAreNamed(t *testing.T) {
	for name, values := range map[string]map[string]string{
		"port": {"host": "db.example"}, "password is empty": {"host": "h", "port": "1", "database": "d", "user": "u", "password": "\n"},
	} {
		if _, err := credentials(t, values).address(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v, want an error that names %q", err, name)
		}
	}
}
