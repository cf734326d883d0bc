// SPDX-License-Identifier: Apache-2.0

package testenv

import (
	"context"
	"errors"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Play does, once, what Kubernetes' controllers, the kubelet, the storage and the load balancer would do in a namespace:
// all pods are ready, the Services of type LoadBalancer have an address, the claims have volumes.
func Play(ctx context.Context, c client.Client, namespace string) error {
	return errors.Join(
		playStatefulSets(ctx, c, namespace),
		playDeployments(ctx, c, namespace),
		playLoadBalancers(ctx, c, namespace),
		BindClaims(ctx, c, namespace))
}

func playStatefulSets(ctx context.Context, c client.Client, namespace string) error {
	var sets appsv1.StatefulSetList
	if err := c.List(ctx, &sets, client.InNamespace(namespace)); err != nil {
		return fmt.Errorf("listing StatefulSets: %w", err)
	}
	for i := range sets.Items {
		set := &sets.Items[i]
		n := ptr.Deref(set.Spec.Replicas, 1)
		err := changeStatus(ctx, c, set, func() {
			set.Status = appsv1.StatefulSetStatus{ObservedGeneration: set.Generation, Replicas: n, ReadyReplicas: n, UpdatedReplicas: n, CurrentReplicas: n, AvailableReplicas: n, CurrentRevision: "r", UpdateRevision: "r"}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func playDeployments(ctx context.Context, c client.Client, namespace string) error {
	var deployments appsv1.DeploymentList
	if err := c.List(ctx, &deployments, client.InNamespace(namespace)); err != nil {
		return fmt.Errorf("listing Deployments: %w", err)
	}
	for i := range deployments.Items {
		deployment := &deployments.Items[i]
		n := ptr.Deref(deployment.Spec.Replicas, 1)
		err := changeStatus(ctx, c, deployment, func() {
			deployment.Status = appsv1.DeploymentStatus{ObservedGeneration: deployment.Generation, Replicas: n, ReadyReplicas: n, UpdatedReplicas: n, AvailableReplicas: n}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func playLoadBalancers(ctx context.Context, c client.Client, namespace string) error {
	var services corev1.ServiceList
	if err := c.List(ctx, &services, client.InNamespace(namespace)); err != nil {
		return fmt.Errorf("listing Services: %w", err)
	}
	for i := range services.Items {
		service := &services.Items[i]
		if service.Spec.Type != corev1.ServiceTypeLoadBalancer {
			continue
		}
		err := changeStatus(ctx, c, service, func() {
			service.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "198.51.100.7", IPMode: ptr.To(corev1.LoadBalancerIPModeVIP)}}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// BindClaims makes a volume for each claim of a namespace, with the reclaim policy that clouds use.
func BindClaims(ctx context.Context, c client.Client, namespace string) error {
	var claims corev1.PersistentVolumeClaimList
	if err := c.List(ctx, &claims, client.InNamespace(namespace)); err != nil {
		return fmt.Errorf("listing claims: %w", err)
	}
	for i := range claims.Items {
		claim := &claims.Items[i]
		if claim.Status.Phase == corev1.ClaimBound {
			continue
		}
		if err := provide(ctx, c, claim); err != nil {
			return err
		}
		if err := changeStatus(ctx, c, claim, func() { claim.Status.Phase = corev1.ClaimBound }); err != nil {
			return err
		}
	}
	return nil
}

// provide makes the volume of a claim that names none.
func provide(ctx context.Context, c client.Client, claim *corev1.PersistentVolumeClaim) error {
	if claim.Spec.VolumeName != "" {
		return nil
	}
	volume := &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s-%s-%s", claim.Namespace, claim.Name, string(claim.UID)[:8])},
		Spec: corev1.PersistentVolumeSpec{
			Capacity:                      claim.Spec.Resources.Requests,
			AccessModes:                   claim.Spec.AccessModes,
			PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimDelete,
			ClaimRef:                      &corev1.ObjectReference{Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID},
			PersistentVolumeSource:        corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/tmp/" + claim.Name}},
		},
	}
	if err := c.Create(ctx, volume); err != nil {
		return fmt.Errorf("making the volume of claim %s: %w", claim.Name, err)
	}
	before := claim.DeepCopy()
	claim.Spec.VolumeName = volume.Name
	if err := c.Patch(ctx, claim, client.MergeFrom(before)); err != nil {
		return fmt.Errorf("binding claim %s: %w", claim.Name, err)
	}
	return nil
}

// changeStatus writes a status without minding who else writes the object.
func changeStatus(ctx context.Context, c client.Client, o client.Object, change func()) error {
	before := o.DeepCopyObject().(client.Object)
	change()
	if err := c.Status().Patch(ctx, o, client.MergeFrom(before)); err != nil {
		return fmt.Errorf("writing the status of %T %s/%s: %w", o, o.GetNamespace(), o.GetName(), err)
	}
	return nil
}
