// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestAnEqualConfigurationFileIsNotWrittenAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config")
	long := time.Unix(1, 0)
	for _, test := range []struct {
		content string
		written bool
	}{{"a", true}, {"a", false}, {"b", true}} {
		if err := writeIfChanged(path, test.content); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := !info.ModTime().Equal(long); got != test.written {
			t.Errorf("%q: written %v, want %v", test.content, got, test.written)
		}
		if err := os.Chtimes(path, long, long); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTheCallersPathDoesNotRestartTheRuntime(t *testing.T) {
	l := inTemp(t)
	if err := os.MkdirAll(l.State("conf"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := writeIfChanged(l.conf("containerd.toml"), "x"); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", "/one")
	first, err := l.containerd("/bin").hash()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", "/two")
	second, err := l.containerd("/bin").hash()
	if err != nil || first != second {
		t.Errorf("%s, then %s (%v)", first, second, err)
	}
}
