// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/freehold-dev/freehold/controllers/backup/engine"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// lineage is the customer's history in PostgreSQL's timelines. Every restore, and every return to an older volume, begins
// a new timeline. What was written between the target of a restore and the restore itself lies on the timeline that was
// left; without the lineage a later restore to a moment in between would silently bring something else.
//
// See https://www.postgresql.org/docs/17/continuous-archiving.html#BACKUP-TIMELINES.
type lineage []timeline

// timeline was the customer's since a moment, until that of the next one.
type timeline struct {
	Number int       `json:"timeline"`
	Since  time.Time `json:"since"`
	// FilesFrom is the moment that the application's data went back to then; zero if it stayed.
	FilesFrom time.Time `json:"filesFrom,omitzero"`
}

// parseLineage reads AnnotationTimelines.
func parseLineage(annotations map[string]string) (lineage, error) {
	text := annotations[meta.AnnotationTimelines]
	if text == "" {
		return nil, nil
	}
	var l lineage
	if err := json.Unmarshal([]byte(text), &l); err != nil {
		return nil, fmt.Errorf("the annotation %s of the namespace is no list of timelines: %w", meta.AnnotationTimelines, err)
	}
	return l, nil
}

// String is the annotation's value.
func (l lineage) String() string {
	raw, err := json.Marshal(l)
	if err != nil {
		panic(err) // Numbers and times always encode.
	}
	return string(raw)
}

// switched is the lineage after the database went over to another timeline.
func (l lineage) switched(to int, now time.Time) lineage {
	next := append(lineage{}, l...)
	return append(next, timeline{Number: to, Since: now.UTC().Truncate(time.Second)})
}

// at is the timeline that was the customer's at a moment, in pgBackRest's words: a number, or "current", the one of the
// base backup, before the first switch. No moment means the newest.
func (l lineage) at(moment time.Time) string {
	found := ""
	for _, t := range l {
		if moment.IsZero() || !moment.Before(t.Since) {
			found = strconv.Itoa(t.Number)
		}
	}
	if found == "" {
		return "current"
	}
	return found
}

// without are the times whose snapshots of the application's data are not the customer's history before a moment: a restore
// went back to before them. No moment means the latest.
func (l lineage) without(moment time.Time) []engine.Span {
	var left []engine.Span
	for i := len(l) - 1; i >= 0; i-- {
		t := l[i]
		if !moment.IsZero() && (moment.Before(t.Since) || len(left) > 0 && moment.Equal(t.Since)) {
			continue // It came later. A volume that was put aside at a moment knows nothing of what happened then.
		}
		if !t.FilesFrom.IsZero() {
			left = append(left, engine.Span{From: t.FilesFrom, Until: t.Since})
			moment = t.FilesFrom
		}
	}
	return left
}

// highest is the highest timeline that the customer ever had; 0 if none is known.
func (l lineage) highest() int {
	highest := 0
	for _, t := range l {
		highest = max(highest, t.Number)
	}
	return highest
}
