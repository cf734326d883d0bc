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

// removalFile in a repository is the plan of its removal: it is written once all has been looked at, and goes last. Who was
// killed in between goes on by it, since what is left can not be looked at any more.
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
	stored, err := r.list(ctx)
	if err != nil {
		return result, err
	}
	if len(stored) == 0 { // Where else it may lie, nobody knows: its key stays.
		return result, fail(engine.FailedDamaged, "destination %s: nothing lies where generation %d of the repository should; somebody else removed it, or it is looked for at another place", r.Name, r.Generation)
	}
	if !slices.Contains(stored, removalFile) {
		if err := r.planRemoval(ctx, options); err != nil {
			return result, err
		}
	}
	// The plan goes last.
	for _, name := range append(slices.DeleteFunc(stored, func(name string) bool { return name == removalFile }), removalFile) {
		if err := r.do(ctx, append(r.arguments("repo-rm", "--recurse"), name)...); err != nil {
			return result, err
		}
	}
	if stored, err = r.list(ctx); err == nil && len(stored) > 0 {
		err = fail(engine.FailedEngine, "destination %s: after generation %d of the repository was removed, there is still %s", r.Name, r.Generation, strings.Join(stored, ", "))
	}
	return result, err
}

// list is what lies in the repository's folder itself.
func (r *repository) list(ctx context.Context) ([]string, error) {
	stored, err := r.ask(ctx, nil, r.arguments("repo-ls")...)
	return strings.Fields(string(stored)), err
}

// planRemoval looks whether the repository may be removed, and writes down that it will be. From a catalogue that cannot be
// read, or that holds nothing although something is stored, nothing is removed.
func (r *repository) planRemoval(ctx context.Context, options engine.BackupOptions) error {
	info, err := r.info(ctx)
	if err != nil {
		return err
	}
	if err := outlived(r.Name, info, options, r.config.Clock.Now()); err != nil {
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
