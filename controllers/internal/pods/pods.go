// SPDX-License-Identifier: Apache-2.0

// Package pods says what the pods of an instance may do, those that run all the time and those of Jobs: nothing but what the
// Pod Security Standard "restricted" lets every pod do (https://kubernetes.io/docs/concepts/security/pod-security-standards/),
// and less.
package pods

import (
	corev1 "k8s.io/api/core/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
)

// Confine keeps a pod from the API server and from what Services put into environments, and makes it run as somebody who is
// not root.
func Confine(pod *corev1ac.PodSpecApplyConfiguration, who *corev1ac.PodSecurityContextApplyConfiguration) *corev1ac.PodSpecApplyConfiguration {
	return pod.WithAutomountServiceAccountToken(false).WithEnableServiceLinks(false).
		WithSecurityContext(who.WithRunAsNonRoot(true).
			WithFSGroupChangePolicy(corev1.FSGroupChangeOnRootMismatch).
			WithSeccompProfile(runtimeDefault()))
}

// Confined is what a container of such a pod may do: no capabilities, no way to get more, and no writing but into its volumes.
func Confined() *corev1ac.SecurityContextApplyConfiguration {
	return corev1ac.SecurityContext().
		WithAllowPrivilegeEscalation(false).WithReadOnlyRootFilesystem(true).WithRunAsNonRoot(true).
		WithCapabilities(corev1ac.Capabilities().WithDrop("ALL")).
		WithSeccompProfile(runtimeDefault())
}

func runtimeDefault() *corev1ac.SeccompProfileApplyConfiguration {
	return corev1ac.SeccompProfile().WithType(corev1.SeccompProfileTypeRuntimeDefault)
}
