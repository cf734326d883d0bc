// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// BackupPolicyReference names a BackupPolicy.
type BackupPolicyReference struct {
	// name of the BackupPolicy, which is cluster-scoped.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="must be the name of a Kubernetes object: lower-case letters, digits, hyphens and dots, beginning and ending with a letter or digit"
	Name string `json:"name,omitempty"`
}

// DestinationName names one place that backups go to. It becomes part of object names and metrics.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=20
// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",message="must be a short name such as site-a: at most 20 lower-case letters, digits and hyphens, beginning with a letter"
type DestinationName string

// DestinationHost is the DNS name or the IPv4 address of a server that keeps backups.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=253
// +kubebuilder:validation:XValidation:rule=`self.matches(r'^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*$')`,message="must be a host such as s3.eu-central-1.example.com: a DNS name in lower case or an IPv4 address, without scheme, port or path"
type DestinationHost string

// DestinationPrefix is a path inside a bucket, a container or an account, without leading and trailing slashes.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=200
// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9_][-A-Za-z0-9_.]*(/[A-Za-z0-9_][-A-Za-z0-9_.]*)*$')",message="must be a path such as backups/production: letters, digits and - _ . between slashes, none at the beginning or end"
type DestinationPrefix string

// SecretNameTemplate is the name of a Secret in which {tenant} stands for the Tenant's name.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=180
// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self.replace('{tenant}', 't')).hasValue()",message="must be the name of a Secret, in which {tenant} stands for the Tenant's name, such as site-a-{tenant}"
// +kubebuilder:validation:XValidation:rule="self.split('{tenant}').size() <= 2",message="may hold {tenant} once"
// +kubebuilder:validation:XValidation:rule="!self.startsWith('instance-') && !self.startsWith('backup-') && !self.startsWith('freehold-')",message="names that begin with instance-, backup- or freehold- are Freehold's own Secrets and cannot be used here"
type SecretNameTemplate string

// DestinationCredentials say with what a tenant's pods come into a destination. Each tenant has credentials of its
// own, which its destination limits to the tenant's prefix; see the chapter Backups of the user guide.
//
// +kubebuilder:validation:XValidation:rule="(has(self.allowShared) && self.allowShared) || self.secretName.contains('{tenant}')",message="secretName must hold {tenant}, so that each tenant has credentials of its own; to let all tenants share one, which lets each reach the others' backups, set allowShared"
// +kubebuilder:validation:XValidation:rule="!has(self.manageSecretName) || (has(self.allowShared) && self.allowShared) || self.manageSecretName.contains('{tenant}')",message="manageSecretName must hold {tenant}, so that each tenant has credentials of its own; to let all tenants share one, which lets each reach the others' backups, set allowShared"
type DestinationCredentials struct {
	// secretName is the Secret in the operator's namespace with the credentials that the database pod archives
	// with, and that restores read with. They should be able to write and read below the tenant's prefix, and not to
	// delete, if manageSecretName is set. Its keys: accessKeyID and secretAccessKey for S3, serviceAccount.json for GCS, accountKey or sasToken
	// for Azure, ssh-privatekey for SFTP.
	// +required
	SecretName SecretNameTemplate `json:"secretName,omitempty"`

	// manageSecretName is the Secret in the operator's namespace, with the same keys, that base backups are made and
	// expired ones removed with; both need the right to delete below the tenant's prefix. It never enters the database
	// pod, so that who breaks into that cannot delete what is stored. Default: secretName.
	// +optional
	ManageSecretName SecretNameTemplate `json:"manageSecretName,omitempty"`

	// allowShared permits names without {tenant}: all tenants then use the same credentials, and who breaks into one
	// tenant's database pod reaches the backups of all, encrypted under their own keys. The condition BackedUp of every
	// such Tenant says so. Default: false.
	// +optional
	AllowShared bool `json:"allowShared,omitempty"` //nolint:kubeapilinter // Unset and false mean the same.
}

// URIStyle says where a bucket's name stands in a request.
//
// +kubebuilder:validation:Enum=VirtualHost;Path
type URIStyle string

// The URI styles of S3.
const (
	// URIStyleVirtualHost puts the bucket in front of the endpoint's name, as AWS does.
	URIStyleVirtualHost URIStyle = "VirtualHost"
	// URIStylePath puts the bucket at the beginning of the path, as most other servers do.
	URIStylePath URIStyle = "Path"
)

