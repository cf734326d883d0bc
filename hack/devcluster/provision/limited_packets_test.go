// SPDX-License-Identifier: Apache-2.0

//go:build packets

package provision

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestALimitedVolumeCanBeFull needs root, as the tests that send packets do: it mounts.
func TestALimitedVolumeCanBeFull(t *testing.T) {
	const size = 32 << 20
	path := filepath.Join(t.TempDir(), "pvc-1")
	if err := os.Mkdir(path, 0o770); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unmountLimited(path) })
	for range 2 { // The second time changes nothing.
		if err := mountLimited(t.Context(), path, size); err != nil {
			t.Fatal(err)
		}
	}
	if entries, err := os.ReadDir(path); err != nil || len(entries) > 0 {
		t.Errorf("a new volume holds %v, %v", entries, err)
	}
	if err := os.WriteFile(filepath.Join(path, "half"), make([]byte, size/2), 0o600); err != nil {
		t.Errorf("half of its size should fit: %v", err)
	}
	if err := os.WriteFile(filepath.Join(path, "more"), make([]byte, size/2), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("as much again should not fit, got %v", err)
	}
	if err := unmountLimited(path); err != nil {
		t.Fatal(err)
	}
	if mounted, err := isMounted(path); mounted || err != nil {
		t.Errorf("it is still mounted: %v, %v", mounted, err)
	}
	if _, err := os.Stat(imageOf(path)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its file system should have gone with it: %v", err)
	}
}
