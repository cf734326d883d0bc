// SPDX-License-Identifier: Apache-2.0

// Command devcluster runs a real single-node Kubernetes on this machine for Freehold's demo and tests.
// docs/local-cluster.md describes it; package cluster does the work.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := rootCommand().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "devcluster:", err)
		stop()
		os.Exit(1)
	}
}
