// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// RestartNode does to the node what a power cut does: kubelet, runtime and every container die at once, without any
// chance to stop in order, and then start again on the same volumes. The control plane keeps running. It returns
// when the kubelet has noticed, that is when no container of before is reported as running; the pods may then still
// be starting.
func RestartNode(ctx context.Context, l Layout, progress *Progress) error {
	client, err := l.client()
	if err != nil {
		return err
	}
	before, err := runningContainers(ctx, client)
	if err != nil {
		return fmt.Errorf("the cluster does not answer; is it up? %w", err)
	}
	err = progress.Step("killing the node with its containers", func() error {
		return errors.Join(l.stopAll(ctx, syscall.SIGKILL, "kubelet", "containerd"), killAll(ctx, podProcesses), killAll(ctx, shims))
	})
	if err != nil {
		return err
	}
	if err := l.upAgain(ctx, progress); err != nil {
		return err
	}
	return progress.Step("node has noticed the loss of its containers", func() error {
		return poll(ctx, readyLimit, func(ctx context.Context) error { return noneReported(ctx, client, before) })
	})
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

// runningContainers returns the ids of containers that the API server believes to run, with their pods' names.
func runningContainers(ctx context.Context, client kubernetes.Interface) (map[string]string, error) {
	pods, err := client.CoreV1().Pods("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	ids := map[string]string{}
	for _, pod := range pods.Items {
		statuses := append(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses...)
		for _, status := range statuses {
			if status.State.Running != nil {
				ids[status.ContainerID] = pod.Namespace + "/" + pod.Name
			}
		}
	}
	return ids, nil
}

func noneReported(ctx context.Context, client kubernetes.Interface, before map[string]string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	now, err := runningContainers(ctx, client)
	if err != nil {
		return err
	}
	for id, pod := range now {
		if before[id] != "" {
			return fmt.Errorf("a container of %s that was killed is still reported as running", pod)
		}
	}
	return nodeReady(ctx, client)
}
