// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freehold-dev/freehold/controllers/internal/agenttest"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

const (
	databaseHost = "db.tenant-acme.svc.cluster.local"
	instanceID   = "acme-5f3k"
	probes       = "http://127.0.0.1:8008"
)

// databasePod is a tenant's database pod without Kubernetes.
type databasePod struct {
	*agenttest.Pod
	t         *testing.T
	authority *agenttest.Authority
	// Folders on this machine.
	volume, sockets, instance, tls, credentials string
}

func newDatabasePod(t *testing.T) *databasePod {
	t.Helper()
	pod := agenttest.NewPod(t, "FREEHOLD_POSTGRES_ROOT", meta.UIDPostgres, "/usr/lib/postgresql/17/bin:/usr/bin:/bin")
	p := &databasePod{Pod: pod, t: t, authority: agenttest.NewAuthority(t)}
	p.volume = pod.Folder(meta.DataDir, true)
	p.sockets = pod.Folder(meta.SocketDir, true)
	p.instance, p.tls = pod.Folder(meta.InstanceDir, false), pod.Folder(meta.TLSDir, false)
	p.credentials = pod.Folder(meta.CredentialsDir, false)
	p.publish(pod.Folder(meta.ConfigDir, false), serverConfig())
	p.publish(pod.Folder(meta.TrustDir, false), map[string]string{meta.KeyCACert: p.authority.PEM})
	p.sayInitialized(false)
	p.rotateCertificate(100)
	p.rotatePassword("first password")
	return p
}

// serverConfig is the least that the agent needs of the operator's configuration.
func serverConfig() map[string]string {
	conf := fmt.Sprintf(`
listen_addresses = '*'
unix_socket_directories = '%s'
hba_file = '%s/pg_hba.conf'
ident_file = '%s/pg_ident.conf'
ssl = on
ssl_cert_file = '%s/tls.crt'
ssl_key_file = '%s/tls.key'
password_encryption = scram-sha-256
max_connections = 12
reserved_connections = 4
shared_buffers = 32MB
checkpoint_timeout = 1h
max_wal_size = 2GB
log_statement = ddl
`, meta.SocketDir, meta.ConfigDir, meta.ConfigDir, meta.TLSDir, meta.TLSDir)
	return map[string]string{
		meta.KeyPostgreSQLConf: conf,
		meta.KeyIdentConf:      "freehold postgres freehold_monitor\nfreehold postgres freehold_backup\n",
		meta.KeyHBAConf: "local all postgres peer\nlocal postgres freehold_monitor peer map=freehold\nlocal postgres freehold_backup peer map=freehold\n" +
			"hostssl app app 0.0.0.0/0 scram-sha-256\nhost all all 0.0.0.0/0 reject\n",
	}
}

func (p *databasePod) publish(folder string, files map[string]string) {
	p.t.Helper()
	agenttest.Publish(p.t, folder, meta.UIDPostgres, files)
}

func (p *databasePod) sayInitialized(initialized bool) {
	p.t.Helper()
	p.publish(p.instance, map[string]string{meta.KeyInstanceID: instanceID, meta.KeyInitialized: fmt.Sprint(initialized)})
}

func (p *databasePod) rotateCertificate(serial int64) {
	p.t.Helper()
	cert, key := p.authority.Issue(p.t, databaseHost, serial)
	p.publish(p.tls, map[string]string{meta.KeyTLSCert: cert, meta.KeyTLSKey: key})
}

func (p *databasePod) rotatePassword(password string) {
	p.t.Helper()
	p.publish(p.credentials, map[string]string{
		meta.KeyDatabaseHost: databaseHost, meta.KeyDatabasePort: fmt.Sprint(meta.PortDatabase),
		meta.KeyDatabaseName: "app", meta.KeyDatabaseUser: "app", meta.KeyDatabasePassword: password,
	})
}

// prepare runs the init container, which must succeed.
func (p *databasePod) prepare() *agenttest.Container {
	p.t.Helper()
	container := p.Start("agent", "database", "prepare")
	if code := container.ExitCode(); code != 0 {
		p.t.Fatalf("prepare ended with %d:\n%s", code, container.Log())
	}
	return container
}

