// SPDX-License-Identifier: Apache-2.0

package database

import (
	"fmt"
	"strings"

	"github.com/freehold-dev/freehold/controllers/internal/volume"
)

// Action is what Prepare does with a volume.
type Action string

const (
	// ActionNone: the volume is this instance's, with its database on it.
	ActionNone Action = "none"
	// ActionInitialize: the volume is empty and the instance never had a database.
	ActionInitialize Action = "initialize"
	// ActionMark: the database is this instance's and complete; only the volume's mark was not yet written.
	ActionMark Action = "mark"
)

// State is what Prepare finds.
type State struct {
	// InstanceID and Initialized are the operator's word: whose pod this is, and whether its database was
	// ever up.
	InstanceID  string
	Initialized bool
	// ServerMajor is the major version of PostgreSQL in the image, for example "17".
	ServerMajor string
	// Mark is the volume's, InnerMark the cluster folder's; nil when absent.
	Mark, InnerMark *volume.Mark
	// HasCluster says that the cluster's folder exists; DataMajor is the major version in its PG_VERSION,
	// empty when that file is missing.
	HasCluster bool
	DataMajor  string
	// Strangers are entries of the volume that Freehold did not make.
	Strangers []string
}

// Refusal is Prepare's no. Its text is written for the person on call.
type Refusal struct{ text string }

// Error implements error.
func (r *Refusal) Error() string { return r.text }

func refuse(format string, args ...any) (Action, error) {
	return "", &Refusal{text: fmt.Sprintf(format, args...)}
}

// Decide says what to do with a volume, or refuses with a *Refusal. It is the only place that permits initdb.
func Decide(s State) (Action, error) {
	switch {
	case s.InstanceID == "":
		return refuse("The operator did not say which instance this pod belongs to, so the volume cannot be judged. Nothing was changed.")
	case s.Mark != nil:
		return decideMarked(s)
	case len(s.Strangers) > 0:
		return refuse("The volume has no mark of instance %s, but is not empty. It holds: %s. It may be another customer's or an older volume; nothing was changed. Check which PersistentVolume is bound to the claim.",
			s.InstanceID, list(s.Strangers))
	case s.HasCluster:
		return decideUnmarkedCluster(s)
	case s.Initialized:
		return refuse("The volume is empty, but the database of instance %s existed before: its volume was lost or replaced. No new database was made in its place. Bind the old PersistentVolume again, or restore a backup.",
			s.InstanceID)
	}
	return ActionInitialize, nil
}

func decideMarked(s State) (Action, error) {
	switch {
	case s.Mark.InstanceID != s.InstanceID:
		return refuse("The volume belongs to instance %s, but this pod is of instance %s. Nothing was changed. Check which PersistentVolume is bound to the claim.",
			s.Mark.InstanceID, s.InstanceID)
	case !s.HasCluster || s.DataMajor == "":
		return refuse("The volume is marked as that of instance %s, but its database is missing or damaged (no PG_VERSION in the data directory). No new database was made in its place. Restore a backup, or bring the data directory back.",
			s.InstanceID)
	}
	return checkVersion(s, ActionNone)
}

// decideUnmarkedCluster covers the moment between the cluster folder's final rename and the volume's mark.
func decideUnmarkedCluster(s State) (Action, error) {
	switch {
	case s.InnerMark == nil:
		return refuse("The volume has no mark of instance %s, but holds a data directory that says nothing of its owner. It may be another customer's; nothing was changed. Check which PersistentVolume is bound to the claim.",
			s.InstanceID)
	case s.InnerMark.InstanceID != s.InstanceID:
		return refuse("The volume's data directory belongs to instance %s, but this pod is of instance %s. Nothing was changed. Check which PersistentVolume is bound to the claim.",
			s.InnerMark.InstanceID, s.InstanceID)
	case s.DataMajor == "":
		return refuse("The data directory of instance %s is damaged: it has no PG_VERSION. Nothing was changed. Restore a backup, or bring the data directory back.",
			s.InstanceID)
	}
	return checkVersion(s, ActionMark)
}

func checkVersion(s State, action Action) (Action, error) {
	if s.DataMajor != s.ServerMajor {
		return refuse("The data of instance %s was written by PostgreSQL %s, but the image holds PostgreSQL %s, which cannot read it. Nothing was changed. Go back to an image with PostgreSQL %s.",
			s.InstanceID, s.DataMajor, s.ServerMajor, s.DataMajor)
	}
	return action, nil
}

// list names at most ten entries.
func list(names []string) string {
	const most = 10
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
