// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"testing"

	"github.com/freehold-dev/freehold/controllers/backup/engine"
)

func TestBackups(t *testing.T) {
	w := newWorld(t, "site-a", "site-b").begin()
	first := w.backUp("site-a")
	if first.Backup == nil || !first.Backup.Full || first.Backup.RepositoryBytes == 0 || first.Catalogue.Backups != 1 || first.Catalogue.Fulls != 1 {
		t.Fatalf("the first backup is %+v, the catalogue %+v", first.Backup, first.Catalogue)
	}
	w.note(1)
	second := w.backUp("site-a")
	if second.Backup == nil || second.Backup.Full || second.Catalogue.Backups != 2 || second.Catalogue.Newest != second.Backup.Label {
		t.Fatalf("the second backup is %+v, the catalogue %+v", second.Backup, second.Catalogue)
	}
	_ = engine.FailedTarget
}
