// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// look reads what a round needs to know of a Tenant, from the API server: caches hold neither pods nor what strangers
// put there. It removes what an earlier round left behind.
func (r *Reconciler) look(ctx context.Context, tenant *v1alpha1.Tenant) (*member, error) {
	m := &member{
		tenant: tenant, name: tenant.Name, namespace: tenant.Status.Namespace, pods: map[role][]instancePod{},
		databaseHost: meta.DatabaseHost(tenant.Status.Namespace, r.options.ClusterDomain),
		appHost:      meta.AppHost(tenant.Status.Namespace, r.options.ClusterDomain),
	}
	return m, errors.Join(r.lookAtPods(ctx, m), r.lookForStrangers(ctx, m), r.lookAtVolumes(ctx, m), r.lookAtNames(ctx, m))
}

func (r *Reconciler) lookAtPods(ctx context.Context, m *member) error {
	var pods corev1.PodList
	if err := r.api.List(ctx, &pods, client.InNamespace(m.namespace), client.MatchingLabels{v1alpha1.LabelTenant: m.name}); err != nil {
		return fmt.Errorf("listing the pods in namespace %s: %w", m.namespace, err)
	}
	var errs []error
	for i := range pods.Items {
		pod := &pods.Items[i]
		if pod.Labels[v1alpha1.LabelProbe] != "" {
			errs = append(errs, r.removePod(ctx, pod))
			continue
		}
		if part := role(pod.Labels[v1alpha1.LabelServes]); slices.Contains(partRoles, part) && serves(pod) {
			m.pods[part] = append(m.pods[part], describe(pod))
		}
	}
	return errors.Join(errs...)
}

// serves reports whether a pod takes connections now, and will for the time of a round.
func serves(pod *corev1.Pod) bool {
	ready := slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
	return ready && pod.DeletionTimestamp == nil && pod.Status.PodIP != ""
}

func describe(pod *corev1.Pod) instancePod {
	made := instancePod{address: pod.Status.PodIP}
	for _, container := range pod.Spec.Containers {
		for _, port := range container.Ports {
			switch {
			case port.Name == meta.AppPortName:
				made.appPort = port.ContainerPort
			case port.ContainerPort == meta.PortEdgeProbe:
				made.door = true
			}
		}
		made.appTLS = made.appTLS || slices.ContainsFunc(container.VolumeMounts, func(v corev1.VolumeMount) bool {
			return container.Name == meta.ContainerApp && v.MountPath == meta.TLSDir
		})
	}
	return made
}

// walls are the kinds by which a stranger could open a tenant's walls.
var walls = []schema.GroupVersionKind{
	networkingv1.SchemeGroupVersion.WithKind("NetworkPolicy"),
	corev1.SchemeGroupVersion.WithKind("Service"),
	rbacv1.SchemeGroupVersion.WithKind("RoleBinding"),
}

// lookForStrangers fills foreign: objects without the instance's label.
func (r *Reconciler) lookForStrangers(ctx context.Context, m *member) error {
	for _, kind := range walls {
		list := &metav1.PartialObjectMetadataList{}
		list.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
		if err := r.api.List(ctx, list, client.InNamespace(m.namespace)); err != nil {
			return fmt.Errorf("listing the %s objects in namespace %s: %w", kind.Kind, m.namespace, err)
		}
		for _, item := range list.Items {
			if item.Labels[v1alpha1.LabelInstance] != m.tenant.Status.InstanceID {
				m.foreign = append(m.foreign, kind.Kind+"/"+item.Name)
			}
		}
	}
	slices.Sort(m.foreign)
	return nil
}

// lookAtVolumes fills volumes: who attests the storage classes of the instance's claims.
func (r *Reconciler) lookAtVolumes(ctx context.Context, m *member) error {
	var claims corev1.PersistentVolumeClaimList
	if err := r.client.List(ctx, &claims, client.InNamespace(m.namespace), client.MatchingLabels{v1alpha1.LabelTenant: m.name}); err != nil {
		return fmt.Errorf("listing the volume claims in namespace %s: %w", m.namespace, err)
	}
	m.volumes = attestation{by: map[string]string{}, claims: len(claims.Items)}
	for i := range claims.Items {
		name := ptr.Deref(claims.Items[i].Spec.StorageClassName, "")
		if _, known := m.volumes.by[name]; known || name == "" {
			continue
		}
		class := &storagev1.StorageClass{}
		err := r.api.Get(ctx, types.NamespacedName{Name: name}, class)
		if client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("reading StorageClass %s: %w", name, err)
		}
		m.volumes.by[name] = class.Annotations[v1alpha1.AnnotationEncryptionAttestedBy]
	}
	return nil
}

// lookAtNames fills the names of database and owner.
func (r *Reconciler) lookAtNames(ctx context.Context, m *member) error {
	remembered := &corev1.ConfigMap{}
	key := types.NamespacedName{Namespace: m.namespace, Name: meta.InstanceConfigMap}
	if err := r.client.Get(ctx, key, remembered); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("reading ConfigMap %s: %w", key, err)
	}
	m.databaseName, m.databaseUser = remembered.Data[meta.KeyInstanceDatabase], remembered.Data[meta.KeyInstanceUser]
	return nil
}

// FindCanary finds the listener that no policy protects: its Service is headless, so its name is the pod's address.
func FindCanary(namespace, clusterDomain string) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		found, err := net.DefaultResolver.LookupHost(ctx, meta.CanaryService+"."+namespace+".svc."+clusterDomain+".")
		if err != nil {
			return "", fmt.Errorf("finding the canary: %w", err)
		}
		return hostPort(found[0], meta.PortCanary), nil
	}
}
