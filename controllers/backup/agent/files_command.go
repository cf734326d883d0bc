// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/freehold-dev/freehold/controllers/backup/engine"
)

func filesRun() *cobra.Command {
	var o engine.FilesBackupOptions
	leaf := resulting("run", "Make a snapshot of the application's data, and remove what has expired", func(ctx context.Context, c Config) (engine.FilesResult, error) {
		if o.Destination == "" || o.BackupDays < 1 || o.PointInTimeDays < 0 {
			return engine.FilesResult{Job: engine.JobBackup, Destination: o.Destination}, errors.New("a destination and both retentions are needed")
		}
		return RunFilesBackup(ctx, c, o)
	}, reportFiles)
	flags := leaf.Flags()
	flags.StringVar(&o.Destination, "destination", "", "destination to back up to (required)")
	generation(flags, &o.Generation)
	flags.StringVar(&o.InstanceID, "instance-id", "", "instance whose data it is (required)")
	flags.Int32Var(&o.BackupDays, "backup-days", 0, "for how many days backups are kept (required)")
	flags.Int32Var(&o.PointInTimeDays, "point-in-time-days", -1, "for how many days back every minute can be restored (required)")
	flags.StringVar(&o.Verified, "verified", "", "ID of the newest snapshot of the destination that was found good")
	flags.BoolVar(&o.Held, "held", false, "the destination held snapshots before: make no repository where there is none")
	return leaf
}

func filesVerify() *cobra.Command {
	var o engine.FilesVerifyOptions
	leaf := resulting("verify", "Restore into a throw-away volume and compare each file", func(ctx context.Context, c Config) (engine.FilesResult, error) {
		return RunFilesVerify(ctx, c, o)
	}, reportFiles)
	filesSource(leaf.Flags(), &o.FilesSource)
	return leaf
}

func filesRestore() *cobra.Command {
	var o engine.FilesRestoreOptions
	leaf := resulting("restore", "Restore into a volume of the instance", func(ctx context.Context, c Config) (engine.FilesResult, error) {
		return RunFilesRestore(ctx, c, o)
	}, reportFiles)
	filesSource(leaf.Flags(), &o.FilesSource)
	leaf.Flags().StringVar(&o.Restore, "restore", "", "what identifies the restore (required)")
	return leaf
}

// filesSource are the flags of which snapshot is restored.
func filesSource(flags *pflag.FlagSet, o *engine.FilesSource) {
	flags.StringVar(&o.Destination, "destination", "", "destination to restore from (required)")
	generation(flags, &o.Generation)
	flags.StringVar(&o.InstanceID, "instance-id", "", "instance whose data it is (required)")
	flags.Var((*instant)(&o.Target), "target", "time whose state is wanted; empty: the latest")
	flags.BoolVar(&o.Begun, "begun", false, "the snapshot had begun by the target, and may have ended later")
	flags.StringVar(&o.Snapshot, "snapshot", "", "ID of the snapshot; empty: the last one before the target")
	flags.Var((*spans)(&o.Without), "without", "two times with a slash in between: snapshots that ended meanwhile do not count; may be repeated")
}

// spans is a flag whose values are times with a slash in between.
type spans []engine.Span

// String implements pflag.Value.
func (s *spans) String() string {
	texts := make([]string, len(*s))
	for i, span := range *s {
		texts[i] = span.String()
	}
	return strings.Join(texts, ",")
}

// Set implements pflag.Value.
func (s *spans) Set(text string) error {
	span, err := engine.ParseSpan(text)
	*s = append(*s, span)
	return err
}

// Type implements pflag.Value.
func (s *spans) Type() string { return "time/time" }
