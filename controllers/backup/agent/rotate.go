// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/freehold-dev/freehold/controllers/backup/engine"
)

// RunCreate makes a repository, and puts the tenant's sealed keys into it. The database hears of it only afterwards: to a
// repository that is not there no segment of its log could be handed over.
func RunCreate(ctx context.Context, c Config, options engine.BackupOptions) (engine.Result, error) {
	result := engine.Result{Job: engine.JobCreate, Destination: options.Destination}
	r, err := c.open(options.Destination, options.Generation)
	if err != nil {
		return result, err
	}
	if _, err := r.begin(ctx, false); err != nil {
		return result, err
	}
	return result, r.putEscrow(ctx)
}

// removalFile in a repository is the plan of its removal: it is written once all has been looked at. It is all that stays, so
// that who comes once more, after a Job that was killed, can tell what was destroyed from what is looked for at another place.
const removalFile = "removal.txt"

// RunDestroy removes a repository of which nothing is to be kept any more, all that belongs to it. It must be readable
// with its key, so that it is ours for certain, and its newest backup must have expired; both are looked at here, whatever
// the operator thought.
func RunDestroy(ctx context.Context, c Config, options engine.BackupOptions) (engine.Result, error) {
	result := engine.Result{Job: engine.JobDestroy, Destination: options.Destination}
	r, err := c.open(options.Destination, options.Generation)
	if err != nil {
		return result, err
	}
	stored, planned, err := r.list(ctx)
	switch {
	case err != nil:
		return result, err
	case len(stored) == 0 && planned:
		return result, nil
	case len(stored) == 0: // Where else it may lie, nobody knows: its key stays.
		return result, fail(engine.FailedDamaged, "destination %s: nothing lies where generation %d of the repository should; somebody else removed it, or it is looked for at another place. If you removed it, put an empty file %s there: then its key goes, too", r.Name, r.Generation, removalFile)
	}
	if err := r.planRemoval(ctx, options, planned); err != nil {
		return result, err
	}
	for _, name := range stored {
		if err := r.do(ctx, append(r.arguments("repo-rm", "--recurse"), name)...); err != nil {
			return result, err
		}
	}
	if stored, _, err = r.list(ctx); err == nil && len(stored) > 0 {
		err = fail(engine.FailedEngine, "destination %s: after generation %d of the repository was removed, there is still %s", r.Name, r.Generation, strings.Join(stored, ", "))
	}
	return result, err
}

// list is what lies in the repository's folder itself, and whether the plan of its removal is there, too.
func (r *repository) list(ctx context.Context) (stored []string, planned bool, err error) {
	listed, err := r.ask(ctx, nil, r.arguments("repo-ls")...)
	stored = strings.Fields(string(listed))
	planned = slices.Contains(stored, removalFile)
	return slices.DeleteFunc(stored, func(name string) bool { return name == removalFile }), planned, err
}

// planRemoval looks whether the repository may be removed, and writes down that it will be. From a catalogue that cannot be
// read, or that holds nothing although something is stored, nothing is removed, unless the plan is there already: then it is
// half gone.
func (r *repository) planRemoval(ctx context.Context, options engine.BackupOptions, planned bool) error {
	info, err := r.info(ctx)
	_, holds := info.Newest()
	if planned && halfGone(holds, err) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := outlived(r.Name, info, options, r.config.Clock.Now()); err != nil || planned {
		return err
	}
	labels := make([]string, len(info.Backups))
	for i, b := range info.Backups {
		labels[i] = b.Label
	}
	r.config.Log.Info("plan of what is removed: the whole repository", "destination", r.Name, "generation", r.Generation, "backups", labels)
	_, err = r.ask(ctx, strings.NewReader(strings.Join(labels, "\n")+"\n"), append(r.arguments("repo-put", "--raw"), removalFile)...)
	return err
}

// halfGone reports whether a repository looks as one does that is being removed. One that cannot be looked at, or that another
// key opens, does not.
func halfGone(holds bool, err error) bool {
	if err == nil {
		return !holds
	}
	reason := asFailure(err).Reason
	return reason == engine.FailedDamaged || reason == engine.FailedEngine
}

// outlived refuses to remove a repository that holds a backup, or a minute, that is to be kept, or nothing that it can be
// told by.
func outlived(destination string, info engine.Info, options engine.BackupOptions, now time.Time) error {
	newest, ok := info.Newest()
	keep := max(options.BackupDays, options.PointInTimeDays)
	switch {
	case !ok:
		return fail(engine.FailedDamaged, "destination %s: nothing was removed: something lies in the repository, but its catalogue holds no backup, so that nothing tells whether all of them have expired; look at it, and remove it by hand", destination)
	case !newest.FinishedAt.AddDate(0, 0, int(keep)).Before(now):
		return fail(engine.FailedEngine, "destination %s: nothing was removed: backup %s is of %s, and is kept for %d days", destination, newest.Label, newest.FinishedAt.UTC().Format(time.RFC3339), keep)
	}
	return nil
}
