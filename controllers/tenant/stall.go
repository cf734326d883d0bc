// SPDX-License-Identifier: Apache-2.0

package tenant

import (
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/apply"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
	"github.com/freehold-dev/freehold/controllers/tenant/render"
)

// conflictRetry is how often a conflict with a stranger's object is looked at again: such an object carries no
// label of ours, so its disappearance wakes nobody.
const conflictRetry = time.Minute

// stallError says that only a person can help. It becomes the condition Stalled.
type stallError struct {
	reason, message string
	// retry is when to look again although no watched object changed; 0 means never.
	retry time.Duration
}

// Error is the reason and the message.
func (e *stallError) Error() string { return e.reason + ": " + e.message }

func stall(reason, format string, args ...any) *stallError {
	return &stallError{reason: reason, message: fmt.Sprintf(format, args...)}
}

// asStall finds what only a person can mend in an error; nil if trying again may help.
func asStall(err error) *stallError {
	var stalled *stallError
	if errors.As(err, &stalled) {
		return stalled
	}
	var conflict *apply.ConflictError
	if errors.As(err, &conflict) {
		return &stallError{reason: v1alpha1.ReasonConflict, message: conflict.Error(), retry: conflictRetry}
	}
	var invalid *render.InvalidError
	if errors.As(err, &invalid) {
		return &stallError{reason: v1alpha1.ReasonInvalidSpec, message: invalid.Message}
	}
	return nil
}

// waitError stops a pass because something has to change first. It is no failure.
type waitError struct {
	message string
	// retry is when to look again although no watched object changed; 0 means never.
	retry time.Duration
}

// Error says what is waited for.
func (e *waitError) Error() string { return e.message }

// asWait finds what a pass waits for; nil if it does not wait. An object that is going away is waited for; it may
// have lost the labels that it is watched by.
func asWait(err error) *waitError {
	var wait *waitError
	if errors.As(err, &wait) {
		return wait
	}
	var terminating *apply.TerminatingError
	if errors.As(err, &terminating) {
		return &waitError{message: terminating.Error(), retry: conflictRetry}
	}
	return nil
}

// freshNamespace is how long a new namespace may still refuse the operator: until the API server has heard of the
// RoleBinding, and the ResourceQuota has been counted for the first time.
const freshNamespace = 30 * time.Second

// freshRetry is how soon to try again meanwhile.
const freshRetry = 100 * time.Millisecond

// asFresh finds the refusals of a new namespace, which pass by themselves; nil if it is none.
func asFresh(s *scope, err error) *waitError {
	if !apierrors.IsForbidden(err) {
		return nil
	}
	if s.now.Sub(freshSince(s)) > freshNamespace {
		return nil
	}
	return &waitError{message: fmt.Sprintf("namespace %s is new and does not take everything yet: %v", s.namespace, err), retry: freshRetry}
}

// staleRetry is how soon a pass that worked from an old state of an object is repeated.
const staleRetry = time.Second

// asStale finds the refusal of a write that was made for an older state of its object: somebody else wrote it meanwhile,
// and the next pass looks again; nil if it is none.
func asStale(err error) *waitError {
	if !apierrors.IsConflict(err) {
		return nil
	}
	return &waitError{message: fmt.Sprintf("%v; it is looked at again", err), retry: staleRetry}
}

// freshSince is when the namespace could begin to take objects: since the RoleBinding is there; without one since the
// namespace is, and without that since the Tenant is.
func freshSince(s *scope) time.Time {
	if binding := s.observed.roleBindings[meta.OperatorRoleBinding]; binding != nil {
		return binding.CreationTimestamp.Time
	}
	if s.observed.namespace != nil {
		return s.observed.namespace.CreationTimestamp.Time
	}
	return s.tenant.CreationTimestamp.Time
}
