// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	criapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// dialCRI connects to the container runtime as the kubelet does: through a socket that only root can open.
func dialCRI() (*grpc.ClientConn, error) {
	return grpc.NewClient("unix://"+Socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
}

func (l Layout) criImagePresent(ctx context.Context, reference string) (bool, error) {
	conn, err := dialCRI()
	if err != nil {
		return false, err
	}
	defer func() { _ = conn.Close() }()
	answer, err := criapi.NewImageServiceClient(conn).ImageStatus(ctx,
		&criapi.ImageStatusRequest{Image: &criapi.ImageSpec{Image: reference}})
	return err == nil && answer.GetImage() != nil, err
}

// criRunning returns the ids of the containers that really run, as the kubelet reports them.
func criRunning(ctx context.Context) (map[string]bool, error) {
	conn, err := dialCRI()
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	state := &criapi.ContainerStateValue{State: criapi.ContainerState_CONTAINER_RUNNING}
	answer, err := criapi.NewRuntimeServiceClient(conn).ListContainers(ctx,
		&criapi.ListContainersRequest{Filter: &criapi.ContainerFilter{State: state}})
	if err != nil {
		return nil, fmt.Errorf("list containers of the runtime: %w", err)
	}
	ids := map[string]bool{}
	for _, container := range answer.GetContainers() {
		ids["containerd://"+container.GetId()] = true
	}
	return ids, nil
}

// removeSandboxes removes every pod from the runtime, so that its kept content store does not remember them and the
// network plugin gives up their addresses and interfaces.
func removeSandboxes(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	conn, err := dialCRI()
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	runtime := criapi.NewRuntimeServiceClient(conn)
	pods, err := runtime.ListPodSandbox(ctx, &criapi.ListPodSandboxRequest{})
	if err != nil {
		return fmt.Errorf("list pods of the runtime: %w", err)
	}
	var group errgroup.Group
	group.SetLimit(8)
	for _, pod := range pods.GetItems() {
		group.Go(func() error {
			if _, err := runtime.StopPodSandbox(ctx, &criapi.StopPodSandboxRequest{PodSandboxId: pod.GetId()}); err != nil {
				return fmt.Errorf("stop pod %s: %w", pod.GetMetadata().GetName(), err)
			}
			_, err := runtime.RemovePodSandbox(ctx, &criapi.RemovePodSandboxRequest{PodSandboxId: pod.GetId()})
			return err
		})
	}
	return group.Wait()
}
