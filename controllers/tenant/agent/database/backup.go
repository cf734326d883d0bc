// SPDX-License-Identifier: Apache-2.0

package database

import (
	"context"

	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// backupFunctions are what pgBackRest calls, of what PostgreSQL lets only a superuser call unless somebody grants it.
var backupFunctions = []string{
	"pg_catalog.pg_backup_start(text, boolean)",
	"pg_catalog.pg_backup_stop(boolean)",
	"pg_catalog.pg_create_restore_point(text)",
	"pg_catalog.pg_switch_wal()",
}

// backup makes the role of pgBackRest and of the heartbeat, and the heartbeat's table. The role reads no table of the
// application, and may not even connect to its database: base backups copy files. It may use the reserved connections: an
// application that takes all others must not end its own backups.
func (p *provisioner) backup(ctx context.Context) error {
	const what = "backup"
	if err := p.role(ctx, what, meta.BackupRole, "pg_read_all_settings", "pg_use_reserved_connections"); err != nil {
		return err
	}
	if err := p.letConnect(ctx, what, meta.BackupRole); err != nil {
		return err
	}
	for _, function := range backupFunctions {
		if err := p.when(ctx, "let the backup role call "+function, "GRANT EXECUTE ON FUNCTION "+function+" TO "+quoted(meta.BackupRole),
			"SELECT NOT has_function_privilege($1, $2, 'EXECUTE')", meta.BackupRole, function); err != nil {
			return err
		}
	}
	return p.heartbeat(ctx)
}

// heartbeat makes the table whose one row is the time of the last beat. What is restored says by it up to when it goes.
func (p *provisioner) heartbeat(ctx context.Context) error {
	schema, role := quoted(meta.BackupSchema), quoted(meta.BackupRole)
	table := schema + ".heartbeat"
	for _, step := range []struct {
		note, sql, question string
		args                []any
	}{
		{"create the schema of backups", "CREATE SCHEMA " + schema,
			"SELECT to_regnamespace($1) IS NULL", []any{schema}},
		{"let the backup role use its schema", "GRANT USAGE ON SCHEMA " + schema + " TO " + role,
			"SELECT NOT has_schema_privilege($1, $2, 'USAGE')", []any{meta.BackupRole, meta.BackupSchema}},
		{"create the heartbeat's table",
			"CREATE TABLE " + table + " (single boolean PRIMARY KEY DEFAULT true CHECK (single), at timestamptz NOT NULL)",
			"SELECT to_regclass($1) IS NULL", []any{table}},
		{"let the heart beat for the first time", "INSERT INTO " + table + " (at) VALUES (clock_timestamp())",
			"SELECT NOT EXISTS (SELECT FROM " + table + ")", nil},
		{"let the backup role read the heartbeat", "GRANT SELECT ON " + table + " TO " + role,
			"SELECT NOT has_table_privilege($1, $2, 'SELECT')", []any{meta.BackupRole, table}},
		{"let the backup role write the heartbeat", "GRANT UPDATE (at) ON " + table + " TO " + role,
			"SELECT NOT has_column_privilege($1, $2, 'at', 'UPDATE')", []any{meta.BackupRole, table}},
	} {
		if err := p.when(ctx, step.note, step.sql, step.question, step.args...); err != nil {
			return err
		}
	}
	return nil
}
