// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/backup/engine"
	"github.com/freehold-dev/freehold/controllers/internal/command"
)

// Command returns `backup` with its subcommands.
func Command() *cobra.Command {
	return command.Group("backup", "Backups of the tenant's database and of its application's data",
		archive(),
		command.Leaf("serve", "Serve base backups, beat the heart, report on the archive", func(ctx context.Context, log *slog.Logger) (int, error) {
			return command.Failure(Serve(ctx, Default(log)))
		}),
		command.Leaf("repository", "Serve a volume with backups to the database pod and to restores", func(ctx context.Context, log *slog.Logger) (int, error) {
			return command.Failure(ServeRepository(ctx, Default(log)))
		}),
		run(), expire(), create(), destroy(), verify(), restore(), revert(),
		command.Group("files", "Backups of the application's data", filesRun(), filesVerify(), filesRestore()),
		sftp())
}

func archive() *cobra.Command {
	var segment string
	leaf := command.Leaf("archive SEGMENT", "Hand a segment of the write-ahead log over to all destinations", func(_ context.Context, log *slog.Logger) (int, error) {
		// The container's last words are the server's, not ours.
		return command.Failure(command.Told(Archive(Default(log), segment)))
	})
	// pgBackRest refuses to back up a database whose archive_command does not have its name in it.
	leaf.Flags().String("engine", "pgbackrest", "program that archives; there is no other")
	leaf.Args = func(_ *cobra.Command, args []string) error {
		if len(args) != 1 {
			return errors.New("give the path of one segment")
		}
		segment = args[0]
		return nil
	}
	return leaf
}

// job makes a command that leaves a Result.
func job(use, short string, do func(context.Context, Config) (engine.Result, error)) *cobra.Command {
	return resulting(use, short, do, report)
}

// resulting makes a command whose result is left as the container's last words.
func resulting[R any](use, short string, do func(context.Context, Config) (R, error), leave func(*slog.Logger, R, error) error) *cobra.Command {
	return command.Leaf(use, short, func(ctx context.Context, log *slog.Logger) (int, error) {
		c := Default(log)
		background, cancel := context.WithCancel(context.WithoutCancel(ctx))
		defer cancel()
		go c.Children.Reap(background)
		result, err := do(ctx, c)
		return command.Failure(leave(log, result, err))
	})
}

func run() *cobra.Command {
	var o engine.BackupOptions
	var days []string
	var kind string
	leaf := job("run", "Make a base backup, and remove what has expired", func(ctx context.Context, c Config) (engine.Result, error) {
		for _, day := range days {
			o.Plan.FullDays = append(o.Plan.FullDays, v1alpha1.Weekday(day))
		}
		o.Type = v1alpha1.BackupType(kind)
		if o.Destination == "" || o.BackupDays < 1 || o.PointInTimeDays < 0 || o.Type != "" && o.Type != v1alpha1.BackupFull && o.Type != v1alpha1.BackupIncremental {
			return engine.Result{Job: engine.JobBackup, Destination: o.Destination}, errors.New("a destination, both retentions and a type that there is are needed")
		}
		return RunBackup(ctx, c, o)
	})
	flags := leaf.Flags()
	flags.StringVar(&o.Destination, "destination", "", "destination to back up to (required)")
	generation(flags, &o.Generation)
	flags.StringVar(&o.Plan.Start, "start", "", "time of day at which the tenants begin, such as 01:30")
	flags.IntVar(&o.Plan.ShiftMinutes, "shift-minutes", 0, "how many minutes after it this tenant begins")
	flags.StringVar(&o.Plan.TimeZone, "time-zone", "UTC", "time zone of the schedule")
	flags.StringSliceVar(&days, "full-days", nil, "days on which the backup is full")
	flags.StringVar(&kind, "type", "", "Full or Incremental, whatever the day")
	flags.Var((*instant)(&o.FullSince), "full-since", "make a full backup unless there is one since then")
	flags.BoolVar(&o.Held, "held", false, "the destination held a base backup before: remove nothing of a repository that has none")
	retention(flags, &o)
	return leaf
}

func expire() *cobra.Command {
	return removal(engine.JobExpire, "Remove what has expired, and make no base backup", RunExpire)
}

func destroy() *cobra.Command {
	return removal(engine.JobDestroy, "Remove a repository of which nothing is to be kept any more", RunDestroy)
}

// removal is a command that removes from a repository what need not be kept.
func removal(kind, short string, remove func(context.Context, Config, engine.BackupOptions) (engine.Result, error)) *cobra.Command {
	var o engine.BackupOptions
	leaf := job(kind, short, func(ctx context.Context, c Config) (engine.Result, error) {
		if o.Destination == "" || o.BackupDays < 1 || o.PointInTimeDays < 0 {
			return engine.Result{Job: kind, Destination: o.Destination}, errors.New("a destination and both retentions are needed")
		}
		return remove(ctx, c, o)
	})
	leaf.Flags().StringVar(&o.Destination, "destination", "", "destination to remove from (required)")
	generation(leaf.Flags(), &o.Generation)
	retention(leaf.Flags(), &o)
	return leaf
}

