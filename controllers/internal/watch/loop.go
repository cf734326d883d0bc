// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"context"
	"log/slog"
	"time"

	"k8s.io/utils/clock"
)

// Interval is how often files are read, and so the longest that a change goes unnoticed in a pod that sees it.
const Interval = time.Second

// longestRetry bounds the pause between two attempts to apply the same content.
const longestRetry = 30 * time.Second

// Loop applies the content of files whenever it differs from what was applied last.
type Loop struct {
	// Clock paces the loop.
	Clock clock.Clock
	// Log receives each failure once.
	Log *slog.Logger
	// Subject names the files in logs, for example "TLS files".
	Subject string
	// Digest identifies the content there is now.
	Digest func() (string, error)
	// Applied identifies the content in use when Run begins. Empty: none, so Run begins by applying.
	Applied string
	// Apply puts the content there is now into use. After an error it is called again, with growing pauses,
	// or at once when the content changes.
	Apply func(context.Context) error
	// Report, if set, receives the outcome of each attempt: nil, or why the old content is still in use.
	Report func(error)

	attempt attempt
	said    string
}

// attempt is what is known of the content that could not be applied.
type attempt struct {
	digest   string
	failures int
	next     time.Time
}

// Run applies changes until the context ends.
func (l *Loop) Run(ctx context.Context) {
	for {
		l.step(ctx)
		select {
		case <-ctx.Done():
			return
		case <-l.Clock.After(Interval):
		}
	}
}

func (l *Loop) step(ctx context.Context) {
	digest, err := l.Digest()
	if err != nil {
		l.complain("cannot read", err)
		return
	}
	if !l.due(digest, l.Clock.Now()) {
		return
	}
	err = l.Apply(ctx)
	if l.Report != nil {
		l.Report(err)
	}
	if err != nil {
		l.failed(digest, l.Clock.Now())
		l.complain("cannot use", err)
		return
	}
	l.Applied, l.attempt, l.said = digest, attempt{}, ""
	l.Log.Info("took the " + l.Subject + " into use")
}

// due says whether content with this digest is to be applied now.
func (l *Loop) due(digest string, now time.Time) bool {
	if digest == l.Applied {
		return false
	}
	return digest != l.attempt.digest || !now.Before(l.attempt.next)
}

// failed notes an attempt and puts off the next: 1 s, 2 s, 4 s, … 30 s.
func (l *Loop) failed(digest string, now time.Time) {
	if l.attempt.digest != digest {
		l.attempt = attempt{digest: digest}
	}
	pause := min(Interval<<min(l.attempt.failures, 10), longestRetry)
	l.attempt.failures++
	l.attempt.next = now.Add(pause)
}

// complain logs a reason once, until another takes its place.
func (l *Loop) complain(what string, err error) {
	text := what + ": " + err.Error()
	if text == l.said {
		return
	}
	l.said = text
	l.Log.Error(what+" the "+l.Subject+"; what was in use before stays in use", "error", err)
}
