// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// BackupType says how much a base backup holds.
//
// +kubebuilder:validation:Enum=Full;Incremental
type BackupType string

// The types of base backups.
const (
	// BackupFull holds the whole database.
	BackupFull BackupType = "Full"
	// BackupIncremental holds what changed since the last backup that it builds on.
	BackupIncremental BackupType = "Incremental"
)

// BackupSpec is a base backup that shall be made, or was.
//
// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a Backup cannot be changed; make another one"
type BackupSpec struct {
	// destination of the Tenant's policy that the backup goes to.
	// +required
	Destination DestinationName `json:"destination,omitempty"`

	// type of the backup. The first one of a destination is always full. Default: Incremental.
	// +optional
	// +kubebuilder:default=Incremental
	Type BackupType `json:"type,omitempty"`
}

// FilesSnapshot is a snapshot of the application's data in a repository.
type FilesSnapshot struct {
	// id of the snapshot, as restic has it.
	// +required
	// +kubebuilder:validation:MinLength=8
	// +kubebuilder:validation:MaxLength=64
	ID string `json:"id,omitempty"`

	// takenAt is when it was begun.
	// +optional
	TakenAt *metav1.Time `json:"takenAt,omitempty"`

	// files is how many files it holds.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Files *int64 `json:"files,omitempty"`

	// size is how many bytes they have.
	// +optional
	Size *resource.Quantity `json:"size,omitempty"`

	// repositorySize is how many bytes the snapshot added to the repository.
	// +optional
	RepositorySize *resource.Quantity `json:"repositorySize,omitempty"`
}

// BackupStatus is what came of a base backup.
type BackupStatus struct {
	// type that the backup really has.
	// +optional
	Type BackupType `json:"type,omitempty"`

	// label of the backup in the repository.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Label string `json:"label,omitempty"`

	// generation of the repository that it lies in; absent for the first.
	// +optional
	// +kubebuilder:validation:Minimum=2
	Generation int32 `json:"generation,omitempty"`

	// startedAt is when the backup began.
	// +optional
	StartedAt *metav1.Time `json:"startedAt,omitempty"`

	// finishedAt is when the backup ended; from then on can be restored to.
	// +optional
	FinishedAt *metav1.Time `json:"finishedAt,omitempty"`

	// startLSN is where in the write-ahead log the backup began.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=17
	StartLSN string `json:"startLSN,omitempty"`

	// stopLSN is where in the write-ahead log the backup ended.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=17
	StopLSN string `json:"stopLSN,omitempty"`

	// repositorySize is how many bytes the backup added to the repository.
	// +optional
	RepositorySize *resource.Quantity `json:"repositorySize,omitempty"`

	// databaseSize is how many bytes the database had.
	// +optional
	DatabaseSize *resource.Quantity `json:"databaseSize,omitempty"`

	// snapshot of the application's data that was made with it; absent if there is none, or if files are missing in it.
	// +optional
	Snapshot *FilesSnapshot `json:"snapshot,omitempty"`

	// conditions of the backup: Complete, which is True if the database and, where it is backed up, the application's data
	// are in the destination.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +patchMergeKey=type
	// +patchStrategy=merge
	// +kubebuilder:validation:MaxItems=8
	Conditions []metav1.Condition `json:"conditions,omitempty" patchStrategy:"merge" patchMergeKey:"type"`
}

// Backup is one base backup of a tenant's database in one destination. Scheduled ones are recorded by Freehold; one
// that a person creates is made at once. Deleting the object deletes nothing in the destination.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,categories=freehold
// +kubebuilder:printcolumn:name="Destination",type=string,JSONPath=`.spec.destination`
// +kubebuilder:printcolumn:name="Type",type=string,JSONPath=`.status.type`
// +kubebuilder:printcolumn:name="Complete",type=string,JSONPath=`.status.conditions[?(@.type=="Complete")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Complete")].reason`
// +kubebuilder:printcolumn:name="Label",type=string,JSONPath=`.status.label`
// +kubebuilder:printcolumn:name="Stored",type=string,JSONPath=`.status.repositorySize`
// +kubebuilder:printcolumn:name="Finished",type=date,JSONPath=`.status.finishedAt`
// +kubebuilder:validation:XValidation:rule="size(self.metadata.name) <= 52 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="a Backup's name becomes part of its Job's name: at most 52 characters, lower-case letters, digits and hyphens, no dots"
type Backup struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is standard object metadata. The namespace is the tenant's; the name has at most 52 characters.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// spec says what shall be backed up and where to.
	// +required
	Spec BackupSpec `json:"spec,omitzero"`

	// status is what came of it.
	// +optional
	Status BackupStatus `json:"status,omitzero"`
}

