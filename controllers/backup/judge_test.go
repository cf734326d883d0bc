// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/backup/engine"
)

// good are the facts of a destination with which all is well at noon.
func good() facts {
	return facts{
		name: "site-a", now: noon, archiver: true, podNow: noon, read: at(-600),
		policy: v1alpha1.BackupPolicySpec{
			Limits:       v1alpha1.BackupLimits{LagSeconds: 300, BackupAgeHours: 30},
			Retention:    v1alpha1.BackupRetention{BackupDays: 180, PointInTimeDays: 30},
			Verification: v1alpha1.BackupVerification{IntervalDays: 7, MaximumAgeDays: 30},
			KeyEscrow:    v1alpha1.KeyEscrow{Recipients: []v1alpha1.AgeRecipient{recipient}},
		},
		status: v1alpha1.DestinationStatus{
			Name: "site-a", Generation: 1, LastBackup: timeOf(at(-600)), Backups: ptr.To[int32](10), FullBackups: ptr.To[int32](2),
			LastVerified: timeOf(at(-60 * 24)), VerifiedBackup: "20260201-013000F",
		},
		archive: &engine.ArchiveReport{Name: "site-a", Generation: 1, AskedAt: at(-1), AnsweredAt: at(-1), Until: at(-3)}, until: at(-3),
	}
}

func said(kind string, status metav1.ConditionStatus, reason string, since time.Time) []metav1.Condition {
	return []metav1.Condition{{Type: kind, Status: status, Reason: reason, Message: "as before", LastTransitionTime: metav1.NewTime(since)}}
}

// failing makes the destination refuse the archive.
func failing(f *facts, reason string, since int) {
	f.archive.Failure, f.archive.Since = &engine.Failure{Reason: reason, Message: "its own words"}, at(since)
	f.archive.AnsweredAt, f.archive.Until, f.until = at(since), at(since-2), at(since-2)
}

func found(f *facts, catalogue engine.Catalogue, expiry engine.Expiry) {
	f.backupSeen = &resultSeen{Result: engine.Result{Job: engine.JobBackup, Backup: &engine.Backup{}, Catalogue: &catalogue, Expiry: &expiry}, ended: noon, before: f.status}
}

// ended is what is known of a generation whose last backup was made so many days ago, and the first one 200 days earlier.
func ended(days int) v1alpha1.DestinationStatus {
	return v1alpha1.DestinationStatus{LastBackup: timeOf(at(-60 * 24 * days)), RecoverableFrom: timeOf(at(-60 * 24 * (days + 200)))}
}

