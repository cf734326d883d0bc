// SPDX-License-Identifier: Apache-2.0

package tenant

import (
	"hash/fnv"
	"sync"
	"time"
)

// externalAuditInterval is how often a tenant's Secrets are looked at while its certificate comes from outside
// (a user's Secret or cert-manager): nothing tells us when it changes, since Secrets are not watched.
const externalAuditInterval = 30 * time.Second

// auditSchedule paces the reads that find lost or changed Secrets. Each instance has its own moment in the period,
// derived from its ID, so that a fleet is spread evenly and a restart of the operator causes no reads at once.
type auditSchedule struct {
	mu   sync.Mutex
	next map[string]time.Time
}

func newAuditSchedule() *auditSchedule { return &auditSchedule{next: map[string]time.Time{}} }

// due reports whether an instance's audit has come. The first question about an instance only schedules it.
func (a *auditSchedule) due(instanceID string, now time.Time, interval time.Duration) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	next, known := a.next[instanceID]
	if moment := nextAudit(instanceID, now, interval); !known || moment.Before(next) {
		// Also when the interval has become shorter: the source of the certificate changed.
		a.next[instanceID] = moment
		return false
	}
	return !now.Before(next)
}

// done schedules the audit after one that took place, and says how long it is until then.
func (a *auditSchedule) done(instanceID string, now time.Time, interval time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.next[instanceID] = nextAudit(instanceID, now, interval)
}

// wait is how long it is until an instance's next audit; at least one millisecond.
func (a *auditSchedule) wait(instanceID string, now time.Time) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	return max(a.next[instanceID].Sub(now), time.Millisecond)
}

// forget drops an instance whose Tenant is gone.
func (a *auditSchedule) forget(instanceID string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.next, instanceID)
}

// nextAudit is the first moment after now that belongs to an instance: one per interval, at an offset given by the
// instance ID.
func nextAudit(instanceID string, now time.Time, interval time.Duration) time.Time {
	h := fnv.New64a()
	_, _ = h.Write([]byte(instanceID)) // never fails
	offset := time.Duration(h.Sum64() % uint64(interval))
	moment := now.Truncate(interval).Add(offset)
	if !moment.After(now) {
		moment = moment.Add(interval)
	}
	return moment
}
