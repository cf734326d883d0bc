// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"fmt"
	"slices"
	"time"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/conditions"
)

// Rotation of keys. A key is never replaced: another one is made, with a repository of its own, a new generation, beside
// the old one in the same destination. A person asks for it (v1alpha1.AnnotationRotateBackupKeys); one destination after
// the other does it, so that all the others stand meanwhile. The life of a generation:
//
//	making      its key is made and escrowed; a Job makes the repository, before the database hears of it: the log could
//	            not be handed over to a repository that is not there
//	archiving   the database hands its log over to the old generation and to this one, until the archiver has seen both
//	filling     a Job makes a full backup in it
//	proving     a Job restores that backup
//	ready       as soon as nothing works on the destination, and the log leads from the old one into this one: it is gone
//	            over to in one write. The old one gets no log and no backups any more: it is retired
//	retired     its backups, and each minute of its window, can be restored; they expire as they would have. When the newest
//	            has expired, and the current generation was proven since, all of it is destroyed, its key last
//
// Until a generation is ready, the old one is the destination, with its daily backups, for every restore and condition. A
// Job that failed is repeated after a pause. Should the new repository not take the log, it is taken out again before the
// log fills its volume, and the rotation begins anew with the next pause: nothing is lost, since nothing was given up.
//
// Which generations there are, and how far each is, stands beside the keys (keyGenerations): a status is only told, and may
// be lost. Each step is one write there; an operator that is killed between two of them sees the same and goes on. What came
// of a Job is written there before the Job is marked as read.

// stage is how far a generation is that is not gone over to yet.
type rotationStage string

// The stages, in their order.
const (
	stageMaking    rotationStage = "Making"
	stageArchiving rotationStage = "Archiving"
	stageFilling   rotationStage = "Filling"
	stageProving   rotationStage = "Proving"
	stageReady     rotationStage = "Ready"
)

const (
	// mostRetired is how many retired generations of a destination there may be.
	mostRetired = 8
	// rotationPatience is how long a new repository may not take the log until it is taken out again.
	rotationPatience = 15 * time.Minute
	// clearlyExpired is how long after its time a retired generation is destroyed: clocks differ.
	clearlyExpired = time.Hour
)

// generations are the repositories of one destination.
type generations struct {
	// Honoured is the last request for a rotation that was begun.
	Honoured string `json:"honoured,omitempty"`
	// Current is backed up to.
	Current int32 `json:"current"`
	// Opened is what was known of the current one when it was gone over to; nil of the first.
	Opened *v1alpha1.DestinationStatus `json:"opened,omitempty"`
	// Unsealed says that the keys have not been put beside the current one since it was gone over to.
	Unsealed bool `json:"unsealed,omitempty"`
	// SealFailures are the attempts to do so that failed, SealAttempt when the last one was read.
	SealFailures int       `json:"sealFailures,omitempty"`
	SealAttempt  time.Time `json:"sealAttempt,omitzero"`
	// Next is being prepared; nil if none is.
	Next *generation `json:"next,omitempty"`
	// Retired are kept until they have expired, oldest first.
	Retired []generation `json:"retired,omitempty"`
}

// generation is one that is not backed up to yet, or not any more.
type generation struct {
	Number int32 `json:"number"`
	// Begun is when the rotation began, Since when the stage did, or when it was retired.
	Begun time.Time     `json:"begun,omitzero"`
	Since time.Time     `json:"since,omitzero"`
	Stage rotationStage `json:"stage,omitempty"`
	// Failures since the last Job that was good, Attempt when the last one was read, Failure what it said.
	Failures int       `json:"failures,omitempty"`
	Attempt  time.Time `json:"attempt,omitzero"`
	Failure  string    `json:"failure,omitempty"`
	// Status is what is known of it; without conditions.
	Status v1alpha1.DestinationStatus `json:"status"`
}

// trivial reports whether there was never a rotation.
func (g generations) trivial() bool {
	return g.Honoured == "" && g.Current <= 1 && g.Next == nil && len(g.Retired) == 0
}

