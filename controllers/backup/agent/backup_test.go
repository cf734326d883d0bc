// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/backup/engine"
	"github.com/freehold-dev/freehold/controllers/internal/agenttest"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

func want(holds bool, format string, args ...any) error {
	if holds {
		return nil
	}
	return fmt.Errorf(format, args...)
}

func TestBackupsAreMadeAndExpireOnlyWhenANewerOneWasVerified(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "site-a").beginBare()
	first := w.backUp("site-a")
	if first.Backup == nil || !first.Backup.Full || first.Backup.RepositoryBytes == 0 || first.Catalogue.Backups != 1 || first.Catalogue.Fulls != 1 {
		t.Fatalf("the first backup is %+v, the catalogue %+v", first.Backup, first.Catalogue)
	}
	if from := first.Catalogue.RecoverableFrom; !from.Equal(first.Backup.FinishedAt.Add(time.Second)) {
		t.Errorf("every moment can be restored from %s on, want from the first second after the backup, %s", from, first.Backup.FinishedAt)
	}
	w.note(1)
	second := w.backUp("site-a")
	if second.Backup == nil || second.Backup.Full || second.Catalogue.Backups != 2 || second.Catalogue.Newest != second.Backup.Label {
		t.Fatalf("the second backup is %+v, the catalogue %+v", second.Backup, second.Catalogue)
	}
	expiring := func(verified string) engine.Result {
		o := w.options("site-a")
		o.Type, o.BackupDays, o.PointInTimeDays, o.Verified = v1alpha1.BackupFull, 1, 0, verified // everything has expired.
		return w.must(w.backupPod(), o.Args())
	}
	third := expiring("")
	if len(third.Expiry.Removed) > 0 || !third.Expiry.Held || third.Catalogue.Backups != 3 {
		t.Fatalf("nothing was verified, and %+v, %+v", third.Expiry, third.Catalogue)
	}
	fourth := expiring(second.Backup.Label)
	if len(fourth.Expiry.Removed) > 0 || !fourth.Expiry.Held || fourth.Catalogue.Backups != 4 {
		t.Fatalf("only the oldest was verified, and %+v, %+v", fourth.Expiry, fourth.Catalogue)
	}
	fifth := expiring(third.Backup.Label)
	if got := strings.Join(fifth.Expiry.Removed, ","); got != first.Backup.Label+","+second.Backup.Label {
		t.Fatalf("removed %s, want the first two: %+v", got, fifth.Expiry)
	}
	if fifth.Expiry.Failure != nil || fifth.Catalogue.Backups != 3 || fifth.Catalogue.Oldest != third.Backup.Label {
		t.Fatalf("after that: %+v, %+v", fifth.Expiry, fifth.Catalogue)
	}
	between := w.note(2)
	w.note(3)
	w.handOver()
	// What is left can be restored, from the oldest one on.
	result := w.must(w.restorePod(""), w.verifyArgs(engine.VerifyOptions{Destination: "site-a", Backup: third.Backup.Label, Target: between}))
	if result.Recovery.Backup != third.Backup.Label {
		t.Errorf("recovered from %s", result.Recovery.Backup)
	}
	escrow := w.shell(w.backupPod(), "cat "+repositories+"/site-a/acme/"+instanceID+"/g1/"+meta.KeyEscrowFile)
	if escrow != "age-encrypted keys\n" {
		t.Errorf("the stored keys are %q", escrow)
	}
}

