// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/freehold-dev/freehold/controllers/backup/engine"
	"github.com/freehold-dev/freehold/controllers/internal/process"
	"github.com/freehold-dev/freehold/controllers/internal/watch"
)

// Serve works beside the database until ctx ends: pgBackRest's server for base backups, the heartbeat, the questions to
// the destinations, and the report. Without a policy it idles. It returns an error only if it cannot report.
func Serve(ctx context.Context, c Config) error {
	background, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	go c.Children.Reap(background)
	a := newArchiver(c)
	failed, err := a.listen(ctx)
	if err != nil {
		return err
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		(&backupServer{config: c, conf: c.conf(), read: []string{c.BackupDir, c.TLSDir, c.TrustDir}}).run(ctx)
	}()
	go a.beat(ctx)
	go a.askAll(ctx)
	select {
	case <-ctx.Done():
	case err = <-failed:
		cancel()
	}
	if err == nil {
		<-stopped
	}
	return err
}

// ServeRepository stands in front of a volume with backups until ctx ends: pgBackRest's server, to which the database pod
// archives and which restores read from. Base backups do not come to it; see engine.
func ServeRepository(ctx context.Context, c Config) error {
	background, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	go c.Children.Reap(background)
	err := errors.Join(os.MkdirAll(filepath.Dir(c.RepositoryConf), 0o700), os.WriteFile(c.RepositoryConf, engine.RepositoryConf(), 0o600))
	if err != nil {
		return fmt.Errorf("configure pgBackRest's server: %w", err)
	}
	(&backupServer{config: c, conf: c.RepositoryConf, read: []string{c.TLSDir, c.TrustDir}}).run(ctx)
	return nil
}

// Pauses until an ended server is started again: 1 s, 2 s, 4 s, … 30 s.
const (
	shortestPause = time.Second
	longestPause  = 30 * time.Second
	// calmAfter is how long a server must have run for the next pause to be short.
	calmAfter = time.Minute
)

// backupServer supervises pgBackRest's server: in the database pod base backups come to it, in front of a volume the archive
// does.
type backupServer struct {
	config Config
	// conf is its configuration, read are the folders of what it reads.
	conf    string
	read    []string
	child   *process.Child
	applied string
	started time.Time
	next    time.Time
	pause   time.Duration
}

// run starts the server when there is a configuration, tells it of changes, and starts it again when it has ended.
func (b *backupServer) run(ctx context.Context) {
	for {
		if err := b.step(); err != nil {
			b.config.Log.Error("pgBackRest's server", "error", err)
		}
		select {
		case <-ctx.Done():
			b.stop()
			return
		case <-b.config.Clock.After(watch.Interval):
		}
	}
}

func (b *backupServer) step() error {
	b.bury()
	if _, err := os.Stat(b.conf); errors.Is(err, os.ErrNotExist) {
		b.stop()
		return nil
	}
	digest, err := watch.Digest(b.read...)
	if err != nil {
		return err
	}
	switch {
	case b.child == nil && !b.config.Clock.Now().Before(b.next):
		return b.start(digest)
	case b.child != nil && digest != b.applied:
		b.applied = digest
		b.config.Log.Info("telling pgBackRest's server of new files")
		return b.child.Signal(syscall.SIGHUP)
	}
	return nil
}

func (b *backupServer) start(digest string) error {
	b.started = b.config.Clock.Now()
	b.pause = max(shortestPause, min(2*b.pause, longestPause))
	b.next = b.started.Add(b.pause)
	cmd := exec.Command(pgbackrest, "--config="+b.conf, "--log-level-console=off", "--log-level-stderr=warn", "server")
	cmd.Env, cmd.Stderr = environment(), os.Stderr
	child, err := b.config.Children.Start(cmd)
	if err != nil {
		return err
	}
	b.child, b.applied = child, digest
	b.config.Log.Info("pgBackRest's server listens")
	return nil
}

// bury notices that the server has ended.
func (b *backupServer) bury() {
	if b.child == nil {
		return
	}
	select {
	case <-b.child.Done():
	default:
		return
	}
	now := b.config.Clock.Now()
	if now.Sub(b.started) > calmAfter {
		b.pause = 0
	}
	b.next = now.Add(b.pause)
	b.config.Log.Error("pgBackRest's server has ended; it is started again", "code", b.child.ExitCode(), "at", b.next)
	b.child = nil
}

func (b *backupServer) stop() {
	if b.child == nil {
		return
	}
	if err := b.child.Signal(syscall.SIGTERM); err != nil {
		b.config.Log.Error("stop pgBackRest's server", "error", err)
		return
	}
	<-b.child.Done()
	b.child = nil
}
