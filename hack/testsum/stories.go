// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// story is what Ginkgo's report says of one specification, or of what stands around all of them (BeforeSuite and the like).
type story struct {
	ContainerHierarchyTexts []string
	LeafNodeType            string
	LeafNodeText            string
	State                   string
	IsSerial                bool
	RunTime                 time.Duration
}

// ginkgoReport is what Ginkgo writes with --json-report of one suite.
type ginkgoReport struct {
	SuitePath                  string
	SuiteSucceeded             bool
	SpecialSuiteFailureReasons []string
	SpecReports                []story
}

// stories sums up what a run of the ginkgo program reported.
type stories struct {
	suites []ginkgoReport
}

func readStories(name string) (*stories, error) {
	content, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("the run ended without a report: %w", err)
	}
	told := &stories{}
	if err := json.Unmarshal(content, &told.suites); err != nil {
		return nil, fmt.Errorf("reading Ginkgo's report %s: %w", name, err)
	}
	return told, nil
}

// outcome of one specification. What stands around them only counts when it fails.
func (s story) outcome() counts {
	var c counts
	switch s.State {
	case "passed":
		c.passed = 1
	case "skipped", "pending":
		c.skipped = 1
	default: // failed, panicked, timedout, interrupted, aborted, and whatever Ginkgo may think of
		return counts{failed: 1}
	}
	if s.LeafNodeType != "It" {
		return counts{}
	}
	return c
}

func (s story) name() string {
	name := strings.Join(append(slices.Clone(s.ContainerHierarchyTexts), s.LeafNodeText), " ")
	if s.LeafNodeType != "It" {
		name = "[" + s.LeafNodeType + "] " + name
	}
	return strings.TrimSpace(name)
}

// counts adds up the suites; one that fails although none of its stories did counts as one failure.
func (t *stories) counts() counts {
	var total counts
	for _, suite := range t.suites {
		var c counts
		for _, s := range suite.SpecReports {
			c.plus(s.outcome())
		}
		if !suite.SuiteSucceeded && c.failed == 0 {
			c.failed = 1
		}
		total.plus(c)
	}
	return total
}

// lines are the slowest stories, the failures by name and the count.
func (t *stories) lines(slowest int) []string {
	lines := t.slowest(slowest)
	for _, suite := range t.suites {
		for _, s := range suite.SpecReports {
			if s.outcome().failed > 0 {
				lines = append(lines, fmt.Sprintf("failed: %s (%s)", s.name(), s.State))
			}
		}
		for _, reason := range suite.SpecialSuiteFailureReasons {
			lines = append(lines, "failed: the suite: "+reason)
		}
	}
	c := t.counts()
	if c.passed+c.failed == 0 {
		lines = append(lines, "no story was told")
	}
	return append(lines, c.String())
}

// chapter is the outermost container of specifications: one story with its preparations.
type chapter struct {
	name  string
	alone bool
	specs int
	took  time.Duration
}

// slowest are the chapters that took longest; those that nothing else may run beside are marked.
func (t *stories) slowest(most int) []string {
	chapters := t.chapters()
	slices.SortStableFunc(chapters, func(a, b *chapter) int { return int(b.took - a.took) })
	var lines []string
	for _, c := range chapters[:min(most, len(chapters))] {
		alone := ""
		if c.alone {
			alone = ", alone"
		}
		lines = append(lines, fmt.Sprintf("%5.0f s  %s (%d told%s)", c.took.Seconds(), c.name, c.specs, alone))
	}
	return lines
}

func (t *stories) chapters() []*chapter {
	var order []*chapter
	byName := map[string]*chapter{}
	for _, suite := range t.suites {
		for _, s := range suite.SpecReports {
			if s.LeafNodeType != "It" || s.outcome().skipped > 0 {
				continue
			}
			name := s.name()
			if len(s.ContainerHierarchyTexts) > 0 {
				name = s.ContainerHierarchyTexts[0]
			}
			c, known := byName[name]
			if !known {
				c = &chapter{name: name}
				byName[name] = c
				order = append(order, c)
			}
			c.specs++
			c.took += s.RunTime
			c.alone = c.alone || s.IsSerial
		}
	}
	return order
}