func TestConditionsOfADestination(t *testing.T) {
	const (
		backedUp, pointInTime = v1alpha1.ConditionBackedUp, v1alpha1.ConditionPointInTimeRecoverable
		recoverable, retained = v1alpha1.ConditionRecoverable, v1alpha1.ConditionRetained
	)
	for name, row := range map[string]struct {
		change func(*facts)
		kind   string
		want   string
	}{
		"a fresh backup":                         {nil, backedUp, "True Fresh: the newest base backup is of 2026-03-01T02:00:00Z"},
		"a failed attempt beside a fresh backup": {func(f *facts) { f.failure, f.attempt = "Full: no space", at(-1) }, backedUp, "True Fresh|no space"},
		"a failed attempt before the last good":  {func(f *facts) { f.failure, f.attempt = "Full: no space", at(-700) }, backedUp, "True Fresh: the newest base backup is of 2026-03-01T02:00:00Z"},
		"an old backup":                          {func(f *facts) { f.status.LastBackup = timeOf(at(-60 * 31)) }, backedUp, "False BackupOverdue|2026-02-28T05:00:00Z|30 hours"},
		"an old backup and a failed attempt": {func(f *facts) {
			f.status.LastBackup, f.failure, f.attempt = timeOf(at(-60*31)), "Full: no space", at(-1)
		}, backedUp, "False BackupFailed|no space|2026-03-01T11:59:00Z"},
		"none yet":                                 {func(f *facts) { f.status.LastBackup = nil }, backedUp, "False AwaitingFirst"},
		"none yet, and it failed":                  {func(f *facts) { f.status.LastBackup, f.failure, f.attempt = nil, "Full: no space", at(-1) }, backedUp, "False BackupFailed"},
		"suspended before the first":               {func(f *facts) { f.status.LastBackup, f.suspended = nil, true }, backedUp, "False InstanceSuspended"},
		"suspended":                                {func(f *facts) { f.status.LastBackup, f.suspended = timeOf(at(-60*100)), true }, backedUp, "True InstanceSuspended"},
		"on a volume":                              {func(f *facts) { f.volume, f.elsewhere = true, true }, backedUp, "True InCluster|would be lost|who breaks into the database pod can remove it"},
		"on a volume, without what others hold":    {func(f *facts) { f.volume, f.elsewhere, f.skipsFiles = true, true, true }, backedUp, "True InCluster|the application's data is not backed up to it"},
		"an old one on a volume":                   {func(f *facts) { f.volume, f.status.LastBackup = true, timeOf(at(-60*31)) }, backedUp, "False BackupOverdue"},
		"proven on a volume beside another":        {func(f *facts) { f.volume, f.elsewhere = true, true }, recoverable, "True Fresh"},
		"proven on a volume, and nowhere else":     {func(f *facts) { f.volume = true }, recoverable, "False InCluster|add a destination elsewhere"},
		"never proven on a volume":                 {func(f *facts) { f.volume, f.status.LastVerified = true, nil }, recoverable, "False AwaitingFirst"},
		"shared credentials":                       {func(f *facts) { f.shared = true }, backedUp, "True SharedCredentials"},
		"credentials missing":                      {func(f *facts) { f.wrong, f.wrongReason = errors.New("no Secret"), wrongReason(errors.New("")) }, backedUp, "False CredentialsMissing: no Secret"},
		"keys lost":                                {func(f *facts) { f.wrong = &keysLostError{}; f.wrongReason = wrongReason(fmt.Errorf("x: %w", f.wrong)) }, recoverable, "False KeysLost"},
		"a revision without archiver":              {func(f *facts) { f.status.LastBackup, f.archiver = nil, false }, pointInTime, "False UpdateRequired"},
		"the archive is near":                      {nil, pointInTime, "True Fresh"},
		"the archive lags":                         {func(f *facts) { f.archive.Until, f.until = at(-7), at(-7) }, pointInTime, "False ArchiveLags: the archive stands at 2026-03-01T11:53:00Z"},
		"asked some minutes ago":                   {func(f *facts) { f.archive.AnsweredAt, f.archive.Until, f.until = at(-3), at(-6), at(-6) }, pointInTime, "True Fresh"},
		"asked too long ago":                       {func(f *facts) { f.archive.AnsweredAt, f.archive.Until, f.until = at(-8), at(-9), at(-9) }, pointInTime, "False ArchiveLags"},
		"an archiver that has just begun":          {func(f *facts) { f.archive.Until, f.until = time.Time{}, at(-4) }, pointInTime, "True Fresh"},
		"begun, and nothing was seen for too long": {func(f *facts) { f.archive.Until, f.until = time.Time{}, at(-7) }, pointInTime, "Unknown NoReport|started anew|2026-03-01T11:53:00Z"},
		"begun long ago, and nothing was seen":     {func(f *facts) { f.archive.Until, f.until = time.Time{}, at(-17) }, pointInTime, "False ArchiveLags"},
		"it failed before anything was seen there": {func(f *facts) {
			failing(f, engine.FailedUnreachable, -7)
			f.archive.Until, f.archive.AnsweredAt = time.Time{}, time.Time{}
		}, pointInTime, "False Unreachable|2026-03-01T11:51:00Z"},
		"it failed, and nothing was ever seen there": {func(f *facts) {
			failing(f, engine.FailedUnreachable, -1)
			f.archive.Until, f.archive.AnsweredAt, f.until = time.Time{}, time.Time{}, time.Time{}
		}, pointInTime, "False Unreachable|no moment yet"},
		"nothing was ever seen there": {func(f *facts) {
			f.archive.Until, f.archive.AnsweredAt, f.until = time.Time{}, time.Time{}, time.Time{}
		}, pointInTime, "False ArchiveLags|no moment yet"},
		"a destination that is silent for a moment": {func(f *facts) { failing(f, engine.FailedUnreachable, -2) }, pointInTime, "True Fresh"},
		"a destination that is silent":              {func(f *facts) { failing(f, engine.FailedUnreachable, -10) }, pointInTime, "False Unreachable|since 2026-03-01T11:50:00Z|its own words"},
		"a destination that refuses":                {func(f *facts) { failing(f, engine.FailedRefused, -10) }, pointInTime, "False Refused"},
		"a destination with a bad certificate":      {func(f *facts) { failing(f, engine.FailedCertificate, -10) }, pointInTime, "False Untrusted"},
		"a destination that is full":                {func(f *facts) { failing(f, engine.FailedFull, -10) }, pointInTime, "False Full"},
		"a repository with another key":             {func(f *facts) { failing(f, engine.FailedKey, -10) }, pointInTime, "False WrongKey"},
		"a repository of another database":          {func(f *facts) { failing(f, engine.FailedForeign, -10) }, pointInTime, "False ForeignRepository"},
		"a failure that nobody knows":               {func(f *facts) { failing(f, engine.FailedEngine, -10) }, pointInTime, "False ArchiveLags"},
		"no report":                                 {func(f *facts) { f.archive, f.silent, f.why = nil, at(-9), "timeout" }, pointInTime, "Unknown NoReport|since 2026-03-01T11:51:00Z: timeout"},
		"not asked yet":                             {func(f *facts) { f.archive = nil }, pointInTime, "Unknown NoReport"},
		"not asked yet after a restart": {func(f *facts) {
			f.archive, f.status.Conditions = nil, said(pointInTime, metav1.ConditionTrue, v1alpha1.ReasonFresh, at(-90))
		}, pointInTime, "True Fresh: as before"},
		"the archiver does not speak of it any more": {func(f *facts) {
			f.archive, f.until = nil, at(-7)
			f.status.Conditions = said(pointInTime, metav1.ConditionTrue, v1alpha1.ReasonFresh, at(-90))
		}, pointInTime, "Unknown NoReport|2026-03-01T11:53:00Z"},
		"it was bad when it was last spoken of": {func(f *facts) {
			f.archive, f.until = nil, at(-70)
			f.status.Conditions = said(pointInTime, metav1.ConditionFalse, v1alpha1.ReasonFull, at(-90))
		}, pointInTime, "False Full: as before"},
		"a log without a base": {func(f *facts) { f.status.LastBackup = nil }, pointInTime, "False AwaitingFirst"},
		"the instance stopped": {func(f *facts) { f.suspended, f.archive = true, nil }, pointInTime, "True InstanceSuspended"},
		"the instance stopped while all was well": {func(f *facts) {
			f.suspended, f.archive = true, nil
			f.status.Conditions = said(pointInTime, metav1.ConditionTrue, v1alpha1.ReasonFresh, at(-90))
		}, pointInTime, "True InstanceSuspended"},
		"the instance stopped while the destination took nothing": {func(f *facts) {
			f.suspended, f.archive = true, nil
			f.status.Conditions = said(pointInTime, metav1.ConditionFalse, v1alpha1.ReasonUnreachable, at(-90))
		}, pointInTime, "False Unreachable: as before"},
		"the instance stopped just after the destination died": {func(f *facts) {
			failing(f, engine.FailedUnreachable, -1)
			f.suspended, f.archive, f.last = true, nil, f.archive
			f.status.Conditions = said(pointInTime, metav1.ConditionTrue, v1alpha1.ReasonFresh, at(-90))
		}, pointInTime, "False Unreachable|stands at 2026-03-01T11:57:00Z|its own words|lies on the database's volume"},
		"the instance stopped and the destination had just answered": {func(f *facts) {
			f.suspended, f.archive, f.last = true, nil, f.archive
		}, pointInTime, "True InstanceSuspended"},
		"the instance stopped while the destination was set aside": {func(f *facts) {
			f.suspended, f.archive, f.aside = true, nil, aside{Since: at(-90)}
		}, pointInTime, "False SetAside"},

		"proven":                       {nil, recoverable, "True Fresh: backup 20260201-013000F was restored and found good on 2026-02-28T12:00:00Z"},
		"never proven":                 {func(f *facts) { f.status.LastVerified = nil }, recoverable, "False AwaitingFirst"},
		"proven long ago":              {func(f *facts) { f.status.LastVerified = timeOf(at(-60 * 24 * 31)) }, recoverable, "Unknown Stale|2026-01-29T12:00:00Z"},
		"keys only here":               {func(f *facts) { f.policy.KeyEscrow.Recipients = nil }, recoverable, "False EscrowNotExternal"},
		"a backup is broken":           {func(f *facts) { refute(f, engine.FailedDamaged) }, recoverable, "False VerificationFailed|of destination site-a|backup 20260201-013000F was good on"},
		"an assertion fails":           {func(f *facts) { refute(f, engine.FailedAssertion) }, recoverable, "False VerificationFailed"},
		"no answer":                    {func(f *facts) { refute(f, engine.FailedUnreachable) }, recoverable, "True Fresh|proved nothing"},
		"its pod ended without a word": {func(f *facts) { refute(f, engine.FailedNoResult) }, recoverable, "True Fresh|proved nothing"},
		"credentials go missing after a broken one": {func(f *facts) {
			f.wrong, f.wrongReason = errors.New("no Secret"), v1alpha1.ReasonCredentialsMissing
			f.status.Conditions = said(recoverable, metav1.ConditionFalse, v1alpha1.ReasonVerificationFailed, at(-90))
		}, recoverable, "False VerificationFailed: as before"},
		"no answer after a broken one": {func(f *facts) {
			refute(f, engine.FailedUnreachable)
			f.status.Conditions = said(recoverable, metav1.ConditionFalse, v1alpha1.ReasonVerificationFailed, at(-90))
		}, recoverable, "False VerificationFailed: as before"},
		"broken until now, and good": {func(f *facts) {
			f.proofSeen = &resultSeen{Result: engine.Result{Job: engine.JobVerify}}
			f.status.Conditions = said(recoverable, metav1.ConditionFalse, v1alpha1.ReasonVerificationFailed, at(-90))
		}, recoverable, "True Fresh"},

		"a catalogue as it should be": {func(f *facts) {
			found(f, engine.Catalogue{Backups: 11, NewestFinished: noon, OldestStarted: at(-60)}, engine.Expiry{})
		}, retained, "True Fresh: the destination holds 11 base backups"},
		"one that expired": {func(f *facts) {
			found(f, engine.Catalogue{Backups: 10, NewestFinished: noon, OldestStarted: at(-60)}, engine.Expiry{Removed: []string{"x"}})
		}, retained, "True Fresh"},
		"backups that somebody removed": {func(f *facts) {
			found(f, engine.Catalogue{Backups: 8, NewestFinished: noon, OldestStarted: at(-60)}, engine.Expiry{})
		}, retained, "False BackupsMissing|3 base backups fewer"},
		"the same result again": {func(f *facts) {
			found(f, engine.Catalogue{Backups: 10, NewestFinished: at(-600), OldestStarted: at(-60)}, engine.Expiry{})
		}, retained, "True Fresh"},
		"backups were missing yesterday": {func(f *facts) {
			f.status.Conditions = said(retained, metav1.ConditionFalse, v1alpha1.ReasonBackupsMissing, at(-60*24))
			found(f, engine.Catalogue{Backups: 11, NewestFinished: noon, OldestStarted: at(-60)}, engine.Expiry{})
		}, retained, "False BackupsMissing: as before"},
		"a person has seen that they were missing": {func(f *facts) {
			f.status.Conditions = said(retained, metav1.ConditionFalse, v1alpha1.ReasonBackupsMissing, at(-60*24))
			f.acknowledged = at(-60 * 24)
		}, retained, "True Fresh"},
		"a person had seen it before more were missing": {func(f *facts) {
			f.status.Conditions = said(retained, metav1.ConditionFalse, v1alpha1.ReasonBackupsMissing, at(-60*24))
			f.acknowledged = at(-60*24 - 1)
		}, retained, "False BackupsMissing: as before"},
		"more are missing than a person has seen": {func(f *facts) {
			f.status.Conditions = said(retained, metav1.ConditionFalse, v1alpha1.ReasonBackupsMissing, at(-60*24))
			f.acknowledged = at(-60 * 24)
			found(f, engine.Catalogue{Backups: 10, NewestFinished: noon, OldestStarted: at(-60)}, engine.Expiry{})
		}, retained, "False BackupsMissing|1 base backup fewer|freehold.dev/missing-backups-seen=2026-03-01T12:00:00Z"},
		"they were missing long ago, and nobody has looked": {func(f *facts) {
			f.status.LastBackup = timeOf(at(-60 * 24 * 30))
			f.status.Conditions = said(retained, metav1.ConditionFalse, v1alpha1.ReasonBackupsMissing, at(-60*24*40))
		}, retained, "False BackupsMissing: as before"},
		"credentials go missing after backups were": {func(f *facts) {
			f.wrong, f.wrongReason = errors.New("no Secret"), v1alpha1.ReasonCredentialsMissing
			f.status.Conditions = said(retained, metav1.ConditionFalse, v1alpha1.ReasonBackupsMissing, at(-60*24))
		}, retained, "False BackupsMissing: as before"},
		"an attempt that failed finds fewer": {func(f *facts) {
			found(f, engine.Catalogue{Backups: 7, NewestFinished: at(-600), OldestStarted: at(-60)}, engine.Expiry{})
			f.backupSeen.Backup = nil
		}, retained, "False BackupsMissing|3 base backups fewer"},
		"an attempt that failed finds all": {func(f *facts) {
			found(f, engine.Catalogue{Backups: 10, NewestFinished: at(-600), OldestStarted: at(-60)}, engine.Expiry{})
			f.backupSeen.Backup = nil
		}, retained, "True Fresh"},
		"expired ones are held": {func(f *facts) {
			found(f, engine.Catalogue{Backups: 11, NewestFinished: noon, OldestStarted: at(-60)}, engine.Expiry{Held: true})
		}, retained, "False ExpiryHeld"},
		"expired ones could not be removed": {func(f *facts) {
			found(f, engine.Catalogue{}, engine.Expiry{Failure: &engine.Failure{Reason: engine.FailedRefused, Message: "403"}})
			f.backupSeen.Catalogue = nil // Nobody lists it after that.
		}, retained, "False ExpiryFailed|403"},
		"suspended, and expired ones are held": {func(f *facts) {
			found(f, engine.Catalogue{Backups: 10, NewestFinished: at(-600), OldestStarted: at(-60)}, engine.Expiry{Held: true})
			f.suspended = true
		}, retained, "False ExpiryHeld|none is made while the instance does not run"},
		"suspended, and backups are gone": {func(f *facts) {
			found(f, engine.Catalogue{Backups: 7, NewestFinished: at(-600), OldestStarted: at(-60)}, engine.Expiry{Removed: []string{"x"}})
			f.backupSeen.Job = engine.JobExpire
		}, retained, "False BackupsMissing|2 base backups fewer"},
		"suspended, and some expired": {func(f *facts) {
			found(f, engine.Catalogue{Backups: 9, NewestFinished: at(-600), OldestStarted: at(-60)}, engine.Expiry{Removed: []string{"x"}})
			f.backupSeen.Job = engine.JobExpire
		}, retained, "True Fresh: the destination holds 9 base backups"},
		"one is there that should have gone": {func(f *facts) {
			found(f, engine.Catalogue{Backups: 11, NewestFinished: noon, Oldest: "20250801-013000F", OldestStarted: at(-60 * 24 * 183)}, engine.Expiry{})
		}, retained, "False ExpiryFailed|20250801-013000F"},
		"a retired generation has expired just now": {func(f *facts) { f.retired = []generation{{Number: 1, Since: at(-60 * 24 * 181), Status: ended(181)}} }, retained, "True Fresh"},
		"a retired generation is still there": {func(f *facts) {
			f.retired = []generation{{Number: 1, Since: at(-60 * 24 * 183), Status: ended(183), Failure: "Refused: 403"}}
		}, retained, "False RetiredOverdue|403"},
		"a retired generation is kept for want of a proof": {func(f *facts) {
			f.retired = []generation{{Number: 1, Since: at(-60 * 24 * 183), Status: ended(183)}}
		}, retained, "False RetiredOverdue|see Recoverable"},
		"what expired in a retired generation is still there": {func(f *facts) {
			f.retired = []generation{{Number: 1, Since: at(-60 * 24 * 3), Status: ended(3), Failure: "Refused: 403", Failures: patientFailures}}
		}, retained, "False RetiredOverdue|what has expired"},
		"what expired in a retired generation was not removed once": {func(f *facts) {
			f.retired = []generation{{Number: 1, Since: at(-60 * 24 * 3), Status: ended(3), Failure: "Unreachable: timeout", Failures: 1}}
		}, retained, "True Fresh"},
		"the last attempt on a retired generation failed, and nothing is late": {func(f *facts) {
			young := ended(3)
			young.RecoverableFrom = timeOf(at(-60 * 24 * 30))
			f.retired = []generation{{Number: 1, Since: at(-60 * 24 * 3), Status: young, Failure: "Refused: 403", Failures: patientFailures}}
		}, retained, "True Fresh"},
		"a retired generation went, and the next backup is not due": {func(f *facts) {
			f.status.Conditions = said(retained, metav1.ConditionFalse, v1alpha1.ReasonRetiredOverdue, at(-60))
		}, retained, "True Fresh"},
		"between two backups": {func(f *facts) {
			f.status.Conditions = said(retained, metav1.ConditionFalse, v1alpha1.ReasonExpiryHeld, at(-60))
		}, retained, "False ExpiryHeld: as before"},
		"a catalogue that nobody read for days": {func(f *facts) { f.read = at(-60 * 55) }, retained, "Unknown Stale"},
		"suspended, and nobody read for days":   {func(f *facts) { f.suspended, f.read = true, at(-60*55) }, retained, "Unknown Stale"},
		"suspended for long, and read yesterday": {func(f *facts) {
			f.suspended, f.status.LastBackup = true, timeOf(at(-60*24*100))
		}, retained, "True Fresh"},
	} {
		f := good()
		if row.change != nil {
			row.change(&f)
		}
		v := f.verdicts()[row.kind]
		got := fmt.Sprintf("%s %s: %s", v.status, v.reason, v.message)
		words := strings.Split(row.want, "|")
		if !strings.HasPrefix(got, words[0]) {
			t.Errorf("%s: %s is %q, want %q", name, row.kind, got, words[0])
		}
		for _, word := range words[1:] {
			if !strings.Contains(got, word) {
				t.Errorf("%s: %s lacks %q: %s", name, row.kind, word, got)
			}
		}
	}
}

