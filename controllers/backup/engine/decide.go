// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"slices"
	"time"

	"github.com/freehold-dev/freehold/api/v1alpha1"
)

// Plan says when the base backups of one tenant are full.
type Plan struct {
	// Start is the time of day of the policy, such as 01:30, and ShiftMinutes how many minutes later this tenant begins.
	Start        string
	ShiftMinutes int
	// TimeZone that Start and FullDays are meant in, as in the IANA database.
	TimeZone string
	// FullDays are the days of Start; that of the shifted moment may be the next one.
	FullDays []v1alpha1.Weekday
}

// slack is how much earlier than planned a full backup may begin and be taken for the planned one: clocks differ.
const slack = 30 * time.Minute

func (p Plan) days() []string {
	days := make([]string, len(p.FullDays))
	for i, day := range p.FullDays {
		days[i] = string(day)
	}
	return days
}

// lastFull is the last moment, not after now, that a full backup is planned for; zero if there is none.
func (p Plan) lastFull(now time.Time) (time.Time, error) {
	zone, err := time.LoadLocation(p.TimeZone)
	if err != nil {
		return time.Time{}, fmt.Errorf("the time zone of the backups' schedule is not known: %w", err)
	}
	start, err := time.Parse("15:04", p.Start)
	if err != nil {
		return time.Time{}, fmt.Errorf("the start of the backups' schedule is no time of day: %w", err)
	}
	year, month, day := now.In(zone).Date()
	// With the shift, the last moment may belong to a day more than a week ago.
	for back := range 10 {
		planned := time.Date(year, month, day-back, start.Hour(), start.Minute(), 0, 0, zone).Weekday().String()
		moment := time.Date(year, month, day-back, start.Hour(), start.Minute()+p.ShiftMinutes, 0, 0, zone)
		if !moment.After(now) && slices.Contains(p.FullDays, v1alpha1.Weekday(planned)) {
			return moment, nil
		}
	}
	return time.Time{}, nil
}

// NextBackup says how much the next base backup holds. It is full if there is no full one, or none since the last
// moment that one was planned for, however many were missed.
func NextBackup(backups []Record, options BackupOptions, now time.Time) (v1alpha1.BackupType, error) {
	newest := newestFull(backups)
	if newest == nil || newest.StartedAt.Before(options.FullSince) {
		return v1alpha1.BackupFull, nil
	}
	if options.Type != "" {
		return options.Type, nil
	}
	planned, err := options.Plan.lastFull(now.Add(slack))
	if err != nil {
		return "", err
	}
	if newest.StartedAt.Before(planned.Add(-slack)) {
		return v1alpha1.BackupFull, nil
	}
	return v1alpha1.BackupIncremental, nil
}

func newestFull(backups []Record) *Record {
	var newest *Record
	for i, b := range backups {
		if b.Full && (newest == nil || b.FinishedAt.After(newest.FinishedAt)) {
			newest = &backups[i]
		}
	}
	return newest
}

// Removal is what may be removed from a destination.
type Removal struct {
	// Sets are the labels of full backups, oldest first. Each goes with all that build on it.
	Sets []string
	// Labels are the labels of all backups that go.
	Labels []string
	// KeepLogOf is for how many of the backups that remain, counted from the newest, the write-ahead log is kept
	// without a gap. Of older ones only what each needs itself remains. 0: nothing of the log may be removed.
	KeepLogOf int
	// Held says that expired backups remain since no newer full one has been verified, HeldForWindow that they remain
	// since every minute of the window is restored from them.
	Held, HeldForWindow bool
}

// Expirable says what may be removed. A full backup and those that build on it go together, at the last daily run
// before the full one is older than backupDays. They remain if they were not superseded by a full one that
// was verified, which `verified` names: the label of the newest backup that was restored and found good, or of one that
// builds on it. They remain, too, if the window of pointInTimeDays begins in them.
//
// The backups must be the whole catalogue. From a catalogue that could not be read nothing may be removed: do not ask.
func Expirable(backups []Record, options BackupOptions, now time.Time) Removal {
	var removal Removal
	proven := provenFull(backups, options.Verified)
	base := windowBase(backups, now.AddDate(0, 0, -int(options.PointInTimeDays)))
	var remaining []Record
	for _, set := range sets(backups) {
		full := set[0]
		expired := full.FinishedAt.AddDate(0, 0, int(options.BackupDays)-1).Before(now)
		superseded := proven != nil && full.FinishedAt.Before(proven.FinishedAt)
		needed := base != nil && !full.FinishedAt.Before(base.FinishedAt)
		switch {
		case expired && !superseded:
			removal.Held = true
		case expired && needed:
			removal.HeldForWindow = true
		case expired:
			removal.Sets = append(removal.Sets, full.Label)
			for _, b := range set {
				removal.Labels = append(removal.Labels, b.Label)
			}
			continue
		}
		remaining = append(remaining, set...)
	}
	removal.KeepLogOf = keepLogOf(remaining, options, proven, now)
	return removal
}

// sets are the full backups, oldest first, each followed by those that build on it.
func sets(backups []Record) [][]Record {
	var all [][]Record
	index := map[string]int{}
	for _, b := range oldestFirst(backups) {
		if b.Full {
			index[b.Label] = len(all)
			all = append(all, nil)
		}
		if i, ok := index[b.FullLabel()]; ok {
			all[i] = append(all[i], b)
		}
	}
	return all
}

func oldestFirst(backups []Record) []Record {
	return slices.SortedStableFunc(slices.Values(backups), func(a, b Record) int { return a.FinishedAt.Compare(b.FinishedAt) })
}

// provenFull is the full backup that the verified one is or builds on; nil if the destination holds neither.
func provenFull(backups []Record, verified string) *Record {
	known := slices.ContainsFunc(backups, func(b Record) bool { return b.Label == verified })
	for i, b := range backups {
		if known && b.Full && b.Label == fullLabel(verified) {
			return &backups[i]
		}
	}
	return nil
}

// windowBase is the full backup of the set from which the beginning of the window is restored: that of the last backup
// that ended before it. Nil if the window begins before all backups, so that none of them is too old for it.
func windowBase(backups []Record, begin time.Time) *Record {
	var last *Record
	for i, b := range backups {
		if !b.FinishedAt.After(begin) && (last == nil || b.FinishedAt.After(last.FinishedAt)) {
			last = &backups[i]
		}
	}
	if last == nil {
		return oldestFull(backups)
	}
	for i, b := range backups {
		if b.Label == last.FullLabel() {
			return &backups[i]
		}
	}
	return oldestFull(backups)
}

func oldestFull(backups []Record) *Record {
	for _, set := range sets(backups) {
		return &set[0]
	}
	return nil
}

// keepLogOf counts backups from the newest to the last one that ended before the window, and at least to the proven one:
// if all newer ones turn out bad, the log leads from it to the latest moment.
func keepLogOf(remaining []Record, options BackupOptions, proven *Record, now time.Time) int {
	if proven == nil {
		return 0
	}
	begin := now.AddDate(0, 0, -int(options.PointInTimeDays))
	count := 0
	for _, b := range slices.Backward(oldestFirst(remaining)) {
		count++
		if !b.FinishedAt.After(begin) && !b.FinishedAt.After(proven.FinishedAt) {
			return count
		}
	}
	return count
}
