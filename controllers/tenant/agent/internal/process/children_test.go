// SPDX-License-Identifier: Apache-2.0

package process

import (
	"os/exec"
	"syscall"
	"testing"
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
