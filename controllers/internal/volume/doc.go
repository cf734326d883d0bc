// SPDX-License-Identifier: Apache-2.0

// Package volume is how the programs in an instance's pods agree on whose database volume they have before them, and
// that only one of them works with it: a mark on the volume, and a lock on the mark.
//
// The mark is the only proof of whose data a volume holds. Write it last, when all that it vouches for is on disk.
package volume
