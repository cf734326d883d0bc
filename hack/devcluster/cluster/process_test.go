// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// inTemp is a layout with the folders that processes need.
func inTemp(t *testing.T) Layout {
	t.Helper()
	l := Layout{Cache: t.TempDir()}
	for _, dir := range []string{"run", "log"} {
		if err := os.MkdirAll(l.State(dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

func sleeper() daemon { return daemon{name: "sleeper", path: "/bin/sleep", args: []string{"600"}} }

func ensured(t *testing.T, l Layout, d daemon) (record, bool) {
	t.Helper()
	started, err := l.ensure(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.stop(context.Background(), d.name, syscall.SIGKILL, time.Second) })
	r, alive := l.running(d.name)
	if !alive {
		t.Fatalf("%s does not run", d.name)
	}
	return r, started
}

func TestARunningDaemonIsLeftAlone(t *testing.T) {
	l := inTemp(t)
	first, _ := ensured(t, l, sleeper())
	second, started := ensured(t, l, sleeper())
	if started || first.PID != second.PID {
		t.Errorf("an unchanged daemon was restarted: %d, then %d", first.PID, second.PID)
	}
}

func TestADeadDaemonIsStartedAgain(t *testing.T) {
	l := inTemp(t)
	first, _ := ensured(t, l, sleeper())
	if err := syscall.Kill(first.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	err := poll(t.Context(), 10*time.Second, func(context.Context) error {
		if _, alive := l.running("sleeper"); alive {
			return errors.New("a killed daemon counts as running")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if second, started := ensured(t, l, sleeper()); !started || second.PID == first.PID {
		t.Error("a dead daemon was not started again")
	}
}

func TestAChangedDaemonIsRestarted(t *testing.T) {
	l := inTemp(t)
	config := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(config, []byte("one"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := sleeper()
	d.inputs = []string{config}
	first, _ := ensured(t, l, d)
	if err := os.WriteFile(config, []byte("two"), 0o600); err != nil {
		t.Fatal(err)
	}
	second, started := ensured(t, l, d)
	if !started || first.PID == second.PID {
		t.Error("a daemon kept running on an older configuration")
	}
	if alive(first.PID) {
		t.Error("the older process still runs beside the new one")
	}
}

func TestACallersLockIsNotHeldByDaemons(t *testing.T) {
	l := inTemp(t)
	lock, err := os.Create(filepath.Join(t.TempDir(), "lock"))
	if err != nil {
		t.Fatal(err)
	}
	inherited, err := syscall.Dup(int(lock.Fd())) // like one that a shell passed on: not closed by an exec
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(inherited) })
	r, _ := ensured(t, l, sleeper())
	err = poll(t.Context(), 10*time.Second, func(context.Context) error {
		program, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", r.PID))
		if err == nil && !strings.Contains(program, "sleep") && !strings.Contains(program, "coreutils") {
			err = fmt.Errorf("still %s", program)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", r.PID))
	if err != nil || len(files) == 0 {
		t.Fatalf("cannot see the daemon's files: %v %v", files, err)
	}
	for _, file := range files {
		if target, _ := os.Readlink(file); target == lock.Name() {
			t.Errorf("the daemon holds %s open", target)
		}
	}
}

func TestAForeignProcessWithOurIDIsNotStopped(t *testing.T) {
	l := inTemp(t)
	r, _ := ensured(t, l, sleeper())
	r.StartTick++ // what the record would say had the id been given to a later process
	if err := l.writeRecord("other", r); err != nil {
		t.Fatal(err)
	}
	if err := l.stop(t.Context(), "other", syscall.SIGKILL, time.Second); err != nil {
		t.Fatal(err)
	}
	if !alive(r.PID) {
		t.Error("a process that is not ours was ended")
	}
}

func TestADaemonThatDiesIsReportedAtOnceWithItsLog(t *testing.T) {
	l := inTemp(t)
	d := daemon{
		name: "broken", path: "/bin/sh", args: []string{"-c", "echo no such flag; exit 3"},
		ready: func(context.Context) error { return errors.New("not yet") },
	}
	if _, err := l.ensure(t.Context(), d); err != nil && !strings.Contains(err.Error(), "ended at once") {
		t.Fatal(err)
	}
	began := time.Now()
	err := l.awaitReady(t.Context(), d, time.Minute)
	if err == nil || !strings.Contains(err.Error(), "no such flag") {
		t.Errorf("the error does not show the end of the log: %v", err)
	}
	if time.Since(began) > 30*time.Second {
		t.Error("waited for a dead process")
	}
}

func TestProcessNamesMayHoldAnything(t *testing.T) {
	stat := "42 (a) b (c) S 1 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1000 10 18446744073709551615 1"
	tick, state, err := parseStat([]byte(stat))
	if err != nil || tick != 987654 || state != 'S' {
		t.Errorf("got %d %c %v", tick, state, err)
	}
}
