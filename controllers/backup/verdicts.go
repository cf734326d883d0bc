// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/backup/engine"
)

const (
	// answerCounts is for how long a destination's answer counts: it is asked every engine.AskSeconds, and the archiver
	// once a minute.
	answerCounts = 2*engine.AskSeconds*time.Second + askInterval + 30*time.Second
	// archiverStarts is how long an archiver that has just started may take to learn how far the archive is.
	archiverStarts = 10 * time.Minute
	// catalogueSlack is how much longer than a base backup may be old a catalogue counts that was read with it.
	catalogueSlack = 24 * time.Hour
	// overdueDays is how many days beyond its time an expired backup may be there: it goes with the next daily run.
	overdueDays = 2
	// patientFailures is how many attempts in a row, one a day, may fail to remove what has expired in a retired generation.
	patientFailures = 3
	// mostRemoved is how many removed backups a result names.
	mostRemoved = 20
)

// wrongReason is the reason of what is wrong with keys or credentials.
func wrongReason(err error) string {
	var lost *keysLostError
	if errors.As(err, &lost) {
		return v1alpha1.ReasonKeysLost
	}
	return v1alpha1.ReasonCredentialsMissing
}

// unable is why nothing can be said but that it cannot work; ok is false if it can.
func (f facts) unable() (v verdict, ok bool) {
	switch {
	case f.wrong != nil:
		return no(f.wrongReason, "%s", f.wrong), true
	case !f.archiver && f.status.LastBackup == nil:
		return no(v1alpha1.ReasonUpdateRequired, "the running revision was made before backups; approve the pending update (condition UpdatePending)"), true
	}
	return verdict{}, false
}

// backedUp: the destination holds a base backup that is not too old.
func (f facts) backedUp() verdict {
	if v, unable := f.unable(); unable {
		return v
	}
	last, limit := timeIn(f.status.LastBackup), time.Duration(f.policy.Limits.BackupAgeHours)*time.Hour
	failed := ""
	if f.failure != "" && f.attempt.After(last) {
		failed = fmt.Sprintf("; the attempt of %s failed: %s", moment(f.attempt), f.failure)
	}
	switch {
	case last.IsZero():
		return f.neverBackedUp(failed)
	case f.suspended:
		return yes(v1alpha1.ReasonSuspendedBackups, "the instance does not run; its last base backup is of %s", moment(last))
	case f.now.Sub(last) <= limit:
		return f.fresh(last, failed)
	case failed != "":
		return no(v1alpha1.ReasonBackupFailed, "the newest base backup is of %s, older than %s%s; it is tried again", moment(last), hours(limit), failed)
	}
	return no(v1alpha1.ReasonBackupOverdue, "the newest base backup is of %s, older than %s; see the Jobs and Backups in the tenant's namespace", moment(last), hours(limit))
}

func (f facts) neverBackedUp(failed string) verdict {
	switch {
	case failed != "":
		return no(v1alpha1.ReasonBackupFailed, "there is no base backup%s; it is tried again", failed)
	case f.suspended:
		return no(v1alpha1.ReasonSuspendedBackups, "there is no base backup, and none can be made while the instance does not run")
	}
	return f.awaiting()
}

// awaiting is said until the first base backup has been made.
func (facts) awaiting() verdict {
	return no(v1alpha1.ReasonAwaitingFirst, "the first base backup has not been made yet")
}

func (f facts) fresh(last time.Time, failed string) verdict {
	if f.shared {
		return yes(v1alpha1.ReasonSharedCredentials, "the newest base backup is of %s; its credentials are shared with other tenants: who breaks into one tenant's database pod reaches the backups of all, encrypted under their own keys%s", moment(last), failed)
	}
	if f.volume {
		return yes(v1alpha1.ReasonInCluster, "the newest base backup is of %s, on a volume of this cluster, with which it would be lost; who breaks into the database pod can remove it%s%s", moment(last), f.withoutFiles(), failed)
	}
	return yes(v1alpha1.ReasonFresh, "the newest base backup is of %s%s", moment(last), failed)
}

