// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sys/unix"

	"github.com/freehold-dev/freehold/controllers/backup/engine"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

const (
	// beatInterval is how often the heart beats, beatAgain how soon it does after a beat that the database did not take:
	// it may only be starting.
	beatInterval = time.Minute
	beatAgain    = 5 * time.Second
	// beatTimeout bounds one beat.
	beatTimeout = 20 * time.Second
	// mostBeats is how many beats are remembered: those of a week.
	mostBeats = 7 * 24 * 60
)

// archiver keeps what is known of the archive.
type archiver struct {
	config Config

	mu     sync.Mutex
	report engine.Report
	beats  []beat
	known  map[destination]*knowledge
}

// beat is a committed heartbeat, and the segment of the write-ahead log that holds it at the latest.
type beat struct {
	at      time.Time
	segment string
}

// destination is one repository of one destination.
type destination struct {
	name       string
	generation int32
}

func newArchiver(c Config) *archiver {
	return &archiver{config: c, known: map[destination]*knowledge{}}
}

// beat writes the heartbeat each minute while the write-ahead log is archived.
func (a *archiver) beat(ctx context.Context) {
	for {
		pause := beatInterval
		if wanted, err := a.config.archiving(); err == nil && wanted && !a.beatOnce(ctx) {
			pause = beatAgain
		}
		select {
		case <-ctx.Done():
			return
		case <-a.config.Clock.After(pause):
		}
	}
}

// beatOnce reports whether the database took the beat.
func (a *archiver) beatOnce(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, beatTimeout)
	defer cancel()
	beaten, system, err := a.config.writeBeat(ctx)
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil {
		if a.report.HeartbeatFailure == nil {
			a.config.Log.Error("the database does not take the heartbeat", "error", err)
		}
		a.report.HeartbeatFailure = &engine.Failure{Reason: engine.FailedEngine, Message: "the database does not take the heartbeat: " + err.Error()}
		return false
	}
	a.report.HeartbeatFailure, a.report.Heartbeat, a.report.SystemIdentifier = nil, beaten.at, system
	a.report.Timeline, _ = engine.SegmentTimeline(beaten.segment)
	a.beats = append(a.beats, beaten)
	a.beats = a.beats[max(0, len(a.beats)-mostBeats):]
	return true
}

// writeBeat commits a beat, and then ends the segment of the log that holds it, so that it is handed over now. The
// server's archive_timeout does not do that reliably: after a start from a clean shutdown the checkpointer, which
// counts that time, sleeps through the first minutes, up to checkpoint_timeout
// (CheckpointerMain in src/backend/postmaster/checkpointer.c of PostgreSQL 17: the time counts only out of recovery,
// and it goes to sleep before the server has left it).
func (c Config) writeBeat(ctx context.Context) (beat, string, error) {
	config, err := pgx.ParseConfig("sslmode=disable")
	if err != nil {
		return beat{}, "", fmt.Errorf("describe the connection to the database: %w", err)
	}
	config.Host, config.Port, config.User, config.Database = c.SocketDir, uint16(c.Port), meta.BackupRole, adminDatabase //nolint:gosec // a port.
	config.Fallbacks = nil
	config.RuntimeParams = map[string]string{
		"application_name": "freehold", "search_path": "pg_catalog",
		"statement_timeout": fmt.Sprint(beatTimeout.Milliseconds()), "lock_timeout": fmt.Sprint(beatTimeout.Milliseconds()),
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return beat{}, "", err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // what counts is what was committed.
	var b beat
	table := pgx.Identifier{meta.BackupSchema, "heartbeat"}.Sanitize()
	if err := conn.QueryRow(ctx, "UPDATE "+table+" SET at = clock_timestamp() RETURNING at").Scan(&b.at); err != nil {
		return beat{}, "", err
	}
	var system string
	err = conn.QueryRow(ctx, "SELECT pg_walfile_name(pg_switch_wal()), system_identifier::text FROM pg_control_system()").Scan(&b.segment, &system)
	b.at = b.at.UTC()
	return b, system, err
}

// until is the last beat that a destination holds whose newest segment is the given one; zero if it is not known.
func until(beats []beat, segment string) time.Time {
	for _, b := range slices.Backward(beats) {
		if segment != "" && b.segment <= segment {
			return b.at
		}
	}
	return time.Time{}
}

// current is the report as it is now.
func (a *archiver) current() engine.Report {
	a.mu.Lock()
	defer a.mu.Unlock()
	report := a.report
	report.At = a.config.Clock.Now().UTC()
	report.WALBytes, report.WALVolumeFree = a.config.room()
	for _, k := range a.known {
		report.Destinations = append(report.Destinations, k.report)
	}
	slices.SortFunc(report.Destinations, func(x, y engine.ArchiveReport) int {
		return slices.Compare([]string{x.Name, fmt.Sprintf("%08d", x.Generation)}, []string{y.Name, fmt.Sprintf("%08d", y.Generation)})
	})
	return report
}

// room is how many bytes of log lie on the volume, and how many more would fit; both 0 where that cannot be found out.
func (c Config) room() (used, free int64) {
	entries, err := os.ReadDir(filepath.Join(c.PGData, "pg_wal"))
	if err != nil {
		return 0, 0
	}
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil && info.Mode().IsRegular() {
			used += info.Size()
		}
	}
	var volume unix.Statfs_t
	if err := unix.Statfs(c.DataDir, &volume); err != nil {
		return 0, 0 // A volume without room is something else than one of which nothing is known.
	}
	return used, int64(volume.Bavail) * volume.Bsize //nolint:gosec // no volume has 2^63 bytes.
}
