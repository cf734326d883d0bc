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
	// Snapshot that was made.
	Snapshot *Snapshot `json:"snapshot,omitempty"`
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
	// Snapshots is how many there are.
	Snapshots int `json:"snapshots"`
	// RepositoryBytes is what all of them added to the repository when they were made.
	RepositoryBytes int64 `json:"repositoryBytes"`
	// Oldest and Newest are the first and the last one by time; nil if there is none.
	Oldest *Snapshot `json:"oldest,omitempty"`
	Newest *Snapshot `json:"newest,omitempty"`
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