// pointInTime: the destination holds the write-ahead log until shortly before now.
func (f facts) pointInTime() verdict {
	if v, unable := f.unable(); unable {
		return v
	}
	switch {
	case f.aside.out():
		return no(v1alpha1.ReasonSetAside, "since %s nothing is archived to the destination, which did not take it: the write-ahead log would have filled the database's volume; it is tried again every %s, and gets a full backup once it answers",
			moment(f.aside.Since), interval(f.asideInterval))
	case f.suspended && f.status.LastBackup != nil:
		return f.stopped()
	case f.archive == nil:
		return f.unreported()
	}
	v := f.archived()
	if v.good() && f.uprooted.After(timeIn(f.status.LastBackup)) {
		return no(v1alpha1.ReasonAwaitingFirst, "on %s the instance went back to before the oldest backup in the destination: a full one is being made, without which nothing of what was written since can be restored from there", moment(f.uprooted))
	}
	if f.aside.torn() && v.status == metav1.ConditionTrue {
		return no(v1alpha1.ReasonSetAside, "the destination is archived to again since %s; what was not archived before is not there, and a full backup begins its history anew", moment(f.aside.Back))
	}
	return v
}

// stopped is what is said of an instance that does not run: what it wrote last came into the archive before it stopped, or
// it did not, and then lies on its volume until it runs again.
func (f facts) stopped() verdict {
	said := f.saidOfArchive()
	if said != nil && said.Status != metav1.ConditionTrue {
		return verdict{said.Status, said.Reason, said.Message}
	}
	if last := f.last; last != nil && last.Failure != nil { // It had not failed for long enough to be said.
		return no(reasonOf(last.Failure), "the instance does not run, and the destination had not taken what was written last when it stopped: the archive stands at %s, and since %s the destination did not take more: %s; the rest lies on the database's volume, and is archived once the instance runs again",
			stand(f.until), moment(last.Since), last.Failure.Message)
	}
	return yes(v1alpha1.ReasonSuspendedBackups, "the instance does not run; nothing is written that had to be archived")
}

// saidOfArchive is what was last said of the archive; nil if nothing was.
func (f facts) saidOfArchive() *metav1.Condition {
	said := apimeta.FindStatusCondition(f.status.Conditions, v1alpha1.ConditionPointInTimeRecoverable)
	if said != nil && said.Reason == v1alpha1.ReasonAwaitingFirst {
		return nil
	}
	return said
}

// unreported is what can be said without a report on the destination. That all was well holds no longer than what it was
// seen by: an archiver that does not speak of a destination must not leave it looking well.
func (f facts) unreported() verdict {
	said := f.saidOfArchive()
	switch {
	case !f.silent.IsZero():
		return unknown(v1alpha1.ReasonNoReport, "the database pod does not tell how far its archive is, since %s: %s", moment(f.silent), f.why)
	case f.status.LastBackup == nil:
		return f.awaiting()
	case said != nil && (said.Status != metav1.ConditionTrue || f.now.Sub(f.until) <= f.lagLimit()):
		return verdict{said.Status, said.Reason, said.Message} // It was asked not long ago, or will be.
	}
	return unknown(v1alpha1.ReasonNoReport, "the database pod has not told how far its archive is; it was last seen at %s", stand(f.until))
}

// archived is what a report says of the destination. An archiver that has just started knows of no segment there that is
// its own: for a while that is no lag, but no proof of anything either.
func (f facts) archived() verdict {
	a, lag, limit := f.archive, f.lag(), f.lagLimit()
	switch late := lag > limit; {
	case late && a.Failure != nil:
		return no(reasonOf(a.Failure), "the archive stands at %s; since %s the destination does not take more: %s", stand(f.until), moment(a.Since), a.Failure.Message)
	case f.status.LastBackup == nil:
		return f.awaiting()
	case late && a.Until.IsZero() && lag <= limit+archiverStarts:
		return unknown(v1alpha1.ReasonNoReport, "the database's archiver has started anew and has not seen yet that the destination takes the write-ahead log; before, the archive stood at %s", stand(f.until))
	case late:
		return no(v1alpha1.ReasonArchiveLags, "the archive stands at %s, more than %s behind the database; see the logs of the database pod", stand(f.until), limit)
	}
	return yes(v1alpha1.ReasonFresh, "every moment until shortly before now is archived")
}

// lagLimit is how far the archive may be behind.
func (f facts) lagLimit() time.Duration {
	return time.Duration(f.policy.Limits.LagSeconds) * time.Second
}

// lag is how far the archive is behind: by the destination's last answer, as long as that counts.
func (f facts) lag() time.Duration {
	if a := f.archive; a.Failure == nil && f.podNow.Sub(a.AnsweredAt) <= answerCounts {
		return a.AnsweredAt.Sub(f.until)
	}
	return f.podNow.Sub(f.until)
}

