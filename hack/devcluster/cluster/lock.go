// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Locked runs work while no other command changes the cluster. It waits for the other one, saying so, until ctx ends.
// The lock is the kernel's, so a killed command leaves none behind.
func (l Layout) Locked(ctx context.Context, progress *Progress, work func() error) error {
	if err := os.MkdirAll(l.Cache, 0o711); err != nil {
		return err
	}
	file, err := os.OpenFile(filepath.Join(l.Cache, "devcluster.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	said := false
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return work()
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return fmt.Errorf("lock %s: %w", file.Name(), err)
		}
		if !said {
			progress.Say("waiting for another command that works on the cluster")
			said = true
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}
