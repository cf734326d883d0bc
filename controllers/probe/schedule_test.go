// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/freehold-dev/freehold/api/v1alpha1"
)

// proven is a Tenant that serves and whose walls were proven some time ago.
func proven(ago time.Duration) *v1alpha1.Tenant {
	t := instance("acme", "10.0.1").tenant
	t.CreationTimestamp = metav1.NewTime(evening.Add(-time.Hour))
	t.Status.Proofs = []v1alpha1.Proof{{Condition: v1alpha1.ConditionIsolated, ObservedAt: metav1.NewTime(evening.Add(-ago))}}
	t.Status.Conditions = []metav1.Condition{
		{Type: v1alpha1.ConditionAvailable, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonServing, LastTransitionTime: metav1.NewTime(evening.Add(-time.Hour))},
		{Type: v1alpha1.ConditionIsolated, Status: metav1.ConditionTrue, ObservedGeneration: t.Generation},
	}
	return t
}

func TestWhenATenantIsProvenNext(t *testing.T) {
	s := schedule{interval: 10 * time.Minute}
	regular := s.interval - s.jitter("acme")
	for name, row := range map[string]struct {
		ago     time.Duration
		changed bool
		edit    func(*v1alpha1.Tenant)
		want    time.Duration
	}{
		"after the interval":                  {ago: time.Minute, want: regular - time.Minute},
		"soon after its walls were touched":   {ago: time.Second, changed: true, want: minimumPause - time.Second},
		"at once if they were, long after":    {ago: time.Minute, changed: true, want: minimumPause - time.Minute},
		"soon after its spec changed":         {ago: time.Second, edit: func(t *v1alpha1.Tenant) { t.Generation++ }, want: minimumPause - time.Second},
		"after a minute while it is in doubt": {ago: time.Second, edit: func(t *v1alpha1.Tenant) { t.Status.Conditions[1].Status = metav1.ConditionFalse }, want: doubtPause - time.Second},
		"soon after it began to serve": {ago: time.Second, want: minimumPause - time.Second, edit: func(t *v1alpha1.Tenant) {
			t.Status.Conditions[1].Status, t.Status.Conditions[0].LastTransitionTime = metav1.ConditionUnknown, metav1.NewTime(evening)
		}},
		"every second until a lockdown is proven": {ago: 0, edit: func(t *v1alpha1.Tenant) { t.Spec.Lockdown = true }, want: lockdownPause},
		"never proven: at once":                   {edit: func(t *v1alpha1.Tenant) { t.Status.Proofs = nil }, want: 0},
		"new and not serving: after some patience": {want: startPatience, edit: func(t *v1alpha1.Tenant) {
			t.Status, t.CreationTimestamp = v1alpha1.TenantStatus{}, metav1.NewTime(evening)
		}},
	} {
		tenant := proven(row.ago)
		if row.edit != nil {
			row.edit(tenant)
		}
		if got := s.due(tenant, time.Time{}, row.changed, evening); got != row.want {
			t.Errorf("%s: due in %s, want %s", name, got, row.want)
		}
	}
}

func TestAFleetIsSpreadOut(t *testing.T) {
	s := schedule{interval: 10 * time.Minute}
	seen := map[time.Duration]bool{}
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		jitter := s.jitter(name)
		if jitter < 0 || jitter > s.interval/10 {
			t.Errorf("%s: %s is more than a tenth of the interval", name, jitter)
		}
		seen[jitter] = true
	}
	if len(seen) < 6 {
		t.Errorf("eight Tenants share %d moments", len(seen))
	}
}

func TestEvidenceCountsForThreeIntervals(t *testing.T) {
	s := schedule{interval: 10 * time.Minute}
	if s.stale(proven(30*time.Minute), evening) || !s.stale(proven(30*time.Minute+time.Second), evening) || s.stale(&v1alpha1.Tenant{}, evening) {
		t.Error("it counts for thirty minutes and not longer; what was never proven is not stale")
	}
	tenant := proven(time.Hour)
	p := reportOn(tenant)
	p.expire(evening)
	if len(p.conditions) != 1 || p.conditions[0].Status != metav1.ConditionUnknown || p.conditions[0].Reason != v1alpha1.ReasonStale {
		t.Errorf("got %+v", p.conditions)
	}
	if len(p.proofs) != 1 || !p.proofs[0].ObservedAt.Equal(&tenant.Status.Proofs[0].ObservedAt) {
		t.Errorf("the evidence keeps its time: got %+v", p.proofs)
	}
}
