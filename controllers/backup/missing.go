// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"strings"

	apimeta "k8s.io/apimachinery/pkg/api/meta"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/backup/engine"
)

// lost is what is said from when backups are missing on until a person has seen it, whatever else happens.
func (f facts) lost() (v verdict, ok bool) {
	if missing := f.missingText(); missing != "" {
		return no(v1alpha1.ReasonBackupsMissing, "on %s the destination held %s fewer than it should: somebody else removed them, or they are damaged; look at its access log; this is said until the Tenant is annotated with %s=%s, or a later time",
			moment(f.backupSeen.ended), missing, v1alpha1.AnnotationMissingBackupsSeen, moment(f.now)), true
	}
	said := apimeta.FindStatusCondition(f.status.Conditions, v1alpha1.ConditionRetained)
	if said != nil && said.Reason == v1alpha1.ReasonBackupsMissing && said.LastTransitionTime.After(f.acknowledged) {
		return verdict{said.Status, said.Reason, said.Message}, true
	}
	return verdict{}, false
}

// missingText says in words how much is gone that nobody of us removed; empty if nothing is.
func (f facts) missingText() string {
	var gone []string
	if f.backupSeen == nil {
		return ""
	}
	if c := f.backupSeen.Catalogue; c != nil {
		if n := f.missing(*c); n > 0 {
			gone = append(gone, baseBackups(n))
		}
	}
	if n := f.filesMissing(); n > 0 {
		gone = append(gone, snapshots(n))
	}
	return strings.Join(gone, " and ")
}

// missing is how many backups are gone that nobody of us removed. A result that is read again finds none. After an attempt
// that made none, the newest one has to be the one that is known.
func (f facts) missing(c engine.Catalogue) int {
	had, found := f.backupSeen.before, f.backupSeen
	if had.Backups == nil {
		return 0
	}
	should, last := int(*had.Backups), timeIn(had.LastBackup)
	switch {
	case found.Job == engine.JobExpire && found.ended.Before(last):
		return 0 // A newer result is known.
	case found.Job == engine.JobExpire:
	case found.Backup != nil && c.NewestFinished.After(last):
		should++
	case found.Backup != nil || !c.NewestFinished.Equal(last):
		return 0
	}
	if found.Expiry != nil {
		if len(found.Expiry.Removed) >= mostRemoved {
			return 0 // There may be more than are named.
		}
		should -= len(found.Expiry.Removed)
	}
	return should - c.Backups
}
