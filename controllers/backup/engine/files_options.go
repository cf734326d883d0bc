// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// FilesBackupOptions are what `freehold agent backup files run` is told.
type FilesBackupOptions struct {
	// Destination that is backed up to, and the Generation of the repository there; 0 is the first.
	Destination string
	Generation  int32
	// InstanceID of the instance whose data it is.
	InstanceID string
	// BackupDays and PointInTimeDays are the policy's retention.
	BackupDays, PointInTimeDays int32
	// Verified is the ID of the newest snapshot of the destination that was restored and found good; empty if none was.
	// Without one nothing is removed.
	Verified string
	// Held says that the destination is known to have held snapshots, and that nobody has seen yet that they are gone:
	// where there is no repository, none is made.
	Held bool
}

// Args are the arguments of the program.
func (o FilesBackupOptions) Args() []string {
	args := []string{"agent", "backup", "files", "run",
		"--destination=" + o.Destination,
		"--instance-id=" + o.InstanceID,
		fmt.Sprintf("--backup-days=%d", o.BackupDays),
		fmt.Sprintf("--point-in-time-days=%d", o.PointInTimeDays),
	}
	if o.Held {
		args = append(args, "--held")
	}
	return optional(args, "--generation=", later(o.Generation), "--verified=", o.Verified)
}

// FilesSource is which of a destination's snapshots is wanted.
type FilesSource struct {
	// Destination that is restored from, and the Generation of the repository there; 0 is the first.
	Destination string
	Generation  int32
	// InstanceID of the instance whose data it is: of a new instance's source, that of the source.
	InstanceID string
	// Target is the moment whose state is wanted: the last snapshot that had ended by then. Zero: the latest.
	Target time.Time
	// Begun says that it had begun by Target, and may have ended later: the one that was made with a base backup.
	Begun bool
	// Snapshot is its ID, whatever the target. Empty: chosen by the target.
	Snapshot string
	// Without are times whose snapshots do not count, since a restore left them behind.
	Without []Span
}

func (s FilesSource) args(command string) []string {
	args := optional([]string{"agent", "backup", "files", command, "--destination=" + s.Destination, "--instance-id=" + s.InstanceID},
		"--generation=", later(s.Generation), "--target=", instant(s.Target), "--snapshot=", s.Snapshot)
	if s.Begun {
		args = append(args, "--begun")
	}
	for _, span := range s.Without {
		args = append(args, "--without="+span.String())
	}
	return args
}

// FilesVerifyOptions are what `freehold agent backup files verify` is told.
type FilesVerifyOptions struct {
	FilesSource
}

// Args are the arguments of the program.
func (o FilesVerifyOptions) Args() []string { return o.args("verify") }

// FilesRestoreOptions are what `freehold agent backup files restore` is told.
type FilesRestoreOptions struct {
	FilesSource
	// Restore identifies the restore (its object's UID): what an interrupted attempt of the same one left is gone on with,
	// and what it finished is told again. A volume with anything else on it is refused.
	Restore string
}

// Args are the arguments of the program.
func (o FilesRestoreOptions) Args() []string {
	return append(o.args("restore"), "--restore="+o.Restore)
}

// Span is a time from a restore's target, which still counts, until the restore itself: what was made after the one and
// before the other belongs to the history that the restore left.
type Span struct {
	From, Until time.Time
}

// String is how a span stands in an argument.
func (s Span) String() string { return instant(s.From) + "/" + instant(s.Until) }

// ParseSpan reads what String made.
func ParseSpan(text string) (Span, error) {
	from, until, _ := strings.Cut(text, "/")
	f, errFrom := time.Parse(time.RFC3339Nano, from)
	u, errUntil := time.Parse(time.RFC3339Nano, until)
	if err := errors.Join(errFrom, errUntil); err != nil {
		return Span{}, fmt.Errorf("%q is not two times with a slash in between: %w", text, err)
	}
	return Span{From: f, Until: u}, nil
}

// holds reports whether a moment lies in the span.
func (s Span) holds(moment time.Time) bool { return moment.After(s.From) && !moment.After(s.Until) }
