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
	"regexp"

	"github.com/freehold-dev/freehold/controllers/backup/engine"
	"github.com/freehold-dev/freehold/controllers/internal/volume"
)

// noteFile in a restored cluster says which restore made it, and what that reached.
const noteFile = "freehold-restore.json"

// note is the content of noteFile.
type note struct {
	Restore  string          `json:"restore"`
	Recovery engine.Recovery `json:"recovery"`
}

// identifiers become part of a folder's name, so nothing else may pass.
var identifiers = regexp.MustCompile(`^[a-zA-Z0-9]([-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?$`)

// RunRestore restores into a volume of the instance, which must be empty or hold what an earlier attempt of the same
// restore left. Once it is done it can be repeated, and tells the same again.
func RunRestore(ctx context.Context, c Config, options engine.RestoreOptions) (engine.Result, error) {
	result := engine.Result{Job: engine.JobRestore, Destination: options.Destination}
	if !identifiers.MatchString(options.Restore) || !identifiers.MatchString(options.InstanceID) {
		return result, fmt.Errorf("%q and %q are no names of a restore and an instance", options.Restore, options.InstanceID)
	}
	lock, err := lockVolume(c.DataDir)
	if err != nil {
		return result, err
	}
	defer lock.Close() //nolint:errcheck // nothing was written; the lock ends with the process at the latest.
	done, err := c.finished(options)
	if err != nil {
		return result, err
	}
	if done == nil {
		done, err = c.restore(ctx, options, lock)
	}
	if err != nil {
		return result, err
	}
	result.Recovery = &done.Recovery
	return result, volume.WriteMark(c.MarkFile, volume.Mark{InstanceID: options.InstanceID})
}

// finished is the note of this restore if it has been done; nil if it is still to be done. Anything else is refused.
func (c Config) finished(options engine.RestoreOptions) (*note, error) {
	content, err := os.ReadFile(filepath.Join(c.PGData, noteFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, onlyHolds(c.DataDir, c.partial(options))
	}
	if err != nil {
		return nil, fmt.Errorf("read which restore made the database on the volume: %w", err)
	}
	var found note
	if err := json.Unmarshal(content, &found); err != nil {
		return nil, fmt.Errorf("understand which restore made the database on the volume: %w", err)
	}
	inner, err := volume.ReadMark(c.innerMark(c.PGData))
	if err != nil {
		return nil, err
	}
	if found.Restore != options.Restore || inner == nil || inner.InstanceID != options.InstanceID {
		return nil, fmt.Errorf("the volume already holds a database, which restore %s made; nothing was changed", found.Restore)
	}
	c.Log.Info("the restore has been done before", "restore", options.Restore)
	return &found, nil
}

func (c Config) partial(options engine.RestoreOptions) string {
	return filepath.Join(c.DataDir, "restore-"+options.Restore+volume.PartialSuffix)
}

// innerMark is the mark in a cluster's folder.
func (c Config) innerMark(cluster string) string {
	return filepath.Join(cluster, filepath.Base(c.MarkFile))
}

// restore makes the cluster under another name, marks it, and only then gives it its name.
func (c Config) restore(ctx context.Context, options engine.RestoreOptions, lock *os.File) (*note, error) {
	r, err := c.open(options.Destination, options.Generation)
	if err != nil {
		return nil, err
	}
	began := c.Clock.Now()
	from, err := r.choose(ctx, wish{target: options.Target, backup: options.Backup, timeline: options.Timeline})
	if err != nil {
		return nil, err
	}
	folder := c.partial(options)
	s, err := r.recoverInto(ctx, from, folder, recoverOptions{keepLog: true, after: options.TimelineAfter, lock: lock})
	if err != nil {
		return nil, err
	}
	defer s.kill()
	found, err := s.look(ctx, from, int(c.Clock.Since(began).Seconds()))
	if err != nil {
		return nil, err
	}
	if err := checkIdentity(found, options.SystemIdentifier); err != nil {
		return nil, err
	}
	if err := s.stop(); err != nil {
		return nil, err
	}
	made := &note{Restore: options.Restore, Recovery: *found}
	c.Log.Info("restored", "destination", r.Name, "recovery", found)
	return made, c.settle(folder, options.InstanceID, made)
}

// settle makes a restored cluster the instance's.
func (c Config) settle(folder, instanceID string, made *note) error {
	if err := os.Remove(filepath.Join(folder, "postmaster.opts")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove what the restored server wrote of its start: %w", err)
	}
	// It is not restored, so that nothing of it counts; a server can do without, but expects it.
	if err := os.WriteFile(filepath.Join(folder, "postgresql.auto.conf"), []byte("# Written by Freehold: nothing is set here.\n"), 0o600); err != nil {
		return fmt.Errorf("write the restored database's settings: %w", err)
	}
	content, err := json.Marshal(made)
	if err != nil {
		return fmt.Errorf("write down what was restored: %w", err)
	}
	if err := os.WriteFile(filepath.Join(folder, noteFile), append(content, '\n'), 0o600); err != nil {
		return fmt.Errorf("write down what was restored: %w", err)
	}
	// The backup's mark is that of the instance that was backed up.
	if err := volume.WriteMark(c.innerMark(folder), volume.Mark{InstanceID: instanceID}); err != nil {
		return err
	}
	if err := os.Rename(folder, c.PGData); err != nil {
		return fmt.Errorf("give the restored database its final name: %w", err)
	}
	return volume.SyncFolder(c.DataDir)
}
