// SPDX-License-Identifier: Apache-2.0

// Package render says what one tenant is made of. It is pure: the same Inputs always give the same objects, it
// knows no client and no clock, and nothing that it returns is shared with what it was given.
//
//	Inputs ──┬─ Live ─────────► Objects    what may change at any time without a restart; applied at once
//	         └─ NewRevision ──► Revision   pod templates and their immutable ConfigMaps; only *proposed*
//	                              │
//	  stored ControllerRevision ──┴─ Workloads ─► StatefulSets and Deployment, as they are applied
//
// The contract, and how a caller could break it:
//
//   - Workloads must be made from the revision that was stored (DecodeRevision), never from today's NewRevision:
//     otherwise an edit of a class or an upgrade of the operator restarts every customer.
//   - Live looks at Inputs.Running, because walls, quota and certificates must fit what runs as well as what
//     waits for approval. Forgetting to pass it cuts off a running application whose port differs.
//   - client.Apply decodes the server's answer into the apply configuration that it is given. What this package
//     returns is built anew for each call; do not apply one and then compare it.
//   - Everything follows the rules by which an applied object can be recognised as unchanged: server defaults are
//     written out inside atomic lists, zero values that Go drops and empty maps and lists never are.
//   - Strings of users are checked again here, although the CRDs check them first: an InvalidError, never a
//     configuration file with a line too many.
package render
