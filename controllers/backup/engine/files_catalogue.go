// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The oldest restic that is worked with: it tells failures apart by exit codes, and when a snapshot ended.
const (
	leastResticMajor = 0
	leastResticMinor = 18
)

var resticVersions = regexp.MustCompile(`^restic (\d+)\.(\d+)(\.\d+)?[^ ]* `)

// CheckResticVersion refuses what `restic version` printed if it is older than what is needed.
func CheckResticVersion(printed string) error {
	found := resticVersions.FindStringSubmatch(printed)
	if found == nil {
		return fmt.Errorf("restic does not tell its version, but %q", essenceOfRestic(printed))
	}
	major, errMajor := strconv.Atoi(found[1])
	minor, errMinor := strconv.Atoi(found[2])
	if err := errors.Join(errMajor, errMinor); err != nil {
		return fmt.Errorf("restic's version is not to be understood: %w", err)
	}
	if major < leastResticMajor || major == leastResticMajor && minor < leastResticMinor {
		return fmt.Errorf("restic of this image is %d.%d, and application data needs %d.%d at least: approve the update of the instance's images",
			major, minor, leastResticMajor, leastResticMinor)
	}
	return nil
}

// TagUnfinished is on each snapshot from the beginning, and is taken off once every file is known to be in it: one of which
// nobody came to say so, or in which files are missing, keeps it.
const TagUnfinished = "unfinished"

// resticSnapshot is a snapshot in restic's words.
type resticSnapshot struct {
	ID string `json:"id"`
	// Original is its ID before its tags were changed; empty if they never were.
	Original string `json:"original"`

	Time    time.Time `json:"time"`
	Paths   []string  `json:"paths"`
	Tags    []string  `json:"tags"`
	Summary *struct {
		Start           time.Time `json:"backup_start"`
		End             time.Time `json:"backup_end"`
		DataAddedPacked int64     `json:"data_added_packed"`
		Files           int64     `json:"total_files_processed"`
		Bytes           int64     `json:"total_bytes_processed"`
	} `json:"summary"`
}

// ParseSnapshots reads the answer to `restic snapshots --json`, oldest first: those of the instance's data, as the tag and
// the path say. Others are not ours, and are left alone.
func ParseSnapshots(raw []byte, instanceID, path string) ([]Snapshot, error) {
	var all []resticSnapshot
	if err := json.Unmarshal(raw, &all); err != nil {
		return nil, fmt.Errorf("understanding what restic tells of the repository: %w", err)
	}
	snapshots := []Snapshot{}
	for _, s := range all {
		if !slices.Contains(s.Tags, instanceID) || !slices.Equal(s.Paths, []string{path}) {
			continue
		}
		made := Snapshot{ID: s.ID, Original: s.Original, Unfinished: slices.Contains(s.Tags, TagUnfinished), StartedAt: s.Time.UTC(), FinishedAt: s.Time.UTC()}
		if s.Summary != nil {
			made.StartedAt, made.FinishedAt = s.Summary.Start.UTC(), s.Summary.End.UTC()
			made.Files, made.Bytes, made.RepositoryBytes = s.Summary.Files, s.Summary.Bytes, s.Summary.DataAddedPacked
		}
		snapshots = append(snapshots, made)
	}
	slices.SortStableFunc(snapshots, func(a, b Snapshot) int { return a.FinishedAt.Compare(b.FinishedAt) })
	return snapshots, nil
}

// CatalogueOf sums up snapshots, oldest first.
func CatalogueOf(snapshots []Snapshot) *FilesCatalogue {
	whole := Whole(snapshots)
	c := &FilesCatalogue{Snapshots: len(whole), Unfinished: len(snapshots) - len(whole)}
	for _, s := range snapshots {
		c.RepositoryBytes += s.RepositoryBytes
	}
	if len(snapshots) > 0 {
		c.EarliestStarted = snapshots[0].StartedAt
	}
	if len(whole) > 0 {
		c.Oldest, c.Newest = &whole[0], &whole[len(whole)-1]
	}
	return c
}

