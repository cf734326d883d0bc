// SPDX-License-Identifier: Apache-2.0

package database

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// provisionTimeout bounds each statement of the provisioning. CREATE DATABASE takes the longest: it copies a
// template and writes it to disk.
const provisionTimeout = 60 * time.Second

// credentials are what the application connects with.
type credentials struct{ user, database, password string }

// readCredentials reads the mounted Secret and refuses names that are PostgreSQL's or Freehold's own.
func readCredentials(folder string) (credentials, error) {
	var c credentials
	var errs [3]error
	c.user, errs[0] = readValue(folder, meta.KeyDatabaseUser)
	c.database, errs[1] = readValue(folder, meta.KeyDatabaseName)
	c.password, errs[2] = readValue(folder, meta.KeyDatabasePassword)
	if err := errors.Join(errs[:]...); err != nil {
		return credentials{}, err
	}
	for _, name := range []string{c.user, c.database} {
		if reserved(name) {
			return credentials{}, fmt.Errorf("%q cannot be the application's role or database: PostgreSQL or Freehold keeps that name for itself", name)
		}
	}
	return c, nil
}

// reserved names must never be given to an application: taking one over would change the superuser or a template.
func reserved(name string) bool {
	switch name {
	case superuser, "template0", "template1", "public", "none":
		return true
	}
	return strings.HasPrefix(name, "pg_") || strings.HasPrefix(name, "freehold")
}

// provisioner brings the server's roles and databases to what they should be. It writes only what differs.
type provisioner struct {
	conn *pgx.Conn
	want credentials
	// changes collects what was written, for the log.
	changes []string
}

// provision makes roles, database and privileges, and returns what it changed.
func (c Config) provision(ctx context.Context) ([]string, error) {
	want, err := readCredentials(c.CredentialsDir)
	if err != nil {
		return nil, err
	}
	conn, err := c.connect(ctx, superuser, provisionTimeout)
	if err != nil {
		return nil, err
	}
	// The session ends with the process anyway; what counts is what was committed.
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	p := &provisioner{conn: conn, want: want}
	for _, step := range []func(context.Context) error{p.monitor, p.application, p.database, p.privileges, p.backup} {
		if err := step(ctx); err != nil {
			return p.changes, fmt.Errorf("provision the application's role and database: %w", err)
		}
	}
	return p.changes, nil
}

// change runs one statement and notes it under a text without secrets.
func (p *provisioner) change(ctx context.Context, note, sql string) error {
	if _, err := p.conn.Exec(ctx, sql); err != nil {
		return fmt.Errorf("%s: %w", note, err)
	}
	p.changes = append(p.changes, note)
	return nil
}

// when runs a statement if the question is answered with true.
func (p *provisioner) when(ctx context.Context, note, sql, question string, args ...any) error {
	var yes bool
	if err := p.conn.QueryRow(ctx, question, args...).Scan(&yes); err != nil {
		return fmt.Errorf("find out whether to %s: %w", note, err)
	}
	if !yes {
		return nil
	}
	return p.change(ctx, note, sql)
}

// monitor makes the role of the probes. It may use the reserved connections, so that an application that takes
// all others does not look like a dead server.
func (p *provisioner) monitor(ctx context.Context) error {
	return p.role(ctx, "monitoring", meta.MonitorRole, "pg_monitor", "pg_use_reserved_connections")
}

// role makes one of Freehold's own roles, with the memberships that it needs.
func (p *provisioner) role(ctx context.Context, what, name string, memberships ...string) error {
	if err := p.when(ctx, "create the "+what+" role", "CREATE ROLE "+quoted(name)+" LOGIN",
		"SELECT NOT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", name); err != nil {
		return err
	}
	for _, granted := range memberships {
		if err := p.when(ctx, "grant "+granted+" to the "+what+" role", "GRANT "+granted+" TO "+quoted(name),
			"SELECT NOT pg_has_role($1, $2, 'MEMBER')", name, granted); err != nil {
			return err
		}
	}
	return nil
}

// application makes the application's role, without any right beyond its own database, and sets its password.
func (p *provisioner) application(ctx context.Context) error {
	const powerless = "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"
	role := quoted(p.want.user)
	if err := p.when(ctx, "create the application's role", "CREATE ROLE "+role+" "+powerless,
		"SELECT NOT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", p.want.user); err != nil {
		return err
	}
	if err := p.when(ctx, "take privileges from the application's role", "ALTER ROLE "+role+" "+powerless,
		`SELECT rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls OR NOT rolcanlogin
		 FROM pg_roles WHERE rolname = $1`, p.want.user); err != nil {
		return err
	}
	return p.password(ctx)
}

func (p *provisioner) password(ctx context.Context) error {
	var stored string
	err := p.conn.QueryRow(ctx, "SELECT coalesce(rolpassword, '') FROM pg_authid WHERE rolname = $1", p.want.user).Scan(&stored)
	if err != nil {
		return fmt.Errorf("read the application's password verifier: %w", err)
	}
	if verifies(stored, p.want.password) {
		return nil
	}
	verifier, err := newVerifier(p.want.password)
	if err != nil {
		return err
	}
	// A verifier is letters, digits and +/=:$- only; ALTER ROLE takes no parameters.
	return p.change(ctx, "set the application's password", "ALTER ROLE "+quoted(p.want.user)+" PASSWORD '"+verifier+"'")
}

func (p *provisioner) database(ctx context.Context) error {
	name, owner := quoted(p.want.database), quoted(p.want.user)
	if err := p.when(ctx, "create the application's database", "CREATE DATABASE "+name+" OWNER "+owner+" TEMPLATE template0",
		"SELECT NOT EXISTS (SELECT FROM pg_database WHERE datname = $1)", p.want.database); err != nil {
		return err
	}
	return p.when(ctx, "give the application its database", "ALTER DATABASE "+name+" OWNER TO "+owner,
		"SELECT pg_get_userbyid(datdba) <> $2 FROM pg_database WHERE datname = $1", p.want.database, p.want.user)
}

// privileges leaves each database to its owner: PUBLIC may neither connect nor make temporary tables anywhere.
func (p *provisioner) privileges(ctx context.Context) error {
	rows, err := p.conn.Query(ctx, `SELECT datname FROM pg_database WHERE datallowconn AND EXISTS (
		SELECT FROM aclexplode(coalesce(datacl, acldefault('d', datdba))) WHERE grantee = 0) ORDER BY datname`)
	if err != nil {
		return fmt.Errorf("list databases that everyone may use: %w", err)
	}
	open, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("list databases that everyone may use: %w", err)
	}
	for _, name := range open {
		if err := p.change(ctx, "close the database "+name+" to everyone but its owner", "REVOKE ALL ON DATABASE "+quoted(name)+" FROM PUBLIC"); err != nil {
			return err
		}
	}
	return p.letConnect(ctx, "monitoring", meta.MonitorRole)
}

func (p *provisioner) letConnect(ctx context.Context, what, role string) error {
	return p.when(ctx, "let the "+what+" role connect", "GRANT CONNECT ON DATABASE "+quoted(adminDatabase)+" TO "+quoted(role),
		"SELECT NOT has_database_privilege($1, $2, 'CONNECT')", role, adminDatabase)
}

func quoted(name string) string { return pgx.Identifier{name}.Sanitize() }
