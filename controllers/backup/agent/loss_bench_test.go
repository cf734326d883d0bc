// SPDX-License-Identifier: Apache-2.0

//go:build bench

package agent_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freehold-dev/freehold/controllers/internal/figures"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// BenchmarkRecoveryPoint measures how much is lost when everything of an instance is lost at once: BENCH_ROUNDS databases
// under load, each killed with its archiver and all their processes at a random moment of the second minute, its volume
// never looked at again, and restored from the repository to the latest. What is lost are the seconds between the
// last commit that the client was told of and the last one that came back. The goal is 60 s and the time of the upload.
// A row that is missing before the last one that came back fails the benchmark.
//
// The load is light on purpose, fifty commits a second: a heavy one fills segments of 16 MiB before the minute is over, and
// loses less. The repository is a folder, so an upload takes no time to speak of; a destination that is down or slow is not
// part of this.
func BenchmarkRecoveryPoint(b *testing.B) {
	worlds := make([]*loaded, figures.Size(b, "BENCH_ROUNDS", 3))
	for i := range worlds {
		worlds[i] = underLoad(b)
	}
	lost := make([]float64, len(worlds))
	for i, w := range worlds {
		<-w.ended
		lost[i] = w.lost(b)
	}
	b.ReportMetric(0, "ns/op") // It is as long as we want it to be.
	b.ReportMetric(figures.Median(lost), "median-lost-s")
	b.ReportMetric(figures.Quantile(lost, 1), "most-lost-s")
	b.Logf("lost seconds: %.1f", lost)
}

// loaded is a world whose application writes.
type loaded struct {
	*world
	// acknowledged is when the client was told of the commit of each row; the first is row 1.
	acknowledged []time.Time
	// ended is closed when everything was killed, and the client has seen it.
	ended chan struct{}
}

// underLoad is a database with a backup, and a client that goes on until everything is killed.
func underLoad(b *testing.B) *loaded {
	b.Helper()
	l := &loaded{world: newWorld(b, "site-a").begin(), ended: make(chan struct{})}
	l.backUp("site-a")
	conn, err := l.connect("app", "app")
	if err != nil {
		b.Fatal(err)
	}
	go l.write(b.Context(), conn)
	go l.end(b.Context(), time.Minute+rand.N(time.Minute))
	return l
}

// write commits rows until the database is gone.
func (l *loaded) write(ctx context.Context, conn *pgx.Conn) {
	defer close(l.ended)
	defer conn.Close(context.WithoutCancel(ctx))
	pace := time.NewTicker(20 * time.Millisecond)
	defer pace.Stop()
	for range pace.C {
		if _, err := conn.Exec(ctx, "INSERT INTO app.notes (id, body) VALUES ($1, repeat('x', 200))", len(l.acknowledged)+1); err != nil {
			return
		}
		l.acknowledged = append(l.acknowledged, time.Now())
	}
}

// end kills everything when its moment has come.
func (l *loaded) end(ctx context.Context, after time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(after):
		var both sync.WaitGroup
		both.Go(l.archiver.Kill)
		both.Go(l.postgres.Kill)
		both.Wait()
	}
}

// lost restores, and says how many seconds are missing.
func (l *loaded) lost(b *testing.B) float64 {
	b.Helper()
	// A pod of its own, with a folder of its own for sockets, is what the restored volume gets.
	if err := os.RemoveAll(filepath.Join(l.sockets, ".s.PGSQL.5432.lock")); err != nil {
		b.Fatal(err)
	}
	volume := l.newVolume()
	l.must(l.restorePod(volume), restoreOptions("all-lost", time.Time{}).Args())
	l.goOver(volume)
	defer l.postgres.Kill()
	last := value[int](l.world, "app", "SELECT coalesce(max(id), 0) FROM app.notes")
	if there := value[int](l.world, "app", "SELECT count(*) FROM app.notes"); there != last || last == 0 {
		b.Fatalf("of %d rows up to the last one %d came back", last, there)
	}
	if last >= len(l.acknowledged) {
		return 0 // Also what the client was not told of.
	}
	return l.acknowledged[len(l.acknowledged)-1].Sub(l.acknowledged[last-1]).Seconds()
}

