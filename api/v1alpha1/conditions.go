// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// Condition types of a Tenant.
const (
	// ConditionAvailable is True while the instance serves: gate, application and database are ready and the
	// load balancer has given an address.
	ConditionAvailable = "Available"
	// ConditionReady is True when the world matches the spec (kstatus: current). It says nothing about
	// pending updates.
	ConditionReady = "Ready"
	// ConditionReconciling is True while Freehold is making the world match (kstatus: in progress); it is
	// absent otherwise.
	ConditionReconciling = "Reconciling"
	// ConditionStalled is True when only a person can help (kstatus: failed); it is absent otherwise.
	ConditionStalled = "Stalled"
	// ConditionUpdatePending is True when today's Tenant, class and operator would make another revision
	// than the one that runs.
	ConditionUpdatePending = "UpdatePending"
	// ConditionIsolated is True while packets that were sent not long ago prove the tenant's walls: every forbidden
	// connection failed, and the same target answered somebody who may reach it. status.proofs has the claims.
	ConditionIsolated = "Isolated"
	// ConditionEncryptedInTransit is True while handshakes that were made not long ago prove that clients reach the
	// gate, and the application its database, over TLS only.
	ConditionEncryptedInTransit = "EncryptedInTransit"
	// ConditionEncryptedAtRest is True if somebody has attested that the storage classes of the tenant's volumes
	// encrypt; Freehold cannot see that itself. The condition names who.
	ConditionEncryptedAtRest = "EncryptedAtRest"
	// ConditionLockedDown is True once a connection attempt proved that spec.lockdown lets nobody in; absent without
	// lockdown.
	ConditionLockedDown = "LockedDown"
)

// Condition types of a Tenant that has a BackupPolicy, and of each destination in its status.
const (
	// ConditionBackedUp is True while every destination holds a base backup that is not older than the policy allows.
	ConditionBackedUp = "BackedUp"
	// ConditionPointInTimeRecoverable is True while every destination holds the write-ahead log without a gap, and not
	// further behind the database than the policy allows.
	ConditionPointInTimeRecoverable = "PointInTimeRecoverable"
	// ConditionRecoverable is True while a backup of every destination was restored and found good not longer ago than
	// the policy allows, and its keys are where a lost cluster does not take them along.
	ConditionRecoverable = "Recoverable"
	// ConditionRetained is True while every destination was found to hold the backups that the policy's retention
	// demands, and none that should have been destroyed.
	ConditionRetained = "Retained"
)

// ConditionRestored of a Tenant with bootstrap.restore is True once the new instance was filled from the backups of the
// other one; absent otherwise.
const ConditionRestored = "Restored"

// Condition types of a Backup and of a Restore.
const (
	// ConditionComplete is True once a backup or a restore has been made, False while it is under way or if it failed.
	ConditionComplete = "Complete"
	// ConditionAccepted of a Restore is True once it was decided that the restored data stays, False before, or if the
	// volume from before came back.
	ConditionAccepted = "Accepted"
)

