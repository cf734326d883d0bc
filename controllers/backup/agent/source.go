// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/freehold-dev/freehold/controllers/backup/engine"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// wish is what a restore shall bring back.
type wish struct {
	target           time.Time
	backup, timeline string
}

// source is what a restore begins with.
type origin struct {
	backup engine.Record
	// timeline that is recovered to.
	timeline int
	// newest timeline that the destination knows.
	newest int
	// immediate ends the recovery at the end of the backup.
	immediate        bool
	target           time.Time
	systemIdentifier string
}

// choose finds out with which backup, and along which timeline, the wish is fulfilled.
func (r *repository) choose(ctx context.Context, w wish) (origin, error) {
	info, err := r.info(ctx)
	if err != nil {
		return origin{}, err
	}
	if len(info.Backups) == 0 {
		return origin{}, fail(engine.FailedTarget, "destination %s holds no backup", r.Name)
	}
	histories, err := r.histories(ctx, info)
	if err != nil {
		return origin{}, err
	}
	timeline, err := engine.ChooseTimeline(w.timeline, info, histories)
	if err != nil {
		return origin{}, err
	}
	var branches []engine.Branch
	if slices.Contains(histories, timeline) {
		if branches, err = r.history(ctx, info, timeline); err != nil {
			return origin{}, err
		}
	}
	backup, err := engine.ChooseBackup(info.Backups, w.backup, w.target, timeline, branches)
	if err != nil {
		return origin{}, fail(engine.FailedTarget, "destination %s: %s", r.Name, err)
	}
	newest, err := engine.ChooseTimeline(engine.TimelineLatest, info, histories)
	if err != nil {
		return origin{}, err
	}
	return origin{
		backup: backup, timeline: timeline, newest: newest, target: w.target,
		immediate: w.backup != "" && w.target.IsZero(), systemIdentifier: info.SystemIdentifier,
	}, nil
}

func archiveFolder(info engine.Info) string {
	return archiveRoot + "/" + info.ArchiveID
}

// archiveRoot is the folder of all that belongs to the archive of the write-ahead log.
const archiveRoot = "archive/" + meta.BackupStanza

// histories are the timelines that the destination has a history of.
func (r *repository) histories(ctx context.Context, info engine.Info) ([]int, error) {
	if info.ArchiveID == "" {
		return nil, nil
	}
	raw, err := r.ask(ctx, nil, append(r.arguments("repo-ls", "--output=json", `--filter=\.history$`), archiveFolder(info))...)
	if err != nil {
		return nil, err
	}
	var files map[string]json.RawMessage
	if err := json.Unmarshal(raw, &files); err != nil {
		return nil, fmt.Errorf("understanding the list of timelines: %w", err)
	}
	var timelines []int
	for name := range files {
		if timeline, ok := engine.SegmentTimeline(name); ok && strings.HasSuffix(name, ".history") {
			timelines = append(timelines, timeline)
		}
	}
	slices.Sort(timelines)
	return timelines, nil
}

// history is how a timeline came about.
func (r *repository) history(ctx context.Context, info engine.Info, timeline int) ([]engine.Branch, error) {
	raw, err := r.ask(ctx, nil, append(r.arguments("repo-get"), archiveFolder(info)+"/"+historyFile(timeline))...)
	if err != nil {
		return nil, err
	}
	return engine.ParseHistory(raw)
}

func historyFile(timeline int) string { return fmt.Sprintf("%08X.history", timeline) }

// fetch restores the base backup's files into a folder, which must be empty or not there.
func (r *repository) fetch(ctx context.Context, s origin, folder string) error {
	// How to recover is passed to the server on its command line, which counts more than what pgBackRest writes for it; and
	// that is removed in the end. It must be told of a timeline all the same: without one, also with --type=preserve, it
	// refuses each backup that the newest timeline of all does not come from, such as one made after the moment that an
	// earlier restore went back to (timelineVerify in its src/command/restore/timeline.c).
	return r.do(ctx, r.ofStanza("restore", "--set="+s.backup.Label, "--type=default", "--target-timeline="+engine.TimelineCurrent,
		"--pg1-path="+folder, "--spool-path="+r.spool())...)
}

// spool is where segments of the write-ahead log wait that are fetched ahead. A restore removes what is there.
func (r *repository) spool() string { return filepath.Join(r.config.WorkDir, "spool") }

// restoreCommand fetches one segment or history. PostgreSQL takes any code up to 125 for the end of the log: a
// destination that does not answer would silently end the recovery too early. Only pgBackRest's 1 means that.
func (r *repository) restoreCommand(folder string) string {
	return fmt.Sprintf(`%s --config=%s --stanza=%s --log-level-console=off --log-level-stderr=warn --pg1-path=%s --archive-async --spool-path=%s --process-max=2 archive-get %%f "%%p" || { test $? -eq 1 && exit 1; exit 255; }`,
		pgbackrest, r.conf, meta.BackupStanza, folder, r.spool())
}
