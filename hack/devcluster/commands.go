// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/freehold-dev/freehold/hack/devcluster/cluster"
	"github.com/freehold-dev/freehold/hack/devcluster/images"
	"github.com/freehold-dev/freehold/hack/devcluster/netpol"
	"github.com/freehold-dev/freehold/hack/devcluster/provision"
)

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "devcluster",
		Short:         "A real single-node Kubernetes on this machine, for Freehold's demo and tests",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(upCommand(), downCommand(), statusCommand(), loadCommand(), kubeconfigCommand(), clientCommand(),
		siteCommand(), restartNodeCommand(), policyProgram(), provisionerProgram(), skewedSiteProgram())
	return root
}

// changing makes a command that needs root and that no other command may run beside.
func changing(use, short string, work func(ctx context.Context, l cluster.Layout, p *cluster.Progress, args []string) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short,
		RunE: func(cmd *cobra.Command, args []string) error {
			if os.Geteuid() != 0 {
				return errors.New("this needs root: it makes network interfaces, mounts and containers")
			}
			l, err := cluster.NewLayout()
			if err != nil {
				return err
			}
			progress := cluster.NewProgress(cmd.ErrOrStderr())
			return l.Locked(cmd.Context(), progress, func() error { return work(cmd.Context(), l, progress, args) })
		},
	}
}

func upCommand() *cobra.Command {
	var policy string
	cmd := changing("up", "Start the cluster, or repair it; running parts are left alone",
		func(ctx context.Context, l cluster.Layout, p *cluster.Progress, _ []string) error {
			if err := cluster.Up(ctx, l, p, policy); err != nil {
				return err
			}
			p.Say("the cluster is up")
			fmt.Printf("export KUBECONFIG=%s\n", l.Kubeconfig())
			return nil
		})
	cmd.Args = cobra.NoArgs
	cmd.Flags().StringVar(&policy, "policy", "", "how NetworkPolicies are enforced: strict, weak or none (default: as before, else strict)")
	return cmd
}

func downCommand() *cobra.Command {
	cmd := changing("down", "Remove the cluster with its volumes; built programs and images stay cached",
		func(ctx context.Context, l cluster.Layout, p *cluster.Progress, _ []string) error {
			return cluster.Down(ctx, l, p)
		})
	cmd.Args = cobra.NoArgs
	return cmd
}

func loadCommand() *cobra.Command {
	cmd := changing("load [IMAGE...]", "Build images and import those that changed; all when none is named",
		func(ctx context.Context, l cluster.Layout, p *cluster.Progress, args []string) error {
			return cluster.Load(ctx, l, p, args)
		})
	cmd.Long = cmd.Short + ".\n\nImages: " + strings.Join(images.Names(), ", ")
	cmd.ValidArgs = images.Names()
	return cmd
}

func restartNodeCommand() *cobra.Command {
	cmd := changing("restart-node", "Kill kubelet, runtime and every container at once, as a power cut does, and start them again",
		func(ctx context.Context, l cluster.Layout, p *cluster.Progress, _ []string) error {
			return cluster.RestartNode(ctx, l, p)
		})
	cmd.Args = cobra.NoArgs
	return cmd
}

func statusCommand() *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Print what runs; fails when a part does not", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := cluster.NewLayout()
			if err != nil {
				return err
			}
			return cluster.Status(cmd.Context(), l, cmd.OutOrStdout())
		},
	}
}

func kubeconfigCommand() *cobra.Command {
	var content bool
	cmd := &cobra.Command{
		Use: "kubeconfig", Short: "Print the path of the administrator's kubeconfig", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := cluster.NewLayout()
			if err != nil {
				return err
			}
			output := l.Kubeconfig() + "\n"
			data, err := os.ReadFile(l.Kubeconfig())
			if err != nil {
				return fmt.Errorf("there is no cluster; run `up` first: %w", err)
			}
			if content {
				output = string(data)
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), output)
			return err
		},
	}
	cmd.Flags().BoolVar(&content, "content", false, "print the file's content instead")
	return cmd
}

func clientCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "client NAME -- COMMAND...",
		Short:   "Run a command as an external client, from an address outside the cluster",
		Long:    "Run a command in the network of an external client: " + cluster.DescribeClients() + ".",
		Example: "  devcluster client c10 -- curl -k https://198.18.0.16/",
		Args:    cobra.MinimumNArgs(2),
		RunE:    func(_ *cobra.Command, args []string) error { return cluster.ExecInClient(args[0], args[1:]) },
	}
}

// policyProgram is what `up` starts in the background.
func policyProgram() *cobra.Command {
	cfg := netpol.Config{PodCIDR: cluster.PodCIDR, NodeIP: cluster.NodeIP}
	cmd := &cobra.Command{
		Use: "netpol", Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return netpol.Run(cmd.Context(), cfg) },
	}
	cmd.Flags().StringVar(&cfg.Mode, "policy", netpol.ModeStrict, "strict, weak or none")
	cmd.Flags().StringVar(&cfg.Kubeconfig, "kubeconfig", "", "path of the kubeconfig")
	return cmd
}

// provisionerProgram is what `up` starts in the background.
func provisionerProgram() *cobra.Command {
	cfg := provision.Config{Node: cluster.NodeName}
	cmd := &cobra.Command{
		Use: "provisioner", Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return provision.Run(cmd.Context(), cfg) },
	}
	cmd.Flags().StringVar(&cfg.Root, "root", "", "folder of the volumes")
	cmd.Flags().StringVar(&cfg.Kubeconfig, "kubeconfig", "", "path of the kubeconfig")
	return cmd
}
