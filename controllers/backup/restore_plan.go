// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"fmt"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/freehold-dev/freehold/api/v1alpha1"
)

// window is what one repository of a destination can restore.
type window struct {
	destination string
	// generation of the repository; retired says that it gets nothing new.
	generation int32
	retired    bool
	// from and until are the first and the last moment; zero if there is none.
	from, until time.Time
	// failure says why the destination does not answer; empty if it does.
	failure string
	// verified is when a backup of it was last proven.
	verified time.Time
	// needsSnapshot says that the application's data is to be restored, too; snapshot is when the first snapshot of it had
	// been made, zero if there is none.
	needsSnapshot bool
	snapshot      time.Time
}

// holds reports whether every minute until the target can be restored.
func (w window) holds(target time.Time) bool {
	return !w.from.IsZero() && !target.Before(w.from) && !target.After(w.until)
}

func (w window) String() string {
	switch {
	case w.failure != "":
		return fmt.Sprintf("%s does not answer (%s)", w.destination, w.failure)
	case w.retired:
		return fmt.Sprintf("generation %d of %s, which is retired, holds every moment from %s to %s", w.generation, w.destination, moment(w.from), moment(w.until)) + w.snapshots()
	case w.from.IsZero():
		return w.destination + " holds no base backup" + w.snapshots()
	case w.until.Before(w.from):
		return fmt.Sprintf("%s holds a base backup of %s, and nothing later", w.destination, moment(w.from)) + w.snapshots()
	default:
		return fmt.Sprintf("%s holds every moment from %s to %s", w.destination, moment(w.from), moment(w.until)) + w.snapshots()
	}
}

