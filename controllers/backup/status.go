// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/apply"
	"github.com/freehold-dev/freehold/controllers/internal/conditions"
)

// fieldOwner owns status.backups and the conditions of this package in a Tenant's status, and nothing else.
const fieldOwner = "freehold-backup"

// evidenceInterval is, by default, how often evidence that goes on being good is written: how far the archive is changes
// all the time.
const evidenceInterval = 15 * time.Minute

// writeStatus writes scope.next: at once if it says something new, and otherwise at a budgeted pace.
func (r *Reconciler) writeStatus(ctx context.Context, s *scope) error {
	before := v1alpha1.TenantStatus{Conditions: ownConditions(s.tenant.Status.Conditions), Backups: s.tenant.Status.Backups}
	if equality.Semantic.DeepEqual(before, s.next) {
		return nil
	}
	if len(s.collected) == 0 && equality.Semantic.DeepEqual(essence(before), essence(s.next)) {
		if left := s.lastWritten().Add(r.options.EvidenceInterval).Sub(s.now); left > 0 {
			s.comeBack(left)
			return nil
		}
	}
	if err := apply.Status(ctx, r.client, s.tenant, s.next, fieldOwner); err != nil {
		return err
	}
	s.memory.written = s.now
	r.announce(s)
	return nil
}

// lastWritten is when the status was last written. After a restart of the operator, the evidence in it tells.
func (s *scope) lastWritten() time.Time {
	if s.memory.written.IsZero() && s.tenant.Status.Backups != nil {
		s.memory.written = timeIn(s.tenant.Status.Backups.RecoverableUntil)
	}
	return s.memory.written
}

// essence is a status without what changes all the time although nothing happens.
func essence(status v1alpha1.TenantStatus) v1alpha1.TenantStatus {
	out := *status.DeepCopy()
	withoutMessages(out.Conditions)
	if out.Backups != nil {
		out.Backups.RecoverableUntil = nil
		for i := range out.Backups.Destinations {
			d := &out.Backups.Destinations[i]
			d.RecoverableUntil = nil
			withoutMessages(d.Conditions)
		}
	}
	return out
}

// withoutMessages takes away the messages that change all the time: how far an archive is that lags.
func withoutMessages(all []metav1.Condition) {
	for i := range all {
		if all[i].Type == v1alpha1.ConditionPointInTimeRecoverable && all[i].Reason != v1alpha1.ReasonSetAside {
			all[i].Message = ""
		}
	}
}

// announce sends an event for each condition whose status or reason changed.
func (r *Reconciler) announce(s *scope) {
	for _, now := range s.next.Conditions {
		before := apimeta.FindStatusCondition(s.tenant.Status.Conditions, now.Type)
		if before != nil && before.Status == now.Status && before.Reason == now.Reason {
			continue
		}
		kind := corev1.EventTypeNormal
		if now.Status == metav1.ConditionFalse && now.Reason != v1alpha1.ReasonAwaitingFirst {
			kind = corev1.EventTypeWarning
		}
		r.events.Eventf(s.tenant, nil, kind, now.Reason, "Backup", "%s",
			conditions.Shorten(fmt.Sprintf("%s=%s: %s", now.Type, now.Status, now.Message), conditions.MaxNote))
	}
}
