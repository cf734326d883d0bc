// SPDX-License-Identifier: Apache-2.0

package wait

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"k8s.io/utils/clock"

	"github.com/freehold-dev/freehold/controllers/internal/dial"
)

// WallsConfig says how the walls are waited for. Start from DefaultWalls.
type WallsConfig struct {
	// Forbidden is the address, host:port, that answers everybody whom no wall keeps from it.
	Forbidden string
	// Limit is how long to wait.
	Limit time.Duration
	// Tolerate says that a pod may start all the same when the limit is reached.
	Tolerate bool
	// Clock and Log serve everything in the package.
	Clock clock.Clock
	Log   *slog.Logger
}

// DefaultWalls waits until the API server cannot be reached: it answers in every cluster, Kubernetes names it to every
// pod, and no wall of a tenant lets anybody reach it. tolerate shortens the wait.
func DefaultWalls(log *slog.Logger, tolerate bool) (WallsConfig, error) {
	host, port := os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT")
	if host == "" || port == "" {
		return WallsConfig{}, errors.New("the environment names no API server (KUBERNETES_SERVICE_HOST, KUBERNETES_SERVICE_PORT)")
	}
	limit := 2 * time.Minute
	if tolerate {
		limit = 15 * time.Second
	}
	return WallsConfig{Forbidden: net.JoinHostPort(host, port), Limit: limit, Tolerate: tolerate, Clock: clock.RealClock{}, Log: log}, nil
}

// Walls returns nil once a forbidden connection fails. An error says that it still succeeded at the limit.
func Walls(ctx context.Context, c WallsConfig) error {
	dialer := dial.Dialer{Timeout: time.Second, Limit: c.Limit, Clock: c.Clock}
	outcome := dialer.All(ctx, []dial.Attempt{{ID: "forbidden", Address: c.Forbidden, Denied: true}})[0]
	if outcome.Result.Denied() {
		c.Log.Info("the walls stand", "forbidden", c.Forbidden, "result", outcome.Result, "tries", outcome.Tries)
		return ctx.Err()
	}
	if c.Tolerate {
		c.Log.Warn("no NetworkPolicy is enforced here; starting all the same, because this installation tolerates it", "forbidden", c.Forbidden)
		return nil
	}
	return fmt.Errorf("a connection to %s, which the tenant's NetworkPolicies forbid, still succeeds after %s: this cluster does not enforce NetworkPolicy, and nothing is started without walls; use a network plugin that enforces it, or install Freehold with walls.tolerateMissing", c.Forbidden, c.Limit)
}
