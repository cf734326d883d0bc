// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"bufio"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/freehold-dev/freehold/controllers/internal/process"
)

func TestReloaded(t *testing.T) {
	for answer, want := range map[string]bool{
		"Success=1\n--\n[NOTICE] loaded\n": true,
		"Success=1":                        true,
		"Success=0\n--\n[ALERT] Success=1": false,
		"Unknown command":                  false,
		"":                                 false,
	} {
		if got := reloaded(answer); got != want {
			t.Errorf("%q: %t, want %t", answer, got, want)
		}
	}
}

func TestStatusFollowsWhatWasPutIntoUse(t *testing.T) {
	clock := clocktesting.NewFakeClock(time.Unix(1000, 0))
	s := newTracker(clock)
	if got := s.current(); got.Condition != Waiting {
		t.Errorf("at first: %+v", got)
	}
	s.report(nil)
	clock.Step(time.Minute)
	s.report(errors.New("does not load"))
	failed := clock.Now()
	clock.Step(time.Minute)
	s.report(errors.New("does not load either"))
	if got := s.current(); got != (Status{Condition: Outdated, Since: failed, Detail: "does not load either", Changes: 1, Failures: 2}) {
		t.Errorf("after two failures: %+v", got)
	}
	s.report(nil)
	if got := s.current(); got.Condition != Current || got.Changes != 2 {
		t.Errorf("after a success: %+v", got)
	}
	s.stop()
	if got := s.current(); got.Condition != Stopping {
		t.Errorf("at last: %+v", got)
	}
}

// master is a program that answers the signals of a haproxy master in its own way.
func master(t *testing.T, script string) *process.Child {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-c", script+"; echo ready; while :; do sleep 0.01; done")
	out, in, err := os.Pipe() // a StdoutPipe would close when the program ends, read or not.
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout = in
	child, err := process.New().Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = in.Close(), out.Close() })
	t.Cleanup(func() { _ = child.Signal(syscall.SIGKILL) }) // it may have ended.
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	return child
}

func TestStopGoesFromSoftToHard(t *testing.T) {
	for name, tc := range map[string]struct {
		script          string
		drain, softStop time.Duration
		code            int
	}{
		"all connections end":      {"trap 'exit 3' USR1; trap 'exit 4' TERM", time.Millisecond, time.Minute, 3},
		"a connection goes on":     {"trap : USR1; trap 'exit 4' TERM", time.Millisecond, time.Millisecond, 4},
		"it ends while it drained": {"echo ready; exit 5", time.Minute, time.Minute, 5},
	} {
		t.Run(name, func(t *testing.T) {
			child := master(t, tc.script)
			h := haproxy{config: Config{Clock: clock.RealClock{}, Log: slog.New(slog.DiscardHandler), Drain: tc.drain, SoftStop: tc.softStop}}
			if err := h.stop(child); err != nil {
				t.Fatal(err)
			}
			if got := child.ExitCode(); got != tc.code {
				t.Errorf("ended with %d, want %d", got, tc.code)
			}
		})
	}
}
