// SPDX-License-Identifier: Apache-2.0

package database

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"

	"github.com/freehold-dev/freehold/controllers/internal/postgres"
	"github.com/freehold-dev/freehold/controllers/internal/volume"
)

// Prepare makes the volume ready for Run, or returns an error (a *Refusal where the volume is not what it should
// be) and leaves the volume as it was. It may be interrupted and repeated at any point.
func Prepare(ctx context.Context, c Config) error {
	state, err := c.inspect(ctx)
	if err != nil {
		return err
	}
	action, err := Decide(state)
	if err != nil {
		return err
	}
	c.Log.Info("judged the volume", "action", action, "instance", state.InstanceID, "postgresql", state.ServerMajor)
	switch action {
	case ActionInitialize:
		return c.initialize(ctx, state.InstanceID)
	case ActionMark:
		return volume.WriteMark(c.MarkFile, volume.Mark{InstanceID: state.InstanceID})
	default:
		return nil
	}
}

// initialize makes the cluster under another name, marks it, and only then gives it its name.
func (c Config) initialize(ctx context.Context, instanceID string) error {
	partial, mark := c.initdbFolder(instanceID), volume.Mark{InstanceID: instanceID}
	if err := os.RemoveAll(partial); err != nil {
		return fmt.Errorf("remove an interrupted initialisation: %w", err)
	}
	if err := c.initdb(ctx, partial); err != nil {
		return err
	}
	if err := volume.WriteMark(c.innerMark(partial), mark); err != nil {
		return err
	}
	if err := os.Rename(partial, c.PGData); err != nil {
		return fmt.Errorf("give the new database its final name: %w", err)
	}
	if err := volume.SyncFolder(c.DataDir); err != nil {
		return err
	}
	if err := volume.WriteMark(c.MarkFile, mark); err != nil {
		return err
	}
	c.Log.Info("made a new database", "instance", instanceID)
	return nil
}

// initdb runs the program of that name, which also writes all its files to disk.
func (c Config) initdb(ctx context.Context, folder string) error {
	program, err := postgres.Program(c.BinDir, "initdb")
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, program, "--pgdata="+folder, "--username=postgres",
		"--auth-local=peer", "--auth-host=scram-sha-256", "--data-checksums", "--encoding=UTF8",
		"--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C.UTF-8", "--lc-messages=C", "--no-instructions")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return errors.Join(fmt.Errorf("initdb failed, the volume holds no database yet: %w; it said:\n%s", err, out), os.RemoveAll(folder))
	}
	return nil
}

// checkPrepared refuses to serve a volume that Prepare would not have let pass.
func (c Config) checkPrepared(ctx context.Context) error {
	state, err := c.inspect(ctx)
	if err != nil {
		return err
	}
	action, err := Decide(state)
	if err != nil {
		return err
	}
	if action != ActionNone {
		return &Refusal{text: "The volume was not prepared: `freehold agent database prepare` must end well before the server starts."}
	}
	return nil
}
