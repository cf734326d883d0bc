// SPDX-License-Identifier: Apache-2.0

package database

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	clocktesting "k8s.io/utils/clock/testing"
)

func TestJudge(t *testing.T) {
	now := time.Date(2026, 11, 21, 23, 0, 0, 0, time.UTC)
	for name, tc := range map[string]struct {
		facts observation
		want  Condition
		says  string
	}{
		"no socket yet":                  {observation{answer: silent, problem: "no such file"}, Starting, "no such file"},
		"start-up before recovery":       {observation{answer: notYet, control: 6, problem: "starting up"}, Starting, "starting up"},
		"replay after a crash":           {observation{answer: notYet, control: controlCrashRecovery}, Recovering, "in crash recovery"},
		"replay after a backend's crash": {observation{answer: notYet, accepted: true, provisioned: true, control: controlCrashRecovery}, Recovering, "in crash recovery"},
		"replay of an archive":           {observation{answer: notYet, control: controlArchiveRecovery}, Recovering, "in archive recovery"},
		"standby":                        {observation{answer: replaying, accepted: true, provisioned: true}, Recovering, "read-only"},
		"login refused since the start":  {observation{answer: failing, problem: "no such role"}, Starting, "no such role"},
		"serves, nothing provisioned":    {observation{answer: serving, accepted: true}, Provisioning, "being made"},
		"full before it is provisioned":  {observation{answer: occupied, accepted: true}, Provisioning, "being made"},
		"serves":                         {observation{answer: serving, accepted: true, provisioned: true}, Ready, "answers"},
		"all connections taken":          {observation{answer: occupied, accepted: true, provisioned: true, problem: "too many"}, Ready, "too many"},
		"first unanswered query":         {observation{answer: silent, accepted: true, provisioned: true, unanswered: now, problem: "timeout"}, Unresponsive, "timeout"},
		"unanswered for 29 s":            {observation{answer: failing, accepted: true, provisioned: true, unanswered: now.Add(-29 * time.Second)}, Unresponsive, "29s"},
		"unanswered for 30 s":            {observation{answer: failing, accepted: true, provisioned: true, unanswered: now.Add(-30 * time.Second)}, Broken, "30s"},
		"no postmaster":                  {observation{answer: serving, accepted: true, provisioned: true}, Broken, "ended"},
		"told to stop":                   {observation{answer: silent, accepted: true, provisioned: true, stopping: true, unanswered: now.Add(-time.Hour)}, Stopping, "shut down"},
	} {
		t.Run(name, func(t *testing.T) {
			tc.facts.now, tc.facts.running = now, name != "no postmaster"
			got, detail := judge(tc.facts)
			if got != tc.want || !strings.Contains(detail, tc.says) {
				t.Errorf("got %s (%s), want %s (…%s…)", got, detail, tc.want, tc.says)
			}
		})
	}
}

// TestProbes says what each condition means to the kubelet.
func TestProbes(t *testing.T) {
	for _, tc := range []struct {
		condition            Condition
		accepted             bool
		startup, live, ready int
	}{
		{Starting, false, 503, 200, 503},
		{Recovering, false, 503, 200, 503},
		{Recovering, true, 200, 200, 503},
		{Provisioning, true, 200, 200, 503},
		{Ready, true, 200, 200, 200},
		{Unresponsive, true, 200, 200, 503},
		{Broken, true, 200, 503, 503},
		{Stopping, true, 200, 200, 503},
	} {
		o := &observer{status: Status{Condition: tc.condition, Detail: "because", accepted: tc.accepted}}
		for path, want := range map[string]int{"/startup": tc.startup, "/live": tc.live, "/ready": tc.ready} {
			got := httptest.NewRecorder()
			o.handler().ServeHTTP(got, httptest.NewRequest(http.MethodGet, path, nil))
			if got.Code != want {
				t.Errorf("%s while %s (accepted once: %t): %d, want %d", path, tc.condition, tc.accepted, got.Code, want)
			}
			if body := got.Body.String(); !strings.Contains(body, `"state":"`+string(tc.condition)+`"`) || !strings.Contains(body, "because") {
				t.Errorf("%s while %s does not say so: %s", path, tc.condition, body)
			}
		}
	}
}