// Whole are the snapshots that can be restored: in the others files are missing.
func Whole(snapshots []Snapshot) []Snapshot {
	return slices.DeleteFunc(slices.Clone(snapshots), func(s Snapshot) bool { return s.Unfinished })
}

// MadeAs returns the snapshot that was stored under an ID, which is another one once its tags were changed.
func MadeAs(snapshots []Snapshot, id string) (Snapshot, bool) {
	for _, s := range slices.Backward(snapshots) {
		if id != "" && (s.ID == id || s.Original == id) {
			return s, true
		}
	}
	return Snapshot{}, false
}

// FindSnapshot returns a snapshot by its ID.
func FindSnapshot(snapshots []Snapshot, id string) (Snapshot, bool) {
	for _, s := range snapshots {
		if s.ID == id {
			return s, true
		}
	}
	return Snapshot{}, false
}

// ErrNoSnapshot is why ChooseSnapshot found none.
var ErrNoSnapshot = errors.New("no snapshot of the application's data")

// ChooseSnapshot is the one that brings the wish back: the one with the ID, or the last that had ended by the target. The
// snapshots are sorted, oldest first. One in which files are missing is never chosen: it would look as if it were all. An
// error is ErrNoSnapshot.
func ChooseSnapshot(snapshots []Snapshot, wish FilesSource) (Snapshot, error) {
	if wish.Snapshot != "" {
		s, ok := FindSnapshot(snapshots, wish.Snapshot)
		switch {
		case ok && !s.Unfinished:
			return s, nil
		case ok:
			return Snapshot{}, fmt.Errorf("%w that is whole has the ID %s: files are missing in it; there are %s", ErrNoSnapshot, wish.Snapshot, spanOf(snapshots))
		}
		return Snapshot{}, fmt.Errorf("%w has the ID %s; there are %s", ErrNoSnapshot, wish.Snapshot, spanOf(snapshots))
	}
	for _, s := range slices.Backward(Whole(snapshots)) {
		left := slices.ContainsFunc(wish.Without, func(span Span) bool { return span.holds(s.FinishedAt) })
		moment := s.FinishedAt
		if wish.Begun {
			moment = s.StartedAt
		}
		if !left && (wish.Target.IsZero() || !moment.After(wish.Target)) {
			return s, nil
		}
	}
	if wish.Target.IsZero() {
		return Snapshot{}, fmt.Errorf("%w that counts; there are %s", ErrNoSnapshot, spanOf(snapshots))
	}
	if wish.Begun {
		return Snapshot{}, fmt.Errorf("%w had begun by %s; there are %s", ErrNoSnapshot, wish.Target.UTC().Format(time.RFC3339), spanOf(snapshots))
	}
	return Snapshot{}, fmt.Errorf("%w had ended by %s; there are %s", ErrNoSnapshot, wish.Target.UTC().Format(time.RFC3339), spanOf(snapshots))
}

// spanOf says in words what there is to choose from.
func spanOf(snapshots []Snapshot) string {
	whole := Whole(snapshots)
	others := ""
	if n := len(snapshots) - len(whole); n > 0 {
		others = fmt.Sprintf(", and %d in which files are missing", n)
	}
	if len(whole) == 0 {
		return "none" + others
	}
	first, last := whole[0], whole[len(whole)-1]
	return fmt.Sprintf("%d, the first of which ended at %s and the last at %s%s",
		len(whole), first.FinishedAt.Format(time.RFC3339), last.FinishedAt.Format(time.RFC3339), others)
}

// FilesRemoval is which snapshots may be removed from a destination.
type FilesRemoval struct {
	// IDs of those that go, oldest first.
	IDs []string
	// Held says that expired ones remain since no newer one was verified, HeldForWindow that they remain since the first
	// minutes of the window are restored from them.
	Held, HeldForWindow bool
}

