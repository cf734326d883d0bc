// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Record is one base backup as the catalogue tells it.
type Record struct {
	Backup
	// StartSegment and StopSegment are the segments of the write-ahead log that the backup needs to be consistent.
	StartSegment, StopSegment string
}

// consistent is the first moment that the backup can be restored to. The catalogue knows whole seconds only.
func (r Record) consistent() time.Time { return r.FinishedAt.Add(time.Second) }

// FullLabel is the label of the full backup that the backup is or builds on.
func (r Record) FullLabel() string { return fullLabel(r.Label) }

func fullLabel(label string) string {
	full, _, _ := strings.Cut(label, "_")
	return full
}

// Timeline that the backup began on; 0 if that is not known.
func (r Record) Timeline() int {
	timeline, _ := SegmentTimeline(r.StartSegment)
	return timeline
}

// SegmentTimeline is the timeline that a segment of the write-ahead log, or a history file, belongs to.
func SegmentTimeline(segment string) (int, bool) {
	if len(segment) < 8 {
		return 0, false
	}
	timeline, err := strconv.ParseUint(segment[:8], 16, 31)
	return int(timeline), err == nil && timeline > 0
}

// Info is what one repository tells of itself.
type Info struct {
	// Failure is set if the repository does not answer as it should; nothing else is known then.
	Failure *Failure
	// Empty says that the repository answers, and nothing was ever stored there.
	Empty bool
	// SystemIdentifier of the database that the repository belongs to.
	SystemIdentifier string
	// ArchiveID is the folder of the write-ahead log, below archive/main.
	ArchiveID string
	// OldestSegment and NewestSegment of the write-ahead log, by name.
	OldestSegment, NewestSegment string
	// Backups that are complete, as the repository lists them.
	Backups []Record
}

// The states of a repository in pgBackRest's own numbers.
const (
	stateOK          = 0
	stateMissingPath = 1
	stateNoBackup    = 2
	stateMissingData = 3
)

type infoStanza struct {
	Archive []struct {
		Database infoDatabase `json:"database"`
		ID       string       `json:"id"`
		Max      string       `json:"max"`
		Min      string       `json:"min"`
	} `json:"archive"`
	Backup []infoBackup `json:"backup"`
	DB     []struct {
		ID       int         `json:"id"`
		Repo     int         `json:"repo-key"`
		SystemID json.Number `json:"system-id"`
	} `json:"db"`
	Repo []struct {
		Key    int        `json:"key"`
		Status infoStatus `json:"status"`
	} `json:"repo"`
	Status infoStatus `json:"status"`
}

type infoDatabase struct {
	ID   int `json:"id"`
	Repo int `json:"repo-key"`
}

type infoStatus struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

type infoBackup struct {
	Archive struct {
		Start string `json:"start"`
		Stop  string `json:"stop"`
	} `json:"archive"`
	Database infoDatabase `json:"database"`
	Error    bool         `json:"error"`
	Info     struct {
		Size       int64 `json:"size"`
		Repository struct {
			Delta int64 `json:"delta"`
		} `json:"repository"`
	} `json:"info"`
	Label string `json:"label"`
	LSN   struct {
		Start string `json:"start"`
		Stop  string `json:"stop"`
	} `json:"lsn"`
	Timestamp struct {
		Start int64 `json:"start"`
		Stop  int64 `json:"stop"`
	} `json:"timestamp"`
	Type string `json:"type"`
}

