// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
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

// uidApp is the application's user in these tests.
const uidApp = 4711

// filesWorld is an application's volume and the place that its backups go to, without Kubernetes.
type filesWorld struct {
	t *testing.T
	// base is a pod of the image whose siblings do the work.
	base *agenttest.Pod
	// Folders on this machine: the volume, the Secret and the destination.
	volume, secret, stored string
}

func newFilesWorld(t *testing.T) *filesWorld {
	t.Helper()
	w := &filesWorld{t: t, base: agenttest.NewPod(t, "FREEHOLD_POSTGRES_ROOT", meta.UIDPostgres, programs)}
	w.volume, w.secret, w.stored = w.newVolume(), w.base.Folder(meta.BackupDir, false), w.base.Folder(repositories, true)
	w.configure(strings.Repeat("files-", 11))
	return w
}

// newVolume is an empty volume as the kubelet mounts it, with the folder that some file systems put there.
func (w *filesWorld) newVolume() string {
	w.t.Helper()
	path := filepath.Join(w.t.TempDir(), "volume")
	for _, err := range []error{os.Mkdir(path, 0o755), os.Chown(path, 0, meta.UIDPostgres), os.Chmod(path, 0o2775|os.ModeSetgid), os.Mkdir(filepath.Join(path, "lost+found"), 0o700)} {
		if err != nil {
			w.t.Fatal(err)
		}
	}
	return path
}

// configure writes the Secret, with a folder in place of the bucket: the one kind of repository that needs no server.
func (w *filesWorld) configure(passphrase string) {
	w.t.Helper()
	files, err := engine.Files(engine.PodJob, []engine.Repository{{
		Destination: v1alpha1.BackupDestination{Name: "site-a", Region: "x", S3: &v1alpha1.S3Destination{
			Endpoint: "nowhere.example.com", Bucket: "none", Prefix: v1alpha1.DestinationPrefix(repositories[1:])}},
		Number: 1, Generation: 1, Passphrase: passphrase, Tenant: "acme", InstanceID: instanceID,
		Credentials: map[string][]byte{engine.CredentialAccessKeyID: []byte("x"), engine.CredentialSecretAccessKey: []byte("x")},
	}}, engine.Database{Host: databaseHost})
	if err != nil {
		w.t.Fatal(err)
	}
	how, err := engine.ParseRestic(files["site-a"+meta.ResticSuffix])
	if err != nil {
		w.t.Fatal(err)
	}
	how.Repository, how.Options = repositories+"/"+w.inside(), nil
	encoded, err := json.Marshal(how)
	if err != nil {
		w.t.Fatal(err)
	}
	files["site-a"+meta.ResticSuffix] = encoded
	agenttest.Publish(w.t, w.secret, meta.UIDPostgres, posix(files))
}

// inside is where the repository lies in the destination.
func (w *filesWorld) inside() string { return "acme/" + instanceID + "/g1/files" }

// write makes files of the application's user; a nil content removes one.
func (w *filesWorld) write(volume string, files map[string]*string) {
	w.t.Helper()
	for name, content := range files {
		path := filepath.Join(volume, name)
		var errs []error
		if content == nil {
			errs = append(errs, os.Remove(path))
		} else {
			errs = append(errs, os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(*content), 0o640), os.Chown(path, uidApp, meta.UIDPostgres))
			if dir := filepath.Dir(path); dir != volume {
				errs = append(errs, os.Chown(dir, uidApp, meta.UIDPostgres))
			}
		}
		if err := errors.Join(errs...); err != nil {
			w.t.Fatal(err)
		}
	}
}

