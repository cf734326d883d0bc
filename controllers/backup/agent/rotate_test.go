// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/backup/engine"
	"github.com/freehold-dev/freehold/controllers/internal/agenttest"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// generationKeys are the keys of site-a's generations.
var generationKeys = map[int32]string{1: strings.Repeat("first-", 12), 2: strings.Repeat("second-", 12)}

// generationsOf are repositories of site-a under their keys, or under keys that are others'.
func generationsOf(keys map[int32]string, which ...int32) []engine.Repository {
	var all []engine.Repository
	for _, generation := range which {
		all = append(all, engine.Repository{
			Destination: v1alpha1.BackupDestination{Name: "site-a", Region: "x", S3: &v1alpha1.S3Destination{
				Endpoint: "nowhere.example.com", Bucket: "none", Prefix: v1alpha1.DestinationPrefix(repositories[1:] + "/site-a")}},
			Number: engine.NumberOf(0, generation), Generation: generation, Passphrase: keys[generation], Tenant: "acme", InstanceID: instanceID,
			Credentials: map[string][]byte{engine.CredentialAccessKeyID: []byte("x"), engine.CredentialSecretAccessKey: []byte("x")},
		})
	}
	return all
}

// hold writes the Secrets: which generations the database archives to, and which Jobs work with.
func (w *world) hold(archive, manage []engine.Repository) {
	w.t.Helper()
	ofDatabase, err := engine.Files(engine.PodArchive, archive, engine.Database{})
	if err != nil {
		w.t.Fatal(err)
	}
	ofDatabase[meta.KeyStatusToken] = []byte(token)
	ofJobs, err := engine.Files(engine.PodJob, manage, engine.Database{Host: databaseHost})
	if err != nil {
		w.t.Fatal(err)
	}
	ofJobs[meta.KeyEscrowFile] = []byte("age-encrypted keys\n")
	w.publish(w.backup, posix(ofDatabase))
	w.publish(w.job, posix(ofJobs))
}

// The whole life of a key: another one is made, both repositories get the log, the new one a full backup, and each of them
// restores what it holds, with its own key and no other.
func TestKeysAreRotated(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "site-a")
	keys := generationKeys
	first, both, second := generationsOf(keys, 1), generationsOf(keys, 1, 2), generationsOf(keys, 2)
	w.hold(first, first)
	w.begin()
	w.backUp("site-a")
	early := w.note(1)
	w.note(2)
	w.handOver()

	// The new repository is made before the database hears of it. To make it twice is no harm.
	next := w.options("site-a")
	next.Generation, next.Type = 2, v1alpha1.BackupFull
	w.hold(first, both)
	for range 2 {
		if made := w.must(w.backupPod(), next.CreateArgs()); made.Job != engine.JobCreate || made.Backup != nil {
			t.Fatalf("it made %+v", made)
		}
	}
	w.hold(both, both)
	agenttest.Eventually(t, "an archive in both generations", func() error {
		report, _ := w.report(token)
		if len(report.Destinations) == 2 && !report.Destinations[0].Until.IsZero() && !report.Destinations[1].Until.IsZero() && report.Destinations[1].Generation == 2 {
			return nil
		}
		return fmt.Errorf("%+v", report.Destinations)
	})
	full := w.must(w.backupPod(), next.Args())
	if full.Backup == nil || !full.Backup.Full || full.Catalogue.Backups != 1 || full.Destination != "site-a" {
		t.Fatalf("the new generation got %+v, %+v", full.Backup, full.Catalogue)
	}
	w.backUp("site-a") // The old one goes on meanwhile.
	late := w.note(3)
	w.note(4)
	w.handOver()

	old, young := engine.VerifyOptions{Destination: "site-a", Target: early}, engine.VerifyOptions{Destination: "site-a", Target: late, Generation: 2}
	w.must(w.restorePod(""), w.verifyArgs(old))
	w.must(w.restorePod(""), w.verifyArgs(young))
	t.Run("what is before the new generation is in the old one alone", func(*testing.T) {
		before := old
		before.Generation = 2
		w.fails(w.restorePod(""), engine.FailedTarget, "site-a", w.verifyArgs(before))
	})
	t.Run("after the rotation the database archives to the new one alone", func(t *testing.T) {
		w.hold(second, both)
		w.note(5)
		w.handOver()
		if result, _ := w.run(w.restorePod(""), w.verifyArgs(old)); result.Failure == nil {
			t.Error("the pod was told how to reach the old generation")
		}
		w.hold(first, both) // As the Secret of retired generations is.
		w.must(w.restorePod(""), w.verifyArgs(old))
	})
	t.Run("one's key does not open the other", func(*testing.T) {
		swapped := generationsOf(map[int32]string{1: keys[2], 2: keys[1]}, 1, 2)
		w.hold(swapped, swapped)
		w.fails(w.restorePod(""), engine.FailedKey, "site-a", w.verifyArgs(old))
		w.fails(w.restorePod(""), engine.FailedKey, "site-a", w.verifyArgs(young))
		w.hold(second, both)
	})
	t.Run("the old one goes as a whole, and not before its time", func(*testing.T) {
		w.destroys(engine.BackupOptions{Destination: "site-a", Generation: 1, BackupDays: 180, PointInTimeDays: 30})
		w.must(w.restorePod(""), w.verifyArgs(young))
	})
}

// destroys has a generation destroyed: refused first, then gone on with as by the successor of a Job that was killed.
func (w *world) destroys(o engine.BackupOptions) {
	w.t.Helper()
	folder := filepath.Join(w.stored, "site-a/acme", instanceID, fmt.Sprintf("g%d", o.Generation))
	w.fails(w.backupPod(), engine.FailedEngine, "is kept for 180 days", o.DestroyArgs())
	hidden := filepath.Join(folder, "backup")
	if err := os.Rename(hidden, hidden+"-hidden"); err != nil {
		w.t.Fatal(err)
	}
	if result, _ := w.run(w.backupPod(), o.DestroyArgs()); result.Failure == nil {
		w.t.Fatal("a repository was removed whose catalogue cannot be read")
	}
	if err := os.Rename(hidden+"-hidden", hidden); err != nil {
		w.t.Fatal(err)
	}
	plan := filepath.Join(folder, "removal.txt")
	if err := os.WriteFile(plan, []byte("all\n"), 0o644); err != nil {
		w.t.Fatal(err)
	}
	w.fails(w.backupPod(), engine.FailedEngine, "is kept for 180 days", o.DestroyArgs()) // Whoever put the plan there.
	for _, part := range []string{"backup", "archive", meta.KeyEscrowFile} {
		if _, err := os.Stat(filepath.Join(folder, part)); err != nil {
			w.t.Fatalf("the refused removal took something: %v", err)
		}
	}
	for _, gone := range []string{"archive/main/archive.info", "archive/main/archive.info.copy", "backup/main/backup.info", "backup/main/backup.info.copy"} {
		if err := os.Remove(filepath.Join(folder, gone)); err != nil {
			w.t.Fatal(err)
		}
	}
	for range 2 { // The second one comes after one that was killed when all was done.
		if result := w.must(w.backupPod(), o.DestroyArgs()); result.Job != engine.JobDestroy {
			w.t.Fatalf("it left %+v", result)
		}
		if left, err := os.ReadDir(folder); err != nil || len(left) != 1 || left[0].Name() != "removal.txt" {
			w.t.Fatalf("there is still %v, %v", left, err)
		}
	}
	if err := os.Remove(plan); err != nil {
		w.t.Fatal(err)
	}
	w.fails(w.backupPod(), engine.FailedDamaged, "nothing lies where", o.DestroyArgs())
}
