// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// daemon is one long-running program of the cluster.
type daemon struct {
	name string
	path string
	args []string
	env  []string // added to this process's environment
	// inputs are files whose change must restart the program.
	inputs []string
	// ready returns nil once the program serves; it is asked repeatedly.
	ready func(context.Context) error
}

// record is what remains of a start: enough to know the very process again, and whether it is still the one wanted.
type record struct {
	PID       int       `json:"pid"`
	StartTick uint64    `json:"startTick"`
	Hash      string    `json:"hash"`
	Started   time.Time `json:"started"`
}

func (d daemon) hash() (string, error) {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%q\n%q\n", d.path, d.args, d.env)
	for _, file := range d.inputs {
		content, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%s %x\n", file, sha256.Sum256(content))
	}
	return hex.EncodeToString(h.Sum(nil))[:16], nil
}

// ensure leaves a running, unchanged daemon alone and otherwise (re)starts it. It says whether it started one.
func (l Layout) ensure(ctx context.Context, d daemon) (bool, error) {
	hash, err := d.hash()
	if err != nil {
		return false, fmt.Errorf("%s: %w", d.name, err)
	}
	if r, ok := l.running(d.name); ok {
		if r.Hash == hash {
			return false, nil
		}
		if err := l.stop(ctx, d.name, syscall.SIGTERM, 10*time.Second); err != nil {
			return false, err
		}
	}
	return true, l.start(d, hash)
}

func (l Layout) start(d daemon, hash string) error {
	log, err := os.OpenFile(l.State("log", d.name+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(d.path, d.args...)
	cmd.Env = append(os.Environ(), d.env...)
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	letGoOfInherited()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", d.name, err)
	}
	tick, _, err := processStat(cmd.Process.Pid)
	if err != nil {
		return fmt.Errorf("%s ended at once; its log is %s: %w", d.name, log.Name(), err)
	}
	// Children that end early must not stay behind as zombies of this command.
	go func() { _ = cmd.Wait() }()
	return l.writeRecord(d.name, record{PID: cmd.Process.Pid, StartTick: tick, Hash: hash, Started: time.Now()})
}

func (l Layout) recordFile(name string) string { return l.State("run", name+".json") }

func (l Layout) writeRecord(name string, r record) error {
	content, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return os.WriteFile(l.recordFile(name), content, 0o600)
}

// running returns the record of a daemon that is alive and really the process we started.
func (l Layout) running(name string) (record, bool) {
	content, err := os.ReadFile(l.recordFile(name))
	if err != nil {
		return record{}, false
	}
	var r record
	if json.Unmarshal(content, &r) != nil || r.PID <= 1 {
		return record{}, false
	}
	tick, state, err := processStat(r.PID)
	return r, err == nil && tick == r.StartTick && state != 'Z'
}

// stop ends a daemon by its recorded id: signal first, KILL after the grace period. A daemon that does not run is fine.
func (l Layout) stop(ctx context.Context, name string, signal syscall.Signal, grace time.Duration) error {
	r, ok := l.running(name)
	if !ok {
		_ = os.Remove(l.recordFile(name))
		return nil
	}
	if err := syscall.Kill(r.PID, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("stop %s (pid %d): %w", name, r.PID, err)
	}
	gone := func(context.Context) error {
		if _, alive := l.running(name); alive {
			return fmt.Errorf("%s (pid %d) is still running", name, r.PID)
		}
		return nil
	}
	if poll(ctx, grace, gone) != nil {
		_ = syscall.Kill(r.PID, syscall.SIGKILL)
		if err := poll(ctx, 10*time.Second, gone); err != nil {
			return err
		}
	}
	return os.Remove(l.recordFile(name))
}

// awaitReady waits for a daemon to serve and fails early, with the end of its log, when it dies meanwhile.
func (l Layout) awaitReady(ctx context.Context, d daemon, limit time.Duration) error {
	if d.ready == nil {
		return nil
	}
	died := errors.New("it ended")
	err := poll(ctx, limit, func(ctx context.Context) error {
		if _, alive := l.running(d.name); !alive {
			return fatal{died}
		}
		return d.ready(ctx)
	})
	if err != nil {
		return fmt.Errorf("%s is not ready: %w; the end of %s:\n%s", d.name, err,
			l.State("log", d.name+".log"), tail(l.State("log", d.name+".log"), 15))
	}
	return nil
}

// fatal ends a poll at once.
type fatal struct{ error }

// poll asks until check succeeds, returns a fatal error, or the limit passes; it returns the last error.
func poll(ctx context.Context, limit time.Duration, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		err := check(ctx)
		var stop fatal
		if err == nil || errors.As(err, &stop) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("gave up after %s: %w", limit, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// processStat returns when a process started (clock ticks since boot) and its state letter.
func processStat(pid int) (startTick uint64, state byte, err error) {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, err
	}
	return parseStat(content)
}

// parseStat reads /proc/PID/stat; the command's name may hold spaces and parentheses, so fields count from the last ')'.
func parseStat(content []byte) (startTick uint64, state byte, err error) {
	fields := strings.Fields(string(content[bytes.LastIndexByte(content, ')')+1:]))
	if len(fields) < 20 {
		return 0, 0, fmt.Errorf("unexpected process status %q", content)
	}
	startTick, err = strconv.ParseUint(fields[19], 10, 64)
	return startTick, fields[0][0], err
}

// tail returns the last lines of a file, or says why it cannot.
func tail(path string, lines int) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(content), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// letGoOfInherited keeps files that our caller left open, such as the lock of a flock(1) around us, from the
// programs that we start: they would hold them for as long as they live.
func letGoOfInherited() {
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return // Not fatal: only a caller with such files would notice.
	}
	for _, entry := range open {
		if fd, err := strconv.Atoi(entry.Name()); err == nil && fd > 2 {
			syscall.CloseOnExec(fd)
		}
	}
}
