// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func at(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }

func to(minutes int) v1alpha1.RestoreTarget {
	t := metav1.NewTime(at(minutes))
	return v1alpha1.RestoreTarget{Time: &t}
}

func TestTheSourceOfARestoreHoldsTheTarget(t *testing.T) {
	a := window{destination: "site-a", from: at(0), until: at(60), verified: at(10)}
	b := window{destination: "site-b", from: at(30), until: at(90), verified: at(20)}
	for name, c := range map[string]struct {
		target  v1alpha1.RestoreTarget
		windows []window
		want    string
		refused []string
	}{
		"only the older one holds it":     {to(10), []window{a, b}, "site-a", nil},
		"only the newer one holds it":     {to(80), []window{a, b}, "site-b", nil},
		"both do: the one proven last":    {to(45), []window{a, b}, "site-b", nil},
		"the one that was asked for":      {v1alpha1.RestoreTarget{Time: to(45).Time, Destination: "site-a"}, []window{a, b}, "site-a", nil},
		"the latest: the one proven last": {v1alpha1.RestoreTarget{}, []window{a, b}, "site-b", nil},
		"the ends of a window are inside": {to(0), []window{a}, "site-a", nil},
		"one that does not answer is left out": {to(45), []window{a, {destination: "site-b", from: at(30), until: at(90), verified: at(20), failure: "timeout"}},
			"site-a", nil},
		"before every window": {to(-1), []window{a, b}, "", []string{"2026-03-01T11:59:00.000000Z cannot be restored",
			"site-a holds every moment from 2026-03-01T12:00:00Z to 2026-03-01T13:00:00Z", "Nothing was changed"}},
		"after every window":       {to(91), []window{a, b}, "", []string{"cannot be restored"}},
		"no base backup yet":       {v1alpha1.RestoreTarget{}, []window{{destination: "site-a"}}, "", []string{"site-a holds no base backup"}},
		"nobody answers":           {to(1), []window{{destination: "site-a", failure: "connection refused"}}, "", []string{"site-a does not answer (connection refused)"}},
		"a destination that is no": {v1alpha1.RestoreTarget{Destination: "site-x"}, []window{a, b}, "", []string{"no destination site-x; it has site-a, site-b"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := chooseSource(c.target, c.windows)
			if got.destination != c.want || (err != nil) != (c.refused != nil) {
				t.Fatalf("chose %q (%v), want %q", got.destination, err, c.want)
			}
			for _, words := range c.refused {
				if !strings.Contains(err.Error(), words) {
					t.Errorf("the refusal should say %q, but says: %s", words, err)
				}
			}
		})
	}
}

func TestARestoreGoesOnFromWhatIsSeen(t *testing.T) {
	for name, c := range map[string]struct {
		sight restoreSight
		want  restoreStep
	}{
		"nothing happened yet":                   {restoreSight{name: "r"}, stepChoose},
		"another restore has the database":       {restoreSight{name: "r", holder: "other", quiet: true}, stepWaitForOther},
		"pods are still there":                   {restoreSight{name: "r", holder: "r"}, stepAwaitStop},
		"all is quiet":                           {restoreSight{name: "r", holder: "r", quiet: true}, stepRun},
		"its own Job is no reason to wait":       {restoreSight{name: "r", holder: "r", job: jobActive}, stepRun},
		"the Job succeeded":                      {restoreSight{name: "r", holder: "r", quiet: true, job: jobSucceeded}, stepSwitch},
		"the Job failed":                         {restoreSight{name: "r", holder: "r", quiet: true, job: jobFailed}, stepGiveUp},
		"killed after the instance was released": {restoreSight{name: "r", job: jobSucceeded}, stepSwitch},
		"killed after it was given up":           {restoreSight{name: "r", job: jobFailed}, stepGiveUp},
	} {
		if got := c.sight.next(); got != c.want {
			t.Errorf("%s: next is %q, want %q", name, got, c.want)
		}
	}
}

func TestTheLineageTellsWhichTimelineWasTheCustomers(t *testing.T) {
	l := lineage{}.switched(2, at(60)).switched(3, at(90))
	read, err := parseLineage(map[string]string{meta.AnnotationTimelines: l.String()})
	if err != nil {
		t.Fatal(err)
	}
	for moment, want := range map[time.Time]string{
		at(0): "current", at(59): "current", at(60): "2", at(75): "2", at(90): "3", at(1000): "3", {}: "3",
	} {
		if got := read.at(moment); got != want {
			t.Errorf("at %s timeline %s was the customer's, not %s", moment, want, got)
		}
	}
	if got := (lineage)(nil).at(time.Time{}); got != "current" {
		t.Errorf("a database that was never restored is on its current timeline, not %s", got)
	}
	if _, err := parseLineage(map[string]string{meta.AnnotationTimelines: "{"}); err == nil {
		t.Error("a lineage that cannot be read should not look like none")
	}
}
