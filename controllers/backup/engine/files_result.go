// SPDX-License-Identifier: Apache-2.0

package engine

import "time"

// FilesResult is what the container meta.ContainerFiles leaves as its termination message: what became of the
// application's data in a Job. It has the same bounds as Result, and its failures the same reasons.
type FilesResult struct {
	// Job is JobBackup, JobVerify or JobRestore.
	Job string `json:"job"`
	// Destination that the Job worked with.
	Destination string `json:"destination"`
	// Failure is set if the Job did not do what it was for; what it did before stands in the other fields. A snapshot may
	// stand beside a failure: then files could not be read, and are missing in it.
	Failure *Failure `json:"failure,omitempty"`
	// Snapshot that was made. If files are missing in it, Failure says which.
	Snapshot *Snapshot `json:"snapshot,omitempty"`
	// Found is how many snapshots that can be restored the destination held when the Job began; nil if that is not known.
	Found *int `json:"found,omitempty"`
	// Catalogue of the destination after the Job, of JobBackup only.
	Catalogue *FilesCatalogue `json:"catalogue,omitempty"`
	// Expiry is what was removed. HeldForWindow and Held mean the same as for base backups.
	Expiry *Expiry `json:"expiry,omitempty"`
	// Recovery is what a restore or a verification brought back.
	Recovery *FilesRecovery `json:"recovery,omitempty"`
}

// Snapshot is the application's data as it was found at one time.
type Snapshot struct {
	// ID in the repository: 64 hexadecimal digits.
	ID string `json:"id"`
	// Original is the ID that it was first stored under; empty if that is the same.
	Original string `json:"-"`
	// Unfinished says that files are missing in it, or that nobody came to see whether any are. It is never restored.
	Unfinished bool `json:"unfinished,omitempty"`
	// StartedAt is when the first file was read, FinishedAt when the last one had been. What a snapshot holds was written
	// before FinishedAt.
	StartedAt  time.Time `json:"startedAt"`
	FinishedAt time.Time `json:"finishedAt"`
	// Files that it holds, folders not counted, and their size.
	Files int64 `json:"files"`
	Bytes int64 `json:"bytes"`
	// RepositoryBytes is what it added to the repository.
	RepositoryBytes int64 `json:"repositoryBytes"`
}

// FilesCatalogue is what a destination holds of one tenant's application.
type FilesCatalogue struct {
	// Snapshots is how many there are that can be restored, Unfinished how many others.
	Snapshots  int `json:"snapshots"`
	Unfinished int `json:"unfinished,omitempty"`
	// RepositoryBytes is what all of them added to the repository when they were made.
	RepositoryBytes int64 `json:"repositoryBytes"`
	// Oldest and Newest are the first and the last one by time that can be restored; nil if there is none.
	Oldest *Snapshot `json:"oldest,omitempty"`
	Newest *Snapshot `json:"newest,omitempty"`
	// EarliestStarted is when the oldest of all was begun, whether it can be restored or not; zero if there is none.
	EarliestStarted time.Time `json:"earliestStarted,omitzero"`
}

// FilesRecovery is what was brought back of the application's data.
type FilesRecovery struct {
	// Snapshot that was brought back.
	Snapshot Snapshot `json:"snapshot"`
	// Target that was asked for; zero for the latest.
	Target time.Time `json:"target,omitzero"`
	// Later says that the snapshot is from after the target, since there is none from before. Only a verification, for
	// which any snapshot is a proof, takes such a one.
	Later bool `json:"later,omitempty"`
	// Files and Bytes that lie on the volume now, each of them compared with the snapshot.
	Files int64 `json:"files"`
	Bytes int64 `json:"bytes"`
	// Seconds that it took.
	Seconds int `json:"seconds"`
}
