// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/freehold-dev/freehold/controllers/backup/engine"
	"github.com/freehold-dev/freehold/controllers/internal/volume"
)

// lostAndFound is on every new volume of some file systems, and belongs to root.
const lostAndFound = "lost+found"

// RunFilesVerify restores a snapshot of the application's data into a throw-away volume and compares each file with it.
// The volume must be empty, or hold what an earlier attempt left.
func RunFilesVerify(ctx context.Context, c Config, options engine.FilesVerifyOptions) (engine.FilesResult, error) {
	return inTime(ctx, func(ctx context.Context) (engine.FilesResult, error) { return c.verifyFiles(ctx, options) })
}

func (c Config) verifyFiles(ctx context.Context, options engine.FilesVerifyOptions) (engine.FilesResult, error) {
	result := engine.FilesResult{Job: engine.JobVerify, Destination: options.Destination}
	folder := filepath.Join(c.FilesDir, "verify"+volume.PartialSuffix)
	if err := onlyHolds(c.FilesDir, folder); err != nil {
		return result, err
	}
	if err := errors.Join(removeAll(folder), os.MkdirAll(folder, 0o700)); err != nil {
		return result, fmt.Errorf("make room for the application's data: %w", err)
	}
	r, found, err := c.openForRestore(ctx, options.FilesSource)
	if err != nil {
		return result, err
	}
	recovery := &engine.FilesRecovery{Target: options.Target}
	recovery.Snapshot, err = r.choose(found, options.FilesSource)
	if whole := engine.Whole(found.snapshots); err != nil && asFailure(err).Reason == engine.FailedTarget && len(whole) > 0 && options.Snapshot == "" {
		// Any whole snapshot is a proof of what lies there, and there is none from before the first one.
		recovery.Snapshot, recovery.Later, err = whole[0], true, nil
	}
	if err != nil {
		return result, err
	}
	if err := r.restore(ctx, folder, recovery); err != nil {
		return result, err
	}
	result.Recovery = recovery
	return result, nil
}

func (c Config) openForRestore(ctx context.Context, source engine.FilesSource) (*filesRepository, inventory, error) {
	r, err := c.openFiles(ctx, source.Destination, source.Generation, source.InstanceID)
	if err != nil {
		return nil, inventory{}, err
	}
	err = r.reach(ctx)
	if exitCode(err) == engine.ResticNoRepository {
		err = fail(engine.FailedTarget, "destination %s holds no application data of this instance", r.name)
	}
	if err != nil {
		return nil, inventory{}, err
	}
	found, err := r.list(ctx)
	return r, found, err
}

// restore brings a snapshot back into a folder and compares: restic each file's content with the snapshot, we that none is
// missing and none is there too much.
func (r *filesRepository) restore(ctx context.Context, folder string, recovery *engine.FilesRecovery) error {
	c, s := r.config, recovery.Snapshot
	c.Log.Info("restoring the application's data", "destination", r.name, "snapshot", s.ID, "finishedAt", s.FinishedAt, "target", recovery.Target)
	began := c.Clock.Now()
	// Labels of SELinux and the like are the node's to give, and only root may set them.
	_, err := r.ask(ctx, "restore", "--json", "--no-lock", "--verify", "--exclude-xattr=security.*", "--target="+folder, s.ID+":"+c.FilesDir)
	var known *failed
	if errors.As(err, &known) && known.Reason == engine.FailedFull {
		return fail(engine.FailedEngine, "the volume has no room for the application's data, which has %d bytes: %s", s.Bytes, known.Message)
	}
	if err != nil {
		return err
	}
	if recovery.Files, recovery.Bytes, err = count(folder); err != nil {
		return err
	}
	if recovery.Files != s.Files || recovery.Bytes != s.Bytes {
		return fail(engine.FailedDamaged, "application data in destination %s: snapshot %s says that it has %d files with %d bytes, but %d with %d came back",
			r.name, s.ID, s.Files, s.Bytes, recovery.Files, recovery.Bytes)
	}
	recovery.Seconds = int(c.Clock.Since(began).Seconds())
	c.Log.Info("restored the application's data", "destination", r.name, "recovery", recovery)
	return nil
}

// count counts files and their bytes, as a snapshot does: each name of a file, and no folder.
func count(folder string) (files, size int64, err error) {
	err = filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		name, _ := filepath.Rel(folder, path)
		switch {
		case name == lostAndFound && entry != nil:
			return fs.SkipDir
		case err != nil:
			return err
		case !entry.Type().IsRegular() || name == filesNote:
			return nil
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		files++
		size += info.Size()
		return nil
	})
	if err != nil {
		return 0, 0, fmt.Errorf("count the restored files: %w", err)
	}
	return files, size, nil
}