// S3Destination is a bucket at AWS or a server that speaks its protocol.
//
// +kubebuilder:validation:XValidation:rule="self.uriStyle == 'Path' || !isIP(self.endpoint)",message="an endpoint that is an IP address needs uriStyle Path: a bucket's name cannot stand in front of it"
// +kubebuilder:validation:XValidation:rule="self.bucket == oldSelf.bucket && has(self.prefix) == has(oldSelf.prefix) && (!has(self.prefix) || self.prefix == oldSelf.prefix)",message="bucket and prefix cannot be changed: what is stored there would be neither found nor removed any more; add a destination under another name"
type S3Destination struct {
	// endpoint is the server's host, such as s3.eu-central-1.amazonaws.com. TLS is always used.
	// +required
	Endpoint DestinationHost `json:"endpoint,omitempty"`

	// port of the server. Default: 443.
	// +optional
	// +kubebuilder:default=443
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port,omitempty"`

	// bucket that holds the backups; {tenant} stands for the Tenant's name. It must exist.
	// +required
	// +kubebuilder:validation:MinLength=3
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.replace('{tenant}', 't').matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",message="must be the name of a bucket: lower-case letters, digits, hyphens and dots; {tenant} stands for the Tenant's name"
	Bucket string `json:"bucket,omitempty"`

	// prefix below which each tenant has a folder of its own name. Default: none, tenants' folders are the bucket's top.
	// +optional
	Prefix DestinationPrefix `json:"prefix,omitempty"`

	// uriStyle says where the bucket's name stands: VirtualHost (the default) or Path.
	// +optional
	// +kubebuilder:default=VirtualHost
	URIStyle URIStyle `json:"uriStyle,omitempty"`

	// caBundle are the authorities, in PEM, that the server's certificate is checked against.
	// Default: those that the database image trusts.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=65536
	// +kubebuilder:validation:XValidation:rule="self.contains('-----BEGIN CERTIFICATE-----')",message="must hold certificates in PEM"
	// +kubebuilder:validation:XValidation:rule="!self.contains('PRIVATE KEY-----')",message="holds a private key, which everybody who may read the policy could read; only certificates belong here"
	CABundle string `json:"caBundle,omitempty"`
}

// GCSDestination is a bucket of Google Cloud Storage.
//
// +kubebuilder:validation:XValidation:rule="self.bucket == oldSelf.bucket && has(self.prefix) == has(oldSelf.prefix) && (!has(self.prefix) || self.prefix == oldSelf.prefix)",message="bucket and prefix cannot be changed: what is stored there would be neither found nor removed any more; add a destination under another name"
type GCSDestination struct {
	// bucket that holds the backups; {tenant} stands for the Tenant's name. It must exist.
	// +required
	// +kubebuilder:validation:MinLength=3
	// +kubebuilder:validation:MaxLength=222
	// +kubebuilder:validation:XValidation:rule="self.replace('{tenant}', 't').matches('^[a-z0-9]([-a-z0-9._]*[a-z0-9])?$')",message="must be the name of a bucket: lower-case letters, digits and - _ . ; {tenant} stands for the Tenant's name"
	Bucket string `json:"bucket,omitempty"`

	// prefix below which each tenant has a folder of its own name. Default: none.
	// +optional
	Prefix DestinationPrefix `json:"prefix,omitempty"`
}

// AzureDestination is a container of Azure Blob Storage.
//
// +kubebuilder:validation:XValidation:rule="self.account == oldSelf.account && self.container == oldSelf.container && has(self.prefix) == has(oldSelf.prefix) && (!has(self.prefix) || self.prefix == oldSelf.prefix)",message="account, container and prefix cannot be changed: what is stored there would be neither found nor removed any more; add a destination under another name"
type AzureDestination struct {
	// account of the storage.
	// +required
	// +kubebuilder:validation:MinLength=3
	// +kubebuilder:validation:MaxLength=24
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]+$')",message="must be the name of a storage account: lower-case letters and digits"
	Account string `json:"account,omitempty"`

	// container that holds the backups; {tenant} stands for the Tenant's name. It must exist.
	// +required
	// +kubebuilder:validation:MinLength=3
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.replace('{tenant}', 't').matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="must be the name of a container: lower-case letters, digits and hyphens; {tenant} stands for the Tenant's name"
	Container string `json:"container,omitempty"`

	// prefix below which each tenant has a folder of its own name. Default: none.
	// +optional
	Prefix DestinationPrefix `json:"prefix,omitempty"`
}

