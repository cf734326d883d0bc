// SPDX-License-Identifier: Apache-2.0

//go:build bench

package agent_test

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/backup/engine"
	"github.com/freehold-dev/freehold/controllers/internal/agenttest"
	"github.com/freehold-dev/freehold/controllers/internal/figures"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// bare is pgBackRest without us, with the configuration that we wrote and the words that we ask for.
const bare = `mkdir -p ` + engine.LockPath + `; exec pgbackrest --config=` + meta.BackupDir + `/` + meta.KeyPgBackRestConf + ` --stanza=` + meta.BackupStanza +
	` --log-level-console=off --log-level-stderr=info `

// BenchmarkBackup measures a full base backup: our Job (`freehold agent backup run`) against bare `pgbackrest backup` with
// the same configuration, in turn, from the same running database over the same mutually authenticated TLS connection into
// the same encrypted repository. BENCH_MIB is the size of the database, BENCH_ROUNDS how many pairs are made.
//
// ratio is bare time through our time, the median of the rounds: 1 is as fast, the goal is 0.95. copy-ratio is the same for
// pgBackRest's own backup command within both, overhead-s what our Job takes longer: questions before and after, the sealed
// keys, expiry, the catalogue. That does not grow with the database, so small databases make the ratio worse.
//
// It does not measure a network or an object store: the repository is a folder on the same disk, and both ends share the
// machine's processors.
func BenchmarkBackup(b *testing.B) {
	w, size := filled(b)
	w.timed(w.backupPod(), "shell", bare+"--type=full backup") // The first one finds nothing in the page cache.
	o := w.options("site-a")
	o.Type = v1alpha1.BackupFull
	r := rounds{command: "backup"}
	for round := range figures.Size(b, "BENCH_ROUNDS", 3) {
		r.pair(round,
			func() []took { return []took{w.timed(w.backupPod(), o.Args()...)} },
			func() []took { return []took{w.timed(w.backupPod(), "shell", bare+"--type=full backup")} })
		w.timed(w.backupPod(), "shell", bare+"--repo1-retention-full=1 expire") // The disk need not hold them all.
	}
	r.report(b, size)
}

// BenchmarkRestore measures the way from an empty volume to a server on it that takes writes: our Job
// (`freehold agent backup restore`) and the start after it, against bare `pgbackrest restore` and a start that recovers,
// in turn, from the same backup and log. The metrics are those of BenchmarkBackup, and the goal is the same; both-s are the
// medians of the whole way.
//
// Our Job recovers with a server of its own, looks at what came up and shuts it down, so that the instance's database starts
// from a clean volume: one more start and stop than the bare way, and that is what overhead-s shows. The instance's pods,
// images and volumes, which Kubernetes has to bring, are in neither, and no network is.
func BenchmarkRestore(b *testing.B) {
	w, size := filled(b)
	w.timed(w.backupPod(), w.options("site-a").Args()...)
	w.note(1) // The log holds something beyond the backup.
	w.handOver()
	w.archiver.Kill()
	w.stop()
	r := rounds{command: "restore"}
	for round := range figures.Size(b, "BENCH_ROUNDS", 3) {
		r.pair(round,
			func() []took {
				return w.restored(restoreOptions(fmt.Sprintf("round-%d", round), time.Time{}).Args()...)
			},
			func() []took {
				return w.restored("shell", bare+"--archive-mode=off restore")
			})
	}
	r.report(b, size)
}

// filled is a running database with as much in it as BENCH_MIB says, an empty repository, and the database's size in MiB.
func filled(b *testing.B) (*world, float64) {
	b.Helper()
	mebibytes := figures.Size(b, "BENCH_MIB", 512)
	w := newWorld(b, "site-a").begin()
	w.archiving(meta.ArchivingOff) // Nobody needs the log of this.
	// A page holds seven rows of a thousand hexadecimal digits: what a customer has compresses about as well.
	w.sql("app", fmt.Sprintf(`CREATE TABLE public.filling AS SELECT i AS id, (SELECT string_agg(md5(i::text || '-' || j), '') FROM generate_series(1, 32) AS j) AS body
		FROM generate_series(1, %d) AS i`, mebibytes*128*7))
	w.sql("app", "VACUUM (FREEZE) public.filling", "CHECKPOINT")
	w.handOver()
	w.archiving(meta.ArchivingOn)
	bytes := value[int64](w, "postgres", "SELECT sum(pg_database_size(oid))::bigint FROM pg_database")
	return w, float64(bytes) / (1 << 20)
}

