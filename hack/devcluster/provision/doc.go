// SPDX-License-Identifier: Apache-2.0

// Package provision makes, grows and deletes the local cluster's volumes: folders on the node, served as `local`
// PersistentVolumes, which (unlike hostPath) honour a pod's fsGroup.
//
// It behaves as a cloud's provisioner does where operators depend on it: a volume gets its class's reclaim policy,
// and the folder of a released volume whose policy is Delete at that moment is deleted. Changing a volume's policy to
// Retain before that keeps the data. A claim of a WaitForFirstConsumer class gets its volume once the scheduler has
// chosen a node.
//
// Unlike most it has no size limits: a folder may outgrow its claim, and growing a claim always succeeds at once. A class
// with the parameter "size: limited" has them: each of its volumes is a file system of its own, in a sparse file beside
// the folder that it is mounted at.
package provision