// TestAHungServerIsBrokenAfterThirtySecondsAndRecoversAtTheFirstAnswer follows one server through time.
func TestAHungServerIsBrokenAfterThirtySecondsAndRecoversAtTheFirstAnswer(t *testing.T) {
	clock := clocktesting.NewFakeClock(time.Date(2026, 11, 21, 23, 0, 0, 0, time.UTC))
	o := newObserver(Config{Clock: clock, Log: discard()})
	see := func(a answer) Condition {
		began := clock.Now()
		o.update(func(f *observation) { f.learn(began, a, errors.New("timeout"), controlUnknown) })
		return o.current().Condition
	}
	if got := see(serving); got != Provisioning {
		t.Fatalf("first answer: %s", got)
	}
	select {
	case <-o.accepting:
	default:
		t.Fatal("the first answer did not start the provisioning")
	}
	o.provisioned()
	since := clock.Now()
	clock.Step(time.Minute)
	if got := see(serving); got != Ready || !o.current().Since.Equal(since) {
		t.Fatalf("%s since %s, want ready since %s", got, o.current().Since, since)
	}
	for waited := time.Duration(0); waited < brokenAfter; waited += 10 * time.Second {
		if got := see(silent); got != Unresponsive {
			t.Fatalf("silent for %s: %s", waited, got)
		}
		clock.Step(10 * time.Second)
	}
	if got := see(silent); got != Broken {
		t.Fatalf("silent for 30 s: %s", got)
	}
	if got := see(serving); got != Ready {
		t.Errorf("answering again: %s", got)
	}
}

func TestClassify(t *testing.T) {
	for code, want := range map[string]answer{"57P03": notYet, "53300": occupied, "28000": failing} {
		if got := classify(fmt.Errorf("connect: %w", &pgconn.PgError{Code: code})); got != want {
			t.Errorf("SQLSTATE %s: %d, want %d", code, got, want)
		}
	}
	if got := classify(errors.New("connection refused")); got != silent {
		t.Errorf("no answer at all: %d, want %d", got, silent)
	}
}

func TestPause(t *testing.T) {
	now := time.Now()
	for name, tc := range map[string]struct {
		status Status
		want   time.Duration
	}{
		"just started":         {Status{Condition: Starting, Since: now}, eagerInterval},
		"recovers for an hour": {Status{Condition: Recovering, Since: now.Add(-time.Hour)}, calmInterval},
		"just ready":           {Status{Condition: Ready, Since: now}, calmInterval},
	} {
		if got := pause(tc.status, now); got != tc.want {
			t.Errorf("%s: %s, want %s", name, got, tc.want)
		}
	}
}

func TestReadControlState(t *testing.T) {
	dir := t.TempDir()
	if state, err := readControlState(dir); err == nil || state.recovering() {
		t.Errorf("a missing control file reads as %s, %v", state, err)
	}
	content := make([]byte, 8192)
	binary.NativeEndian.PutUint32(content[stateOffset:], uint32(controlCrashRecovery))
	put(t, filepath.Join(dir, "global", "pg_control"), string(content))
	state, err := readControlState(dir)
	if err != nil || state.String() != "in crash recovery" || !state.recovering() {
		t.Errorf("got %s, %v", state, err)
	}
	if err := os.Truncate(filepath.Join(dir, "global", "pg_control"), 10); err != nil {
		t.Fatal(err)
	}
	if state, err := readControlState(dir); err == nil || state.String() != "unknown" {
		t.Errorf("a cut control file reads as %s, %v", state, err)
	}
}
