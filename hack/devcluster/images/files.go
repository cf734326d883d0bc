// SPDX-License-Identifier: Apache-2.0

package images

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// lock waits until no other process builds the named thing and returns the function that lets the next one in.
func lock(ctx context.Context, opts Options, name string) (func(), error) {
	dir := filepath.Join(opts.cacheDir(), "locks")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the cache of images: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock image %s: %w", name, err)
	}
	for waited := false; ; waited = true {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			_ = f.Close()
			return nil, fmt.Errorf("lock image %s: %w", name, err)
		}
		if !waited {
			fmt.Fprintf(opts.Progress, "waiting for another process that builds %s\n", name)
		}
		select {
		case <-ctx.Done():
			_ = f.Close()
			return nil, fmt.Errorf("wait for the lock of image %s: %w", name, ctx.Err())
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// step announces a long step and returns the function to call when it succeeded, which says how long it took.
// A step that fails needs no line of its own: its error follows.
func step(w io.Writer, format string, args ...any) (done func()) {
	text := fmt.Sprintf(format, args...)
	started := time.Now()
	fmt.Fprintln(w, text)
	return func() { fmt.Fprintf(w, "%s: done in %.1f s\n", text, time.Since(started).Seconds()) }
}

// run runs a command and, when it fails, returns the end of what it printed.
func run(cmd *exec.Cmd) error {
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	err := cmd.Run()
	if err == nil {
		return nil
	}
	const keep = 4000
	text := strings.TrimSpace(output.String())
	if len(text) > keep {
		text = "…" + text[len(text)-keep:]
	}
	return fmt.Errorf("%s: %w\n%s", filepath.Base(cmd.Path), err, text)
}

// writeFile replaces a file at once, so that a reader never sees half of it.
func writeFile(path string, content []byte) error {
	if err := os.WriteFile(path+".partial", content, 0o644); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(path+".partial", path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// removeOthers deletes what earlier builds of the same name left in dir: NAME-<16 hex digits>.* except keep
// and the files that belong to it.
func removeOthers(dir, name, keep string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("look for older builds of %s: %w", name, err)
	}
	old := regexp.MustCompile(`^` + regexp.QuoteMeta(name) + `-[0-9a-f]{16}\.`)
	for _, entry := range entries {
		if !old.MatchString(entry.Name()) || strings.HasPrefix(entry.Name(), filepath.Base(keep)) {
			continue
		}
		if err := os.Remove(filepath.Join(dir, entry.Name())); err != nil {
			return fmt.Errorf("remove an older build of %s: %w", name, err)
		}
	}
	return nil
}
