// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/freehold-dev/freehold/controllers/backup/engine"
	"github.com/freehold-dev/freehold/controllers/internal/command"
)

// refused is what pgBackRest notes of a segment that two of three destinations do not take.
const refused = `104
raised from local-1 protocol: archive-push command encountered error(s):
repo2: [ProtocolError] HTTP request failed with 403 (Forbidden):
*** Response Content ***:
<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>Access Denied.</Message></Error>
repo3: [FileMissingError] unable to load info file
HINT: has a stanza-create been performed?`

func TestWhatIsSaidOfOneRepository(t *testing.T) {
	for repository, want := range map[int]string{1: "", 2: "AccessDenied", 3: "FileMissingError", 4: ""} {
		got := wordsOf(refused, repository)
		if (got == "") != (want == "") || !strings.Contains(got, want) || repository != 3 && strings.Contains(got, "FileMissing") {
			t.Errorf("of repository %d it says %q, want %q", repository, got, want)
		}
	}
}

func TestUntilWhenADestinationHasTheLog(t *testing.T) {
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	beats := []beat{{noon, "000000010000000000000001"}, {noon.Add(time.Minute), "000000010000000000000002"}, {noon.Add(2 * time.Minute), "000000020000000000000002"}}
	for segment, want := range map[string]time.Time{
		"": {}, "000000010000000000000000": {}, "000000010000000000000001": noon, "000000010000000000000009": noon.Add(time.Minute),
		"000000020000000000000002": noon.Add(2 * time.Minute),
	} {
		if got := until(beats, segment); !got.Equal(want) {
			t.Errorf("with segment %q it has the log until %s, want %s", segment, got, want)
		}
	}
}

func TestWhatIsKnownOfADestination(t *testing.T) {
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	at := func(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }
	beats := []beat{{at(0), "000000010000000000000001"}, {at(5), "000000010000000000000002"}}
	report := engine.Report{Heartbeat: at(5)}
	k := knowledge{report: engine.ArchiveReport{Name: "site-a"}}

	k.learn(at(0), at(0), engine.Info{NewestSegment: "000000010000000000000001"}, nil)
	k.relate(beats, report, "", at(0))
	if k.report.Failure != nil || !k.report.Until.Equal(at(0)) || !k.report.AnsweredAt.Equal(at(0)) {
		t.Errorf("after an answer: %+v", k.report)
	}
	// It answers, and takes nothing.
	k.relate(beats, report, "[ProtocolError] HTTP request failed with 507 (Insufficient Storage)", at(5))
	if f := k.report.Failure; f == nil || f.Reason != engine.FailedFull || !strings.Contains(f.Message, "site-a does not take the write-ahead log") {
		t.Errorf("a full destination: %+v", f)
	}
	// It is silent: since when stays, and until when, too.
	k.learn(at(6), at(7), engine.Info{}, fail(engine.FailedUnreachable, "timeout"))
	if f := k.report.Failure; f == nil || f.Reason != engine.FailedUnreachable || !k.report.Since.Equal(at(5)) || !k.report.Until.Equal(at(0)) || !k.report.AnsweredAt.Equal(at(0)) {
		t.Errorf("a silent destination: %+v", k.report)
	}
	k.learn(at(8), at(8), engine.Info{NewestSegment: "000000010000000000000002"}, nil)
	k.relate(beats, report, "old words", at(8))
	if k.report.Failure != nil || !k.report.Since.IsZero() || !k.report.Until.Equal(at(5)) {
		t.Errorf("after it is back: %+v", k.report)
	}
	// A segment that is no longer the newest takes nothing back.
	k.learn(at(9), at(9), engine.Info{NewestSegment: "000000010000000000000001"}, nil)
	k.relate(beats, report, "", at(9))
	if !k.report.Until.Equal(at(5)) {
		t.Errorf("it went back to %s", k.report.Until)
	}
}

func TestAResultAlwaysFits(t *testing.T) {
	long := strings.Repeat("\x01<äöü>", 3000)
	result := engine.Result{Job: engine.JobBackup, Failure: &engine.Failure{Message: long}, Expiry: &engine.Expiry{Failure: &engine.Failure{Message: long}}}
	for range mostNamed {
		result.Expiry.Removed = append(result.Expiry.Removed, "20260101-000000F_20260101-000000I")
	}
	encoded, err := encode(result, result.Failure, result.Expiry)
	if err != nil || len(encoded) > command.MostLastWords {
		t.Errorf("%d bytes, %v", len(encoded), err)
	}
}

