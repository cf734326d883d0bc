// SPDX-License-Identifier: Apache-2.0

package v1alpha1_test

import (
	"fmt"
	"strings"
	"testing"
)

// computeRows are the rules of Compute at one path.
func computeRows(t *testing.T, base, path string) {
	t.Helper()
	t.Run(path, func(t *testing.T) {
		created(t, base, []row{
			{"cpu in millicores", path + ".cpu", "50m", ""},
			{"cpu in cores, as a number", path + ".cpu", "2", ""},
			{"cpu as a text", path + ".cpu", `"1.5"`, ""},
			{"too little cpu", path + ".cpu", "49m", "cpu must be at least 50m"},
			{"no cpu", path + ".cpu", "0", "cpu must be at least 50m"},
			{"negative cpu", path + ".cpu", "-1", "cpu must be at least 50m"},
			{"cpu that is no quantity", path + ".cpu", "lots", "should match"},
			{"enough memory", path + ".memory", "64Mi", ""},
			{"memory in bytes", path + ".memory", "67108864", ""},
			{"too little memory", path + ".memory", "63Mi", "memory must be at least 64Mi"},
			{"memory in millibytes by mistake", path + ".memory", "512m", "memory must be at least 64Mi"},
			{"memory that is no quantity", path + ".memory", "512MB", "should match"},
		})
	})
}

// storageRows are the rules of a size that may only grow.
func storageRows(t *testing.T, base, path, field, least, tooSmall string) {
	t.Helper()
	small := fmt.Sprintf("%s must be at least %s", field, least)
	shrinks := field + " may only grow: a volume cannot be made smaller without losing data"
	t.Run(path, func(t *testing.T) {
		created(t, base, []row{
			{"is the least", path, least, ""},
			{"is larger", path, "20Gi", ""},
			{"is too small", path, tooSmall, small},
			{"is negative", path, "-1Gi", small},
			{"is no quantity", path, "large", "should match"},
		})
		updated(t, base, []change{
			{"grows", path, "10Gi", "20Gi", ""},
			{"grows in other units", path, "10Gi", "20000000Ki", ""},
			{"is written differently", path, "10Gi", "10240Mi", ""},
			{"shrinks", path, "10Gi", "9Gi", shrinks},
			{"shrinks in other units", path, "10Gi", "10G", shrinks},
		})
	})
}

// parameterRows are the rules of PostgreSQLParameters at one path.
func parameterRows(t *testing.T, base, path string) {
	t.Helper()
	const (
		unknown = "has a parameter that may not be set; the parameters that may be set are listed in the reference of PostgreSQLParameters"
		value   = "a parameter's value may have letters, digits, spaces inside and _ . / + -"
	)
	rows := []row{
		{"none", path, "{}", ""},
		{"a value longer than 64 characters", path, "{work_mem: " + strings.Repeat("a", 65) + "}", "may not be more than 64 bytes"},
		{"a value of 64 characters", path, "{work_mem: " + strings.Repeat("a", 64) + "}", ""},
		{"an empty value", path, `{work_mem: ""}`, "should be at least 1 chars long"},
		{"a name in capitals", path, "{WORK_MEM: 64MB}", unknown},
		{"one good and one bad", path, "{work_mem: 64MB, fsync: 'off'}", unknown},
	}
	for _, name := range []string{"fsync", "full_page_writes", "synchronous_commit", "archive_command", "archive_mode", "ssl", "ssl_min_protocol_version",
		"listen_addresses", "port", "data_directory", "hba_file", "password_encryption", "shared_preload_libraries", "log_directory", "wal_level",
		"local_preload_libraries", "unix_socket_directories", "include", "restore_command", "data_checksums", ""} {
		rows = append(rows, row{fmt.Sprintf("the parameter %q", name), path, fmt.Sprintf("{%q: x}", name), unknown})
	}
	for _, name := range []string{"autovacuum_analyze_scale_factor", "autovacuum_max_workers", "autovacuum_naptime", "autovacuum_vacuum_cost_limit",
		"autovacuum_vacuum_scale_factor", "checkpoint_timeout", "deadlock_timeout", "default_statistics_target", "default_text_search_config",
		"effective_cache_size", "effective_io_concurrency", "hash_mem_multiplier", "idle_in_transaction_session_timeout", "idle_session_timeout",
		"jit", "lock_timeout", "log_lock_waits", "log_min_duration_statement", "maintenance_work_mem", "max_connections", "max_parallel_workers",
		"max_parallel_workers_per_gather", "max_wal_size", "min_wal_size", "random_page_cost", "shared_buffers", "statement_timeout",
		"temp_file_limit", "timezone", "track_io_timing", "wal_buffers", "work_mem"} {
		rows = append(rows, row{"the parameter " + name, path, fmt.Sprintf("{%s: '10'}", name), ""})
	}
	for _, good := range []string{"64MB", "0.02", "-1", "pg_catalog.english", "Europe/Berlin", "Etc/GMT+2", "10 min"} {
		rows = append(rows, row{"the value " + good, path, fmt.Sprintf("{work_mem: %q}", good), ""})
	}
	for _, bad := range []string{"64MB'", `64"MB`, "64MB\nfsync = off", "64MB # x", "$HOME", `64\MB`, " 64MB", "64MB ", "a=b", "a;b", "6\u00004", "ä"} {
		rows = append(rows, row{fmt.Sprintf("the value %q", bad), path, fmt.Sprintf("{work_mem: %q}", bad), value})
	}
	t.Run(path, func(t *testing.T) { created(t, base, rows) })
}
