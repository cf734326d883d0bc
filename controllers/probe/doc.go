// SPDX-License-Identifier: Apache-2.0

// Package probe proves the promises of a Tenant by packets: its walls (Isolated) and its encryption
// (EncryptedInTransit). Evidence ages: what was not proven for long becomes Unknown.
//
//	due? ── now and then, after a change of the Tenant or its walls ─────────── schedule.go
//	  │
//	  ▼   one round, for a Tenant and a neighbour of it at the same time
//	look      where the instances' pods are, what strangers put there ────────── look.go
//	plan      who tries to reach what, and shall or shall not (pure) ─────────── plan.go
//	pods      one short-lived pod per role, with its policy label but behind
//	          no Service, makes the attempts (agent prove, controllers/internal/dial) ─ pods.go
//	operator  makes its own: it stands where no tenant's policy holds ────────── round.go
//	judge     denials count only beside a success to the same target (pure) ──── judge.go
//	status    proofs and conditions, one write; the pods are deleted ─────────── status.go
//
// What a newcomer should know first:
//
//   - A failed connection proves nothing by itself: perhaps nobody listens. It counts if at the same time somebody
//     who may reach the target did. Otherwise the claim is Unknown, never True.
//   - Two Tenants share a round, because whether one reaches the other's database is only known if the other's own
//     application reached it at that time.
//   - Pods of a proof have no token, and the operator reads their answer from their status. Nothing is left behind;
//     what a killed operator left, the next round removes.
//   - A round is kept in memory. A restarted operator goes by the time in status.proofs and starts another.
package probe
