// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/freehold-dev/freehold/controllers/internal/agenttest"
)

func TestDatabaseServesTheApplicationAndNobodyElse(t *testing.T) {
	t.Parallel()
	p := newDatabasePod(t)
	p.prepare()
	server := p.run()
	conn := p.app("first password")
	p.exec(conn, "CREATE TABLE notes (text text)")
	p.exec(conn, "INSERT INTO notes VALUES ('kept')")

	for name, l := range map[string]login{
		"plain text":               {password: "first password", plain: true},
		"wrong password":           {password: "wrong"},
		"superuser":                {user: "postgres", database: "postgres", password: "first password"},
		"superuser in app":         {user: "postgres", password: "first password"},
		"monitoring role over TCP": {user: "freehold_monitor", database: "postgres", password: "first password"},
		"app in postgres":          {database: "postgres", password: "first password"},
		"app in template1":         {database: "template1", password: "first password"},
	} {
		if _, err := p.connect(l); err == nil {
			t.Errorf("%s: the login succeeded", name)
		}
	}
	for question, want := range map[string]bool{
		"SELECT rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls FROM pg_roles WHERE rolname = 'app'":                   false,
		"SELECT pg_get_userbyid(datdba) = 'app' FROM pg_database WHERE datname = 'app'":                                                           true,
		"SELECT current_setting('data_checksums')::bool":                                                                                          true,
		"SELECT datlocprovider = 'b' AND datlocale = 'C.UTF-8' AND pg_encoding_to_char(encoding) = 'UTF8' FROM pg_database WHERE datname = 'app'": true,
		"SELECT has_database_privilege('freehold_monitor', 'app', 'CONNECT')":                                                                     false,
		"SELECT bool_or(has_database_privilege('app', datname, 'CONNECT')) FROM pg_database WHERE datname NOT IN ('app', 'template0')":            false,
	} {
		if got := ask[bool](p, conn, question); got != want {
			t.Errorf("%s: %t, want %t", question, got, want)
		}
	}
	if strings.Contains(server.Log(), "first password") || strings.Contains(server.Log(), "SCRAM-SHA-256$") {
		t.Error("the password or its verifier stands in the log")
	}
}

func TestTheApplicationWaitsUntilItsLoginWorks(t *testing.T) {
	t.Parallel()
	const applicationUser = 10001 // one that the image does not know.
	p := newDatabasePod(t)
	p.prepare()
	p.rotateStranger()
	waiting := p.StartAs(applicationUser, "agent", "wait", "database")
	eventuallyLogs := func(what, text string) {
		t.Helper()
		agenttest.Eventually(t, what, func() error {
			if !strings.Contains(waiting.Log(), text) {
				return fmt.Errorf("the log does not say %q", text)
			}
			return nil
		})
	}
	eventuallyLogs("a word on the missing server", "connection refused")
	p.run()
	eventuallyLogs("a word on the stranger's certificate", "certificate signed by unknown authority")
	p.rotateCertificate(100)
	if code := waiting.ExitCode(); code != 0 {
		t.Errorf("the wait ended with %d:\n%s", code, waiting.Log())
	}
	if n := strings.Count(waiting.Log(), "unknown authority"); n != 1 {
		t.Errorf("the same reason was logged %d times", n)
	}
}

// rotateStranger gives the server a certificate for the right name by an authority that nobody trusts.
func (p *databasePod) rotateStranger() {
	p.t.Helper()
	cert, key := agenttest.NewAuthority(p.t).Issue(p.t, databaseHost, 1)
	p.publish(p.tls, map[string]string{"tls.crt": cert, "tls.key": key})
}

func TestAWaitThatIsToldToStopStops(t *testing.T) {
	t.Parallel()
	p := newDatabasePod(t)
	waiting := p.Start("agent", "wait", "database")
	agenttest.Eventually(t, "the wait", func() error {
		if !strings.Contains(waiting.Log(), "waiting for the database") {
			return fmt.Errorf("nothing in the log")
		}
		return nil
	})
	waiting.Signal(syscall.SIGTERM)
	if code := waiting.ExitCode(); code != 1 || !strings.Contains(p.TerminationMessage(), "told to stop") {
		t.Errorf("it ended with %d and left %q", code, p.TerminationMessage())
	}
}

