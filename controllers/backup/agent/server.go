// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freehold-dev/freehold/controllers/backup/engine"
	"github.com/freehold-dev/freehold/controllers/internal/postgres"
	"github.com/freehold-dev/freehold/controllers/internal/process"
)

const (
	// superuser is the role that initdb made.
	superuser = "postgres"
	// adminDatabase is the one that superusers connect to.
	adminDatabase = "postgres"
	// pollInterval is the pause between two attempts to connect to a server that recovers.
	pollInterval = 200 * time.Millisecond
	// connectTimeout bounds one attempt.
	connectTimeout = 5 * time.Second
)

// server is a PostgreSQL server on a restored cluster. Nobody else can reach it.
type server struct {
	config Config
	child  *process.Child
	log    *serverLog
	// folder of the cluster.
	folder string
	// sockets is where it listens, and nowhere else.
	sockets string
}

// recovery is how far a server goes before it takes writes.
type recovery struct {
	// folder of the cluster.
	folder string
	// restoreCommand fetches the write-ahead log.
	restoreCommand string
	// target to stop at; zero: none. immediate stops as soon as the cluster is consistent.
	target    time.Time
	immediate bool
	// timeline to recover along: a number, or "current".
	timeline string
	// keepLog makes the log that is written wait in the cluster's folder until it is archived.
	keepLog bool
}

// settings of the server, all on its command line: what the backup or the class say in files does not count.
func (c Config) settings(r recovery, sockets string) []string {
	onOff := map[bool]string{true: "on", false: "off"}
	settings := [][2]string{
		{"config_file", filepath.Join(c.WorkDir, "postgresql.conf")},
		{"hba_file", filepath.Join(c.WorkDir, "pg_hba.conf")},
		{"ident_file", filepath.Join(c.WorkDir, "pg_ident.conf")},
		{"listen_addresses", ""}, {"unix_socket_directories", sockets}, {"unix_socket_permissions", "0700"}, {"port", strconv.Itoa(c.Port)}, {"ssl", "off"},
		// Without a command the log waits; a command that fails would make each shutdown wait for it.
		{"archive_mode", onOff[r.keepLog]}, {"archive_command", ""}, {"archive_library", ""}, {"wal_level", "replica"},
		{"restore_command", r.restoreCommand}, {"recovery_target_timeline", r.timeline}, {"recovery_target_action", "promote"},
		// A hot standby would need as many connections, locks and workers as the primary ever had.
		{"hot_standby", "off"},
		{"shared_preload_libraries", ""}, {"session_preload_libraries", ""}, {"local_preload_libraries", ""},
		{"max_connections", "20"}, {"shared_buffers", "64MB"}, {"huge_pages", "off"}, {"max_parallel_workers", "0"}, {"autovacuum", "off"},
		{"logging_collector", "off"}, {"log_destination", "stderr"}, {"log_timezone", "UTC"}, {"log_min_messages", "warning"},
		{"log_checkpoints", "off"}, {"log_statement", "none"}, {"log_line_prefix", "%m [%p] "}, {"lc_messages", "C"},
	}
	if !r.target.IsZero() {
		settings = append(settings, [2]string{"recovery_target_time", r.target.UTC().Format("2006-01-02 15:04:05.000000+00")}, [2]string{"recovery_target_inclusive", "on"})
	}
	if r.immediate {
		settings = append(settings, [2]string{"recovery_target", "immediate"})
	}
	arguments := []string{"-D", r.folder}
	for _, s := range settings {
		arguments = append(arguments, "-c", s[0]+"="+s[1])
	}
	return arguments
}

// serverFiles are what a server reads of ours.
var serverFiles = map[string]string{
	"postgresql.conf": "",
	"pg_hba.conf":     "local all all peer map=freehold\n",
	"pg_ident.conf":   "freehold postgres all\n",
}

// startServer starts a server that recovers and then takes writes. files are inherited by it.
func (c Config) startServer(r recovery, files ...*os.File) (*server, error) {
	program, err := postgres.Program("", "postgres")
	if err != nil {
		return nil, err
	}
	sockets := filepath.Join(c.WorkDir, "sockets")
	if err := errors.Join(os.RemoveAll(sockets), os.MkdirAll(sockets, 0o700)); err != nil {
		return nil, fmt.Errorf("make the folder for the restored server's socket: %w", err)
	}
	for name, content := range serverFiles {
		if err := os.WriteFile(filepath.Join(c.WorkDir, name), []byte(content), 0o600); err != nil {
			return nil, fmt.Errorf("write the restored server's configuration: %w", err)
		}
	}
	if err := os.WriteFile(filepath.Join(r.folder, "recovery.signal"), nil, 0o600); err != nil {
		return nil, fmt.Errorf("tell the restored server to recover: %w", err)
	}
	s := &server{config: c, folder: r.folder, sockets: sockets, log: &serverLog{}}
	cmd := exec.Command(program, c.settings(r, sockets)...)
	cmd.Env, cmd.ExtraFiles = environment(), files
	cmd.Stdout, cmd.Stderr = os.Stderr, io.MultiWriter(os.Stderr, s.log)
	s.child, err = c.Children.Start(cmd)
	return s, err
}

