// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/freehold-dev/freehold/controllers/backup/engine"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
	"github.com/freehold-dev/freehold/controllers/internal/watch"
)

const (
	// askEagerly is the pause between two questions to a destination that is not as it should be.
	askEagerly = 30 * time.Second
	// askTimeout bounds one question. A destination that drops packets costs nine times askPatience.
	askTimeout  = time.Minute
	askPatience = 3
	// fresh is how far behind the newest beat a destination may be, beyond the pause between two questions, to be asked
	// calmly: what was written waits a minute at most, and is then handed over.
	fresh = 2 * time.Minute
)

// knowledge is what is known of one repository.
type knowledge struct {
	report engine.ArchiveReport
	// asking says that a question is under way, next when the next one is due.
	asking bool
	next   time.Time
}

// askAll asks each destination again and again, each in its own time, until ctx ends.
func (a *archiver) askAll(ctx context.Context) {
	said := ""
	for {
		if err := a.askDue(ctx); err != nil && err.Error() != said {
			said = err.Error()
			a.config.Log.Error("cannot find out which destinations there are", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-a.config.Clock.After(watch.Interval):
		}
	}
}

// askDue begins to ask those destinations whose time has come, and forgets those that are no more.
func (a *archiver) askDue(ctx context.Context) error {
	wanted, err := a.config.destinations()
	if err != nil {
		return err
	}
	now := a.config.Clock.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	keep := map[destination]*knowledge{}
	for _, d := range wanted.Destinations {
		key := destination{d.Name, d.Generation}
		k := a.known[key]
		if k == nil {
			k = &knowledge{report: engine.ArchiveReport{Name: d.Name, Generation: d.Generation}}
		}
		keep[key] = k
		if !k.asking && !now.Before(k.next) {
			k.asking = true
			go a.ask(ctx, key, k, calm(wanted.AskSeconds))
		}
	}
	a.known = keep
	return nil
}

func calm(seconds int) time.Duration {
	if seconds <= 0 {
		seconds = engine.AskSeconds
	}
	return time.Duration(seconds) * time.Second
}

// ask asks one repository how far it is.
func (a *archiver) ask(ctx context.Context, of destination, k *knowledge, pause time.Duration) {
	asked := a.config.Clock.Now()
	info, err := a.config.question(ctx, of)
	if ctx.Err() != nil {
		return
	}
	refusal := ""
	if err == nil {
		refusal = a.config.refusal(info.repository)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.config.Clock.Now()
	k.learn(asked, now, info.Info, err)
	k.relate(a.beats, a.report, refusal, now)
	if k.report.Failure == nil && !k.report.Until.IsZero() && a.report.Heartbeat.Sub(k.report.Until) < pause+fresh {
		k.next = asked.Add(pause)
	} else {
		k.next = now.Add(askEagerly)
	}
	k.asking = false
}

// answer is what a repository tells, and its number in the configuration.
type answer struct {
	engine.Info
	repository int
}

func (c Config) question(ctx context.Context, of destination) (answer, error) {
	limited, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	r, err := c.open(of.name, of.generation)
	if err != nil {
		return answer{}, err
	}
	info, err := r.info(limited, fmt.Sprintf("--io-timeout=%d", askPatience))
	if errors.Is(err, errStopped) && ctx.Err() == nil {
		return answer{}, fail(engine.FailedUnreachable, "destination %s does not answer within %s", of.name, askTimeout)
	}
	return answer{info, r.Repository}, err
}

// learn notes an answer, or that there was none.
func (k *knowledge) learn(asked, now time.Time, info engine.Info, err error) {
	k.report.AskedAt = asked.UTC()
	if err != nil {
		failure := asFailure(err)
		k.fail(&failure, now)
		return
	}
	k.report.AnsweredAt, k.report.Segment = now.UTC(), info.NewestSegment
	k.fail(nil, now)
}

// relate compares the answer with what the database wrote. refusal is why the destination did not take the last segments.
func (k *knowledge) relate(beats []beat, report engine.Report, refusal string, now time.Time) {
	if k.report.Failure != nil {
		return
	}
	if until := until(beats, k.report.Segment); until.After(k.report.Until) {
		k.report.Until = until
	}
	if refusal == "" || report.Heartbeat.Sub(k.report.Until) < fresh {
		return
	}
	failure := engine.Classify(0, refusal)
	failure.Message = fmt.Sprintf("destination %s does not take the write-ahead log: %s", k.report.Name, failure.Message)
	k.fail(&failure, now)
}

// fail keeps since when there has been a failure, however its words change.
func (k *knowledge) fail(failure *engine.Failure, now time.Time) {
	switch {
	case failure == nil:
		k.report.Since = time.Time{}
	case k.report.Since.IsZero():
		k.report.Since = now.UTC()
	}
	k.report.Failure = failure
}

// ofRepository is the beginning of what pgBackRest says of one repository.
var ofRepository = regexp.MustCompile(`(?m)^(?:HINT: )?repo(\d+): `)

// refusal is why a repository did not take a segment, in pgBackRest's words; empty if it took all, or that is not known.
func (c Config) refusal(repository int) string {
	notes, err := filepath.Glob(filepath.Join(c.SpoolDir, "archive", meta.BackupStanza, "out", "*.error"))
	if err != nil || len(notes) == 0 {
		return ""
	}
	slices.Sort(notes)
	content, err := os.ReadFile(notes[0])
	if err != nil {
		return ""
	}
	return wordsOf(string(content), repository)
}

// wordsOf picks what is said of one repository.
func wordsOf(content string, repository int) string {
	begins := ofRepository.FindAllStringSubmatchIndex(content, -1)
	for i, begin := range begins {
		if content[begin[2]:begin[3]] != fmt.Sprint(repository) {
			continue
		}
		end := len(content)
		if i+1 < len(begins) {
			end = begins[i+1][0]
		}
		return strings.TrimSpace(content[begin[1]:end])
	}
	return ""
}
