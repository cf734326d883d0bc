// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/backup/engine"
)

// withoutFiles says that a destination does not take the application's data that others take.
func (f facts) withoutFiles() string {
	if !f.skipsFiles {
		return ""
	}
	return "; the application's data is not backed up to it"
}

// filesBackedUp adds to what is said of the database's backups what is to be said of the application's data.
func (f facts) filesBackedUp(database verdict) verdict {
	if f.lostClaim != "" && database.good() {
		return f.filesLost(database)
	}
	if !f.files || !database.good() {
		return database
	}
	limit := time.Duration(f.policy.Limits.BackupAgeHours) * time.Hour
	last := filesIn(f.status).lastSnapshot()
	failed := f.failedAfter(last)
	database.message = strings.TrimSuffix(database.message, failed) // Once is enough.
	switch {
	case last.IsZero():
		return f.noSnapshot(database, failed)
	case f.suspended || f.now.Sub(last) <= limit:
		database.message += "; the newest snapshot of the application's data is of " + moment(last) + failed
		return database
	}
	return no(cmp.Or(map[bool]string{true: v1alpha1.ReasonBackupFailed}[failed != ""], v1alpha1.ReasonBackupOverdue),
		"the newest snapshot of the application's data is of %s, older than %s%s; %s", moment(last), hours(limit), failed, database.message)
}

// failedAfter says in words that the last attempt came after a snapshot, and failed; empty if none did.
func (f facts) failedAfter(last time.Time) string {
	if f.failure == "" || !f.attempt.After(last) {
		return ""
	}
	return fmt.Sprintf("; the attempt of %s failed: %s", moment(f.attempt), f.failure)
}

// noSnapshot is what is to be said of a destination with a good backup of the database and none of the application's data.
func (f facts) noSnapshot(database verdict, failed string) verdict {
	switch {
	case f.suspended:
		return no(v1alpha1.ReasonSuspendedBackups, "there is no snapshot of the application's data, and none can be made while the instance does not run; %s", database.message)
	case failed == "":
		return no(v1alpha1.ReasonAwaitingFirst, "the first snapshot of the application's data has not been made yet; %s", database.message)
	}
	return no(v1alpha1.ReasonBackupFailed, "there is no snapshot of the application's data%s; it is tried again; %s", failed, database.message)
}

// filesRecoverable adds to a good proof of the database what is to be said of the application's data.
func (f facts) filesRecoverable(database verdict) verdict {
	if f.lostClaim != "" && database.good() {
		return f.filesLost(database)
	}
	if !f.files || !database.good() {
		return database
	}
	status := filesIn(f.status)
	switch verified := timeIn(status.LastVerified); {
	case verified.IsZero():
		return no(v1alpha1.ReasonAwaitingFirst, "no snapshot of the application's data has been restored yet to prove it; %s", database.message)
	case f.now.Sub(verified) > days(f.policy.Verification.MaximumAgeDays):
		return unknown(v1alpha1.ReasonStale, "a snapshot of the application's data was last restored and found good on %s, more than %d days ago; %s", moment(verified), f.policy.Verification.MaximumAgeDays, database.message)
	default:
		database.message += fmt.Sprintf("; snapshot %.8s of the application's data on %s", status.VerifiedSnapshot, moment(verified))
		return database
	}
}

// filesRetained adds to what is said of the base backups in a destination what is to be said of the snapshots there.
func (f facts) filesRetained(database verdict) verdict {
	seen := f.backupSeen.files
	if !database.good() {
		return database
	}
	keep := f.policy.Retention.BackupDays
	if seen == nil {
		return f.filesUntouched(database, keep)
	}
	if v, bad := f.filesNotExpired(seen.Expiry); bad {
		return v
	}
	switch e, c := seen.Expiry, seen.Catalogue; {
	case c == nil && seen.Failure != nil:
		return unknown(v1alpha1.ReasonStale, "on %s the snapshots of the application's data could not be listed: %s: %s", moment(f.backupSeen.ended), seen.Failure.Reason, seen.Failure.Message)
	case c == nil || c.EarliestStarted.IsZero():
		return database
	case (e == nil || !e.HeldForWindow) && f.now.Sub(c.EarliestStarted) > days(keep+overdueDays):
		return no(v1alpha1.ReasonExpiryFailed, "a snapshot of the application's data is of %s, and should have been destroyed after %d days", moment(c.EarliestStarted), keep)
	default:
		database.message += fmt.Sprintf("; and %s%s, the oldest of %s", snapshots(c.Snapshots), unfinished(c.Unfinished), moment(c.EarliestStarted))
		return database
	}
}

// filesMissing is how many snapshots are gone that nobody of us removed. A result that is read again finds none.
func (f facts) filesMissing() int {
	found, had := f.backupSeen.files, filesIn(f.backupSeen.before)
	if found == nil || found.Found == nil || had.Snapshots == nil {
		return 0
	}
	if made := found.Snapshot; made != nil && !made.Unfinished && !made.FinishedAt.Truncate(time.Second).After(timeIn(had.LastSnapshot)) {
		return 0
	}
	return int(*had.Snapshots) - *found.Found
}

// unfinished says in words that there are snapshots that are never restored.
func unfinished(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" and %d in which files are missing, which are never restored", n)
}

// filesNotExpired is what is to be said of snapshots that should have been removed, and were not.
func (f facts) filesNotExpired(e *engine.Expiry) (v verdict, ok bool) {
	switch {
	case e != nil && e.Failure != nil:
		return no(v1alpha1.ReasonExpiryFailed, "expired snapshots of the application's data could not be removed on %s: %s", moment(f.backupSeen.ended), e.Failure.Message), true
	case e != nil && e.Held:
		return no(v1alpha1.ReasonExpiryHeld, "snapshots of the application's data that have expired are kept, since no newer one was restored and found good; see Recoverable"), true
	}
	return verdict{}, false
}

// filesUntouched is what is to be said where nobody looked at the snapshots, nor removed any: of a suspended instance, or
// where the application's data is not backed up any more. What was known of them grows old.
func (f facts) filesUntouched(database verdict, keep int32) verdict {
	first := timeIn(filesIn(f.status).FirstSnapshot)
	if first.IsZero() || f.now.Sub(first) <= days(keep+overdueDays) {
		return database
	}
	why := "the application's data is not backed up any more (see applicationData of the policy); back it up again"
	if f.suspended {
		why = "none is removed while the instance does not run; resume it"
	}
	return no(v1alpha1.ReasonExpiryHeld, "snapshots of the application's data since %s are kept, which should have been destroyed after %d days: %s, or destroy them by hand", moment(first), keep, why)
}