func TestDatabaseStopsCleanlyAndComesBackUnchanged(t *testing.T) {
	t.Parallel()
	p := newDatabasePod(t)
	p.prepare()
	server := p.run()
	conn := p.app("first password")
	p.exec(conn, "CREATE TABLE notes AS SELECT 'kept' AS text")

	server.Signal(syscall.SIGTERM) // while a session is open.
	if code := server.ExitCode(); code != 0 {
		t.Errorf("a wished shutdown ended with %d", code)
	}
	if state := p.controlState(); state != 1 {
		t.Errorf("the control file says %d, want 1 (shut down)", state)
	}

	p.sayInitialized(true)
	p.prepare()
	again := p.run()
	if got := ask[string](p, p.app("first password"), "SELECT text FROM notes"); got != "kept" {
		t.Errorf("read back %q", got)
	}
	for _, sign := range []string{"was not properly shut down", "changed roles and databases"} {
		if strings.Contains(again.Log(), sign) {
			t.Errorf("the second start logged %q:\n%s", sign, again.Log())
		}
	}
}

// controlState reads the cluster's state as pg_controldata does.
func (p *databasePod) controlState() uint32 {
	p.t.Helper()
	content, err := os.ReadFile(p.file("pgdata/global/pg_control"))
	if err != nil {
		p.t.Fatal(err)
	}
	return binary.NativeEndian.Uint32(content[16:])
}