// What should be destroyed by a day is, also if the customer's instance is suspended by then: no database runs.
func TestWhatHasExpiredIsRemovedWithoutADatabase(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "site-a").begin()
	first := w.backUp("site-a")
	full := w.options("site-a")
	full.Type = v1alpha1.BackupFull
	second := w.must(w.backupPod(), full.Args())
	w.stop()
	w.archiver.Signal(os.Interrupt)
	w.archiver.ExitCode()

	o := w.options("site-a")
	o.BackupDays, o.PointInTimeDays = 1, 0 // everything has expired.
	result := w.must(w.backupPod(), o.ExpireArgs())
	if result.Job != engine.JobExpire || len(result.Expiry.Removed) > 0 || !result.Expiry.Held || result.Catalogue.Backups != 2 {
		t.Fatalf("nothing was verified, and %+v, %+v", result.Expiry, result.Catalogue)
	}
	o.Verified = second.Backup.Label
	whole := filepath.Join(w.stored, "site-a/acme", instanceID, "g1/backup")
	if err := os.Rename(whole, whole+"-hidden"); err != nil {
		t.Fatal(err)
	}
	// Whoever hid them makes the operator say BackupsMissing.
	if result = w.must(w.backupPod(), o.ExpireArgs()); len(result.Expiry.Removed) > 0 || result.Catalogue.Backups != 0 {
		t.Fatalf("the backups are hidden, and %+v, %+v", result.Expiry, result.Catalogue)
	}
	if err := os.Rename(whole+"-hidden", whole); err != nil {
		t.Fatal(err)
	}
	result = w.must(w.backupPod(), o.ExpireArgs())
	if got := strings.Join(result.Expiry.Removed, ","); got != first.Backup.Label || result.Catalogue.Backups != 1 || result.Catalogue.Oldest != second.Backup.Label {
		t.Fatalf("removed %s, want the first: %+v, %+v", got, result.Expiry, result.Catalogue)
	}
	found := w.must(w.restorePod(""), w.verifyArgs(engine.VerifyOptions{Destination: "site-a"}))
	if found.Recovery.Backup != second.Backup.Label {
		t.Errorf("recovered from %s", found.Recovery.Backup)
	}
}

func TestAGapInTheLogIsSeenByTheNextBackup(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "site-a").begin()
	w.backUp("site-a")
	w.note(1)
	w.handOver()
	segments := w.segments("site-a")
	w.note(2)
	w.handOver()
	if err := os.Remove(segments[len(segments)-1]); err != nil {
		t.Fatal(err)
	}
	second := w.backUp("site-a")
	if from := second.Catalogue.RecoverableFrom; !from.Equal(second.Backup.FinishedAt.Add(time.Second)) || second.Catalogue.Backups != 2 {
		t.Errorf("a segment is missing between the two backups, and every moment can be restored from %s on; the second one ended at %s", from, second.Backup.FinishedAt)
	}
}

// segments are the files of the write-ahead log on the first timeline in a destination, oldest first.
func (w *world) segments(destination string) []string {
	w.t.Helper()
	files, err := filepath.Glob(filepath.Join(w.stored, destination, "acme", instanceID, "g1/archive/main/17-1/0000000100000000/*.zst"))
	if err != nil || len(files) < 2 {
		w.t.Fatalf("segments %v, %v", files, err)
	}
	return files
}

func (w *world) verifyArgs(o engine.VerifyOptions) []string {
	w.t.Helper()
	args, err := o.Args()
	if err != nil {
		w.t.Fatal(err)
	}
	return args
}

func TestBackupsToTwoDestinationsAtOnceBothSucceed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "site-a", "site-b").begin()
	var pods []*agenttest.Pod
	var containers []*agenttest.Container
	for _, name := range []string{"site-a", "site-b"} {
		pod := w.backupPod()
		pods, containers = append(pods, pod), append(containers, pod.Start(w.options(name).Args()...))
	}
	for i, container := range containers {
		if code := container.ExitCode(); code != 0 {
			t.Errorf("%d ended with %d: %s\n%s", i, code, pods[i].TerminationMessage(), container.Log())
		}
	}
}

