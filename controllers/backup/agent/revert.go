// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"

	"github.com/freehold-dev/freehold/controllers/backup/engine"
	"github.com/freehold-dev/freehold/controllers/internal/postgres"
	"github.com/freehold-dev/freehold/controllers/internal/volume"
)

// RunRevert brings a volume that was put aside onto a timeline of its own, after all others: what its database writes
// from now on must not be taken for what was written before the restore, nor for what the restored one wrote. It needs
// no destination. Repeated, it leaves the volume on a still later timeline, which does no harm.
func RunRevert(ctx context.Context, c Config, options engine.RevertOptions) (engine.Result, error) {
	result := engine.Result{Job: engine.JobRevert}
	mark, err := volume.ReadMark(c.MarkFile)
	if err != nil {
		return result, err
	}
	if mark == nil || mark.InstanceID != options.InstanceID {
		return result, fmt.Errorf("the volume is not that of instance %s; nothing was changed", options.InstanceID)
	}
	lock, err := volume.Lock(ctx, c.Clock, c.Log, c.MarkFile)
	if err != nil {
		return result, err
	}
	defer lock.Close() //nolint:errcheck // nothing was written; the lock ends with the process at the latest.
	if err := os.MkdirAll(c.WorkDir, 0o700); err != nil {
		return result, fmt.Errorf("make the folder for the work: %w", err)
	}
	result.Recovery, err = c.turn(ctx, options.TimelineAfter, lock)
	return result, err
}

// turn starts the cluster's server once, so that it ends its timeline and begins another.
func (c Config) turn(ctx context.Context, after int, lock *os.File) (*engine.Recovery, error) {
	if err := volume.RemoveStaleLocks(c.Log, filepath.Join(c.PGData, "postmaster.pid")); err != nil {
		return nil, err
	}
	timeline, err := c.timelineOf(ctx, c.PGData)
	if err != nil {
		return nil, err
	}
	if err := reserveTimelines(c.PGData, timeline, after); err != nil {
		return nil, err
	}
	// Nothing is fetched: the volume's own log is all that its database ever wrote.
	s, err := c.startServer(recovery{folder: c.PGData, restoreCommand: "/bin/false", timeline: engine.TimelineCurrent, keepLog: true}, lock)
	if err != nil {
		return nil, err
	}
	if err := s.serving(ctx); err != nil {
		s.kill()
		return nil, err
	}
	defer s.kill()
	found, err := s.look(ctx, origin{}, 0)
	if err != nil {
		return nil, err
	}
	if found.Timeline <= after {
		return nil, errors.Join(fmt.Errorf("the database went over to timeline %d, which does not come after %d", found.Timeline, after), s.stop())
	}
	return found, errors.Join(s.stop(), releaseTimelines(c.PGData))
}

var checkpointTimeline = regexp.MustCompile(`(?m)^Latest checkpoint's TimeLineID: +(\d+)$`)

// timelineOf is the timeline of a cluster whose server does not run.
func (c Config) timelineOf(ctx context.Context, cluster string) (int, error) {
	program, err := postgres.Program("", "pg_controldata")
	if err != nil {
		return 0, err
	}
	var answer tail
	cmd := exec.Command(program, "--pgdata="+cluster)
	cmd.Env, cmd.Stdout, cmd.Stderr = environment(), &answer, os.Stderr
	code, err := c.run(ctx, cmd, syscall.SIGTERM)
	if err != nil {
		return 0, err
	}
	found := checkpointTimeline.FindStringSubmatch(answer.String())
	if code != 0 || found == nil {
		return 0, fail(engine.FailedDamaged, "the control file of the database on the volume cannot be read; pg_controldata ended with code %d", code)
	}
	return strconv.Atoi(found[1])
}
