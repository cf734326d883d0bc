// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestADeadContainerReportedAsRunningIsNoticed(t *testing.T) {
	live := corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	ended := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}
	running := map[string]bool{"containerd://a": true, "containerd://b": true}
	for name, test := range map[string]struct {
		status corev1.PodStatus
		true   bool
	}{
		"all run":      {corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{ContainerID: "containerd://a", State: live}}}, true},
		"ended, known": {corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{ContainerID: "containerd://x", State: ended}}}, true},
		"not started":  {corev1.PodStatus{}, true},
		"died unseen":  {corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{ContainerID: "containerd://x", State: live}}}, false},
		"sidecar died unseen": {corev1.PodStatus{
			InitContainerStatuses: []corev1.ContainerStatus{{ContainerID: "containerd://x", State: live}},
			ContainerStatuses:     []corev1.ContainerStatus{{ContainerID: "containerd://b", State: live}},
		}, false},
	} {
		if err := falseReport([]corev1.Pod{{Status: test.status}}, running); (err == nil) != test.true {
			t.Errorf("%s: %v", name, err)
		}
	}
}
