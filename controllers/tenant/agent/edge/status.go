// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"k8s.io/utils/clock"

	"github.com/freehold-dev/freehold/controllers/tenant/agent/internal/probe"
)

// statusTimeout bounds what HAProxy is asked for an answer at /status.
const statusTimeout = 3 * time.Second

// Condition of the gate's configuration as /status tells it.
type Condition string

const (
	// Waiting: HAProxy has not been started; its certificate is missing, or its configuration is being checked.
	Waiting Condition = "waiting"
	// Current: HAProxy runs with the files there are.
	Current Condition = "current"
	// Outdated: HAProxy runs, but with older files, because it cannot use those there are now.
	Outdated Condition = "outdated"
	// Stopping: the gate was told to shut down.
	Stopping Condition = "stopping"
)

// Status is what /status tells, with 200 for Current and 503 for all else. It speaks of the configuration; whether
// the gate serves, HAProxy's own health frontend says.
//
// Other pods read it: a gate is proven to be shut when Closed is true and Workers is 1.
type Status struct {
	Condition Condition `json:"state"`
	// Since when the condition holds.
	Since time.Time `json:"since"`
	// Detail explains it in a sentence.
	Detail string `json:"detail"`
	// Changes counts what was put into use, the start included; Failures what could not be.
	Changes  int `json:"changes"`
	Failures int `json:"failures"`
	// Digest identifies the certificate, lists and authorities in use; empty while that is not known.
	Digest string `json:"digest"`
	// Closed says that nobody may come in by the lists in use.
	Closed bool `json:"closed"`
	// Workers counts HAProxy's processes that may hold connections: one, and one more for each earlier
	// configuration under which a connection still lives. 0 while HAProxy does not run.
	Workers int `json:"workers"`
	// BlockedClients counts those that may not log in at the moment.
	BlockedClients int `json:"blockedClients"`
}

// tracker keeps the status.
type tracker struct {
	clock  clock.Clock
	mu     sync.Mutex
	status Status
	// blocksEver counts the blocks since the agent began.
	blocksEver int
}

func newTracker(c clock.Clock) *tracker {
	return &tracker{clock: c, status: Status{Condition: Waiting, Since: c.Now(), Detail: "haproxy is not started yet"}}
}

func (t *tracker) set(condition Condition, detail string) {
	if t.status.Condition != condition {
		t.status.Since = t.clock.Now()
	}
	t.status.Condition, t.status.Detail = condition, detail
}

// report notes the outcome of one attempt to put files into use.
func (t *tracker) report(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		t.status.Failures++
		t.set(Outdated, err.Error())
		return
	}
	t.status.Changes++
	t.set(Current, "runs with the files there are")
}

// uses notes what HAProxy was made to read last.
func (t *tracker) uses(digest string, nobody bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.status.Digest, t.status.Closed = digest, nobody
}

// blocks notes how many clients are blocked, and how many of them were not when it was called last.
func (t *tracker) blocks(now, fresh int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.status.BlockedClients = now
	t.blocksEver += fresh
}

func (t *tracker) blocked() (now, ever int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.status.BlockedClients, t.blocksEver
}

func (t *tracker) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.set(Stopping, "told to shut down")
}

func (t *tracker) current() Status {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.status
}

// handler serves what the agent tells.
func (h haproxy) handler(state *tracker) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", h.metrics(state))
	mux.Handle("/", probe.Handler(map[string]probe.Answer{"/status": func() (any, bool) {
		status := h.status(state)
		return status, status.Condition == Current
	}}))
	return mux
}

// status is what is known and what HAProxy says at this moment. That nobody may come in is only told together with
// the number of processes that may hold connections.
func (h haproxy) status(state *tracker) Status {
	status := state.current()
	if status.Condition == Waiting {
		return status
	}
	ctx, cancel := context.WithTimeout(context.Background(), statusTimeout)
	defer cancel()
	found, err := h.workers(ctx)
	if err != nil {
		status.Closed, status.Detail = false, errors.Join(errors.New(status.Detail), err).Error()
		return status
	}
	status.Workers = found.count()
	return status
}
