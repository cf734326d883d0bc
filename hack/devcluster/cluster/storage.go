// SPDX-License-Identifier: Apache-2.0

package cluster

import "github.com/freehold-dev/freehold/hack/devcluster/provision"

const (
	// StorageClass is the default class.
	StorageClass = "devcluster-local"
	// LimitedStorageClass is the class whose volumes are as large as their claims say, and can be full.
	LimitedStorageClass = "devcluster-limited"
	// Provisioner is the name of the program that makes its volumes.
	Provisioner = provision.Name
)
