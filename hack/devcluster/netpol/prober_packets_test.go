// SPDX-License-Identifier: Apache-2.0

//go:build packets

package netpol

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// patience is how long a packet may take to be answered or counted as refused.
// Reaching it fails the test, whatever was expected.
const patience = 20 * time.Second

// open makes a socket from one of the world to an address. With a source it
// claims that address.
func open(ctx context.Context, from string, to netip.AddrPort, protocol corev1.Protocol, source netip.Addr) (conn net.Conn, err error) {
	dialer := net.Dialer{KeepAlive: -1}
	network := strings.ToLower(string(protocol)) + "4"
	if source.IsValid() {
		dialer.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(source, 0))
	}
	err = inside(nsOf(from), func() error {
		conn, err = dialer.DialContext(ctx, network, to.String())
		return err
	})
	if tcp, ok := conn.(*net.TCPConn); ok && err == nil {
		err = tcp.SetLinger(0) // when closed, nothing is sent again and again
	}
	return conn, err
}

// ping sends a line until it comes back, or ctx is done.
func ping(ctx context.Context, conn net.Conn) error {
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	if conn.RemoteAddr().Network() == "udp" {
		return pingUDP(ctx, conn)
	}
	if _, err := fmt.Fprintln(conn, "hello"); err != nil {
		return err
	}
	_, err := bufio.NewReader(conn).ReadString('\n')
	return err
}

func pingUDP(ctx context.Context, conn net.Conn) error {
	buffer := make([]byte, 64)
	for ctx.Err() == nil {
		if _, err := conn.Write([]byte("hello")); err != nil {
			return err
		}
		_ = conn.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := conn.Read(buffer); err == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
	}
	return ctx.Err()
}

// verdict tries something and says whether it was allowed. Allowed means that
// it ended well. Denied means that the kernel counted a refused packet: a
// slow machine is never mistaken for a wall.
func (l *lab) verdict(what string, try func(ctx context.Context) error) bool {
	l.t.Helper()
	before := l.refused()
	ctx, cancel := context.WithTimeout(l.t.Context(), patience)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- try(ctx) }()
	var failure error
	for ended := (<-chan error)(done); ctx.Err() == nil; {
		select {
		case failure = <-ended:
			if failure == nil {
				return true
			}
			ended = nil
		case <-time.After(10 * time.Millisecond):
			if l.refused() > before {
				cancel()
				if ended != nil {
					l.t.Logf("%s: refused (%v)", what, <-ended) // its goroutine must not outlive the row
				}
				return false
			}
		}
	}
	l.t.Fatalf("%s: neither answered nor refused within %s (%v)\n%s", what, patience, failure, l.table())
	return false
}

func (l *lab) tryFlow(f flow) bool {
	l.t.Helper()
	return l.verdict(fmt.Sprintf("%s > %s %s/%d", f.from, f.to, f.protocol, f.port), func(ctx context.Context) error {
		return call(ctx, f.from, netip.AddrPortFrom(addresses[f.to], f.port), f.protocol)
	})
}

func call(ctx context.Context, from string, to netip.AddrPort, protocol corev1.Protocol) error {
	conn, err := open(ctx, from, to, protocol, netip.Addr{})
	if err != nil {
		return err
	}
	defer conn.Close()
	return ping(ctx, conn)
}

var counterPattern = regexp.MustCompile(`counter packets (\d+)`)

// refused is the number of IPv4 packets that the table has dropped or rejected.
func (l *lab) refused() int {
	l.t.Helper()
	var rules strings.Builder
	for line := range strings.Lines(l.table()) {
		if !strings.Contains(line, "nfproto ipv6") { // neighbour discovery comes at any time
			rules.WriteString(line)
		}
	}
	return counted(l.t, rules.String())
}

// counted sums the counters in a listing.
func counted(t *testing.T, listing string) int {
	t.Helper()
	sum := 0
	for _, match := range counterPattern.FindAllStringSubmatch(listing, -1) {
		n, err := strconv.Atoi(match[1])
		if err != nil {
			t.Fatal(err)
		}
		sum += n
	}
	return sum
}

func (l *lab) table() string {
	out, err := exec.Command("nft", "list", "table", "inet", testTable).Output()
	if err != nil {
		return "" // no table, nothing refused
	}
	return string(out)
}