// Reasons of BackedUp, PointInTimeRecoverable, Recoverable and Retained.
const (
	// ReasonFresh: what had to be seen was seen, and not long ago.
	ReasonFresh = "Fresh"
	// ReasonSharedCredentials: as Fresh, with credentials that several tenants share.
	ReasonSharedCredentials = "SharedCredentials"
	// ReasonInCluster: as Fresh, on a volume of this cluster, which is lost with it. Recoverable is False with it if there is
	// no destination elsewhere.
	ReasonInCluster = "InCluster"
	// ReasonAwaitingFirst: the first backup, or the first proof, has not been made yet.
	ReasonAwaitingFirst = "AwaitingFirst"
	// ReasonUpdateRequired: the running revision archives nothing yet; the pending update does.
	ReasonUpdateRequired = "UpdateRequired"
	// ReasonPolicyNotFound: spec.backupPolicyRef names no BackupPolicy.
	ReasonPolicyNotFound = "PolicyNotFound"
	// ReasonCredentialsMissing: a Secret that the policy names does not exist, or lacks a key.
	ReasonCredentialsMissing = "CredentialsMissing"
	// ReasonBackupOverdue: the newest base backup is older than the policy allows.
	ReasonBackupOverdue = "BackupOverdue"
	// ReasonBackupFailed: the last attempt to make a base backup failed, and the newest is older than the policy allows,
	// or there is none.
	ReasonBackupFailed = "BackupFailed"
	// ReasonUnreachable: the destination does not answer.
	ReasonUnreachable = "Unreachable"
	// ReasonRefused: the destination does not accept the credentials.
	ReasonRefused = "Refused"
	// ReasonUntrusted: the destination shows a certificate, or a host key, that is not trusted.
	ReasonUntrusted = "Untrusted"
	// ReasonWrongKey: what the destination holds cannot be read with the tenant's key.
	ReasonWrongKey = "WrongKey"
	// ReasonFull: the destination takes no more.
	ReasonFull = "Full"
	// ReasonDamaged: what the destination holds is damaged.
	ReasonDamaged = "Damaged"
	// ReasonForeignRepository: what the destination holds in the tenant's place belongs to another database.
	ReasonForeignRepository = "ForeignRepository"
	// ReasonSetAside: the destination took nothing for so long that the write-ahead log threatened to fill its volume; it is
	// archived to again, after a full backup, once it answers.
	ReasonSetAside = "SetAside"
	// ReasonArchiveLags: the destination's archive is further behind the database than the policy allows.
	ReasonArchiveLags = "ArchiveLags"
	// ReasonNoReport: the database pod does not tell how far its archive is.
	ReasonNoReport = "NoReport"
	// ReasonVerificationFailed: a backup could not be restored, or what came back was not as it should be.
	ReasonVerificationFailed = "VerificationFailed"
	// ReasonEscrowNotExternal: the keys of the backups are only in this cluster; with it, the backups would be lost.
	ReasonEscrowNotExternal = "EscrowNotExternal"
	// ReasonSuspendedBackups: the instance is suspended; nothing changes that had to be backed up.
	ReasonSuspendedBackups = "InstanceSuspended"
	// ReasonExpiryFailed: expired backups could not be removed.
	ReasonExpiryFailed = "ExpiryFailed"
	// ReasonExpiryHeld: backups that have expired are kept, since no newer one was verified.
	ReasonExpiryHeld = "ExpiryHeld"
	// ReasonRetiredOverdue: a repository under a key that was rotated is still there, although all of it has expired, or some
	// of what has expired in it could not be removed.
	ReasonRetiredOverdue = "RetiredOverdue"
	// ReasonBackupsMissing: the destination holds fewer backups than it should. It stands until a person has seen it
	// (AnnotationMissingBackupsSeen).
	ReasonBackupsMissing = "BackupsMissing"
)

// Reasons of events about rotations.
const (
	// ReasonRotating: the rotation of a destination's key began.
	ReasonRotating = "Rotating"
	// ReasonKeyRotated: a destination's key was rotated.
	ReasonKeyRotated = "KeyRotated"
	// ReasonRotationFailed: a step of a rotation failed, and is repeated.
	ReasonRotationFailed = "RotationFailed"
	// ReasonDestroyed: a retired generation of a repository has expired and was destroyed, with its key.
	ReasonDestroyed = "Destroyed"
)

// Reasons of Complete and Accepted.
const (
	// ReasonSucceeded: it was made.
	ReasonSucceeded = "Succeeded"
	// ReasonRunning: it is under way.
	ReasonRunning = "Running"
	// ReasonWaiting: it waits for another that works on the same repository.
	ReasonWaiting = "Waiting"
	// ReasonFailed: it failed; nothing was changed.
	ReasonFailed = "Failed"
	// ReasonKeysMissing: the keys of the backups that shall be restored are not in this cluster.
	ReasonKeysMissing = "KeysMissing"
	// ReasonTargetOutsideWindow: the target is not in what the destinations hold.
	ReasonTargetOutsideWindow = "TargetOutsideWindow"
	// ReasonAwaitingDecision: both volumes are kept until spec.decision says which one stays.
	ReasonAwaitingDecision = "AwaitingDecision"
	// ReasonAccepted: the restored data stays.
	ReasonAccepted = "Accepted"
	// ReasonReverted: the volume from before came back.
	ReasonReverted = "Reverted"
)

