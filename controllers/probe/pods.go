// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/dial"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// podDeadlineSeconds ends a pod that nobody removes; its attempts end long before.
const podDeadlineSeconds = 120

// probeUser is nobody in particular.
const probeUser = 65532

// pod makes the attempts of one role. It carries the role's policy label, so that the network takes it for a pod of
// that part, but not the label by which Services find theirs: no request of a customer ever reaches it.
func (r *Reconciler) pod(m *member, as role, attempts []dial.Attempt) (*corev1.Pod, error) {
	list, err := json.Marshal(attempts)
	if err != nil {
		return nil, fmt.Errorf("writing the attempts: %w", err)
	}
	labels := meta.Labels(m.name, m.tenant.Status.InstanceID, "probe")
	labels[v1alpha1.LabelPolicy], labels[v1alpha1.LabelProbe] = string(as), string(as)
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: podName(as), Namespace: m.namespace, Labels: labels},
		Spec: corev1.PodSpec{
			RestartPolicy:                 corev1.RestartPolicyNever,
			ActiveDeadlineSeconds:         ptr.To[int64](podDeadlineSeconds),
			TerminationGracePeriodSeconds: ptr.To[int64](0),
			AutomountServiceAccountToken:  ptr.To(false),
			EnableServiceLinks:            ptr.To(false),
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot: ptr.To(true), RunAsUser: ptr.To[int64](probeUser), RunAsGroup: ptr.To[int64](probeUser),
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers: []corev1.Container{r.container(string(list))},
			Volumes: []corev1.Volume{{Name: "trust", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
				LocalObjectReference: corev1.LocalObjectReference{Name: meta.TrustConfigMap}, Optional: ptr.To(true)}}}},
		},
	}, nil
}

func (r *Reconciler) container(attempts string) corev1.Container {
	limits := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("64Mi")}
	// It lives for seconds: a node that is full but for little still has to have a place for it.
	requests := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("10m"), corev1.ResourceMemory: resource.MustParse("64Mi")}
	return corev1.Container{
		Name: meta.ContainerProbe, Image: r.options.Image, ImagePullPolicy: r.options.PullPolicy,
		Command:   []string{meta.AgentBinary},
		Args:      []string{"agent", "prove", "--attempts=" + attempts},
		Resources: corev1.ResourceRequirements{Limits: limits, Requests: requests},
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: ptr.To(false), ReadOnlyRootFilesystem: ptr.To(true),
			Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		},
		VolumeMounts: []corev1.VolumeMount{{Name: "trust", MountPath: meta.TrustDir, ReadOnly: true}},
	}
}

func podName(as role) string { return "freehold-probe-" + string(as) }

// answer reads the outcomes of a pod that has ended; done is false while it has not.
func answer(pod *corev1.Pod) (outcomes []dial.Outcome, done bool) {
	if pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed {
		return nil, false
	}
	for _, status := range pod.Status.ContainerStatuses {
		if ended := status.State.Terminated; ended != nil && json.Unmarshal([]byte(ended.Message), &outcomes) == nil {
			return outcomes, true
		}
	}
	return nil, true
}

// removePod deletes exactly the pod that was looked at, at once.
func (r *Reconciler) removePod(ctx context.Context, pod *corev1.Pod) error {
	err := r.client.Delete(ctx, pod, client.GracePeriodSeconds(0), client.Preconditions{UID: ptr.To(pod.UID)})
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("removing pod %s/%s of a proof: %w", pod.Namespace, pod.Name, err)
	}
	return nil
}
