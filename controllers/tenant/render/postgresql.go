// SPDX-License-Identifier: Apache-2.0

package render

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// databaseConfigMap holds PostgreSQL's three configuration files.
func databaseConfigMap(in Inputs) *corev1ac.ConfigMapApplyConfiguration {
	return immutableConfigMap(in, meta.ComponentDatabase, map[string]string{
		meta.KeyPostgreSQLConf: postgresqlConf(in),
		meta.KeyHBAConf:        hbaConf(databaseName(in), databaseUser(in)),
		meta.KeyIdentConf:      identConf(),
	})
}

// setting is one line of postgresql.conf.
type setting struct{ name, value string }

// postgresqlConf is Freehold's settings, then those computed from the memory limit, then the user's: of two lines
// for one parameter PostgreSQL takes the last.
func postgresqlConf(in Inputs) string {
	var text strings.Builder
	text.WriteString("# Written by Freehold; changed only by a new revision.\n")
	write := func(title string, settings []setting) {
		fmt.Fprintf(&text, "\n# %s\n", title)
		for _, s := range settings {
			fmt.Fprintf(&text, "%s = %s\n", s.name, quoteSetting(s.value))
		}
	}
	users := parameters(in)
	write("Access: TLS and SCRAM only", accessSettings())
	write("Durability", durabilitySettings())
	write("Archive of the write-ahead log", archiveSettings())
	write("Log", logSettings())
	may := databaseLimits(in)
	write("Computed from the container's limits", tuning(may.memory.Value(), may.cpu.MilliValue(), connections(users)))
	if len(users) > 0 {
		var own []setting
		for _, name := range slices.Sorted(maps.Keys(users)) {
			own = append(own, setting{name, users[name]})
		}
		write("Set by the class or the Tenant", own)
	}
	return text.String()
}

// quoteSetting writes a string literal of postgresql.conf, in which quotes and backslashes are doubled.
func quoteSetting(value string) string {
	return "'" + strings.NewReplacer(`'`, `''`, `\`, `\\`).Replace(value) + "'"
}

func accessSettings() []setting {
	return []setting{
		{"listen_addresses", "*"},
		{"port", strconv.Itoa(meta.PortDatabase)},
		{"unix_socket_directories", meta.SocketDir},
		{"unix_socket_permissions", "0700"},
		{"hba_file", meta.ConfigDir + "/" + meta.KeyHBAConf},
		{"ident_file", meta.ConfigDir + "/" + meta.KeyIdentConf},
		{"password_encryption", "scram-sha-256"},
		{"ssl", "on"},
		{"ssl_cert_file", meta.TLSDir + "/" + meta.KeyTLSCert},
		{"ssl_key_file", meta.TLSDir + "/" + meta.KeyTLSKey},
		{"ssl_min_protocol_version", "TLSv1.2"},
		{"ssl_ciphers", "ECDHE+AESGCM:ECDHE+CHACHA20"},
		// What is not in this file cannot creep in by SQL.
		{"allow_alter_system", "off"},
		// An application that takes every connection cannot lock the probes out, which would restart the server.
		{"reserved_connections", strconv.Itoa(reservedConnections)},
	}
}

func durabilitySettings() []setting {
	return []setting{
		{"fsync", "on"},
		{"full_page_writes", "on"},
		{"synchronous_commit", "on"},
		{"wal_level", "replica"},
		{"restart_after_crash", "on"},
		{"dynamic_shared_memory_type", "posix"},
		{"huge_pages", "off"},
	}
}

// archiveSettings are the same whether the instance is backed up or not: naming a policy restarts nothing. What becomes
// of a segment is decided by the agent, each time anew.
func archiveSettings() []setting {
	return []setting{
		{"archive_mode", "on"},
		{"archive_command", meta.ArchiveCommand},
		// What was written waits at most a minute to be handed over.
		{"archive_timeout", "60"},
	}
}

func logSettings() []setting {
	return []setting{
		{"log_destination", "stderr"},
		{"logging_collector", "off"},
		{"log_line_prefix", "%m [%p] %q%u@%d %h "},
		{"log_timezone", "UTC"},
		{"timezone", "UTC"},
		{"log_checkpoints", "on"},
		{"log_lock_waits", "on"},
		// Passwords arrive as SCRAM verifiers; statements with data in them are not logged.
		{"log_statement", "none"},
		{"log_parameter_max_length_on_error", "0"},
	}
}

const (
	kib = int64(1) << 10
	mib = int64(1) << 20
	gib = int64(1) << 30
)

// connections are how many the user asks for; 0 when he asks for nothing that can be computed with.
func connections(users map[string]string) int64 {
	asked, err := strconv.ParseInt(users["max_connections"], 10, 32)
	if err != nil || asked < 1 {
		return 0
	}
	return asked
}

// tuning computes settings from the memory limit in bytes and the processor limit in thousandths of a core. A
// quarter of the memory is for shared buffers, another is the most that shared memory of parallel queries takes;
// work_mem is such that every connection can use it twice in what remains. It does not look at the volume's size:
// a volume grows without a new revision.
func tuning(memory, cpu, asked int64) []setting {
	buffers := memory / 4
	connections := asked
	if connections == 0 {
		connections = clamp(memory/(5*mib), 20, 200)
	}
	workers := clamp((cpu+999)/1000, 1, 64)
	return []setting{
		{"max_connections", strconv.FormatInt(connections, 10)},
		{"shared_buffers", kilobytes(buffers)},
		{"effective_cache_size", kilobytes(memory / 2)},
		{"work_mem", kilobytes(clamp((memory-buffers)/(2*connections), 1*mib, 256*mib))},
		{"maintenance_work_mem", kilobytes(clamp(memory/16, 8*mib, 1*gib))},
		{"min_wal_size", kilobytes(clamp(memory/16, 32*mib, 1*gib))},
		{"max_wal_size", kilobytes(clamp(memory/4, 64*mib, 4*gib))},
		{"max_worker_processes", strconv.FormatInt(max(workers, 8), 10)},
		{"max_parallel_workers", strconv.FormatInt(workers, 10)},
		{"max_parallel_workers_per_gather", strconv.FormatInt(min(workers/2, 4), 10)},
		{"random_page_cost", "1.1"},
		{"jit", "off"},
	}
}

func clamp(value, least, most int64) int64 { return max(least, min(value, most)) }

func kilobytes(bytes int64) string { return strconv.FormatInt(bytes/kib, 10) + "kB" }

// hbaConf says who may connect: the operator's agent and the backups through the socket as the server's own user, the
// application's role to its own database by TLS and SCRAM, and nobody else. The first line that fits decides.
func hbaConf(database, user string) string {
	return fmt.Sprintf(`# Written by Freehold; changed only by a new revision.
# TYPE DATABASE USER [ADDRESS] METHOD
local postgres postgres peer
local all %s peer map=%s
local postgres %s peer map=%s
local all all reject
hostssl "%s" "%s" 0.0.0.0/0 scram-sha-256
hostssl "%s" "%s" ::/0 scram-sha-256
host all all all reject
host replication all all reject
`, meta.MonitorRole, meta.IdentMap, meta.BackupRole, meta.IdentMap, database, user, database, user)
}

// identConf lets the user that the server runs as, and no other, be the roles of monitoring and of backups.
func identConf() string {
	return fmt.Sprintf(`# Written by Freehold; changed only by a new revision.
# MAP SYSTEM-USERNAME PG-USERNAME
%s postgres %s
%s postgres %s
`, meta.IdentMap, meta.MonitorRole, meta.IdentMap, meta.BackupRole)
}
