// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/utils/clock"

	"github.com/freehold-dev/freehold/controllers/backup/engine"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
	"github.com/freehold-dev/freehold/controllers/internal/process"
)

// pgbackrest is the program that makes backups of the database.
const pgbackrest = "/usr/bin/pgbackrest"

// resticProgram is the program that makes those of the application's data.
const resticProgram = "/usr/bin/restic"

// Config says where things are in the pod. Start from Default.
type Config struct {
	// BackupDir holds pgbackrest.conf and what it names, InstanceDir the operator's word on the instance, TLSDir the
	// database's certificate and key, TrustDir the authorities.
	BackupDir, InstanceDir, TLSDir, TrustDir string
	// DataDir is the mounted volume, PGData the cluster on it, MarkFile the mark that says whose volume it is.
	DataDir, PGData, MarkFile string
	// FilesDir is where the application's data lies, or a volume that it is restored to.
	FilesDir string
	// SocketDir is where the database listens for local connections, on the port Port; SpoolDir is where pgBackRest
	// notes which segments it has handed over.
	SocketDir, SpoolDir string
	Port                int
	// RepositoryConf is where the server in front of a volume with backups puts its configuration.
	RepositoryConf string
	// WorkDir is for files that end with the pod; it is made.
	WorkDir string
	// ReportAddress is where the report is served, as host:port.
	ReportAddress string
	// Children are all the processes that the agent starts.
	Children *process.Children
	// Clock and Log serve everything in the package.
	Clock clock.Clock
	Log   *slog.Logger
}

// Default is the configuration inside a pod that the operator made.
func Default(log *slog.Logger) Config {
	return Config{
		BackupDir: meta.BackupDir, InstanceDir: meta.InstanceDir, TLSDir: meta.TLSDir, TrustDir: meta.TrustDir,
		DataDir: meta.DataDir, PGData: meta.PGData, MarkFile: meta.MarkFile, FilesDir: meta.FilesDir, SocketDir: meta.SocketDir, SpoolDir: meta.SpoolDir,
		Port: meta.PortDatabase, RepositoryConf: meta.RepositoryConf, WorkDir: "/tmp/freehold", ReportAddress: fmt.Sprintf(":%d", meta.PortArchiver),
		Children: process.New(), Clock: clock.RealClock{}, Log: log,
	}
}

// archiving says whether the operator wants the write-ahead log to be archived.
func (c Config) archiving() (bool, error) {
	content, err := os.ReadFile(filepath.Join(c.InstanceDir, meta.KeyArchiving))
	if err != nil {
		return false, fmt.Errorf("read whether the write-ahead log is archived: %w", err)
	}
	switch value := strings.TrimSpace(string(content)); value {
	case meta.ArchivingOn:
		return true, nil
	case meta.ArchivingOff:
		return false, nil
	default:
		return false, fmt.Errorf("%s says %q, which is neither %s nor %s", filepath.Join(c.InstanceDir, meta.KeyArchiving), value, meta.ArchivingOn, meta.ArchivingOff)
	}
}

func (c Config) conf() string { return filepath.Join(c.BackupDir, meta.KeyPgBackRestConf) }

// destinations are those that pgbackrest.conf holds; none where there is no such file.
func (c Config) destinations() (engine.Destinations, error) {
	raw, err := os.ReadFile(filepath.Join(c.BackupDir, meta.KeyDestinations))
	if errors.Is(err, fs.ErrNotExist) {
		return engine.Destinations{}, nil
	}
	if err != nil {
		return engine.Destinations{}, fmt.Errorf("read where backups go: %w", err)
	}
	return engine.ParseDestinations(raw)
}
