// SPDX-License-Identifier: Apache-2.0

package engine

import "time"

// The kinds of Jobs, as they stand in v1alpha1.LabelBackupJob and in Result.Job.
const (
	// JobBackup makes a base backup in one destination, removes what has expired there and reads the catalogue.
	JobBackup = "backup"
	// JobExpire only removes what has expired in one destination and reads the catalogue: of an instance that is
	// suspended, and makes no base backups.
	JobExpire = "expire"
	// JobCreate makes a repository in one destination, and nothing in it.
	JobCreate = "create"
	// JobDestroy removes a repository of one destination of which nothing is to be kept any more.
	JobDestroy = "destroy"
	// JobVerify restores a backup into a throw-away volume and looks at what came back.
	JobVerify = "verify"
	// JobRestore restores into a volume of the instance.
	JobRestore = "restore"
	// JobRevert makes a volume that was put aside ready to be the database's again.
	JobRevert = "revert"
)

// Failure is why something did not work, in words for the person on call.
type Failure struct {
	// Reason is one of the Failed… constants.
	Reason string `json:"reason"`
	// Message says what failed and what to do, at most 1,000 characters; it never holds a key.
	Message string `json:"message"`
}

// The reasons of a Failure. They tell apart what a person has to mend at different places.
const (
	// FailedUnreachable: the destination does not answer, or not in time.
	FailedUnreachable = "Unreachable"
	// FailedRefused: the destination does not accept the credentials.
	FailedRefused = "Refused"
	// FailedCertificate: the destination shows a certificate, or a host key, that is not trusted.
	FailedCertificate = "Untrusted"
	// FailedKey: what is stored cannot be read with the tenant's key.
	FailedKey = "WrongKey"
	// FailedFull: the destination takes no more.
	FailedFull = "Full"
	// FailedDamaged: what is stored, or what came back, is damaged.
	FailedDamaged = "Damaged"
	// FailedForeign: the repository belongs to another database.
	FailedForeign = "ForeignRepository"
	// FailedTarget: the target of a restore cannot be reached.
	FailedTarget = "TargetUnreachable"
	// FailedAssertion: restored data does not fulfil an assertion.
	FailedAssertion = "AssertionFailed"
	// FailedDatabase: the database's pgBackRest server does not answer, or the database takes no connections.
	FailedDatabase = "DatabaseUnreachable"
	// FailedNoResult: the Job's pod ended, or was ended, without telling what came of it.
	FailedNoResult = "NoResult"
	// FailedEngine: anything else; the message has the engine's own words.
	FailedEngine = "EngineFailed"
)

// Result is what a Job's pod leaves as its termination message, in at most 4096 bytes of JSON.
type Result struct {
	// Job is one of the Job… constants.
	Job string `json:"job"`
	// Destination that the Job worked with; empty for JobRevert.
	Destination string `json:"destination,omitempty"`
	// Failure is set if the Job did not do what it was for; what it did before stands in the other fields.
	Failure *Failure `json:"failure,omitempty"`
	// Backup that was made.
	Backup *Backup `json:"backup,omitempty"`
	// Catalogue of the destination after the Job.
	Catalogue *Catalogue `json:"catalogue,omitempty"`
	// Expiry is what was removed.
	Expiry *Expiry `json:"expiry,omitempty"`
	// Recovery is what a restore or a verification reached.
	Recovery *Recovery `json:"recovery,omitempty"`
}

// Backup is one base backup.
type Backup struct {
	Label      string    `json:"label"`
	Full       bool      `json:"full"`
	StartedAt  time.Time `json:"startedAt"`
	FinishedAt time.Time `json:"finishedAt"`
	StartLSN   string    `json:"startLSN"`
	StopLSN    string    `json:"stopLSN"`
	// RepositoryBytes is what the backup added, DatabaseBytes what the database had.
	RepositoryBytes int64 `json:"repositoryBytes"`
	DatabaseBytes   int64 `json:"databaseBytes"`
	// Damaged says that pages with wrong checksums were found in the database.
	Damaged bool `json:"damaged,omitempty"`
}

// Catalogue is what a destination holds of one tenant.
type Catalogue struct {
	// Backups is how many complete base backups there are, Fulls how many of them are full.
	Backups int `json:"backups"`
	Fulls   int `json:"fulls"`
	// RepositoryBytes of all of them.
	RepositoryBytes int64 `json:"repositoryBytes"`
	// Oldest and Newest are the labels of the first and the last base backup by time.
	Oldest string `json:"oldest,omitempty"`
	Newest string `json:"newest,omitempty"`
	// RecoverableFrom is when the oldest base backup had ended from which on no segment of the write-ahead log is missing
	// until the newest one, as the archive's list of files shows; zero if there is none.
	RecoverableFrom time.Time `json:"recoverableFrom,omitzero"`
	// NewestFinished is when the newest base backup ended; zero if there is none.
	NewestFinished time.Time `json:"newestFinished,omitzero"`
	// OldestStarted is when the oldest base backup began; zero if there is none.
	OldestStarted time.Time `json:"oldestStarted,omitzero"`
}

// Expiry is what became of backups whose time has come.
type Expiry struct {
	// Removed are the labels that were removed, at most twenty of them.
	Removed []string `json:"removed,omitempty"`
	// Planned is how many were about to be removed when the Job was ended, or failed, while it did: the catalogue is that of
	// before. Unknown says that the pod is gone, and nobody knows whether it had begun.
	Planned int  `json:"planned,omitempty"`
	Unknown bool `json:"-"`
	// Held says that expired backups were kept, since no newer full one has been verified.
	Held bool `json:"held,omitempty"`
	// HeldForWindow says that expired backups were kept, since every minute of the window is restored from them.
	HeldForWindow bool `json:"heldForWindow,omitempty"`
	// Failure is set if expired backups could not be removed, or if what is left could not be listed.
	Failure *Failure `json:"failure,omitempty"`
}

// Recovery is what a restore reached.
type Recovery struct {
	// Backup is the label of the base backup that it began with.
	Backup string `json:"backup"`
	// Target that was asked for; zero for the latest.
	Target time.Time `json:"target,omitzero"`
	// Reached is when the last transaction before the end of the recovery was committed.
	Reached time.Time `json:"reached,omitzero"`
	// Heartbeat is the last beat that the restored database holds.
	Heartbeat time.Time `json:"heartbeat,omitzero"`
	// Seconds from the begin of the restore until the server took connections.
	Seconds int `json:"seconds"`
	// SystemIdentifier of the restored database.
	SystemIdentifier string `json:"systemIdentifier"`
	// Timeline that the restored database is on.
	Timeline int `json:"timeline"`
}
