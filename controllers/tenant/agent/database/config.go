// SPDX-License-Identifier: Apache-2.0

package database

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/utils/clock"

	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// Config says where things are in the pod. Start from Default.
type Config struct {
	// DataDir is the mounted volume, PGData the cluster on it.
	DataDir, PGData string
	// MarkFile on the volume says whose it is.
	MarkFile string
	// ConfigDir holds postgresql.conf, InstanceDir the operator's word on the instance, TLSDir the server's
	// certificate and key, CredentialsDir the application's role, database and password.
	ConfigDir, InstanceDir, TLSDir, CredentialsDir string
	// SocketDir is where the server listens for local connections.
	SocketDir string
	// Port of the server, also part of the local socket's name.
	Port int
	// ProbeAddress is where the probes are served, as host:port.
	ProbeAddress string
	// BinDir holds PostgreSQL's programs. Empty: they are looked for in PATH, then where Debian puts them.
	BinDir string
	// Clock and Log serve everything in the package.
	Clock clock.Clock
	Log   *slog.Logger
}

// Default is the configuration inside a pod that the operator made.
func Default(log *slog.Logger) Config {
	return Config{
		DataDir: meta.DataDir, PGData: meta.PGData, MarkFile: meta.MarkFile,
		ConfigDir: meta.ConfigDir, InstanceDir: meta.InstanceDir, TLSDir: meta.TLSDir, CredentialsDir: meta.CredentialsDir,
		SocketDir: meta.SocketDir, Port: meta.PortDatabase, ProbeAddress: fmt.Sprintf(":%d", meta.PortAgent),
		Clock: clock.RealClock{}, Log: log,
	}
}

// readValue is the trimmed content of a small mounted file.
func readValue(folder, key string) (string, error) {
	content, err := os.ReadFile(filepath.Join(folder, key))
	if err != nil {
		return "", fmt.Errorf("read what the operator mounted: %w", err)
	}
	value := strings.TrimSpace(string(content))
	if value == "" {
		return "", fmt.Errorf("%s is empty", filepath.Join(folder, key))
	}
	return value, nil
}
