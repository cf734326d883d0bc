// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/utils/ptr"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/backup/engine"
	"github.com/freehold-dev/freehold/controllers/internal/command"
)

// RunFilesBackup makes a snapshot of the application's data in one destination, removes what has expired there, and reads
// the catalogue. The result tells how far it came also when there is an error.
func RunFilesBackup(ctx context.Context, c Config, options engine.FilesBackupOptions) (engine.FilesResult, error) {
	return inTime(ctx, func(ctx context.Context) (engine.FilesResult, error) { return c.backUpFiles(ctx, options) })
}

// mostFilesTime is when the work on the application's data is given up: before the Job's deadline of twelve hours, at which
// its pod would be removed together with what the database's container has left.
const mostFilesTime = 11 * time.Hour

// inTime gives work up that takes too long.
func inTime(ctx context.Context, work func(context.Context) (engine.FilesResult, error)) (engine.FilesResult, error) {
	limited, cancel := context.WithTimeout(ctx, mostFilesTime)
	defer cancel()
	result, err := work(limited)
	if errors.Is(err, errStopped) && ctx.Err() == nil {
		err = fail(engine.FailedEngine, "the application's data took longer than %s; the work was given up, and the next one goes on with what has been stored", mostFilesTime)
	}
	return result, err
}

func (c Config) backUpFiles(ctx context.Context, options engine.FilesBackupOptions) (engine.FilesResult, error) {
	result := engine.FilesResult{Job: engine.JobBackup, Destination: options.Destination}
	r, err := c.openFiles(ctx, options.Destination, options.Generation, options.InstanceID)
	if err != nil {
		return result, err
	}
	before, err := r.begin(ctx, options.Held)
	if err != nil && !before.gone {
		return result, err
	}
	result.Catalogue, result.Found = engine.CatalogueOf(before.snapshots), ptr.To(len(engine.Whole(before.snapshots)))
	if err != nil {
		return result, err
	}
	after, err := r.backUp(ctx, before, &result)
	if err != nil {
		return result, err
	}
	// Only now: what expires is removed after a success, never before.
	return result, r.expire(ctx, options, after, &result)
}

// begin returns what the destination holds, and makes a repository of one that holds none. Where there was one, none is
// made until a person has seen that it is gone: a new one would look as if all were well.
func (r *filesRepository) begin(ctx context.Context, held bool) (inventory, error) {
	err := r.reach(ctx)
	missing := exitCode(err) == engine.ResticNoRepository
	if missing && held {
		return inventory{gone: true}, fail(engine.FailedDamaged,
			"destination %s held snapshots of the application's data, and the repository with them is gone: somebody removed it. Nothing was changed. Bring it back; or, if it is gone for good, say that you have seen it (%s on the Tenant): then a new one is made",
			r.name, v1alpha1.AnnotationMissingBackupsSeen)
	}
	if missing {
		err = r.make(ctx)
	}
	if err != nil {
		return inventory{}, err
	}
	// A Job that was killed leaves its lock, which would keep expired snapshots from being removed. No other one can be at
	// work: the operator makes one Job at a time for each repository, and this repository is one instance's alone. Those
	// that verify and restore take no locks.
	if _, err := r.ask(ctx, "unlock", "--remove-all"); err != nil {
		return inventory{}, err
	}
	return r.list(ctx)
}

// make makes the repository. What a Job left that was killed in the middle of it is removed first: restic, which stores a
// key before all else, would refuse to go on for ever. It cannot remove it itself; pgBackRest, whose repository is around it,
// can.
func (r *filesRepository) make(ctx context.Context) error {
	r.config.Log.Info("making a repository for the application's data", "destination", r.name)
	_, err := r.ask(ctx, "init")
	if err == nil || !engine.HoldsKeysOnly(err.Error()) {
		return err
	}
	around, openErr := r.config.open(r.name, r.generation)
	if openErr != nil {
		return errors.Join(err, openErr)
	}
	stored, listErr := around.ask(ctx, nil, append(around.arguments("repo-ls", "--recurse", "--output=json"), engine.FilesFolder)...)
	if half, parseErr := engine.HalfMade(stored); listErr != nil || parseErr != nil || !half {
		return errors.Join(err, listErr, parseErr)
	}
	r.config.Log.Info("removing a repository for the application's data that was never made completely", "destination", r.name)
	if err := around.do(ctx, append(around.arguments("repo-rm", "--recurse"), engine.FilesFolder)...); err != nil {
		return err
	}
	_, err = r.ask(ctx, "init")
	return err
}

