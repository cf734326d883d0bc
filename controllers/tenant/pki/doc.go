// SPDX-License-Identifier: Apache-2.0

// Package pki makes and judges the certificates of one tenant: an internal authority (ECDSA P-256, ten years) and
// the leaf certificates that it issues (90 days, renewed after two thirds of their life).
//
// Nothing here is remembered and no clock is read: the time is an argument, so that tests and simulators can choose
// it. Only keys and serial numbers are random, from the system's source. Keys leave the process only as PEM that the
// caller stores.
//
// Misuse to avoid:
//   - making a new Authority for an instance that has one: every pod that trusts the old one breaks;
//   - taking a user's certificate over without Validate: the gate would refuse to load it, or serve a wrong one.
package pki
