// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"
)

// ErrNotRunning is returned by [Status] when the cluster, or a part of it, does not run.
var ErrNotRunning = errors.New("the cluster does not run completely; `up` repairs it")

// Status prints each program with its process id and age, and whether the node is ready. It changes nothing.
func Status(ctx context.Context, l Layout, out io.Writer) error {
	if !l.Exists() {
		_, _ = fmt.Fprintln(out, "there is no cluster")
		return ErrNotRunning
	}
	table := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	complete := true
	for _, name := range l.daemonNames() {
		r, ok := l.running(name)
		if !ok {
			complete = false
			_, _ = fmt.Fprintf(table, "%s\tdead\t\tlog: %s\n", name, l.State("log", name+".log"))
			continue
		}
		_, _ = fmt.Fprintf(table, "%s\trunning\tpid %d\tfor %s\n", name, r.PID, time.Since(r.Started).Round(time.Second))
	}
	policy, _ := os.ReadFile(l.State("policy"))
	_, _ = fmt.Fprintf(table, "policy\t%s\n", policy)
	if err := l.clusterReadyNow(ctx); err != nil {
		complete = false
		_, _ = fmt.Fprintf(table, "node\tnot ready\t%v\n", err)
	} else {
		_, _ = fmt.Fprintf(table, "node\tready\t%s\n", NodeIP)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if !complete {
		return ErrNotRunning
	}
	return nil
}

func (l Layout) clusterReadyNow(ctx context.Context) error {
	client, err := l.client()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return errors.Join(nodeReady(ctx, client), dnsReady(ctx, client))
}
