// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/freehold-dev/freehold/api/v1alpha1"
)

func moment(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func record(full time.Time, at ...time.Time) Record {
	label := full.UTC().Format("20060102-150405") + "F"
	started := full
	if len(at) > 0 {
		started = at[0]
		label += "_" + started.UTC().Format("20060102-150405") + "I"
	}
	return Record{Backup: Backup{Label: label, Full: len(at) == 0, StartedAt: started, FinishedAt: started.Add(5 * time.Minute), RepositoryBytes: 10}}
}

func TestWhatTheNextBackupHolds(t *testing.T) {
	sundays := Plan{Start: "01:30", ShiftMinutes: 200, TimeZone: "Europe/Vienna", FullDays: []v1alpha1.Weekday{"Sunday"}}
	late := Plan{Start: "23:00", ShiftMinutes: 1300, TimeZone: "Europe/Vienna", FullDays: []v1alpha1.Weekday{"Sunday"}}
	at := func(text string) time.Time { return moment(t, text) }
	full, incremental := v1alpha1.BackupFull, v1alpha1.BackupIncremental
	for name, tc := range map[string]struct {
		plan    Plan
		options BackupOptions
		fulls   []time.Time
		now     time.Time
		want    v1alpha1.BackupType
	}{
		"the first one":                           {sundays, BackupOptions{Type: incremental}, nil, at("2026-03-04T03:50:00Z"), full},
		"a day of the week":                       {sundays, BackupOptions{}, []time.Time{at("2026-03-01T03:51:00Z")}, at("2026-03-04T03:50:00Z"), incremental},
		"the day of full ones":                    {sundays, BackupOptions{}, []time.Time{at("2026-03-01T03:51:00Z")}, at("2026-03-08T03:50:00Z"), full},
		"a pod whose clock is behind":             {sundays, BackupOptions{}, []time.Time{at("2026-03-01T03:51:00Z")}, at("2026-03-08T03:49:58Z"), full},
		"the day after such a pod":                {sundays, BackupOptions{}, []time.Time{at("2026-03-08T03:49:58Z")}, at("2026-03-09T03:50:00Z"), incremental},
		"the planned one was missed":              {sundays, BackupOptions{}, []time.Time{at("2026-03-01T03:51:00Z")}, at("2026-03-10T03:50:00Z"), full},
		"one by hand on the day before":           {sundays, BackupOptions{}, []time.Time{at("2026-03-07T12:00:00Z")}, at("2026-03-08T03:50:00Z"), full},
		"one by hand on the day itself":           {sundays, BackupOptions{}, []time.Time{at("2026-03-08T12:00:00Z")}, at("2026-03-09T03:50:00Z"), incremental},
		"full by hand":                            {sundays, BackupOptions{Type: full}, []time.Time{at("2026-03-08T12:00:00Z")}, at("2026-03-09T03:50:00Z"), full},
		"incremental by hand":                     {sundays, BackupOptions{Type: incremental}, []time.Time{at("2026-03-01T03:51:00Z")}, at("2026-03-08T03:50:00Z"), incremental},
		"full ones before a moment do not count":  {sundays, BackupOptions{FullSince: at("2026-03-02T00:00:00Z")}, []time.Time{at("2026-03-01T03:51:00Z")}, at("2026-03-04T03:50:00Z"), full},
		"those after it do":                       {sundays, BackupOptions{FullSince: at("2026-03-01T00:00:00Z")}, []time.Time{at("2026-03-01T03:51:00Z")}, at("2026-03-04T03:50:00Z"), incremental},
		"the shift leads into the next day":       {late, BackupOptions{}, []time.Time{at("2026-03-02T19:41:00Z")}, at("2026-03-09T19:40:00Z"), full},
		"and on the day after that is no day":     {late, BackupOptions{}, []time.Time{at("2026-03-09T19:41:00Z")}, at("2026-03-10T19:40:00Z"), incremental},
		"the last one before the clocks change":   {sundays, BackupOptions{}, []time.Time{at("2026-03-22T03:51:00Z")}, at("2026-03-28T03:50:00Z"), incremental},
		"the day on which the clocks go forwards": {sundays, BackupOptions{}, []time.Time{at("2026-03-22T03:51:00Z")}, at("2026-03-29T02:50:00Z"), full},
		"the day on which the clocks go back":     {sundays, BackupOptions{}, []time.Time{at("2026-10-18T02:51:00Z")}, at("2026-10-25T03:50:00Z"), full},
		"no day at all":                           {Plan{Start: "01:30", TimeZone: "UTC"}, BackupOptions{}, []time.Time{at("2020-03-01T03:51:00Z")}, at("2026-03-10T03:50:00Z"), incremental},
	} {
		t.Run(name, func(t *testing.T) {
			var backups []Record
			for _, f := range tc.fulls {
				backups = append(backups, record(f), record(f, f.Add(24*time.Hour)))
			}
			tc.options.Plan = tc.plan
			got, err := NextBackup(backups, tc.options, tc.now)
			if err != nil || got != tc.want {
				t.Errorf("the next one is %s (%v), want %s", got, err, tc.want)
			}
		})
	}
}

func TestAPlanThatCannotBeReadIsAnError(t *testing.T) {
	for _, plan := range []Plan{{Start: "01:30", TimeZone: "Europe/Nowhere"}, {Start: "1 o'clock", TimeZone: "UTC"}} {
		backups := []Record{record(moment(t, "2026-03-01T03:51:00Z"))}
		if got, err := NextBackup(backups, BackupOptions{Plan: plan}, moment(t, "2026-03-02T03:51:00Z")); err == nil {
			t.Errorf("%v: %s", plan, got)
		}
	}
}

// weekly is a catalogue with a full backup each seventh day and incremental ones between, the newest today.
func weekly(today time.Time, days int) []Record {
	var all []Record
	var full time.Time
	for day := range days {
		at := today.AddDate(0, 0, day-days+1)
		if day%7 == 0 {
			full = at
			all = append(all, record(full))
			continue
		}
		all = append(all, record(full, at))
	}
	return all
}

func TestWhatMayBeRemoved(t *testing.T) {
	today := moment(t, "2026-06-28T03:00:00Z")
	now := today.Add(10 * time.Minute)
	year := weekly(today, 358) // 52 weeks and a first day: the newest is full.
	newest := year[len(year)-1].Label
	label := func(i int) string { return year[i].Label }
	for name, tc := range map[string]struct {
		backups         []Record
		days, window    int32
		verified        string
		removed         int
		oldest          string
		keepLogOf       int
		held, forWindow bool
	}{
		// The full backups of days 0, 7, … 175 are older than 180 days by tomorrow: 26 sets of seven.
		"the usual case":                          {year, 180, 30, newest, 26 * 7, label(0), 31, false, false},
		"an incremental one was verified":         {year, 180, 30, label(350), 26 * 7, label(0), 31, false, false},
		"nothing was verified":                    {year, 180, 30, "", 0, "", 0, true, false},
		"what was verified is not there":          {year, 180, 30, "20200101-000000F", 0, "", 0, true, false},
		"the oldest one was verified":             {year, 180, 30, label(0), 0, "", 358, true, false},
		"one in the middle was":                   {year, 180, 30, label(72), 70, label(0), 288, true, false},
		"the window is as long as the retention":  {year, 180, 180, newest, 25 * 7, label(0), 181, false, true},
		"everything is young":                     {year[343:], 180, 30, newest, 0, "", 15, false, false},
		"only one full backup, old":               {weekly(today, 5)[:1], 2, 1, weekly(today, 5)[0].Label, 0, "", 1, true, false},
		"an empty catalogue":                      {nil, 180, 30, newest, 0, "", 0, false, false},
		"yesterday is in the set before":          {year, 2, 1, newest, 50 * 7, label(0), 2, false, true},
		"kept for the window, and none is proven": {year, 180, 180, "", 0, "", 0, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			// The order of the catalogue means nothing.
			backups := slices.Clone(tc.backups)
			slices.Reverse(backups)
			got := Expirable(backups, BackupOptions{BackupDays: tc.days, PointInTimeDays: tc.window, Verified: tc.verified}, now)
			if len(got.Labels) != tc.removed || got.Held != tc.held || got.HeldForWindow != tc.forWindow || got.KeepLogOf != tc.keepLogOf {
				t.Errorf("removes %d, held %v, for the window %v, keeps the log of %d; want %d, %v, %v, %d",
					len(got.Labels), got.Held, got.HeldForWindow, got.KeepLogOf, tc.removed, tc.held, tc.forWindow, tc.keepLogOf)
			}
			if tc.removed > 0 && got.Sets[0] != tc.oldest {
				t.Errorf("begins with %s, want %s", got.Sets[0], tc.oldest)
			}
		})
	}
}

