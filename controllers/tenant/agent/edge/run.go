// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"context"
	"errors"
	"syscall"
	"time"

	"github.com/freehold-dev/freehold/controllers/internal/process"
	"github.com/freehold-dev/freehold/controllers/internal/watch"
	"github.com/freehold-dev/freehold/controllers/tenant/agent/internal/probe"
)

// Run supervises HAProxy until it has ended and returns its exit code. When ctx ends, the gate drains, and the
// code is 0.
func Run(ctx context.Context, c Config) (int, error) {
	background, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	state := newTracker(c.Clock)
	program := haproxy{config: c, children: process.New()}
	failed, err := probe.Serve(background, c.StatusAddress, program.handler(state))
	if err != nil {
		return 1, err
	}
	go program.children.Reap(background)
	if err := program.awaitCertificate(ctx); err != nil {
		return stoppedEarly(err)
	}
	inUse, err := c.digest()
	if err != nil {
		return 1, err
	}
	if err := program.check(ctx); err != nil {
		return stoppedEarly(err)
	}
	nobody, err := c.admitsNobody()
	if err != nil {
		return 1, err
	}
	master, err := program.start()
	if err != nil {
		return 1, err
	}
	state.uses(inUse, nobody)
	state.report(nil)
	go program.changes(inUse, state).Run(background)
	go program.watchLogins(background, state)
	return program.supervise(ctx, master, state, failed)
}

// stoppedEarly is no failure when somebody wished it.
func stoppedEarly(err error) (int, error) {
	if errors.Is(err, context.Canceled) {
		return 0, nil
	}
	return 1, err
}

// awaitCertificate returns when certificate and key are there and fit, or ctx ends.
func (h haproxy) awaitCertificate(ctx context.Context) error {
	said := ""
	for {
		err := h.loadable()
		if err == nil {
			return nil
		}
		if err.Error() != said {
			said = err.Error()
			h.config.Log.Warn("waiting for the gate's certificate", "error", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-h.config.Clock.After(time.Second):
		}
	}
}

// changes reloads HAProxy whenever certificate, client lists or trusted authorities change.
func (h haproxy) changes(inUse string, state *tracker) *watch.Loop {
	return &watch.Loop{
		Clock: h.config.Clock, Log: h.config.Log, Subject: "gate's certificate, client lists and trusted authorities",
		Applied: inUse, Digest: h.config.digest, Report: state.report,
		Apply: func(ctx context.Context) error { return h.takeUp(ctx, state) },
	}
}

// takeUp puts the files there are into use. If nobody may come in by them, nobody stays in either. Files that change
// meanwhile are noticed by the loop and taken up in turn.
func (h haproxy) takeUp(ctx context.Context, state *tracker) error {
	digest, err := h.config.digest()
	if err != nil {
		return err
	}
	nobody, err := h.config.admitsNobody()
	if err != nil {
		return err
	}
	if err := h.reload(ctx); err != nil {
		return err
	}
	if nobody {
		err = h.cut(ctx)
	}
	// Files that were changed while HAProxy read them are not known to be those in use.
	if now, changed := h.config.digest(); changed != nil || now != digest {
		digest, nobody = "", false
	}
	state.uses(digest, nobody)
	return err
}

// supervise waits for HAProxy's end; when told to stop, it leads there in three steps.
func (h haproxy) supervise(ctx context.Context, master *process.Child, state *tracker, failed <-chan error) (int, error) {
	var failure error
	select {
	case <-master.Done():
		return master.ExitCode(), errors.New("haproxy ended by itself")
	case failure = <-failed:
	case <-ctx.Done():
	}
	state.stop()
	if err := h.stop(master); err != nil {
		return 1, errors.Join(failure, err)
	}
	return 0, failure
}

// stop drains, stops softly, then hard.
func (h haproxy) stop(master *process.Child) error {
	c := h.config
	c.Log.Info("stopping: serving on until everyone has heard of it", "drain", c.Drain.String())
	if h.endsWithin(master, c.Drain) {
		return nil
	}
	// SIGUSR1 closes the listening sockets and ends each connection after its current request.
	if err := master.Signal(syscall.SIGUSR1); err != nil {
		return err
	}
	if h.endsWithin(master, c.SoftStop) {
		return nil
	}
	c.Log.Warn("connections outlast the grace period and are cut", "softStop", c.SoftStop.String())
	if err := master.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	<-master.Done()
	return nil
}

func (h haproxy) endsWithin(master *process.Child, d time.Duration) bool {
	select {
	case <-master.Done():
		return true
	case <-h.config.Clock.After(d):
		return false
	}
}
