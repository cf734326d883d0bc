// SPDX-License-Identifier: Apache-2.0

package tenant

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/apply"
	"github.com/freehold-dev/freehold/controllers/internal/conditions"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// outcome is how a pass ended, for the conditions.
type outcome struct {
	// stalled is what only a person can mend; nil if there is nothing.
	stalled *stallError
	// failure is what is tried again; nil if nothing failed.
	failure error
	// waiting is what the pass stopped for; nil if it went through.
	waiting *waitError
	// rollout is what keeps the workloads from being as wanted; "" if they are.
	rollout string
}

// setters are the conditions of a Tenant that this controller owns, each with the function that sets it.
var setters = []struct {
	condition string
	set       func(*scope, outcome)
}{
	{v1alpha1.ConditionAvailable, setAvailable},
	{v1alpha1.ConditionStalled, setStalled},
	{v1alpha1.ConditionReconciling, setReconciling},
	{v1alpha1.ConditionReady, setReady},
	{v1alpha1.ConditionUpdatePending, setUpdatePending},
}

// owned reports whether a condition is one of this controller's; others belong to other controllers.
func owned(c metav1.Condition) bool {
	return slices.ContainsFunc(setters, func(s struct {
		condition string
		set       func(*scope, outcome)
	}) bool {
		return s.condition == c.Type
	})
}

// summarise fills the Tenant's status from what the pass saw.
func summarise(s *scope, end outcome) {
	status := &s.tenant.Status
	status.ObservedGeneration = s.tenant.Generation
	if s.grounded {
		status.InstanceID, status.Namespace = s.instanceID, s.namespace
	}
	if s.observed.services != nil {
		status.Addresses = addresses(s.observed.services[meta.EdgeService])
	}
	status.URL = "https://" + string(s.wanted.Spec.Hostnames[0])
	if s.running != nil {
		status.Revision.Number, status.Revision.Hash = s.running.number, s.running.hash
		if s.running.content != nil {
			status.Revision.Components = s.running.content.Components()
		}
	}
	for _, setter := range setters {
		setter.set(s, end)
	}
}

func (s *scope) set(condition string, status metav1.ConditionStatus, reason, message string) {
	conditions.Set(&s.tenant.Status.Conditions, metav1.Condition{
		Type: condition, Status: status, Reason: reason, Message: message, ObservedGeneration: s.tenant.Generation,
	}, s.now)
}

func (s *scope) unset(condition string) { conditions.Remove(&s.tenant.Status.Conditions, condition) }

// setAvailable: does the instance serve?
func setAvailable(s *scope, _ outcome) {
	if s.observed.services == nil {
		if apimeta.FindStatusCondition(s.tenant.Status.Conditions, v1alpha1.ConditionAvailable) == nil {
			s.set(v1alpha1.ConditionAvailable, metav1.ConditionUnknown, v1alpha1.ReasonNotProvisioned, "the instance was not looked at yet")
		}
		return // Nothing was observed in this pass: what was known stays.
	}
	reason, message := unavailable(s)
	if reason == "" {
		s.set(v1alpha1.ConditionAvailable, metav1.ConditionTrue, v1alpha1.ReasonServing, "gate, application and database are ready at "+strings.Join(s.tenant.Status.Addresses, ", "))
		return
	}
	s.set(v1alpha1.ConditionAvailable, metav1.ConditionFalse, reason, message)
}

// setStalled: can only a person help?
func setStalled(s *scope, end outcome) {
	if end.stalled == nil {
		s.unset(v1alpha1.ConditionStalled)
		return
	}
	s.set(v1alpha1.ConditionStalled, metav1.ConditionTrue, end.stalled.reason, end.stalled.message)
}

// setReconciling: is Freehold at work?
func setReconciling(s *scope, end outcome) {
	reason, message := progress(s, end)
	if reason == "" {
		s.unset(v1alpha1.ConditionReconciling)
		return
	}
	s.set(v1alpha1.ConditionReconciling, metav1.ConditionTrue, reason, message)
}

// setReady: does the world match the spec?
func setReady(s *scope, end outcome) {
	if end.stalled != nil {
		s.set(v1alpha1.ConditionReady, metav1.ConditionFalse, end.stalled.reason, end.stalled.message)
		return
	}
	if reason, message := progress(s, end); reason != "" {
		s.set(v1alpha1.ConditionReady, metav1.ConditionFalse, reason, message)
		return
	}
	s.set(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonConverged, "the instance is as its spec and its running revision say")
}

// setUpdatePending: would today's Tenant, class and operator make another revision?
func setUpdatePending(s *scope, _ outcome) {
	if s.update == nil {
		return // It was not decided in this pass: what was known stays.
	}
	s.tenant.Status.Revision.PendingHash = s.update.pending
	note := ""
	if s.update.ignored != "" {
		note = fmt.Sprintf("; the annotation %s names %s, which is neither the pending hash nor that of a stored revision: it is ignored", v1alpha1.AnnotationApproveUpdate, s.update.ignored)
	}
	if s.update.held != "" {
		s.set(v1alpha1.ConditionUpdatePending, metav1.ConditionUnknown, v1alpha1.ReasonInvalidSpec, s.update.held)
		return
	}
	if s.update.pending == "" {
		s.set(v1alpha1.ConditionUpdatePending, metav1.ConditionFalse, v1alpha1.ReasonUpToDate, fmt.Sprintf("revision %d (%s) is what would be made today%s", s.running.number, s.running.hash, note))
		return
	}
	s.set(v1alpha1.ConditionUpdatePending, metav1.ConditionTrue, v1alpha1.ReasonRevisionDiffers, fmt.Sprintf("%s → %s: %s; approve with: %s%s",
		s.running.hash, s.update.pending, s.update.changes, approvalCommand(s.name, s.update.pending), note))
}

// progress says what is still under way; "" if nothing is.
func progress(s *scope, end outcome) (reason, message string) {
	switch {
	case !s.tenant.DeletionTimestamp.IsZero() && end.stalled == nil:
		message = "the instance is being put to rest"
		if end.waiting != nil {
			message = end.waiting.message
		} else if end.failure != nil {
			message = end.failure.Error()
		}
		return v1alpha1.ReasonTerminating, message
	case end.failure != nil:
		return v1alpha1.ReasonApplyFailed, end.failure.Error() + "; it is tried again"
	case end.waiting != nil:
		return v1alpha1.ReasonProgressing, end.waiting.message
	case end.stalled != nil:
		return "", ""
	case end.rollout != "":
		return v1alpha1.ReasonProgressing, end.rollout
	}
	return "", ""
}

// addresses are what the load balancer gave, sorted.
func addresses(gate *corev1.Service) []string {
	if gate == nil {
		return nil
	}
	var out []string
	for _, ingress := range gate.Status.LoadBalancer.Ingress {
		if ingress.IP != "" {
			out = append(out, ingress.IP)
		} else if ingress.Hostname != "" {
			out = append(out, ingress.Hostname)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// writeStatus writes the status if it changed, and then sends the events. Only our own conditions are written: other
// controllers' stay theirs, and so do their proofs.
func (r *Reconciler) writeStatus(ctx context.Context, s *scope) error {
	if !equality.Semantic.DeepEqual(s.stored, s.tenant.Status) {
		status := *s.tenant.Status.DeepCopy()
		status.Proofs = nil
		status.Conditions = slices.DeleteFunc(status.Conditions, func(c metav1.Condition) bool { return !owned(c) })
		if err := apply.Status(ctx, r.client, s.tenant, status, meta.FieldOwner); err != nil {
			return err
		}
	}
	r.send(s)
	return nil
}
