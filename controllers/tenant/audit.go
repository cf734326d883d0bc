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
	mu    sync.Mutex
	next  map[string]time.Time
	found map[string]finding
}

// finding is what an audit found out about a certificate from outside. It holds until the next audit.
type finding struct {
	// invalid says why the certificate cannot be served; nil if it can.
	invalid *stallError
	// pending says what is waited for; "" if nothing is.
	pending string
}

func newAuditSchedule() *auditSchedule {
	return &auditSchedule{next: map[string]time.Time{}, found: map[string]finding{}}
}

// due reports whether an instance's audit has come. The first question about an instance only schedules it, unless
// the certificate comes from outside: then nothing but an audit can say whether it is good.
func (a *auditSchedule) due(instanceID string, now time.Time, interval time.Duration, external bool) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	next, known := a.next[instanceID]
	if !known && external {
		a.next[instanceID] = now
		return true
	}
	if moment := nextAudit(instanceID, now, interval); !known || moment.Before(next) {
		// Also when the interval has become shorter: the source of the certificate changed.
		a.next[instanceID] = moment
		return false
	}
	return !now.Before(next)
}

// done schedules the audit after one that took place, and keeps what it found.
func (a *auditSchedule) done(instanceID string, now time.Time, interval time.Duration, found finding) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.next[instanceID] = nextAudit(instanceID, now, interval)
	a.found[instanceID] = found
}

// last is what the last audit of an instance found.
func (a *auditSchedule) last(instanceID string) finding {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.found[instanceID]
}

// wait is how long it is until an instance's next audit. One that is due already did not take place: something stopped
// the pass before it, and looking again at once would only find the same obstacle.
func (a *auditSchedule) wait(instanceID string, now time.Time) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	if left := a.next[instanceID].Sub(now); left > 0 {
		return left
	}
	return conflictRetry
}

// forget drops an instance whose Tenant is gone.
func (a *auditSchedule) forget(instanceID string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.next, instanceID)
	delete(a.found, instanceID)
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
