// SPDX-License-Identifier: Apache-2.0

package agenttest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Patience is how long Eventually waits; far more than anything takes on an idle machine.
const Patience = 90 * time.Second

// hosts are the names that a pod knows: all its servers are in its own network.
const hosts = "127.0.0.1 localhost db.tenant-acme.svc.cluster.local backup-cellar.tenant-acme.svc.cluster.local\n"

// Pod shares a network and mounts between containers.
type Pod struct {
	t       testing.TB
	rootfs  string
	uid     int
	path    string
	network *os.File
	// life is the containers' end of a pipe that closes with the test process.
	life   *os.File
	dir    string
	mounts []mount
	number int
}

// NewPod makes a pod of the image whose root file system the environment variable names. Without it, or without
// root, the test is skipped; in continuous integration (CI=true) it fails.
func NewPod(t testing.TB, variable string, uid int, path string) *Pod {
	t.Helper()
	rootfs := os.Getenv(variable)
	name := strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(variable, "FREEHOLD_"), "_ROOT"))
	switch {
	case rootfs == "":
		missing(t, variable+" names no root file system; get one with: go -C hack/devcluster run ./images/cmd/rootfs "+name)
	case os.Geteuid() != 0:
		missing(t, "running the agent as in a pod needs root")
	}
	network, err := newNetwork()
	if err != nil {
		t.Fatal(err)
	}
	life, ours, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p := &Pod{t: t, rootfs: rootfs, uid: uid, path: path, network: network, life: life, dir: t.TempDir()}
	t.Cleanup(func() { _, _, _ = network.Close(), life.Close(), ours.Close() })
	p.File("/etc/hosts", hosts)
	p.File("/dev/termination-log", "")
	return p
}

// Sibling makes another pod of the same image in the same network, with mounts of its own.
func (p *Pod) Sibling(t testing.TB) *Pod {
	t.Helper()
	s := &Pod{t: t, rootfs: p.rootfs, uid: p.uid, path: p.path, network: p.network, life: p.life, dir: t.TempDir()}
	s.File("/etc/hosts", hosts)
	s.File("/dev/termination-log", "")
	return s
}

// Mount mounts a folder of this machine, such as one of another pod, at the path.
func (p *Pod) Mount(source, target string, writable bool) {
	p.mounts = append(p.mounts, mount{Source: source, Target: target, Writable: writable})
}

// Remount puts another folder of this machine in place of what is mounted at the path.
func (p *Pod) Remount(source, target string) {
	p.t.Helper()
	for i, m := range p.mounts {
		if m.Target == target {
			p.mounts[i].Source = source
			return
		}
	}
	p.t.Fatalf("nothing is mounted at %s", target)
}

func missing(t testing.TB, reason string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(reason)
	}
	t.Skip(reason)
}

// Folder mounts a new folder at the path, writable for the pod's user or read-only, and returns where it lies on
// this machine.
func (p *Pod) Folder(target string, writable bool) string {
	p.t.Helper()
	source := p.host(target)
	p.must(os.MkdirAll(source, 0o755))
	p.must(os.Chown(source, 0, p.uid))
	if writable {
		p.must(os.Chmod(source, 0o2775|os.ModeSetgid)) // as the kubelet leaves a volume with fsGroup.
	}
	p.mounts = append(p.mounts, mount{Source: source, Target: target, Writable: writable})
	return source
}

// File mounts a file at the path.
func (p *Pod) File(target, content string) {
	p.t.Helper()
	source := p.host(target)
	p.must(os.WriteFile(source, []byte(content), 0o666))
	p.must(os.Chmod(source, 0o666)) // the process's umask must not matter.
	p.mounts = append(p.mounts, mount{Source: source, Target: target, Writable: true})
}

// TerminationMessage is what the last container left for the kubelet.
func (p *Pod) TerminationMessage() string {
	p.t.Helper()
	content, err := os.ReadFile(p.host("/dev/termination-log"))
	p.must(err)
	return string(content)
}

func (p *Pod) host(target string) string {
	return filepath.Join(p.dir, strings.ReplaceAll(strings.Trim(target, "/"), "/", "_"))
}

func (p *Pod) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// Dial connects from inside the pod's network.
func (p *Pod) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return inNetwork(p.network, func() (net.Conn, error) { return new(net.Dialer).DialContext(ctx, network, address) })
}

