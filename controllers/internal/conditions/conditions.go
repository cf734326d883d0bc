// SPDX-License-Identifier: Apache-2.0

// Package conditions sets the conditions of Freehold's objects: by the caller's clock, with bounded messages, and
// without touching what did not change, so that an equal status stays equal and is not written.
package conditions

import (
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// maxMessage is the longest message of a condition that the API accepts, in bytes
// (maxLength of metav1.Condition.message).
const maxMessage = 32768

// Set puts a condition in its place. lastTransitionTime becomes now only if the status changed. It reports
// whether anything changed.
func Set(conditions *[]metav1.Condition, condition metav1.Condition, now time.Time) bool {
	condition.Message = Shorten(condition.Message, maxMessage)
	condition.LastTransitionTime = metav1.NewTime(now)
	return meta.SetStatusCondition(conditions, condition)
}

// Remove takes a condition away: the abnormal-true conditions Reconciling and Stalled are absent when all is well
// (kstatus).
func Remove(conditions *[]metav1.Condition, conditionType string) bool {
	return meta.RemoveStatusCondition(conditions, conditionType)
}

// MaxNote is the longest note of an event that the API accepts, in bytes.
const MaxNote = 1024

// Shorten cuts a text that is longer than the API accepts, in bytes, and says so; it cuts no character in two.
func Shorten(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most-3], "") + "..."
}
