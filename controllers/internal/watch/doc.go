// SPDX-License-Identifier: Apache-2.0

// Package watch notices when files of mounted Secrets and ConfigMaps change, by reading them every second.
//
// The kubelet replaces such files by swapping a symbolic link, so two files read one after the other may belong
// to two generations. Apply must therefore check what it finds as a whole; what it refuses is tried again.
package watch