// Listen opens a port in the pod's network until the test ends.
func (p *Pod) Listen(address string) net.Listener {
	p.t.Helper()
	listener, err := inNetwork(p.network, func() (net.Listener, error) { return net.Listen("tcp", address) })
	p.must(err)
	p.t.Cleanup(func() { _ = listener.Close() })
	return listener
}

// Get asks a URL inside the pod's network; the code is 0 when nobody answers.
func (p *Pod) Get(url string) (code int, body string) {
	client := http.Client{Transport: &http.Transport{DialContext: p.Dial, DisableKeepAlives: true}, Timeout: 5 * time.Second}
	answer, err := client.Get(url)
	if err != nil {
		return 0, err.Error()
	}
	defer answer.Body.Close() //nolint:errcheck // only read.
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, err.Error()
	}
	return answer.StatusCode, string(content)
}

// Container is one started program.
type Container struct {
	t    testing.TB
	cmd  *exec.Cmd
	log  *lockedBuffer
	done chan struct{}
}

// Start starts the agent with the arguments, as PID 1 of a container and the image's user.
func (p *Pod) Start(args ...string) *Container {
	p.t.Helper()
	return p.StartAs(p.uid, args...)
}

// StartAs is Start as another user, whom the mounted files admit by their group.
func (p *Pod) StartAs(uid int, args ...string) *Container {
	p.t.Helper()
	self, err := os.Executable()
	p.must(err)
	p.number++
	s := spec{RootFS: p.rootfs, Root: p.host("root"), Skeleton: p.host("skeleton"), UID: uid, GID: p.uid, Args: args, Path: p.path}
	s.Mounts = append([]mount{{Source: self, Target: program}}, p.mounts...)
	p.must(s.skeleton())
	encoded, err := json.Marshal(s)
	p.must(err)
	log := &lockedBuffer{}
	cmd := exec.Command(self)
	cmd.Env = []string{roleVariable + "=" + roleRuntime, specVariable + "=" + string(encoded)}
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = log, log, []*os.File{p.network, p.life}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC}
	p.must(cmd.Start())
	c := &Container{t: p.t, cmd: cmd, log: log, done: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // ExitCode tells.
		close(c.done)
	}()
	p.t.Cleanup(c.cleanup)
	return c
}

// skeleton makes the mount points; a read-only root has no room for them later.
func (s spec) skeleton() error {
	folders := []string{"proc", "dev/shm"}
	for _, m := range s.Mounts {
		info, err := os.Stat(m.Source)
		if err != nil {
			return err
		}
		if info.IsDir() {
			folders = append(folders, m.Target)
			continue
		}
		target := filepath.Join(s.Skeleton, m.Target)
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(target, nil, 0o755); err != nil {
			return err
		}
	}
	for _, folder := range folders {
		if err := os.MkdirAll(filepath.Join(s.Skeleton, folder), 0o755); err != nil {
			return err
		}
	}
	return os.MkdirAll(s.Root, 0o755)
}

func (c *Container) cleanup() {
	c.Kill() // ends the whole PID namespace.
	if c.t.Failed() {
		c.t.Logf("log of a container:\n%s", c.Log())
	}
}

// Log is everything that the container wrote.
func (c *Container) Log() string { return c.log.String() }

// Signal sends a signal to the container's first process.
func (c *Container) Signal(sig os.Signal) {
	c.t.Helper()
	if err := c.cmd.Process.Signal(sig); err != nil {
		c.t.Fatal(err)
	}
}

// Kill ends the container with all its processes, as the kernel does when memory runs out. One that has ended is fine.
func (c *Container) Kill() {
	_ = c.cmd.Process.Kill() // the only error is that it has ended.
	<-c.done
}

// Done is closed when the container has ended.
func (c *Container) Done() <-chan struct{} { return c.done }

// ExitCode waits for the container's end.
func (c *Container) ExitCode() int {
	c.t.Helper()
	select {
	case <-c.done:
		return c.cmd.ProcessState.ExitCode()
	case <-time.After(Patience):
		c.t.Fatalf("the container did not end within %s", Patience)
		return -1
	}
}

// PID of the container's first process on this machine.
func (c *Container) PID() int { return c.cmd.Process.Pid }

// lockedBuffer is written by a process and read by the test.
type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

// Write implements io.Writer.
func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}
