// SPDX-License-Identifier: Apache-2.0

// Package tenant turns a Tenant into a running instance and keeps it so.
//
//	Tenant ──┐        watches: children by label, classes, namespaces, volumes, the CRD
//	Class ───┤                                   │
//	         ▼                                   ▼
//	┌─ Reconcile ───────────────────────────────────────────────────────────────┐
//	│ observe      cached reads into the scope                       observe.go │
//	│ identify     which instance is this? mint, keep or adopt     namespace.go │
//	│ conflicts    an older Tenant has the hostname or address     conflicts.go │
//	│ plan         what the volumes, the database and the class say     plan.go │
//	│ walls        namespace, role, quota, network policies          objects.go │
//	│ secrets      escrow → Secrets; only if due              secrets.go, audit.go │
//	│ live         config, services, claims, budgets                 objects.go │
//	│ hurry        the kubelet shall look at the gate's lists now      hurry.go │
//	│ revise       which revision runs? first, next, older, lost    revision.go │
//	│ workloads    built from the stored revision only             workloads.go │
//	│ volumes      PersistentVolumes are kept (Retain)               volumes.go │
//	│ prune        ours, but not wanted any more                       prune.go │
//	└─ status      one setter per condition, one write if changed    status.go ─┘
//
//	render (pure): Tenant + class + facts ─► live objects, and the revision that today would make
//	apply:         one object at a time, nothing written if it already is as wanted
//
// What a newcomer should know first:
//
//   - Workloads never come from today's class or code. They come from the ControllerRevision with the highest
//     number in the tenant's namespace; today's rendering only becomes the next one when somebody approves it.
//   - Nothing is owned by the Tenant through ownerReferences: garbage collection can neither stop a customer nor
//     delete data. Children carry labels; watches map the labels back to the Tenant.
//   - The instance ID on the namespace is the identity, not the Tenant's name or UID.
//   - Restores reach the instance through annotations of its namespace (meta/backup.go): which claim the database runs on
//     (claims.go), whether it is stopped for a restore or waits to be filled (restore.go). A new instance that is filled from
//     backups takes over what the other's application was given (inherit.go).
//   - A converged Tenant costs no request. Secrets, which are not watched, are audited at a pace of their own.
//   - A step that fails stops those that depend on it and no others; Reconcile retries, waits or gives up
//     (Stalled) according to the kind of error, see stall.go.
package tenant