func TestAKilledBackupIsRepeated(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "site-a").begin()
	w.sql("app", "CREATE TABLE filler AS SELECT g, repeat(md5(g::text), 20) FROM generate_series(1, 300000) g", "CHECKPOINT")
	for _, sig := range []os.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		pod := w.backupPod()
		container := pod.Start(w.options("site-a").Args()...)
		agenttest.Eventually(t, "that files are copied", func() error {
			return want(strings.Contains(container.Log(), "backup start archive"), "%s", container.Log())
		})
		container.Signal(sig)
		if code := container.ExitCode(); code == 0 {
			t.Fatalf("a killed backup ended well:\n%s", container.Log())
		}
		if sig == syscall.SIGTERM && !strings.Contains(pod.TerminationMessage(), "told to stop") {
			t.Errorf("it left %q", pod.TerminationMessage())
		}
	}
	if result := w.backUp("site-a"); !result.Backup.Full || result.Catalogue.Backups != 1 {
		t.Errorf("after it %+v, %+v", result.Backup, result.Catalogue)
	}
}

func TestARepositoryIsMadeAnewWhoseMakerWasKilled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "site-a").begin()
	w.loses("backup")
	if result := w.backUp("site-a"); !result.Backup.Full || result.Catalogue.Backups != 1 {
		t.Errorf("%+v, %+v", result.Backup, result.Catalogue)
	}
}

func TestARepositoryWhoseProvenBackupsWereTakenAwayKeepsItsLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "site-a").begin()
	made := w.backUp("site-a")
	w.loses("backup")
	options := w.options("site-a")
	options.Verified = made.Backup.Label
	w.fails(w.backupPod(), engine.FailedDamaged, "somebody took it away", options.Args())
	options.Verified, options.Held = "", true // Not proven yet, but known.
	w.fails(w.backupPod(), engine.FailedDamaged, "Bring it back", options.Args())
	if _, err := os.Stat(filepath.Join(w.home("site-a"), "archive/main/archive.info")); err != nil {
		t.Errorf("its log should still be there: %v", err)
	}
}

func TestARepositoryThatHeldBackupsIsNotMadeAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "site-a").begin()
	w.backUp("site-a")
	for _, name := range []string{"backup.info", "backup.info.copy"} {
		w.loses("backup/main/" + name)
	}
	w.fails(w.backupPod(), engine.FailedEngine, "backup.info is missing", w.options("site-a").Args())
	if found, err := filepath.Glob(filepath.Join(w.home("site-a"), "backup/main/*F")); err != nil || len(found) != 1 {
		t.Errorf("the backup should still be there, found %v, %v", found, err)
	}
	if _, err := os.Stat(filepath.Join(w.home("site-a"), "archive/main/archive.info")); err != nil {
		t.Errorf("its log should still be there: %v", err)
	}
}

// home is where site-a's repository lies.
func (w *world) home(site string) string {
	return filepath.Join(w.stored, site, "acme", instanceID, "g1")
}

// loses removes a part of site-a's repository, as a death in the middle of its making, or an accident, leaves it.
func (w *world) loses(part string) {
	w.t.Helper()
	path := filepath.Join(w.home("site-a"), part)
	if _, err := os.Stat(path); err != nil {
		w.t.Fatal(err)
	}
	if err := os.RemoveAll(path); err != nil {
		w.t.Fatal(err)
	}
}

func TestAForeignRepositoryIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "site-a").begin()
	w.backUp("site-a")
	other := newWorld(t, "site-a").beginBare()
	if err := os.CopyFS(other.stored, os.DirFS(w.stored)); err != nil {
		t.Fatal(err)
	}
	everyone(t, other.stored)
	other.fails(other.backupPod(), engine.FailedForeign, "another database", other.options("site-a").Args())
}

// everyone lets the pods write what the test has written.
func everyone(t *testing.T, folder string) {
	t.Helper()
	err := filepath.WalkDir(folder, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chown(path, meta.UIDPostgres, meta.UIDPostgres)
	})
	if err != nil {
		t.Fatal(err)
	}
}