func create() *cobra.Command {
	var o engine.BackupOptions
	leaf := job("create", "Make a repository, and nothing in it", func(ctx context.Context, c Config) (engine.Result, error) {
		return RunCreate(ctx, c, o)
	})
	leaf.Flags().StringVar(&o.Destination, "destination", "", "destination to make it in (required)")
	generation(leaf.Flags(), &o.Generation)
	return leaf
}

// generation is the flag of which of a destination's repositories is meant.
func generation(flags *pflag.FlagSet, of *int32) {
	flags.Int32Var(of, "generation", 1, "generation of the repository in the destination")
}

// retention are the flags of what may be removed.
func retention(flags *pflag.FlagSet, o *engine.BackupOptions) {
	flags.Int32Var(&o.BackupDays, "backup-days", 0, "for how many days backups are kept (required)")
	flags.Int32Var(&o.PointInTimeDays, "point-in-time-days", -1, "for how many days back every minute can be restored (required)")
	flags.StringVar(&o.Verified, "verified", "", "label of the newest backup of the destination that was found good")
}

func verify() *cobra.Command {
	var o engine.VerifyOptions
	var assertions string
	leaf := job("verify", "Restore into a throw-away volume and look at what came back", func(ctx context.Context, c Config) (engine.Result, error) {
		if assertions != "" {
			if err := json.Unmarshal([]byte(assertions), &o.Assertions); err != nil {
				return engine.Result{Job: engine.JobVerify, Destination: o.Destination}, fmt.Errorf("read the assertions: %w", err)
			}
		}
		return RunVerify(ctx, c, o)
	})
	flags := leaf.Flags()
	source(flags, &o.Destination, &o.Generation, &o.Target, &o.Backup, &o.Timeline, &o.SystemIdentifier)
	flags.DurationVar(&o.MaxHeartbeatGap, "max-heartbeat-gap", 0, "how much older than the target the last heartbeat may be; 0: any")
	flags.StringVar(&o.Database, "database", "", "database that the assertions are asked in")
	flags.StringVar(&assertions, "assertions", "", "assertions, as JSON")
	return leaf
}

func restore() *cobra.Command {
	var o engine.RestoreOptions
	leaf := job("restore", "Restore into a volume of the instance", func(ctx context.Context, c Config) (engine.Result, error) {
		return RunRestore(ctx, c, o)
	})
	flags := leaf.Flags()
	source(flags, &o.Destination, &o.Generation, &o.Target, &o.Backup, &o.Timeline, &o.SystemIdentifier)
	flags.StringVar(&o.InstanceID, "instance-id", "", "instance that the volume will belong to (required)")
	flags.StringVar(&o.Restore, "restore", "", "what identifies the restore (required)")
	flags.IntVar(&o.TimelineAfter, "timeline-after", 0, "timeline that the new one must come after")
	return leaf
}

// source are the flags of what is restored.
func source(flags *pflag.FlagSet, destination *string, of *int32, target *time.Time, backup, timeline, systemIdentifier *string) {
	flags.StringVar(destination, "destination", "", "destination to restore from (required)")
	generation(flags, of)
	flags.Var((*instant)(target), "target", "time to restore to; empty: the end of the backup that is named, else the latest")
	flags.StringVar(backup, "backup", "", "label of the base backup to begin with; empty: the last one before the target")
	flags.StringVar(timeline, "timeline", "", "timeline of the target: a number, current or latest; empty: latest")
	flags.StringVar(systemIdentifier, "system-identifier", "", "system identifier that the database must have; empty: any")
}

func revert() *cobra.Command {
	var o engine.RevertOptions
	leaf := job("revert", "Bring a volume that was put aside onto a new timeline", func(ctx context.Context, c Config) (engine.Result, error) {
		return RunRevert(ctx, c, o)
	})
	leaf.Flags().StringVar(&o.InstanceID, "instance-id", "", "instance that the volume belongs to (required)")
	leaf.Flags().IntVar(&o.TimelineAfter, "timeline-after", 0, "timeline that the new one must come after (required)")
	return leaf
}

// instant is a flag whose value is a time as in RFC 3339, or empty.
type instant time.Time

// String implements pflag.Value.
func (i *instant) String() string {
	if t := time.Time(*i); !t.IsZero() {
		return t.Format(time.RFC3339Nano)
	}
	return ""
}

// Set implements pflag.Value.
func (i *instant) Set(text string) error {
	if text == "" {
		*i = instant{}
		return nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	*i = instant(t)
	return err
}

// Type implements pflag.Value.
func (i *instant) Type() string { return "time" }
