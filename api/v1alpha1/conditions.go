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
	// LabelPolicy selects the pods that a NetworkPolicy is about: database, app or edge.
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
	// LabelProbe marks the short-lived pods that send the packets of a proof.
	LabelProbe = "freehold.dev/probe"
	// FinalizerClassInUse keeps a TenantClass while a Tenant names it.
	FinalizerClassInUse = "freehold.dev/class-in-use"
)
