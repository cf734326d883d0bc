// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// local connects through the socket as the operating system's user of the database pod.
func (p *databasePod) local(role, database string) (*pgx.Conn, error) {
	p.t.Helper()
	for folder := filepath.Dir(p.sockets); folder != os.TempDir(); folder = filepath.Dir(folder) {
		if err := os.Chmod(folder, 0o711); err != nil { //nolint:gosec // That user has to come through.
			p.t.Fatal(err)
		}
	}
	config, err := pgx.ParseConfig("sslmode=disable connect_timeout=10")
	if err != nil {
		p.t.Fatal(err)
	}
	config.Host, config.Port, config.User, config.Database, config.Fallbacks = p.sockets, meta.PortDatabase, role, database, nil
	config.DialFunc = func(context.Context, string, string) (net.Conn, error) {
		return dialAs(meta.UIDPostgres, filepath.Join(p.sockets, ".s.PGSQL.5432"))
	}
	ctx, cancel := context.WithTimeout(p.t.Context(), 20*time.Second)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, config)
	if err == nil {
		p.t.Cleanup(func() { _ = conn.Close(context.Background()) })
	}
	return conn, err
}

// dialAs connects to a socket as another user: the server sees who a thread is when it connects.
func dialAs(uid uintptr, path string) (net.Conn, error) {
	runtime.LockOSThread()
	const same = ^uintptr(0)
	if _, _, failed := syscall.RawSyscall(syscall.SYS_SETRESUID, same, uid, same); failed != 0 {
		return nil, failed // The thread stays locked, and ends with the goroutine.
	}
	conn, err := net.Dial("unix", path)
	if _, _, failed := syscall.RawSyscall(syscall.SYS_SETRESUID, same, 0, same); failed != 0 {
		return nil, failed
	}
	runtime.UnlockOSThread()
	return conn, err
}

func TestBackupsHaveARoleThatCanDoNothingElse(t *testing.T) {
	t.Parallel()
	p := newDatabasePod(t)
	p.prepare()
	p.run()
	conn, err := p.local(meta.BackupRole, "postgres")
	if err != nil {
		t.Fatal("the backup role cannot connect:", err)
	}

	// What pgBackRest does around a base backup, in one session.
	if path := ask[string](p, conn, "SELECT setting FROM pg_settings WHERE name = 'data_directory'"); path != meta.PGData {
		t.Errorf("the backup role sees %q as the server's folder", path)
	}
	for _, sql := range []string{
		"SELECT pg_backup_start('test', true)",
		"SELECT pg_create_restore_point('test')",
		"SELECT pg_switch_wal()",
		"SELECT lsn, labelfile FROM pg_backup_stop(false)",
	} {
		p.exec(conn, sql)
	}

	// A beat, and never a second heart.
	before := ask[time.Time](p, conn, "SELECT at FROM freehold.heartbeat")
	p.exec(conn, "UPDATE freehold.heartbeat SET at = clock_timestamp()")
	if after := ask[time.Time](p, conn, "SELECT at FROM freehold.heartbeat"); !after.After(before) {
		t.Errorf("the heartbeat was %s and is %s after a beat", before, after)
	}
	for what, sql := range map[string]string{
		"a second row":         "INSERT INTO freehold.heartbeat VALUES (DEFAULT, now())",
		"no row":               "DELETE FROM freehold.heartbeat",
		"a table of its own":   "CREATE TABLE freehold.notes (text text)",
		"a table in public":    "CREATE TABLE public.notes (text text)",
		"a file of the server": "SELECT pg_read_file('PG_VERSION')",
		"a program":            "COPY freehold.heartbeat TO PROGRAM 'cat'",
		"the passwords":        "SELECT rolpassword FROM pg_authid",
		"the superuser":        "SET ROLE postgres",
		"a setting":            "ALTER SYSTEM SET archive_command = ''",
	} {
		if _, err := conn.Exec(t.Context(), sql); err == nil {
			t.Errorf("%s: the backup role may have it: %s", what, sql)
		}
	}
	if _, err := p.local(meta.BackupRole, "app"); err == nil {
		t.Error("the backup role comes into the application's database")
	}
	if _, err := p.connect(login{user: meta.BackupRole, database: "postgres", password: "first password"}); err == nil {
		t.Error("the backup role comes in over TCP")
	}
}

func TestBackupsGoOnWhenTheApplicationTakesAllConnections(t *testing.T) {
	t.Parallel()
	p := newDatabasePod(t)
	p.prepare()
	p.run()
	for taken := 0; ; taken++ {
		if _, err := p.connect(login{password: "first password"}); err != nil {
			break
		}
		if taken > 20 {
			t.Fatal("the application gets more connections than there are")
		}
	}
	conn, err := p.local(meta.BackupRole, "postgres")
	if err != nil {
		t.Fatal("an application that takes all connections ends its own backups:", err)
	}
	p.exec(conn, "UPDATE freehold.heartbeat SET at = clock_timestamp()")
}
