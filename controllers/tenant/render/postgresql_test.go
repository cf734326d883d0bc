// SPDX-License-Identifier: Apache-2.0

package render_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/ptr"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
	"github.com/freehold-dev/freehold/controllers/tenant/render"
)

// askServer starts a real PostgreSQL 17 with the rendered files, out of an unpacked root file system and in a mount
// namespace of its own, lets psql as the superuser answer $3, and stops it.
const askServer = `
root=$1 work=$2 sql=$3
mount --rbind /dev "$root/dev"
mount --bind "$work" "$root/mnt"
exec chroot --userspec=999:999 "$root" /usr/bin/env PATH=/usr/lib/postgresql/17/bin:/usr/bin:/bin sh -ec '
	initdb -D /mnt/data --username=postgres --auth=trust --data-checksums --no-sync >/mnt/initdb.log 2>&1
	pg_ctl -D /mnt/data -w -t 60 -l /mnt/server.log -o "-c config_file=/mnt/etc/postgresql.conf" start >/mnt/start.log 2>&1 || { cat /mnt/start.log /mnt/server.log; exit 1; }
	trap "pg_ctl -D /mnt/data -m fast stop >/dev/null" EXIT
	psql -h /mnt/run -U postgres -d postgres -v ON_ERROR_STOP=1 -At -c "$1"
' sh "$sql"
`

// server runs SQL on a PostgreSQL server that was started with what is rendered for in.
func server(t *testing.T, in render.Inputs, sql string) string {
	t.Helper()
	root := needed(t, "FREEHOLD_POSTGRES_ROOT", "the unpacked root file system of an image with PostgreSQL 17")
	if os.Geteuid() != 0 {
		t.Skip("starting a server out of another root file system needs root")
	}
	work := shortTempDir(t)
	revision := mustRevision(t, in)
	for _, key := range []string{meta.KeyPostgreSQLConf, meta.KeyHBAConf, meta.KeyIdentConf} {
		text := revisionFile(t, revision, key)
		for from, to := range map[string]string{meta.ConfigDir: "/mnt/etc", meta.TLSDir: "/mnt/tls", meta.SocketDir: "/mnt/run"} {
			text = strings.ReplaceAll(text, from, to)
		}
		write(t, work+"/etc/"+key, strings.ReplaceAll(text, "listen_addresses = '*'", "listen_addresses = ''"))
	}
	certificate, key := selfSigned(t, "db")
	write(t, work+"/tls/"+meta.KeyTLSCert, certificate)
	write(t, work+"/tls/"+meta.KeyTLSKey, key)
	write(t, work+"/run/.keep", "")
	own(t, work)
	said, err := exec.Command("unshare", "--mount", "--propagation", "private", "sh", "-ec", askServer, "sh", root, work,
		sql).CombinedOutput()
	if err != nil {
		t.Fatalf("PostgreSQL does not start or does not answer: %v\n%s", err, said)
	}
	return strings.TrimSpace(string(said))
}

// own gives the folder to the server's user, keys readable by nobody else.
func own(t *testing.T, folder string) {
	t.Helper()
	if said, err := exec.Command("sh", "-ec", `chown -R 999:999 "$1"; chmod 0700 "$1"; chmod 0600 "$1"/tls/tls.key`, "sh", folder).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
}

// problems are the lines of the configuration files that the server does not take as they stand.
const problems = `
SELECT 'postgresql.conf:' || sourceline || ' ' || name || ': ' || coalesce(error, 'overridden outside of the file')
  FROM pg_file_settings f WHERE error IS NOT NULL OR (NOT applied AND seqno = (SELECT max(seqno) FROM pg_file_settings g WHERE g.name = f.name))
UNION ALL SELECT 'pg_hba.conf:' || line_number || ' ' || error FROM pg_hba_file_rules WHERE error IS NOT NULL
UNION ALL SELECT 'pg_ident.conf:' || line_number || ' ' || error FROM pg_ident_file_mappings WHERE error IS NOT NULL
UNION ALL SELECT 'pending: ' || name FROM pg_settings WHERE pending_restart`

func TestPostgreSQLTakesEverySetting(t *testing.T) {
	least := miniflux()
	least.Class.Spec.Database.Compute = v1alpha1.Compute{CPU: ptr.To(resource.MustParse("50m")), Memory: ptr.To(resource.MustParse("64Mi"))}
	shapes := map[string]render.Inputs{"miniflux": miniflux(), "dex": dex(), "least memory": least}
	for i := range 3 {
		in := miniflux()
		in.Class.Spec.Database.Parameters = v1alpha1.PostgreSQLParameters{}
		for name, values := range goodValues {
			in.Class.Spec.Database.Parameters[name] = v1alpha1.PostgreSQLValue(values[i])
		}
		shapes[[]string{"usual values", "least values", "greatest values"}[i]] = in
	}
	for name, in := range shapes {
		t.Run(name, func(t *testing.T) {
			if has := server(t, in, problems); has != "" {
				t.Errorf("PostgreSQL does not take everything as it stands:\n%s", has)
			}
		})
	}
}

func TestPostgreSQLCheckCanFail(t *testing.T) {
	root := needed(t, "FREEHOLD_POSTGRES_ROOT", "the unpacked root file system of an image with PostgreSQL 17")
	if os.Geteuid() != 0 {
		t.Skip("starting a server out of another root file system needs root")
	}
	work := shortTempDir(t)
	write(t, work+"/etc/"+meta.KeyPostgreSQLConf, revisionFile(t, mustRevision(t, miniflux()), meta.KeyPostgreSQLConf)+"work_mem = '1kB'\n")
	write(t, work+"/tls/"+meta.KeyTLSKey, "")
	own(t, work)
	if said, err := exec.Command("unshare", "--mount", "--propagation", "private", "sh", "-ec", askServer, "sh", root, work, "SELECT 1").CombinedOutput(); err == nil || !strings.Contains(string(said), "work_mem") {
		t.Errorf("a work_mem that is too small goes unnoticed: %v\n%s", err, said)
	}
}

func TestPostgreSQLRunsAsIntended(t *testing.T) {
	has := server(t, dex(), `
SELECT name || '=' || setting FROM pg_settings WHERE name IN ('timezone', 'TimeZone', 'max_connections',
	'statement_timeout', 'ssl', 'password_encryption', 'fsync', 'data_checksums', 'allow_alter_system',
	'archive_mode', 'archive_command', 'archive_timeout') ORDER BY lower(name);
SELECT concat_ws(' ', type, database::text, user_name::text, address, auth_method, options::text) FROM pg_hba_file_rules ORDER BY rule_number`)
	want := []string{
		"allow_alter_system=off", "archive_command=/usr/bin/freehold agent backup archive --engine=pgbackrest %p", "archive_mode=on", "archive_timeout=60", "data_checksums=on", "fsync=on", "max_connections=50", "password_encryption=scram-sha-256",
		"ssl=on", "statement_timeout=30000", "TimeZone=Europe/Vienna",
		"local {postgres} {postgres} peer",
		"local {all} {freehold_monitor} peer {map=freehold}",
		"local {postgres} {freehold_backup} peer {map=freehold}",
		"local {all} {all} reject",
		"hostssl {dex} {dex_owner} 0.0.0.0 scram-sha-256",
		"hostssl {dex} {dex_owner} :: scram-sha-256",
		"host {all} {all} all reject",
		"host {replication} {all} all reject",
	}
	equal(t, "settings and rules that PostgreSQL reads", strings.Split(has, "\n"), want)
}