// run starts the server and waits until it is ready.
func (p *databasePod) run() *agenttest.Container {
	p.t.Helper()
	container := p.Start("agent", "database", "run")
	p.eventuallyReady(container)
	return container
}

func (p *databasePod) eventuallyReady(container *agenttest.Container) {
	p.t.Helper()
	agenttest.Eventually(p.t, "readiness", func() error {
		select {
		case <-container.Done():
			p.t.Fatalf("the server ended:\n%s", container.Log())
		default:
		}
		if code, body := p.Get(probes + "/ready"); code != 200 {
			return fmt.Errorf("%d %s", code, body)
		}
		return nil
	})
}

// probe asks one of the three questions.
func (p *databasePod) probe(path string) (code int, state string) {
	p.t.Helper()
	code, body := p.Get(probes + path)
	var answer struct{ State string }
	if code == 0 {
		return 0, body
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		p.t.Fatalf("%s answers %q: %v", path, body, err)
	}
	return code, answer.State
}

// login describes one attempt to connect over TCP; the zero value is the application's own, but for the password.
type login struct {
	user, database, password string
	plain                    bool
}

func (p *databasePod) connect(l login) (*pgx.Conn, error) {
	p.t.Helper()
	config, err := pgx.ParseConfig("sslmode=disable connect_timeout=10")
	if err != nil {
		p.t.Fatal(err)
	}
	config.Host, config.Port, config.Fallbacks = databaseHost, meta.PortDatabase, nil
	config.User, config.Database, config.Password = or(l.user, "app"), or(l.database, "app"), l.password
	config.DialFunc = p.Dial
	config.LookupFunc = func(context.Context, string) ([]string, error) { return []string{"127.0.0.1"}, nil }
	if !l.plain {
		config.TLSConfig = &tls.Config{RootCAs: p.authority.Pool(), ServerName: databaseHost, MinVersion: tls.VersionTLS12}
	}
	ctx, cancel := context.WithTimeout(p.t.Context(), 20*time.Second)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, config)
	if err == nil {
		p.t.Cleanup(func() { _ = conn.Close(context.Background()) })
	}
	return conn, err
}

func or(value, fallback string) string {
	if value == "" {
		return fallback
	}
	return value
}

// app connects as the application, which must succeed.
func (p *databasePod) app(password string) *pgx.Conn {
	p.t.Helper()
	conn, err := p.connect(login{password: password})
	if err != nil {
		p.t.Fatal("the application cannot connect:", err)
	}
	return conn
}

func (p *databasePod) exec(conn *pgx.Conn, sql string) {
	p.t.Helper()
	if _, err := conn.Exec(p.t.Context(), sql); err != nil {
		p.t.Fatalf("%s: %v", sql, err)
	}
}

// ask returns the one value that a query yields.
func ask[T any](p *databasePod, conn *pgx.Conn, sql string) (value T) {
	p.t.Helper()
	if err := conn.QueryRow(p.t.Context(), sql).Scan(&value); err != nil {
		p.t.Fatalf("%s: %v", sql, err)
	}
	return value
}

// serial of the certificate that a new connection is shown.
func (p *databasePod) serial(password string) (int64, error) {
	p.t.Helper()
	conn, err := p.connect(login{password: password})
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close(p.t.Context()) }()
	raw, ok := conn.PgConn().Conn().(*tls.Conn)
	if !ok {
		return 0, fmt.Errorf("the connection is a %T", conn.PgConn().Conn())
	}
	return raw.ConnectionState().PeerCertificates[0].SerialNumber.Int64(), nil
}

// postmaster is the server's first process, on this machine.
func (p *databasePod) postmaster(container *agenttest.Container) int {
	p.t.Helper()
	children, err := agenttest.Children(container.PID())
	if err != nil || len(children) != 1 {
		p.t.Fatalf("the agent has the children %v, %v; want the postmaster alone", children, err)
	}
	return children[0]
}

func (p *databasePod) file(name string) string { return filepath.Join(p.volume, name) }
