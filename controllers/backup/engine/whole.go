// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"path"
	"strconv"
)

// segmentsPerLog is how many segments of 16 MiB, the size that initdb gives them, make one of PostgreSQL's log files.
const (
	segmentSize    = 16 << 20
	segmentsPerLog = 1 << 32 / segmentSize
	segmentDigits  = 24
)

// segment is one segment of the write-ahead log.
type segment struct {
	timeline int
	number   uint64
}

// parseSegment reads the name of a segment, as it is or as a file of the archive; false if it is none.
func parseSegment(name string) (segment, bool) {
	name = path.Base(name)
	if len(name) < segmentDigits || len(name) > segmentDigits && name[segmentDigits] != '-' {
		return segment{}, false
	}
	timeline, ok := SegmentTimeline(name)
	log, errLog := strconv.ParseUint(name[8:16], 16, 32)
	part, errPart := strconv.ParseUint(name[16:segmentDigits], 16, 32)
	if !ok || errLog != nil || errPart != nil || part >= segmentsPerLog {
		return segment{}, false
	}
	return segment{timeline, log*segmentsPerLog + part}, true
}

// WholeFrom is the oldest backup from which on no segment is missing that leads to the end of the newest backup, along the
// branches of its timeline; false if there is none. files are those of the archive. What comes after the newest backup is
// for the archiver to tell.
func WholeFrom(backups []Record, files []string, branches []Branch) (Record, bool) {
	sorted := oldestFirst(backups)
	if len(sorted) == 0 {
		return Record{}, false
	}
	newest := sorted[len(sorted)-1]
	last, ok := parseSegment(newest.StopSegment)
	if !ok {
		return Record{}, false
	}
	held := map[segment]bool{}
	for _, file := range files {
		if s, ok := parseSegment(file); ok {
			held[s] = true
		}
	}
	first := last.number + 1
	for first > 0 && holds(held, first-1, last.timeline, branches) {
		first--
	}
	for _, b := range sorted {
		begin, ok := parseSegment(b.StartSegment)
		if ok && begin.number >= first && onLineage(b, last.timeline, branches) {
			return b, true
		}
	}
	return Record{}, false
}

// holds says that a segment is there that leads to a timeline. One in which a timeline was left for the next is of both.
func holds(held map[segment]bool, number uint64, timeline int, branches []Branch) bool {
	for i, branch := range branches {
		left := branch.At / segmentSize
		if number > left {
			continue
		}
		next := timeline
		if i+1 < len(branches) {
			next = branches[i+1].Timeline
		}
		return held[segment{branch.Timeline, number}] || number == left && held[segment{next, number}]
	}
	return held[segment{timeline, number}]
}
