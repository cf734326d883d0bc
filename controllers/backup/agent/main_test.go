// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"

	"github.com/spf13/cobra"

	"github.com/freehold-dev/freehold/controllers/backup/agent"
	"github.com/freehold-dev/freehold/controllers/internal/agenttest"
	"github.com/freehold-dev/freehold/controllers/internal/command"
	"github.com/freehold-dev/freehold/controllers/internal/process"
)

func TestMain(m *testing.M) {
	os.Exit(agenttest.Main(m, freehold))
}

// freehold is the program as main.go builds it, as far as these pods need it; and a shell.
func freehold(args []string) int {
	if len(args) == 2 && args[0] == "shell" {
		fmt.Fprintln(os.Stderr, syscall.Exec("/bin/sh", []string{"sh", "-euc", args[1]}, os.Environ()))
		return 127
	}
	if len(args) == 2 && args[0] == "supervise" {
		return supervise(args[1])
	}
	root := &cobra.Command{Use: "freehold", SilenceUsage: true, SilenceErrors: true}
	group := &cobra.Command{Use: "agent"}
	group.AddCommand(agent.Command())
	root.AddCommand(group)
	root.SetArgs(args)
	err := root.Execute()
	if err != nil {
		fmt.Fprintln(os.Stderr, "freehold:", err)
	}
	return command.ExitCode(err)
}

// supervise runs a script as the database's agent runs PostgreSQL: it passes signals on, and buries the orphans. Those of
// pgBackRest would otherwise become children of PostgreSQL, which takes their ends for crashes of its own.
func supervise(script string) int {
	children := process.New()
	go children.Reap(context.Background())
	cmd := exec.Command("/bin/sh", "-euc", script)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	child, err := children.Start(cmd)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 127
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt)
	for {
		select {
		case <-child.Done():
			return child.ExitCode()
		case s := <-signals:
			_ = child.Signal(s)
		}
	}
}
