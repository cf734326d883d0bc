// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/backup/engine"
	"github.com/freehold-dev/freehold/controllers/internal/conditions"
	"github.com/freehold-dev/freehold/controllers/internal/postgres"
)

// Roles and a schema that exist in throw-away servers only.
const (
	// checker may look at tables and indexes with amcheck, and nothing else.
	checker = "freehold_checker"
	// reader may read all data.
	reader      = "freehold_reader"
	checkSchema = "freehold_amcheck"
)

// mostFindings bounds what is told of damage, in bytes.
const mostFindings = 500

// within bounds an assertion.
const within = 10 * time.Minute

func quoted(name string) string { return pgx.Identifier{name}.Sanitize() }

func (s *server) exec(ctx context.Context, database string, statements ...string) error {
	conn, err := s.connect(ctx, superuser, database)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // the server is thrown away.
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("prepare the restored server for checks: %w", err)
		}
	}
	return nil
}

// databases that can be connected to.
func (s *server) databases(ctx context.Context) ([]string, error) {
	conn, err := s.connect(ctx, superuser, adminDatabase)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // nothing was written.
	rows, err := conn.Query(ctx, "SELECT datname FROM pg_database WHERE datallowconn ORDER BY datname")
	if err != nil {
		return nil, fmt.Errorf("list the databases of the restored server: %w", err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("list the databases of the restored server: %w", err)
	}
	return names, nil
}

// amcheck reads every table and every index of every database, and compares them with what they should be.
func (s *server) amcheck(ctx context.Context) error {
	names, err := s.databases(ctx)
	if err != nil {
		return err
	}
	if err := s.exec(ctx, adminDatabase, "CREATE ROLE "+checker+" LOGIN"); err != nil {
		return err
	}
	for _, name := range names {
		// The superuser only adds PostgreSQL's own functions, with no name resolved but PostgreSQL's. What the application
		// put into its database (functions in indexes) runs with the checker's or its owner's rights.
		err := s.exec(ctx, name,
			"CREATE SCHEMA "+checkSchema, "CREATE EXTENSION amcheck SCHEMA "+checkSchema,
			"GRANT USAGE ON SCHEMA "+checkSchema+" TO "+checker, "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA "+checkSchema+" TO "+checker,
			"GRANT CONNECT ON DATABASE "+quoted(name)+" TO "+checker)
		if err != nil {
			return err
		}
	}
	program, err := postgres.Program("", "pg_amcheck")
	if err != nil {
		return err
	}
	var words tail
	cmd := exec.Command(program, "--host="+s.sockets, "--port="+strconv.Itoa(s.config.Port), "--username="+checker, "--no-password", "--all",
		"--maintenance-db="+adminDatabase)
	cmd.Env, cmd.Stdout, cmd.Stderr = environment(), io.MultiWriter(os.Stderr, &words), io.MultiWriter(os.Stderr, &words)
	code, err := s.config.run(ctx, cmd, syscall.SIGTERM)
	if err != nil {
		return err
	}
	if code != 0 {
		return fail(engine.FailedDamaged, "pg_amcheck finds damage in the restored database: %s", conditions.Shorten(oneLine(words.String()), mostFindings))
	}
	return nil
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// assert asks each assertion as a role that only reads, and names all that do not hold.
func (s *server) assert(ctx context.Context, database string, assertions []v1alpha1.SQLAssertion) error {
	if len(assertions) == 0 {
		return nil
	}
	names, err := s.databases(ctx)
	if err != nil {
		return err
	}
	if !slices.Contains(names, database) {
		return fail(engine.FailedAssertion, "the restored server has no database %q, which the assertions are about; it has %s", database, strings.Join(names, ", "))
	}
	if err := s.exec(ctx, adminDatabase,
		"CREATE ROLE "+reader+" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS", "GRANT pg_read_all_data TO "+reader,
		"ALTER ROLE "+reader+" SET default_transaction_read_only = on", "GRANT CONNECT ON DATABASE "+quoted(database)+" TO "+reader); err != nil {
		return err
	}
	var broken []string
	for _, assertion := range assertions {
		err := s.ask(ctx, database, assertion.Query)
		if ctx.Err() != nil {
			return errStopped
		}
		if err != nil {
			broken = append(broken, fmt.Sprintf("%s (%s)", assertion.Name, err))
		}
	}
	if len(broken) > 0 {
		return fail(engine.FailedAssertion, "%d of %d assertions do not hold: %s", len(broken), len(assertions), strings.Join(broken, ", "))
	}
	return nil
}

// ask returns nil if the one value that a query yields is true.
func (s *server) ask(ctx context.Context, database, query string) error {
	conn, err := s.connect(ctx, reader, database)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // nothing was written.
	if _, err := conn.Exec(ctx, fmt.Sprintf("SET statement_timeout = %d", within.Milliseconds())); err != nil {
		return fmt.Errorf("begin to ask: %w", err)
	}
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{AccessMode: pgx.ReadOnly})
	if err != nil {
		return fmt.Errorf("begin to ask: %w", err)
	}
	// The extended protocol, which parameters imply, takes one statement only: none can follow that leaves the transaction.
	rows, err := tx.Query(ctx, query, pgx.QueryExecModeDescribeExec)
	if err != nil {
		return words(err)
	}
	answers, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (bool, error) {
		values, err := row.Values()
		if err != nil {
			return false, err
		}
		holds, ok := append(values, nil)[0].(bool)
		if len(values) != 1 || !ok {
			return false, errors.New("it must return one column, which is true or false")
		}
		return holds, nil
	})
	switch {
	case err != nil:
		return words(err)
	case len(answers) != 1:
		return fmt.Errorf("it must return one row, but returns %d", len(answers))
	case !answers[0]:
		return errors.New("it is false")
	}
	return nil
}

// words are those of PostgreSQL alone, without the query and its data.
func words(err error) error {
	var told *pgconn.PgError
	if errors.As(err, &told) {
		return errors.New(told.Message + " (SQLSTATE " + told.Code + ")")
	}
	return err
}
