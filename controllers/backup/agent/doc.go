// SPDX-License-Identifier: Apache-2.0

// Package agent is what of the backups runs inside a tenant's pods, as the commands
//
//	freehold agent backup archive   in the database pod, called by PostgreSQL for each segment of the write-ahead log
//	freehold agent backup serve     beside the database: pgBackRest's server, the heartbeat, the report on the archive
//	freehold agent backup run       makes a base backup, removes what has expired, reads the catalogue
//	freehold agent backup verify    restores a backup into a throw-away volume and looks at what came back
//	freehold agent backup restore   restores into a volume of the instance
//	freehold agent backup revert    makes a volume that was put aside ready to be the database's again
//	freehold agent backup files …   run, verify and restore: the same with the application's data, as its own user
//	freehold agent backup sftp      what restic reaches an SFTP server through, whose host key is pinned
//
// Each Job leaves an engine.Result as its termination message, or an engine.FilesResult, also when it fails, and can be
// killed and repeated at any point.
//
// A restored server listens on a Unix socket only, and archives nothing: what it writes to its log on its new timeline
// waits on the volume for the database pod. It never reads what was left of the configuration in the backup.
package agent
