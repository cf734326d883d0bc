// SPDX-License-Identifier: Apache-2.0

package agenttest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// Descriptors that a container inherits: its pod's network namespace, and a pipe whose other end closes when the
// test process ends in whatever way.
const (
	netnsFD = 3
	lifeFD  = 4
)

// endWithTest ends this process, and so its container, when the test process has ended. A parent-death signal
// would come too early: it follows the thread that started the container.
func endWithTest() {
	unix.CloseOnExec(lifeFD)
	life := os.NewFile(lifeFD, "life")
	_, _ = life.Read(make([]byte, 1)) // nothing is ever written.
	os.Exit(125)
}

// enter builds the container around this process, which is PID 1 of new namespaces, and becomes its program.
func enter() error {
	s, err := readSpec()
	if err != nil {
		return fmt.Errorf("read what to build: %w", err)
	}
	// setns works on one thread; the exec below has to come from the same.
	runtime.LockOSThread()
	if err := unix.Setns(netnsFD, unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("join the pod's network: %w", err)
	}
	if err := s.mountAll(); err != nil {
		return err
	}
	if err := errors.Join(syscall.Chroot(s.Root), syscall.Chdir("/")); err != nil {
		return fmt.Errorf("change the root: %w", err)
	}
	if err := errors.Join(syscall.Setgroups([]int{s.GID}), syscall.Setgid(s.GID), syscall.Setuid(s.UID)); err != nil {
		return fmt.Errorf("become user %d: %w", s.UID, err)
	}
	unix.CloseOnExec(netnsFD)
	environment := []string{roleVariable + "=" + roleProgram, "PATH=" + s.Path}
	return syscall.Exec(program, append([]string{program}, s.Args...), environment)
}

// program is where the image has the agent.
const program = "/usr/bin/freehold"

func (s spec) mountAll() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("keep the mounts to ourselves: %w", err)
	}
	// Without an upper folder an overlay is read-only, as a pod's root is.
	if err := unix.Mount("overlay", s.Root, "overlay", unix.MS_RDONLY, "lowerdir="+s.Skeleton+":"+s.RootFS); err != nil {
		return fmt.Errorf("mount the image: %w", err)
	}
	for _, m := range s.Mounts {
		if err := s.bind(m); err != nil {
			return err
		}
	}
	if err := unix.Mount("tmpfs", filepath.Join(s.Root, "dev/shm"), "tmpfs", 0, "mode=1777"); err != nil {
		return fmt.Errorf("mount /dev/shm: %w", err)
	}
	if err := unix.Mount("proc", filepath.Join(s.Root, "proc"), "proc", 0, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	return nil
}

func (s spec) bind(m mount) error {
	target := filepath.Join(s.Root, m.Target)
	if err := unix.Mount(m.Source, target, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount %s: %w", m.Target, err)
	}
	if m.Writable {
		return nil
	}
	if err := unix.Mount("", target, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("make %s read-only: %w", m.Target, err)
	}
	return nil
}

// newNetwork makes a network namespace with a loopback device and returns it as an open file.
func newNetwork() (*os.File, error) {
	type result struct {
		file *os.File
		err  error
	}
	made := make(chan result)
	go func() {
		// The thread is never unlocked, so it ends with this function and takes its namespace with it.
		runtime.LockOSThread()
		file, err := unshareNetwork()
		made <- result{file, err}
	}()
	r := <-made
	return r.file, r.err
}

func unshareNetwork() (*os.File, error) {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return nil, fmt.Errorf("make a network namespace: %w", err)
	}
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return nil, fmt.Errorf("open a socket to configure the loopback device: %w", err)
	}
	defer unix.Close(socket) //nolint:errcheck // nothing was written to it.
	device, err := unix.NewIfreq("lo")
	if err != nil {
		return nil, err
	}
	device.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(socket, unix.SIOCSIFFLAGS, device); err != nil {
		return nil, fmt.Errorf("bring the loopback device up: %w", err)
	}
	return os.Open("/proc/thread-self/ns/net")
}

// inNetwork runs a function on a thread inside the network namespace.
func inNetwork[T any](network *os.File, do func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread()
		if err := unix.Setns(int(network.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- result{err: fmt.Errorf("join the pod's network: %w", err)}
			return
		}
		value, err := do()
		done <- result{value, err}
	}()
	r := <-done
	return r.value, r.err
}
