// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// event is one line of `go test -json`; see `go doc test2json`.
type event struct {
	Action, Package, Test, Output, FailedBuild string
}

// result is what became of one test, or of one package (test is empty).
type result struct {
	pkg, test string
	action    string
	output    strings.Builder
	children  int
	specs     *counts
}

type counts struct{ passed, failed, skipped int }

// green says that something was proven: at least one test passed and none failed.
func (c counts) green() bool { return c.passed > 0 && c.failed == 0 }

// String is the closing line that people and continuous integration read.
func (c counts) String() string {
	return fmt.Sprintf("%d passed, %d failed, %d skipped", c.passed, c.failed, c.skipped)
}

func (c *counts) plus(o counts) {
	c.passed += o.passed
	c.failed += o.failed
	c.skipped += o.skipped
}

type summary struct {
	stream  bool
	results map[[2]string]*result
	order   []*result
	closing []string
}

func newSummary(stream bool) *summary {
	return &summary{stream: stream, results: map[[2]string]*result{}}
}

var (
	colour      = regexp.MustCompile("\x1b\\[[0-9;]*m")
	packageLine = regexp.MustCompile(`^(ok  |FAIL|---|panic:)`)
	ginkgoLine  = regexp.MustCompile(`^(Ran \d+ of \d+ Specs|SUCCESS! -- |FAIL! -- )`)
	ginkgoCount = regexp.MustCompile(`^(?:SUCCESS|FAIL)! -- (\d+) Passed \| (\d+) Failed \| (\d+) Pending \| (\d+) Skipped`)
)

// add records one event and returns what to print for it now.
func (s *summary) add(e event) string {
	switch e.Action {
	case "build-output":
		return e.Output
	case "output":
		return s.addOutput(e)
	case "pass", "fail", "skip":
		return s.finish(e)
	}
	return ""
}

func (s *summary) addOutput(e event) string {
	r := s.result(e.Package, e.Test)
	r.output.WriteString(e.Output)
	plain := colour.ReplaceAllString(e.Output, "")
	keep := ginkgoLine.MatchString(plain) || e.Test == "" && packageLine.MatchString(plain)
	if keep {
		s.closing = append(s.closing, strings.TrimRight(plain, "\n"))
	}
	if m := ginkgoCount.FindStringSubmatch(plain); m != nil {
		r.specs = &counts{passed: number(m[1]), failed: number(m[2]), skipped: number(m[3]) + number(m[4])}
	}
	if s.stream || keep {
		return plain
	}
	return ""
}

// finish records the end of a test or package. The output of a test that failed is printed then, unless it
// was streamed. A failed package prints its own output only if no test of it took the blame.
func (s *summary) finish(e event) string {
	r := s.result(e.Package, e.Test)
	r.action = e.Action
	if e.Action != "fail" || s.stream || e.Test == "" && s.anyFailedTest(e.Package) {
		return ""
	}
	return r.output.String()
}

// result finds or makes the entry of a test and tells its parent test that it has a child.
func (s *summary) result(pkg, test string) *result {
	key := [2]string{pkg, test}
	if r, ok := s.results[key]; ok {
		return r
	}
	r := &result{pkg: pkg, test: test}
	s.results[key] = r
	s.order = append(s.order, r)
	if i := strings.LastIndex(test, "/"); i > 0 {
		s.result(pkg, test[:i]).children++
	}
	return r
}

func (s *summary) anyFailedTest(pkg string) bool {
	for _, r := range s.order {
		if r.pkg == pkg && r.test != "" && r.action == "fail" {
			return true
		}
	}
	return false
}

// counts adds up what ran.
func (s *summary) counts() counts {
	var total counts
	for _, r := range s.order {
		total.plus(s.count(r))
	}
	return total
}

// count is what one entry adds: nothing for a package or for a test that its subtests stand for, except that
// a failure that nobody below owns up to is never lost.
func (s *summary) count(r *result) counts {
	if r.test == "" {
		if r.action == "fail" && !s.anyFailedTest(r.pkg) {
			return counts{failed: 1}
		}
		return counts{}
	}
	if r.specs != nil {
		c := *r.specs
		if r.action != "pass" && c.failed == 0 {
			c.failed = 1
		}
		return c
	}
	if r.children > 0 && (r.action != "fail" || s.failedBelow(r)) {
		return counts{}
	}
	return single(r.action)
}

// single counts a test without subtests; one that began and never ended (a panic, a timeout) has failed.
func single(action string) counts {
	switch action {
	case "pass":
		return counts{passed: 1}
	case "skip":
		return counts{skipped: 1}
	}
	return counts{failed: 1}
}

func (s *summary) failedBelow(parent *result) bool {
	for _, r := range s.order {
		if r.pkg == parent.pkg && r.action != "pass" && r.action != "skip" && strings.HasPrefix(r.test, parent.test+"/") {
			return true
		}
	}
	return false
}

// verdict is printed after everything else: the failures by name, then the count.
func (s *summary) verdict() []string {
	var lines []string
	for _, r := range s.order {
		if s.count(r).failed > 0 {
			lines = append(lines, strings.TrimRight(fmt.Sprintf("failed: %s %s", r.pkg, r.test), " "))
		}
	}
	if c := s.counts(); c.passed+c.failed == 0 {
		lines = append(lines, "no test was executed")
	}
	return append(lines, s.counts().String())
}

// closingLines are the runners' own closing lines followed by the verdict.
func (s *summary) closingLines() []string {
	return append(append([]string{}, s.closing...), s.verdict()...)
}

// number reads digits that a regular expression has already matched.
func number(digits string) int {
	n, err := strconv.Atoi(digits)
	if err != nil {
		return 0
	}
	return n
}
