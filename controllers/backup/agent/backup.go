// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/backup/engine"
	"github.com/freehold-dev/freehold/controllers/internal/command"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

const (
	// codeLocked is how pgBackRest ends when another base backup of the database, to another destination, is under way.
	codeLocked = 50
	// codeNoPrimary is how it ends when it could not talk to the database; a lock there is one reason among others.
	codeNoPrimary = 56
	// codeMissing is how it ends when one half of a repository is there and the other is not.
	codeMissing = 55
	// lockedInterval is the pause until it is tried again; the Job's deadline bounds how often.
	lockedInterval = 20 * time.Second
	// mostNamed is how many removed backups a Result names.
	mostNamed = 20
)

// RunBackup makes a base backup in one destination, removes what has expired there, and reads the catalogue. The result
// tells how far it came also when there is an error.
func RunBackup(ctx context.Context, c Config, options engine.BackupOptions) (engine.Result, error) {
	result := engine.Result{Job: engine.JobBackup, Destination: options.Destination}
	r, err := c.open(options.Destination, options.Generation)
	if err != nil {
		return result, err
	}
	before, err := r.begin(ctx, options.Held || options.Verified != "")
	if err != nil {
		return result, err
	}
	if err := r.putEscrow(ctx); err != nil {
		return result, err
	}
	after, err := r.backUp(ctx, options, before, &result)
	if err != nil {
		return result, errors.Join(err, r.tellOld(ctx, before, &result))
	}
	// Only now: what expires is removed after a success, never before.
	return result, r.expire(ctx, options, after, &result)
}

// RunExpire removes what has expired in one destination, under the same guards as after a base backup, and reads the
// catalogue. It works on the repository alone: the database need not run.
func RunExpire(ctx context.Context, c Config, options engine.BackupOptions) (engine.Result, error) {
	result := engine.Result{Job: engine.JobExpire, Destination: options.Destination}
	r, err := c.open(options.Destination, options.Generation)
	if err != nil {
		return result, err
	}
	info, err := r.info(ctx)
	if err != nil {
		return result, err // From a catalogue that cannot be read nothing is removed.
	}
	if err := r.expire(ctx, options, info, &result); err != nil {
		return result, err
	}
	if failure := result.Expiry.Failure; failure != nil {
		return result, &failed{*failure}
	}
	return result, nil
}

// begin returns what the destination holds, and makes a repository of one that holds nothing. pgBackRest refuses to make
// one in a folder with something else in it, and to back up into that of another database. It is not made again each
// time: while it is, no segment of the log is handed over, and one that is due then waits for a minute. held says that it is
// known to have held a base backup.
func (r *repository) begin(ctx context.Context, held bool) (engine.Info, error) {
	info, err := r.info(ctx)
	if err != nil || !info.Empty {
		return info, err
	}
	if err := r.make(ctx, held); err != nil {
		return engine.Info{}, err
	}
	return r.info(ctx)
}

// make makes the repository. What a Job left that was killed in the middle of it is removed first: pgBackRest, which writes
// the archive's half before that of the backups, would refuse to go on for ever. Where there was a backup once, its half
// was made and has been taken away since: the log stays, for the day that somebody brings it back.
func (r *repository) make(ctx context.Context, held bool) error {
	create := r.ofStanza("stanza-create")
	err := r.doWhenFree(ctx, create...)
	if exitCode(err) != codeMissing {
		return err
	}
	if held {
		return fail(engine.FailedDamaged, "destination %s held base backups of this database, and a part of the repository is missing now: somebody took it away. Nothing was changed. Bring it back; or, if it is gone for good, remove the folders archive and backup there: then a new history begins with a full backup (%s)",
			r.Name, err)
	}
	if half, look := r.halfMade(ctx); !half {
		return errors.Join(err, look)
	}
	r.config.Log.Info("removing a repository that was never made completely", "destination", r.Name)
	if err := r.do(ctx, append(r.arguments("repo-rm", "--recurse"), archiveRoot)...); err != nil {
		return err
	}
	return r.doWhenFree(ctx, create...)
}

// halfMade reports whether the destination has an archive of this very instance, readable with its key, to which no base
// backup was ever begun: nothing can be restored from it.
func (r *repository) halfMade(ctx context.Context) (bool, error) {
	backups, err := r.ask(ctx, nil, append(r.arguments("repo-ls", "--recurse"), "backup/"+meta.BackupStanza)...)
	if err != nil || strings.TrimSpace(string(backups)) != "" {
		return false, err
	}
	archive, err := r.ask(ctx, nil, append(r.arguments("repo-get", "--ignore-missing"), archiveRoot+"/archive.info")...)
	return bytes.Contains(archive, []byte("db-system-id")), err
}

