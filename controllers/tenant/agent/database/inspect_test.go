// SPDX-License-Identifier: Apache-2.0

package database

import (
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"k8s.io/utils/clock"

	"github.com/freehold-dev/freehold/controllers/internal/meta"
	"github.com/freehold-dev/freehold/controllers/internal/volume"
)

// testVolume is a Config over temporary folders, with a PostgreSQL that only knows its version.
func testVolume(t *testing.T, instanceID, initialized string) Config {
	t.Helper()
	dir := t.TempDir()
	c := Config{
		DataDir: filepath.Join(dir, "data"), PGData: filepath.Join(dir, "data", "pgdata"), MarkFile: filepath.Join(dir, "data", "freehold-instance.json"),
		InstanceDir: filepath.Join(dir, "instance"), CredentialsDir: filepath.Join(dir, "credentials"), BinDir: filepath.Join(dir, "bin"),
		Clock: clock.RealClock{}, Log: slog.New(slog.DiscardHandler),
	}
	put(t, filepath.Join(c.InstanceDir, meta.KeyInstanceID), instanceID+"\n")
	put(t, filepath.Join(c.InstanceDir, meta.KeyInitialized), initialized)
	put(t, filepath.Join(c.BinDir, "postgres"), "#!/bin/sh\necho 'postgres (PostgreSQL) 17.5 (Debian 17.5-1)'\n")
	if err := os.MkdirAll(c.DataDir, 0o755); err != nil {
		t.Fatal(err)
	}
	return c
}

func put(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestInspectTellsWhatIsOnTheVolume(t *testing.T) {
	c := testVolume(t, "id-a", "true")
	if err := os.Mkdir(filepath.Join(c.DataDir, "lost+found"), 0o700); err != nil {
		t.Fatal(err)
	}
	put(t, c.MarkFile+volume.PartialSuffix, "{")
	put(t, filepath.Join(c.initdbFolder("id-a"), "PG_VERSION"), "17\n")
	put(t, filepath.Join(c.initdbFolder("id-b"), "PG_VERSION"), "17\n")
	put(t, filepath.Join(c.PGData, "PG_VERSION"), "17\n")
	put(t, c.innerMark(c.PGData), `{"instanceID":"id-a"}`)

	got, err := c.inspect(t.Context())
	want := State{
		InstanceID: "id-a", Initialized: true, ServerMajor: "17", InnerMark: &volume.Mark{InstanceID: "id-a"},
		HasCluster: true, DataMajor: "17", Strangers: []string{"initdb-id-b.partial"},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, want)
	}
}

func TestInspectRefusesWhatItDoesNotUnderstand(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(Config)
		says   string
	}{
		"damaged mark":        {func(c Config) { put(t, c.MarkFile, "{") }, "cannot be understood"},
		"mark without owner":  {func(c Config) { put(t, c.MarkFile, "{}") }, "names no instance"},
		"damaged inner mark":  {func(c Config) { put(t, c.innerMark(c.PGData), "") }, "cannot be understood"},
		"no instance ID":      {func(c Config) { put(t, filepath.Join(c.InstanceDir, meta.KeyInstanceID), " \n") }, "is empty"},
		"ID with a path":      {func(c Config) { put(t, filepath.Join(c.InstanceDir, meta.KeyInstanceID), "../x") }, "is no instance ID"},
		"neither yes nor no":  {func(c Config) { put(t, filepath.Join(c.InstanceDir, meta.KeyInitialized), "perhaps") }, "true or false"},
		"server without name": {func(c Config) { put(t, filepath.Join(c.BinDir, "postgres"), "#!/bin/sh\necho hello\n") }, "has no number"},
		"no volume":           {func(c Config) { _ = os.RemoveAll(c.DataDir) }, "list the volume"},
	} {
		t.Run(name, func(t *testing.T) {
			c := testVolume(t, "id-a", "false")
			tc.change(c)
			_, err := c.inspect(t.Context())
			if err == nil || !strings.Contains(err.Error(), tc.says) || !strings.Contains(err.Error(), "nothing was changed") {
				t.Errorf("got %v, want an error that says %q", err, tc.says)
			}
		})
	}
}

func TestWriteMarkLeavesNothingButTheMark(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mark.json")
	put(t, path+volume.PartialSuffix, "left over from a crash, and longer than what replaces it ..........")
	if err := volume.WriteMark(path, volume.Mark{InstanceID: "id-a"}); err != nil {
		t.Fatal(err)
	}
	mark, err := volume.ReadMark(path)
	if err != nil || mark == nil || mark.InstanceID != "id-a" {
		t.Errorf("read back %+v, %v", mark, err)
	}
	if _, err := os.Stat(path + volume.PartialSuffix); !os.IsNotExist(err) {
		t.Errorf("the partial file is still there: %v", err)
	}
}

func TestAFailedInitialisationLeavesTheVolumeEmpty(t *testing.T) {
	c := testVolume(t, "id-a", "false")
	put(t, filepath.Join(c.BinDir, "initdb"), "#!/bin/sh\nmkdir -p \"${1#--pgdata=}\"\necho no space left >&2\nexit 1\n")
	err := Prepare(t.Context(), c)
	if err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("got %v, want initdb's own words", err)
	}
	entries, err := os.ReadDir(c.DataDir)
	if err != nil || len(entries) != 0 {
		t.Errorf("the volume holds %v, %v", entries, err)
	}
}
