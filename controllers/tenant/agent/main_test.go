// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"os"
	"testing"

	"github.com/spf13/cobra"

	"github.com/freehold-dev/freehold/controllers/internal/agenttest"
	"github.com/freehold-dev/freehold/controllers/tenant/agent"
)

func TestMain(m *testing.M) {
	os.Exit(agenttest.Main(m, freehold))
}

// freehold is the program as main.go builds it, as far as pods need it.
func freehold(args []string) int {
	root := &cobra.Command{Use: "freehold", SilenceUsage: true}
	root.AddCommand(agent.Command())
	root.SetArgs(args)
	return agent.ExitCode(root.Execute())
}