// SFTPDestination is a directory of an SSH server.
//
// +kubebuilder:validation:XValidation:rule="has(self.path) == has(oldSelf.path) && (!has(self.path) || self.path == oldSelf.path)",message="path cannot be changed: what is stored there would be neither found nor removed any more; add a destination under another name"
type SFTPDestination struct {
	// host of the server.
	// +required
	Host DestinationHost `json:"host,omitempty"`

	// port of the server. Default: 22.
	// +optional
	// +kubebuilder:default=22
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port,omitempty"`

	// user to log in as; {tenant} stands for the Tenant's name.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=100
	// +kubebuilder:validation:XValidation:rule="self.replace('{tenant}', 't').matches('^[a-z_][-a-z0-9_.]*$')",message="must be the name of a user: lower-case letters, digits and - _ . ; {tenant} stands for the Tenant's name"
	User string `json:"user,omitempty"`

	// hostKeyFingerprint is the SHA-256 fingerprint of the server's host key, as `ssh-keygen -lf` prints it. A server
	// with another key is refused.
	// +required
	// +kubebuilder:validation:MinLength=50
	// +kubebuilder:validation:MaxLength=50
	// +kubebuilder:validation:XValidation:rule="self.matches('^SHA256:[A-Za-z0-9+/]{43}$')",message="must be a fingerprint as ssh-keygen -lf prints it: SHA256: and 43 characters"
	HostKeyFingerprint string `json:"hostKeyFingerprint,omitempty"`

	// path of the directory below which each tenant has a folder of its own name, without leading slash.
	// Default: the server's top.
	// +optional
	Path DestinationPrefix `json:"path,omitempty"`
}

// VolumeDestination is a volume in each tenant's namespace. It lies in the same cluster as the database: it is there when
// data was deleted or spoilt, or the database's volume is lost, and is lost with the cluster. It holds no application data.
type VolumeDestination struct {
	// size of each tenant's volume. It may only grow, and does so for the volumes that are there if their storage class can.
	// +required
	// +kubebuilder:validation:XValidation:rule="quantity(string(self)).compareTo(quantity(string(oldSelf))) >= 0",message="size may only grow: a volume cannot be made smaller without losing data"
	// +kubebuilder:validation:XValidation:rule="quantity(string(self)).compareTo(quantity('256Mi')) >= 0",message="size must be at least 256Mi"
	Size resource.Quantity `json:"size,omitzero"`

	// storageClassName of volumes that are made from now on; one that is there stays in its own. Default: the cluster's
	// default class. Choose one whose volumes do not lie where those of the database do.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="must be the name of a StorageClass"
	StorageClassName string `json:"storageClassName,omitempty"`
}

