// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/freehold-dev/freehold/controllers/internal/dial"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
	"github.com/freehold-dev/freehold/controllers/tenant/agent/database"
	"github.com/freehold-dev/freehold/controllers/tenant/agent/edge"
	"github.com/freehold-dev/freehold/controllers/tenant/agent/prove"
	"github.com/freehold-dev/freehold/controllers/tenant/agent/wait"
)

// Command returns `agent` with its subcommands.
func Command() *cobra.Command {
	root := &cobra.Command{
		Use:   "agent",
		Short: "Work inside a tenant's pods; not for people's hands",
	}
	root.AddCommand(
		group("database", "The tenant's PostgreSQL server",
			leaf("prepare", "Make the database's volume ready, or refuse it", func(ctx context.Context, log *slog.Logger) (int, error) {
				return failure(database.Prepare(ctx, database.Default(log)))
			}),
			leaf("run", "Supervise the PostgreSQL server", func(ctx context.Context, log *slog.Logger) (int, error) {
				return database.Run(ctx, database.Default(log))
			})),
		group("edge", "The tenant's gate",
			leaf("run", "Supervise HAProxy", func(ctx context.Context, log *slog.Logger) (int, error) {
				return edge.Run(ctx, edge.Default(log))
			}),
			blocked(), unblock()),
		group("wait", "Wait for what a pod needs",
			leaf("database", "Wait until the application's login to its database works", func(ctx context.Context, log *slog.Logger) (int, error) {
				return failure(wait.Database(ctx, wait.Default(log)))
			}),
			walls()),
		attempts(),
		canary(),
		point(),
	)
	return root
}

func walls() *cobra.Command {
	var tolerate bool
	command := leaf("walls", "Wait until the tenant's walls stand", func(ctx context.Context, log *slog.Logger) (int, error) {
		config, err := wait.DefaultWalls(log, tolerate)
		if err != nil {
			return failure(err)
		}
		return failure(wait.Walls(ctx, config))
	})
	command.Flags().BoolVar(&tolerate, "tolerate-missing", false, "go on without walls where no NetworkPolicy is enforced")
	return command
}

func attempts() *cobra.Command {
	var list, file string
	dialer := dial.Dialer{Authority: meta.TrustDir + "/" + meta.KeyCACert}
	command := leaf("prove", "Make the connection attempts of a proof", func(ctx context.Context, _ *slog.Logger) (int, error) {
		return failure(prove.Attempts(ctx, dialer, list, file))
	})
	command.Flags().StringVar(&list, "attempts", "[]", "the attempts, as JSON")
	command.Flags().StringVar(&file, "output", meta.TerminationLog, "file for the outcomes")
	return command
}

func canary() *cobra.Command {
	var address string
	command := leaf("canary", "Accept connections that no wall may let through", func(ctx context.Context, log *slog.Logger) (int, error) {
		return failure(prove.Canary(ctx, log, address))
	})
	command.Flags().StringVar(&address, "address", fmt.Sprintf(":%d", meta.PortCanary), "address to listen at")
	return command
}

func point() *cobra.Command {
	var address string
	var networks []string
	command := leaf("point", "Tell, from outside the cluster, whether gates let this address in", func(ctx context.Context, log *slog.Logger) (int, error) {
		return failure(prove.Point(ctx, log, address, networks))
	})
	command.Flags().StringVar(&address, "address", fmt.Sprintf(":%d", meta.PortPoint), "address to listen at")
	command.Flags().StringSliceVar(&networks, "networks", nil, "networks (CIDR) of the gates' addresses; nothing else is connected to (required)")
	return command
}

func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	command := &cobra.Command{Use: use, Short: short}
	command.AddCommand(commands...)
	return command
}

// leaf makes a command of a function that returns an exit code. PID 1 ignores every signal that it does not handle,
// so each command handles those that end it.
func leaf(use, short string, run func(context.Context, *slog.Logger) (int, error)) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: cobra.NoArgs, SilenceUsage: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
			code, err := run(ctx, log.With("command", cmd.CommandPath()))
			return finish(code, err)
		},
	}
}

// failure is the exit code of a command that supervises nothing.
func failure(err error) (int, error) {
	if err != nil {
		return 1, err
	}
	return 0, nil
}
