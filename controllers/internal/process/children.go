// SPDX-License-Identifier: Apache-2.0

package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Children are the child processes of this process. The zero value is not usable; see New.
type Children struct {
	mu    sync.Mutex
	known map[int]bool
	// poke asks the reaper to look again after a child of ours has been waited for.
	poke chan struct{}
}

// New returns an empty set of children.
func New() *Children {
	return &Children{known: map[int]bool{}, poke: make(chan struct{}, 1)}
}

// Child is one started process.
type Child struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error
}

// Start starts the command and waits for it in the background.
func (c *Children) Start(cmd *exec.Cmd) (*Child, error) {
	// The lock keeps the reaper from burying a child that ends before it is known.
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	c.known[cmd.Process.Pid] = true
	child := &Child{cmd: cmd, done: make(chan struct{})}
	go c.wait(child)
	return child, nil
}

// Run starts the command and waits until it has ended. The error is that of exec.Cmd.Run.
func (c *Children) Run(cmd *exec.Cmd) error {
	child, err := c.Start(cmd)
	if err != nil {
		return err
	}
	<-child.done
	return child.err
}

func (c *Children) wait(child *Child) {
	child.err = child.cmd.Wait()
	c.mu.Lock()
	delete(c.known, child.cmd.Process.Pid)
	c.mu.Unlock()
	close(child.done)
	select {
	case c.poke <- struct{}{}:
	default:
	}
}

// Done is closed when the child has ended.
func (c *Child) Done() <-chan struct{} { return c.done }

// PID of the child.
func (c *Child) PID() int { return c.cmd.Process.Pid }

// ExitCode of a child that is Done: its own, or 128 plus the signal that ended it, as shells count.
func (c *Child) ExitCode() int {
	status, ok := c.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return c.cmd.ProcessState.ExitCode()
}

// Signal sends a signal; a child that has ended already is no error.
func (c *Child) Signal(sig os.Signal) error {
	err := c.cmd.Process.Signal(sig)
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("send %s to process %d: %w", sig, c.PID(), err)
	}
	return nil
}

// Reap buries orphans until the context ends. Outside PID 1 it returns at once: no orphan ever arrives there.
func (c *Children) Reap(ctx context.Context) {
	if os.Getpid() != 1 {
		return
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGCHLD)
	defer signal.Stop(ended)
	for {
		c.reapAll()
		select {
		case <-ctx.Done():
			return
		case <-ended:
		case <-c.poke:
		}
	}
}

// reapAll buries every dead orphan. A dead child of ours hides those behind it; it is left to its own waiter,
// whose poke brings the reaper back.
func (c *Children) reapAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		pid, err := deadChild()
		if err != nil || pid == 0 || c.known[pid] {
			return
		}
		if _, err := unix.Wait4(pid, nil, unix.WNOHANG, nil); err != nil {
			return
		}
	}
}

// childInfo is the beginning of the kernel's siginfo_t as waitid(2) fills it on 64-bit machines.
type childInfo struct {
	_   [4]int32 // signo, errno, code, padding
	pid int32
	_   [108]byte
}

// deadChild looks, without burying, which child is dead; 0 if none is.
func deadChild() (int, error) {
	var info childInfo
	//nolint:gosec // the kernel writes at most the 128 bytes of siginfo_t, the size of childInfo.
	siginfo := (*unix.Siginfo)(unsafe.Pointer(&info))
	err := unix.Waitid(unix.P_ALL, 0, siginfo, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	return int(info.pid), err
}