func moment(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// refusal is why a restore is not made. Nothing was changed, and trying again does not help.
type refusal struct{ message string }

// Error is the message.
func (r *refusal) Error() string { return r.message }

// chooseSource picks the repository to restore from: in the destination that is asked for, or, of those that hold the
// target, the one whose backups were proven last. The latest moment is in none that is retired.
func chooseSource(target v1alpha1.RestoreTarget, windows []window) (window, error) {
	candidates := windows
	if target.Destination != "" {
		candidates = slices.DeleteFunc(slices.Clone(windows), func(w window) bool { return w.destination != string(target.Destination) })
		if len(candidates) == 0 {
			return window{}, &refusal{fmt.Sprintf("the Tenant's policy has no destination %s; it has %s", target.Destination, names(windows))}
		}
	}
	var able []window
	for _, w := range candidates {
		if able = append(able, w); w.failure != "" || w.from.IsZero() || !w.holdsSnapshot(target) || w.retired && filesTarget(target).IsZero() || target.Time != nil && !w.holds(target.Time.Time) {
			able = able[:len(able)-1]
		}
	}
	if len(able) == 0 {
		return window{}, &refusal{outside(target, candidates)}
	}
	return slices.MaxFunc(able, func(a, b window) int { return a.verified.Compare(b.verified) }), nil
}

func outside(target v1alpha1.RestoreTarget, windows []window) string {
	held := make([]string, 0, len(windows))
	for _, w := range windows {
		held = append(held, w.String())
	}
	wish := "the latest moment"
	if target.Time != nil {
		wish = target.Time.UTC().Format(metav1.RFC3339Micro)
	}
	hint := ""
	if slices.ContainsFunc(windows, func(w window) bool { return !w.holdsSnapshot(target) }) {
		hint = ", or with applicationData: Leave, which leaves the application's data as it is"
	}
	return fmt.Sprintf("%s cannot be restored: %s. Nothing was changed; make another Restore with a target inside%s", wish, strings.Join(held, "; "), hint)
}

func names(windows []window) string {
	all := make([]string, 0, len(windows))
	for _, w := range windows {
		all = append(all, w.destination)
	}
	return strings.Join(slices.Compact(all), ", ")
}

// ofBackup leaves, of each destination, the generation that a backup lies in by its label: the one that is known, or, by
// its time, the oldest that was not retired when it was begun.
func ofBackup(windows []window, target v1alpha1.RestoreTarget, known map[string]int32) []window {
	if target.Backup == "" {
		return windows
	}
	began := filesTarget(target)
	holds := map[string]int32{}
	for _, w := range slices.Backward(windows) { // Retired ones follow the current one, oldest first.
		_, found := holds[w.destination]
		if w.retired && !began.After(w.until) || !w.retired && !found {
			holds[w.destination] = w.generation
		}
	}
	for destination, generation := range known {
		holds[destination] = generation
	}
	return slices.DeleteFunc(slices.Clone(windows), func(w window) bool { return w.generation != holds[w.destination] })
}

// windowsOf are the windows as the Tenant's status tells them.
func windowsOf(backups *v1alpha1.TenantBackups) []window {
	if backups == nil {
		return nil
	}
	var all []window
	for _, d := range backups.Destinations {
		w := window{destination: string(d.Name), generation: max(d.Generation, 1), snapshot: timeIn(filesIn(d).FirstSnapshot)}
		for to, from := range map[*time.Time]*metav1.Time{&w.from: d.RecoverableFrom, &w.until: d.RecoverableUntil, &w.verified: d.LastVerified} {
			if from != nil {
				*to = from.Time
			}
		}
		all = append(all, w)
		for _, old := range d.Retired {
			all = append(all, window{destination: string(d.Name), generation: old.Generation, retired: true, from: timeIn(old.RecoverableFrom),
				until: timeIn(old.RecoverableUntil), verified: timeIn(old.LastVerified), snapshot: timeIn(old.FirstSnapshot)})
		}
	}
	return all
}

// restoreStep is what a restore in place needs next.
type restoreStep string

// The steps of a restore, in their order, and of its end.
const (
	// stepWaitForOther: another restore has the database; this one waits.
	stepWaitForOther restoreStep = "another restore is under way"
	// stepChoose: the source is chosen and the instance asked to stop; again, if somebody let it start meanwhile.
	stepChoose restoreStep = "choose"
	// stepAwaitStop: pods of application or database are still there, or a backup is being made.
	stepAwaitStop restoreStep = "stop"
	// stepRun: the Job is made, or runs.
	stepRun restoreStep = "run"
	// stepSwitch: the Job succeeded; the database goes over to the restored volume.
	stepSwitch restoreStep = "switch"
	// stepGiveUp: the Job failed; the database starts again as it was.
	stepGiveUp restoreStep = "give up"
)

// restoreSight is what decides about the next step, all of it observed.
type restoreSight struct {
	// name of the Restore, holder the one that the instance is stopped for; empty if it runs.
	name, holder string
	// quiet says that no pod of database and application is left, and no Job works on a repository.
	quiet bool
	// job is how far the Job is: jobAbsent, jobActive, jobSucceeded or jobFailed.
	job jobState
}

// jobState is how far a Job is.
type jobState int

// The states of a Job.
const (
	jobAbsent jobState = iota
	jobActive
	jobSucceeded
	jobFailed
)

// stateOf tells how far a Job is.
func stateOf(job *batchv1.Job) jobState {
	switch {
	case endOf(job).IsZero():
		return jobActive
	case failedJob(job) != nil:
		return jobFailed
	}
	return jobSucceeded
}

// next is the step that follows from what is seen. An operator that was killed anywhere sees the same and goes on.
func (s restoreSight) next() restoreStep {
	switch {
	case s.job == jobSucceeded:
		return stepSwitch
	case s.job == jobFailed:
		return stepGiveUp
	case s.holder == "":
		return stepChoose
	case s.holder != s.name:
		return stepWaitForOther
	case s.job == jobAbsent && !s.quiet:
		return stepAwaitStop
	default:
		return stepRun
	}
}
