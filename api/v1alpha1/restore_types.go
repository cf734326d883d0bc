// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// BackupLabel is the label of a base backup in a repository.
//
// +kubebuilder:validation:MinLength=16
// +kubebuilder:validation:MaxLength=33
// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9]{8}-[0-9]{6}F(_[0-9]{8}-[0-9]{6}[DI])?$')",message="must be a backup's label, such as 20260101-013000F; it stands in the status of Backup objects"
type BackupLabel string

// RestoreTarget says which state of the data shall come back.
//
// +kubebuilder:validation:XValidation:rule="!(has(self.time) && has(self.backup))",message="time and backup exclude each other"
type RestoreTarget struct {
	// time to restore to, with a time zone and at most six digits after the second, such as 2026-01-01T12:00:00Z or
	// 2026-01-01T13:00:00.25+01:00: all that was committed until then, and nothing later. Default: the latest moment
	// that the destination holds, or the end of the backup that is named.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)$`
	Time *metav1.Time `json:"time,omitempty"`

	// backup is the label of a base backup whose state shall come back.
	// +optional
	Backup BackupLabel `json:"backup,omitempty"`

	// destination to restore from. Default: one that holds the target, the most recently verified first.
	// +optional
	Destination DestinationName `json:"destination,omitempty"`
}

// RestoreDecision says what shall become of a restore that was made.
//
// +kubebuilder:validation:Enum=Accept;Revert
type RestoreDecision string

// What shall become of a restore.
const (
	// RestoreAccept keeps the restored data; the volume from before may be removed.
	RestoreAccept RestoreDecision = "Accept"
	// RestoreRevert brings the volume from before back. What was written since the restore is left on the other one.
	RestoreRevert RestoreDecision = "Revert"
)

// ApplicationDataRestore says what a restore does with the application's data.
//
// +kubebuilder:validation:Enum=Restore;Leave
type ApplicationDataRestore string

// What a restore does with the application's data.
const (
	// ApplicationDataRestored brings back what a snapshot at or before the target holds.
	ApplicationDataRestored ApplicationDataRestore = "Restore"
	// ApplicationDataLeave leaves the application's volume as it is.
	ApplicationDataLeave ApplicationDataRestore = "Leave"
)

// RestoreSpec is a restore in place.
//
// +kubebuilder:validation:XValidation:rule="self.target == oldSelf.target",message="the target of a Restore cannot be changed; make another Restore"
// +kubebuilder:validation:XValidation:rule="self.applicationData == oldSelf.applicationData",message="what a Restore does with the application's data cannot be changed; make another Restore"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.decision) || (has(self.decision) && self.decision == oldSelf.decision)",message="a decision stands; to change the data again, make another Restore"
type RestoreSpec struct {
	// target says which state of the data shall come back. Default: the latest.
	// +optional
	// +kubebuilder:default={}
	Target RestoreTarget `json:"target,omitzero"`

	// applicationData says whether the data that the application keeps on its own volume comes back too (Restore), from the
	// last snapshot at or before the target, or stays as it is (Leave). Snapshots are made with base backups, so such data
	// may be up to a day older than the database's; without a snapshot the Restore is refused. Where nothing of the
	// application is backed up, its volume is left as it is. Default: Restore.
	// +optional
	// +kubebuilder:default=Restore
	ApplicationData ApplicationDataRestore `json:"applicationData,omitempty"`

	// decision says whether the restored data shall stay (Accept) or the volume from before shall come back (Revert).
	// Until it is taken both volumes are kept, and the Restore's condition Accepted is False. Default: none.
	// +optional
	Decision RestoreDecision `json:"decision,omitempty"`
}

// RestoreStatus is what came of a restore.
type RestoreStatus struct {
	// destination that was restored from.
	// +optional
	Destination DestinationName `json:"destination,omitempty"`

	// generation of the repository there; absent for the first.
	// +optional
	// +kubebuilder:validation:Minimum=2
	Generation int32 `json:"generation,omitempty"`

	// backup is the label of the base backup that the restore began with.
	// +optional
	Backup BackupLabel `json:"backup,omitempty"`

	// claim is the PersistentVolumeClaim that holds the restored data.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Claim string `json:"claim,omitempty"`

	// previousClaim is the PersistentVolumeClaim that holds the data from before.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	PreviousClaim string `json:"previousClaim,omitempty"`

	// keptVolumes are the PersistentVolumes with the data from before. They stay when their claims are removed, a day after
	// the Restore was accepted, until somebody removes them.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=4
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	KeptVolumes []string `json:"keptVolumes,omitempty"`

	// snapshot of the application's data that was restored; empty if none was.
	// +optional
	// +kubebuilder:validation:MinLength=8
	// +kubebuilder:validation:MaxLength=64
	Snapshot string `json:"snapshot,omitempty"`

	// snapshotTime is when that snapshot was made: the application's data is as it was then.
	// +optional
	SnapshotTime *metav1.Time `json:"snapshotTime,omitempty"`

	// appClaim is the PersistentVolumeClaim that holds the application's restored data; empty if none was restored.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	AppClaim string `json:"appClaim,omitempty"`

	// previousAppClaim is the PersistentVolumeClaim that holds the application's data from before.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	PreviousAppClaim string `json:"previousAppClaim,omitempty"`

	// reachedTime is when the last transaction that the restored data holds was committed.
	// +optional
	ReachedTime *metav1.MicroTime `json:"reachedTime,omitempty"`

	// startedAt is when the restore began, and the database was stopped.
	// +optional
	StartedAt *metav1.Time `json:"startedAt,omitempty"`

	// finishedAt is when the restored database took the place of the other.
	// +optional
	FinishedAt *metav1.Time `json:"finishedAt,omitempty"`

	// conditions of the restore: Complete and Accepted.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +patchMergeKey=type
	// +patchStrategy=merge
	// +kubebuilder:validation:MaxItems=8
	Conditions []metav1.Condition `json:"conditions,omitempty" patchStrategy:"merge" patchMergeKey:"type"`
}

// Restore brings an earlier state of a tenant's database back, in place. The volume from before is kept until the
// restore is accepted. Deleting the object changes no data.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,categories=freehold
// +kubebuilder:printcolumn:name="Target",type=string,JSONPath=`.spec.target.time`
// +kubebuilder:printcolumn:name="From",type=string,JSONPath=`.status.destination`
// +kubebuilder:printcolumn:name="Complete",type=string,JSONPath=`.status.conditions[?(@.type=="Complete")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Complete")].reason`
// +kubebuilder:printcolumn:name="Reached",type=string,JSONPath=`.status.reachedTime`
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.conditions[?(@.type=="Accepted")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="size(self.metadata.name) <= 52 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="a Restore's name becomes part of its Job's name: at most 52 characters, lower-case letters, digits and hyphens, no dots"
// +kubebuilder:validation:XValidation:rule="oldSelf.hasValue() || !has(self.spec.decision)",optionalOldSelf=true,message="decide once there is something to look at: make the Restore without decision, wait for its condition Complete, then set it"
type Restore struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is standard object metadata. The namespace is the tenant's; the name has at most 52 characters.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// spec says which state shall come back.
	// +optional
	// +kubebuilder:default={target: {}, applicationData: Restore}
	Spec RestoreSpec `json:"spec,omitzero"`

	// status is what came of it.
	// +optional
	Status RestoreStatus `json:"status,omitzero"`
}

// RestoreList is a list of Restores.
//
// +kubebuilder:object:root=true
type RestoreList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`
	// items of the list.
	Items []Restore `json:"items"`
}
