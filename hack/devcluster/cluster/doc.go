// SPDX-License-Identifier: Apache-2.0

// Package cluster builds, starts, repairs and removes the local cluster: a real single-node Kubernetes made of
// plain processes on this machine, with no Docker and no registry; and beside it, as machines outside the cluster, the
// servers that backups go to (see [Sites]).
//
// [Up] is a list of steps that each leave alone what already runs as wanted: addresses, certificates, control
// plane, container runtime, backup sites, node, addons. Every process is recorded with its id, start time and a hash of
// what it was started with, so that a second Up restarts only what died or changed, a foreign process that inherited an
// id is never mistaken for ours, and [Down] ends nothing that Up did not start.
//
// Everything lives below one cache folder (see [Layout]): programs, images and the runtime's content survive Down,
// the cluster's state does not. Two commands never work at the same time: Up, Down and the others hold a file lock.
package cluster
