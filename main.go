// SPDX-License-Identifier: Apache-2.0

// Command freehold is the one binary of Freehold: the operator (`freehold manager`) and the in-pod agent of the
// instances that it makes (`freehold agent`).
package main

import (
	"fmt"
	"os"
	"runtime/debug"
	_ "time/tzdata" // images without time zones still know them

	"github.com/spf13/cobra"

	backupagent "github.com/freehold-dev/freehold/controllers/backup/agent"
	"github.com/freehold-dev/freehold/controllers/tenant/agent"
)

func main() {
	root := &cobra.Command{
		Use:           "freehold",
		Short:         "Give every customer of a SaaS product an isolated instance of their own",
		Version:       version(),
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(managerCommand(), agent.Command(backupagent.Command()))
	if err := root.Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "freehold:", err)
		os.Exit(agent.ExitCode(err))
	}
}

// version is what the build noted: a tag, or the revision of the source.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			return setting.Value
		}
	}
	return "devel"
}
