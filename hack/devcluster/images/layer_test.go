// SPDX-License-Identifier: Apache-2.0

package images

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// entries lists a tar as "name mode content".
func entries(t *testing.T, content []byte) map[string]tar.Header {
	t.Helper()
	found := map[string]tar.Header{}
	for r := tar.NewReader(bytes.NewReader(content)); ; {
		header, err := r.Next()
		if err == io.EOF {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		found[header.Name] = *header
	}
}

func TestLayerHoldsFilesBelowTheirDirectoriesOwnedByRoot(t *testing.T) {
	layer, err := newMemoryLayer(map[string]File{
		"/usr/bin/freehold": {Content: []byte("program"), Mode: 0o755},
		"/etc/passwd":       {Content: []byte("root")},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int64{"etc/": 0o755, "etc/passwd": 0o644, "usr/": 0o755, "usr/bin/": 0o755, "usr/bin/freehold": 0o755}
	got := entries(t, layer.content)
	if len(got) != len(want) {
		t.Errorf("got %d entries, want %d: %v", len(got), len(want), got)
	}
	for name, mode := range want {
		header, ok := got[name]
		if !ok || header.Mode != mode || header.Uid != 0 || header.ModTime.Unix() != epoch {
			t.Errorf("%s: got %+v (present: %t), want mode %o, user 0, time %d", name, header, ok, mode, epoch)
		}
	}
}

func TestLayerRefusesPathsThatAreNotPlain(t *testing.T) {
	for _, path := range []string{"etc/passwd", "/etc/../passwd", "/etc/", ""} {
		if _, err := newMemoryLayer(map[string]File{path: {}}); err == nil {
			t.Errorf("path %q was accepted", path)
		}
	}
}

func TestUnfinishedLayerCountsAsMissing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "edge.tar")
	write(t, path, "half a lay")
	if layer, err := openLayer(path); err == nil {
		t.Fatalf("a layer without a recorded digest was used: %+v", layer)
	}
	write(t, path+".new", "a layer")
	if err := sealLayer(path+".new", path); err != nil {
		t.Fatal(err)
	}
	layer, err := openLayer(path)
	if err != nil {
		t.Fatal(err)
	}
	// echo -n "a layer" | sha256sum
	memory := &memoryLayer{content: []byte("a layer")}
	if want, _ := memory.Digest(); layer.hash != want || layer.size != 7 {
		t.Errorf("got digest %s and size %d, want %s and 7", layer.hash, layer.size, want)
	}
}

func TestOnlyOlderBuildsOfTheSameImageAreRemoved(t *testing.T) {
	dir := t.TempDir()
	keep := []string{"edge-0123456789abcdef.tar", "edge-0123456789abcdef.tar.sha256", "edge-tls-1111111111111111.tar", "miniflux-2222222222222222.tar"}
	for _, name := range append(keep, "edge-aaaaaaaaaaaaaaaa.tar", "edge-aaaaaaaaaaaaaaaa.tar.sha256", "edge-bbbbbbbbbbbbbbbb.partial.tar") {
		write(t, filepath.Join(dir, name), "")
	}
	if err := removeOthers(dir, "edge", filepath.Join(dir, keep[0])); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range left {
		names = append(names, entry.Name())
	}
	if !slices.Equal(names, keep) {
		t.Errorf("left are %q, want %q", names, keep)
	}
}