// reasons of a condition for what is wrong with a destination.
var reasons = map[string]string{
	engine.FailedUnreachable: v1alpha1.ReasonUnreachable,
	engine.FailedRefused:     v1alpha1.ReasonRefused,
	engine.FailedCertificate: v1alpha1.ReasonUntrusted,
	engine.FailedKey:         v1alpha1.ReasonWrongKey,
	engine.FailedFull:        v1alpha1.ReasonFull,
	engine.FailedDamaged:     v1alpha1.ReasonDamaged,
	engine.FailedForeign:     v1alpha1.ReasonForeignRepository,
}

func reasonOf(f *engine.Failure) string {
	return cmp.Or(reasons[f.Reason], v1alpha1.ReasonArchiveLags)
}

// inconclusive are failures that say nothing about the backup that should have been restored.
var inconclusive = []string{engine.FailedUnreachable, engine.FailedRefused, engine.FailedCertificate, engine.FailedFull, engine.FailedNoResult}

// refutes reports whether a verification found what is stored wanting, and did not just fail to get at it.
func refutes(failure *engine.Failure) bool {
	return failure != nil && !slices.Contains(inconclusive, failure.Reason)
}

// recoverable: a backup of the destination was restored and found good, and its keys are not only here. That one was not
// good is said whatever else is wrong: it would be forgotten with the next trouble.
func (f facts) recoverable() verdict {
	if v, bad := f.refuted(); bad {
		return v
	}
	if v, unable := f.unable(); unable {
		return v
	}
	tried := ""
	if found := f.proofSeen; found != nil && found.Failure != nil {
		tried = fmt.Sprintf("; the attempt of %s proved nothing: %s", moment(found.ended), found.Failure.Message)
	}
	verified := timeIn(f.status.LastVerified)
	switch {
	case f.status.LastBackup == nil:
		return f.awaiting()
	case verified.IsZero():
		return no(v1alpha1.ReasonAwaitingFirst, "no backup has been restored to prove it yet%s", tried)
	case f.now.Sub(verified) > days(f.policy.Verification.MaximumAgeDays):
		return unknown(v1alpha1.ReasonStale, "a backup was last restored and found good on %s, more than %d days ago; the next verification is due%s",
			moment(verified), f.policy.Verification.MaximumAgeDays, tried)
	case f.volume && !f.elsewhere:
		return no(v1alpha1.ReasonInCluster, "backup %s was restored and found good on %s, but it lies in this cluster, as its keys do, and all would be lost with it; add a destination elsewhere to the policy",
			f.status.VerifiedBackup, moment(verified))
	case len(f.policy.KeyEscrow.Recipients) == 0:
		return no(v1alpha1.ReasonEscrowNotExternal, "backup %s was restored and found good on %s, but its key is only in this cluster, and would be lost with it; name public keys of age in keyEscrow.recipients of the policy",
			f.status.VerifiedBackup, moment(verified))
	}
	return yes(v1alpha1.ReasonFresh, "backup %s was restored and found good on %s%s", f.status.VerifiedBackup, moment(verified), tried)
}

// refuted is what is said since a restored backup was not good, until one is.
func (f facts) refuted() (v verdict, ok bool) {
	found := f.proofSeen
	if found != nil && refutes(found.Failure) {
		return no(v1alpha1.ReasonVerificationFailed, "%s", f.unprovenText(found)), true
	}
	said := apimeta.FindStatusCondition(f.status.Conditions, v1alpha1.ConditionRecoverable)
	if said != nil && said.Reason == v1alpha1.ReasonVerificationFailed && (found == nil || found.Failure != nil) {
		return verdict{said.Status, said.Reason, said.Message}, true
	}
	return verdict{}, false
}

func (f facts) unprovenText(found *resultSeen) string {
	backup := "a backup"
	if found.files != nil && found.files.Failure != nil {
		backup = "a backup with the application's data"
	}
	if found.Recovery != nil && found.Recovery.Backup != "" {
		backup = "backup " + found.Recovery.Backup
	}
	text := fmt.Sprintf("%s of destination %s was restored on %s and is not good (%s): %s; nothing older is removed; make a full backup (kind Backup, type Full) and find out what happened to the destination",
		backup, f.name, moment(found.ended), found.Failure.Reason, found.Failure.Message)
	if last := timeIn(f.status.LastVerified); !last.IsZero() {
		text += fmt.Sprintf("; backup %s was good on %s", f.status.VerifiedBackup, moment(last))
	}
	return text
}