// filesNote in a volume that was restored to says which restore made it, and what that reached. Before it has been made
// whole it holds the restore's name only. It is no part of the application's data.
const filesNote = ".freehold-restore.json"

// filesNoted is the content of filesNote.
type filesNoted struct {
	Restore  string                `json:"restore"`
	Recovery *engine.FilesRecovery `json:"recovery,omitempty"`
}

// RunFilesRestore restores the application's data into a volume, which must be empty or hold what an earlier attempt of the
// same restore left. Once it is done it can be repeated, and tells the same again; what the application wrote meanwhile
// stays.
func RunFilesRestore(ctx context.Context, c Config, options engine.FilesRestoreOptions) (engine.FilesResult, error) {
	result := engine.FilesResult{Job: engine.JobRestore, Destination: options.Destination}
	if !identifiers.MatchString(options.Restore) {
		return result, fmt.Errorf("%q is no name of a restore", options.Restore)
	}
	lock, err := lockVolume(c.FilesDir)
	if err != nil {
		return result, err
	}
	defer lock.Close() //nolint:errcheck // nothing was written; the lock ends with the process at the latest.
	result.Recovery, err = c.filesRestored(options)
	if err != nil || result.Recovery != nil {
		return result, err
	}
	r, found, err := c.openForRestore(ctx, options.FilesSource)
	if err != nil {
		return result, err
	}
	recovery := &engine.FilesRecovery{Target: options.Target}
	if recovery.Snapshot, err = r.choose(found, options.FilesSource); err != nil {
		return result, err
	}
	if err := r.restore(ctx, c.FilesDir, recovery); err != nil {
		return result, err
	}
	// The files before the word that they are whole.
	if err := unix.Syncfs(int(lock.Fd())); err != nil {
		return result, fmt.Errorf("write the restored files to disk: %w", err)
	}
	result.Recovery = recovery
	return result, c.note(filesNoted{Restore: options.Restore, Recovery: recovery})
}

// filesRestored is what this restore reached if it has been done. If it is still to be done, the volume is empty afterwards
// but for the note that it belongs to this restore. Any other volume is refused.
func (c Config) filesRestored(options engine.FilesRestoreOptions) (*engine.FilesRecovery, error) {
	path := filepath.Join(c.FilesDir, filesNote)
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		// An attempt may have been killed while it wrote its note.
		if err := errors.Join(removeAll(path+volume.PartialSuffix), onlyHolds(c.FilesDir, path)); err != nil {
			return nil, err
		}
		return nil, c.note(filesNoted{Restore: options.Restore})
	}
	if err != nil {
		return nil, fmt.Errorf("read which restore made the volume: %w", err)
	}
	var found filesNoted
	if err := json.Unmarshal(content, &found); err != nil {
		return nil, fmt.Errorf("understand which restore made the volume: %w", err)
	}
	switch {
	case found.Restore != options.Restore:
		return nil, fmt.Errorf("the volume belongs to restore %s; nothing was changed", found.Restore)
	case found.Recovery != nil:
		c.Log.Info("the restore has been done before", "restore", options.Restore)
		return found.Recovery, nil
	}
	return nil, clearVolume(c.FilesDir)
}

// note writes filesNote.
func (c Config) note(noted filesNoted) error {
	content, err := json.Marshal(noted)
	if err != nil {
		return fmt.Errorf("write down what was restored: %w", err)
	}
	return volume.WriteFile(filepath.Join(c.FilesDir, filesNote), append(content, '\n'))
}

// clearVolume removes what an interrupted attempt left, but for its note.
func clearVolume(path string) error {
	entries, err := os.ReadDir(path)
	if err != nil {
		return fmt.Errorf("list the volume: %w", err)
	}
	for _, entry := range entries {
		if name := entry.Name(); name != filesNote && name != lostAndFound {
			if err := removeAll(filepath.Join(path, name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeAll removes what an interrupted attempt left. Folders may have been restored that their owner may not write to.
func removeAll(path string) error {
	err := filepath.WalkDir(path, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if entry != nil && entry.IsDir() {
			return os.Chmod(path, 0o700) // Before what is in it is listed.
		}
		return err
	})
	if err := errors.Join(err, os.RemoveAll(path)); err != nil {
		return fmt.Errorf("remove what an interrupted attempt left: %w", err)
	}
	return nil
}