// BackupDestination is one place that backups and the archive of the write-ahead log go to. Where it stores cannot be
// changed; how it is reached can. What a destination that is removed from the policy holds stays there, for you to
// delete.
//
// +kubebuilder:validation:XValidation:rule="[has(self.s3), has(self.gcs), has(self.azure), has(self.sftp), has(self.volume)].filter(x, x).size() == 1",message="exactly one of s3, gcs, azure, sftp and volume must be set"
// +kubebuilder:validation:XValidation:rule="has(self.volume) != has(self.credentials)",message="credentials are needed to come into a destination, and a volume has none: set them for every other kind, and for that not"
// +kubebuilder:validation:XValidation:rule="has(self.volume) != has(self.networks)",message="networks say where a destination outside of the cluster answers from: set them for every kind but a volume, which is reached inside the tenant's namespace"
// +kubebuilder:validation:XValidation:rule="!has(self.s3) || has(self.region)",message="an s3 destination needs a region: requests are signed for it"
// +kubebuilder:validation:XValidation:rule="has(self.s3) == has(oldSelf.s3) && has(self.gcs) == has(oldSelf.gcs) && has(self.azure) == has(oldSelf.azure) && has(self.sftp) == has(oldSelf.sftp) && has(self.volume) == has(oldSelf.volume)",message="a destination cannot become one of another kind: what is stored there would be neither found nor removed any more; add a destination under another name"
type BackupDestination struct {
	// name of the destination; unique in the policy. What is stored under one name is not looked for under another.
	// +required
	Name DestinationName `json:"name,omitempty"`

	// region that the destination lies in, in the words of its provider. Requests to S3 are signed for it.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9][-A-Za-z0-9]*$')",message="must be a region such as eu-central-1: letters, digits and hyphens"
	Region string `json:"region,omitempty"`

	// networks that the destination answers from: the walls of every tenant that names the policy are opened to them,
	// for the pods that back up and on the destination's port only. The cluster's own networks are taken out. Needed by
	// every kind but volume.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	Networks []CIDR `json:"networks,omitempty"`

	// credentials say with what a tenant's pods come in. Needed by every kind but volume.
	// +optional
	Credentials DestinationCredentials `json:"credentials,omitzero"`

	// s3 makes the destination a bucket at AWS or a server that speaks its protocol.
	// +optional
	S3 *S3Destination `json:"s3,omitempty"`

	// gcs makes the destination a bucket of Google Cloud Storage.
	// +optional
	GCS *GCSDestination `json:"gcs,omitempty"`

	// azure makes the destination a container of Azure Blob Storage.
	// +optional
	Azure *AzureDestination `json:"azure,omitempty"`

	// sftp makes the destination a directory of an SSH server.
	// +optional
	SFTP *SFTPDestination `json:"sftp,omitempty"`

	// volume makes the destination a volume in each tenant's namespace, behind a small server of its own. It is lost with
	// the cluster: name a destination elsewhere beside it.
	// +optional
	Volume *VolumeDestination `json:"volume,omitempty"`
}

// Weekday is a day of the week.
//
// +kubebuilder:validation:Enum=Monday;Tuesday;Wednesday;Thursday;Friday;Saturday;Sunday
type Weekday string

// BackupSchedule says when base backups are made: one each day, to every destination.
type BackupSchedule struct {
	// timeZone that start and fullDays are meant in, by its name in the IANA time zone database, such as Europe/Vienna.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$') && self != 'Local'",message="must be the name of a time zone such as Europe/Vienna or UTC"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^[A-Z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$') || timestamp('2026-01-01T00:00:00Z').getHours(self) >= 0",message="must be the name of a time zone such as Europe/Vienna or UTC"
	TimeZone string `json:"timeZone,omitempty"`

	// start is the time of day at which the first tenants begin, such as 01:30.
	// +required
	// +kubebuilder:validation:MinLength=5
	// +kubebuilder:validation:MaxLength=5
	// +kubebuilder:validation:XValidation:rule="self.matches('^([01][0-9]|2[0-3]):[0-5][0-9]$')",message="must be a time of day such as 01:30"
	Start string `json:"start,omitempty"`

	// spreadMinutes is over how many minutes after start the tenants are spread; each always has the same moment.
	// Default: 240.
	// +optional
	// +kubebuilder:default=240
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1380
	SpreadMinutes int32 `json:"spreadMinutes,omitempty"`

	// fullDays are the days on which the backup is a full one; on the others it holds what changed since the last full
	// one. Default: Sunday.
	// +optional
	// +listType=set
	// +kubebuilder:default={Sunday}
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=7
	FullDays []Weekday `json:"fullDays,omitempty"`
}

// BackupRetention says how long backups are kept.
type BackupRetention struct {
	// backupDays is after how many days a base backup has been destroyed. A full one, and those that build on it, go
	// together, once the next full one is old enough. Default: 180.
	// +optional
	// +kubebuilder:default=180
	// +kubebuilder:validation:Minimum=3
	// +kubebuilder:validation:Maximum=730
	BackupDays int32 `json:"backupDays,omitempty"`

	// pointInTimeDays is for how many days back every minute can be restored. It must be less than backupDays, by the
	// days between two full backups and one more. Default: 30.
	// +optional
	// +kubebuilder:default=30
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=728
	PointInTimeDays int32 `json:"pointInTimeDays,omitempty"`
}

// SQLAssertion is a statement about a tenant's data that every restored backup must fulfil.
type SQLAssertion struct {
	// name of the assertion.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Label().validate(self).hasValue()",message="must be a short name: lower-case letters, digits and hyphens"
	Name string `json:"name,omitempty"`

	// query is run in the application's database of the restored server, as a role that only reads. It must return one
	// row with one column, which must be true, such as: SELECT count(*) > 0 FROM users
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule=`!self.matches(r'[\x00-\x08\x0b-\x1f\x7f]')`,message="may not hold control characters other than line breaks and tabs"
	Query string `json:"query,omitempty"`
}

