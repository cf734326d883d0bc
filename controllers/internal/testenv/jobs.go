// SPDX-License-Identifier: Apache-2.0

package testenv

import (
	"context"
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// EndPod makes the pod of a Job, whose container has ended as told.
func EndPod(ctx context.Context, c client.Client, job *batchv1.Job, container string, ended *corev1.ContainerStateTerminated) error {
	template := job.Spec.Template.DeepCopy()
	labels := template.Labels
	labels[batchv1.JobNameLabel], labels[batchv1.ControllerUidLabel] = job.Name, string(job.UID)
	spec := template.Spec
	spec.ServiceAccountName, spec.DeprecatedServiceAccount = "", ""
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: job.Name + "-x", Namespace: job.Namespace, Labels: labels}, Spec: spec}
	if err := c.Create(ctx, pod); err != nil {
		return fmt.Errorf("making the pod of Job %s/%s: %w", job.Namespace, job.Name, err)
	}
	pod.Status.Phase = corev1.PodSucceeded
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: container, State: corev1.ContainerState{Terminated: ended}}}
	return c.Status().Update(ctx, pod)
}

// EndJob ends a Job, well or for a reason of Kubernetes', after a minute's work.
func EndJob(ctx context.Context, c client.Client, job *batchv1.Job, at time.Time, good bool, reason string) error {
	now := metav1.NewTime(at)
	job.Status.StartTime = ptr.To(metav1.NewTime(now.Add(-time.Minute)))
	condition := func(kind batchv1.JobConditionType) batchv1.JobCondition {
		return batchv1.JobCondition{Type: kind, Status: corev1.ConditionTrue, Reason: reason, LastTransitionTime: now, LastProbeTime: now}
	}
	if good {
		job.Status.Succeeded, job.Status.CompletionTime = 1, &now
		job.Status.Conditions = []batchv1.JobCondition{condition(batchv1.JobSuccessCriteriaMet), condition(batchv1.JobComplete)}
	} else {
		job.Status.Failed = 1
		job.Status.Conditions = []batchv1.JobCondition{condition(batchv1.JobFailureTarget), condition(batchv1.JobFailed)}
	}
	return c.Status().Update(ctx, job)
}
