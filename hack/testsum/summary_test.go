// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const ginkgoPassed = `{"Action":"run","Package":"p","Test":"TestSuite"}
{"Action":"output","Package":"p","Test":"TestSuite","Output":"\u001b[1mRan 3 of 4 Specs in 0.001 seconds\u001b[0m\n"}
{"Action":"output","Package":"p","Test":"TestSuite","Output":"\u001b[32mSUCCESS!\u001b[0m -- 3 Passed | 0 Failed | 0 Pending | 1 Skipped\n"}
`

func TestCounts(t *testing.T) {
	for name, c := range map[string]struct {
		in    string
		want  string
		green bool
	}{
		"nothing ran": {in: ``, want: "0 passed, 0 failed, 0 skipped"},
		"only skipped tests prove nothing": {
			in:   `{"Action":"skip","Package":"p","Test":"TestA"}`,
			want: "0 passed, 0 failed, 1 skipped",
		},
		"a plain test counts once": {
			in:   `{"Action":"pass","Package":"p","Test":"TestA"}` + "\n" + `{"Action":"pass","Package":"p"}`,
			want: "1 passed, 0 failed, 0 skipped", green: true,
		},
		"subtests stand for their parent": {
			in: `{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p","Test":"TestA/one"}
{"Action":"fail","Package":"p","Test":"TestA/two"}
{"Action":"fail","Package":"p","Test":"TestA"}
{"Action":"fail","Package":"p"}`,
			want: "1 passed, 1 failed, 0 skipped",
		},
		"a parent that fails by itself is not lost": {
			in: `{"Action":"pass","Package":"p","Test":"TestA/one"}
{"Action":"fail","Package":"p","Test":"TestA"}`,
			want: "1 passed, 1 failed, 0 skipped",
		},
		"specs stand for their suite": {
			in:   ginkgoPassed + `{"Action":"pass","Package":"p","Test":"TestSuite"}`,
			want: "3 passed, 0 failed, 1 skipped", green: true,
		},
		"a suite that fails around its specs is not lost": {
			in:   ginkgoPassed + `{"Action":"fail","Package":"p","Test":"TestSuite"}`,
			want: "3 passed, 1 failed, 1 skipped",
		},
		"a package that does not compile": {
			in: `{"ImportPath":"p","Action":"build-output","Output":"p.go:1: no\n"}
{"Action":"fail","Package":"p","FailedBuild":"p"}`,
			want: "0 passed, 1 failed, 0 skipped",
		},
		"a test that never ended": {
			in:   `{"Action":"run","Package":"p","Test":"TestA"}` + "\n" + `{"Action":"output","Package":"p","Test":"TestA","Output":"panic\n"}`,
			want: "0 passed, 1 failed, 0 skipped",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := summarise(t, c.in, false)
			if got.counts().String() != c.want {
				t.Errorf("counted %q, want %q", got.counts(), c.want)
			}
			if got.counts().green() != c.green {
				t.Errorf("green = %v, want %v", got.counts().green(), c.green)
			}
		})
	}
}

func TestOutputOfFailuresIsShownAndOfSuccessesIsNot(t *testing.T) {
	var out strings.Builder
	in := `{"Action":"output","Package":"p","Test":"TestA","Output":"quiet\n"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestB","Output":"loud\n"}
{"Action":"fail","Package":"p","Test":"TestB"}
{"Action":"output","Package":"p","Output":"FAIL\tp\t0.1s\n"}
no event
`
	if err := read(strings.NewReader(in), &out, newSummary(false)); err != nil {
		t.Fatal(err)
	}
	if want := "loud\nFAIL\tp\t0.1s\nno event\n"; out.String() != want {
		t.Errorf("printed %q, want %q", out.String(), want)
	}
}

func TestClosingLinesAreAppended(t *testing.T) {
	name := filepath.Join(t.TempDir(), "closing")
	for range 2 {
		got := summarise(t, ginkgoPassed+`{"Action":"pass","Package":"p","Test":"TestSuite"}`, false)
		if err := appendLines(name, got.closingLines()); err != nil {
			t.Fatal(err)
		}
	}
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	once := "Ran 3 of 4 Specs in 0.001 seconds\nSUCCESS! -- 3 Passed | 0 Failed | 0 Pending | 1 Skipped\n3 passed, 0 failed, 1 skipped\n"
	if string(content) != once+once {
		t.Errorf("the file holds %q, want %q twice", content, once)
	}
}

func summarise(t *testing.T, in string, stream bool) *summary {
	t.Helper()
	s := newSummary(stream)
	if err := read(strings.NewReader(in), &strings.Builder{}, s); err != nil {
		t.Fatal(err)
	}
	return s
}
