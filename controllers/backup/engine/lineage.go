// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The timelines that a restore may name beside numbers.
const (
	// TimelineLatest is the newest that the destination knows.
	TimelineLatest = "latest"
	// TimelineCurrent is the oldest that the destination has a backup of.
	TimelineCurrent = "current"
)

// Branch is where a timeline was left for the next one.
type Branch struct {
	Timeline int
	// At is the position in the write-ahead log.
	At uint64
}

// ParseHistory reads one of PostgreSQL's history files: the branches that led to a timeline, oldest first.
func ParseHistory(raw []byte) ([]Branch, error) {
	var branches []Branch
	for line := range strings.Lines(string(raw)) {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if len(fields) < 2 {
			return nil, fmt.Errorf("the line %q of a timeline's history is not complete", strings.TrimSpace(line))
		}
		timeline, err := strconv.Atoi(fields[0])
		if err != nil {
			return nil, fmt.Errorf("the timeline %q of a history is no number: %w", fields[0], err)
		}
		at, err := ParseLSN(fields[1])
		if err != nil {
			return nil, err
		}
		branches = append(branches, Branch{Timeline: timeline, At: at})
	}
	return branches, nil
}

// ParseLSN reads a position in the write-ahead log such as 16/B374D848.
func ParseLSN(text string) (uint64, error) {
	high, low, ok := strings.Cut(text, "/")
	h, errHigh := strconv.ParseUint(high, 16, 32)
	l, errLow := strconv.ParseUint(low, 16, 32)
	if !ok || errHigh != nil || errLow != nil {
		return 0, fmt.Errorf("%q is no position in the write-ahead log", text)
	}
	return h<<32 | l, nil
}

// ChooseTimeline is the timeline to restore to. known are those that the destination has a history of.
func ChooseTimeline(wish string, info Info, known []int) (int, error) {
	switch wish {
	case "", TimelineLatest:
		newest, _ := SegmentTimeline(info.NewestSegment)
		return max(1, newest, slices.Max(append(known, 1))), nil
	case TimelineCurrent:
		oldest := 0
		for _, b := range info.Backups {
			if oldest == 0 || b.Timeline() < oldest {
				oldest = b.Timeline()
			}
		}
		return max(1, oldest), nil
	}
	number, err := strconv.Atoi(wish)
	if err != nil || number < 1 {
		return 0, fmt.Errorf("%q is no timeline: a number, %q or %q", wish, TimelineLatest, TimelineCurrent)
	}
	return number, nil
}

// ChooseBackup is the base backup to begin with: the one with the label, or the last one that ended before the target;
// in any case one from which the timeline can be reached, whose branches are given.
func ChooseBackup(backups []Record, label string, target time.Time, timeline int, branches []Branch) (Record, error) {
	if label != "" {
		i := slices.IndexFunc(backups, func(b Record) bool { return b.Label == label })
		if i < 0 {
			return Record{}, fmt.Errorf("the destination holds no backup %s; it holds %s", label, span(backups))
		}
		if !onLineage(backups[i], timeline, branches) {
			return Record{}, fmt.Errorf("backup %s was made on timeline %d, from which timeline %d cannot be reached", label, backups[i].Timeline(), timeline)
		}
		return backups[i], nil
	}
	for _, b := range slices.Backward(oldestFirst(backups)) {
		if (target.IsZero() || !b.consistent().After(target)) && onLineage(b, timeline, branches) {
			return b, nil
		}
	}
	if target.IsZero() {
		return Record{}, fmt.Errorf("the destination holds no backup from which timeline %d can be reached; it holds %s", timeline, span(backups))
	}
	return Record{}, fmt.Errorf("the destination holds no backup that ended before %s and from which timeline %d can be reached; it holds %s",
		target.UTC().Format(time.RFC3339), timeline, span(backups))
}

// onLineage says that a backup ended before its timeline was left for another.
func onLineage(b Record, timeline int, branches []Branch) bool {
	if b.Timeline() == timeline {
		return true
	}
	stop, err := ParseLSN(b.StopLSN)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(branches, func(branch Branch) bool { return branch.Timeline == b.Timeline() && stop <= branch.At })
}

func span(backups []Record) string {
	sorted := oldestFirst(backups)
	if len(sorted) == 0 {
		return "none"
	}
	first, last := sorted[0], sorted[len(sorted)-1]
	return fmt.Sprintf("%d, the first of which ended at %s and the last at %s",
		len(sorted), first.FinishedAt.Format(time.RFC3339), last.FinishedAt.Format(time.RFC3339))
}
