// SPDX-License-Identifier: Apache-2.0

package dial

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"k8s.io/utils/clock"
)

// Kind is what is done with a connection once it is there.
type Kind string

// The kinds of attempts.
const (
	// TCP only connects.
	TCP Kind = "tcp"
	// TLS also makes a handshake and verifies the server's name against the tenant's authority.
	TLS Kind = "tls"
	// Gate makes handshakes as browsers old and new would, and asks without TLS.
	Gate Kind = "gate"
	// PostgreSQL asks the server for TLS, and then tries to come in without.
	PostgreSQL Kind = "postgresql"
	// Status asks the gate's agent what it knows of the gate.
	Status Kind = "status"
)

// Result is how an attempt ended.
type Result string

// The results of an attempt.
const (
	// Open: the connection was accepted.
	Open Result = "open"
	// Refused: somebody answered that there is no way: a reset, or an ICMP message.
	Refused Result = "refused"
	// Silent: nobody answered in time.
	Silent Result = "silent"
	// Failed: the attempt could not be made at all, for example for want of a route.
	Failed Result = "failed"
)

// Denied reports whether no connection came about.
func (r Result) Denied() bool { return r != Open }

// Attempt is one connection to try.
type Attempt struct {
	// ID tells attempts apart; the outcome repeats it.
	ID string `json:"id"`
	// Kind of the attempt. Default: TCP.
	Kind Kind `json:"kind,omitempty"`
	// Address to connect to, as host:port; the host is an IP address.
	Address string `json:"address"`
	// Denied says that the connection shall fail; otherwise it shall succeed.
	Denied bool `json:"denied,omitempty"`
	// Brief says that the attempt is given up after two tries: perhaps nobody is there to answer.
	Brief bool `json:"brief,omitempty"`
	// ServerName is whom the server has to prove to be, and the host that is asked for. For TLS, Gate and PostgreSQL.
	ServerName string `json:"serverName,omitempty"`
	// Closed says that the gate shall let nobody in and hold no connection of before. For Status.
	Closed bool `json:"closed,omitempty"`
	// User and Database are named to PostgreSQL when coming without TLS.
	User     string `json:"user,omitempty"`
	Database string `json:"database,omitempty"`
}

// Outcome is what came of an attempt.
type Outcome struct {
	// ID of the attempt.
	ID string `json:"id"`
	// Result of the last try.
	Result Result `json:"result"`
	// Tries it took.
	Tries int `json:"tries"`
	// Handshake is what was seen of TLS; nil if the kind of attempt makes none, or nothing was accepted.
	Handshake *Handshake `json:"tls,omitempty"`
	// Gate is what the gate's agent told; nil for other kinds.
	Gate *GateStatus `json:"gate,omitempty"`
	// Problem says why more than the connection failed; "" if nothing did.
	Problem string `json:"problem,omitempty"`
}

// Dialer makes attempts.
type Dialer struct {
	// Timeout of one try. Default: 1.5 seconds.
	Timeout time.Duration
	// Limit is how long an attempt is repeated that does not end as it shall. Default: 15 seconds.
	Limit time.Duration
	// Pause between two tries. Default: 250 milliseconds.
	Pause time.Duration
	// Authority is a file with the tenant's authority in PEM; without one no server can prove who it is.
	Authority string
	// Clock of the repetitions. Default: the system's.
	Clock clock.Clock
}

func (d Dialer) withDefaults() Dialer {
	if d.Timeout == 0 {
		d.Timeout = 1500 * time.Millisecond
	}
	if d.Limit == 0 {
		d.Limit = 15 * time.Second
	}
	if d.Pause == 0 {
		d.Pause = 250 * time.Millisecond
	}
	if d.Clock == nil {
		d.Clock = clock.RealClock{}
	}
	return d
}

// All makes the attempts at the same time and returns their outcomes in the same order. When ctx ends, the outcomes
// are those so far.
func (d Dialer) All(ctx context.Context, attempts []Attempt) []Outcome {
	d = d.withDefaults()
	outcomes := make([]Outcome, len(attempts))
	var group sync.WaitGroup
	for i, attempt := range attempts {
		group.Go(func() { outcomes[i] = d.repeat(ctx, attempt) })
	}
	group.Wait()
	return outcomes
}

// enough is how often in a row a connection has to fail that shall.
const enough = 2

// repeat tries until the attempt ends as it shall, or the limit is reached.
func (d Dialer) repeat(ctx context.Context, a Attempt) Outcome {
	deadline := d.Clock.Now().Add(d.Limit)
	denied := 0
	for tries := 1; ; tries++ {
		outcome := d.try(ctx, a)
		outcome.ID, outcome.Tries = a.ID, tries
		if outcome.Result.Denied() {
			denied++
		} else {
			denied = 0
		}
		if a.settled(outcome, denied) || ctx.Err() != nil || !d.Clock.Now().Before(deadline) {
			return outcome
		}
		select {
		case <-ctx.Done():
		case <-d.Clock.After(d.Pause):
		}
	}
}

// settled reports whether another try would not tell more; denied is how often in a row the connection has failed.
func (a Attempt) settled(o Outcome, denied int) bool {
	switch {
	case a.Brief && o.Tries >= enough:
		return true
	case a.Denied:
		return denied >= enough
	default:
		return denied == 0 && o.Problem == ""
	}
}

// try makes one attempt once.
func (d Dialer) try(ctx context.Context, a Attempt) Outcome {
	conn, result := d.connect(ctx, a.Address)
	if conn == nil {
		return Outcome{Result: result}
	}
	_ = conn.Close() // Only whether it was accepted counts.
	outcome := Outcome{Result: Open}
	if a.Denied {
		return outcome
	}
	var err error
	switch a.Kind {
	case TLS:
		outcome.Handshake, err = d.tls(ctx, a)
	case Gate:
		outcome.Handshake, err = d.gate(ctx, a)
	case PostgreSQL:
		outcome.Handshake, err = d.postgreSQL(ctx, a)
	case Status:
		outcome.Gate, err = d.status(ctx, a)
	default:
	}
	if err != nil {
		outcome.Problem = bounded(err.Error())
	}
	return outcome
}

// connect opens a TCP connection; nil and why not otherwise.
func (d Dialer) connect(ctx context.Context, address string) (net.Conn, Result) {
	ctx, cancel := context.WithTimeout(ctx, d.Timeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, denial(err)
	}
	return conn, Open
}

// denial sorts the ways in which no connection comes about.
func denial(err error) Result {
	var network net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EHOSTUNREACH),
		errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM), errors.Is(err, syscall.ENOPROTOOPT):
		return Refused
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return Silent
	}
	return Failed
}

// MaxProblem bounds what one outcome says, in bytes: all outcomes of a pod must fit into its termination message.
const MaxProblem = 80

func bounded(text string) string {
	if len(text) > MaxProblem {
		return text[:MaxProblem]
	}
	return text
}
