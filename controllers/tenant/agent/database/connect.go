// SPDX-License-Identifier: Apache-2.0

package database

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// superuser is the role that initdb makes.
	superuser = "postgres"
	// adminDatabase is the only one that the agent ever connects to.
	adminDatabase = "postgres"
)

// connect opens a session over the local socket, as the operating system's user postgres.
func (c Config) connect(ctx context.Context, role string, timeout time.Duration) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig(fmt.Sprintf("host=%s port=%d user=%s dbname=%s sslmode=disable", c.SocketDir, c.Port, role, adminDatabase))
	if err != nil {
		return nil, fmt.Errorf("describe the connection to the local server: %w", err)
	}
	config.ConnectTimeout = timeout
	// Names resolve to PostgreSQL's own objects only, and nothing we ask may wait for ever.
	config.RuntimeParams = map[string]string{
		"application_name": "freehold", "search_path": "pg_catalog",
		"statement_timeout": fmt.Sprint(timeout.Milliseconds()), "lock_timeout": fmt.Sprint(timeout.Milliseconds()),
	}
	if role == superuser {
		// Verifiers of passwords stay out of the log, however much the class lets the server log.
		config.RuntimeParams["log_statement"], config.RuntimeParams["log_min_error_statement"] = "none", "panic"
		config.RuntimeParams["log_min_duration_statement"], config.RuntimeParams["log_min_duration_sample"] = "-1", "-1"
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect to the local server: %w", err)
	}
	return conn, nil
}