// content of a volume: names and what is in the files, or where links lead.
func (w *filesWorld) content(volume string) map[string]string {
	w.t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(volume, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(volume, path)
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if owner := info.Sys().(*syscall.Stat_t).Uid; owner != uidApp {
			w.t.Errorf("%s belongs to %d", name, owner)
		}
		if entry.Type() == fs.ModeSymlink {
			found[name], err = os.Readlink(path)
			return err
		}
		raw, err := os.ReadFile(path)
		found[name] = fmt.Sprint(info.Mode().Perm(), " ", string(raw))
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return found
}

// pod sees the volume.
func (w *filesWorld) pod(volume string, writable bool) *agenttest.Pod {
	w.t.Helper()
	pod := w.base.Sibling(w.t)
	pod.Folder("/tmp", true)
	pod.Mount(w.secret, meta.BackupDir, false)
	pod.Mount(w.stored, repositories, true)
	pod.Mount(volume, meta.FilesDir, writable)
	return pod
}

// run runs a Job and returns what it left.
func (w *filesWorld) run(pod *agenttest.Pod, args []string) engine.FilesResult {
	w.t.Helper()
	container := pod.StartAs(uidApp, args...)
	code := container.ExitCode()
	var result engine.FilesResult
	if err := json.Unmarshal([]byte(pod.TerminationMessage()), &result); err != nil {
		w.t.Fatalf("the Job left %q: %v\n%s", pod.TerminationMessage(), err, container.Log())
	}
	if (code == 0) != (result.Failure == nil) {
		w.t.Fatalf("the Job ended with %d, but says %+v\n%s", code, result.Failure, container.Log())
	}
	return result
}

func (w *filesWorld) must(pod *agenttest.Pod, args []string) engine.FilesResult {
	w.t.Helper()
	result := w.run(pod, args)
	if result.Failure != nil {
		w.t.Fatalf("%v failed: %s: %s", args, result.Failure.Reason, result.Failure.Message)
	}
	return result
}

func (w *filesWorld) fails(pod *agenttest.Pod, reason, words string, args []string) engine.FilesResult {
	w.t.Helper()
	result := w.run(pod, args)
	if result.Failure == nil || result.Failure.Reason != reason || !strings.Contains(result.Failure.Message, words) {
		w.t.Fatalf("%v left %+v; want the failure %s with %q", args, result.Failure, reason, words)
	}
	return result
}

func filesOptions() engine.FilesBackupOptions {
	return engine.FilesBackupOptions{Destination: "site-a", InstanceID: instanceID, BackupDays: 180, PointInTimeDays: 30}
}

func (w *filesWorld) backUp() engine.FilesResult {
	w.t.Helper()
	return w.must(w.pod(w.volume, false), filesOptions().Args())
}

func source(target time.Time) engine.FilesSource {
	return engine.FilesSource{Destination: "site-a", InstanceID: instanceID, Target: target}
}

func restoreTo(target time.Time) []string {
	return engine.FilesRestoreOptions{FilesSource: source(target), Restore: "restore-1"}.Args()
}

func verifyArgs() []string { return engine.FilesVerifyOptions{FilesSource: source(time.Time{})}.Args() }

// withoutNote is the content of a restored volume without what says that it was restored.
func withoutNote(t *testing.T, content map[string]string) map[string]string {
	t.Helper()
	rest := maps.Clone(content)
	if _, ok := rest[".freehold-restore.json"]; !ok {
		t.Error("nothing on the volume says which restore made it")
	}
	delete(rest, ".freehold-restore.json")
	return rest
}

func text(s string) *string { return &s }

func TestApplicationDataIsBackedUpProvenRestoredAndExpired(t *testing.T) {
	w := newFilesWorld(t)
	w.fails(w.pod(w.newVolume(), true), engine.FailedTarget, "holds no application data", verifyArgs())

	w.write(w.volume, map[string]*string{"a": text("one"), "sub/deep/b": text("two"), "gone": text("three")})
	if err := errors.Join(os.Symlink("/etc/passwd", filepath.Join(w.volume, "link")), os.Lchown(filepath.Join(w.volume, "link"), uidApp, meta.UIDPostgres)); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(w.volume, "sub/deep"), 0o500); err != nil {
		t.Fatal(err)
	}
	before := w.content(w.volume)
	first := w.backUp()
	if s := first.Snapshot; s == nil || s.Files != 3 || s.Bytes != 11 || s.RepositoryBytes == 0 || s.FinishedAt.Before(s.StartedAt) || first.Catalogue.Snapshots != 1 {
		t.Fatalf("the first backup left %+v with %+v", first.Snapshot, first.Catalogue)
	}

	w.write(w.volume, map[string]*string{"a": text("ONE AND MORE"), "gone": nil, "new": text("four")})
	second := w.backUp()
	if second.Catalogue.Snapshots != 2 || second.Catalogue.Oldest.ID != first.Snapshot.ID || second.Catalogue.Newest.ID != second.Snapshot.ID {
		t.Fatalf("the second backup left %+v", second.Catalogue)
	}
	proof := w.must(w.pod(w.newVolume(), true), verifyArgs())
	if p := proof.Recovery; p.Snapshot.ID != second.Snapshot.ID || p.Files != 3 || p.Bytes != second.Snapshot.Bytes || p.Later {
		t.Errorf("the proof reached %+v", p)
	}
	early := w.must(w.pod(w.newVolume(), true), engine.FilesVerifyOptions{FilesSource: source(first.Snapshot.StartedAt)}.Args())
	if p := early.Recovery; p.Snapshot.ID != first.Snapshot.ID || !p.Later {
		t.Errorf("the proof of a moment before the first snapshot reached %+v", p)
	}

	// Back to before the change, for the application's user.
	restored := w.newVolume()
	w.fails(w.pod(restored, true), engine.FailedTarget, "the first of which ended at", restoreTo(first.Snapshot.StartedAt))
	found := w.must(w.pod(restored, true), restoreTo(first.Snapshot.FinishedAt))
	if found.Recovery.Snapshot != *first.Snapshot || found.Recovery.Files != 3 {
		t.Errorf("the restore reached %+v", found.Recovery)
	}
	if got := withoutNote(t, w.content(restored)); !maps.Equal(got, before) {
		t.Errorf("restored were %v, want %v", got, before)
	}
	if info, err := os.Stat(filepath.Join(restored, "sub/deep")); err != nil || info.Mode().Perm() != 0o500 {
		t.Errorf("the folder came back as %v, %v", info.Mode(), err)
	}
	// Told again, it says the same and leaves what the application wrote meanwhile; another restore is refused.
	w.write(restored, map[string]*string{"a": text("written since")})
	again := w.must(w.pod(restored, true), restoreTo(first.Snapshot.FinishedAt))
	if *again.Recovery != *found.Recovery || !strings.HasSuffix(w.content(restored)["a"], "written since") {
		t.Errorf("the second attempt reached %+v and left %v", again.Recovery, w.content(restored))
	}
	other := engine.FilesRestoreOptions{FilesSource: source(time.Time{}), Restore: "restore-2"}
	w.fails(w.pod(restored, true), engine.FailedEngine, "belongs to restore restore-1", other.Args())
	w.fails(w.pod(w.volume, true), engine.FailedEngine, "not empty", other.Args())

	// Expired, but none is proven: nothing goes. Then all go that are older than the proven one.
	options := filesOptions()
	options.BackupDays, options.PointInTimeDays = 1, 0
	third := w.must(w.pod(w.volume, false), options.Args())
	if third.Catalogue.Snapshots != 3 || !third.Expiry.Held || len(third.Expiry.Removed) > 0 {
		t.Errorf("without a proof, %+v with %+v remained", third.Catalogue, third.Expiry)
	}
	options.Verified = third.Snapshot.ID
	last := w.must(w.pod(w.volume, false), options.Args())
	if last.Expiry.Failure != nil || len(last.Expiry.Removed) != 2 || last.Catalogue.Snapshots != 2 || last.Catalogue.Oldest.ID != third.Snapshot.ID {
		t.Errorf("after a proof, %+v with %+v remained", last.Catalogue, last.Expiry)
	}
	w.must(w.pod(w.newVolume(), true), verifyArgs())
}