// BackupVerification says how often backups are proven by restoring them.
type BackupVerification struct {
	// intervalDays is how many days pass between two restores of a tenant's backups into a throw-away server; the
	// destinations take turns. Default: 7.
	// +optional
	// +kubebuilder:default=7
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=30
	IntervalDays int32 `json:"intervalDays,omitempty"`

	// maximumAgeDays is for how many days a destination's proof counts; after that Recoverable becomes Unknown. It must
	// be more than intervalDays times the number of destinations, since they take turns. Default: 30.
	// +optional
	// +kubebuilder:default=30
	// +kubebuilder:validation:Minimum=2
	// +kubebuilder:validation:Maximum=150
	MaximumAgeDays int32 `json:"maximumAgeDays,omitempty"`

	// assertions that the restored data must fulfil. Default: none.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	Assertions []SQLAssertion `json:"assertions,omitempty"`
}

// BackupLimits say from when on backups count as too old.
type BackupLimits struct {
	// lagSeconds is how far, in seconds, a destination's archive may be behind the database. PostgreSQL hands over what
	// was written at least each minute, and a destination is asked every few minutes what it has. Default: 300.
	// +optional
	// +kubebuilder:default=300
	// +kubebuilder:validation:Minimum=180
	// +kubebuilder:validation:Maximum=86400
	LagSeconds int32 `json:"lagSeconds,omitempty"`

	// backupAgeHours is how many hours old a destination's newest base backup may be. Backups are made daily, and the
	// day on which clocks go back has 25 hours. Default: 30.
	// +optional
	// +kubebuilder:default=30
	// +kubebuilder:validation:Minimum=26
	// +kubebuilder:validation:Maximum=720
	BackupAgeHours int32 `json:"backupAgeHours,omitempty"`
}

// AgeRecipient is a public key of age (https://age-encryption.org/v1).
//
// +kubebuilder:validation:MinLength=62
// +kubebuilder:validation:MaxLength=62
// +kubebuilder:validation:XValidation:rule="self.matches('^age1[02-9ac-hj-np-z]{58}$')",message="must be a public key as age-keygen prints it: age1 and 58 characters"
type AgeRecipient string

// KeyEscrow says who can read the keys of backups when the cluster is lost.
type KeyEscrow struct {
	// recipients are the public keys of people, made with age-keygen on a machine that is not connected. A tenant's
	// keys, encrypted so that only the holder of one of the private keys can read them, are stored in every
	// destination beside the backups. Without recipients a lost cluster cannot be restored, and Recoverable says so
	// (EscrowNotExternal). Default: none.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=8
	Recipients []AgeRecipient `json:"recipients,omitempty"`
}

// ApplicationDataBackup says whether what an application keeps on its volume is backed up with its database.
//
// +kubebuilder:validation:Enum=Include;Skip
type ApplicationDataBackup string

// Whether the application's data is backed up.
const (
	// ApplicationDataInclude backs it up, proves it, restores it and removes what has expired, as with the database.
	ApplicationDataInclude ApplicationDataBackup = "Include"
	// ApplicationDataSkip leaves it out: who loses the volume has lost what lies on it.
	ApplicationDataSkip ApplicationDataBackup = "Skip"
)

