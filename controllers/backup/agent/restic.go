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
	"slices"
	"time"

	"github.com/freehold-dev/freehold/controllers/backup/engine"
)

// filesRepository is the repository of the application's data in one destination, and how to ask restic about it.
type filesRepository struct {
	config     Config
	name       string
	generation int32
	instanceID string
	restic     engine.Restic
}

// openFiles makes ready to work with the application's data in one repository of a destination.
func (c Config) openFiles(ctx context.Context, destination string, generation int32, instanceID string) (*filesRepository, error) {
	known, err := c.destinations()
	if err != nil {
		return nil, err
	}
	// The name becomes part of a file's.
	if _, ok := known.Find(destination, generation); !ok {
		return nil, fmt.Errorf("this pod was not told how to reach generation %d of the repository in destination %q", max(generation, 1), destination)
	}
	if !identifiers.MatchString(instanceID) {
		return nil, fmt.Errorf("%q is no name of an instance", instanceID)
	}
	raw, err := os.ReadFile(filepath.Join(c.BackupDir, engine.ResticFile(destination, generation)))
	if err != nil {
		return nil, fmt.Errorf("read how restic reaches the destination: %w", err)
	}
	how, err := engine.ParseRestic(raw)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(c.WorkDir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder for the work: %w", err)
	}
	r := &filesRepository{config: c, name: destination, generation: generation, instanceID: instanceID, restic: how}
	return r, r.checkVersion(ctx)
}

func (r *filesRepository) checkVersion(ctx context.Context) error {
	printed, err := r.ask(ctx, "version")
	if err != nil {
		return err
	}
	return engine.CheckResticVersion(printed)
}

// mostPatience is how long a destination may take to answer a first small request. Restic itself would repeat it for a
// quarter of an hour, and nobody be told meanwhile.
const mostPatience = 90 * time.Second

// reach asks for the one small file that every repository has. An error may be that there is no repository.
func (r *filesRepository) reach(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, mostPatience)
	defer cancel()
	_, told, err := r.run(limited, "cat", "config", "--no-lock")
	if errors.Is(err, errStopped) && ctx.Err() == nil {
		return r.failed(0, told+"\ni/o timeout: no answer within "+mostPatience.String())
	}
	return err
}

// ask runs a command and returns its answer. A failure has been understood.
func (r *filesRepository) ask(ctx context.Context, command string, arguments ...string) (string, error) {
	answer, _, err := r.run(ctx, command, arguments...)
	return answer, err
}

// run is ask that returns what was told on the way, too.
func (r *filesRepository) run(ctx context.Context, command string, arguments ...string) (answer, told string, err error) {
	var out bytes.Buffer
	var words tail
	// Nothing is kept of a repository outside of it: a cache would grow with the application's data in the pod's scratch folder.
	all := slices.Concat([]string{"--no-cache"}, r.restic.Options, []string{command}, arguments)
	cmd := exec.Command(resticProgram, all...)
	cmd.Env, cmd.Stdout, cmd.Stderr = r.environment(), &out, io.MultiWriter(os.Stderr, &words)
	code, err := r.config.run(ctx, cmd, os.Interrupt)
	if err == nil && code != 0 {
		err = r.failed(code, words.String())
	}
	return out.String(), words.String(), err
}

// failed understands how restic failed.
func (r *filesRepository) failed(code int, told string) error {
	failure := engine.ClassifyRestic(code, told)
	failure.Message = fmt.Sprintf("application data in destination %s: %s", r.name, failure.Message)
	return &exited{failed{failure}, code, told}
}

// environment of restic: nothing of the pod's gets in, and the keys are on no command line.
func (r *filesRepository) environment() []string {
	env := append(environment(), "TMPDIR="+r.config.WorkDir, "RESTIC_REPOSITORY="+r.restic.Repository, "RESTIC_PASSWORD="+r.restic.Passphrase,
		// How far it is, once a minute and not sixty times a second.
		"RESTIC_PROGRESS_FPS=0.016666")
	for name, value := range r.restic.Environment {
		env = append(env, name+"="+value)
	}
	return env
}

// inventory is what a destination holds of the application's data.
type inventory struct {
	// snapshots that can be read, oldest first.
	snapshots []engine.Snapshot
	// damaged says that there are others that cannot be read; nil if not. Restic passes over them and ends well.
	damaged error
	// gone says that there is no repository where there was one.
	gone bool
}

// list reads the inventory, without a lock: with the credentials that restores have, a lock could be made but not removed.
func (r *filesRepository) list(ctx context.Context) (inventory, error) {
	raw, told, err := r.run(ctx, "snapshots", "--json", "--no-lock")
	if err != nil {
		return inventory{}, err
	}
	var found inventory
	if found.snapshots, err = engine.ParseSnapshots([]byte(raw), r.instanceID, r.config.FilesDir); err != nil {
		return inventory{}, err
	}
	if engine.UnreadableSnapshots(told) > 0 {
		found.damaged = r.failed(0, told)
	}
	return found, nil
}

// choose is the snapshot that brings the wish back. If some cannot be read, one of them might be the right one: then only
// one that is named is taken.
func (r *filesRepository) choose(found inventory, wish engine.FilesSource) (engine.Snapshot, error) {
	if found.damaged != nil && wish.Snapshot == "" {
		return engine.Snapshot{}, found.damaged
	}
	chosen, err := engine.ChooseSnapshot(found.snapshots, wish)
	if err != nil {
		return chosen, fail(engine.FailedTarget, "destination %s: %s", r.name, err)
	}
	return chosen, nil
}