// refute brings a verification that found a backup wanting.
func refute(f *facts, reason string) {
	f.proofSeen = &resultSeen{ended: noon, Result: engine.Result{Job: engine.JobVerify, Failure: &engine.Failure{Reason: reason, Message: "words"}}}
}

func TestTheWholeIsAsGoodAsItsWorstPart(t *testing.T) {
	fresh, shared := yes(v1alpha1.ReasonFresh, "well"), yes(v1alpha1.ReasonSharedCredentials, "shared")
	bad, stale := no(v1alpha1.ReasonUnreachable, "down"), unknown(v1alpha1.ReasonStale, "old")
	for name, row := range map[string]struct {
		parts []verdict
		want  string
	}{
		"all well":                {[]verdict{fresh, fresh}, "True Fresh: a: well; b: well"},
		"well, and worth knowing": {[]verdict{fresh, shared}, "True SharedCredentials: a: well; b: shared"},
		"the same, turned round":  {[]verdict{shared, fresh}, "True SharedCredentials: a: shared; b: well"},
		"one is down":             {[]verdict{fresh, bad}, "False Unreachable: b: down; a: well"},
		"one is not known":        {[]verdict{stale, fresh}, "Unknown Stale: a: old; b: well"},
		"down is worse":           {[]verdict{stale, bad}, "False Unreachable: a: old; b: down"},
	} {
		var parts []part
		for i, v := range row.parts {
			parts = append(parts, part{string(rune('a' + i)), v})
		}
		v := worst(parts)
		if got := fmt.Sprintf("%s %s: %s", v.status, v.reason, v.message); got != row.want {
			t.Errorf("%s: %q, want %q", name, got, row.want)
		}
	}
}

func TestAMomentThatIsStillToComeProvesNothing(t *testing.T) {
	d := &destination{name: "site-a", status: v1alpha1.DestinationStatus{
		Name: "site-a", Generation: 1, RecoverableUntil: timeOf(at(-20)), LastBackup: timeOf(at(60)), // By the clock of another node.
	}}
	s := &scope{now: noon, memory: &memory{until: map[string]time.Time{}}}
	if got := s.until(d); !got.Equal(at(-20)) {
		t.Errorf("the archive is said to reach until %s, want %s", got, at(-20))
	}
	report := engine.Report{At: at(5), Destinations: []engine.ArchiveReport{{Name: "site-a", Generation: 1, Until: at(4)}}}
	s.report = &sighting{Report: report, received: noon}
	if got := s.until(d); !got.Equal(at(4)) {
		t.Errorf("the archive is said to reach until %s, want %s: the database's own clock counts", got, at(4))
	}
}