func TestFilesThatCannotBeReadAreNamed(t *testing.T) {
	w := newFilesWorld(t)
	w.write(w.volume, map[string]*string{"a": text("one"), "secret": text("x")})
	secret := filepath.Join(w.volume, "secret")
	if err := errors.Join(os.Chown(secret, 0, 0), os.Chmod(secret, 0o600)); err != nil {
		t.Fatal(err)
	}
	result := w.fails(w.pod(w.volume, false), engine.FailedEngine, "1 files or folders could not be read", filesOptions().Args())
	if !strings.Contains(result.Failure.Message, "/secret") || result.Snapshot == nil || result.Snapshot.Files != 1 || !result.Snapshot.Unfinished {
		t.Errorf("left %+v with %+v", result.Failure, result.Snapshot)
	}
	// What is there would look like all of it: it is neither proven nor restored.
	w.fails(w.pod(w.newVolume(), true), engine.FailedTarget, "there are none, and 1 in which files are missing", verifyArgs())
	w.fails(w.pod(w.newVolume(), true), engine.FailedTarget, "there are none, and 1 in which files are missing", restoreTo(time.Time{}))
	named := source(time.Time{})
	named.Snapshot = result.Snapshot.ID
	w.fails(w.pod(w.newVolume(), true), engine.FailedTarget, "files are missing in it", engine.FilesRestoreOptions{FilesSource: named, Restore: "restore-1"}.Args())

	if err := os.Chown(secret, uidApp, meta.UIDPostgres); err != nil {
		t.Fatal(err)
	}
	whole := w.backUp()
	if whole.Snapshot.Unfinished || whole.Catalogue.Snapshots != 1 || whole.Catalogue.Unfinished != 1 || whole.Catalogue.Oldest.ID != whole.Snapshot.ID {
		t.Errorf("with all files, %+v and %+v", whole.Snapshot, whole.Catalogue)
	}
	found := w.must(w.pod(w.newVolume(), true), restoreTo(time.Time{}))
	if found.Recovery.Snapshot != *whole.Snapshot || found.Recovery.Files != 2 {
		t.Errorf("the restore reached %+v", found.Recovery)
	}
}

