// SPDX-License-Identifier: Apache-2.0

package meta

import (
	"fmt"
	"strconv"
	"strings"
)

// Policy labels (v1alpha1.LabelPolicy) and components of the pods that back up and restore.
const (
	// ComponentBackup is a pod that makes base backups: it reaches the database's pgBackRest server and the
	// destinations.
	ComponentBackup = "backup"
	// ComponentRestore is a pod that restores, into the instance's own volume or into a throw-away one to prove a
	// backup: it reaches the destinations and nothing else.
	ComponentRestore = "restore"
	// ComponentRepository is the pod that serves a volume with backups: the database archives to it and restores read from
	// it, and it reaches nobody.
	ComponentRepository = "repository"
)

// Objects of backups in a tenant's namespace.
const (
	// BackupSecret is what the database pod archives with, and what restores read with: pgbackrest.conf,
	// destinations.json, and the files that they name.
	BackupSecret = "freehold-backup"
	// BackupJobSecret is what base backups are made and expired with: the same files, with the credentials that may
	// remove and the way to the database's pgBackRest server. It never enters the database pod.
	BackupJobSecret = "freehold-backup-job"
	// BackupTLSSecret holds the certificate that the pods of base backups show to the database's pgBackRest server.
	BackupTLSSecret = "freehold-backup-tls"
	// BackupFilesSecret is what the application's data is verified and restored with: destinations.json and restic's way
	// to each of them, with the credentials of BackupSecret. It never enters the database pod.
	BackupFilesSecret = "freehold-backup-files"
	// ArchiveTLSSecret holds the certificate that the database pod, and restores, show to the servers of volumes with
	// backups; RepositoryTLSSecret that of these servers. They are there if the policy has such a destination.
	ArchiveTLSSecret    = "freehold-archive-tls"
	RepositoryTLSSecret = "freehold-repository-tls"
	// BackupRetiredSecret is what is restored with from generations of repositories that get nothing new any more. It never
	// enters the database pod, which would archive to them.
	BackupRetiredSecret = "freehold-backup-retired"
	// BootstrapSecret is what a new instance is filled with: the source's repositories, read only. It goes once the
	// instance is filled.
	BootstrapSecret = "freehold-bootstrap"
)

// Keys in the objects above, and in InstanceConfigMap.
const (
	// KeyArchiving in InstanceConfigMap says whether the database's write-ahead log is archived: ArchivingOn, or
	// ArchivingOff where the Tenant names no policy. While it is on nothing is dropped that no destination has.
	KeyArchiving = "archiving"
	ArchivingOn  = "on"
	ArchivingOff = "off"
	// KeyDatabaseClaim in InstanceConfigMap repeats AnnotationDatabaseClaim, should that be lost.
	KeyDatabaseClaim = "database-claim"
	// KeyAppClaim in InstanceConfigMap repeats AnnotationAppClaim, should that be lost.
	KeyAppClaim = "app-claim"

	KeyPgBackRestConf = "pgbackrest.conf"
	KeyDestinations   = "destinations.json"
	// ResticSuffix follows a destination's name in the key of the file that says how restic reaches it, keys included.
	ResticSuffix = ".restic.json"
	// KeyGenerations, in the Secret of an instance's keys, says which generations of repositories there are in each
	// destination.
	KeyGenerations = "generations.json"
	// KeyStatusToken is what the operator shows when it asks the archiver how far the archive is.
	KeyStatusToken = "status-token"
	// KeyEscrowFile holds a tenant's keys, encrypted with age for people who keep the private keys elsewhere; it is
	// put into every destination under the same name.
	KeyEscrowFile = "escrow.age"
)

// Containers, folders and ports of backups.
const (
	// ContainerArchiver stands beside the database: pgBackRest's server, the heartbeat, and the report on the archive.
	ContainerArchiver = "archiver"
	// ContainerBackup is the container of a pod that backs up, verifies or restores the database.
	ContainerBackup = "backup"
	// ContainerFiles stands beside it and does the same with the application's data, as the application's user.
	ContainerFiles = "files"
	// FilesDir is where ContainerFiles sees the application's data, or the volume that it restores to. It is the same in
	// all pods and whatever the class's mountPath is: restic finds the snapshot before by it.
	FilesDir = "/var/lib/freehold/files"

	BackupDir    = "/etc/freehold/backup"
	BackupTLSDir = "/etc/freehold/backup-tls"
	// ArchiveCommand is PostgreSQL's archive_command. pgBackRest refuses to back up a database in whose archive_command
	// its name does not stand.
	ArchiveCommand = AgentBinary + " agent backup archive --engine=pgbackrest %p"
	// SpoolDir is where pgBackRest notes which segments of the write-ahead log it has handed over.
	SpoolDir = "/var/spool/pgbackrest"

	// ContainerRepository serves a volume with backups, RepositoryDir is where pods see it, in a folder by the destination's
	// name, and RepositoryConf the configuration that its server makes for itself.
	ContainerRepository = "repository"
	RepositoryDir       = "/var/lib/freehold/repository"
	RepositoryConf      = "/tmp/freehold/pgbackrest.conf"

	// PortPgBackRest is pgBackRest's TLS server in the database pod; PortArchiver its report over HTTPS.
	PortPgBackRest = 8432
	PortArchiver   = 8009
	// PortRepository is pgBackRest's TLS server in front of a volume with backups. It is another one than the database's, by
	// which people and messages tell the two apart.
	PortRepository = 8433
)

