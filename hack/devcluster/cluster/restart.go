// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"syscall"
)

// RestartNode does to the node what a power cut does: kubelet, runtime and every container die at once, without any
// chance to stop in order, and then start again on the same volumes. The control plane keeps running. It returns
// when the name service answers again and no dead container is reported as running; other pods may still be starting.
func RestartNode(ctx context.Context, l Layout, progress *Progress) error {
	if err := l.clusterReadyNow(ctx); err != nil {
		return fmt.Errorf("the cluster must be up before its node can be restarted: %w", err)
	}
	err := progress.Step("killing the node with its containers", func() error {
		return errors.Join(l.stopAll(ctx, syscall.SIGKILL, "kubelet", "containerd"), killAll(ctx, podProcesses), killAll(ctx, shims))
	})
	if err != nil {
		return err
	}
	if err := l.upAgain(ctx, progress); err != nil {
		return err
	}
	return progress.Step("node and name service ready", func() error { return l.awaitClusterReady(ctx, readyLimit) })
}

func (l Layout) upAgain(ctx context.Context, progress *Progress) error {
	runtime, err := l.builtTool(ctx, "containerd")
	if err != nil {
		return err
	}
	kubernetes, err := l.builtTool(ctx, "kubernetes")
	if err != nil {
		return err
	}
	if err := l.up(ctx, progress, l.containerd(runtime)); err != nil {
		return err
	}
	return l.up(ctx, progress, l.kubelet(kubernetes))
}
