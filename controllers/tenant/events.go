// SPDX-License-Identifier: Apache-2.0

package tenant

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/freehold-dev/freehold/api/v1alpha1"
)

// maxNote is the longest note of an event that the API accepts, in bytes.
const maxNote = 1024

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
		if len(a.note) > maxNote {
			a.note = a.note[:maxNote-3] + "..."
		}
		r.events.Eventf(s.tenant, nil, kind, a.reason, action, "%s", a.note)
	}
}

// transition is the event of a condition that changed its status or reason, if it is one that users want to hear of.
func transition(before []metav1.Condition, now metav1.Condition) []announcement {
	old := apimeta.FindStatusCondition(before, now.Type)
	if old != nil && old.Status == now.Status && old.Reason == now.Reason {
		return nil
	}
	isTrue := now.Status == metav1.ConditionTrue
	switch now.Type {
	case v1alpha1.ConditionAvailable:
		if wasTrue := old != nil && old.Status == metav1.ConditionTrue; isTrue || wasTrue { // else another reason why not yet
			return []announcement{{warning: !isTrue && now.Reason != v1alpha1.ReasonSuspended, reason: now.Reason, note: now.Message}}
		}
	case v1alpha1.ConditionUpdatePending:
		if isTrue {
			return []announcement{{reason: v1alpha1.ConditionUpdatePending, note: now.Message}}
		}
	default:
		if now.Type == v1alpha1.ConditionStalled || now.Type == v1alpha1.ConditionReconciling && now.Reason == v1alpha1.ReasonApplyFailed {
			return []announcement{{warning: true, reason: now.Reason, note: now.Message}}
		}
	}
	return nil
}
