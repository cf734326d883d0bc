// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"

	"github.com/freehold-dev/freehold/controllers/backup/engine"
)

// source is the repository to restore from.
func (r *RestoreReconciler) source(ctx context.Context, s *restoreScope, withFiles bool) (window, error) {
	windows := windowsOf(s.tenant.Status.Backups)
	if withFiles {
		windows = needsSnapshot(windows)
	}
	if report, err := r.ask(ctx, s.tenant); err == nil {
		freshen(windows, report)
	}
	known, err := r.generationsOfBackup(ctx, s)
	if err != nil {
		return window{}, err
	}
	return chooseSource(s.restore.Spec.Target, ofBackup(windows, s.restore.Spec.Target, known))
}

// freshen puts what the archiver says now in the place of what the status said some minutes ago.
func freshen(windows []window, report *engine.Report) {
	for i := range windows {
		for _, d := range report.Destinations {
			if d.Name != windows[i].destination || d.Generation != windows[i].generation {
				continue
			}
			if d.Until.After(windows[i].until) {
				windows[i].until = d.Until
			}
			if d.Failure != nil {
				windows[i].failure = d.Failure.Message
			}
		}
	}
}

// numbered is the generation as it stands in a status: absent for the first.
func (w window) numbered() int32 {
	if w.generation > 1 {
		return w.generation
	}
	return 0
}
