// SPDX-License-Identifier: Apache-2.0

// Package engine is how the rest of Freehold speaks of the program that makes backups: what it is told (files of
// configuration, made from a policy), and what it answers (reports and results). Only this package and the agent know
// that the engine is pgBackRest for the database and restic for the application's data. It is pure: it runs nothing and
// knows no client and no clock.
//
//	BackupPolicy + keys + credentials ── Files ──► Secret ──► pods: controllers/backup/agent
//	controller ◄── Report (over HTTPS, from the archiver)    ◄──┤
//	controller ◄── Result, FilesResult (a Job's last words)  ◄──┘
package engine