// rotationSight is what decides about the next step, all of it observed.
type rotationSight struct {
	now time.Time
	// request is the value of the annotation; empty if nobody asks.
	request string
	// held is why nothing may begin or be gone over to now; empty if it may.
	held string
	// torn says that the destination does not take the log, or has a gap in it.
	torn bool
	// status is what is known of the current generation.
	status v1alpha1.DestinationStatus
	// answered is when the next one last answered the archiver well, failing since when it does not; zero if never, or if
	// it does.
	answered, failing time.Time
	// pressing says that the log takes more of its room than it may.
	pressing bool
	// uprooted is when a restore left what the next one holds; zero if none did.
	uprooted time.Time
	// until is how far the log is in the current one, nextUntil in the next.
	until, nextUntil time.Time
}

// next is what becomes of a destination's generations.
func (g generations) next(s rotationSight) generations {
	n := g.Next
	switch {
	case n == nil:
		return g.begin(s)
	case n.archivedTo() && s.unbearable():
		return g.takenOut(s)
	case n.filled() && !s.uprooted.IsZero():
		n.enter(stageFilling, s.now)
	case n.Stage == stageArchiving && s.answered.After(n.Since) && s.failing.IsZero():
		n.enter(stageFilling, s.now)
	case n.Stage == stageReady && s.held == "" && s.leadsOver(*n):
		return g.goneOver(s)
	}
	return g
}

// takenOut has the database hand its log over to the current generation only, and begins anew with the next.
func (g generations) takenOut(s rotationSight) generations {
	n := g.Next
	*n = generation{Number: n.Number, Begun: n.Begun, Since: s.now, Stage: stageMaking, Failures: n.Failures + 1, Attempt: s.now,
		Failure: "the new repository does not take the write-ahead log"}
	return g
}

// begin begins a rotation, if one is asked for.
func (g generations) begin(s rotationSight) generations {
	if g.asked(s.request) && g.hindered(s) == "" {
		g.Honoured = s.request
		g.Next = &generation{Number: g.Current + 1, Begun: s.now, Since: s.now, Stage: stageMaking}
	}
	return g
}

// asked reports whether a request was not honoured yet.
func (g generations) asked(request string) bool { return request != "" && request != g.Honoured }

// hindered is why a rotation that is asked for cannot begin; empty if it can.
func (g generations) hindered(s rotationSight) string {
	switch {
	case s.held != "":
		return s.held
	case s.torn:
		return "the destination does not take the write-ahead log, or did not until its last full backup"
	case s.status.LastVerified == nil:
		return "no backup of the old generation was proven yet"
	case len(g.Retired) >= mostRetired:
		return fmt.Sprintf("%d retired generations have not expired yet", len(g.Retired))
	}
	return ""
}

// archivedTo reports whether the database hands its log over to the generation.
func (n generation) archivedTo() bool { return n.Stage != stageMaking }

// filled reports whether the generation holds a full backup.
func (n generation) filled() bool { return n.Stage == stageProving || n.Stage == stageReady }

// unbearable: the destination takes no log, or the log waits for the new repository alone, or would fill its volume.
func (s rotationSight) unbearable() bool {
	return s.torn || !s.failing.IsZero() && (s.pressing || s.now.Sub(s.failing) >= rotationPatience)
}

// leadsOver reports whether each minute is in the one generation or in the other.
func (s rotationSight) leadsOver(n generation) bool {
	from := timeIn(n.Status.RecoverableFrom)
	return !from.IsZero() && s.failing.IsZero() && s.nextUntil.After(from) && !s.until.Before(from)
}

// goneOver makes the next generation the current one, and retires the other.
func (g generations) goneOver(s rotationSight) generations {
	old := generation{Number: g.Current, Since: s.now, Status: alone(s.status)}
	old.Status.RecoverableUntil = timeOf(s.until)
	opened := alone(g.Next.Status)
	opened.RecoverableUntil = timeOf(s.nextUntil)
	return generations{Honoured: g.Honoured, Current: g.Next.Number, Opened: &opened, Unsealed: true, Retired: append(slices.Clone(g.Retired), old)}
}

