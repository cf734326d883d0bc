// SPDX-License-Identifier: Apache-2.0

package database

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/freehold-dev/freehold/controllers/internal/meta"
	"github.com/freehold-dev/freehold/controllers/internal/postgres"
	"github.com/freehold-dev/freehold/controllers/internal/volume"
)

// initdbFolder is where this instance's cluster is made before it gets its final name.
func (c Config) initdbFolder(instanceID string) string {
	return filepath.Join(c.DataDir, "initdb-"+instanceID+volume.PartialSuffix)
}

// innerMark is the mark in a cluster's folder.
func (c Config) innerMark(cluster string) string {
	return filepath.Join(cluster, filepath.Base(c.MarkFile))
}

// inspect reads the state of volume, instance files and image. It changes nothing.
func (c Config) inspect(ctx context.Context) (State, error) {
	var s State
	var errs [6]error
	s.InstanceID, errs[0] = c.instanceID()
	s.Initialized, errs[1] = c.initialized()
	s.ServerMajor, errs[2] = c.serverMajor(ctx)
	s.Mark, errs[3] = volume.ReadMark(c.MarkFile)
	s.InnerMark, errs[4] = volume.ReadMark(c.innerMark(c.PGData))
	errs[5] = c.inspectVolume(&s)
	if err := errors.Join(errs[:]...); err != nil {
		return State{}, fmt.Errorf("find out whose volume this is (nothing was changed): %w", err)
	}
	return s, nil
}

// instanceIDs become part of a folder's name, so nothing else may pass.
var instanceIDs = regexp.MustCompile(`^[a-zA-Z0-9]([-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?$`)

func (c Config) instanceID() (string, error) {
	id, err := readValue(c.InstanceDir, meta.KeyInstanceID)
	if err != nil {
		return "", err
	}
	if !instanceIDs.MatchString(id) {
		return "", fmt.Errorf("%q in %s is no instance ID", id, filepath.Join(c.InstanceDir, meta.KeyInstanceID))
	}
	return id, nil
}

func (c Config) initialized() (bool, error) {
	value, err := readValue(c.InstanceDir, meta.KeyInitialized)
	if err != nil {
		return false, err
	}
	initialized, err := strconv.ParseBool(value)
	if err != nil {
		return false, fmt.Errorf("%s must say true or false: %w", filepath.Join(c.InstanceDir, meta.KeyInitialized), err)
	}
	return initialized, nil
}

func (c Config) serverMajor(ctx context.Context) (string, error) {
	program, err := postgres.Program(c.BinDir, "postgres")
	if err != nil {
		return "", err
	}
	out, err := exec.CommandContext(ctx, program, "--version").Output()
	if err != nil {
		return "", fmt.Errorf("ask the PostgreSQL server for its version: %w", err)
	}
	return parseServerMajor(string(out))
}

var serverVersion = regexp.MustCompile(`^postgres \(PostgreSQL\) (\d+)`)

// parseServerMajor reads the major version out of the answer to postgres --version.
func parseServerMajor(answer string) (string, error) {
	match := serverVersion.FindStringSubmatch(answer)
	if match == nil {
		return "", fmt.Errorf("the PostgreSQL server tells its version as %q, which has no number", strings.TrimSpace(answer))
	}
	return match[1], nil
}

// inspectVolume fills what the volume's folder tells.
func (c Config) inspectVolume(s *State) error {
	entries, err := os.ReadDir(c.DataDir)
	if err != nil {
		return fmt.Errorf("list the volume: %w", err)
	}
	for _, entry := range entries {
		path := filepath.Join(c.DataDir, entry.Name())
		switch {
		case path == c.PGData:
			s.HasCluster = true
		case entry.Name() == "lost+found" && entry.IsDir():
		case path == c.MarkFile, path == c.MarkFile+volume.PartialSuffix:
		case s.InstanceID != "" && path == c.initdbFolder(s.InstanceID):
		default:
			s.Strangers = append(s.Strangers, entry.Name())
		}
	}
	s.DataMajor, err = dataMajor(c.PGData)
	return err
}

// dataMajor is the major version that wrote a cluster; empty if there is none.
func dataMajor(cluster string) (string, error) {
	content, err := os.ReadFile(filepath.Join(cluster, "PG_VERSION"))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read which PostgreSQL wrote the data: %w", err)
	}
	return strings.TrimSpace(string(content)), nil
}
