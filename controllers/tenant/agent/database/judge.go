// SPDX-License-Identifier: Apache-2.0

package database

import (
	"fmt"
	"time"
)

// Condition of the server as the probes tell it.
type Condition string

const (
	// Starting: the postmaster runs and does not take connections yet.
	Starting Condition = "starting"
	// Recovering: it replays its write-ahead log, after a crash or from an archive.
	Recovering Condition = "recovering"
	// Provisioning: it takes connections, but the application's role and database are not there yet.
	Provisioning Condition = "provisioning"
	// Ready: it answers queries, and the application can connect.
	Ready Condition = "ready"
	// Unresponsive: it took connections before and answers no query now, for less than brokenAfter.
	Unresponsive Condition = "unresponsive"
	// Broken: no postmaster, or no answer for brokenAfter. A restart is the remedy.
	Broken Condition = "broken"
	// Stopping: it was told to shut down.
	Stopping Condition = "stopping"
)

// brokenAfter is how long a server that took connections may leave queries without answer.
const brokenAfter = 30 * time.Second

// answer is how the server answered one attempt to connect and query.
type answer int

const (
	// silent: no socket, nobody behind it, or no reply in time.
	silent answer = iota
	// notYet: it says that it cannot take connections now (SQLSTATE 57P03).
	notYet
	// occupied: it lives and says that all its connections are taken (SQLSTATE 53300).
	occupied
	// failing: it took the connection, or rejected it for another reason, but the query did not succeed.
	failing
	// replaying: it answered the query, and is in recovery (a standby).
	replaying
	// serving: it answered the query.
	serving
)

// observation is all that is known of the server at one moment.
type observation struct {
	now time.Time
	// running: the postmaster exists. stopping: it was told to shut down.
	running, stopping bool
	answer            answer
	// problem is the text of the last failure, for people.
	problem string
	// control is what the cluster's control file says.
	control controlState
	// accepted: it took connections at least once since it was started. provisioned: roles and database are
	// there.
	accepted, provisioned bool
	// unanswered is since when queries fail; zero while they succeed.
	unanswered time.Time
}

// judge turns an observation into a condition and a sentence that explains it.
func judge(o observation) (Condition, string) {
	switch {
	case o.stopping:
		return Stopping, "told to shut down; open transactions are rolled back"
	case !o.running:
		return Broken, "the postmaster has ended"
	case o.answer == replaying:
		return Recovering, "in recovery, answers read-only queries"
	case o.answer == notYet && o.control.recovering():
		return Recovering, "replays the write-ahead log: " + o.control.String()
	case o.answer == notYet:
		return Starting, o.problem
	case o.answer == serving || o.answer == occupied:
		return judgeServing(o)
	case !o.accepted:
		return Starting, o.problem
	}
	return judgeUnanswered(o)
}

func judgeServing(o observation) (Condition, string) {
	switch {
	case !o.provisioned:
		return Provisioning, "the application's role and database are being made"
	case o.answer == occupied:
		return Ready, "all connections are taken: " + o.problem
	}
	return Ready, "answers queries"
}

func judgeUnanswered(o observation) (Condition, string) {
	since := o.now.Sub(o.unanswered)
	detail := fmt.Sprintf("no answer for %s: %s", since.Round(time.Second), o.problem)
	if since >= brokenAfter {
		return Broken, detail
	}
	return Unresponsive, detail
}
