// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/backup/engine"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// What should be destroyed after so many days is destroyed then, also while the instance is suspended and makes no base
// backups that would do it: a Job of its own does it each day, and reads what the destination holds.

// expiryWish is the Job that removes what has expired of a suspended instance; nil if none is due.
func (s *scope) expiryWish(d *destination) (*wish, error) {
	if !s.expires(d) {
		return nil, nil
	}
	last := s.expiry(d)
	if due := last.next(); due.After(s.now) {
		s.comeBack(due.Sub(s.now))
		return nil, nil
	}
	policy := s.observed.policy.Spec.Retention
	options := engine.BackupOptions{Destination: d.name, Generation: d.status.Generation, Verified: d.status.VerifiedBackup, BackupDays: policy.BackupDays, PointInTimeDays: policy.PointInTimeDays}
	return &wish{
		name: jobName(engine.JobExpire, d.name, occasion(last.backup), occasion(last.attempt)),
		task: task{kind: engine.JobExpire, destination: d.name, generation: d.status.Generation, secret: meta.BackupJobSecret, mounts: d.spec.Volume != nil, args: options.ExpireArgs()},
	}, nil
}

// expires reports whether what has expired is removed by a Job of its own. It needs no database, but the image that the
// database would run. A destination that was found empty is looked at again: perhaps somebody brings back what was there.
func (s *scope) expires(d *destination) bool {
	return s.tenant.Spec.Suspended && s.stoppedFor() == "" && d.usable() && d.held() && archives(&s.observed.database.Spec.Template)
}

// held reports whether the destination is known to hold, or to have held, a base backup.
func (d *destination) held() bool { return d.status.LastBackup != nil || d.status.Backups != nil }

// expiry is how the destination is with it. Jobs are kept for longer than the pause between two of them.
func (s *scope) expiry(d *destination) expiry {
	e := expiry{backup: timeIn(d.status.LastBackup)}
	for _, job := range s.observed.jobs { // Oldest end first.
		if job.Labels[v1alpha1.LabelBackupJob] != engine.JobExpire || job.Labels[v1alpha1.LabelDestination] != d.name || endOf(job).IsZero() ||
			generationOf(job) != d.status.Generation {
			continue
		}
		e.attempt, e.failed = endOf(job), failedJob(job) != nil
		if !e.failed {
			e.read = e.attempt
		}
	}
	return e
}
