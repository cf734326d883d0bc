// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"hash/fnv"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/freehold-dev/freehold/api/v1alpha1"
)

const (
	// staleAfter is how many intervals evidence counts.
	staleAfter = 3
	// minimumPause lies between two rounds of a Tenant, however often it changes.
	minimumPause = 10 * time.Second
	// doubtPause lies between two rounds while an instance that serves is not proven to be isolated.
	doubtPause = time.Minute
	// startPatience is how long a new instance may take to serve until it is put to the proof all the same.
	startPatience = 2 * time.Minute
	// lockdownPause lies between two rounds while a lockdown is not proven.
	lockdownPause = time.Second
)

// schedule decides when a Tenant is proven next.
type schedule struct {
	// interval between two proofs of a Tenant.
	interval time.Duration
}

// due is how long until the next proof; 0 or less if it is time. last is when the last round ended in this process,
// or zero; changed says that something happened to the walls since.
func (s schedule) due(tenant *v1alpha1.Tenant, last time.Time, changed bool, now time.Time) time.Duration {
	if observed := observedAt(tenant); observed.After(last) {
		last = observed
	}
	if last.IsZero() {
		return s.first(tenant, now)
	}
	next := s.interval - s.jitter(tenant.Name)
	switch {
	case closing(tenant):
		next = lockdownPause
	case changed, outdated(tenant):
		next = minimumPause
	case inDoubt(tenant):
		next = min(next, doubtPause)
	}
	return last.Add(next).Sub(now)
}

// first is how long until the first proof: once the instance serves, or has had time to.
func (s schedule) first(tenant *v1alpha1.Tenant, now time.Time) time.Duration {
	if apimeta.IsStatusConditionTrue(tenant.Status.Conditions, v1alpha1.ConditionAvailable) || closing(tenant) {
		return 0
	}
	return tenant.CreationTimestamp.Add(startPatience).Sub(now)
}

// inDoubt reports whether an instance serves whose walls are not proven to stand.
func inDoubt(tenant *v1alpha1.Tenant) bool {
	return apimeta.IsStatusConditionTrue(tenant.Status.Conditions, v1alpha1.ConditionAvailable) &&
		!apimeta.IsStatusConditionTrue(tenant.Status.Conditions, v1alpha1.ConditionIsolated)
}

// jitter spreads the Tenants over a tenth of the interval, so that a fleet that begins together does not go on so.
func (s schedule) jitter(name string) time.Duration {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(name)) // Never fails.
	return s.interval / 10 * time.Duration(hash.Sum32()%1000) / 1000
}

// stale reports whether the evidence is too old to count.
func (s schedule) stale(tenant *v1alpha1.Tenant, now time.Time) bool {
	observed := observedAt(tenant)
	return !observed.IsZero() && now.Sub(observed) > staleAfter*s.interval
}

// observedAt is when the walls were last proven, by the status; zero if never.
func observedAt(tenant *v1alpha1.Tenant) time.Time {
	for _, proof := range tenant.Status.Proofs {
		if proof.Condition == v1alpha1.ConditionIsolated {
			return proof.ObservedAt.Time
		}
	}
	return time.Time{}
}

// closing reports whether a lockdown is wanted and not proven yet.
func closing(tenant *v1alpha1.Tenant) bool {
	locked := apimeta.FindStatusCondition(tenant.Status.Conditions, v1alpha1.ConditionLockedDown)
	return tenant.Spec.Lockdown && (locked == nil || locked.Status != metav1.ConditionTrue || locked.ObservedGeneration != tenant.Generation)
}

// outdated reports whether the evidence is about another spec, or was gathered while the instance did not serve.
func outdated(tenant *v1alpha1.Tenant) bool {
	isolated := apimeta.FindStatusCondition(tenant.Status.Conditions, v1alpha1.ConditionIsolated)
	if isolated == nil || isolated.ObservedGeneration != tenant.Generation {
		return true
	}
	available := apimeta.FindStatusCondition(tenant.Status.Conditions, v1alpha1.ConditionAvailable)
	return isolated.Status == metav1.ConditionUnknown && available != nil && available.Status == metav1.ConditionTrue &&
		available.LastTransitionTime.After(observedAt(tenant))
}

// provable reports whether there is an instance that can be proven.
func provable(tenant *v1alpha1.Tenant) bool {
	available := apimeta.FindStatusCondition(tenant.Status.Conditions, v1alpha1.ConditionAvailable)
	return tenant.DeletionTimestamp.IsZero() && tenant.Status.Namespace != "" && tenant.Status.InstanceID != "" &&
		available != nil && available.Reason != v1alpha1.ReasonNotProvisioned
}