func TestDatabaseSurvivesTheDeathOfABackendWithoutARestartOfItsContainer(t *testing.T) {
	t.Parallel()
	p := newDatabasePod(t)
	p.prepare()
	server := p.run()
	postmaster := p.postmaster(server)
	conn := p.app("first password")
	p.exec(conn, "CREATE TABLE notes AS SELECT 'kept' AS text")
	if err := syscall.Kill(p.backend(postmaster), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	agenttest.Eventually(t, "recovery", func() error {
		if code, state := p.probe("/live"); code != 200 {
			t.Fatalf("/live answered %d %s", code, state)
		}
		if !strings.Contains(server.Log(), "all server processes terminated; reinitializing") {
			return fmt.Errorf("the server has not noticed")
		}
		conn, err := p.connect(login{password: "first password"})
		if err != nil {
			return err
		}
		return conn.Close(t.Context())
	})
	if got := p.postmaster(server); got != postmaster {
		t.Errorf("the postmaster changed from %d to %d", postmaster, got)
	}
	p.eventuallyReady(server)
}

// backend finds the process that serves the application's only session.
func (p *databasePod) backend(postmaster int) int {
	p.t.Helper()
	pid, err := findChild(postmaster, "postgres: app app")
	if err != nil {
		p.t.Fatal(err)
	}
	return pid
}

func findChild(parent int, title string) (int, error) {
	children, err := agenttest.Children(parent)
	if err != nil {
		return 0, err
	}
	for _, pid := range children {
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err == nil && bytes.HasPrefix(line, []byte(title)) {
			return pid, nil
		}
	}
	return 0, fmt.Errorf("process %d has no child %q", parent, title)
}

func TestDatabaseTellsThatItRecoversAfterACrash(t *testing.T) {
	t.Parallel()
	p := newDatabasePod(t)
	p.prepare()
	server := p.run()
	conn := p.app("first password")
	p.exec(conn, "CREATE TABLE notes (id int PRIMARY KEY, text text)")
	p.exec(conn, "INSERT INTO notes SELECT i, repeat(md5(i::text), 10) FROM generate_series(1, 300000) AS i")
	thread := p.someThread(server)
	if err := syscall.Kill(p.postmaster(server), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if code := server.ExitCode(); code != 128+int(syscall.SIGKILL) {
		t.Errorf("the container ended with %d, want 137, the postmaster's", code)
	}

	p.sayInitialized(true)
	p.prepare()
	p.leaveStaleLocks(thread)
	again := p.Start("agent", "database", "run")
	release := p.holdRecovery(again)
	agenttest.Eventually(t, "the state recovering", func() error {
		if code, state := p.probe("/startup"); code != 503 || state != "recovering" {
			return fmt.Errorf("%d %s", code, state)
		}
		return nil
	})
	if code, state := p.probe("/live"); code != 200 {
		t.Errorf("/live answers %d %s while the server recovers: the kubelet would kill it", code, state)
	}
	if code, _ := p.probe("/ready"); code != 503 {
		t.Errorf("/ready answers %d while the server recovers", code)
	}
	release()
	p.eventuallyReady(again)
	if n := strings.Count(again.Log(), "removed the lock file of a server that was killed"); n != 2 {
		t.Errorf("the agent removed %d stale lock files, want 2", n)
	}
	if n := ask[int](p, p.app("first password"), "SELECT count(*) FROM notes"); n != 300000 {
		t.Errorf("%d rows are left of 300000", n)
	}
}

// someThread is the number, inside its container, of a thread of the agent; the next agent will most likely have one
// of that number, too.
func (p *databasePod) someThread(server *agenttest.Container) string {
	p.t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", server.PID()))
	if err != nil || len(files) < 3 {
		p.t.Fatalf("the agent has the threads %v, %v", files, err)
	}
	status, err := os.ReadFile(files[2])
	if err != nil {
		p.t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if numbers, ok := strings.CutPrefix(line, "NSpid:"); ok {
			fields := strings.Fields(numbers)
			return fields[len(fields)-1]
		}
	}
	p.t.Fatalf("no NSpid in %s", status)
	return ""
}

// leaveStaleLocks makes the killed server's lock files name the number of a process that exists. PostgreSQL takes
// that process, or thread, for a running server.
func (p *databasePod) leaveStaleLocks(number string) {
	p.t.Helper()
	for _, path := range []string{p.file("pgdata/postmaster.pid"), filepath.Join(p.sockets, ".s.PGSQL.5432.lock")} {
		content, err := os.ReadFile(path)
		if err != nil {
			p.t.Fatal("a killed server leaves its lock files:", err)
		}
		_, rest, _ := strings.Cut(string(content), "\n")
		if err := os.WriteFile(path, []byte(number+"\n"+rest), 0o600); err != nil {
			p.t.Fatal(err)
		}
	}
}

func TestTwoServersNeverUseOneVolume(t *testing.T) {
	t.Parallel()
	p := newDatabasePod(t)
	p.prepare()
	first := p.run()
	second := p.Start("agent", "database", "run")
	agenttest.Eventually(t, "the second server's wait", func() error {
		if !strings.Contains(second.Log(), "another server still uses the volume") {
			return fmt.Errorf("its log does not speak of it")
		}
		return nil
	})
	p.exec(p.app("first password"), "CREATE TABLE notes ()")
	first.Signal(syscall.SIGKILL)
	first.ExitCode()
	p.eventuallyReady(second)
	p.exec(p.app("first password"), "INSERT INTO notes DEFAULT VALUES")
}

// holdRecovery stops the process that replays the log, so that the test can look at its leisure.
func (p *databasePod) holdRecovery(server *agenttest.Container) (release func()) {
	p.t.Helper()
	const inCrashRecovery = 4
	var startup int
	agenttest.Eventually(p.t, "the beginning of the recovery", func() error {
		select {
		case <-server.Done():
			p.t.Fatal("the server ended")
		default:
		}
		if p.controlState() != inCrashRecovery {
			return fmt.Errorf("the control file says %d", p.controlState())
		}
		pid, err := findChild(p.postmaster(server), "postgres: startup")
		if err != nil {
			return err
		}
		startup = pid
		return syscall.Kill(pid, syscall.SIGSTOP)
	})
	return func() {
		if err := syscall.Kill(startup, syscall.SIGCONT); err != nil {
			p.t.Fatal(err)
		}
	}
}

func TestDatabaseTakesNewCertificatesAndPasswordsWithoutARestart(t *testing.T) {
	t.Parallel()
	p := newDatabasePod(t)
	p.prepare()
	server := p.run()
	postmaster := p.postmaster(server)
	session := p.app("first password")
	p.eventuallyServes(100, "first password")

	p.rotateCertificate(200)
	p.eventuallyServes(200, "first password")

	cert, _ := p.authority.Issue(t, databaseHost, 300)
	_, key := p.authority.Issue(t, databaseHost, 301)
	p.publish(p.tls, map[string]string{"tls.crt": cert, "tls.key": key})
	agenttest.Eventually(t, "a complaint about a certificate without its key", func() error {
		if !strings.Contains(server.Log(), "certificate and key do not load") {
			return fmt.Errorf("nothing in the log")
		}
		return nil
	})
	p.eventuallyServes(200, "first password")

	p.rotatePassword("second password")
	agenttest.Eventually(t, "the new password", func() error {
		conn, err := p.connect(login{password: "second password"})
		if err != nil {
			return err
		}
		return conn.Close(t.Context())
	})
	if _, err := p.connect(login{password: "first password"}); err == nil {
		t.Error("the old password still works")
	}
	if got := ask[int](p, session, "SELECT 1"); got != 1 {
		t.Error("the session from before the changes is gone")
	}
	if got := p.postmaster(server); got != postmaster {
		t.Errorf("the postmaster changed from %d to %d", postmaster, got)
	}
}

func (p *databasePod) eventuallyServes(serial int64, password string) {
	p.t.Helper()
	agenttest.Eventually(p.t, fmt.Sprintf("the certificate %d", serial), func() error {
		got, err := p.serial(password)
		if err == nil && got != serial {
			err = fmt.Errorf("it still serves %d", got)
		}
		return err
	})
}

func TestDatabaseStaysReadyWhileTheApplicationHoldsEveryConnection(t *testing.T) {
	t.Parallel()
	p := newDatabasePod(t)
	p.prepare()
	server := p.run()
	first, held := p.app("first password"), 1
	for {
		if _, err := p.connect(login{password: "first password"}); err != nil {
			break
		}
		held++
	}
	if held < 5 {
		t.Fatalf("only %d connections were to be had", held)
	}
	agenttest.Eventually(t, "a refusal for want of slots", func() error {
		if !strings.Contains(server.Log(), "remaining connection slots are reserved") {
			return fmt.Errorf("none in the log")
		}
		return nil
	})
	const sessions = "SELECT sessions FROM pg_stat_database WHERE datname = 'postgres'"
	before := ask[int](p, first, sessions)
	agenttest.Eventually(t, "two more looks of the agent", func() error {
		if now := ask[int](p, first, sessions); now < before+2 {
			return fmt.Errorf("%d sessions, %d before", now, before)
		}
		return nil
	})
	if code, state := p.probe("/ready"); code != 200 || state != "ready" {
		t.Errorf("/ready answers %d %s", code, state)
	}
}

func TestPrepareRefusesVolumesThatAreNotWhatTheyShouldBe(t *testing.T) {
	t.Parallel()
	p := newDatabasePod(t)
	refused := func(name string, says ...string) {
		t.Helper()
		before := p.listing()
		container := p.Start("agent", "database", "prepare")
		if code := container.ExitCode(); code != 1 {
			t.Errorf("%s: prepare ended with %d, want 1", name, code)
		}
		for _, part := range says {
			if !strings.Contains(container.Log(), part) || !strings.Contains(p.TerminationMessage(), part) {
				t.Errorf("%s: log and termination message do not both say %q:\n%s\n%s", name, part, container.Log(), p.TerminationMessage())
			}
		}
		if after := p.listing(); after != before {
			t.Errorf("%s: the volume changed from\n%s\nto\n%s", name, before, after)
		}
	}
	p.sayInitialized(true)
	refused("lost volume", instanceID, "lost or replaced")

	p.sayInitialized(false)
	p.write("archive.tar", "x")
	refused("stranger's files", "archive.tar", "nothing was changed")
	p.remove("archive.tar")

	p.write("freehold-instance.json", `{"instanceID":"other-1"}`)
	refused("another instance's volume", "other-1", instanceID)
	p.remove("freehold-instance.json")

	p.prepare()
	p.write("pgdata/PG_VERSION", "16\n")
	refused("older data", "PostgreSQL 16", "PostgreSQL 17")
	p.remove("pgdata/PG_VERSION")
	refused("damaged data", "missing or damaged")

	if code := p.Start("agent", "database", "run").ExitCode(); code != 1 {
		t.Errorf("the server was started on a damaged volume and ended with %d", code)
	}
}

func TestPrepareContinuesWhereItWasInterrupted(t *testing.T) {
	t.Parallel()
	p := newDatabasePod(t)
	killed := p.Start("agent", "database", "prepare")
	agenttest.Eventually(t, "an unfinished database", func() error {
		_, err := os.Stat(p.file("initdb-" + instanceID + ".partial/PG_VERSION"))
		return err
	})
	killed.Signal(syscall.SIGKILL)
	killed.ExitCode()
	if _, err := os.Stat(p.file("pgdata")); err == nil {
		t.Fatal("initdb was faster than the test")
	}
	p.prepare()

	p.remove("freehold-instance.json") // as if killed just before it was written.
	p.prepare()
	mark, err := os.ReadFile(p.file("freehold-instance.json"))
	if err != nil || !strings.Contains(string(mark), instanceID) {
		t.Errorf("the mark is %q, %v", mark, err)
	}
	p.run()
}

func (p *databasePod) write(name, content string) {
	p.t.Helper()
	if err := os.WriteFile(p.file(name), []byte(content), 0o644); err != nil {
		p.t.Fatal(err)
	}
}

func (p *databasePod) remove(name string) {
	p.t.Helper()
	if err := os.Remove(p.file(name)); err != nil {
		p.t.Fatal(err)
	}
}

// listing names every file of the volume with its size.
func (p *databasePod) listing() string {
	p.t.Helper()
	var lines []string
	err := filepath.WalkDir(p.volume, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		lines = append(lines, fmt.Sprintf("%s %d", path, info.Size()))
		return err
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}
