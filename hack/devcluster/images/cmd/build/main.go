// SPDX-License-Identifier: Apache-2.0

// Command build makes images of the local cluster, all of them unless some are named, and prints for each its
// reference, image ID and docker-archive:
//
//	go -C hack/devcluster run ./images/cmd/build postgres edge
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"

	"github.com/freehold-dev/freehold/hack/devcluster/images"
)

func main() {
	var opts images.Options
	flag.BoolVar(&opts.Refresh, "refresh", false, "fetch the newest packages although the package lists did not change")
	flag.StringVar(&opts.Binary, "binary", "", "a static freehold program to use instead of compiling the repository's")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := build(ctx, flag.Args(), opts); err != nil {
		fmt.Fprintln(os.Stderr, "build:", err)
		os.Exit(1)
	}
}

func build(ctx context.Context, names []string, opts images.Options) error {
	if len(names) == 0 {
		names = images.Names()
	}
	for _, name := range names {
		archive, id, err := images.Build(ctx, name, opts)
		if err != nil {
			return err
		}
		reference, err := images.Reference(name)
		if err != nil {
			return err
		}
		fmt.Println(reference, id, archive)
	}
	return nil
}
