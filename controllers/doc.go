// SPDX-License-Identifier: Apache-2.0

// Package controllers is the one list of what runs inside the manager: the controllers, the indexes they need and
// what the caches hold. Each controller lives in a package of its own and knows nothing of the others; they meet in
// API objects.
package controllers
