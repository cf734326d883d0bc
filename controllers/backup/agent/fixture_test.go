// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/backup/engine"
	"github.com/freehold-dev/freehold/controllers/internal/agenttest"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

const (
	databaseHost = "db.tenant-acme.svc.cluster.local"
	instanceID   = "acme-5f3k"
	token        = "status-token"
	programs     = "/usr/lib/postgresql/17/bin:/usr/bin:/bin"
	repositories = "/repositories"
)

// world is a tenant's database pod and the places that its backups go to, without Kubernetes.
type world struct {
	t         testing.TB
	authority *agenttest.Authority
	// database is the pod of the database; its archiver stands in the same one.
	database *agenttest.Pod
	// Folders on this machine.
	volume, sockets, spool, instance, tls, trust, backup, job, jobTLS, stored string
	// reach is a short path to the sockets.
	reach              string
	postgres, archiver *agenttest.Container
	passphrases        map[string]string
}

func newWorld(t testing.TB, destinations ...string) *world {
	t.Helper()
	pod := agenttest.NewPod(t, "FREEHOLD_POSTGRES_ROOT", meta.UIDPostgres, programs)
	w := &world{t: t, authority: agenttest.NewAuthority(t), database: pod, passphrases: map[string]string{}}
	w.volume, w.sockets, w.spool = pod.Folder(meta.DataDir, true), pod.Folder(meta.SocketDir, true), pod.Folder(meta.SpoolDir, true)
	pod.Folder("/tmp", true)
	w.instance, w.tls, w.trust = pod.Folder(meta.InstanceDir, false), pod.Folder(meta.TLSDir, false), pod.Folder(meta.TrustDir, false)
	w.backup, w.stored = pod.Folder(meta.BackupDir, false), pod.Folder(repositories, true)
	w.reach = short(t, w.sockets)
	w.job, w.jobTLS = w.folder("job"), w.folder("job-tls")
	cert, key := w.authority.Issue(t, databaseHost, 100)
	w.publish(w.tls, map[string]string{meta.KeyTLSCert: cert, meta.KeyTLSKey: key})
	w.publish(w.trust, map[string]string{meta.KeyCACert: w.authority.PEM})
	cert, key = w.authority.Issue(t, meta.BackupClient, 101)
	w.publish(w.jobTLS, map[string]string{meta.KeyTLSCert: cert, meta.KeyTLSKey: key})
	w.archiving(meta.ArchivingOn)
	for _, name := range destinations {
		w.passphrases[name] = strings.Repeat(name+"-", 32)[:64]
	}
	w.configure(destinations...)
	return w
}

// short is another path to a folder: the name of a Unix socket has a hundred characters at most.
func short(t testing.TB, folder string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "fh")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	link := filepath.Join(dir, "s")
	if err := os.Symlink(folder, link); err != nil {
		t.Fatal(err)
	}
	return link
}

func (w *world) folder(name string) string {
	path := filepath.Join(w.t.TempDir(), name)
	if err := os.Mkdir(path, 0o755); err != nil {
		w.t.Fatal(err)
	}
	return path
}

func (w *world) publish(folder string, files map[string]string) {
	w.t.Helper()
	agenttest.Publish(w.t, folder, meta.UIDPostgres, files)
}

func (w *world) archiving(value string) {
	w.t.Helper()
	w.publish(w.instance, map[string]string{meta.KeyInstanceID: instanceID, meta.KeyInitialized: "true", meta.KeyArchiving: value})
}

// configure writes the Secrets of both kinds of pods.
func (w *world) configure(destinations ...string) {
	w.t.Helper()
	var all []engine.Repository
	for i, name := range destinations {
		all = append(all, engine.Repository{
			Destination: v1alpha1.BackupDestination{Name: v1alpha1.DestinationName(name), Region: "x", S3: &v1alpha1.S3Destination{
				Endpoint: "nowhere.example.com", Bucket: "none", Prefix: v1alpha1.DestinationPrefix(repositories[1:] + "/" + name)}},
			Number: i + 1, Generation: 1, Passphrase: w.passphrases[name], Tenant: "acme", InstanceID: instanceID,
			Credentials: map[string][]byte{engine.CredentialAccessKeyID: []byte("x"), engine.CredentialSecretAccessKey: []byte("x")},
		})
	}
	archive, err := engine.Files(engine.PodArchive, all, engine.Database{})
	if err != nil {
		w.t.Fatal(err)
	}
	archive[meta.KeyStatusToken] = []byte(token)
	job, err := engine.Files(engine.PodJob, all, engine.Database{Host: databaseHost})
	if err != nil {
		w.t.Fatal(err)
	}
	job[meta.KeyEscrowFile] = []byte("age-encrypted keys\n")
	w.publish(w.backup, posix(archive))
	w.publish(w.job, posix(job))
}

