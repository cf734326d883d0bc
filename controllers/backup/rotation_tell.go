// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/conditions"
)

// announceRotation sends an event for what a pass decided.
func (r *Reconciler) announceRotation(s *scope, d *destination, before generations) {
	now := d.generations
	switch {
	case before.Next == nil && now.Next != nil:
		r.tellRotation(s, corev1.EventTypeNormal, v1alpha1.ReasonRotating, fmt.Sprintf("the rotation of the key of %s begins: generation %d gets another one", d.name, now.Next.Number))
	case before.Current != now.Current:
		r.tellRotation(s, corev1.EventTypeNormal, v1alpha1.ReasonKeyRotated, fmt.Sprintf("the key of %s was rotated: generation %d is backed up to, which was restored and found good; generation %d can be restored from until it expires",
			d.name, now.Current, before.Current))
	case before.Next != nil && now.Next != nil && before.Next.Stage != stageMaking && now.Next.Stage == stageMaking:
		r.tellRotation(s, corev1.EventTypeWarning, v1alpha1.ReasonRotationFailed, fmt.Sprintf("generation %d of %s is not archived to any more: %s; the rotation begins anew, and generation %d goes on",
			now.Next.Number, d.name, now.Next.Failure, now.Current))
	}
}

func (r *Reconciler) tellRotation(s *scope, kind, reason, message string) {
	r.events.Eventf(s.tenant, nil, kind, reason, "Rotate", "%s", conditions.Shorten(message, conditions.MaxNote))
}

// tellGenerations puts rotations and retired generations into the status.
func (s *scope) tellGenerations(d *destination) {
	d.status.Rotation = d.generations.tell(s.rotationSight(d))
	d.status.Retired = d.generations.tellRetired(s.observed.policy.Spec.Retention)
}