// ParseInfo reads the answer to `pgbackrest info --stanza=main --output=json` for one repository. pgBackRest ends well
// also when a repository does not answer, and then says so inside.
func ParseInfo(raw []byte, repository int) (Info, error) {
	var stanzas []infoStanza
	err := json.Unmarshal(raw, &stanzas)
	if err != nil {
		err = json.Unmarshal(printable(raw), &stanzas)
	}
	if err != nil {
		return Info{}, fmt.Errorf("understanding what pgBackRest tells of the repository: %w", err)
	}
	if len(stanzas) == 0 {
		return Info{Empty: true}, nil
	}
	if len(stanzas) > 1 {
		return Info{}, fmt.Errorf("pgBackRest tells of %d stanzas where there should be one", len(stanzas))
	}
	stanza := stanzas[0]
	for _, repo := range stanza.Repo {
		if repo.Key != repository {
			continue
		}
		switch repo.Status.Code {
		case stateOK, stateNoBackup:
			return stanza.of(repository), nil
		case stateMissingPath, stateMissingData:
			return Info{Empty: true}, nil
		default:
			failure := Classify(0, repo.Status.Message)
			return Info{Failure: &failure}, nil
		}
	}
	return Info{}, errors.New("pgBackRest tells nothing of the repository that it was asked about")
}

// printable makes JSON of what pgBackRest writes: when a file cannot be decrypted, its message repeats raw bytes.
func printable(raw []byte) []byte {
	clean := make([]byte, 0, len(raw))
	for len(raw) > 0 {
		r, size := utf8.DecodeRune(raw)
		switch {
		case r < ' ' || r == utf8.RuneError && size == 1:
			clean = append(clean, '?')
		default:
			clean = append(clean, raw[:size]...)
		}
		raw = raw[size:]
	}
	return clean
}

func (s infoStanza) of(repository int) Info {
	var info Info
	newest := 0
	for _, db := range s.DB {
		if db.Repo == repository && db.ID > newest {
			newest, info.SystemIdentifier = db.ID, db.SystemID.String()
		}
	}
	for _, archive := range s.Archive {
		if archive.Database.Repo == repository && archive.Database.ID == newest {
			info.ArchiveID, info.OldestSegment, info.NewestSegment = archive.ID, archive.Min, archive.Max
		}
	}
	for _, b := range s.Backup {
		if b.Database.Repo == repository && b.Database.ID == newest {
			info.Backups = append(info.Backups, b.record())
		}
	}
	return info
}

func (b infoBackup) record() Record {
	return Record{
		Backup: Backup{
			Label: b.Label, Full: b.Type == "full", Damaged: b.Error,
			StartedAt: time.Unix(b.Timestamp.Start, 0).UTC(), FinishedAt: time.Unix(b.Timestamp.Stop, 0).UTC(),
			StartLSN: b.LSN.Start, StopLSN: b.LSN.Stop,
			RepositoryBytes: b.Info.Repository.Delta, DatabaseBytes: b.Info.Size,
		},
		StartSegment: b.Archive.Start, StopSegment: b.Archive.Stop,
	}
}

// Catalogue sums up what a repository holds. files are those of its archive, branches those that led to the timeline of
// the newest backup.
func (i Info) Catalogue(files []string, branches []Branch) *Catalogue {
	c := &Catalogue{Backups: len(i.Backups)}
	backups := oldestFirst(i.Backups)
	for _, b := range backups {
		c.RepositoryBytes += b.RepositoryBytes
		if b.Full {
			c.Fulls++
		}
	}
	if len(backups) == 0 {
		return c
	}
	oldest, newest := backups[0], backups[len(backups)-1]
	c.Oldest, c.OldestStarted = oldest.Label, oldest.StartedAt
	c.Newest, c.NewestFinished = newest.Label, newest.FinishedAt
	if whole, ok := WholeFrom(backups, files, branches); ok {
		c.RecoverableFrom = whole.consistent()
	}
	return c
}

// Newest is the last backup that ended; false if there is none.
func (i Info) Newest() (Record, bool) {
	sorted := oldestFirst(i.Backups)
	if len(sorted) == 0 {
		return Record{}, false
	}
	return sorted[len(sorted)-1], true
}

// Find returns a backup by its label.
func (i Info) Find(label string) (Record, bool) {
	for _, b := range i.Backups {
		if b.Label == label {
			return b, true
		}
	}
	return Record{}, false
}
