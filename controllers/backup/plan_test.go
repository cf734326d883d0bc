// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/freehold-dev/freehold/api/v1alpha1"
)

func TestWhenTheOperatorMakesABackupItself(t *testing.T) {
	for name, row := range map[string]struct {
		standing standing
		want     time.Time
	}{
		"the first one, at once":                    {standing{}, noon},
		"after a failed one, in a moment":           {standing{failures: 1, attempt: at(-1)}, at(4)},
		"after two, twice as late":                  {standing{failures: 2, attempt: at(-1)}, at(9)},
		"after many, each hour":                     {standing{failures: 100, attempt: at(-1)}, at(59)},
		"a failed one long ago":                     {standing{failures: 1, attempt: at(-600)}, noon},
		"what is fresh is the CronJob's":            {standing{backup: at(-60)}, at(-60).Add(overdueAfter)},
		"what the CronJob missed, at once":          {standing{backup: at(-60 * 48)}, at(-60 * 48).Add(overdueAfter)},
		"what it failed to make, after a pause":     {standing{backup: at(-60 * 48), failures: 1, attempt: at(-2)}, at(3)},
		"a failed one while the other is fresh yet": {standing{backup: at(-60), failures: 1, attempt: at(-2)}, at(-60).Add(overdueAfter)},
	} {
		if got := row.standing.nextBackup(noon); !got.Equal(row.want) {
			t.Errorf("%s: due at %s, want %s", name, moment(got), moment(row.want))
		}
	}
}

func TestWhichDestinationIsVerifiedNext(t *testing.T) {
	policy := v1alpha1.BackupVerification{IntervalDays: 7, MaximumAgeDays: 30}
	ago := func(n int) time.Time { return noon.Add(-time.Duration(n) * 24 * time.Hour) }
	a, b := proof{name: "site-a", full: true}, proof{name: "site-b", full: true}
	verified := func(p proof, n int) proof { p.verified = ago(n); return p }
	unproven := func(p proof, hours int) proof {
		p.unproven = attempt{at: noon.Add(-time.Duration(hours) * time.Hour), refuted: true}
		return p
	}
	unreached := func(p proof, minutes int) proof { p.unproven = attempt{at: at(-minutes)}; return p }
	for name, row := range map[string]struct {
		proofs []proof
		want   string
		due    bool
	}{
		"nothing is stored yet":                           {[]proof{{name: "site-a"}}, "", false},
		"never proven: at once":                           {[]proof{verified(a, 1), b}, "site-b", true},
		"in turn, the one proven longest ago":             {[]proof{verified(a, 10), verified(b, 17)}, "site-b", true},
		"not yet":                                         {[]proof{verified(a, 2), verified(b, 9)}, "site-b", false},
		"before the evidence grows too old":               {[]proof{verified(a, 1), verified(b, 28)}, "site-b", true},
		"after what is stored was found wanting: a pause": {[]proof{unproven(a, 1)}, "site-a", false},
		"nobody got at it: a shorter one":                 {[]proof{unreached(a, 29)}, "site-a", false},
		"nobody got at it half an hour ago":               {[]proof{unreached(a, 30)}, "site-a", true},
		"and then again":                                  {[]proof{unproven(a, 7)}, "site-a", true},
		"what failed holds up no other":                   {[]proof{unproven(verified(a, 20), 1), verified(b, 20)}, "site-b", true},
		"what failed before it was proven":                {[]proof{unproven(verified(a, 1), 48), verified(b, 2)}, "site-b", false},
	} {
		got, due := nextProof(row.proofs, policy, "i-1", noon)
		if got != row.want || got != "" && !due.After(noon) != row.due {
			t.Errorf("%s: %q at %s, want %q, due %t", name, got, moment(due), row.want, row.due)
		}
	}
}

