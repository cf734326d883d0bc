// SPDX-License-Identifier: Apache-2.0

// Package meta holds the names of what Freehold makes for a tenant: objects, labels, files inside pods, ports.
// Builders, controllers and the in-pod agent share them, so that each name stands in one place. It knows no
// client and decides nothing.
package meta