// Reasons of Isolated, EncryptedInTransit, EncryptedAtRest and LockedDown.
const (
	// ReasonProven: it was observed, and the evidence is fresh.
	ReasonProven = "Proven"
	// ReasonNotProven: something that had to be observed could not be; the message says what.
	ReasonNotProven = "NotProven"
	// ReasonStale: the evidence is too old to count.
	ReasonStale = "Stale"
	// ReasonNotEnforced: connections that every wall forbids succeeded; the cluster enforces no NetworkPolicy.
	ReasonNotEnforced = "NotEnforced"
	// ReasonWallOpen: some connections that a wall forbids succeeded.
	ReasonWallOpen = "WallOpen"
	// ReasonForeignObject: somebody else's NetworkPolicy, Service or RoleBinding in the tenant's namespace may open it.
	ReasonForeignObject = "ForeignObject"
	// ReasonNotEncrypted: a connection without TLS, or with too old a version, was accepted.
	ReasonNotEncrypted = "NotEncrypted"
	// ReasonAttested: a person has attested it.
	ReasonAttested = "Attested"
	// ReasonNotAttested: nobody has attested it.
	ReasonNotAttested = "NotAttested"
	// ReasonClosing: lockdown is being enforced and not proven yet.
	ReasonClosing = "Closing"
)

// Reasons of Available.
const (
	// ReasonServing: requests are answered.
	ReasonServing = "Serving"
	// ReasonSuspended: spec.suspended stopped the instance.
	ReasonSuspended = "Suspended"
	// ReasonRestoring: application and database are stopped while the instance's data is being restored.
	ReasonRestoring = "Restoring"
	// ReasonDatabaseNotReady: the database does not answer yet or any more.
	ReasonDatabaseNotReady = "DatabaseNotReady"
	// ReasonAppNotReady: the application does not answer yet or any more.
	ReasonAppNotReady = "AppNotReady"
	// ReasonEdgeNotReady: no replica of the gate is ready.
	ReasonEdgeNotReady = "EdgeNotReady"
	// ReasonAddressPending: the load balancer has given no address yet.
	ReasonAddressPending = "AddressPending"
	// ReasonNotProvisioned: the instance does not exist yet.
	ReasonNotProvisioned = "NotProvisioned"
)

// Reasons of Ready and Reconciling.
const (
	// ReasonConverged: the world matches the spec.
	ReasonConverged = "Converged"
	// ReasonProgressing: objects were applied and are not all as wanted yet.
	ReasonProgressing = "Progressing"
	// ReasonApplyFailed: an object could not be applied; the attempt is repeated.
	ReasonApplyFailed = "ApplyFailed"
	// ReasonTerminating: the Tenant is being deleted.
	ReasonTerminating = "Terminating"
)

// Reasons of Stalled.
const (
	// ReasonClassNotFound: spec.classRef names no TenantClass.
	ReasonClassNotFound = "ClassNotFound"
	// ReasonInvalidSpec: the Tenant and its class contradict each other.
	ReasonInvalidSpec = "InvalidSpec"
	// ReasonRetainedDataExists: data of an earlier instance of the same name is kept and was not adopted.
	ReasonRetainedDataExists = "RetainedDataExists"
	// ReasonAdoptionMismatch: bootstrap.adopt names another instance than the one that is there.
	ReasonAdoptionMismatch = "AdoptionMismatch"
	// ReasonConflict: an object of ours is in the hands of a stranger.
	ReasonConflict = "Conflict"
	// ReasonHostnameConflict: an older Tenant has one of the hostnames.
	ReasonHostnameConflict = "HostnameConflict"
	// ReasonAddressConflict: an older Tenant asks for the same address.
	ReasonAddressConflict = "AddressConflict"
	// ReasonVolumeLost: a volume that held data is gone; a new, empty one is not put in its place.
	ReasonVolumeLost = "VolumeLost"
	// ReasonRevisionLost: the running revision is gone and could not be rebuilt from the workloads.
	ReasonRevisionLost = "RevisionLost"
	// ReasonKeysLost: the authority, the database's password or a generated value that the instance works with is
	// lost; no new one is put in its place unasked.
	ReasonKeysLost = "KeysLost"
	// ReasonCertificateInvalid: the certificate that shall be served cannot be.
	ReasonCertificateInvalid = "CertificateInvalid"
	// ReasonCRDTerminating: the CustomResourceDefinition is being deleted; the instance is left alone.
	ReasonCRDTerminating = "CRDTerminating"
)

