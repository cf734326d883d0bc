// SPDX-License-Identifier: Apache-2.0

package prove

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"

	"github.com/freehold-dev/freehold/controllers/internal/dial"
	"github.com/freehold-dev/freehold/controllers/tenant/agent/internal/probe"
)

// Attempts makes the attempts, a JSON list of dial.Attempt, and writes the list of dial.Outcome to the file, which
// the kubelet passes on as the termination message.
func Attempts(ctx context.Context, dialer dial.Dialer, attempts, file string) error {
	var list []dial.Attempt
	if err := json.Unmarshal([]byte(attempts), &list); err != nil {
		return fmt.Errorf("reading the attempts: %w", err)
	}
	raw, err := json.Marshal(dialer.All(ctx, list))
	if err != nil {
		return fmt.Errorf("writing the outcomes: %w", err)
	}
	return os.WriteFile(file, raw, 0o600)
}

// Canary accepts connections and ends them at once, until ctx ends.
func Canary(ctx context.Context, log *slog.Logger, address string) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = listener.Close() })
	defer stop()
	log.Info("listening", "address", listener.Addr().String())
	for {
		conn, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			log.Warn("a connection was not accepted", "error", err)
			continue
		}
		_ = conn.Close()
	}
}

// Point answers the operator whether gates in the networks let it in, until ctx ends.
func Point(ctx context.Context, log *slog.Logger, address string, networks []string) error {
	var gates []netip.Prefix
	for _, text := range networks {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			return fmt.Errorf("--networks: %w", err)
		}
		gates = append(gates, network)
	}
	if len(gates) == 0 {
		return errors.New("--networks must name the networks of the gates' addresses")
	}
	failed, err := probe.Serve(ctx, address, dial.PointHandler(gates))
	if err != nil {
		return err
	}
	log.Info("answering", "address", address, "networks", networks)
	select {
	case <-ctx.Done():
		return nil
	case err := <-failed:
		return err
	}
}