func TestOurOwnErrorsAreFailuresOfTheEngine(t *testing.T) {
	if got := asFailure(errors.New("no space")); got.Reason != engine.FailedEngine || got.Message != "no space" {
		t.Errorf("%+v", got)
	}
	if got := asFailure(errors.Join(errStopped, fail(engine.FailedKey, "wrong"))); got.Reason != engine.FailedKey {
		t.Errorf("%+v", got)
	}
}

func TestHeartbeatsAreComparedWithWhereTheRecoveryEnded(t *testing.T) {
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	at := func(seconds int) time.Time { return noon.Add(time.Duration(seconds) * time.Second) }
	for name, tc := range map[string]struct {
		found engine.Recovery
		gap   time.Duration
		good  bool
	}{
		"before the target":                    {engine.Recovery{Target: at(60), Heartbeat: at(10)}, time.Minute, true},
		"at the target":                        {engine.Recovery{Target: at(60), Heartbeat: at(60)}, time.Minute, true},
		"after the target":                     {engine.Recovery{Target: at(60), Heartbeat: at(61)}, time.Minute, false},
		"too long before the target":           {engine.Recovery{Target: at(60), Heartbeat: at(-1)}, time.Minute, false},
		"however long, if nobody asks":         {engine.Recovery{Target: at(60), Heartbeat: at(-1000)}, 0, true},
		"the latest":                           {engine.Recovery{Reached: at(60), Heartbeat: at(10)}, time.Minute, true},
		"the latest, and an old beat":          {engine.Recovery{Reached: at(60), Heartbeat: at(-100)}, time.Minute, false},
		"none at all":                          {engine.Recovery{Target: at(60)}, time.Minute, false},
		"the end of a backup, nothing follows": {engine.Recovery{Heartbeat: at(1)}, time.Minute, true},
	} {
		if err := checkHeartbeat(&tc.found, tc.gap); (err == nil) != tc.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheReasonWhyAServerDoesNotComeUp(t *testing.T) {
	for name, tc := range map[string]struct{ log, reason, words string }{
		"past the end": {"2026-03-01 12:00:00.000 UTC [7] LOG:  last completed transaction was at log time 2026-03-01 11:59:58.123456+00\n" +
			"2026-03-01 12:00:00.000 UTC [7] FATAL:  recovery ended before configured recovery target was reached\n", engine.FailedTarget, "2026-03-01T11:59:58.123456Z"},
		"before the backup": {"2026-03-01 12:00:00.000 UTC [7] FATAL:  requested recovery stop point is before consistent recovery point\n", engine.FailedTarget, "earlier than the end"},
		"a timeline":        {"2026-03-01 12:00:00.000 UTC [7] FATAL:  requested timeline 3 is not a child of this server's history\n", engine.FailedTarget, "timeline"},
		"no checkpoint":     {"2026-03-01 12:00:00.000 UTC [7] PANIC:  could not locate a valid checkpoint record at 0/2000028\n", engine.FailedDamaged, "checkpoint"},
		"no answer": {"ERROR: [049]: unable to connect to 's3.example.com:443 (198.19.1.10)': [111] Connection refused\n" +
			"2026-03-01 12:00:00.000 UTC [7] FATAL:  could not restore file \"000000010000000000000004\" from archive: child process exited with exit code 255\n", engine.FailedUnreachable, "Connection refused"},
		"anything else": {"2026-03-01 12:00:00.000 UTC [7] FATAL:  something else\n", engine.FailedEngine, "something else"},
		"silence":       {"", engine.FailedEngine, "ended with code 1"},
	} {
		var l serverLog
		for _, part := range strings.SplitAfter(tc.log, "e") { // as it comes, in pieces.
			_, _ = l.Write([]byte(part))
		}
		got := asFailure(l.why(1))
		if got.Reason != tc.reason || !strings.Contains(got.Message, tc.words) || strings.Contains(got.Message, "UTC [7]") {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