// connect opens a session as a role, to one database.
func (s *server) connect(ctx context.Context, role, database string) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig("sslmode=disable")
	if err != nil {
		return nil, fmt.Errorf("describe the connection to the restored server: %w", err)
	}
	config.Host, config.Port, config.User, config.Database = s.sockets, uint16(s.config.Port), role, database //nolint:gosec // a port.
	config.Fallbacks, config.ConnectTimeout = nil, connectTimeout
	config.RuntimeParams = map[string]string{"application_name": "freehold", "client_encoding": "UTF8"}
	if role != reader { // Who asks on behalf of a person finds tables as that person does.
		config.RuntimeParams["search_path"] = "pg_catalog"
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect to the restored server: %w", err)
	}
	return conn, nil
}

// serving waits until the recovery is over. Before, the server takes no connections, and would log each attempt.
func (s *server) serving(ctx context.Context) error {
	for !s.ready() {
		select {
		case <-s.child.Done():
			return s.log.why(s.child.ExitCode())
		case <-ctx.Done():
			return errStopped
		case <-s.config.Clock.After(pollInterval):
		}
	}
	return nil
}

// ready says what the server says of itself in the last line of its lock file, as pg_ctl reads it.
func (s *server) ready() bool {
	content, err := os.ReadFile(filepath.Join(s.folder, "postmaster.pid"))
	if err != nil {
		return false
	}
	lines := strings.Split(strings.TrimSpace(string(content)), "\n")
	return len(lines) == 8 && strings.TrimSpace(lines[7]) == "ready"
}

// stop shuts the server down cleanly.
func (s *server) stop() error {
	if err := s.child.Signal(syscall.SIGINT); err != nil {
		return err
	}
	<-s.child.Done()
	if code := s.child.ExitCode(); code != 0 {
		return fmt.Errorf("the restored server did not shut down cleanly: %w", s.log.why(code))
	}
	return nil
}

// kill ends a server whatever it does; one that has ended already is fine.
func (s *server) kill() {
	_ = s.child.Signal(syscall.SIGQUIT) // it is gone, or will be with the pod.
	<-s.child.Done()
}

// serverLog keeps what matters of a server's log.
type serverLog struct {
	mu    sync.Mutex
	lines []string
	part  []byte
}

// mostLines is how many lines of a server's log are kept.
const mostLines = 200

// Write implements io.Writer.
func (l *serverLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.part = append(l.part, p...)
	for {
		line, rest, whole := bytes.Cut(l.part, []byte("\n"))
		if !whole {
			break
		}
		l.lines, l.part = append(l.lines, string(line)), rest
	}
	l.lines = l.lines[max(0, len(l.lines)-mostLines):]
	return len(p), nil
}

func (l *serverLog) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "\n") + "\n" + string(l.part)
}

var lastTransaction = regexp.MustCompile(`last completed transaction was at log time (\S+ \S+)`)

// reached is when the last transaction was committed that the recovery found; zero if it found none.
func (l *serverLog) reached() time.Time {
	found := lastTransaction.FindStringSubmatch(l.text())
	if found == nil {
		return time.Time{}
	}
	at, err := time.Parse("2006-01-02 15:04:05.999999-07", found[1])
	if err != nil {
		return time.Time{}
	}
	return at.UTC()
}

// Words by which PostgreSQL, or pgBackRest when it fetches the log, tells why it does not come up.
var (
	pastTheEnd    = regexp.MustCompile(`recovery ended before configured recovery target was reached`)
	notConsistent = regexp.MustCompile(`requested recovery stop point is before consistent recovery point`)
	notALine      = regexp.MustCompile(`requested timeline \d+ (is not a child of|does not contain)|recovery target timeline \d+ does not exist`)
	broken        = regexp.MustCompile(`(?i)PANIC: |invalid page in block|could not locate a valid checkpoint|could not locate required checkpoint|invalid checkpoint record|incorrect checksum in control file|page verification failed|is not a valid|WAL ends before`)
	said          = regexp.MustCompile(`(PANIC|FATAL|ERROR): +(.*)`)
	fetching      = regexp.MustCompile(`(?m)^\s*ERROR: \[`)
	ownLines      = regexp.MustCompile(`(?m)^\d{4}-\S+ \S+ UTC \[\d+\] .*\n?`)
)

// why explains, from its log, that the server ended.
func (l *serverLog) why(code int) error {
	text := l.text()
	reached := "no transaction was found"
	if at := l.reached(); !at.IsZero() {
		reached = "the last transaction that was found was committed at " + at.Format(time.RFC3339Nano)
	}
	words := fmt.Sprintf("the restored server ended with code %d", code)
	if last := said.FindAllStringSubmatch(text, -1); len(last) > 0 {
		words = last[0][2]
	}
	switch {
	case pastTheEnd.MatchString(text):
		return fail(engine.FailedTarget, "the target is later than the last transaction in the destination's archive: %s; choose a target before that", reached)
	case notConsistent.MatchString(text):
		return fail(engine.FailedTarget, "the target is earlier than the end of the base backup; choose an earlier backup, or a later target (%s)", words)
	case notALine.MatchString(text):
		return fail(engine.FailedTarget, "the timeline cannot be reached from the base backup (%s)", words)
	case fetching.MatchString(text):
		failure := engine.Classify(0, ownLines.ReplaceAllString(text, ""))
		failure.Message = "the write-ahead log could not be fetched: " + failure.Message
		return &failed{failure}
	case broken.MatchString(text):
		return fail(engine.FailedDamaged, "the restored database does not come up: %s", words)
	}
	return fail(engine.FailedEngine, "the restored database does not come up: %s", words)
}
