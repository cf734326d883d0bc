// SPDX-License-Identifier: Apache-2.0

// Package probe serves small JSON answers over plain HTTP for the kubelet. The answers hold no secrets, but they
// are told to everyone who reaches the port: the tenant's NetworkPolicies admit nobody to it.
package probe
