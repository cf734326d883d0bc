// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"

	"github.com/freehold-dev/freehold/api/v1alpha1"
)

// A restore begins a new timeline, at its target. A repository whose oldest backup is younger than that holds none that the
// new timeline goes on from: what is archived there restores nothing, until the next base backup. So it is with a generation
// that was begun after the target of a restore from the retired one, and with a destination that is younger than the other
// one's backup. It gets a full backup at once, and says so until then.

// uprooted is when the database last went over to a timeline that no backup of the destination belongs to; zero if each
// moment since can be restored.
func uprooted(restores []*v1alpha1.Restore, status v1alpha1.DestinationStatus) time.Time {
	var last time.Time
	for _, r := range restores {
		for _, turn := range turnsOf(r) {
			here := turn.restored && r.Status.Destination == status.Name && max(r.Status.Generation, 1) == max(status.Generation, 1)
			known := status.RecoverableFrom != nil && !turn.target.Before(status.RecoverableFrom.Time)
			if status.LastBackup != nil && turn.at.After(status.LastBackup.Time) && !here && !known && turn.at.After(last) {
				last = turn.at
			}
		}
	}
	return last
}

// turn is when the database went over to another timeline, and to which moment it went back.
type turn struct {
	at, target time.Time
	// restored says that it was a backup that was gone back to, and not a volume that had been put aside.
	restored bool
}

// turnsOf are the turns that a Restore brought. One to the latest moment went back by nothing.
func turnsOf(r *v1alpha1.Restore) []turn {
	var all []turn
	if target := filesTarget(r.Spec.Target); r.Status.FinishedAt != nil && !target.IsZero() {
		all = append(all, turn{at: r.Status.FinishedAt.Time, target: target, restored: true})
	}
	accepted := apimeta.FindStatusCondition(r.Status.Conditions, v1alpha1.ConditionAccepted)
	if accepted != nil && accepted.Reason == v1alpha1.ReasonReverted {
		all = append(all, turn{at: accepted.LastTransitionTime.Time, target: timeIn(r.Status.StartedAt)})
	}
	return all
}
