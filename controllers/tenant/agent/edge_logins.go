// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/freehold-dev/freehold/controllers/tenant/agent/edge"
)

// These two commands are for people: kubectl exec runs them beside the agent. Their errors must not become the last
// words of the container.

// blocked lists the clients that may not log in.
func blocked() *cobra.Command {
	return &cobra.Command{
		Use: "blocked", Short: "List the clients that may not log in at the moment, by this replica of the gate",
		Args: cobra.NoArgs, SilenceUsage: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			blocks, err := edge.Blocked(cmd.Context(), edge.Default(slog.Default()))
			if err != nil {
				return err
			}
			return printBlocks(cmd.OutOrStdout(), blocks)
		},
	}
}

func printBlocks(out io.Writer, blocks []edge.Block) error {
	if len(blocks) == 0 {
		_, err := fmt.Fprintln(out, "Nobody is blocked by this replica of the gate.")
		return err
	}
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	_, err := fmt.Fprintln(table, "CLIENT\tBLOCKED UNTIL\tFAILURES\tREQUESTS")
	for _, block := range blocks {
		_, row := fmt.Fprintf(table, "%s\t%s\t%d\t%d\n", block.Client, block.Until.Format(time.RFC3339), block.Failures, block.Requests)
		err = errors.Join(err, row)
	}
	return errors.Join(err, table.Flush())
}

// unblock lets clients log in again.
func unblock() *cobra.Command {
	var all bool
	command := &cobra.Command{
		Use: "unblock ADDRESS | --all", Short: "Let clients log in again, by this replica of the gate",
		Args: cobra.MaximumNArgs(1), SilenceUsage: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			config := edge.Default(slog.Default())
			if all != (len(args) == 0) {
				return errors.New("name either one address or --all")
			}
			if all {
				return edge.UnblockAll(cmd.Context(), config)
			}
			client, err := netip.ParseAddr(args[0])
			if err != nil {
				return fmt.Errorf("%q is not an address such as 198.51.100.7", args[0])
			}
			return edge.Unblock(cmd.Context(), config, client)
		},
	}
	command.Flags().BoolVar(&all, "all", false, "all clients")
	return command
}
