// SPDX-License-Identifier: Apache-2.0

package cluster

import "github.com/freehold-dev/freehold/hack/devcluster/provision"

const (
	// StorageClass is the default class.
	StorageClass = "devcluster-local"
	// Provisioner is the name of the program that makes its volumes.
	Provisioner = provision.Name
)
