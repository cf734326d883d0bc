// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// awaitClusterReady waits until the node accepts pods and the name service answers.
func (l Layout) awaitClusterReady(ctx context.Context, limit time.Duration) error {
	client, err := l.client()
	if err != nil {
		return err
	}
	return poll(ctx, limit, func(ctx context.Context) error {
		return errors.Join(nodeReady(ctx, client), dnsReady(ctx, client))
	})
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