// BenchmarkCommit measures what archiving costs the application: the latency of commits with archiving on (heartbeat, and
// each segment compressed, encrypted and stored) against off, in turn, in the same database. Two clients insert rows of a
// thousand bytes as fast as the database takes them, BENCH_SECONDS in each of BENCH_ROUNDS rounds and states. p50-ratio
// and p99-ratio are on through off, the median of the rounds: 1 costs nothing.
//
// Such a load is far more than a tenant's, and client, database and pgBackRest share the machine's processors and its disk:
// it shows the worst of it. The repository is a folder: no network is slow here.
func BenchmarkCommit(b *testing.B) {
	w := newWorld(b, "site-a").begin()
	w.sqlAs("app", "app", "CREATE TABLE app.load (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body text)")
	span := time.Duration(figures.Size(b, "BENCH_SECONDS", 10)) * time.Second
	on, off := &latencies{}, &latencies{}
	w.commits(b, span/2) // The first file extensions and checkpoints are nobody's.
	for round := range figures.Size(b, "BENCH_ROUNDS", 3) {
		states := []string{meta.ArchivingOff, meta.ArchivingOn}
		if round%2 == 1 {
			states[0], states[1] = states[1], states[0]
		}
		for _, state := range states {
			w.archiving(state)
			into := map[string]*latencies{meta.ArchivingOn: on, meta.ArchivingOff: off}[state]
			into.note(w.commits(b, span))
			w.handOver() // What waits of this round shall not be the next one's work.
		}
	}
	b.ReportMetric(0, "ns/op") // It is as long as we want it to be.
	for unit, values := range map[string][]float64{
		"on-p50-ms": on.p50, "on-p99-ms": on.p99, "off-p50-ms": off.p50, "off-p99-ms": off.p99,
		"p50-ratio": figures.Ratios(on.p50, off.p50), "p99-ratio": figures.Ratios(on.p99, off.p99),
		"throughput-ratio": figures.Ratios(on.commits, off.commits),
	} {
		b.ReportMetric(figures.Median(values), unit)
	}
	b.Logf("on: p50 %.2f ms, p99 %.2f ms, commits %.0f; off: p50 %.2f ms, p99 %.2f ms, commits %.0f", on.p50, on.p99, on.commits, off.p50, off.p99, off.commits)
}

// latencies are one figure of each kind from each round.
type latencies struct{ p50, p99, commits []float64 }

func (l *latencies) note(milliseconds []float64) {
	l.p50 = append(l.p50, figures.Quantile(milliseconds, 0.5))
	l.p99 = append(l.p99, figures.Quantile(milliseconds, 0.99))
	l.commits = append(l.commits, float64(len(milliseconds)))
}

// commits loads the database for a while, and returns how long each commit took, in milliseconds.
func (w *world) commits(b *testing.B, span time.Duration) []float64 {
	b.Helper()
	var clients [2]*pgx.Conn
	for i := range clients {
		conn, err := w.connect("app", "app")
		if err != nil {
			b.Fatal(err)
		}
		defer conn.Close(context.Background())
		clients[i] = conn
	}
	var taken [len(clients)][]float64
	var failures [len(clients)]error
	var all sync.WaitGroup
	until := time.Now().Add(span)
	for i, conn := range clients {
		all.Go(func() { taken[i], failures[i] = commit(b.Context(), conn, until) })
	}
	all.Wait()
	if err := errors.Join(failures[:]...); err != nil {
		b.Fatal(err)
	}
	return slices.Concat(taken[:]...)
}

// commit inserts one row after the other.
func commit(ctx context.Context, conn *pgx.Conn, until time.Time) (milliseconds []float64, err error) {
	for time.Now().Before(until) {
		began := time.Now()
		if _, err := conn.Exec(ctx, "INSERT INTO app.load (body) VALUES (repeat(md5(random()::text), 32))"); err != nil {
			return nil, err
		}
		milliseconds = append(milliseconds, float64(time.Since(began).Microseconds())/1000)
	}
	return milliseconds, nil
}
