// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// heartbeat is how often a running step says that it still runs.
const heartbeat = 15 * time.Second

// Progress prints one line per step with the seconds since the command began. It is safe for concurrent use.
type Progress struct {
	mu    sync.Mutex
	out   io.Writer
	start time.Time
}

// NewProgress starts counting now.
func NewProgress(out io.Writer) *Progress { return &Progress{out: out, start: time.Now()} }

// Say prints a line.
func (p *Progress) Say(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, _ = fmt.Fprintf(p.out, "[%4.0fs] %s\n", time.Since(p.start).Seconds(), fmt.Sprintf(format, args...))
}

// Write makes Progress an io.Writer for programs that print progress of their own.
func (p *Progress) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Write(b)
}

// Step runs work, repeating "still <what>" while it lasts and reporting its end when it took a noticeable time.
func (p *Progress) Step(what string, work func() error) error {
	began := time.Now()
	done := make(chan struct{})
	var beats sync.WaitGroup
	beats.Go(func() { p.beat(what, began, done) })
	err := work()
	close(done)
	beats.Wait()
	took := time.Since(began)
	switch {
	case err != nil:
		p.Say("%s: FAILED after %.1f s", what, took.Seconds())
		return fmt.Errorf("%s: %w", what, err)
	case took > 200*time.Millisecond:
		p.Say("%s: %.1f s", what, took.Seconds())
	}
	return nil
}

func (p *Progress) beat(what string, began time.Time, done <-chan struct{}) {
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case <-tick.C:
			p.Say("still %s (%.0f s)", what, time.Since(began).Seconds())
		}
	}
}
