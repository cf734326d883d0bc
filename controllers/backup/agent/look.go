// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freehold-dev/freehold/controllers/backup/engine"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// look asks a server that came up what it is.
func (s *server) look(ctx context.Context, from origin, seconds int) (*engine.Recovery, error) {
	conn, err := s.connect(ctx, superuser, adminDatabase)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // nothing was written.
	found := &engine.Recovery{Backup: from.backup.Label, Target: from.target, Reached: s.log.reached(), Seconds: seconds}
	var recovering bool
	err = conn.QueryRow(ctx, `SELECT pg_is_in_recovery(), system_identifier::text, timeline_id
		FROM pg_control_system(), pg_control_checkpoint()`).Scan(&recovering, &found.SystemIdentifier, &found.Timeline)
	if err != nil {
		return nil, fmt.Errorf("ask the restored server what it is: %w", err)
	}
	if recovering {
		return nil, fail(engine.FailedEngine, "the restored server still recovers after it said that it was ready")
	}
	found.Heartbeat, err = heartbeat(ctx, conn)
	return found, err
}

// heartbeat is the last beat that a database holds; zero if none was ever written.
func heartbeat(ctx context.Context, conn *pgx.Conn) (time.Time, error) {
	var table bool
	name := pgx.Identifier{meta.BackupSchema, "heartbeat"}.Sanitize()
	if err := conn.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", name).Scan(&table); err != nil {
		return time.Time{}, fmt.Errorf("look for the heartbeat in the restored database: %w", err)
	}
	if !table {
		return time.Time{}, nil
	}
	var at *time.Time
	err := conn.QueryRow(ctx, "SELECT at FROM "+name).Scan(&at)
	if errors.Is(err, pgx.ErrNoRows) || err == nil && at == nil {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("read the heartbeat of the restored database: %w", err)
	}
	return at.UTC(), nil
}

// checkIdentity refuses another database than the one that was asked for.
func checkIdentity(found *engine.Recovery, wanted string) error {
	if wanted != "" && found.SystemIdentifier != wanted {
		return fail(engine.FailedForeign, "the restored database has the system identifier %s, but the instance's has %s: the repository holds another database",
			found.SystemIdentifier, wanted)
	}
	return nil
}

// checkHeartbeat compares the last beat with the target, or, where the latest was asked for, with the last transaction.
// A gap of 0 is not looked at.
func checkHeartbeat(found *engine.Recovery, gap time.Duration) error {
	end := found.Target
	if end.IsZero() {
		end = found.Reached
	}
	switch {
	case gap <= 0:
		return nil
	case found.Heartbeat.IsZero():
		return fail(engine.FailedDamaged, "the restored database holds no heartbeat")
	case end.IsZero():
		return nil // the recovery ended with the backup itself, and found no transaction after it.
	case found.Heartbeat.After(end):
		return fail(engine.FailedDamaged, "the restored database holds a heartbeat of %s, later than %s, where the recovery ended", stamp(found.Heartbeat), stamp(end))
	case end.Sub(found.Heartbeat) > gap:
		return fail(engine.FailedDamaged, "the last heartbeat in the restored database is of %s, %s before %s, where the recovery ended; %s is allowed. What was written in between may be missing.",
			stamp(found.Heartbeat), end.Sub(found.Heartbeat).Round(time.Second), stamp(end), gap)
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