var storageLines = regexp.MustCompile(`(?m)^repo\d+-(s3-.*|storage-.*)\n`)

// posix puts folders in place of the buckets: the one kind of repository that needs no server.
func posix(files map[string][]byte) map[string]string {
	texts := map[string]string{}
	for name, content := range files {
		texts[name] = string(content)
	}
	conf := storageLines.ReplaceAllString(texts[meta.KeyPgBackRestConf], "")
	texts[meta.KeyPgBackRestConf] = strings.ReplaceAll(conf, "-type=s3\n", "-type=posix\n")
	return texts
}

// serverConf is what matters here of the operator's configuration of PostgreSQL.
const serverConf = `
listen_addresses = ''
unix_socket_directories = '` + meta.SocketDir + `'
shared_buffers = 32MB
max_wal_size = 1GB
archive_mode = on
archive_command = '` + agenttest.Nested + ` ` + meta.ArchiveCommand + `'
archive_timeout = 60
wal_level = replica
max_connections = 200
hba_file = '/tmp/hba.conf'
ident_file = '/tmp/ident.conf'
`

// serverFiles is a script that writes what a server is configured by.
const serverFiles = `
cat > /tmp/server.conf <<EOF` + serverConf + `EOF
echo 'local all all peer map=all' > /tmp/hba.conf
printf 'all postgres all\nall root all\n' > /tmp/ident.conf # root: the test itself
`

// initdb makes the database as the database's agent does.
func (w *world) initdb() {
	w.t.Helper()
	w.shell(w.database, `
cd `+meta.DataDir+`
initdb --pgdata=`+meta.PGData+` --username=postgres --auth-local=peer --data-checksums --encoding=UTF8 --locale-provider=builtin --builtin-locale=C.UTF-8 --locale=C.UTF-8 --no-instructions
echo '{"instanceID":"`+instanceID+`"}' | tee freehold-instance.json > `+meta.PGData+`/freehold-instance.json
`)
}

// start starts the database on its volume.
func (w *world) start() {
	w.t.Helper()
	w.postgres = w.database.Start("supervise", serverFiles+`
rm -f `+meta.PGData+`/postmaster.pid
exec postgres -D `+meta.PGData+` -c config_file=/tmp/server.conf`)
	agenttest.Eventually(w.t, "a database that takes writes", func() error {
		conn, err := w.connect("postgres", "postgres")
		if err != nil {
			return err
		}
		defer conn.Close(w.t.Context())
		var recovering bool
		if err := conn.QueryRow(w.t.Context(), "SELECT pg_is_in_recovery()").Scan(&recovering); err != nil || recovering {
			return fmt.Errorf("recovering %v, %w", recovering, err)
		}
		return nil
	})
}

// stop shuts the database down.
func (w *world) stop() {
	w.t.Helper()
	w.postgres.Signal(os.Interrupt)
	if code := w.postgres.ExitCode(); code != 0 {
		w.t.Fatalf("the database ended with %d:\n%s", code, w.postgres.Log())
	}
}

// provision makes what the database's agent makes for backups, and an application's data.
func (w *world) provision() {
	w.t.Helper()
	w.sql("postgres",
		`CREATE ROLE freehold_backup LOGIN`, `GRANT pg_read_all_settings TO freehold_backup`,
		`GRANT EXECUTE ON FUNCTION pg_backup_start(text, boolean), pg_backup_stop(boolean), pg_create_restore_point(text), pg_switch_wal() TO freehold_backup`,
		`CREATE SCHEMA freehold`, `GRANT USAGE ON SCHEMA freehold TO freehold_backup`,
		`CREATE TABLE freehold.heartbeat (single boolean PRIMARY KEY DEFAULT true CHECK (single), at timestamptz NOT NULL)`,
		`INSERT INTO freehold.heartbeat (at) VALUES (clock_timestamp())`,
		`GRANT SELECT, UPDATE (at) ON freehold.heartbeat TO freehold_backup`,
		`CREATE ROLE app LOGIN`, `CREATE DATABASE app OWNER app`, `REVOKE ALL ON DATABASE app FROM PUBLIC`, `REVOKE ALL ON DATABASE postgres FROM PUBLIC`,
		`GRANT CONNECT ON DATABASE postgres TO freehold_backup`)
	w.sqlAs("app", "app", `CREATE SCHEMA app`, `CREATE TABLE app.notes (id bigint PRIMARY KEY, at timestamptz NOT NULL DEFAULT clock_timestamp(), body text)`)
}

