// SPDX-License-Identifier: Apache-2.0

package meta

const (
	// PortCanary is where the canary listens, which no wall lets a tenant's pod reach.
	PortCanary = 9444
	// PortPoint is where a probe point outside the cluster answers the operator.
	PortPoint = 9445
	// CanaryService is the headless Service of the canary in the operator's namespace.
	CanaryService = "freehold-canary"
	// ContainerProbe is the one container of a pod that makes the attempts of a proof.
	ContainerProbe = "probe"
	// ContainerWalls is the first init container of every pod of an instance.
	ContainerWalls = "wait-for-walls"
	// TerminationLog is where a container leaves its last words for the kubelet.
	TerminationLog = "/dev/termination-log"
)
