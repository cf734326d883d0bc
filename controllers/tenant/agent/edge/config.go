// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"k8s.io/utils/clock"

	"github.com/freehold-dev/freehold/controllers/internal/meta"
	"github.com/freehold-dev/freehold/controllers/internal/watch"
)

// Config says where things are in the pod. Start from Default.
type Config struct {
	// HAProxy is the program's path or its name in PATH.
	HAProxy string
	// ConfigDir holds haproxy.cfg; TLSDir, ListsDir and TrustDir what it refers to and what may change.
	ConfigDir, TLSDir, ListsDir, TrustDir string
	// RunDir is a writable folder for the master's socket.
	RunDir string
	// StatusAddress is where /status is served, as host:port.
	StatusAddress string
	// Drain is how long the gate serves on after it was told to stop, SoftStop how long after that the
	// connections there are may last. Their sum must stay below the pod's grace period.
	Drain, SoftStop time.Duration
	// Clock and Log serve everything in the package.
	Clock clock.Clock
	Log   *slog.Logger
}

// Default is the configuration inside a pod that the operator made, with a grace period of 60 seconds.
func Default(log *slog.Logger) Config {
	return Config{
		HAProxy:   "haproxy",
		ConfigDir: meta.ConfigDir, TLSDir: meta.TLSDir, ListsDir: meta.ListsDir, TrustDir: meta.TrustDir,
		RunDir: meta.HAProxyRunDir, StatusAddress: fmt.Sprintf(":%d", meta.PortAgent),
		Drain: 5 * time.Second, SoftStop: 45 * time.Second,
		Clock: clock.RealClock{}, Log: log,
	}
}

// configFile is HAProxy's configuration; it comes from an immutable ConfigMap and never changes in a pod.
func (c Config) configFile() string { return filepath.Join(c.ConfigDir, meta.KeyHAProxyConf) }

// masterSocket is the master's command socket; only this pod's user reaches it.
func (c Config) masterSocket() string { return filepath.Join(c.RunDir, "master.sock") }

// statsSocket is the runtime interface of the HAProxy process in use.
func (c Config) statsSocket() string {
	return filepath.Join(c.RunDir, filepath.Base(meta.HAProxyStatsSocket))
}

// digest identifies everything that may change while HAProxy runs.
func (c Config) digest() (string, error) { return watch.Digest(c.TLSDir, c.ListsDir, c.TrustDir) }