// begin is a running database with its archiver, and with repositories that hold nothing yet. While they are made, and as
// long as they are not there, PostgreSQL's archiver would fail and pause for a minute.
func (w *world) begin() *world {
	w.t.Helper()
	w.archiving(meta.ArchivingOff)
	w.initdb()
	w.start()
	w.provision()
	w.shell(w.database, "mkdir -p "+engine.LockPath+"; pgbackrest --config="+meta.BackupDir+"/"+meta.KeyPgBackRestConf+" --stanza=main stanza-create")
	w.archiving(meta.ArchivingOn)
	w.serve()
	return w
}

// beginBare is a running database with its archiver, before any backup.
func (w *world) beginBare() *world {
	w.t.Helper()
	w.initdb()
	w.start()
	w.provision()
	w.serve()
	return w
}

// serve starts the archiver.
func (w *world) serve() {
	w.t.Helper()
	w.archiver = w.database.Start("agent", "backup", "serve")
	agenttest.Eventually(w.t, "a first beat", func() error {
		if report, code := w.report(token); report.Heartbeat.IsZero() {
			return fmt.Errorf("%d %+v", code, report)
		}
		return nil
	})
}

// serveAnew starts the archiver again.
func (w *world) serveAnew() {
	w.t.Helper()
	w.archiver.Signal(os.Interrupt)
	if code := w.archiver.ExitCode(); code != 0 {
		w.t.Fatalf("the archiver ended with %d:\n%s", code, w.archiver.Log())
	}
	w.serve()
}

// shell runs a script in a container of the pod, which must succeed.
func (w *world) shell(pod *agenttest.Pod, script string) string {
	w.t.Helper()
	container := pod.Start("shell", script)
	if code := container.ExitCode(); code != 0 {
		w.t.Fatalf("the script ended with %d:\n%s\n%s", code, script, container.Log())
	}
	return container.Log()
}

func (w *world) connect(role, database string) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig("sslmode=disable connect_timeout=10")
	if err != nil {
		w.t.Fatal(err)
	}
	config.Host, config.User, config.Database, config.Fallbacks = w.reach, role, database, nil
	config.Port = meta.PortDatabase
	return pgx.ConnectConfig(w.t.Context(), config)
}

func (w *world) sql(database string, statements ...string) {
	w.t.Helper()
	w.sqlAs("postgres", database, statements...)
}

func (w *world) sqlAs(role, database string, statements ...string) {
	w.t.Helper()
	conn, err := w.connect(role, database)
	if err != nil {
		w.t.Fatal(err)
	}
	defer conn.Close(context.Background())
	for _, statement := range statements {
		if _, err := conn.Exec(w.t.Context(), statement); err != nil {
			w.t.Fatalf("%s: %v", statement, err)
		}
	}
}

