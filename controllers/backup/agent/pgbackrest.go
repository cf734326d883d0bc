// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/freehold-dev/freehold/controllers/backup/engine"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
	"github.com/freehold-dev/freehold/controllers/internal/process"
)

// mostOutput is how much of what a program says of its work is kept, in bytes. Answers are kept whole: a list of the
// archive has a hundred bytes a segment.
const mostOutput = 1 << 20

// failed is a failure that has been understood.
type failed struct{ engine.Failure }

// Error implements error.
func (f *failed) Error() string { return f.Message }

// asFailure makes the words for a Result of any error.
func asFailure(err error) engine.Failure {
	var known *failed
	if errors.As(err, &known) {
		return known.Failure
	}
	return engine.Failure{Reason: engine.FailedEngine, Message: err.Error()}
}

func fail(reason, format string, args ...any) error {
	return &failed{engine.Failure{Reason: reason, Message: fmt.Sprintf(format, args...)}}
}

// errStopped is why work ended that was told to stop.
var errStopped = errors.New("told to stop before the work was done; it is repeated")

// repository is one repository, and how to ask pgBackRest about it.
type repository struct {
	config Config
	engine.Destination
	// conf is a pgbackrest.conf that holds nothing but this repository.
	conf string
}

// open makes ready to work with one repository of a destination.
func (c Config) open(name string, generation int32) (*repository, error) {
	known, err := c.destinations()
	if err != nil {
		return nil, err
	}
	destination, ok := known.Find(name, generation)
	if !ok {
		return nil, fmt.Errorf("this pod was not told how to reach generation %d of the repository in destination %q", max(generation, 1), name)
	}
	raw, err := os.ReadFile(c.conf())
	if err != nil {
		return nil, fmt.Errorf("read how to reach the destination: %w", err)
	}
	single, err := engine.Single(raw, destination.Repository)
	if err != nil {
		return nil, err
	}
	conf := filepath.Join(c.WorkDir, fmt.Sprintf("pgbackrest-%d.conf", destination.Repository))
	if err := errors.Join(os.MkdirAll(c.WorkDir, 0o700), os.MkdirAll(engine.LockPath, 0o700)); err != nil {
		return nil, fmt.Errorf("make the folder for the work: %w", err)
	}
	if err := os.WriteFile(conf, single, 0o600); err != nil {
		return nil, fmt.Errorf("write down how to reach the destination: %w", err)
	}
	return &repository{config: c, Destination: destination, conf: conf}, nil
}

// arguments of a command on the repository.
func (r *repository) arguments(command string, options ...string) []string {
	level := "warn"
	switch command {
	case "stanza-create", "backup", "expire", "restore":
		level = "info" // what is done once a day is told in full.
	}
	common := []string{"--config=" + r.conf, "--log-level-console=off", "--log-level-stderr=" + level}
	return append(append(common, options...), command)
}

// ofStanza are the arguments of a command that is about the instance's stanza.
func (r *repository) ofStanza(command string, options ...string) []string {
	return r.arguments(command, append([]string{"--stanza=" + meta.BackupStanza}, options...)...)
}

// do runs a command on the repository, with its words in our log. A failure has been understood.
func (r *repository) do(ctx context.Context, arguments ...string) error {
	_, err := r.ask(ctx, nil, arguments...)
	return err
}

// ask runs a command and returns its answer.
func (r *repository) ask(ctx context.Context, input io.Reader, arguments ...string) ([]byte, error) {
	var answer bytes.Buffer
	var words tail
	cmd := exec.Command(pgbackrest, arguments...)
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = environment(), input, &answer, io.MultiWriter(os.Stderr, &words)
	code, err := r.config.run(ctx, cmd, syscall.SIGTERM)
	if err != nil {
		return nil, err
	}
	if code != 0 {
		failure := engine.Classify(code, words.String())
		failure.Message = fmt.Sprintf("destination %s: %s", r.Name, failure.Message)
		return nil, &exited{failed{failure}, code, words.String()}
	}
	return answer.Bytes(), nil
}

// exited is a failure with the code that the program ended with, and its last words.
type exited struct {
	failed
	code   int
	output string
}

// Unwrap gives access to the failure.
func (e *exited) Unwrap() error { return &e.failed }

// exitCode of a failed program; 0 for any other error.
func exitCode(err error) int {
	var e *exited
	if errors.As(err, &e) {
		return e.code
	}
	return 0
}

// run starts a program and waits until it has ended. When ctx ends the program is sent the signal, and the error is
// errStopped.
func (c Config) run(ctx context.Context, cmd *exec.Cmd, stop os.Signal) (int, error) {
	if ctx.Err() != nil {
		return 0, errStopped
	}
	child, err := c.Children.Start(cmd)
	if err != nil {
		return 0, err
	}
	if err := waitOrStop(ctx, child, stop); err != nil {
		return 0, err
	}
	return child.ExitCode(), nil
}

func waitOrStop(ctx context.Context, child *process.Child, stop os.Signal) error {
	select {
	case <-child.Done():
		return nil
	case <-ctx.Done():
	}
	if err := child.Signal(stop); err != nil {
		return err
	}
	<-child.Done()
	return errStopped
}

// info asks the repository what it holds.
func (r *repository) info(ctx context.Context, options ...string) (engine.Info, error) {
	raw, err := r.ask(ctx, nil, append(r.ofStanza("info", options...), "--output=json")...)
	if err != nil {
		return engine.Info{}, err
	}
	info, err := engine.ParseInfo(raw, r.Repository)
	if err != nil {
		return engine.Info{}, err
	}
	if info.Failure != nil {
		info.Failure.Message = fmt.Sprintf("destination %s: %s", r.Name, info.Failure.Message)
		return engine.Info{}, &failed{*info.Failure}
	}
	return info, nil
}

// tail keeps the last words of a program.
type tail struct{ bytes.Buffer }

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	if extra := t.Len() + len(p) - mostOutput; extra > 0 {
		t.Next(extra)
	}
	return t.Buffer.Write(p)
}