// Reasons of UpdatePending.
const (
	// ReasonUpToDate: the running revision is what would be made today.
	ReasonUpToDate = "UpToDate"
	// ReasonRevisionDiffers: the running revision is not what would be made today.
	ReasonRevisionDiffers = "RevisionDiffers"
)

// Labels and annotations.
const (
	// LabelTenant names the Tenant on everything that belongs to it.
	LabelTenant = "freehold.dev/tenant"
	// LabelInstance carries the instance ID on everything that belongs to it.
	LabelInstance = "freehold.dev/instance"
	// LabelRetained marks the namespace of an instance whose Tenant was deleted.
	LabelRetained = "freehold.dev/retained"
	// LabelPolicy selects the pods that a NetworkPolicy is about: database, app, edge, backup or verify.
	LabelPolicy = "freehold.dev/policy"
	// LabelServes selects the pods behind a Service: database, app or edge.
	LabelServes = "freehold.dev/serves"
	// AnnotationApproveUpdate on a Tenant names the hash of the pending revision, or of an older one, that
	// shall run next.
	AnnotationApproveUpdate = "freehold.dev/approve-update"
	// AnnotationAcceptNewKeys on a tenant's Namespace, with the instance ID as its value, accepts once that keys
	// that are lost (KeysLost) are made anew.
	AnnotationAcceptNewKeys = "freehold.dev/accept-new-keys"
	// Finalizer keeps a Tenant until its workloads have been stopped and its data marked as retained.
	Finalizer = "freehold.dev/instance"
	// AnnotationEncryptionAttestedBy on a StorageClass says who attests that its volumes are encrypted at rest, for
	// example a person and a date. Freehold repeats it in the condition EncryptedAtRest.
	AnnotationEncryptionAttestedBy = "freehold.dev/encryption-attested-by"
	// AnnotationDiscardClaim on a PersistentVolumeClaim repeats its name: it was put aside by a Restore that was accepted,
	// and is going to be removed, after the time in AnnotationDiscardAfter (RFC 3339). To keep it for longer, write a later
	// time there.
	AnnotationDiscardClaim = "freehold.dev/discard-claim"
	AnnotationDiscardAfter = "freehold.dev/discard-after"
	// AnnotationProveBackupsSince on a Tenant is a time in RFC 3339: backups of destinations that were not put to the
	// proof since then are, without waiting for their turn.
	AnnotationProveBackupsSince = "freehold.dev/prove-backups-since"
	// AnnotationMissingBackupsSeen on a Tenant is a time in RFC 3339: a person has seen that backups were found to be missing
	// until then (BackupsMissing), and has done what there is to do.
	AnnotationMissingBackupsSeen = "freehold.dev/missing-backups-seen"
	// AnnotationRotateBackupKeys on a Tenant asks for new keys of its backups, one destination after the other. Each value
	// that differs from the last one asks once; a date says best when somebody did.
	AnnotationRotateBackupKeys = "freehold.dev/rotate-backup-keys"
	// LabelProbe marks the short-lived pods that send the packets of a proof.
	LabelProbe = "freehold.dev/probe"
	// LabelDestination names the destination on the Jobs, pods and Backups that are about it.
	LabelDestination = "freehold.dev/destination"
	// LabelBackupJob says what a Job of backups does: backup, expire, verify, restore, revert, create or destroy.
	LabelBackupJob = "freehold.dev/backup-job"
	// FinalizerPolicyInUse keeps a BackupPolicy while a Tenant names it.
	FinalizerPolicyInUse = "freehold.dev/policy-in-use"
	// FinalizerRestoreUnderway keeps a Restore while the instance is stopped for it.
	FinalizerRestoreUnderway = "freehold.dev/restore-underway"
	// FinalizerClassInUse keeps a TenantClass while a Tenant names it.
	FinalizerClassInUse = "freehold.dev/class-in-use"
)
