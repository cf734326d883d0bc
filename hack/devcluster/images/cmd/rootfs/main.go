// SPDX-License-Identifier: Apache-2.0

// Command rootfs prints the directory of an image's unpacked Debian root file system, building it first where
// needed, so that tests can run the image's own programs:
//
//	chroot "$(go -C hack/devcluster run ./images/cmd/rootfs edge)" haproxy -vv
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"

	"github.com/freehold-dev/freehold/hack/devcluster/images"
)

func main() {
	refresh := flag.Bool("refresh", false, "fetch the newest packages although the package list did not change")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: rootfs [--refresh] NAME, where NAME is one of:", strings.Join(images.Names(), " "))
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	dir, err := images.Rootfs(ctx, flag.Arg(0), images.Options{Refresh: *refresh})
	if err != nil {
		fmt.Fprintln(os.Stderr, "rootfs:", err)
		os.Exit(1)
	}
	fmt.Println(dir)
}