// TestNoYearOfBackupsEverLosesItsGuarantees lives through a year, a backup and a removal each day, with verifications
// that succeed only sometimes.
func TestNoYearOfBackupsEverLosesItsGuarantees(t *testing.T) {
	options := BackupOptions{BackupDays: 60, PointInTimeDays: 30, Plan: Plan{Start: "03:00", TimeZone: "UTC", FullDays: []v1alpha1.Weekday{"Sunday"}}}
	day := moment(t, "2026-01-01T03:00:00Z")
	var backups []Record
	for n := range 365 {
		day = day.AddDate(0, 0, 1)
		kind, err := NextBackup(backups, options, day)
		if err != nil {
			t.Fatal(err)
		}
		next := record(day)
		if kind == v1alpha1.BackupIncremental {
			next = record(newestFull(backups).StartedAt, day)
		}
		backups = append(backups, next)
		now := day.Add(10 * time.Minute)
		removal := Expirable(backups, options, now)
		backups = slices.DeleteFunc(backups, func(b Record) bool { return slices.Contains(removal.Labels, b.Label) })
		guarantees(t, n, backups, options, removal, now)
		if n%10 == 3 && (n < 100 || n > 220) { // for four months no verification succeeds.
			options.Verified = next.Label
		}
	}
}

func guarantees(t *testing.T, n int, backups []Record, options BackupOptions, removal Removal, now time.Time) {
	t.Helper()
	have := func(label string) bool {
		return slices.ContainsFunc(backups, func(b Record) bool { return b.Label == label })
	}
	for _, b := range backups {
		if !have(b.FullLabel()) {
			t.Fatalf("day %d: %s lost what it builds on", n, b.Label)
		}
	}
	if options.Verified != "" && !have(options.Verified) {
		t.Fatalf("day %d: the verified backup was removed", n)
	}
	if n > 40 && backups[0].FinishedAt.After(now.AddDate(0, 0, -30)) {
		t.Fatalf("day %d: the window begins before the oldest backup", n)
	}
	if !removal.Held && !removal.HeldForWindow && backups[0].FinishedAt.Before(now.AddDate(0, 0, -60)) {
		t.Fatalf("day %d: %s is overdue, and nobody says so", n, backups[0].Label)
	}
	if count := removal.KeepLogOf; count > 0 && count < len(backups) {
		first := oldestFirst(backups)[len(backups)-count]
		if first.FinishedAt.After(now.AddDate(0, 0, -30)) {
			t.Fatalf("day %d: the log begins with %s, inside the window", n, first.Label)
		}
	}
}

func TestArgumentsAreComplete(t *testing.T) {
	o := BackupOptions{Destination: "site-a", Plan: Plan{Start: "01:30", ShiftMinutes: 7, TimeZone: "UTC", FullDays: []v1alpha1.Weekday{"Sunday", "Friday"}},
		BackupDays: 180, PointInTimeDays: 30}
	want := "[agent backup run --destination=site-a --start=01:30 --shift-minutes=7 --time-zone=UTC --full-days=Sunday,Friday --backup-days=180 --point-in-time-days=30]"
	if got := fmt.Sprint(o.Args()); got != want {
		t.Errorf("arguments are %s\nwant %s", got, want)
	}
	o.Held = true
	if got := fmt.Sprint(o.Args()); got != strings.TrimSuffix(want, "]")+" --held]" {
		t.Errorf("where backups were before, arguments are %s", got)
	}
	o.Verified = "20260101-013000F"
	want = "[agent backup expire --destination=site-a --backup-days=180 --point-in-time-days=30 --verified=20260101-013000F]"
	if got := fmt.Sprint(o.ExpireArgs()); got != want {
		t.Errorf("arguments are %s\nwant %s", got, want)
	}
}
