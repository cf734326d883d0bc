// SPDX-License-Identifier: Apache-2.0

package database

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

const (
	// queryTimeout bounds one attempt to connect and query.
	queryTimeout = 5 * time.Second
	// eagerInterval is the pause between attempts in the first eagerFor of a condition other than ready, so
	// that a quick start is noticed at once; calmInterval is the pause at all other times.
	eagerInterval = 200 * time.Millisecond
	eagerFor      = 10 * time.Second
	calmInterval  = 2 * time.Second
)

// SQLSTATEs (appendix A of PostgreSQL's manual).
const (
	sqlCannotConnectNow   = "57P03"
	sqlTooManyConnections = "53300"
)

// Status is what the probes tell.
type Status struct {
	Condition Condition `json:"state"`
	// Since when the condition holds.
	Since time.Time `json:"since"`
	// Detail explains it in a sentence.
	Detail string `json:"detail"`
	// accepted: the server took connections at least once.
	accepted bool
}

// observer asks the server again and again, and keeps what is known.
type observer struct {
	config Config
	// accepting is closed when the server takes connections for the first time.
	accepting chan struct{}

	mu     sync.Mutex
	once   sync.Once
	facts  observation
	status Status
}

func newObserver(c Config) *observer {
	o := &observer{config: c, accepting: make(chan struct{})}
	o.facts = observation{running: true, problem: "just started", control: controlUnknown}
	o.update(func(*observation) {})
	return o
}

// current is the status as the probes tell it.
func (o *observer) current() Status {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.status
}

// update changes the facts and judges them anew.
func (o *observer) update(change func(*observation)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	change(&o.facts)
	o.facts.now = o.config.Clock.Now()
	condition, detail := judge(o.facts)
	if condition != o.status.Condition {
		o.config.Log.Info("the server is "+string(condition), "detail", detail)
		o.status.Since = o.facts.now
	}
	o.status.Condition, o.status.Detail, o.status.accepted = condition, detail, o.facts.accepted
	if o.facts.accepted {
		o.once.Do(func() { close(o.accepting) })
	}
}

func (o *observer) provisioned() { o.update(func(f *observation) { f.provisioned = true }) }
func (o *observer) stopping()    { o.update(func(f *observation) { f.stopping = true }) }
func (o *observer) ended()       { o.update(func(f *observation) { f.running = false }) }

// run observes until the context ends.
func (o *observer) run(ctx context.Context) {
	for {
		o.observe(ctx)
		select {
		case <-ctx.Done():
			return
		case <-o.config.Clock.After(pause(o.current(), o.config.Clock.Now())):
		}
	}
}

// pause until the next observation.
func pause(s Status, now time.Time) time.Duration {
	if s.Condition != Ready && now.Sub(s.Since) < eagerFor {
		return eagerInterval
	}
	return calmInterval
}

func (o *observer) observe(ctx context.Context) {
	began := o.config.Clock.Now()
	got, err := o.config.ask(ctx, o.role())
	if ctx.Err() != nil {
		return
	}
	control, controlErr := readControlState(o.config.PGData)
	if controlErr != nil {
		control = controlUnknown
	}
	o.update(func(f *observation) { f.learn(began, got, err, control) })
}

// role is the superuser until the monitoring role exists.
func (o *observer) role() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.facts.provisioned {
		return meta.MonitorRole
	}
	// A failed login of the other role would stand in the server's log at each attempt.
	return superuser
}

// learn adds the outcome of one attempt to what is known.
func (f *observation) learn(began time.Time, got answer, err error, control controlState) {
	f.answer, f.control, f.problem = got, control, ""
	if err != nil {
		f.problem = err.Error()
	}
	switch got {
	case serving, occupied, replaying:
		f.accepted, f.unanswered = true, time.Time{}
	case notYet:
		f.unanswered = time.Time{} // it does answer.
	default:
		if f.unanswered.IsZero() {
			f.unanswered = began
		}
	}
}

// ask connects and queries once.
func (c Config) ask(ctx context.Context, role string) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	conn, err := c.connect(ctx, role, queryTimeout)
	if err != nil {
		return classify(err), err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // nothing was written.
	var recovering bool
	if err := conn.QueryRow(ctx, "SELECT pg_is_in_recovery()").Scan(&recovering); err != nil {
		return failing, err
	}
	if recovering {
		return replaying, nil
	}
	return serving, nil
}

// classify says what a failed attempt to connect tells of the server.
func classify(err error) answer {
	var said *pgconn.PgError
	if !errors.As(err, &said) {
		return silent
	}
	switch said.Code {
	case sqlCannotConnectNow:
		return notYet
	case sqlTooManyConnections:
		return occupied
	}
	return failing
}
