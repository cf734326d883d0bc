// SPDX-License-Identifier: Apache-2.0

package provision

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// imageOf is the file that holds the file system of a limited volume.
func imageOf(path string) string { return path + ".img" }

// mountLimited gives a volume's folder a file system of its own, of a size that cannot be exceeded. Done before, it does
// nothing.
func mountLimited(ctx context.Context, path string, size int64) error {
	if mounted, err := isMounted(path); err != nil || mounted {
		return err
	}
	image := imageOf(path)
	switch _, err := os.Stat(image); {
	case errors.Is(err, os.ErrNotExist):
		if err := makeFileSystem(ctx, image, size); err != nil {
			return err
		}
	case err != nil:
		return err // Only what is known not to be there is made.
	}
	if err := command(ctx, "mount", "-o", "loop", image, path); err != nil {
		return err
	}
	// A program that wants an empty volume would mind it.
	return os.RemoveAll(filepath.Join(path, "lost+found"))
}

func makeFileSystem(ctx context.Context, image string, size int64) error {
	file, err := os.OpenFile(image+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(file.Truncate(size), file.Close()); err != nil {
		return err
	}
	if err := command(ctx, "mkfs.ext4", "-q", "-F", "-m", "0", image+".new"); err != nil {
		return err
	}
	return os.Rename(image+".new", image) // a killed run leaves nothing that looks done
}

// unmountLimited undoes mountLimited; a folder without a file system of its own is left alone.
func unmountLimited(path string) error {
	mounted, err := isMounted(path)
	if err != nil {
		return err
	}
	if mounted {
		if err := syscall.Unmount(path, syscall.MNT_DETACH); err != nil {
			return fmt.Errorf("unmount %s: %w", path, err)
		}
	}
	if err := os.Remove(imageOf(path)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// isMounted says whether a folder is on another device than the one that it lies in; one that is not there is not.
func isMounted(path string) (bool, error) {
	inside, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	outside, err := os.Stat(filepath.Dir(path))
	if err != nil {
		return false, err
	}
	return inside.Sys().(*syscall.Stat_t).Dev != outside.Sys().(*syscall.Stat_t).Dev, nil
}

func command(ctx context.Context, program string, args ...string) error {
	out, err := exec.CommandContext(ctx, program, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", program, err, strings.TrimSpace(string(out)))
	}
	return nil
}
