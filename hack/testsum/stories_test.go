// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// reported is a report as Ginkgo writes it, with these specifications.
func reported(t *testing.T, succeeded bool, specs ...string) *stories {
	t.Helper()
	name := filepath.Join(t.TempDir(), "report.json")
	verdict := "false"
	if succeeded {
		verdict = "true"
	}
	content := `[{"SuitePath":"/somewhere","SuiteSucceeded":` + verdict + `,"SpecReports":[` + strings.Join(specs, ",") + `]}]`
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	told, err := readStories(name)
	if err != nil {
		t.Fatal(err)
	}
	return told
}

func spec(container, text, state, more string) string {
	return `{"ContainerHierarchyTexts":["` + container + `"],"LeafNodeType":"It","LeafNodeText":"` + text + `","State":"` + state + `"` + more + `}`
}

func around(state string) string {
	return `{"ContainerHierarchyTexts":null,"LeafNodeType":"SynchronizedBeforeSuite","LeafNodeText":"","State":"` + state + `","RunTime":9000000000}`
}

func TestStoriesAreCounted(t *testing.T) {
	for name, c := range map[string]struct {
		told  *stories
		want  string
		green bool
	}{
		"what stands around them is no story": {
			told: reported(t, true, around("passed"), spec("a", "b", "passed", ""), spec("a", "c", "skipped", ""), spec("a", "d", "pending", "")),
			want: "1 passed, 0 failed, 2 skipped", green: true,
		},
		"a run that told nothing proves nothing": {
			told: reported(t, true, around("passed"), spec("a", "b", "skipped", "")),
			want: "0 passed, 0 failed, 1 skipped",
		},
		"every end but a good one is a failure": {
			told: reported(t, false, spec("a", "b", "passed", ""), spec("a", "c", "failed", ""), spec("a", "d", "timedout", ""), spec("a", "e", "interrupted", "")),
			want: "1 passed, 3 failed, 0 skipped",
		},
		"a preparation that fails is a failure": {
			told: reported(t, false, around("failed"), spec("a", "b", "skipped", "")),
			want: "0 passed, 1 failed, 1 skipped",
		},
		"a suite that fails around its stories is not lost": {
			told: reported(t, false, spec("a", "b", "passed", "")),
			want: "1 passed, 1 failed, 0 skipped",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := c.told.counts().String(); got != c.want {
				t.Errorf("counted %q, want %q", got, c.want)
			}
			if got := c.told.counts().green(); got != c.green {
				t.Errorf("green = %v, want %v", got, c.green)
			}
		})
	}
}

func TestTheSlowestStoriesAndTheFailuresAreNamed(t *testing.T) {
	told := reported(t, false, around("passed"),
		spec("Quick", "one", "passed", `,"RunTime":1000000000`),
		spec("Slow", "one", "passed", `,"RunTime":60000000000,"IsSerial":true`),
		spec("Slow", "two", "failed", `,"RunTime":5400000000,"IsSerial":true`),
		spec("Never", "told", "skipped", ""),
		spec("Middle", "one", "passed", `,"RunTime":2000000000`),
	)
	want := []string{
		"   65 s  Slow (2 told, alone)",
		"    2 s  Middle (1 told)",
		"failed: Slow two (failed)",
		"3 passed, 1 failed, 1 skipped",
	}
	if got := told.lines(2); !slices.Equal(got, want) {
		t.Errorf("said %q, want %q", got, want)
	}
}

func TestThatNoStoryWasToldIsSaid(t *testing.T) {
	if got := reported(t, true).lines(2); !slices.Contains(got, "no story was told") {
		t.Errorf("said %q", got)
	}
}

func TestARunWithoutAReportIsAnError(t *testing.T) {
	if _, err := readStories(filepath.Join(t.TempDir(), "missing.json")); err == nil {
		t.Error("a missing report should be an error")
	}
}