// doWhenFree runs a command that works on the database, as soon as no other such command does: pgBackRest locks it against
// a base backup to another destination.
func (r *repository) doWhenFree(ctx context.Context, arguments ...string) error {
	for {
		err := r.do(ctx, arguments...)
		if !locked(err) {
			return err
		}
		r.config.Log.Info("a base backup to another destination is under way: waiting", "destination", r.Name)
		select {
		case <-ctx.Done():
			return errStopped
		case <-r.config.Clock.After(lockedInterval):
		}
	}
}

// locked reports whether a command failed only since another one has the database.
func locked(err error) bool {
	var e *exited
	return errors.As(err, &e) && (e.code == codeLocked || e.code == codeNoPrimary && strings.Contains(e.output, "[LockAcquireError]"))
}

// backUp makes the base backup and returns the catalogue with it.
func (r *repository) backUp(ctx context.Context, options engine.BackupOptions, before engine.Info, result *engine.Result) (engine.Info, error) {
	kind, err := engine.NextBackup(before.Backups, options, r.config.Clock.Now())
	if err != nil {
		return engine.Info{}, err
	}
	r.config.Log.Info("making a base backup", "destination", r.Name, "type", kind)
	types := map[v1alpha1.BackupType]string{v1alpha1.BackupFull: "full", v1alpha1.BackupIncremental: "incr"}
	if err := r.doWhenFree(ctx, r.ofStanza("backup", "--type="+types[kind])...); err != nil {
		return engine.Info{}, err
	}
	after, err := r.info(ctx)
	if err != nil {
		return engine.Info{}, err
	}
	made := newest(before, after)
	if made == nil {
		return engine.Info{}, fail(engine.FailedEngine, "destination %s: pgBackRest ended well, but its catalogue holds no new backup", r.Name)
	}
	result.Backup = &made.Backup
	return after, nil
}

// newest is the last backup of a catalogue that was not in the one before.
func newest(before, after engine.Info) *engine.Record {
	var made *engine.Record
	for i, b := range after.Backups {
		if _, known := before.Find(b.Label); !known && (made == nil || b.FinishedAt.After(made.FinishedAt)) {
			made = &after.Backups[i]
		}
	}
	return made
}

