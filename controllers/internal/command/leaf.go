// SPDX-License-Identifier: Apache-2.0

// Package command makes commands of functions that run inside pods: signals, logs, last words and exit codes.
//
// A command that fails leaves its reason in the container's termination message, where `kubectl describe pod` shows
// it, and returns it for main to print; main passes the returned error to ExitCode.
package command

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// Group is a command that only holds others.
func Group(use, short string, commands ...*cobra.Command) *cobra.Command {
	command := &cobra.Command{Use: use, Short: short}
	command.AddCommand(commands...)
	return command
}

// Leaf makes a command of a function that returns an exit code; its context ends with SIGTERM and SIGINT. PID 1 ignores
// every signal that it does not handle, so each command handles those that end it.
func Leaf(use, short string, run func(context.Context, *slog.Logger) (int, error)) *cobra.Command {
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

// Failure is the exit code of a command that supervises nothing.
func Failure(err error) (int, error) {
	if err != nil {
		return 1, err
	}
	return 0, nil
}
