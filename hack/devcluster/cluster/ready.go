// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// awaitClusterReady waits until the node accepts pods, the name service answers, and what the API server says about
// containers is true again: after a crash it shows pods as ready that have died, until the kubelet has looked.
func (l Layout) awaitClusterReady(ctx context.Context, limit time.Duration) error {
	client, err := l.client()
	if err != nil {
		return err
	}
	return poll(ctx, limit, func(ctx context.Context) error {
		return errors.Join(nodeReady(ctx, client), dnsReady(ctx, client), reportsTrue(ctx, client))
	})
}

// reportsTrue fails while the API server reports a container as running that does not run.
func reportsTrue(ctx context.Context, client kubernetes.Interface) error {
	pods, err := client.CoreV1().Pods("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	running, err := criRunning(ctx)
	if err != nil {
		return err
	}
	return falseReport(pods.Items, running)
}

// falseReport names a pod with a container that is reported as running and is not among the running ones.
func falseReport(pods []corev1.Pod, running map[string]bool) error {
	for _, pod := range pods {
		for _, status := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
			if status.State.Running != nil && !running[status.ContainerID] {
				return fmt.Errorf("container %s of pod %s/%s has ended and is still reported as running",
					status.Name, pod.Namespace, pod.Name)
			}
		}
	}
	return nil
}

func nodeReady(ctx context.Context, client kubernetes.Interface) error {
	node, err := client.CoreV1().Nodes().Get(ctx, NodeName, metav1.GetOptions{})
	if err != nil {
		return err
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			if condition.Status == corev1.ConditionTrue {
				return nil
			}
			return fmt.Errorf("node is not Ready: %s", condition.Message)
		}
	}
	return errors.New("node has not reported yet")
}

func dnsReady(ctx context.Context, client kubernetes.Interface) error {
	deployment, err := client.AppsV1().Deployments("kube-system").Get(ctx, "coredns", metav1.GetOptions{})
	if err != nil {
		return err
	}
	if deployment.Status.ObservedGeneration < deployment.Generation || deployment.Status.AvailableReplicas == 0 {
		return errors.New("name service (kube-system/coredns) has no available pod")
	}
	return nil
}
