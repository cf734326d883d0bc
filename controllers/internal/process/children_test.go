// SPDX-License-Identifier: Apache-2.0

package process

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

func TestExitCodeCountsAsShellsDo(t *testing.T) {
	for name, tc := range map[string]struct {
		script string
		want   int
	}{
		"success":          {"exit 0", 0},
		"its own code":     {"exit 7", 7},
		"killed by SIGINT": {"kill -INT $$; sleep 60", 128 + int(syscall.SIGINT)},
	} {
		t.Run(name, func(t *testing.T) {
			child, err := New().Start(exec.Command("/bin/sh", "-c", tc.script))
			if err != nil {
				t.Fatal(err)
			}
			<-child.Done()
			if got := child.ExitCode(); got != tc.want {
				t.Errorf("exit code %d, want %d", got, tc.want)
			}
		})
	}
}

// TestOrphansAreBuriedAndOwnChildrenAreNot makes this process what PID 1 is in a container: the parent of orphans.
func TestOrphansAreBuriedAndOwnChildrenAreNot(t *testing.T) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	children := New()
	var said bytes.Buffer
	cmd := exec.Command("/bin/sh", "-c", "true >/dev/null & echo $!; exit 7")
	cmd.Stdout = &said
	child, err := children.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	<-child.Done()
	orphan := filepath.Join("/proc", strings.TrimSpace(said.String()))
	for deadline := time.Now().Add(time.Minute); ; {
		children.reapAll()
		if _, err := os.Stat(orphan); errors.Is(err, fs.ErrNotExist) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the orphan is still there")
		}
	}
	if got := child.ExitCode(); got != 7 {
		t.Errorf("the child's exit code is %d, want 7", got)
	}
}

func TestAnOwnChildIsLeftToItsWaiter(t *testing.T) {
	children := New()
	cmd := exec.Command("/bin/sh", "-c", "exit 7")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	children.known[cmd.Process.Pid] = true
	for pid := 0; pid != cmd.Process.Pid; { // until it is dead.
		var err error
		if pid, err = deadChild(); err != nil {
			t.Fatal(err)
		}
	}
	children.reapAll()
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 7 {
		t.Errorf("its waiter got %v, want exit code 7", err)
	}
}

func TestSignallingAnEndedChildIsNoError(t *testing.T) {
	child, err := New().Start(exec.Command("/bin/true"))
	if err != nil {
		t.Fatal(err)
	}
	<-child.Done()
	if err := child.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
}

func TestAMissingProgramIsNamed(t *testing.T) {
	if _, err := New().Start(exec.Command("/no/such/program")); err == nil {
		t.Error("starting a missing program succeeded")
	}
}

func TestChildInfoHasTheSizeOfSiginfo(t *testing.T) {
	if unsafe.Sizeof(childInfo{}) != unsafe.Sizeof(unix.Siginfo{}) {
		t.Errorf("childInfo has %d bytes, siginfo_t %d", unsafe.Sizeof(childInfo{}), unsafe.Sizeof(unix.Siginfo{}))
	}
}
