// SPDX-License-Identifier: Apache-2.0

package database

import (
	"context"
	"crypto/tls"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/freehold-dev/freehold/controllers/internal/meta"
	"github.com/freehold-dev/freehold/controllers/internal/postgres"
	"github.com/freehold-dev/freehold/controllers/internal/process"
	"github.com/freehold-dev/freehold/controllers/internal/volume"
	"github.com/freehold-dev/freehold/controllers/internal/watch"
	"github.com/freehold-dev/freehold/controllers/tenant/agent/internal/probe"
)

// Run supervises the server until it has ended and returns its exit code. When ctx ends, the server shuts down
// fast: sessions are ended, a checkpoint is written, and the code is 0.
func Run(ctx context.Context, c Config) (int, error) {
	if err := c.checkPrepared(ctx); err != nil {
		return 1, err
	}
	lock, err := volume.Lock(ctx, c.Clock, c.Log, c.MarkFile)
	if err != nil {
		return 1, err
	}
	defer lock.Close() //nolint:errcheck // nothing was written; the lock ends with the process at the latest.
	background, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	watched := newObserver(c)
	failed, err := probe.Serve(background, c.ProbeAddress, watched.handler())
	if err != nil {
		return 1, err
	}
	tlsInUse, err := watch.Digest(c.TLSDir)
	if err != nil {
		return 1, err
	}
	children := process.New()
	go children.Reap(background)
	postmaster, err := c.startPostmaster(children, lock)
	if err != nil {
		return 1, err
	}
	go watched.run(background)
	go c.provisioning(watched).runAfter(background, watched.accepting)
	go c.certificates(postmaster, tlsInUse).Run(background)
	return supervise(ctx, watched, postmaster, failed)
}

// startPostmaster starts the server on our own standard error, where it logs to, and with the volume's lock, which
// thereby outlives us as long as a process of the server does.
func (c Config) startPostmaster(children *process.Children, lock *os.File) (*process.Child, error) {
	pidFile, socketLock := filepath.Join(c.PGData, "postmaster.pid"), filepath.Join(c.SocketDir, fmt.Sprintf(".s.PGSQL.%d.lock", c.Port))
	if err := volume.RemoveStaleLocks(c.Log, pidFile, socketLock); err != nil {
		return nil, err
	}
	program, err := postgres.Program(c.BinDir, "postgres")
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(program, "-D", c.PGData, "-c", "config_file="+filepath.Join(c.ConfigDir, meta.KeyPostgreSQLConf))
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = os.Stdout, os.Stderr, []*os.File{lock}
	return children.Start(cmd)
}

// supervise passes the wish to stop on and waits for the end.
func supervise(ctx context.Context, watched *observer, postmaster *process.Child, failed <-chan error) (int, error) {
	var failure error
	select {
	case <-postmaster.Done():
		watched.ended()
		return postmaster.ExitCode(), nil
	case failure = <-failed:
	case <-ctx.Done():
	}
	watched.stopping()
	// SIGINT is PostgreSQL's fast shutdown; SIGTERM would wait for every client to leave.
	if err := postmaster.Signal(syscall.SIGINT); err != nil {
		return 1, err
	}
	<-postmaster.Done()
	return postmaster.ExitCode(), failure
}

// afterLoop is a watch that begins only when something has happened.
type afterLoop struct{ watch.Loop }

func (l *afterLoop) runAfter(ctx context.Context, happened <-chan struct{}) {
	select {
	case <-ctx.Done():
	case <-happened:
		l.Run(ctx)
	}
}

// provisioning makes roles and database at the start, and again whenever the credentials change.
func (c Config) provisioning(watched *observer) *afterLoop {
	return &afterLoop{watch.Loop{
		Clock: c.Clock, Log: c.Log, Subject: "application's credentials",
		Digest: func() (string, error) { return watch.Digest(c.CredentialsDir) },
		Apply: func(ctx context.Context) error {
			changes, err := c.provision(ctx)
			if len(changes) > 0 {
				c.Log.Info("changed roles and databases", "changes", strings.Join(changes, "; "))
			}
			if err == nil {
				watched.provisioned()
			}
			return err
		},
	}}
}

// certificates makes the server use new TLS files; sessions and the postmaster stay.
func (c Config) certificates(postmaster *process.Child, inUse string) *watch.Loop {
	return &watch.Loop{
		Clock: c.Clock, Log: c.Log, Subject: "TLS files", Applied: inUse,
		Digest: func() (string, error) { return watch.Digest(c.TLSDir) },
		Apply: func(context.Context) error {
			// The server would log a bad pair and keep the old one, and nobody would know.
			if _, err := tls.LoadX509KeyPair(filepath.Join(c.TLSDir, meta.KeyTLSCert), filepath.Join(c.TLSDir, meta.KeyTLSKey)); err != nil {
				return fmt.Errorf("certificate and key do not load: %w", err)
			}
			return postmaster.Signal(syscall.SIGHUP)
		},
	}
}
