// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"net/http"
	"sync"
	"time"

	"k8s.io/utils/clock"

	"github.com/freehold-dev/freehold/controllers/tenant/agent/internal/probe"
)

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
type Status struct {
	Condition Condition `json:"state"`
	// Since when the condition holds.
	Since time.Time `json:"since"`
	// Detail explains it in a sentence.
	Detail string `json:"detail"`
	// Changes counts what was put into use, the start included; Failures what could not be.
	Changes  int `json:"changes"`
	Failures int `json:"failures"`
}

// tracker keeps the status.
type tracker struct {
	clock  clock.Clock
	mu     sync.Mutex
	status Status
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

func (t *tracker) handler() http.Handler {
	return probe.Handler(map[string]probe.Answer{"/status": func() (any, bool) {
		status := t.current()
		return status, status.Condition == Current
	}})
}
