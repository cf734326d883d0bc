// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/backup/engine"
	"github.com/freehold-dev/freehold/controllers/internal/agenttest"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// settled is a world with a base backup, three rows, and everything archived.
func settled(t *testing.T) (w *world, times [4]time.Time) {
	t.Helper()
	w = newWorld(t, "site-a").begin()
	w.backUp("site-a")
	for id := 1; id <= 3; id++ {
		// The catalogue knows whole seconds: a target in the second of the backup's end would not count.
		w.sql("postgres", "SELECT pg_sleep(1.1)")
		times[id] = w.note(id)
	}
	w.sql("postgres", "UPDATE freehold.heartbeat SET at = clock_timestamp()")
	w.handOver()
	return w, times
}

func TestABackupIsProven(t *testing.T) {
	t.Parallel()
	w, times := settled(t)
	system := value[string](w, "postgres", "SELECT system_identifier::text FROM pg_control_system()")
	good := engine.VerifyOptions{
		Destination: "site-a", Target: times[2], SystemIdentifier: system, Database: "app", MaxHeartbeatGap: 3 * time.Minute,
		Assertions: []v1alpha1.SQLAssertion{
			{Name: "two-notes", Query: "SELECT count(*) = 2 FROM app.notes"},
			{Name: "with-semicolon", Query: "SELECT max(id) = 2 FROM app.notes;"},
		},
	}
	result := w.must(w.restorePod(""), w.verifyArgs(good))
	got := result.Recovery
	if got.SystemIdentifier != system || got.Timeline != 2 || !got.Target.Equal(times[2]) || got.Heartbeat.IsZero() || got.Reached.After(times[2]) || got.Reached.IsZero() {
		t.Errorf("recovered %+v", got)
	}
	with := func(change func(*engine.VerifyOptions)) []string {
		o := good
		change(&o)
		return w.verifyArgs(o)
	}
	w.fails(w.restorePod(""), engine.FailedForeign, "system identifier", with(func(o *engine.VerifyOptions) { o.SystemIdentifier = "1" }))
	w.fails(w.restorePod(""), engine.FailedDamaged, "heartbeat", with(func(o *engine.VerifyOptions) { o.MaxHeartbeatGap = time.Millisecond }))
	w.fails(w.restorePod(""), engine.FailedTarget, "later than the last transaction", with(func(o *engine.VerifyOptions) { o.Target = time.Now().Add(time.Hour) }))
	w.fails(w.restorePod(""), engine.FailedTarget, "no backup that ended before", with(func(o *engine.VerifyOptions) { o.Target = times[1].Add(-time.Hour) }))
	w.fails(w.restorePod(""), engine.FailedEngine, `"site-x"`, with(func(o *engine.VerifyOptions) { o.Destination = "site-x" }))
	bad := w.fails(w.restorePod(""), engine.FailedAssertion, "7 of 8 assertions do not hold", with(func(o *engine.VerifyOptions) {
		o.Assertions = []v1alpha1.SQLAssertion{
			{Name: "holds", Query: "SELECT true"},
			{Name: "false", Query: "SELECT count(*) > 1000 FROM app.notes"},
			{Name: "two-rows", Query: "SELECT true FROM app.notes"},
			{Name: "no-boolean", Query: "SELECT 1"},
			{Name: "writes", Query: "WITH w AS (DELETE FROM app.notes RETURNING true) SELECT count(*) > 0 FROM w"},
			{Name: "leaves", Query: "ROLLBACK; DELETE FROM app.notes; SELECT true"},
			{Name: "becomes", Query: "SELECT set_config('role', 'postgres', false) = 'postgres'"},
			{Name: "reads-files", Query: "SELECT pg_read_file('/etc/freehold/backup/pgbackrest.conf') <> ''"},
		}
	}))
	for _, name := range []string{"false (it is false)", "two-rows", "no-boolean", "writes", "leaves", "becomes", "reads-files (permission denied"} {
		if !strings.Contains(bad.Failure.Message, name) {
			t.Errorf("the message does not name %s: %s", name, bad.Failure.Message)
		}
	}
	// The volume is thrown away, but never one that holds something else.
	used := w.newVolume()
	if err := os.WriteFile(filepath.Join(used, "precious"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	w.fails(w.restorePod(used), engine.FailedEngine, "precious", w.verifyArgs(good))
}

func TestFlippedBytesAreFound(t *testing.T) {
	t.Parallel()
	w, _ := settled(t)
	w.must(w.restorePod(""), w.verifyArgs(engine.VerifyOptions{Destination: "site-a"}))
	flip(t, filepath.Join(w.stored, "site-a"))
	w.fails(w.restorePod(""), engine.FailedDamaged, "site-a", w.verifyArgs(engine.VerifyOptions{Destination: "site-a"}))
}

// flip changes a byte in the middle of the largest file of the base backup.
func flip(t *testing.T, folder string) {
	t.Helper()
	var largest string
	var size int64
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || !strings.Contains(path, "/bundle/") {
			return err
		}
		info, err := entry.Info()
		if err == nil && info.Size() > size {
			largest, size = path, info.Size()
		}
		return err
	})
	if err != nil || size == 0 {
		t.Fatalf("there is no file to damage: %v", err)
	}
	content, err := os.ReadFile(largest)
	if err != nil {
		t.Fatal(err)
	}
	content[size/2] ^= 0xff
	if err := os.WriteFile(largest, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestDamageInTheDatabaseItselfIsFound(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "site-a").begin()
	w.note(1)
	// A row whose index entry is lost: nothing of a backup's checksums tells.
	w.sql("app", "CREATE TABLE public.damaged (id int PRIMARY KEY)", "INSERT INTO public.damaged SELECT generate_series(1, 1000)", "CHECKPOINT")
	file := filepath.Join(w.volume, "pgdata", value[string](w, "app", "SELECT pg_relation_filepath('damaged_pkey')"))
	w.stop()
	swapItems(t, file)
	w.shell(w.database, "pg_checksums --disable --pgdata="+meta.PGData)
	w.start()
	w.backUp("site-a")
	w.handOver()
	w.fails(w.restorePod(""), engine.FailedDamaged, "damaged_pkey", w.verifyArgs(engine.VerifyOptions{Destination: "site-a"}))
}

// swapItems exchanges the places of two entries in the first leaf of an index.
func swapItems(t *testing.T, file string) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	const page, header = 8192, 24
	leaf := content[page : 2*page]
	a, b := leaf[header+4*10:header+4*11], leaf[header+4*20:header+4*21]
	for i := range a {
		a[i], b[i] = b[i], a[i]
	}
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// restoreOptions are those of a restore from site-a.
func restoreOptions(name string, target time.Time) engine.RestoreOptions {
	return engine.RestoreOptions{Destination: "site-a", Target: target, InstanceID: instanceID, Restore: name}
}

// goOver puts the database on another volume.
func (w *world) goOver(volume string) {
	w.t.Helper()
	w.volume = volume
	w.database.Remount(volume, meta.DataDir)
	w.start()
}

func TestATimeComesBackAndLaterOnesAndTheOldVolumeToo(t *testing.T) {
	t.Parallel()
	w, times := settled(t)
	old := w.volume
	w.stop()

	// The second row's moment: not earlier, not later.
	first := w.newVolume()
	result := w.must(w.restorePod(first), restoreOptions("first", times[2]).Args())
	if result.Recovery.Timeline != 2 || result.Recovery.Reached.After(times[2]) {
		t.Fatalf("recovered %+v", result.Recovery)
	}
	nothingStays(t, first)
	w.goOver(first)
	if got := w.notes(); got != "1,2" {
		t.Fatalf("the rows are %s, want 1,2", got)
	}
	afterFirst := w.note(20)
	w.handOver() // timeline 2, into the same repositories.

	// Restore again, to a moment after the first restore: what was written since is there, what was left is not.
	w.sql("postgres", "SELECT pg_sleep(1.1)")
	w.note(30)
	w.handOver()
	w.stop()
	second := w.newVolume()
	if got := w.must(w.restorePod(second), restoreOptions("second", afterFirst).Args()).Recovery.Timeline; got != 3 {
		t.Fatalf("the second restore is on timeline %d, want 3", got)
	}
	w.goOver(second)
	if got := w.notes(); got != "1,2,20" {
		t.Fatalf("the rows are %s, want 1,2,20", got)
	}
	w.stop()

	// The row that the first restore left behind is on the first timeline still.
	third := w.newVolume()
	o := restoreOptions("third", times[3])
	o.Timeline, o.TimelineAfter = "1", 7
	if got := w.must(w.restorePod(third), o.Args()).Recovery.Timeline; got != 8 {
		t.Fatalf("the third restore is on timeline %d, want 8: one after all that ever were", got)
	}
	w.goOver(third)
	if got := w.notes(); got != "1,2,3" {
		t.Fatalf("the rows are %s, want 1,2,3", got)
	}
	w.stop()

	// Back to the volume that the database began on.
	revert := engine.RevertOptions{InstanceID: instanceID, TimelineAfter: 8}
	if got := w.must(w.restorePod(old), revert.Args()).Recovery.Timeline; got != 9 {
		t.Fatalf("the old volume is on timeline %d, want 9", got)
	}
	nothingStays(t, old)
	w.goOver(old)
	if got := w.notes(); got != "1,2,3" {
		t.Fatalf("the rows are %s, want 1,2,3", got)
	}
	w.note(40)
	w.handOver()
	// The live timeline is the newest, and can be backed up and restored.
	if c := w.backUp("site-a").Catalogue; c.Backups != 2 || c.RecoverableFrom.IsZero() || c.RecoverableFrom.After(times[1]) {
		t.Errorf("every moment can be restored from %s on, want from before %s: over two timelines", c.RecoverableFrom, times[1])
	}
	w.sql("postgres", "UPDATE freehold.heartbeat SET at = clock_timestamp()")
	w.handOver()
	last := w.must(w.restorePod(""), w.verifyArgs(engine.VerifyOptions{Destination: "site-a", Database: "app",
		Assertions: []v1alpha1.SQLAssertion{{Name: "all", Query: "SELECT string_agg(id::text, ',' ORDER BY id) = '1,2,3,40' FROM app.notes"}}}))
	if last.Recovery.Timeline != 10 {
		t.Errorf("the latest is on timeline %d, want 10", last.Recovery.Timeline)
	}
	w.fails(w.restorePod(w.newVolume()), engine.FailedEngine, "not that of instance", revert.Args())
}

func TestABackupFromAfterTheMomentOfAnEarlierRestoreCanBeRestored(t *testing.T) {
	t.Parallel()
	w, times := settled(t)
	w.backUp("site-a")
	w.sql("postgres", "SELECT pg_sleep(1.1)")
	late := w.note(4)
	w.sql("postgres", "UPDATE freehold.heartbeat SET at = clock_timestamp()")
	w.handOver()
	w.stop()

	// The newest timeline leaves the first one before the second backup.
	first := w.newVolume()
	w.must(w.restorePod(first), restoreOptions("first", times[2]).Args())
	w.goOver(first)
	w.handOver()
	w.stop()

	second := w.newVolume()
	o := restoreOptions("second", late)
	o.Timeline, o.TimelineAfter = "1", 2
	if got := w.must(w.restorePod(second), o.Args()).Recovery.Timeline; got != 3 {
		t.Fatalf("the second restore is on timeline %d, want 3", got)
	}
	nothingStays(t, second)
	w.goOver(second)
	if got := w.notes(); got != "1,2,3,4" {
		t.Fatalf("the rows are %s, want 1,2,3,4", got)
	}
}

// nothingStays looks for what a recovery leaves behind.
func nothingStays(t *testing.T, volume string) {
	t.Helper()
	pgdata := filepath.Join(volume, "pgdata")
	for _, name := range []string{"recovery.signal", "standby.signal", "postmaster.pid"} {
		if _, err := os.Stat(filepath.Join(pgdata, name)); err == nil {
			t.Errorf("%s is left in the database", name)
		}
	}
	auto, err := os.ReadFile(filepath.Join(pgdata, "postgresql.auto.conf"))
	if err != nil || strings.Contains(string(auto), "restore_command") || strings.Contains(string(auto), "recovery") {
		t.Errorf("the database's settings are %q, %v", auto, err)
	}
	histories, err := filepath.Glob(filepath.Join(pgdata, "pg_wal", "*.history"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range histories {
		if content, err := os.ReadFile(path); err != nil || strings.HasPrefix(string(content), "#") {
			t.Errorf("the reservation %s is left, %v", filepath.Base(path), err)
		}
	}
	entries, err := os.ReadDir(volume)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if strings.HasSuffix(entry.Name(), ".partial") {
			t.Errorf("%s is left on the volume", entry.Name())
		}
	}
}

func TestARestoreThatWasKilledIsRepeatedAndADoneOneIsNot(t *testing.T) {
	t.Parallel()
	w, times := settled(t)
	w.stop()
	volume := w.newVolume()
	options := restoreOptions("b7a1", times[2])
	for _, words := range []string{"restore command begin", "starting archive recovery", "starting point-in-time recovery"} {
		container := w.restorePod(volume).Start(options.Args()...)
		agenttest.Eventually(t, words, func() error {
			select {
			case <-container.Done():
				return nil // it was quicker than we looked; the next one finds it done.
			default:
				return want(strings.Contains(container.Log(), words), "%s", container.Log())
			}
		})
		container.Kill()
	}
	other := options
	other.Restore = "c8b2"
	if _, err := os.Stat(filepath.Join(volume, "pgdata")); err != nil {
		w.fails(w.restorePod(volume), engine.FailedEngine, "not empty", other.Args())
	}
	done := w.must(w.restorePod(volume), options.Args())
	before := tree(t, volume)
	again := w.must(w.restorePod(volume), options.Args())
	if *again.Recovery != *done.Recovery {
		t.Errorf("repeated, it tells %+v, before %+v", again.Recovery, done.Recovery)
	}
	if after := tree(t, volume); after != before {
		t.Error("repeated, it changed the volume")
	}
	w.fails(w.restorePod(volume), engine.FailedEngine, "already holds a database", other.Args())
	if err := os.Remove(filepath.Join(volume, "freehold-instance.json")); err != nil {
		t.Fatal(err)
	}
	w.must(w.restorePod(volume), options.Args()) // killed before the last mark.
	w.goOver(volume)
	if got := w.notes(); got != "1,2" {
		t.Errorf("the rows are %s, want 1,2", got)
	}
}

// tree is a sum over names and contents.
func tree(t *testing.T, folder string) string {
	t.Helper()
	sum := sha256.New()
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		fmt.Fprintf(sum, "%s %d %s\n", path, len(content), content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", sum.Sum(nil))
}

func TestANewInstanceIsFilledFromTheBackupOfAnother(t *testing.T) {
	t.Parallel()
	w, _ := settled(t)
	w.stop()
	volume := w.newVolume()
	o := restoreOptions("first", time.Time{})
	o.InstanceID = "globex-1"
	w.must(w.restorePod(volume), o.Args())
	for _, path := range []string{"freehold-instance.json", "pgdata/freehold-instance.json"} {
		content, err := os.ReadFile(filepath.Join(volume, path))
		if err != nil || !strings.Contains(string(content), "globex-1") {
			t.Errorf("%s is %q, %v", path, content, err)
		}
	}
	w.goOver(volume)
	if got := w.notes(); got != "1,2,3" {
		t.Errorf("the rows are %s, want 1,2,3", got)
	}
}

func TestALogThatCannotBeFetchedIsNotTakenForItsEnd(t *testing.T) {
	t.Parallel()
	w, _ := settled(t)
	w.stop()
	// One of the last segments becomes unreadable: without a wrong code, the recovery would end before it and succeed.
	segments := w.segments("site-a")
	last := segments[len(segments)-1]
	if err := os.WriteFile(last, []byte("damaged"), 0o644); err != nil {
		t.Fatal(err)
	}
	result, _ := w.run(w.restorePod(w.newVolume()), restoreOptions("first", time.Time{}).Args())
	if result.Failure == nil {
		t.Fatalf("it ended well: %+v", result.Recovery)
	}
	if result.Failure.Reason != engine.FailedDamaged {
		t.Errorf("it failed for another reason: %+v", result.Failure)
	}
}

func TestTheWrongKeyOpensNothing(t *testing.T) {
	t.Parallel()
	w, times := settled(t)
	w.passphrases["site-a"] = strings.Repeat("wrong-", 16)
	w.configure("site-a")
	w.fails(w.restorePod(w.newVolume()), engine.FailedKey, "site-a", restoreOptions("first", times[2]).Args())
}