// BackupList is a list of Backups.
//
// +kubebuilder:object:root=true
type BackupList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`
	// items of the list.
	Items []Backup `json:"items"`
}

// FilesStatus is what is known of the snapshots of a tenant's application data in one destination.
type FilesStatus struct {
	// lastSnapshot is when the newest snapshot was begun.
	// +optional
	LastSnapshot *metav1.Time `json:"lastSnapshot,omitempty"`

	// firstSnapshot is when the oldest snapshot was begun that the destination still holds.
	// +optional
	FirstSnapshot *metav1.Time `json:"firstSnapshot,omitempty"`

	// snapshots is how many the destination holds.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Snapshots *int32 `json:"snapshots,omitempty"`

	// files is how many files the newest snapshot holds.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Files *int64 `json:"files,omitempty"`

	// size is how many bytes the files of the newest snapshot have.
	// +optional
	Size *resource.Quantity `json:"size,omitempty"`

	// lastVerified is when a snapshot of the destination was last restored and found good.
	// +optional
	LastVerified *metav1.Time `json:"lastVerified,omitempty"`

	// verifiedSnapshot is the snapshot that was restored then. Nothing is removed that is not older than it.
	// +optional
	// +kubebuilder:validation:MinLength=8
	// +kubebuilder:validation:MaxLength=64
	VerifiedSnapshot string `json:"verifiedSnapshot,omitempty"`

	// recoverySeconds is how many seconds that restore took.
	// +optional
	// +kubebuilder:validation:Minimum=0
	RecoverySeconds *int32 `json:"recoverySeconds,omitempty"`
}

// KeyRotation is how far the rotation of a destination's key is.
type KeyRotation struct {
	// generation of the repository that gets the new key.
	// +required
	// +kubebuilder:validation:Minimum=2
	Generation int32 `json:"generation,omitempty"`

	// startedAt is when it began; absent while it waits for that.
	// +optional
	StartedAt *metav1.Time `json:"startedAt,omitempty"`

	// message says what is being done, or waited for.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
}

// RetiredRepository is an older generation of a tenant's repository in a destination. It gets nothing new.
type RetiredRepository struct {
	// generation of the repository.
	// +required
	// +kubebuilder:validation:Minimum=1
	Generation int32 `json:"generation,omitempty"`

	// retiredAt is when the next generation took its place.
	// +optional
	RetiredAt *metav1.Time `json:"retiredAt,omitempty"`

	// recoverableFrom is the earliest moment that can be restored from it.
	// +optional
	RecoverableFrom *metav1.Time `json:"recoverableFrom,omitempty"`

	// recoverableUntil is the latest moment that can be restored from it.
	// +optional
	RecoverableUntil *metav1.Time `json:"recoverableUntil,omitempty"`

	// firstSnapshot is when the oldest snapshot of the application's data was begun that it holds.
	// +optional
	FirstSnapshot *metav1.Time `json:"firstSnapshot,omitempty"`

	// lastVerified is when a backup of it was last restored and found good.
	// +optional
	LastVerified *metav1.Time `json:"lastVerified,omitempty"`

	// destroyAfter is when it is destroyed, and its key with it, if the generation in its place is proven by then.
	// +required
	DestroyAfter *metav1.Time `json:"destroyAfter,omitempty"`
}

// DestinationStatus is what is known of a tenant's backups in one destination.
type DestinationStatus struct {
	// name of the destination.
	// +required
	Name DestinationName `json:"name,omitempty"`

	// generation of the tenant's repository in the destination; each has a key of its own.
	// +optional
	// +kubebuilder:validation:Minimum=1
	Generation int32 `json:"generation,omitempty"`

	// recoverableFrom is the earliest moment that can be restored from the destination.
	// +optional
	RecoverableFrom *metav1.Time `json:"recoverableFrom,omitempty"`

	// recoverableUntil is the latest moment that was known to be restorable when the destination was last reported on.
	// +optional
	RecoverableUntil *metav1.Time `json:"recoverableUntil,omitempty"`

	// lastBackup is when the newest base backup ended.
	// +optional
	LastBackup *metav1.Time `json:"lastBackup,omitempty"`

	// backups is how many complete base backups the destination holds.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Backups *int32 `json:"backups,omitempty"`

	// fullBackups is how many of them are full.
	// +optional
	// +kubebuilder:validation:Minimum=0
	FullBackups *int32 `json:"fullBackups,omitempty"`

	// repositorySize is how many bytes the base backups take in the destination.
	// +optional
	RepositorySize *resource.Quantity `json:"repositorySize,omitempty"`

	// lastVerified is when a backup of the destination was last restored and found good.
	// +optional
	LastVerified *metav1.Time `json:"lastVerified,omitempty"`

	// verifiedBackup is the label of the base backup that was restored then.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	VerifiedBackup string `json:"verifiedBackup,omitempty"`

	// recoverySeconds is how many seconds that restore took, until the server answered.
	// +optional
	// +kubebuilder:validation:Minimum=0
	RecoverySeconds *int32 `json:"recoverySeconds,omitempty"`

	// files is what is known of the application's data there; absent where none is backed up.
	// +optional
	Files *FilesStatus `json:"files,omitempty"`

	// rotation of the destination's key that is under way, or is asked for and waits.
	// +optional
	Rotation *KeyRotation `json:"rotation,omitempty"`

	// retired are older generations of the repository: what they hold can be restored until it expires.
	// +optional
	// +listType=map
	// +listMapKey=generation
	// +kubebuilder:validation:MaxItems=8
	Retired []RetiredRepository `json:"retired,omitempty"`

	// conditions of the destination: BackedUp, PointInTimeRecoverable, Recoverable and Retained.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +patchMergeKey=type
	// +patchStrategy=merge
	// +kubebuilder:validation:MaxItems=8
	Conditions []metav1.Condition `json:"conditions,omitempty" patchStrategy:"merge" patchMergeKey:"type"`
}

// TenantBackups is what is known of a tenant's backups in all destinations.
type TenantBackups struct {
	// recoverableFrom is the earliest moment that can be restored from some destination.
	// +optional
	RecoverableFrom *metav1.Time `json:"recoverableFrom,omitempty"`

	// recoverableUntil is the latest moment that can be restored from some destination.
	// +optional
	RecoverableUntil *metav1.Time `json:"recoverableUntil,omitempty"`

	// destinations of the Tenant's policy.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=4
	Destinations []DestinationStatus `json:"destinations,omitempty"`
}