// putEscrow stores the tenant's encrypted keys beside the backups, where they are not there yet. With versioning, each
// put would be a new version.
func (r *repository) putEscrow(ctx context.Context) error {
	wanted, err := os.ReadFile(filepath.Join(r.config.BackupDir, meta.KeyEscrowFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the encrypted keys: %w", err)
	}
	const codeNotThere = 1
	stored, err := r.ask(ctx, nil, append(r.arguments("repo-get", "--raw", "--ignore-missing"), meta.KeyEscrowFile)...)
	if err != nil && exitCode(err) != codeNotThere {
		return err
	}
	if err == nil && bytes.Equal(stored, wanted) {
		return nil
	}
	if _, err := r.ask(ctx, bytes.NewReader(wanted), append(r.arguments("repo-put", "--raw"), meta.KeyEscrowFile)...); err != nil {
		return err
	}
	r.config.Log.Info("stored the encrypted keys", "destination", r.Name)
	return nil
}

// expire removes what has expired. That it cannot is told in the result, and is no failure of the backup.
func (r *repository) expire(ctx context.Context, options engine.BackupOptions, info engine.Info, result *engine.Result) error {
	plan := engine.Expirable(info.Backups, options, r.config.Clock.Now())
	result.Expiry = &engine.Expiry{Held: plan.Held, HeldForWindow: plan.HeldForWindow}
	r.config.Log.Info("plan of what is removed", "destination", r.Name, "backups", plan.Labels, "keepLogOf", plan.KeepLogOf,
		"held", plan.Held, "heldForWindow", plan.HeldForWindow)
	err := r.foretell(ctx, plan, info, result)
	if err == nil {
		err = r.carryOut(ctx, plan, info, result)
	}
	if err != nil && result.Catalogue != nil {
		result.Expiry.Planned = len(plan.Labels) // Some of them may be gone.
	}
	if errors.Is(err, errStopped) {
		return err
	}
	if err != nil {
		failure := asFailure(err)
		result.Expiry.Failure = &failure
	}
	return nil
}

// foretell leaves word of what is about to be removed: should the container be killed meanwhile, those backups must not
// look as if somebody else had removed them.
func (r *repository) foretell(ctx context.Context, plan engine.Removal, info engine.Info, result *engine.Result) error {
	if len(plan.Labels) == 0 {
		return nil
	}
	catalogue, err := r.catalogue(ctx, info)
	if err != nil {
		return err
	}
	result.Catalogue = catalogue
	told := foretold(plan, *result)
	encoded, err := encode(told, told.Failure, told.Expiry)
	if err != nil {
		return err
	}
	command.Tell(string(encoded))
	return nil
}

// carryOut removes what is planned, and reads the catalogue that remains.
func (r *repository) carryOut(ctx context.Context, plan engine.Removal, info engine.Info, result *engine.Result) error {
	after, err := r.remove(ctx, plan, info)
	if err != nil {
		return err
	}
	catalogue, err := r.catalogue(ctx, after)
	if err != nil {
		return err
	}
	result.Expiry.Removed, result.Catalogue = plan.Labels[:min(len(plan.Labels), mostNamed)], catalogue
	return nil
}

// foretold is what a Job has come to that is killed while it removes backups.
func foretold(plan engine.Removal, result engine.Result) engine.Result {
	result.Expiry = &engine.Expiry{Planned: len(plan.Labels)}
	result.Failure = &engine.Failure{Reason: engine.FailedNoResult, Message: fmt.Sprintf("the Job was ended while it removed %d expired backups", len(plan.Labels))}
	return result
}

// tellOld tells what the destination held before a backup that failed. The failure matters more than that this may fail.
func (r *repository) tellOld(ctx context.Context, before engine.Info, result *engine.Result) error {
	catalogue, err := r.catalogue(ctx, before)
	if errors.Is(err, errStopped) {
		return err
	}
	if err != nil {
		r.config.Log.Error("cannot list the archive", "destination", r.Name, "error", err)
		return nil
	}
	result.Catalogue = catalogue
	return nil
}

// catalogue sums up what the destination holds, with a look at every segment of the log that it has.
func (r *repository) catalogue(ctx context.Context, info engine.Info) (*engine.Catalogue, error) {
	newest, ok := info.Newest()
	if !ok || info.ArchiveID == "" {
		return info.Catalogue(nil, nil), nil
	}
	raw, err := r.ask(ctx, nil, append(r.arguments("repo-ls", "--recurse"), archiveFolder(info))...)
	if err != nil {
		return nil, err
	}
	files := strings.Fields(string(raw))
	var branches []engine.Branch
	if slices.Contains(files, historyFile(newest.Timeline())) {
		if branches, err = r.history(ctx, info, newest.Timeline()); err != nil {
			return nil, err
		}
	}
	return info.Catalogue(files, branches), nil
}

// remove carries the plan out and compares what is left with what should be.
func (r *repository) remove(ctx context.Context, plan engine.Removal, before engine.Info) (engine.Info, error) {
	if plan.KeepLogOf == 0 {
		return before, nil
	}
	for _, set := range plan.Sets {
		if err := r.do(ctx, r.ofStanza("expire", append(r.keepLog(mostBackups), "--set="+set)...)...); err != nil {
			return engine.Info{}, err
		}
	}
	if err := r.do(ctx, r.ofStanza("expire", r.keepLog(plan.KeepLogOf)...)...); err != nil {
		return engine.Info{}, err
	}
	after, err := r.info(ctx)
	if err != nil {
		return engine.Info{}, err
	}
	return after, compare(r.Name, plan, before, after)
}

// mostBackups is the greatest number that pgBackRest takes.
const mostBackups = 9999999

// keepLog are the options that keep the log of so many of the newest backups, of whatever type, without a gap.
func (r *repository) keepLog(backups int) []string {
	return []string{
		fmt.Sprintf("--repo%d-retention-archive-type=incr", r.Repository),
		fmt.Sprintf("--repo%d-retention-archive=%d", r.Repository, backups),
	}
}

// compare says which backups are gone that should not be, and which are there that should not.
func compare(destination string, plan engine.Removal, before, after engine.Info) error {
	var missing, remaining []string
	for _, b := range before.Backups {
		_, there := after.Find(b.Label)
		switch planned := slices.Contains(plan.Labels, b.Label); {
		case there && planned:
			remaining = append(remaining, b.Label)
		case !there && !planned:
			missing = append(missing, b.Label)
		}
	}
	switch {
	case len(missing) > 0:
		return fail(engine.FailedDamaged, "destination %s: after expired backups were removed, others that should be there are not: %s. Find out who else removes backups there.",
			destination, strings.Join(missing, ", "))
	case len(remaining) > 0:
		return fail(engine.FailedEngine, "destination %s: pgBackRest ended well, but expired backups are still there: %s", destination, strings.Join(remaining, ", "))
	}
	return nil
}
