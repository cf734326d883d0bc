// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/backup/engine"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// wish is the backup that a destination needs now, or the expiry of one whose instance is suspended; nil if none.
func (r *Reconciler) wish(s *scope, d *destination) (*wish, error) {
	if !s.able(d) {
		return s.expiryWish(d)
	}
	if asked := s.asked(d.name); len(asked) > 0 {
		b := asked[0]
		made, err := r.backupTask(s, d, b.Spec.Type)
		made.annotations = map[string]string{annotationBackup: b.Name}
		return &wish{name: jobName(engine.JobBackup, d.name, string(b.UID)), task: made, backup: b}, err
	}
	stands := d.standing(s.backsUpFilesTo(d))
	if d.aside.torn() || !d.uprooted.IsZero() {
		stands.backup = time.Time{} // What it has does not go on.
	}
	if due := stands.nextBackup(s.now); due.After(s.now) {
		s.comeBack(due.Sub(s.now))
		return nil, nil
	}
	made, err := r.backupTask(s, d, "")
	return &wish{name: jobName(engine.JobBackup, d.name, occasion(stands.backup), occasion(stands.attempt)), task: made}, err
}

// able reports whether a base backup can be made now. The first one waits until the instance is as it shall be; from then
// on the database is enough.
func (s *scope) able(d *destination) bool {
	return s.held() == "" && d.usable() && s.takes(d) && s.observed.database.Status.ReadyReplicas > 0 &&
		(d.status.LastBackup != nil || apimeta.IsStatusConditionTrue(s.tenant.Status.Conditions, v1alpha1.ConditionAvailable))
}

func (d *destination) standing(withFiles bool) standing {
	out := standing{failures: d.failures, backup: d.lastOfBoth(withFiles), onlyFiles: d.lastOfBoth(withFiles).Before(timeIn(d.status.LastBackup))}
	if d.newest != nil {
		out.attempt = decidedAt(d.newest)
	}
	return out
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// backupTask is a base backup, of the type that is asked for or that its day has.
func (r *Reconciler) backupTask(s *scope, d *destination, kind v1alpha1.BackupType) (task, error) {
	policy := s.observed.policy.Spec
	_, shift, err := cronSchedule(policy.Schedule, s.instanceID)
	options := engine.BackupOptions{
		Destination: d.name, Generation: d.status.Generation, Plan: plan(policy.Schedule, shift), Type: kind, Verified: d.status.VerifiedBackup,
		Held: d.held(), FullSince: latest(d.aside.Back, d.uprooted), BackupDays: policy.Retention.BackupDays, PointInTimeDays: policy.Retention.PointInTimeDays,
	}
	return task{kind: engine.JobBackup, destination: d.name, generation: d.status.Generation, secret: meta.BackupJobSecret, mounts: d.spec.Volume != nil, args: options.Args(), files: s.filesTask(d)}, err
}