// retained: the destination holds what it should, and nothing that should be gone. The result of a backup tells, or, of a
// suspended instance, that of an expiry; between two of them the last word stands.
func (f facts) retained() verdict {
	v := f.currentRetained()
	if v.status != metav1.ConditionTrue {
		return v
	}
	for _, old := range f.retired {
		if overdue, is := f.overdue(old); is {
			return overdue
		}
	}
	return v
}

// overdue is said of a retired generation that is there for longer than it should be, in whole or in part.
func (f facts) overdue(old generation) (verdict, bool) {
	late := func(due time.Time) bool { return f.now.Sub(due) > days(overdueDays) }
	switch due := old.destroyedAt(f.policy.Retention); {
	case late(due) && old.Failure != "":
		return no(v1alpha1.ReasonRetiredOverdue, "the retired generation %d should have been destroyed on %s, and is not: %s", old.Number, moment(due), old.Failure), true
	case late(due):
		return no(v1alpha1.ReasonRetiredOverdue, "the retired generation %d should have been destroyed on %s, and is kept until a backup of the current one was restored and found good; see Recoverable", old.Number, moment(due)), true
	case old.Failures >= patientFailures && old.Status.RecoverableFrom != nil && late(old.expiresFrom(f.policy.Retention)):
		return no(v1alpha1.ReasonRetiredOverdue, "what has expired in the retired generation %d was not removed: %s", old.Number, old.Failure), true
	}
	return verdict{}, false
}

// currentRetained judges the generation that is backed up to.
func (f facts) currentRetained() verdict {
	if v, lost := f.lost(); lost {
		return v
	}
	if v, unable := f.unable(); unable {
		return v
	}
	last := timeIn(f.status.LastBackup)
	switch said := f.saidOfCatalogue(); {
	case last.IsZero():
		return f.awaiting()
	case f.notExpired() != nil:
		return no(v1alpha1.ReasonExpiryFailed, "on %s expired backups could not be removed, or what is left could not be listed: %s", moment(f.backupSeen.ended), f.notExpired().Message)
	case f.backupSeen != nil && f.backupSeen.Catalogue != nil:
		return f.catalogued(*f.backupSeen.Catalogue)
	case f.now.Sub(f.read) > time.Duration(f.policy.Limits.BackupAgeHours)*time.Hour+catalogueSlack:
		return unknown(v1alpha1.ReasonStale, "what the destination holds was last read on %s", moment(f.read))
	case said != nil:
		return verdict{said.Status, said.Reason, said.Message}
	}
	return yes(v1alpha1.ReasonFresh, "the destination held backups on %s", moment(last))
}

// notExpired is why what has expired is still there; nil if it is not, or nobody looked just now.
func (f facts) notExpired() *engine.Failure {
	if f.backupSeen == nil || f.backupSeen.Expiry == nil {
		return nil
	}
	return f.backupSeen.Expiry.Failure
}

// saidOfCatalogue is what was said of the destination when its catalogue was last read; nil if that is not known.
func (f facts) saidOfCatalogue() *metav1.Condition {
	said := apimeta.FindStatusCondition(f.status.Conditions, v1alpha1.ConditionRetained)
	if said != nil && slices.Contains([]string{v1alpha1.ReasonFresh, v1alpha1.ReasonExpiryFailed, v1alpha1.ReasonExpiryHeld}, said.Reason) {
		return said
	}
	return nil
}

// catalogued judges what a destination holds after a backup.
func (f facts) catalogued(c engine.Catalogue) verdict {
	e := f.backupSeen.Expiry
	keep := f.policy.Retention.BackupDays
	switch {
	case e != nil && e.Held && f.suspended:
		return no(v1alpha1.ReasonExpiryHeld, "backups that have expired are kept, since no newer full one was restored and found good, and none is made while the instance does not run; resume it, or destroy them by hand")
	case e != nil && e.Held:
		return no(v1alpha1.ReasonExpiryHeld, "backups that have expired are kept, since no newer full one was restored and found good; see Recoverable")
	case !c.OldestStarted.IsZero() && (e == nil || !e.HeldForWindow) && f.now.Sub(c.OldestStarted) > days(keep+overdueDays):
		return no(v1alpha1.ReasonExpiryFailed, "backup %s is of %s, and should have been destroyed after %d days", c.Oldest, moment(c.OldestStarted), keep)
	}
	return f.filesRetained(yes(v1alpha1.ReasonFresh, "the destination holds %s, the oldest of %s", baseBackups(c.Backups), moment(c.OldestStarted)))
}
