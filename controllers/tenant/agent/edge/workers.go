// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// What an old worker gets before it is ended: handover to teach the new one which clients are blocked, politeness to
// follow the wish to end before it is killed, and burial until the master must have noticed.
const (
	handover   = 500 * time.Millisecond
	politeness = time.Second
	burial     = 5 * time.Second
	glance     = 50 * time.Millisecond
)

// workers are HAProxy's processes that hold connections: those of the configuration in use, and those of earlier
// ones that serve their connections to the end.
type workers struct{ current, old []int }

func (w workers) count() int { return len(w.current) + len(w.old) }

// workers asks the master for its processes.
func (h haproxy) workers(ctx context.Context) (workers, error) {
	answer, err := h.command(ctx, "show proc")
	if err != nil {
		return workers{}, fmt.Errorf("ask the haproxy master for its processes: %w", err)
	}
	return parseWorkers(answer)
}

// parseWorkers reads a table with the process ID first and its type second, in sections headed by comments.
func parseWorkers(table string) (workers, error) {
	var found workers
	var master bool
	into := &found.current
	for line := range strings.Lines(table) {
		switch fields := strings.Fields(line); {
		case strings.HasPrefix(line, "# old workers"):
			into = &found.old
		case len(fields) < 2 || strings.HasPrefix(line, "#"):
		case fields[1] == "master":
			master = true
		case fields[1] == "worker":
			pid, err := strconv.Atoi(fields[0])
			if err != nil || pid <= 1 {
				return workers{}, fmt.Errorf("the haproxy master calls %q a worker's process", fields[0])
			}
			*into = append(*into, pid)
		}
	}
	if !master {
		return workers{}, fmt.Errorf("the haproxy master does not list itself among its processes: %q", table)
	}
	return found, nil
}

// cut ends the workers of earlier configurations, and every connection that they hold.
func (h haproxy) cut(ctx context.Context) error {
	h.pause(handover)
	found, err := h.workers(ctx)
	if err != nil || len(found.old) == 0 {
		return err
	}
	h.config.Log.Info("nobody may come in any more: cutting the connections of before", "workers", len(found.old))
	for _, step := range []struct {
		signal syscall.Signal
		wait   time.Duration
	}{{syscall.SIGTERM, politeness}, {syscall.SIGKILL, burial}} {
		if err := kill(found.old, step.signal); err != nil {
			return err
		}
		for end := h.config.Clock.Now().Add(step.wait); len(found.old) > 0 && h.config.Clock.Now().Before(end); {
			h.pause(glance)
			if found, err = h.workers(ctx); err != nil {
				return err
			}
		}
		if len(found.old) == 0 {
			return nil
		}
	}
	return fmt.Errorf("%d haproxy processes of before do not end and may hold connections", len(found.old))
}

// kill signals processes; one that has ended already is no error.
func kill(pids []int, signal syscall.Signal) error {
	var errs []error
	for _, pid := range pids {
		if err := syscall.Kill(pid, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
			errs = append(errs, fmt.Errorf("send %s to the haproxy worker %d: %w", signal, pid, err))
		}
	}
	return errors.Join(errs...)
}

func (h haproxy) pause(d time.Duration) { <-h.config.Clock.After(d) }
