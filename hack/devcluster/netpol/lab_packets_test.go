// SPDX-License-Identifier: Apache-2.0

//go:build packets

package netpol

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
	"sigs.k8s.io/knftables"
)

// insideVariable marks the process that runs in the laboratory's namespaces.
const insideVariable = "FREEHOLD_NETPOL_LAB"

// labPorts are the ports on which everybody answers, by TCP and UDP.
var labPorts = []uint16{53, 80, 5432, 6443, 8080, 8081, 9090, 9100, 10250}

// TestMain runs the tests in a child process with network and mount namespaces
// of its own. All links, rules, namespaces and sockets end with that process.
func TestMain(m *testing.M) {
	if os.Getenv(insideVariable) != "" {
		os.Exit(m.Run())
	}
	runtime.LockOSThread() // the child dies with the thread that started it
	child := exec.Command("/proc/self/exe", os.Args[1:]...)
	child.Env = append(os.Environ(), insideVariable+"=1")
	child.Stdout, child.Stderr = os.Stdout, os.Stderr
	child.SysProcAttr = &syscall.SysProcAttr{
		Unshareflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS,
		Pdeathsig:    syscall.SIGKILL,
	}
	err := child.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		fmt.Fprintf(os.Stderr, "the packet tests need root for namespaces of their own: %v\n", err)
		os.Exit(1)
	}
	os.Exit(child.ProcessState.ExitCode())
}

// lab is a node with the pods and clients of the test world, wired like the ptp
// CNI plugin does: a veth pair and a host route for each pod.
type lab struct {
	t   *testing.T
	nft knftables.Interface
}

// theLab is wired once; each test gets it without any table of ours.
var theLab struct{ wired bool }

func newLab(t *testing.T) *lab {
	t.Helper()
	if !theLab.wired {
		wire(t)
		theLab.wired = true
	}
	nft, err := knftables.New(knftables.InetFamily, testTable)
	if err != nil {
		t.Fatalf("using nft (Debian: apt-get install nftables): %v", err)
	}
	l := &lab{t: t, nft: nft}
	l.removeTable()
	t.Cleanup(l.removeTable)
	return l
}

func (l *lab) removeTable() {
	tx := l.nft.NewTransaction()
	tx.Add(&knftables.Table{})
	tx.Delete(&knftables.Table{})
	if err := l.nft.Run(context.Background(), tx); err != nil {
		l.t.Fatalf("removing the test table: %v", err)
	}
}

// program renders the policies and gives them to the kernel.
func (l *lab) program(state State, weak bool) {
	l.t.Helper()
	tx := l.nft.NewTransaction()
	render(tx, Compute(state), netip.MustParsePrefix(testPodCIDR), weak)
	if err := l.nft.Run(l.t.Context(), tx); err != nil {
		l.t.Fatalf("nft refuses the rendered table: %v\n%s", err, tx)
	}
}

func wire(t *testing.T) {
	t.Helper()
	run(t, "", "mount", "-t", "tmpfs", "tmpfs", "/run") // named namespaces stay ours
	set(t, "/proc/sys/net/ipv4/ip_forward", "1")
	run(t, "link set lo up\naddr add "+testNodeIP+"/32 dev lo\n"+
		"link add dcext type bridge\naddr add 198.19.0.1/24 dev dcext\nlink set dcext up\n", "ip", "-batch", "-")
	for name, addr := range addresses {
		switch {
		case strings.Contains(name, "/"):
			wirePod(t, nsOf(name), addr)
		case strings.HasPrefix(name, "client"):
			wireClient(t, name, addr)
		}
		serve(t, name, addr)
	}
}

// nsOf names the network namespace of one of the world; the node has the test's.
func nsOf(name string) string {
	if name == "node" {
		return ""
	}
	return strings.ReplaceAll(name, "/", "-")
}

func wirePod(t *testing.T, ns string, addr netip.Addr) {
	t.Helper()
	veth := "veth-" + ns
	run(t, fmt.Sprintf("netns add %[1]s\nlink add %[2]s type veth peer name eth0 netns %[1]s\n"+
		"addr add 10.246.0.1/32 dev %[2]s\nlink set %[2]s up\nroute add %[3]s/32 dev %[2]s\n", ns, veth, addr), "ip", "-batch", "-")
	run(t, fmt.Sprintf("link set lo up\naddr add %s/32 dev eth0\nlink set eth0 up\n"+
		"route add 10.246.0.1 dev eth0\nroute add default via 10.246.0.1\n", addr), "ip", "-n", ns, "-batch", "-")
}

func wireClient(t *testing.T, ns string, addr netip.Addr) {
	t.Helper()
	run(t, fmt.Sprintf("netns add %[1]s\nlink add x-%[1]s type veth peer name eth0 netns %[1]s\n"+
		"link set x-%[1]s master dcext up\n", ns), "ip", "-batch", "-")
	run(t, fmt.Sprintf("link set lo up\naddr add %s/24 dev eth0\nlink set eth0 up\n"+
		"route add default via 198.19.0.1\n", addr), "ip", "-n", ns, "-batch", "-")
}

func run(t *testing.T, stdin string, command string, args ...string) string {
	t.Helper()
	cmd := exec.Command(command, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s\n%s", command, strings.Join(args, " "), err, stdin, out)
	}
	return string(out)
}

func set(t *testing.T, file, value string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(value), 0o644); err != nil {
		t.Fatal(err)
	}
}

// inside calls f on a thread in a named network namespace; the sockets that f
// opens stay there. Empty means the node's.
func inside(ns string, f func() error) error {
	if ns == "" {
		return f()
	}
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		handle, err := os.Open(filepath.Join("/run/netns", ns))
		if err == nil {
			defer handle.Close()
			err = unix.Setns(int(handle.Fd()), unix.CLONE_NEWNET)
		}
		if err == nil {
			err = f()
		}
		result <- err
	}()
	return <-result
}

// serve echoes on all ports of labPorts until the process ends.
func serve(t *testing.T, name string, addr netip.Addr) {
	t.Helper()
	for _, port := range labPorts {
		at := netip.AddrPortFrom(addr, port).String()
		err := inside(nsOf(name), func() error {
			quiet := net.ListenConfig{KeepAlive: -1} // a stray probe would count as refused
			listener, err := quiet.Listen(t.Context(), "tcp4", at)
			if err != nil {
				return err
			}
			go echoTCP(listener)
			socket, err := net.ListenPacket("udp4", at)
			if err != nil {
				return err
			}
			go echoUDP(socket)
			return nil
		})
		if err != nil {
			t.Fatalf("%s cannot serve on %s: %v", name, at, err)
		}
	}
}

func echoTCP(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			_, _ = io.Copy(conn, conn)
		}()
	}
}

func echoUDP(socket net.PacketConn) {
	buffer := make([]byte, 64)
	for {
		n, from, err := socket.ReadFrom(buffer)
		if err != nil {
			return
		}
		_, _ = socket.WriteTo(buffer[:n], from)
	}
}
