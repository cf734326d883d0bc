// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// logOf are the files of segments of a timeline.
func logOf(timeline int, numbers ...int) []string {
	var files []string
	for _, n := range numbers {
		files = append(files, fmt.Sprintf("%08X%08X/%s-24683047.zst", timeline, n/256, name(timeline, n)))
	}
	return files
}

func name(timeline, n int) string { return fmt.Sprintf("%08X%08X%08X", timeline, n/256, n%256) }

// span are the numbers from one to another.
func from(first, last int) (all []int) {
	for n := first; n <= last; n++ {
		all = append(all, n)
	}
	return all
}

// made is a backup on a timeline that needs the segments from begin to end.
func made(label string, minute, timeline, begin, end int) Record {
	at := time.Date(2026, 3, 1, 0, minute, 0, 0, time.UTC)
	return Record{
		Backup:       Backup{Label: label, Full: true, StartedAt: at, FinishedAt: at, StopLSN: fmt.Sprintf("%X/%X", end/256, (end%256)<<24|0x100)},
		StartSegment: name(timeline, begin), StopSegment: name(timeline, end),
	}
}

func TestFromWhenOnNoSegmentIsMissing(t *testing.T) {
	one := []Record{made("a", 1, 1, 10, 11), made("b", 2, 1, 300, 300), made("c", 3, 1, 600, 602)}
	// The third was made on timeline 2, which left the first one within segment 400.
	two := []Record{one[0], one[1], made("x", 3, 1, 450, 451), made("c", 4, 2, 600, 602)}
	branches := []Branch{{Timeline: 1, At: 400*segmentSize + 77}}
	for what, tc := range map[string]struct {
		backups  []Record
		files    []string
		branches []Branch
		want     string
	}{
		"all is there":                       {one, logOf(1, from(10, 700)...), nil, "a"},
		"what was before the first is gone":  {one, logOf(1, from(5, 700)...), nil, "a"},
		"a segment of the first is missing":  {one, append(logOf(1, 10), logOf(1, from(12, 700)...)...), nil, "b"},
		"one in between":                     {one, append(logOf(1, from(10, 500)...), logOf(1, from(502, 700)...)...), nil, "c"},
		"one of the newest backup":           {one, append(logOf(1, from(10, 600)...), logOf(1, from(602, 700)...)...), nil, ""},
		"the last one of the newest backup":  {one, logOf(1, from(10, 601)...), nil, ""},
		"one after the newest is no matter":  {one, append(logOf(1, from(10, 602)...), logOf(1, 604)...), nil, "a"},
		"nothing":                            {one, nil, nil, ""},
		"no backup":                          {nil, logOf(1, 1), nil, ""},
		"partial and history files":          {one[2:], append(logOf(1, from(600, 601)...), name(1, 602)+".partial-x.zst", "00000002.history"), nil, ""},
		"along a branch":                     {two, append(logOf(1, from(10, 400)...), logOf(2, from(400, 700)...)...), branches, "a"},
		"the branch's segment of one of two": {two, append(logOf(1, from(10, 399)...), logOf(2, from(400, 700)...)...), branches, "a"},
		"of the other":                       {two, append(logOf(1, from(10, 400)...), logOf(2, from(401, 700)...)...), branches, "a"},
		"of none":                            {two, append(logOf(1, from(10, 399)...), logOf(2, from(401, 700)...)...), branches, "c"},
		"a gap that only the other line has": {two, append(logOf(1, from(10, 700)...), logOf(2, from(420, 700)...)...), branches, "c"},
	} {
		t.Run(what, func(t *testing.T) {
			got, ok := WholeFrom(tc.backups, tc.files, tc.branches)
			if got.Label != tc.want || ok != (tc.want != "") {
				t.Errorf("whole from %q, want %q", got.Label, tc.want)
			}
		})
	}
}

