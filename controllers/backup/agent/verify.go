// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/freehold-dev/freehold/controllers/backup/engine"
	"github.com/freehold-dev/freehold/controllers/internal/volume"
)

// RunVerify restores into a throw-away volume and looks at what came back. The volume must be empty, or hold what an
// earlier attempt left.
func RunVerify(ctx context.Context, c Config, options engine.VerifyOptions) (engine.Result, error) {
	result := engine.Result{Job: engine.JobVerify, Destination: options.Destination}
	folder := filepath.Join(c.DataDir, "verify"+volume.PartialSuffix)
	if err := onlyHolds(c.DataDir, folder); err != nil {
		return result, err
	}
	r, err := c.open(options.Destination, options.Generation)
	if err != nil {
		return result, err
	}
	began := c.Clock.Now()
	from, err := r.choose(ctx, wish{target: options.Target, backup: options.Backup, timeline: options.Timeline})
	if err != nil {
		return result, err
	}
	s, err := r.recoverInto(ctx, from, folder, recoverOptions{})
	if err != nil {
		return result, err
	}
	defer s.kill()
	if result.Recovery, err = s.look(ctx, from, int(c.Clock.Since(began).Seconds())); err != nil {
		return result, err
	}
	c.Log.Info("restored", "destination", r.Name, "recovery", result.Recovery)
	return result, s.check(ctx, result.Recovery, options)
}

// check looks at everything, and tells all that it finds.
func (s *server) check(ctx context.Context, found *engine.Recovery, options engine.VerifyOptions) error {
	if err := checkIdentity(found, options.SystemIdentifier); err != nil {
		return err
	}
	if err := checkHeartbeat(found, options.MaxHeartbeatGap); err != nil {
		return err
	}
	if err := s.amcheck(ctx); err != nil {
		return err
	}
	if err := s.assert(ctx, options.Database, options.Assertions); err != nil {
		return err
	}
	return s.stop()
}

// recoverOptions are how a verification and a restore differ.
type recoverOptions struct {
	// keepLog makes what the server writes wait for the database pod's archive.
	keepLog bool
	// after is a timeline that the new one must come after.
	after int
	// lock is inherited by the server.
	lock *os.File
}

// recoverInto restores the base backup into the folder, replays the write-ahead log to the target, and returns the server
// once it takes writes. What the folder held before, of an earlier attempt, is removed.
func (r *repository) recoverInto(ctx context.Context, from origin, folder string, options recoverOptions) (*server, error) {
	c := r.config
	c.Log.Info("restoring", "destination", r.Name, "backup", from.backup.Label, "target", from.target, "timeline", from.timeline)
	if err := errors.Join(os.RemoveAll(folder), os.RemoveAll(r.spool())); err != nil {
		return nil, fmt.Errorf("remove what an interrupted attempt left: %w", err)
	}
	if err := errors.Join(os.Mkdir(folder, 0o700), os.MkdirAll(r.spool(), 0o700)); err != nil {
		return nil, fmt.Errorf("make room for the restored database: %w", err)
	}
	if err := r.fetch(ctx, from, folder); err != nil {
		return nil, err
	}
	if err := reserveTimelines(folder, from.timeline, max(from.newest, options.after)); err != nil {
		return nil, err
	}
	var files []*os.File
	if options.lock != nil {
		files = append(files, options.lock)
	}
	s, err := c.startServer(recovery{
		folder: folder, restoreCommand: r.restoreCommand(folder), target: from.target, immediate: from.immediate,
		timeline: strconv.Itoa(from.timeline), keepLog: options.keepLog,
	}, files...)
	if err != nil {
		return nil, err
	}
	if err := s.serving(ctx); err != nil {
		s.kill()
		return nil, err
	}
	return s, releaseTimelines(folder)
}

// reservation is what stands in place of the history of a timeline that is not to be used.
const reservation = "# reserved by Freehold\n"

// reserveTimelines makes the server choose a new timeline after the last one: it takes the first after its own of which
// there is no history. A destination that was down for a while may not know those that others know, and two timelines of
// the same number would be two different logs of the same name.
func reserveTimelines(folder string, timeline, last int) error {
	for number := timeline + 1; number <= last; number++ {
		path := filepath.Join(folder, "pg_wal", historyFile(number))
		file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, os.ErrExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("reserve a timeline: %w", err)
		}
		_, err = file.WriteString(reservation)
		if err := errors.Join(err, file.Close()); err != nil {
			return fmt.Errorf("reserve a timeline: %w", err)
		}
	}
	return nil
}

// releaseTimelines removes the reservations.
func releaseTimelines(folder string) error {
	paths, err := filepath.Glob(filepath.Join(folder, "pg_wal", "*.history"))
	if err != nil {
		return fmt.Errorf("look for reserved timelines: %w", err)
	}
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("read a timeline's history: %w", err)
		}
		if string(content) != reservation {
			continue
		}
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("remove a timeline's reservation: %w", err)
		}
	}
	return nil
}

// onlyHolds refuses a volume on which anything lies but the one folder.
func onlyHolds(volume, folder string) error {
	entries, err := os.ReadDir(volume)
	if err != nil {
		return fmt.Errorf("list the volume: %w", err)
	}
	for _, entry := range entries {
		if path := filepath.Join(volume, entry.Name()); path != folder && entry.Name() != "lost+found" {
			return fmt.Errorf("the volume is not empty: it holds %s; nothing was changed", entry.Name())
		}
	}
	return nil
}

// lockVolume keeps a second restore away from the volume, also one in another pod on the same machine.
func lockVolume(path string) (*os.File, error) {
	folder, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open the volume to lock it: %w", err)
	}
	if err := syscall.Flock(int(folder.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("another restore still works with the volume: %w", err), folder.Close())
	}
	return folder, nil
}
