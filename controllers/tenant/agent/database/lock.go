// SPDX-License-Identifier: Apache-2.0

package database

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// lockInterval is the pause between two attempts to lock the volume.
const lockInterval = time.Second

// lockVolume waits until no other server uses the volume and returns the lock. It is on the volume's mark, and the
// server inherits it: it lasts until the agent and the last process of its server have gone, however they went.
//
// PostgreSQL's own interlock does not reach across containers: it asks whether the process number in postmaster.pid
// exists, and each container counts its processes anew.
func (c Config) lockVolume(ctx context.Context) (*os.File, error) {
	mark, err := os.OpenFile(c.MarkFile, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("open the volume's mark to lock it: %w", err)
	}
	for said := false; ; said = true {
		err := syscall.Flock(int(mark.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return mark, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("lock the volume against a second server: %w", err), mark.Close())
		}
		if !said {
			c.Log.Warn("another server still uses the volume: waiting until it has gone")
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(errors.New("told to stop while another server still used the volume"), mark.Close())
		case <-c.Clock.After(lockInterval):
		}
	}
}

// removeStaleLocks removes what a killed server left behind. Only the holder of the volume's lock may: the files
// name a process of a container that is gone, and where any process, even a thread, has that number now,
// PostgreSQL would refuse to start.
func (c Config) removeStaleLocks() error {
	for _, path := range []string{
		filepath.Join(c.PGData, "postmaster.pid"),
		filepath.Join(c.SocketDir, fmt.Sprintf(".s.PGSQL.%d.lock", c.Port)),
	} {
		err := os.Remove(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("remove the lock file of a server that is gone: %w", err)
		}
		c.Log.Info("removed the lock file of a server that was killed", "file", path)
	}
	return nil
}
