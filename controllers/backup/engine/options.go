// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/freehold-dev/freehold/api/v1alpha1"
)

// BackupOptions are what `freehold agent backup run` is told.
type BackupOptions struct {
	// Destination that is backed up to, and the Generation of the repository there; 0 is the first.
	Destination string
	Generation  int32
	// Plan says on which days the backup is full.
	Plan Plan
	// Type, if set, is made whatever the plan says; the first one of a destination is always full.
	Type v1alpha1.BackupType
	// FullSince, if set, makes the backup full unless there is a full one that began later.
	FullSince time.Time
	// BackupDays and PointInTimeDays are the policy's retention.
	BackupDays, PointInTimeDays int32
	// Verified is the label of the newest backup of the destination that was restored and found good; empty if none
	// was. Without one nothing is removed.
	Verified string
	// Held says that the destination is known to have held a base backup: what looks like a repository that was never made
	// completely is one whose backups were taken away.
	Held bool
}

// Args are the arguments of the program.
func (o BackupOptions) Args() []string {
	args := []string{"agent", "backup", "run",
		"--destination=" + o.Destination,
		"--start=" + o.Plan.Start,
		"--shift-minutes=" + strconv.Itoa(o.Plan.ShiftMinutes),
		"--time-zone=" + o.Plan.TimeZone,
		"--full-days=" + strings.Join(o.Plan.days(), ","),
		fmt.Sprintf("--backup-days=%d", o.BackupDays),
		fmt.Sprintf("--point-in-time-days=%d", o.PointInTimeDays),
	}
	if o.Held {
		args = append(args, "--held")
	}
	return optional(args, "--generation=", later(o.Generation), "--type=", string(o.Type), "--full-since=", instant(o.FullSince), "--verified=", o.Verified)
}

// ExpireArgs are the arguments of the program that only removes what has expired, `freehold agent backup expire`.
func (o BackupOptions) ExpireArgs() []string {
	return optional(o.removalArgs("expire"), "--verified=", o.Verified)
}

// CreateArgs are the arguments of the program that makes a repository and nothing in it, `freehold agent backup create`.
func (o BackupOptions) CreateArgs() []string {
	return optional([]string{"agent", "backup", "create", "--destination=" + o.Destination}, "--generation=", later(o.Generation))
}

// DestroyArgs are the arguments of the program that removes a repository of which nothing is to be kept any more,
// `freehold agent backup destroy`.
func (o BackupOptions) DestroyArgs() []string {
	return o.removalArgs("destroy")
}

func (o BackupOptions) removalArgs(command string) []string {
	args := []string{"agent", "backup", command,
		"--destination=" + o.Destination,
		fmt.Sprintf("--backup-days=%d", o.BackupDays),
		fmt.Sprintf("--point-in-time-days=%d", o.PointInTimeDays),
	}
	return optional(args, "--generation=", later(o.Generation))
}

// VerifyOptions are what `freehold agent backup verify` is told.
type VerifyOptions struct {
	// Destination that is restored from, and the Generation of the repository there; 0 is the first.
	Destination string
	Generation  int32
	// Target to restore to. Zero: the latest.
	Target time.Time
	// Backup is the label of the base backup to begin with. Empty: the last one before the target.
	Backup string
	// SystemIdentifier that the database must have. Empty: any.
	SystemIdentifier string
	// MaxHeartbeatGap is how much older than the target, or than the last transaction, the newest heartbeat may be.
	MaxHeartbeatGap time.Duration
	// Timeline, see RestoreOptions.
	Timeline string
	// Database that the assertions are asked in. Empty: there must be none.
	Database string
	// Assertions that the restored data must fulfil. They stand in the arguments as JSON.
	Assertions []v1alpha1.SQLAssertion
}

// Args are the arguments of the program.
func (o VerifyOptions) Args() ([]string, error) {
	args := optional([]string{"agent", "backup", "verify", "--destination=" + o.Destination},
		"--generation=", later(o.Generation), "--target=", instant(o.Target), "--backup=", o.Backup, "--timeline=", o.Timeline,
		"--system-identifier=", o.SystemIdentifier, "--database=", o.Database)
	if o.MaxHeartbeatGap > 0 {
		args = append(args, "--max-heartbeat-gap="+o.MaxHeartbeatGap.String())
	}
	if len(o.Assertions) == 0 {
		return args, nil
	}
	encoded, err := json.Marshal(o.Assertions)
	if err != nil {
		return nil, fmt.Errorf("writing the assertions into the arguments: %w", err)
	}
	return append(args, "--assertions="+string(encoded)), nil
}

// optional adds options that have a value; pairs are names with their equals sign, and values.
func optional(args []string, pairs ...string) []string {
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			args = append(args, pairs[i]+pairs[i+1])
		}
	}
	return args
}

// later is a generation in an argument; empty for the first, which programs take for granted.
func later(generation int32) string {
	if generation <= 1 {
		return ""
	}
	return strconv.Itoa(int(generation))
}

// instant is a target in an argument; empty for none.
func instant(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// RestoreOptions are what `freehold agent backup restore` is told.
type RestoreOptions struct {
	// Destination that is restored from, and the Generation of the repository there; 0 is the first.
	Destination string
	Generation  int32
	// Target to restore to, to the microsecond. Zero: the end of Backup, or, without one, the latest.
	Target time.Time
	// Backup is the label of the base backup to begin with. Empty: the last one before the target.
	Backup string
	// InstanceID that the volume will belong to.
	InstanceID string
	// Restore identifies the restore (its object's UID): a half restored volume of the same one is begun anew,
	// another is refused.
	Restore string
	// SystemIdentifier that the database must have. Empty: any.
	SystemIdentifier string
	// Timeline that the target lies on: a number, "current" for that of the base backup, or "latest". Empty: latest.
	Timeline string
	// TimelineAfter is a timeline that the restored database must come after, beside those that the destination knows:
	// the newest that the instance ever had. 0: none.
	TimelineAfter int
}

// Args are the arguments of the program.
func (o RestoreOptions) Args() []string {
	args := optional([]string{"agent", "backup", "restore", "--destination=" + o.Destination, "--instance-id=" + o.InstanceID, "--restore=" + o.Restore},
		"--generation=", later(o.Generation), "--target=", instant(o.Target), "--backup=", o.Backup, "--timeline=", o.Timeline, "--system-identifier=", o.SystemIdentifier)
	if o.TimelineAfter > 0 {
		args = append(args, fmt.Sprintf("--timeline-after=%d", o.TimelineAfter))
	}
	return args
}

// RevertOptions are what `freehold agent backup revert` is told.
type RevertOptions struct {
	// InstanceID that the volume belongs to.
	InstanceID string
	// TimelineAfter is a timeline that the volume must come after, beside those that the destinations know: the newest
	// that the instance ever had.
	TimelineAfter int
}

// Args are the arguments of the program.
func (o RevertOptions) Args() []string {
	return []string{"agent", "backup", "revert", "--instance-id=" + o.InstanceID, fmt.Sprintf("--timeline-after=%d", o.TimelineAfter)}
}