func TestARepositoryOfApplicationDataThatWasRemovedIsNotMadeAnewUnseen(t *testing.T) {
	w := newFilesWorld(t)
	w.write(w.volume, map[string]*string{"a": text("one")})
	w.backUp()
	options := filesOptions()
	options.Held = true
	if second := w.must(w.pod(w.volume, false), options.Args()); *second.Found != 1 || second.Catalogue.Snapshots != 2 {
		t.Fatalf("before its second snapshot it held %d; then %+v", *second.Found, second.Catalogue)
	}
	home := filepath.Join(w.stored, w.inside())
	if err := os.RemoveAll(home); err != nil {
		t.Fatal(err)
	}
	result := w.fails(w.pod(w.volume, false), engine.FailedDamaged, v1alpha1.AnnotationMissingBackupsSeen, options.Args())
	if result.Found == nil || *result.Found != 0 || result.Catalogue == nil || result.Catalogue.Snapshots != 0 {
		t.Errorf("left %+v: that nothing is there must be told", result)
	}
	if _, err := os.Stat(home); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("something was made there: %v", err)
	}
	options.Held = false // A person has seen it.
	if again := w.must(w.pod(w.volume, false), options.Args()); again.Catalogue.Snapshots != 1 {
		t.Errorf("left %+v", again.Catalogue)
	}
}

// stores are the files of a kind in the destination.
func (w *filesWorld) stores(kind string) []string {
	w.t.Helper()
	var found []string
	err := filepath.WalkDir(filepath.Join(w.stored, w.inside(), kind), func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return found
}

// flip changes a byte in each file of a kind.
func (w *filesWorld) flip(kind string) {
	w.t.Helper()
	for _, path := range w.stores(kind) {
		raw, err := os.ReadFile(path)
		if err != nil {
			w.t.Fatal(err)
		}
		raw[len(raw)/3] ^= 0xff
		if err := errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, raw, 0o600)); err != nil {
			w.t.Fatal(err)
		}
	}
}

func TestDamagedApplicationDataIsFound(t *testing.T) {
	for kind, words := range map[string]string{"data": "", "index": "invalid data", "snapshots": "failed to load snapshot"} {
		t.Run(kind, func(t *testing.T) {
			w := newFilesWorld(t)
			w.write(w.volume, map[string]*string{"a": text(strings.Repeat("0123456789abcdef", 10_000))})
			w.backUp()
			w.must(w.pod(w.newVolume(), true), verifyArgs())
			w.flip(kind)
			w.fails(w.pod(w.newVolume(), true), engine.FailedDamaged, words, verifyArgs())
			w.fails(w.pod(w.newVolume(), true), engine.FailedDamaged, words, restoreTo(time.Time{}))
		})
	}
}

func TestADamagedCatalogueLosesNothing(t *testing.T) {
	w := newFilesWorld(t)
	w.write(w.volume, map[string]*string{"a": text("one")})
	w.backUp()
	w.flip("snapshots")
	options := filesOptions()
	options.BackupDays, options.PointInTimeDays = 1, 0
	second := w.must(w.pod(w.volume, false), options.Args())
	if second.Expiry.Failure == nil || second.Expiry.Failure.Reason != engine.FailedDamaged {
		t.Errorf("the expiry says %+v", second.Expiry)
	}
	options.Verified = second.Snapshot.ID
	third := w.must(w.pod(w.volume, false), options.Args())
	if third.Expiry.Failure == nil || len(third.Expiry.Removed) > 0 || len(w.stores("snapshots")) != 3 {
		t.Errorf("the expiry says %+v, and there are %v", third.Expiry, w.stores("snapshots"))
	}
	// A snapshot that is named is restored all the same.
	wish := source(time.Time{})
	wish.Snapshot = second.Snapshot.ID
	w.must(w.pod(w.newVolume(), true), engine.FilesRestoreOptions{FilesSource: wish, Restore: "restore-1"}.Args())
}