// backUp makes the snapshot, and returns the catalogue with it. It counts as one in which files are missing until it is
// known that none are, whoever is killed meanwhile.
func (r *filesRepository) backUp(ctx context.Context, before inventory, result *engine.FilesResult) (inventory, error) {
	volume := r.config.FilesDir
	r.config.Log.Info("making a snapshot of the application's data", "destination", r.name)
	answer, told, err := r.run(ctx, "backup", before.parent(), "--json", "--no-scan", "--one-file-system",
		"--host="+r.instanceID, "--tag="+r.instanceID, "--tag="+engine.TagUnfinished,
		"--exclude="+filepath.Join(volume, "lost+found"), "--exclude="+filepath.Join(volume, filesNote), volume)
	if err != nil && exitCode(err) != engine.ResticIncomplete {
		return inventory{}, err
	}
	said := engine.ParseSaid(answer + told)
	whole := r.whole(said)
	if whole == nil {
		_, whole = r.ask(ctx, "tag", "--remove="+engine.TagUnfinished, said.SnapshotID)
	}
	after, err := r.list(ctx)
	if err != nil {
		return inventory{}, errors.Join(whole, err)
	}
	result.Catalogue = engine.CatalogueOf(after.snapshots)
	made, ok := engine.MadeAs(after.snapshots, said.SnapshotID)
	if !ok {
		return inventory{}, fail(engine.FailedEngine, "application data in destination %s: restic ended well, but its catalogue does not hold the new snapshot", r.name)
	}
	result.Snapshot = &made
	return after, whole
}

// parent says by which snapshot files are known that have not changed. Restic would look for it itself, but stops at the
// first snapshot that cannot be read.
func (i inventory) parent() string {
	if len(i.snapshots) == 0 {
		return "--force"
	}
	return "--parent=" + i.snapshots[len(i.snapshots)-1].ID
}

// mostUnread is how many files that could not be read a message names.
const mostUnread = 3

// whole is an error if files are missing in a snapshot. One that went away while it was made is not missing.
func (r *filesRepository) whole(said engine.Said) error {
	if len(said.Unread) == 0 {
		return nil
	}
	named := said.Unread[:min(len(said.Unread), mostUnread)]
	return fail(engine.FailedEngine, "application data in destination %s: %d files or folders could not be read by the application's user, and are missing in the snapshot, which is therefore never restored: %s",
		r.name, len(said.Unread), strings.Join(named, "; "))
}

// expire removes what has expired. That it cannot is told in the result, and is no failure of the backup.
func (r *filesRepository) expire(ctx context.Context, options engine.FilesBackupOptions, before inventory, result *engine.FilesResult) error {
	plan := engine.ExpirableSnapshots(before.snapshots, options, r.config.Clock.Now())
	result.Expiry = &engine.Expiry{Held: plan.Held, HeldForWindow: plan.HeldForWindow}
	r.config.Log.Info("plan of what is removed of the application's data", "destination", r.name, "snapshots", plan.IDs,
		"held", plan.Held, "heldForWindow", plan.HeldForWindow, "damaged", before.damaged)
	err := before.damaged // From a catalogue that cannot be read nothing is removed.
	if err == nil && len(plan.IDs) > 0 {
		err = r.remove(ctx, plan, before, result)
	}
	if errors.Is(err, errStopped) {
		return err
	}
	result.Expiry.Failure = failureOf(err)
	return nil
}

// foretell leaves word of what is about to be removed: should the container be killed meanwhile, those snapshots must not
// look as if somebody else had removed them.
func (r *filesRepository) foretell(plan engine.FilesRemoval, result *engine.FilesResult) error {
	told := foretoldFiles(plan, *result)
	result.Expiry.Planned = len(plan.IDs) // Also if the removal fails: some of them may be gone.
	encoded, err := encode(told, told.Failure, told.Expiry)
	if err != nil {
		return err
	}
	command.Tell(string(encoded))
	return nil
}

// foretoldFiles is what a Job has come to that is killed while it removes snapshots.
func foretoldFiles(plan engine.FilesRemoval, result engine.FilesResult) engine.FilesResult {
	result.Expiry = &engine.Expiry{Planned: len(plan.IDs)}
	result.Failure = &engine.Failure{Reason: engine.FailedNoResult, Message: fmt.Sprintf("the Job was ended while it removed %d expired snapshots", len(plan.IDs))}
	return result
}

// remove carries the plan out, and compares what is left with what should be.
func (r *filesRepository) remove(ctx context.Context, plan engine.FilesRemoval, before inventory, result *engine.FilesResult) error {
	if err := r.foretell(plan, result); err != nil {
		return err
	}
	// Without unused data in packs: what has expired shall be gone, whatever it costs to write the rest anew.
	if _, err := r.ask(ctx, "forget", append([]string{"--prune", "--max-unused=0"}, plan.IDs...)...); err != nil {
		return err
	}
	after, err := r.list(ctx)
	if err != nil {
		return err
	}
	result.Catalogue, result.Expiry.Planned = engine.CatalogueOf(after.snapshots), 0
	missing, remaining := engine.SnapshotsAfterRemoval(plan, before.snapshots, after.snapshots)
	switch {
	case after.damaged != nil:
		return after.damaged
	case len(missing) > 0:
		return fail(engine.FailedDamaged, "application data in destination %s: after expired snapshots were removed, others that should be there are not: %s. Find out who else removes them there.",
			r.name, strings.Join(missing, ", "))
	case len(remaining) > 0:
		return fail(engine.FailedEngine, "application data in destination %s: restic ended well, but expired snapshots are still there: %s", r.name, strings.Join(remaining, ", "))
	}
	for _, id := range plan.IDs[:min(len(plan.IDs), mostNamed)] {
		result.Expiry.Removed = append(result.Expiry.Removed, id[:min(len(id), shortID)])
	}
	return nil
}

// shortID is how many digits of a snapshot's ID are enough to know it by.
const shortID = 8