// took is how long a container took, and what it said.
type took struct {
	seconds float64
	log     string
}

// timed runs a container that must succeed, however long it takes.
func (w *world) timed(pod *agenttest.Pod, args ...string) took {
	w.t.Helper()
	began := time.Now()
	container := pod.Start(args...)
	<-container.Done()
	seconds := time.Since(began).Seconds()
	if code := container.ExitCode(); code != 0 {
		w.t.Fatalf("%v ended with %d:\n%s", args, code, container.Log())
	}
	return took{seconds, container.Log()}
}

// restored fills a new volume, starts a server on it, and removes it.
func (w *world) restored(args ...string) []took {
	w.t.Helper()
	volume := w.newVolume()
	filling := w.timed(w.restorePod(volume), args...)
	// With hot_standby off, the first connection that is let in can write.
	starting := w.timed(w.restorePod(volume), "shell", serverFiles+`
postgres -D `+meta.PGData+` -c config_file=/tmp/server.conf -c unix_socket_directories=/tmp -c archive_mode=off -c hot_standby=off 2> /tmp/server.log &
until psql --host=/tmp --username=postgres --dbname=app --command='INSERT INTO app.notes (id) VALUES (2)'; do
  kill -0 $! || { cat /tmp/server.log; exit 1; }
  sleep 0.1
done`)
	if err := os.RemoveAll(volume); err != nil {
		w.t.Fatal(err)
	}
	return []took{filling, starting}
}

// rounds are measurements in pairs.
type rounds struct {
	// command of pgBackRest that both run.
	command                        string
	ours, bare, oursCopy, bareCopy []float64
}

// pair measures both, in the order that is the other one in every second round.
func (r *rounds) pair(round int, ours, bare func() []took) {
	if round%2 == 0 {
		r.note(&r.ours, &r.oursCopy, ours())
		r.note(&r.bare, &r.bareCopy, bare())
		return
	}
	r.note(&r.bare, &r.bareCopy, bare())
	r.note(&r.ours, &r.oursCopy, ours())
}

var commandEnd = regexp.MustCompile(`INFO: (\w+) command end: completed successfully \((\d+)ms\)`)

// note adds up the containers of one way; the words of pgBackRest tell how long its command took.
func (r *rounds) note(whole, copying *[]float64, containers []took) {
	var sum, copied float64
	for _, c := range containers {
		sum += c.seconds
		for _, found := range commandEnd.FindAllStringSubmatch(c.log, -1) {
			if milliseconds, err := strconv.ParseFloat(found[2], 64); err == nil && found[1] == r.command {
				copied += milliseconds / 1000
			}
		}
	}
	*whole, *copying = append(*whole, sum), append(*copying, copied)
}

func (r *rounds) report(b *testing.B, mebibytes float64) {
	b.Helper()
	b.ReportMetric(0, "ns/op") // The preparation would count.
	b.ReportMetric(mebibytes, "database-MiB")
	b.ReportMetric(figures.Median(r.ours), "ours-s")
	b.ReportMetric(figures.Median(r.bare), "bare-s")
	b.ReportMetric(mebibytes/figures.Median(r.ours), "ours-MiB/s")
	b.ReportMetric(figures.Median(figures.Ratios(r.bare, r.ours)), "ratio")
	b.ReportMetric(figures.Median(figures.Ratios(r.bareCopy, r.oursCopy)), "copy-ratio")
	b.ReportMetric(figures.Median(r.ours)-figures.Median(r.bare), "overhead-s")
	b.Logf("%s: our times %.2f s, of that pgBackRest's command %.2f s; bare %.2f s, %.2f s", r.command, r.ours, r.oursCopy, r.bare, r.bareCopy)
}
