// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/freehold-dev/freehold/hack/devcluster/cluster"
)

func siteCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "site", Short: "Backup destinations outside the cluster: list them, give tenants access, make them fail",
		Long: "Backup destinations outside the cluster: " + strings.Join(cluster.SiteNames(), ", ") + ".",
	}
	cmd.AddCommand(siteListCommand(), siteTenantCommand(), siteRevokeCommand(), siteStopCommand(), siteStartCommand(),
		siteSilenceCommand(), siteFillCommand(), siteIdentityCommand("certificate", "expired", "s3-a"),
		siteIdentityCommand("hostkey", "other", "sftp"), siteClockCommand(), siteMendCommand())
	return cmd
}

// changingSite makes a command whose first argument is a site.
func changingSite(use, short string, args cobra.PositionalArgs, work func(ctx context.Context, l cluster.Layout, p *cluster.Progress, args []string) error) *cobra.Command {
	cmd := changing(use, short, work)
	cmd.Args = args
	cmd.ValidArgs = cluster.SiteNames()
	return cmd
}

func printJSON(out io.Writer, value any) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

func siteListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Short: "Print every site as JSON: address, certificate authority, root key, folder of the objects, faults", Args: cobra.NoArgs,
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		l, err := cluster.NewLayout()
		if err != nil {
			return err
		}
		sites, err := cluster.ListSites(cmd.Context(), l)
		if err != nil {
			return err
		}
		return printJSON(cmd.OutOrStdout(), sites)
	}
	return cmd
}

func siteTenantCommand() *cobra.Command {
	return changingSite("tenant NAME TENANT", "Give a tenant a place at a site and print its credentials as JSON", cobra.ExactArgs(2),
		func(ctx context.Context, l cluster.Layout, _ *cluster.Progress, args []string) error {
			tenant, err := cluster.SiteTenant(ctx, l, args[0], args[1])
			if err != nil {
				return err
			}
			return printJSON(os.Stdout, tenant)
		})
}

func siteRevokeCommand() *cobra.Command {
	return changingSite("revoke NAME TENANT", "Make a tenant's credentials at a site worthless; its files stay", cobra.ExactArgs(2),
		func(ctx context.Context, l cluster.Layout, _ *cluster.Progress, args []string) error {
			return cluster.RevokeSiteTenant(ctx, l, args[0], args[1])
		})
}

func siteStopCommand() *cobra.Command {
	return changingSite("stop NAME", "End a site as a power cut does: connections are refused until it is started", cobra.ExactArgs(1),
		func(ctx context.Context, l cluster.Layout, _ *cluster.Progress, args []string) error {
			return cluster.StopSite(ctx, l, args[0])
		})
}

func siteStartCommand() *cobra.Command {
	return changingSite("start NAME", "Start a spare site, or a stopped one with the files it had; `up` starts it from then on", cobra.ExactArgs(1),
		func(ctx context.Context, l cluster.Layout, p *cluster.Progress, args []string) error {
			return cluster.StartSite(ctx, l, p, args[0])
		})
}

func siteSilenceCommand() *cobra.Command {
	return changingSite("silence NAME on|off", "Let a site drop every packet without an answer, or answer again", cobra.ExactArgs(2),
		func(ctx context.Context, l cluster.Layout, _ *cluster.Progress, args []string) error {
			on, err := onOrOff(args[1])
			if err != nil {
				return err
			}
			return cluster.SilenceSite(ctx, l, args[0], on)
		})
}

func siteFillCommand() *cobra.Command {
	return changingSite("fill NAME on|off", "Take all free space of a small site (s3-b, s3-d), or give it back", cobra.ExactArgs(2),
		func(_ context.Context, l cluster.Layout, _ *cluster.Progress, args []string) error {
			on, err := onOrOff(args[1])
			if err != nil {
				return err
			}
			return cluster.FillSite(l, args[0], on)
		})
}

// siteIdentityCommand makes a command for what a kind of site calls its identity.
func siteIdentityCommand(noun, wrong, example string) *cobra.Command {
	cmd := changingSite(noun+" NAME good|"+wrong, "Let a site show a good or a wrong "+noun, cobra.ExactArgs(2),
		func(ctx context.Context, l cluster.Layout, p *cluster.Progress, args []string) error {
			return cluster.SetSiteIdentity(ctx, l, p, args[0], args[1])
		})
	cmd.Example = fmt.Sprintf("  devcluster site %s %s %s", noun, example, wrong)
	return cmd
}

func siteClockCommand() *cobra.Command {
	return changingSite("clock NAME good|skewed", "Let an S3 site's clock be right, or 20 minutes ahead", cobra.ExactArgs(2),
		func(ctx context.Context, l cluster.Layout, p *cluster.Progress, args []string) error {
			return cluster.SetSiteClock(ctx, l, p, args[0], args[1])
		})
}

// skewedSiteProgram is what `site clock` starts in the background.
func skewedSiteProgram() *cobra.Command {
	var listen, cert, key string
	cmd := &cobra.Command{
		Use: "skewed-site", Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cluster.ServeSkewed(cmd.Context(), listen, cert, key)
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "", "address and port")
	cmd.Flags().StringVar(&cert, "cert", "", "path of the certificate")
	cmd.Flags().StringVar(&key, "key", "", "path of the key")
	return cmd
}

func siteMendCommand() *cobra.Command {
	return changingSite("mend NAME", "Undo every fault of a site; revoked tenants stay revoked", cobra.ExactArgs(1),
		func(ctx context.Context, l cluster.Layout, p *cluster.Progress, args []string) error {
			return cluster.MendSite(ctx, l, p, args[0])
		})
}

func onOrOff(word string) (bool, error) {
	switch word {
	case "on":
		return true, nil
	case "off":
		return false, nil
	}
	return false, fmt.Errorf("say on or off, not %q", word)
}