// ExpirableSnapshots says what may be removed: what is older than backupDays at the last daily run before it is, and older
// than the newest one that was restored and found good. So the last one never goes. The one that the beginning of the
// window of pointInTimeDays is restored from, and all after it, remain too.
//
// The snapshots are sorted, oldest first, and must be the whole catalogue. From a catalogue that could not be read nothing
// may be removed: do not ask.
func ExpirableSnapshots(snapshots []Snapshot, options FilesBackupOptions, now time.Time) FilesRemoval {
	var removal FilesRemoval
	proven := slices.IndexFunc(snapshots, func(s Snapshot) bool { return s.ID == options.Verified })
	base := baseOfWindow(snapshots, now.AddDate(0, 0, -int(options.PointInTimeDays)))
	for i, s := range snapshots {
		switch expired := s.FinishedAt.AddDate(0, 0, int(options.BackupDays)-1).Before(now); {
		case !expired:
		case i >= proven: // Also if none is proven.
			removal.Held = true
		case i >= base:
			removal.HeldForWindow = true
		default:
			removal.IDs = append(removal.IDs, s.ID)
		}
	}
	return removal
}

// baseOfWindow is the last whole snapshot that had ended by the beginning of the window, or else the first of all.
func baseOfWindow(snapshots []Snapshot, begin time.Time) int {
	base := 0
	for i, s := range snapshots {
		if !s.Unfinished && !s.FinishedAt.After(begin) {
			base = i
		}
	}
	return base
}

// SnapshotsAfterRemoval compares what should be left with what is: which snapshots are missing that were not to go, and
// which are still there that were.
func SnapshotsAfterRemoval(removal FilesRemoval, before, after []Snapshot) (missing, remaining []string) {
	for _, s := range before {
		_, there := FindSnapshot(after, s.ID)
		switch planned := slices.Contains(removal.IDs, s.ID); {
		case there && planned:
			remaining = append(remaining, s.ID)
		case !there && !planned:
			missing = append(missing, s.ID)
		}
	}
	return missing, remaining
}

// HoldsKeysOnly reports whether `restic init` refused since there is a key already, though no repository.
func HoldsKeysOnly(told string) bool {
	return strings.Contains(told, "repository already contains keys")
}

// HalfMade reads what `pgbackrest repo-ls --recurse --output=json` lists of restic's folder: whether it is a repository that
// was never made completely. It holds a key and nothing else, so nothing can be restored from it.
func HalfMade(listed []byte) (bool, error) {
	var entries map[string]struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(listed, &entries); err != nil {
		return false, fmt.Errorf("understanding the list of the folder with the application's data: %w", err)
	}
	keys := 0
	for name, entry := range entries {
		switch {
		case entry.Type == "path":
		case strings.HasPrefix(name, "keys/"):
			keys++
		default:
			return false, nil
		}
	}
	return keys > 0, nil
}

// Said is what restic told while it worked, in JSON.
type Said struct {
	// SnapshotID of the snapshot that was made.
	SnapshotID string
	// Files and Bytes that a restore brought back or found there already.
	Files, Bytes int64
	// Unread are the files that could not be read, with the reason. Files that went away meanwhile are not among them.
	Unread []string
	// Fatal is why it gave up.
	Fatal string
}

// resticMessage is one line of restic's.
type resticMessage struct {
	Type  string `json:"message_type"`
	Error struct {
		Message string `json:"message"`
	} `json:"error"`
	During     string `json:"during"`
	Item       string `json:"item"`
	Message    string `json:"message"`
	SnapshotID string `json:"snapshot_id"`
	TotalFiles int64  `json:"total_files"`
	TotalBytes int64  `json:"total_bytes"`
}

// ParseSaid reads what `restic backup` or `restic restore` wrote with --json, to its output and to its log. Lines that are
// no JSON are passed over.
func ParseSaid(output string) Said {
	var said Said
	for line := range strings.Lines(output) {
		var m resticMessage
		if json.Unmarshal([]byte(line), &m) != nil {
			continue
		}
		switch m.Type {
		case "summary":
			said.SnapshotID, said.Files, said.Bytes = m.SnapshotID, m.TotalFiles, m.TotalBytes
		case "error":
			if m.During != "scan" && !strings.Contains(m.Error.Message, "no such file or directory") { // The scan only counts.
				said.Unread = append(said.Unread, m.trouble())
			}
		case "exit_error":
			said.Fatal = m.Message
		}
	}
	return said
}
