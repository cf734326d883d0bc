// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// Archive hands one segment of the write-ahead log over to all destinations. It becomes pgBackRest where there is work,
// and returns nil only where nothing is to be backed up. After any error PostgreSQL keeps the segment and asks again.
func Archive(c Config, segment string) error {
	wanted, err := c.archiving()
	if err != nil {
		return fmt.Errorf("the write-ahead log waits: %w", err)
	}
	if !wanted {
		return nil
	}
	known, err := c.destinations()
	if err != nil {
		return fmt.Errorf("the write-ahead log waits: %w", err)
	}
	if len(known.Destinations) == 0 {
		return errors.New("the write-ahead log waits: backups are wanted, but there is no destination that it could go to; the Tenant's condition PointInTimeRecoverable says why")
	}
	arguments := []string{pgbackrest, "--config=" + c.conf(), "--stanza=" + meta.BackupStanza, "archive-push", segment}
	if err := syscall.Exec(pgbackrest, arguments, environment()); err != nil {
		return fmt.Errorf("the write-ahead log waits: start pgBackRest: %w", err)
	}
	return nil
}

// environment of every program: what PGBACKREST_… or PG… variables say must not change what is done.
func environment() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "TZ=UTC", "LC_ALL=C.UTF-8"}
}