// value is what a query yields.
func value[T any](w *world, database, query string) (got T) {
	w.t.Helper()
	conn, err := w.connect("postgres", database)
	if err != nil {
		w.t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if err := conn.QueryRow(w.t.Context(), query).Scan(&got); err != nil {
		w.t.Fatalf("%s: %v", query, err)
	}
	return got
}

// note writes a row and returns when it was committed, by the database's clock.
func (w *world) note(id int) time.Time {
	w.t.Helper()
	w.sqlAs("app", "app", fmt.Sprintf("INSERT INTO app.notes (id, body) VALUES (%d, repeat('x', 1000))", id))
	return value[time.Time](w, "postgres", "SELECT clock_timestamp()").UTC()
}

// notes are the rows that are there.
func (w *world) notes() string {
	w.t.Helper()
	return value[string](w, "app", "SELECT coalesce(string_agg(id::text, ',' ORDER BY id), '') FROM app.notes")
}

// handOver waits until all that has been written is archived.
func (w *world) handOver() {
	w.t.Helper()
	w.sql("postgres", "SELECT pg_create_restore_point('handed over')") // a segment without content is not ended.
	segment := value[string](w, "postgres", "SELECT pg_walfile_name(pg_switch_wal())")
	agenttest.Eventually(w.t, "archiving of "+segment, func() error {
		if last := value[*string](w, "postgres", "SELECT last_archived_wal FROM pg_stat_archiver"); last == nil || *last < segment {
			return fmt.Errorf("not yet:\n%s", w.postgres.Log())
		}
		return nil
	})
}

// backupPod is a pod that makes base backups.
func (w *world) backupPod() *agenttest.Pod {
	w.t.Helper()
	pod := w.database.Sibling(w.t)
	pod.Folder("/tmp", true)
	pod.Mount(w.job, meta.BackupDir, false)
	pod.Mount(w.jobTLS, meta.BackupTLSDir, false)
	pod.Mount(w.trust, meta.TrustDir, false)
	pod.Mount(w.stored, repositories, true)
	return pod
}

// restorePod is a pod that restores into a volume: a folder of this machine, or a new one.
func (w *world) restorePod(volume string) *agenttest.Pod {
	w.t.Helper()
	pod := w.database.Sibling(w.t)
	pod.Folder("/tmp", true)
	pod.Mount(w.backup, meta.BackupDir, false)
	pod.Mount(w.trust, meta.TrustDir, false)
	pod.Mount(w.stored, repositories, true)
	if volume == "" {
		pod.Folder(meta.DataDir, true)
	} else {
		pod.Mount(volume, meta.DataDir, true)
	}
	return pod
}

// newVolume is an empty volume as the kubelet mounts it.
func (w *world) newVolume() string {
	w.t.Helper()
	path := w.folder("volume")
	for _, err := range []error{os.Chown(path, 0, meta.UIDPostgres), os.Chmod(path, 0o2775|os.ModeSetgid)} {
		if err != nil {
			w.t.Fatal(err)
		}
	}
	return path
}

// options of a backup; full days are none, so that only the first one is full.
func (w *world) options(destination string) engine.BackupOptions {
	return engine.BackupOptions{Destination: destination, Plan: engine.Plan{Start: "01:30", TimeZone: "UTC"}, BackupDays: 180, PointInTimeDays: 30}
}

// run runs a Job in the pod and returns what it left.
func (w *world) run(pod *agenttest.Pod, args []string) (engine.Result, int) {
	w.t.Helper()
	container := pod.Start(args...)
	code := container.ExitCode()
	var result engine.Result
	if err := json.Unmarshal([]byte(pod.TerminationMessage()), &result); err != nil {
		w.t.Fatalf("the Job left %q: %v\n%s", pod.TerminationMessage(), err, container.Log())
	}
	if (code == 0) != (result.Failure == nil) {
		w.t.Fatalf("the Job ended with %d, but says %+v\n%s", code, result.Failure, container.Log())
	}
	return result, code
}

// must runs a Job that must succeed.
func (w *world) must(pod *agenttest.Pod, args []string) engine.Result {
	w.t.Helper()
	result, _ := w.run(pod, args)
	if result.Failure != nil {
		w.t.Fatalf("%v failed: %s: %s", args, result.Failure.Reason, result.Failure.Message)
	}
	return result
}

// fails runs a Job that must fail for a reason.
func (w *world) fails(pod *agenttest.Pod, reason, words string, args []string) engine.Result {
	w.t.Helper()
	result, _ := w.run(pod, args)
	if result.Failure == nil || result.Failure.Reason != reason || !strings.Contains(result.Failure.Message, words) {
		w.t.Fatalf("%v left %+v; want the failure %s with %q", args, result.Failure, reason, words)
	}
	return result
}

// backUp makes a base backup, and waits for the second after it ended: pgBackRest knows of no part of one, so that what is
// written within the same second may not lie behind the backup.
func (w *world) backUp(destination string) engine.Result {
	w.t.Helper()
	result := w.must(w.backupPod(), w.options(destination).Args())
	agenttest.Eventually(w.t, "the second after the backup", func() error {
		if past := time.Now(); !past.After(result.Backup.FinishedAt.Add(time.Second)) {
			return fmt.Errorf("it is %s, and the backup is of %s", past, result.Backup.FinishedAt)
		}
		return nil
	})
	return result
}

// report asks the archiver.
func (w *world) report(bearer string) (engine.Report, int) {
	w.t.Helper()
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return w.database.Dial(ctx, network, fmt.Sprintf("127.0.0.1:%d", meta.PortArchiver))
		},
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: w.authority.Pool(), MinVersion: tls.VersionTLS12},
	}}
	request, err := http.NewRequest(http.MethodGet, fmt.Sprintf("https://%s:%d/report", databaseHost, meta.PortArchiver), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+bearer)
	answer, err := client.Do(request)
	if err != nil {
		return engine.Report{}, 0
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	var report engine.Report
	if answer.StatusCode == http.StatusOK {
		if err := json.Unmarshal(body, &report); err != nil {
			w.t.Fatalf("the report is %q: %v", body, err)
		}
	}
	return report, answer.StatusCode
}
