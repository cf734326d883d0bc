// SPDX-License-Identifier: Apache-2.0

package wait

import (
	"bytes"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"
)

// forbidden listens until it is closed, as a cluster does whose walls come late.
func forbidden(t *testing.T) (net.Listener, func()) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closing := sync.OnceFunc(func() { _ = listener.Close() })
	t.Cleanup(closing)
	return listener, closing
}

func TestAPodWaitsUntilItsWallsStand(t *testing.T) {
	listener, shut := forbidden(t)
	clock := clocktesting.NewFakeClock(time.Unix(0, 0))
	done := make(chan error, 1)
	go func() {
		done <- Walls(t.Context(), WallsConfig{Forbidden: listener.Addr().String(), Limit: time.Hour, Clock: clock, Log: slog.New(slog.DiscardHandler)})
	}()
	go stepAlong(t.Context(), clock)
	for range 3 { // three connections are accepted: it waits
		conn, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
	}
	select {
	case err := <-done:
		t.Fatalf("it went on without walls: %v", err)
	default:
	}
	shut()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestAPodDoesNotStartWithoutWalls(t *testing.T) {
	listener, _ := forbidden(t)
	for _, tolerate := range []bool{false, true} {
		var log bytes.Buffer
		clock := clocktesting.NewFakeClock(time.Unix(0, 0))
		go stepAlong(t.Context(), clock)
		err := Walls(t.Context(), WallsConfig{Forbidden: listener.Addr().String(), Limit: time.Second, Tolerate: tolerate, Clock: clock, Log: slog.New(slog.NewTextHandler(&log, nil))})
		if refused := err != nil && strings.Contains(err.Error(), "does not enforce NetworkPolicy"); refused == tolerate {
			t.Errorf("tolerating %t it answered %v", tolerate, err)
		}
		if warned := strings.Contains(log.String(), "level=WARN"); warned != tolerate {
			t.Errorf("tolerating %t it logged %q", tolerate, log.String())
		}
	}
}
