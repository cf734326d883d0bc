// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/backup/engine"
)

// Decisions about what is made when. They see times and counts, and no objects.

const (
	// overdueAfter is how old the newest base backup may become until the operator makes one itself: the CronJob's of
	// today has had its time.
	overdueAfter = 25*time.Hour + 30*time.Minute
	// firstPause lies between an attempt that failed and the next; it doubles up to longestPause.
	firstPause   = 5 * time.Minute
	longestPause = time.Hour
	// longestFilesPause is the longest while only the application's data is missing: each attempt makes a base backup, too.
	longestFilesPause = 6 * time.Hour
	// settleTime lies between the suspension of a CronJob and a Job of the operator: Kubernetes may just be making one.
	settleTime = 5 * time.Second
	// proofPause lies between a verification that found what is stored wanting and the next, reachPause after one that
	// could not get at it: that says nothing, and the destination may be there again soon.
	proofPause = 6 * time.Hour
	reachPause = 30 * time.Minute
	// expiryInterval is how often what has expired is removed while the instance is suspended: each day, as with base
	// backups. expiryPause lies between an attempt that failed and the next.
	expiryInterval = 24 * time.Hour
	expiryPause    = 6 * time.Hour
)

// standing is how a destination is with its base backups.
type standing struct {
	// backup is when the newest base backup ended, or, if that is older, the newest snapshot of the application's data;
	// zero if there is none.
	backup time.Time
	// onlyFiles says that it is the snapshot that is older.
	onlyFiles bool
	// failures since the last good attempt, attempt when the last one ended.
	failures int
	attempt  time.Time
}

// nextBackup is when the operator has to make a base backup itself: the first one, and one that the CronJob missed or
// failed to make.
func (s standing) nextBackup(now time.Time) time.Time {
	due := now
	if !s.backup.IsZero() {
		due = s.backup.Add(overdueAfter)
	}
	longest := longestPause
	if s.onlyFiles {
		longest = longestFilesPause
	}
	if retry := s.attempt.Add(pause(s.failures, longest)); s.failures > 0 && retry.After(due) {
		due = retry
	}
	return due
}

// pause is how long to wait after a number of attempts that failed.
func pause(failures int, longest time.Duration) time.Duration {
	wait := firstPause
	for range min(failures, 10) - 1 {
		wait *= 2
	}
	return min(wait, longest)
}

// expiry is how a destination is with what has expired, while no base backups are made.
type expiry struct {
	// backup is when the newest base backup ended: then, too, what had expired was removed.
	backup time.Time
	// attempt is when the last Job for it ended, failed that it did not succeed, read when one last did; zero if never.
	attempt, read time.Time
	failed        bool
}

// next is when what has expired is removed next.
func (e expiry) next() time.Time {
	switch {
	case e.failed:
		return e.attempt.Add(expiryPause)
	case e.read.After(e.backup):
		return e.read.Add(expiryInterval)
	}
	return e.backup.Add(expiryInterval)
}

// proof is how a destination is with its verifications.
type proof struct {
	name string
	// full says that it holds a full backup, verified when one was last proven; zero if never. unproven is the last attempt
	// that proved nothing.
	full     bool
	verified time.Time
	unproven attempt
	// asked is since when a person wants it proven; zero if nobody does.
	asked time.Time
}

// wanted reports whether a person wants it proven, and it was not put to the proof since.
func (p proof) wanted(now time.Time) bool {
	return p.asked.After(p.verified) && p.asked.After(p.unproven.at) && !p.asked.After(now)
}

// failed reports whether the last attempt proved nothing.
func (p proof) failed() bool { return p.unproven.at.After(p.verified) }

// nextProof is which destination is verified next, and when: at once what was never proven or is asked for, after a pause
// what was found wanting, and otherwise one in each interval, the destination that was proven longest ago, but never so
// late that the evidence grows too old. name is empty if none can be.
func nextProof(proofs []proof, policy v1alpha1.BackupVerification, instanceID string, now time.Time) (name string, due time.Time) {
	var last, oldest time.Time
	for _, p := range proofs {
		if p.verified.After(last) {
			last = p.verified
		}
	}
	early := time.Duration(share(instanceID, uint64(days(policy.IntervalDays)/10))) // So that a fleet that began together does not go on so.
	for _, p := range proofs {
		if !p.full {
			continue
		}
		at := p.next(last.Add(days(policy.IntervalDays)-early), days(policy.MaximumAgeDays), now)
		if name == "" || at.Before(due) || at.Equal(due) && p.verified.Before(oldest) {
			name, due, oldest = p.name, at, p.verified
		}
	}
	return name, due
}

// next is when a destination is verified: in its turn, but before its evidence is older than age.
func (p proof) next(turn time.Time, age time.Duration, now time.Time) time.Time {
	limit := p.verified.Add(age - min(2*24*time.Hour, age/4))
	switch {
	case p.wanted(now):
		return now
	case p.failed() && p.unproven.refuted:
		return p.unproven.at.Add(proofPause)
	case p.failed():
		return p.unproven.at.Add(reachPause)
	case p.verified.IsZero():
		return now
	case limit.Before(turn):
		return limit
	}
	return turn
}

func days(n int32) time.Duration { return time.Duration(n) * 24 * time.Hour }

// target is a minute to restore to, somewhere between two moments; zero, the latest, if there is none.
func target(from, until time.Time, random func(int64) int64) time.Time {
	first := from.Add(time.Minute - 1).Truncate(time.Minute).Add(time.Minute) // Beyond the end of the base backup, for certain.
	minutes := int64(until.Sub(first) / time.Minute)
	if from.IsZero() || minutes <= 0 {
		return time.Time{}
	}
	return first.Add(time.Duration(random(minutes)) * time.Minute)
}

// cronSchedule is when a tenant's CronJobs start, in the policy's time zone: each tenant at its own minute. shift is how
// many minutes that is after the policy's start.
func cronSchedule(policy v1alpha1.BackupSchedule, instanceID string) (schedule string, shift int, err error) {
	begin, err := time.Parse("15:04", policy.Start)
	if err != nil {
		return "", 0, fmt.Errorf("schedule.start: %q is no time of day such as 01:30", policy.Start)
	}
	shift = int(share(instanceID, uint64(max(policy.SpreadMinutes, 1)))) //nolint:gosec // At most a day of minutes.
	at := begin.Add(time.Duration(shift) * time.Minute)
	return fmt.Sprintf("%d %d * * *", at.Minute(), at.Hour()), shift, nil
}

// plan is when backups are full, in the engine's words.
func plan(policy v1alpha1.BackupSchedule, shift int) engine.Plan {
	return engine.Plan{Start: policy.Start, ShiftMinutes: shift, TimeZone: policy.TimeZone, FullDays: policy.FullDays}
}

// cronJobName is the name of a destination's CronJob; Kubernetes adds the time to the names of its Jobs.
func cronJobName(destination string) string { return "backup-" + destination }

// jobName is the name of a Job of the operator: always the same for the same occasion, so that it is never made twice.
func jobName(kind, destination string, occasion ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(occasion, "\n")))
	return kind + "-" + destination + "-" + hex.EncodeToString(sum[:])[:10]
}

// occasion is a moment as part of a name.
func occasion(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }
