// SPDX-License-Identifier: Apache-2.0

// Package backup has every Tenant that names a BackupPolicy backed up to each of its destinations, under keys of its own,
// and says on the Tenant whether that is true right now: BackedUp, PointInTimeRecoverable, Recoverable, Retained.
//
//	Tenant ───┐       watches: policies, Jobs, CronJobs, Backups, Restores, namespaces
//	Policy ───┤                                   │
//	          ▼                                   ▼
//	┌─ Reconcile ───────────────────────────────────────────────────────────────────┐
//	│ observe    cached reads into the scope                             observe.go │
//	│ secrets    keys + credentials + policy → Secrets; only if due                  │
//	│            keys.go, credentials.go, escrow.go, secrets.go                      │
//	│ collect    what Jobs that ended left behind → Backups, status       collect.go │
//	│ ask        the archiver how far each destination is, each minute     report.go │
//	│ rotate     which generations of the repositories there are         rotation.go │
//	│ plan       what each destination needs next (pure)                     plan.go │
//	│ run        CronJobs; a Job of ours while its CronJob is suspended       run.go │
//	│ judge      conditions by destination; the whole is its worst (pure)   judge.go │
//	└─ status    one write if something changed; then Jobs are marked       status.go ┘
//
//	jobs.go, volumes.go   the one way to build a Job, also those of restores
//	policy.go             a BackupPolicy that is in use does not vanish
//	engine (pure)         configuration for the engine, and its answers;  agent: what runs in the pods
//
// What a newcomer should know first:
//
//   - No two Jobs ever work on one repository. CronJobs forbid a second one of their own; the operator suspends the
//     CronJob, waits a moment, asks the API server that no Job is active, and only then makes its own.
//   - A Job that failed, or hangs until its deadline, blocks nothing: the next one is due by the age of what the
//     destination holds, with growing pauses.
//   - Keys are made once and never replaced: to rotate one is to begin another repository. They stay when the Tenant goes,
//     and so does every repository.
//   - A Secret is read only when something changed, or when its audit is due: Secrets are not watched.
//   - Evidence ages. What was not seen for long becomes Unknown, also if nobody says that it is wrong.
//   - What a lost status took along is found again: by the next backup, the next report, the next verification.
package backup