// TestEveryDestinationIsProvenInTime lets two years go by.
func TestEveryDestinationIsProvenInTime(t *testing.T) {
	for _, policy := range []v1alpha1.BackupVerification{{IntervalDays: 7, MaximumAgeDays: 30}, {IntervalDays: 30, MaximumAgeDays: 30}, {IntervalDays: 1, MaximumAgeDays: 2}} {
		for n := 1; n <= 4; n++ {
			var proofs []proof
			for i := range n {
				proofs = append(proofs, proof{name: fmt.Sprint(i), full: true})
			}
			count := 0
			for now := noon; now.Before(noon.Add(days(730))); now = now.Add(time.Hour) {
				name, due := nextProof(proofs, policy, "i-1", now)
				if !due.After(now) {
					for i := range proofs {
						if proofs[i].name == name {
							proofs[i].verified, count = now, count+1
						}
					}
				}
				for _, p := range proofs {
					if !p.verified.IsZero() && now.Sub(p.verified) > days(policy.MaximumAgeDays) {
						t.Fatalf("every %d days, %d destinations: the evidence of %s is older than %d days", policy.IntervalDays, n, p.name, policy.MaximumAgeDays)
					}
				}
			}
			if most := 730 / int(policy.IntervalDays) * 3 * n; count > most {
				t.Errorf("every %d days, %d destinations: %d verifications in two years", policy.IntervalDays, n, count)
			}
		}
	}
}

func TestATargetIsAMinuteInsideTheWindow(t *testing.T) {
	from, until := noon.Add(7*time.Second), at(60)
	for n := range int64(58) {
		got := target(from, until, func(int64) int64 { return n })
		if !got.After(from) || !got.Before(until) || got.Second() != 0 {
			t.Errorf("%s is no minute between %s and %s", got, from, until)
		}
	}
	target(from, until, func(n int64) int64 {
		if n != 58 {
			t.Errorf("chosen from %d minutes, want 58", n)
		}
		return 0
	})
	for _, window := range [][2]time.Time{{noon, noon}, {noon, noon.Add(90 * time.Second)}, {{}, noon}, {at(5), noon}} {
		if got := target(window[0], window[1], func(int64) int64 { t.Error("nothing to choose from"); return 0 }); !got.IsZero() {
			t.Errorf("%v has no minute inside, and the target is %s", window, got)
		}
	}
}

func TestTenantsAreSpreadOverTheHoursAfterTheStart(t *testing.T) {
	seen := map[string]int{}
	policy := v1alpha1.BackupSchedule{TimeZone: "UTC", Start: "22:30", SpreadMinutes: 240}
	for i := range 1000 {
		schedule, shift, err := cronSchedule(policy, fmt.Sprintf("i-%d", i))
		if err != nil || shift < 0 || shift >= 240 {
			t.Fatalf("shift %d: %v", shift, err)
		}
		begin := time.Date(2026, 1, 1, 22, 30, 0, 0, time.UTC).Add(time.Duration(shift) * time.Minute)
		if want := fmt.Sprintf("%d %d * * *", begin.Minute(), begin.Hour()); schedule != want {
			t.Errorf("%d minutes after the start is %q, not %q", shift, want, schedule)
		}
		seen[schedule]++
	}
	for schedule, n := range seen {
		if n > 20 {
			t.Errorf("%d of 1000 tenants begin at %s", n, schedule)
		}
	}
	if _, _, err := cronSchedule(v1alpha1.BackupSchedule{Start: "25:00"}, "i"); err == nil {
		t.Error("25:00 is a time of day")
	}
}

func TestNamesOfJobsFit(t *testing.T) {
	longest := "a-destination-of-20c"
	if name := cronJobName(longest); len(name) > 52 {
		t.Errorf("Kubernetes refuses CronJobs with names as long as %q", name)
	}
	first := jobName("backup", longest, "x")
	if len(first) > 63 || first == jobName("backup", longest, "y") || first != jobName("backup", longest, "x") || !strings.HasPrefix(first, "backup-"+longest+"-") {
		t.Errorf("%q is no name for a Job that is always the same for one occasion", first)
	}
}

func TestAPlaceIsKeptForAVerificationThatIsAboutToBegin(t *testing.T) {
	r := newRegister()
	none := map[string]bool{}
	if !r.reserve("a", none, 2, noon) || !r.reserve("b", none, 2, noon) || r.reserve("c", none, 2, noon) {
		t.Error("two places are for the first two")
	}
	if !r.reserve("a", none, 2, noon.Add(30*time.Second)) {
		t.Error("who has a place keeps it")
	}
	if r.reserve("c", map[string]bool{"a": true, "b": true}, 2, at(2)) {
		t.Error("what runs takes a place")
	}
	if !r.reserve("c", map[string]bool{"a": true}, 2, at(2)) {
		t.Error("a place that nobody asks for any more is free")
	}
}