func TestHistoriesOfTimelines(t *testing.T) {
	got, err := ParseHistory([]byte("1\t0/A000198\tbefore 2000-01-01\n\n2\t16/B374D848\tat restore point\n"))
	if err != nil || len(got) != 2 || got[0] != (Branch{1, 0xA000198}) || got[1] != (Branch{2, 0x16B374D848}) {
		t.Errorf("read %v, %v", got, err)
	}
	for _, text := range []string{"1\n", "x\t0/1\n", "1\tnowhere\n", "1\t0/\n"} {
		if got, err := ParseHistory([]byte(text)); err == nil {
			t.Errorf("%q was read as %v", text, got)
		}
	}
}

func TestWhichBackupARestoreBeginsWith(t *testing.T) {
	backups := []Record{made("20260301-000100F", 1, 1, 10, 11), made("20260301-000500F", 5, 1, 450, 451), made("20260301-000900F", 9, 2, 600, 602)}
	branches := []Branch{{Timeline: 1, At: 400*segmentSize + 77}}
	minute := func(m int) time.Time { return time.Date(2026, 3, 1, 0, m, 0, 0, time.UTC) }
	for what, tc := range map[string]struct {
		label    string
		target   time.Time
		timeline int
		branches []Branch
		want     string
		refused  string
	}{
		"the latest":                       {"", time.Time{}, 2, branches, "20260301-000900F", ""},
		"before the newest":                {"", minute(8), 2, branches, "20260301-000100F", ""},
		"the same moment on the other one": {"", minute(8), 1, nil, "20260301-000500F", ""},
		"the second of a backup's end":     {"", minute(9).Add(time.Second / 2), 2, branches, "20260301-000100F", ""},
		"the second after it":              {"", minute(9).Add(time.Second), 2, branches, "20260301-000900F", ""},
		"before all":                       {"", minute(1), 1, nil, "", "no backup that ended before"},
		"by name":                          {"20260301-000100F", minute(20), 2, branches, "20260301-000100F", ""},
		"by name, on a line that was left": {"20260301-000500F", minute(20), 2, branches, "", "from which timeline 2 cannot be reached"},
		"a name that is none":              {"20250301-000500F", minute(20), 2, branches, "", "holds no backup 20250301-000500F"},
		"a timeline that nobody knows":     {"", minute(20), 7, nil, "", "no backup"},
	} {
		t.Run(what, func(t *testing.T) {
			got, err := ChooseBackup(backups, tc.label, tc.target, tc.timeline, tc.branches)
			if got.Label != tc.want || (err != nil) != (tc.refused != "") || err != nil && !strings.Contains(err.Error(), tc.refused) {
				t.Errorf("chose %q (%v), want %q", got.Label, err, tc.want+tc.refused)
			}
		})
	}
	for wish, want := range map[string]int{"": 3, "latest": 3, "current": 1, "2": 2} {
		if got, err := ChooseTimeline(wish, Info{Backups: backups, NewestSegment: name(2, 700)}, []int{2, 3}); err != nil || got != want {
			t.Errorf("timeline %q is %d (%v), want %d", wish, got, err, want)
		}
	}
	for _, wish := range []string{"0", "-1", "newest"} {
		if got, err := ChooseTimeline(wish, Info{}, nil); err == nil {
			t.Errorf("timeline %q is %d", wish, got)
		}
	}
}

func TestOneRepositoryIsPickedOutOfAConfiguration(t *testing.T) {
	conf := []byte("[global]\nprocess-max=2\nrepo1-path=/a\nrepo2-path=/b\nrepo10-path=/c\n\n[main]\npg1-path=/d\n")
	got, err := Single(conf, 1)
	if err != nil || string(got) != "[global]\nprocess-max=2\nrepo1-path=/a\n\n[main]\npg1-path=/d\n" {
		t.Errorf("picked %q, %v", got, err)
	}
	if got, err := Single(conf, 3); err == nil {
		t.Errorf("picked %q", got)
	}
}
