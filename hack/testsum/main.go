// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
)

// slowest is how many of the slowest stories are named, so that everybody sees where the time goes.
const slowest = 15

func main() {
	stream := flag.Bool("stream", false, "print all output of all tests as it arrives, for suites that run for many minutes")
	closing := flag.String("closing", "", "append the closing lines to this file, so that a caller can repeat them")
	report := flag.String("stories", "", "read this report of Ginkgo (--json-report) instead of the output of go test")
	flag.Parse()

	var green bool
	var err error
	if *report != "" {
		green, err = sumStories(*report, *closing)
	} else {
		green, err = sumTests(*stream, *closing)
	}
	if err != nil {
		fail(err)
	}
	if !green {
		os.Exit(1)
	}
}

func sumTests(stream bool, closing string) (green bool, err error) {
	summary := newSummary(stream)
	if err := read(os.Stdin, os.Stdout, summary); err != nil {
		return false, err
	}
	for _, line := range summary.verdict() {
		fmt.Println(line)
	}
	return summary.counts().green(), appendLines(closing, summary.closingLines())
}

func sumStories(report, closing string) (green bool, err error) {
	told, err := readStories(report)
	if err != nil {
		return false, err
	}
	lines := told.lines(slowest)
	for _, line := range lines {
		fmt.Println(line)
	}
	return told.counts().green(), appendLines(closing, lines)
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "testsum:", err)
	os.Exit(2)
}

// read feeds every event of in to the summary and writes to out what the summary wants shown. A line that is
// no event (a compiler's or a linker's word) is shown as it is.
func read(in io.Reader, out io.Writer, summary *summary) error {
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			if _, werr := io.WriteString(out, show(line, summary)); werr != nil {
				return fmt.Errorf("writing the tests' output: %w", werr)
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading the output of go test -json: %w", err)
		}
	}
}

func show(line []byte, summary *summary) string {
	var e event
	if err := json.Unmarshal(line, &e); err != nil || e.Action == "" {
		return string(line)
	}
	return summary.add(e)
}

func appendLines(name string, lines []string) error {
	if name == "" {
		return nil
	}
	file, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("opening the file for closing lines: %w", err)
	}
	for _, line := range lines {
		if _, err := fmt.Fprintln(file, line); err != nil {
			return fmt.Errorf("writing closing lines to %s: %w", name, err)
		}
	}
	return file.Close()
}
