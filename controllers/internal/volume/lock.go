// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"syscall"
	"time"

	"k8s.io/utils/clock"
)

// lockInterval is the pause between two attempts to lock a volume.
const lockInterval = time.Second

// Lock waits until no other server uses the volume with this mark and returns the lock, to be closed. A server that
// inherits it keeps it: it lasts until the agent and the last process of its server have gone, however they went.
//
// PostgreSQL's own interlock does not reach across containers: it asks whether the process number in postmaster.pid
// exists, and each container counts its processes anew.
func Lock(ctx context.Context, ticks clock.Clock, log *slog.Logger, markFile string) (*os.File, error) {
	mark, err := os.OpenFile(markFile, os.O_RDWR, 0)
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
			log.Warn("another server still uses the volume: waiting until it has gone")
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(errors.New("told to stop while another server still used the volume"), mark.Close())
		case <-ticks.After(lockInterval):
		}
	}
}

// RemoveStaleLocks removes what a killed server left behind: the lock files of the cluster's folder and of the socket.
// Only the holder of the volume's lock may: the files name a process of a container that is gone, and where any
// process, even a thread, has that number now, PostgreSQL would refuse to start.
func RemoveStaleLocks(log *slog.Logger, paths ...string) error {
	for _, path := range paths {
		err := os.Remove(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("remove the lock file of a server that is gone: %w", err)
		}
		log.Info("removed the lock file of a server that was killed", "file", path)
	}
	return nil
}