// What the pod of a base backup may use at most; the namespace's quota has room for one to each destination. The pod of
// a restore may use what PostgreSQL's container of the database may.
const (
	BackupPodCPU    = "500m"
	BackupPodMemory = "512Mi"
)

// OperatorPodLabels select the operator's own pods in its namespace, as its Deployment labels them.
func OperatorPodLabels() map[string]string {
	return map[string]string{"app.kubernetes.io/name": "freehold", LabelComponent: "manager"}
}

// Names inside PostgreSQL and pgBackRest.
const (
	// BackupRole is the PostgreSQL role that pgBackRest and the heartbeat work as.
	BackupRole = "freehold_backup"
	// BackupSchema in the database "postgres" holds the table heartbeat: one row, whose column at is the time of the
	// last beat.
	BackupSchema = "freehold"
	// BackupStanza is the name of every instance's stanza.
	BackupStanza = "main"
	// BackupClient is the common name that the database's pgBackRest server lets in.
	BackupClient = "freehold-backup"
	// ArchiveClient is the common name that the servers of volumes with backups let in.
	ArchiveClient = "freehold-archive"
)

// RepositoryName is the name of the claim, the workload and the Service of a volume with backups, by its destination.
func RepositoryName(destination string) string { return "backup-" + destination }

// RepositoryHost is the DNS name of the server in front of a volume with backups.
func RepositoryHost(destination, namespace, clusterDomain string) string {
	return RepositoryName(destination) + "." + namespace + ".svc." + clusterDomain
}

// RepositoryFolder is where pods see a volume with backups.
func RepositoryFolder(destination string) string { return RepositoryDir + "/" + destination }

// IndexBackupPolicy finds Tenants by the BackupPolicy that they name. The tenant controller's indexes have it.
const IndexBackupPolicy = "spec.backupPolicyRef.name"

// The NetworkPolicies of backups.
const (
	// PolicyArchive lets the database pod reach the destinations, and the operator its archiver.
	PolicyArchive = "freehold-archive"
	PolicyBackup  = "freehold-backup"
	PolicyRestore = "freehold-restore"
	// PolicyRepository lets the database pod and restores reach the servers of volumes with backups.
	PolicyRepository = "freehold-repository"
)

// Annotations on the Namespace by which backups and the instance meet. The controller of backups writes them; the
// controller of tenants acts on them.
const (
	// AnnotationDatabaseClaim names the claim that the database runs on. Absent: DatabaseClaim.
	AnnotationDatabaseClaim = "freehold.dev/database-claim"
	// AnnotationAppClaim names the claim that holds the application's data. Absent: AppClaim.
	AnnotationAppClaim = "freehold.dev/app-claim"
	// AnnotationRestoreClaim names a claim that shall exist for a restore of the database, beside the others.
	AnnotationRestoreClaim = "freehold.dev/restore-claim"
	// AnnotationRestoreAppClaim names a claim that shall exist for a restore of the application's data, beside the others.
	AnnotationRestoreAppClaim = "freehold.dev/restore-app-claim"
	// AnnotationStoppedFor names the Restore for which application and database are stopped.
	AnnotationStoppedFor = "freehold.dev/stopped-for"
	// AnnotationBootstrapped holds the ID of the instance whose backup the new instance was filled from. Until it does,
	// an instance with bootstrap.restore does not start.
	AnnotationBootstrapped = "freehold.dev/bootstrapped-from"
	// AnnotationSetAside tells which destinations are not archived to for now, and which have a gap in their write-ahead
	// log: a JSON object. Absent: none.
	AnnotationSetAside = "freehold.dev/set-aside"
	// AnnotationTimelines tells which of PostgreSQL's timelines was the customer's since when: a JSON list, oldest first.
	// Absent: the database is on the timeline that it was made with.
	AnnotationTimelines = "freehold.dev/timelines"
)

// DatabaseClaimName is the name of a database volume's claim by number.
func DatabaseClaimName(number int) string { return fmt.Sprintf("db-%04d", number) }

// IsDatabaseClaim reports whether a name is one that DatabaseClaimName makes.
func IsDatabaseClaim(name string) bool { return numbered(name, "db-", DatabaseClaimName) }

// AppClaimName is the name of the claim of a volume with the application's data, by number.
func AppClaimName(number int) string { return fmt.Sprintf("app-%04d", number) }

// IsAppClaim reports whether a name is one that AppClaimName makes.
func IsAppClaim(name string) bool { return numbered(name, "app-", AppClaimName) }

func numbered(name, prefix string, made func(int) string) bool {
	digits, ok := strings.CutPrefix(name, prefix)
	number, err := strconv.Atoi(digits)
	return ok && err == nil && number > 0 && made(number) == name
}

// BackupKeysSecret is the name of the Secret in the operator's namespace that keeps the keys of an instance's backups.
func BackupKeysSecret(instanceID string) string { return "backup-" + instanceID }