// alone is what is known of a generation itself.
func alone(status v1alpha1.DestinationStatus) v1alpha1.DestinationStatus {
	out := *status.DeepCopy()
	out.Conditions, out.Rotation, out.Retired = nil, nil, nil
	return out
}

func (n *generation) enter(next rotationStage, now time.Time) {
	n.Stage, n.Since, n.Failures, n.Attempt, n.Failure = next, now, 0, time.Time{}, ""
}

// failed notes a Job that was not good.
func (n *generation) failed(why string, now time.Time) {
	n.Failures, n.Attempt, n.Failure = n.Failures+1, now, why
}

// due is when a Job may be made.
func (n generation) due() time.Time { return dueAgain(n.Failures, n.Attempt) }

// dueAgain is when something may be tried again that failed so many times in a row, the last time then.
func dueAgain(failures int, attempt time.Time) time.Time {
	if failures == 0 {
		return attempt
	}
	return attempt.Add(pause(failures, longestPause))
}

// destroyedAt is when a retired generation has expired as a whole.
func (n generation) destroyedAt(policy v1alpha1.BackupRetention) time.Time {
	kept := timeIn(n.Status.LastBackup)
	if n.Since.After(kept) {
		kept = n.Since // Every minute until then is to be restorable for as long.
	}
	backup, minutes := timeIn(n.Status.LastBackup).Add(days(policy.BackupDays)), kept.Add(days(policy.PointInTimeDays))
	if minutes.After(backup) {
		return minutes.Add(clearlyExpired)
	}
	return backup.Add(clearlyExpired)
}

// expiresFrom is when the oldest backup of a retired generation has expired.
func (n generation) expiresFrom(policy v1alpha1.BackupRetention) time.Time {
	return timeIn(n.Status.RecoverableFrom).Add(days(policy.BackupDays))
}

// tell is what the status says of a rotation; nil if there is none.
func (g generations) tell(s rotationSight) *v1alpha1.KeyRotation {
	n := g.Next
	if n == nil {
		if !g.asked(s.request) || g.hindered(s) == "" {
			return nil
		}
		return &v1alpha1.KeyRotation{Generation: g.Current + 1, Message: "asked for; it waits: " + g.hindered(s)}
	}
	message := map[rotationStage]string{
		stageMaking:    "the new repository is being made",
		stageArchiving: "the write-ahead log goes to the old generation; it waits for the database to hand it over to the new one, too",
		stageFilling:   "both generations get the write-ahead log; a full backup to the new one is being made",
		stageProving:   "the new generation holds a full backup, which is being restored to prove it",
		stageReady:     "the new generation is proven; it waits for the write-ahead log to lead from the old one into it, and for Jobs that work on the old one",
	}[n.Stage]
	if n.Failure != "" {
		message += fmt.Sprintf("; attempt %d failed, and is repeated: %s", n.Failures, n.Failure)
	}
	if s.held != "" {
		message += "; now it waits: " + s.held
	}
	return &v1alpha1.KeyRotation{Generation: n.Number, StartedAt: timeOf(n.Begun), Message: conditions.Shorten(message, 1000)}
}

// tellRetired is what the status says of retired generations.
func (g generations) tellRetired(policy v1alpha1.BackupRetention) []v1alpha1.RetiredRepository {
	var all []v1alpha1.RetiredRepository
	for _, n := range g.Retired {
		all = append(all, v1alpha1.RetiredRepository{
			Generation: n.Number, RetiredAt: timeOf(n.Since), RecoverableFrom: n.Status.RecoverableFrom, RecoverableUntil: n.Status.RecoverableUntil,
			LastVerified: n.Status.LastVerified, FirstSnapshot: filesIn(n.Status).FirstSnapshot, DestroyAfter: timeOf(n.destroyedAt(policy)),
		})
	}
	return all
}
