// SPDX-License-Identifier: Apache-2.0

package wait

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"k8s.io/utils/clock"

	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

const (
	// interval between two attempts.
	interval = 500 * time.Millisecond
	// attemptTimeout bounds one attempt.
	attemptTimeout = 5 * time.Second
)

// Config says where things are in the pod. Start from Default.
type Config struct {
	// CredentialsDir holds host, port, database, user and password; TrustDir the authority's certificates.
	CredentialsDir, TrustDir string
	// Clock and Log serve everything in the package.
	Clock clock.Clock
	Log   *slog.Logger
}

// Default is the configuration inside a pod that the operator made.
func Default(log *slog.Logger) Config {
	return Config{CredentialsDir: meta.CredentialsDir, TrustDir: meta.TrustDir, Clock: clock.RealClock{}, Log: log}
}

// Database returns nil once the application's login works, or an error with the last reason when ctx ends.
func Database(ctx context.Context, c Config) error {
	return c.until(ctx, c.login)
}

// until repeats the attempt and logs each reason for failure once, until another takes its place.
func (c Config) until(ctx context.Context, attempt func(context.Context) error) error {
	said := ""
	for {
		err := attempt(ctx)
		if err == nil {
			c.Log.Info("the database is there")
			return nil
		}
		if reason := err.Error(); reason != said && ctx.Err() == nil {
			said = reason
			c.Log.Info("waiting for the database", "reason", reason)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("told to stop while the database was not there yet: %w; the last reason was: %w", ctx.Err(), err)
		case <-c.Clock.After(interval):
		}
	}
}

// login connects as the application does, and queries.
func (c Config) login(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	// The files are read each time: the kubelet may replace them while we wait.
	address, err := c.address()
	if err != nil {
		return err
	}
	config, err := pgconn.ParseConfig(address)
	if err != nil {
		return fmt.Errorf("describe the connection to the database: %w", err)
	}
	conn, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	if _, err := conn.Exec(ctx, "SELECT 1").ReadAll(); err != nil {
		return fmt.Errorf("query the database: %w", err)
	}
	return nil
}

// address builds the connection URI from the mounted files.
func (c Config) address() (string, error) {
	keys := []string{meta.KeyDatabaseHost, meta.KeyDatabasePort, meta.KeyDatabaseName, meta.KeyDatabaseUser, meta.KeyDatabasePassword}
	values := map[string]string{}
	for _, key := range keys {
		content, err := os.ReadFile(filepath.Join(c.CredentialsDir, key))
		if err != nil {
			return "", fmt.Errorf("read what the operator mounted: %w", err)
		}
		values[key] = strings.TrimSpace(string(content))
		if values[key] == "" {
			return "", fmt.Errorf("%s is empty", filepath.Join(c.CredentialsDir, key))
		}
	}
	address := url.URL{
		Scheme: "postgres",
		User:   url.UserPassword(values[meta.KeyDatabaseUser], values[meta.KeyDatabasePassword]),
		Host:   net.JoinHostPort(values[meta.KeyDatabaseHost], values[meta.KeyDatabasePort]),
		Path:   "/" + values[meta.KeyDatabaseName],
		RawQuery: url.Values{
			"sslmode": {"verify-full"}, "sslrootcert": {filepath.Join(c.TrustDir, meta.KeyCACert)},
			// Never give the password away in clear, nor skip proving who the server is.
			"require_auth": {"scram-sha-256"},
		}.Encode(),
	}
	return address.String(), nil
}
