// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/freehold-dev/freehold/controllers/internal/command"
	"github.com/freehold-dev/freehold/controllers/internal/dial"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
	"github.com/freehold-dev/freehold/controllers/tenant/agent/database"
	"github.com/freehold-dev/freehold/controllers/tenant/agent/edge"
	"github.com/freehold-dev/freehold/controllers/tenant/agent/prove"
	"github.com/freehold-dev/freehold/controllers/tenant/agent/wait"
)

// Command returns `agent` with its subcommands, and with more of them, which other concerns bring.
func Command(more ...*cobra.Command) *cobra.Command {
	root := &cobra.Command{
		Use:   "agent",
		Short: "Work inside a tenant's pods; not for people's hands",
	}
	root.AddCommand(
		command.Group("database", "The tenant's PostgreSQL server",
			command.Leaf("prepare", "Make the database's volume ready, or refuse it", func(ctx context.Context, log *slog.Logger) (int, error) {
				return command.Failure(database.Prepare(ctx, database.Default(log)))
			}),
			command.Leaf("run", "Supervise the PostgreSQL server", func(ctx context.Context, log *slog.Logger) (int, error) {
				return database.Run(ctx, database.Default(log))
			})),
		command.Group("edge", "The tenant's gate",
			command.Leaf("run", "Supervise HAProxy", func(ctx context.Context, log *slog.Logger) (int, error) {
				return edge.Run(ctx, edge.Default(log))
			}),
			blocked(), unblock()),
		command.Group("wait", "Wait for what a pod needs",
			command.Leaf("database", "Wait until the application's login to its database works", func(ctx context.Context, log *slog.Logger) (int, error) {
				return command.Failure(wait.Database(ctx, wait.Default(log)))
			}),
			walls()),
		attempts(),
		canary(),
		point(),
	)
	root.AddCommand(more...)
	return root
}

// ExitCode is the code that the process shall end with after a command returned err: 0 for none, the supervised
// program's own where there was one, else 1.
func ExitCode(err error) int { return command.ExitCode(err) }

func walls() *cobra.Command {
	var tolerate bool
	leaf := command.Leaf("walls", "Wait until the tenant's walls stand", func(ctx context.Context, log *slog.Logger) (int, error) {
		config, err := wait.DefaultWalls(log, tolerate)
		if err != nil {
			return command.Failure(err)
		}
		return command.Failure(wait.Walls(ctx, config))
	})
	leaf.Flags().BoolVar(&tolerate, "tolerate-missing", false, "go on without walls where no NetworkPolicy is enforced")
	return leaf
}

func attempts() *cobra.Command {
	var list, file string
	dialer := dial.Dialer{Authority: meta.TrustDir + "/" + meta.KeyCACert}
	leaf := command.Leaf("prove", "Make the connection attempts of a proof", func(ctx context.Context, _ *slog.Logger) (int, error) {
		return command.Failure(prove.Attempts(ctx, dialer, list, file))
	})
	leaf.Flags().StringVar(&list, "attempts", "[]", "the attempts, as JSON")
	leaf.Flags().StringVar(&file, "output", meta.TerminationLog, "file for the outcomes")
	return leaf
}

func canary() *cobra.Command {
	var address string
	leaf := command.Leaf("canary", "Accept connections that no wall may let through", func(ctx context.Context, log *slog.Logger) (int, error) {
		return command.Failure(prove.Canary(ctx, log, address))
	})
	leaf.Flags().StringVar(&address, "address", fmt.Sprintf(":%d", meta.PortCanary), "address to listen at")
	return leaf
}

func point() *cobra.Command {
	var address string
	var networks []string
	leaf := command.Leaf("point", "Tell, from outside the cluster, whether gates let this address in", func(ctx context.Context, log *slog.Logger) (int, error) {
		return command.Failure(prove.Point(ctx, log, address, networks))
	})
	leaf.Flags().StringVar(&address, "address", fmt.Sprintf(":%d", meta.PortPoint), "address to listen at")
	leaf.Flags().StringSliceVar(&networks, "networks", nil, "networks (CIDR) of the gates' addresses; nothing else is connected to (required)")
	return leaf
}
