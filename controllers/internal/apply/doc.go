// SPDX-License-Identifier: Apache-2.0

// Package apply makes objects of the API server equal to what is desired, and writes nothing when they already are.
//
// Do decides from the cached object alone. It counts as unchanged when what we own equals what we want, and
// nobody else owns anything below what is ours alone; otherwise it is applied, and what a forced apply cannot
// take away (entries that others added) is removed by one Update. So a converged object costs no request, also
// right after a restart of the operator.
//
// Misuse to avoid:
//   - desired objects must follow the rules that let an extracted object equal them: every server default
//     inside atomic lists, no zero values, no empty maps and lists;
//   - the cache must keep managedFields of the kinds applied here, otherwise every object looks changed;
//   - nil as the live object means "the cache does not have it", which may also mean that somebody stripped its
//     labels: Do then reads it from the API server before it writes, and refuses what belongs to a stranger.
package apply
