// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"
)

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func digest(t *testing.T, folders ...string) string {
	t.Helper()
	sum, err := Digest(folders...)
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

func TestDigestSeesContentsAndNamesButNotTheKubeletsOwnFiles(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "tls.crt"), "one")
	first := digest(t, dir)

	write(t, filepath.Join(dir, "..data"), "kubelet")
	if digest(t, dir) != first {
		t.Error("a hidden file changed the digest")
	}
	write(t, filepath.Join(dir, "tls.crt"), "two")
	second := digest(t, dir)
	if second == first {
		t.Error("a changed content left the digest as it was")
	}
	write(t, filepath.Join(dir, "tls.key"), "")
	if digest(t, dir) == second {
		t.Error("a new empty file left the digest as it was")
	}
	if digest(t, dir, filepath.Join(dir, "missing")) != digest(t, dir) {
		t.Error("a missing folder is not like an empty one")
	}
}

// fixture is a loop over one string in place of files.
type fixture struct {
	Loop
	clock   *clocktesting.FakeClock
	content string
	problem error
	applied []string
	log     bytes.Buffer
}

func newFixture() *fixture {
	f := &fixture{clock: clocktesting.NewFakeClock(time.Unix(0, 0)), content: "a"}
	f.Loop = Loop{
		Clock: f.clock, Log: slog.New(slog.NewTextHandler(&f.log, nil)), Subject: "files", Applied: "a",
		Digest: func() (string, error) { return f.content, nil },
		Apply: func(context.Context) error {
			f.applied = append(f.applied, f.content)
			return f.problem
		},
	}
	return f
}

func (f *fixture) after(d time.Duration) {
	f.clock.Step(d)
	f.step(context.Background())
}

func TestUnchangedContentIsNotAppliedAgain(t *testing.T) {
	f := newFixture()
	f.after(0)
	f.content = "b"
	f.after(Interval)
	f.after(Interval)
	if got := strings.Join(f.applied, ","); got != "b" {
		t.Errorf("applied %q, want b once", got)
	}
}

func TestRefusedContentIsTriedAgainWithGrowingPausesAndLoggedOnce(t *testing.T) {
	f := newFixture()
	f.content, f.problem = "bad", errors.New("does not load")
	for range 120 {
		f.after(Interval)
	}
	// 120 s with pauses of 1, 2, 4, 8, 16, 30, 30 and 30 s.
	if len(f.applied) != 8 {
		t.Errorf("tried %d times in two minutes, want 8", len(f.applied))
	}
	if n := strings.Count(f.log.String(), "does not load"); n != 1 {
		t.Errorf("logged %d times, want once:\n%s", n, f.log.String())
	}
}

func TestGoodContentAfterBadIsAppliedAtOnce(t *testing.T) {
	f := newFixture()
	f.content, f.problem = "bad", errors.New("does not load")
	for range 10 {
		f.after(Interval)
	}
	f.content, f.problem = "good", nil
	f.after(Interval)
	if last := f.applied[len(f.applied)-1]; last != "good" || f.Applied != "good" {
		t.Errorf("last tried %q, in use %q, want good", last, f.Applied)
	}
}

func TestGoingBackToTheContentInUseNeedsNothing(t *testing.T) {
	f := newFixture()
	f.content, f.problem = "bad", errors.New("does not load")
	f.after(Interval)
	f.content = "a"
	f.after(Interval)
	if len(f.applied) != 1 {
		t.Errorf("applied %q, want only the bad one", f.applied)
	}
}
