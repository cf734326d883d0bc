// SPDX-License-Identifier: Apache-2.0

// Package images builds the container images of the local cluster without Docker and without a registry.
//
// An image has at most three layers, from the one that changes least to the one that changes most:
//
//  1. a Debian root file system made by mmdebstrap from hack/images/NAME/packages.txt (about half a minute;
//     cached by the hash of everything that decides its content, rebuilt for newer packages by Options.Refresh),
//  2. a few small files, for images without Debian,
//  3. one static program: Freehold itself, or a third party's.
//
// So a change of Freehold's code rebuilds only the last layer. Results are docker-archives in the cache
// directory, with fixed timestamps: equal inputs give an equal image ID, by which a caller decides whether to
// import an archive again. Layers are stored uncompressed, because the archive never leaves the machine and
// compressing and expanding it would be most of the time of a cold start.
//
// The Dockerfile at the root of the repository builds manager, postgres and edge from the same package lists
// and scripts for real registries.
//
// Building a Debian layer needs the Debian packages of [RequiredPackages] and, in practice, root. [Rootfs]
// unpacks such a layer, so that tests can run the very haproxy and postgres of the images on the host.
package images
