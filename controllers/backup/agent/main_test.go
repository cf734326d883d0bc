// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"fmt"
	"os"
	"syscall"
	"testing"

	"github.com/spf13/cobra"

	"github.com/freehold-dev/freehold/controllers/backup/agent"
	"github.com/freehold-dev/freehold/controllers/internal/agenttest"
	"github.com/freehold-dev/freehold/controllers/internal/command"
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
