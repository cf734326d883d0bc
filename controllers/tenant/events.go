// SPDX-License-Identifier: Apache-2.0

package tenant

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/conditions"
)

// action is what all events of this controller were about.
const action = "Reconcile"

// send tells users what changed in this pass. It is called once the status is written.
func (r *Reconciler) send(s *scope) {
	for _, c := range s.tenant.Status.Conditions {
		if owned(c) {
			s.announcements = append(s.announcements, transition(s.stored.Conditions, c)...)
		}
	}
	// While an instance is being made its objects are no news; afterwards each write is one.
	if len(s.written) > 0 && (apimeta.IsStatusConditionTrue(s.stored.Conditions, v1alpha1.ConditionReady) ||
		apimeta.IsStatusConditionTrue(s.stored.Conditions, v1alpha1.ConditionAvailable)) {
		s.announce("Applied", "%s", strings.Join(s.written, ", "))
	}
	for _, a := range s.announcements {
		kind := corev1.EventTypeNormal
		if a.warning {
			kind = corev1.EventTypeWarning
		}
		r.events.Eventf(s.tenant, nil, kind, a.reason, action, "%s", conditions.Shorten(a.note, conditions.MaxNote))
	}
}

// transition is the event of a condition that changed its status or reason, if it is one that users want to hear of.
func transition(before []metav1.Condition, now metav1.Condition) []announcement {
	old := apimeta.FindStatusCondition(before, now.Type)
	if old != nil && old.Status == now.Status && old.Reason == now.Reason {
		return nil
	}
	wasTrue, isTrue := old != nil && old.Status == metav1.ConditionTrue, now.Status == metav1.ConditionTrue
	told := announcement{reason: now.Reason, note: now.Message}
	switch now.Type {
	case v1alpha1.ConditionAvailable:
		told.warning = !isTrue && now.Reason != v1alpha1.ReasonSuspended
		return onlyIf(isTrue || wasTrue, told) // else it is another reason why it does not serve yet
	case v1alpha1.ConditionUpdatePending:
		told.reason = v1alpha1.ConditionUpdatePending
		return onlyIf(isTrue, told)
	case v1alpha1.ConditionStalled:
		told.warning = true
		return onlyIf(isTrue, told)
	case v1alpha1.ConditionReconciling:
		told.warning = true
		return onlyIf(now.Reason == v1alpha1.ReasonApplyFailed, told)
	}
	return nil
}

func onlyIf(wanted bool, told announcement) []announcement {
	if !wanted {
		return nil
	}
	return []announcement{told}
}