func TestAnotherKeyOpensNoApplicationData(t *testing.T) {
	w := newFilesWorld(t)
	w.write(w.volume, map[string]*string{"a": text("one")})
	w.backUp()
	w.configure(strings.Repeat("other-", 11))
	w.fails(w.pod(w.volume, false), engine.FailedKey, "tenant's key", filesOptions().Args())
	w.fails(w.pod(w.newVolume(), true), engine.FailedKey, "tenant's key", verifyArgs())
}

func TestABackupOfApplicationDataThatIsKilledIsRepeated(t *testing.T) {
	w := newFilesWorld(t)
	w.write(w.volume, map[string]*string{"a": text("one")})
	w.backUp()
	w.write(w.volume, map[string]*string{"large": text(random(64 << 20))})
	killed := w.pod(w.volume, false).StartAs(uidApp, filesOptions().Args()...)
	agenttest.Eventually(t, "a pack of the new file", func() error {
		if len(w.stores("data")) < 4 {
			return errors.New(killed.Log())
		}
		return nil
	})
	killed.Kill()
	if len(w.stores("locks")) == 0 {
		t.Fatal("the one that was killed left no lock: it had ended before")
	}
	result := w.backUp()
	if result.Catalogue.Snapshots != 2 || result.Snapshot.Files != 2 || len(w.stores("locks")) > 0 {
		t.Errorf("left %+v, and the locks %v", result.Catalogue, w.stores("locks"))
	}
	w.must(w.pod(w.newVolume(), true), verifyArgs())
}

func TestARepositoryOfApplicationDataIsMadeAnewWhoseMakerWasKilled(t *testing.T) {
	w := newFilesWorld(t)
	w.write(w.volume, map[string]*string{"a": text("one")})
	w.backUp()
	home := filepath.Join(w.stored, w.inside())
	loses := func(parts ...string) {
		for _, part := range parts {
			if err := os.RemoveAll(filepath.Join(home, part)); err != nil {
				t.Fatal(err)
			}
		}
	}
	loses("config")
	w.fails(w.pod(w.volume, false), engine.FailedEngine, "already contains keys", filesOptions().Args())
	if len(w.stores("snapshots")) != 1 || len(w.stores("data")) == 0 {
		t.Fatal("what only lost its configuration was removed")
	}
	loses("data", "index", "snapshots", "locks")
	if result := w.backUp(); result.Catalogue.Snapshots != 1 {
		t.Errorf("left %+v", result.Catalogue)
	}
	w.must(w.pod(w.newVolume(), true), verifyArgs())
}

// random are bytes that do not compress.
func random(size int) string {
	made, state := make([]byte, size), uint64(88172645463325252)
	for i := range made {
		state ^= state << 13
		state ^= state >> 7
		state ^= state << 17
		made[i] = byte(state)
	}
	return string(made)
}

func TestARestoreOfApplicationDataThatIsKilledIsRepeated(t *testing.T) {
	w := newFilesWorld(t)
	w.write(w.volume, map[string]*string{"a": text("one"), "large": text(random(64 << 20))})
	before := w.content(w.volume)
	w.backUp()
	restored := w.newVolume()
	killed := w.pod(restored, true).StartAs(uidApp, restoreTo(time.Time{})...)
	agenttest.Eventually(t, "the first files", func() error {
		if entries, err := os.ReadDir(restored); err != nil || len(entries) < 3 { // One is lost+found, one the note.
			return errors.New(killed.Log())
		}
		return nil
	})
	killed.Kill()
	// What the killed one had made and nobody would overwrite must not stay.
	w.write(restored, map[string]*string{"half/made": text("x")})
	w.must(w.pod(restored, true), restoreTo(time.Time{}))
	if got := withoutNote(t, w.content(restored)); !maps.Equal(got, before) {
		t.Errorf("restored were %d files", len(got))
	}
}
