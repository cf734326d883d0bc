// SPDX-License-Identifier: Apache-2.0

package database

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// controlState is the field "state" of PostgreSQL's control file, DBState in src/include/catalog/pg_control.h.
type controlState uint32

const (
	controlCrashRecovery   controlState = 4
	controlArchiveRecovery controlState = 5
	controlUnknown         controlState = ^controlState(0)
)

// stateOffset is where the state stands: after the system identifier (8 bytes) and two version numbers (4 each).
const stateOffset = 16

func (s controlState) recovering() bool {
	return s == controlCrashRecovery || s == controlArchiveRecovery
}

// String names the state as pg_controldata does.
func (s controlState) String() string {
	names := []string{"starting up", "shut down", "shut down in recovery", "shutting down", "in crash recovery", "in archive recovery", "in production"}
	if int(s) < len(names) {
		return names[s]
	}
	return "unknown"
}

// readControlState reads the state out of a cluster's control file, in the machine's byte order as PostgreSQL
// writes it.
func readControlState(cluster string) (controlState, error) {
	file, err := os.Open(filepath.Join(cluster, "global", "pg_control"))
	if err != nil {
		return controlUnknown, fmt.Errorf("open the control file: %w", err)
	}
	defer file.Close() //nolint:errcheck // only read.
	var head [stateOffset + 4]byte
	if _, err := io.ReadFull(file, head[:]); err != nil {
		return controlUnknown, fmt.Errorf("read the control file: %w", err)
	}
	return controlState(binary.NativeEndian.Uint32(head[stateOffset:])), nil
}
