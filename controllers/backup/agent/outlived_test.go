// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"testing"
	"time"

	"github.com/freehold-dev/freehold/controllers/backup/engine"
)

// A repository goes as a whole only if nothing in it is to be kept, and if something tells that.
func TestARepositoryIsRemovedOnceItsNewestBackupHasExpired(t *testing.T) {
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	ended := func(days int) engine.Record {
		return engine.Record{Backup: engine.Backup{Label: "20260101-000000F", FinishedAt: now.AddDate(0, 0, -days), Full: true}}
	}
	for name, c := range map[string]struct {
		backups       []engine.Record
		days, minutes int32
		removed       bool
	}{
		"all have expired":             {backups: []engine.Record{ended(300), ended(181)}, days: 180, minutes: 30, removed: true},
		"the newest has not":           {backups: []engine.Record{ended(300), ended(179)}, days: 180, minutes: 30},
		"a minute is to be restorable": {backups: []engine.Record{ended(20)}, days: 10, minutes: 30},
		"nothing tells":                {days: 180, minutes: 30},
	} {
		err := outlived("site-a", engine.Info{Backups: c.backups}, engine.BackupOptions{BackupDays: c.days, PointInTimeDays: c.minutes}, now)
		if (err == nil) != c.removed {
			t.Errorf("%s: %v", name, err)
		}
	}
}
