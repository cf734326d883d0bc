// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"hash/fnv"
	"sync"
	"time"

	"github.com/freehold-dev/freehold/controllers/backup/engine"
)

// memory is what the operator remembers of one instance between passes. A restarted operator finds all of it again; what
// it costs is one look at Secrets, or a moment of waiting. One pass at a time works with it.
type memory struct {
	instanceID string
	// audit is when the Secrets are looked at next; secrets is the hash of what they were last made from; wrong is what
	// was found then, by destination.
	audit   time.Time
	secrets string
	wrong   map[string]error
	// generations are those of each destination, as they stand beside the keys; nil if they were not read yet.
	generations map[string]generations
	// token is what the archiver's report is asked for with; empty if it was not read yet.
	token string
	// asked is when the archiver was last asked, silent since when it does not answer, and why; zero while it does.
	asked  time.Time
	silent time.Time
	why    string
	report *sighting
	// suspended is since when CronJobs are seen to be suspended for a Job of ours, by destination.
	suspended map[string]time.Time
	// unproven is the last verification that ended without a proof, by destination.
	unproven map[string]attempt
	// until is the last moment that is known to be archived, by destination.
	until map[string]time.Time
	// written is when the status was last written.
	written time.Time
}

// attempt is a verification that ended without a proof.
type attempt struct {
	at time.Time
	// refuted says that what is stored was found wanting; otherwise nobody got at it.
	refuted bool
}

// sighting is a report and when it came.
type sighting struct {
	engine.Report
	received time.Time
}

// register holds the memories.
type register struct {
	mu       sync.Mutex
	memories map[string]*memory
	// places in the fleet's verifications that are kept for Tenants whose Job is about to be made, and since when.
	places map[string]time.Time
}

func newRegister() *register {
	return &register{memories: map[string]*memory{}, places: map[string]time.Time{}}
}

// placeKept is for how long a place is kept for a Tenant that does not ask for it again.
const placeKept = time.Minute

// reserve keeps a place for a Tenant's verification, unless as many are under way, or about to be, as may be. active are
// the Tenants that one is under way for.
func (r *register) reserve(tenant string, active map[string]bool, most int, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken := len(active)
	for other, since := range r.places {
		if active[other] || now.Sub(since) > placeKept {
			delete(r.places, other)
		} else if other != tenant {
			taken++
		}
	}
	if taken >= most {
		return false
	}
	r.places[tenant] = now
	return true
}

// of is the memory of a Tenant's instance. What was known of another instance of the same name is forgotten.
func (r *register) of(tenant, instanceID string) *memory {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.memories[tenant]
	if m == nil || m.instanceID != instanceID {
		m = &memory{instanceID: instanceID, wrong: map[string]error{}, suspended: map[string]time.Time{}, unproven: map[string]attempt{}, until: map[string]time.Time{}}
		r.memories[tenant] = m
	}
	return m
}

// forget drops the memory of a Tenant; false if there was none.
func (r *register) forget(tenant string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, known := r.memories[tenant]
	delete(r.memories, tenant)
	return known
}

// share is a number below n that is always the same for an instance, and spreads instances evenly.
func share(instanceID string, n uint64) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(instanceID)) // Never fails.
	return h.Sum64() % n
}

// nextMoment is the first time after now that belongs to an instance: one per interval.
func nextMoment(instanceID string, now time.Time, interval time.Duration) time.Time {
	next := now.Truncate(interval).Add(time.Duration(share(instanceID, uint64(interval))))
	if !next.After(now) {
		next = next.Add(interval)
	}
	return next
}