// BackupPolicySpec says where, when and for how long tenants are backed up, and how that is proven.
//
// +kubebuilder:validation:XValidation:rule="self.applicationData == 'Skip' || self.destinations.exists(d, !has(d.volume))",message="what applications keep on volumes of their own is not backed up to a volume: name a destination of another kind, too, or set applicationData to Skip"
// +kubebuilder:validation:XValidation:rule="self.retention.backupDays >= self.retention.pointInTimeDays + 9 - size(self.schedule.fullDays)",message="retention.backupDays must be at least pointInTimeDays + 9 - the number of schedule.fullDays: the full backup before a point in time is up to a week older, and removing it may take one day more"
// +kubebuilder:validation:XValidation:rule="self.verification.maximumAgeDays > self.verification.intervalDays * size(self.destinations)",message="verification.maximumAgeDays must be more than intervalDays times the number of destinations: they take turns, and a proof must not be too old before its turn comes again"
type BackupPolicySpec struct {
	// destinations that every tenant is backed up to, each complete in itself. Their order does not matter.
	// +required
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=4
	// +kubebuilder:validation:XValidation:rule="self.all(a, self.exists_one(b, a.name == b.name || (has(a.s3) && has(b.s3) && a.s3.endpoint == b.s3.endpoint && a.s3.port == b.s3.port && a.s3.bucket == b.s3.bucket && has(a.s3.prefix) == has(b.s3.prefix) && (!has(a.s3.prefix) || a.s3.prefix == b.s3.prefix)) || (has(a.gcs) && has(b.gcs) && a.gcs.bucket == b.gcs.bucket && has(a.gcs.prefix) == has(b.gcs.prefix) && (!has(a.gcs.prefix) || a.gcs.prefix == b.gcs.prefix)) || (has(a.azure) && has(b.azure) && a.azure.account == b.azure.account && a.azure.container == b.azure.container && has(a.azure.prefix) == has(b.azure.prefix) && (!has(a.azure.prefix) || a.azure.prefix == b.azure.prefix)) || (has(a.sftp) && has(b.sftp) && a.sftp.host == b.sftp.host && a.sftp.port == b.sftp.port && a.sftp.user == b.sftp.user && has(a.sftp.path) == has(b.sftp.path) && (!has(a.sftp.path) || a.sftp.path == b.sftp.path))))",message="two destinations store in the same place; each needs one of its own"
	Destinations []BackupDestination `json:"destinations,omitempty"`

	// schedule says when base backups are made.
	// +required
	Schedule BackupSchedule `json:"schedule,omitzero"`

	// retention says how long backups are kept.
	// +optional
	// +kubebuilder:default={backupDays: 180, pointInTimeDays: 30}
	Retention BackupRetention `json:"retention,omitzero"`

	// verification says how often backups are proven by restoring them.
	// +optional
	// +kubebuilder:default={intervalDays: 7, maximumAgeDays: 30}
	Verification BackupVerification `json:"verification,omitzero"`

	// limits say from when on backups count as too old.
	// +optional
	// +kubebuilder:default={lagSeconds: 300, backupAgeHours: 30}
	Limits BackupLimits `json:"limits,omitzero"`

	// applicationData says whether the volume that an application keeps its data on (app.dataVolume of the class) is
	// backed up (Include) or not (Skip). A snapshot of it is made with each base backup, while the application runs: what
	// is written meanwhile may be in it or not. Instances without such a volume have none. Default: Include.
	// +optional
	// +kubebuilder:default=Include
	ApplicationData ApplicationDataBackup `json:"applicationData,omitempty"`

	// keyEscrow says who can read the keys of backups when the cluster is lost.
	// +optional
	KeyEscrow KeyEscrow `json:"keyEscrow,omitzero"`
}

// BackupPolicyStatus is what was observed of a policy.
type BackupPolicyStatus struct {
	// observedGeneration is the generation of the spec that this status speaks of.
	// +optional
	// +kubebuilder:validation:Minimum=1
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// tenants that name the policy.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Tenants *int32 `json:"tenants,omitempty"`
}

// BackupPolicy says where, when and for how long tenants are backed up, and how that is proven.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=bkp,categories=freehold
// +kubebuilder:printcolumn:name="Destinations",type=string,JSONPath=`.spec.destinations[*].name`
// +kubebuilder:printcolumn:name="Start",type=string,JSONPath=`.spec.schedule.start`
// +kubebuilder:printcolumn:name="Zone",type=string,JSONPath=`.spec.schedule.timeZone`
// +kubebuilder:printcolumn:name="Keep days",type=integer,JSONPath=`.spec.retention.backupDays`
// +kubebuilder:printcolumn:name="Tenants",type=integer,JSONPath=`.status.tenants`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type BackupPolicy struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// spec says where, when and for how long tenants are backed up.
	// +required
	Spec BackupPolicySpec `json:"spec,omitzero"`

	// status is what was observed of the policy.
	// +optional
	Status BackupPolicyStatus `json:"status,omitzero"`
}

// BackupPolicyList is a list of BackupPolicies.
//
// +kubebuilder:object:root=true
type BackupPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`
	// items of the list.
	Items []BackupPolicy `json:"items"`
}
