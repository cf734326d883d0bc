// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"slices"

	"github.com/freehold-dev/freehold/api/v1alpha1"
)

// Who takes part in which round. A Tenant is in one round at most; it is reserved for it before it begins, so that two
// Tenants never choose each other, or the same neighbour, at the same time.

// reserved stands for a round that is about to begin.
var reserved = &round{}

func (r *Reconciler) reserve(tenants []*v1alpha1.Tenant) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if slices.ContainsFunc(tenants, func(t *v1alpha1.Tenant) bool { return r.rounds[t.Name] != nil }) {
		return false
	}
	if len(r.rounds) >= 2*maxRounds && !closing(tenants[0]) { // A lockdown waits for nobody.
		return false
	}
	for _, t := range tenants {
		r.rounds[t.Name] = reserved
	}
	return true
}

// conclude notes when a round ended.
func (r *Reconciler) conclude(under *round) {
	for _, m := range under.members {
		r.leave(m.name, under)
		r.mu.Lock()
		r.ended[m.name] = r.clock.Now()
		r.mu.Unlock()
	}
}

func (r *Reconciler) underway(name string) *round {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.rounds[name]
}

// abandon ends a round without a result: what it would have shown of those who took part is shown soon.
func (r *Reconciler) abandon(ctx context.Context, under *round) error {
	err := r.clear(ctx, under)
	for _, m := range under.members {
		r.leave(m.name, under)
		r.mu.Lock()
		r.changed[m.name] = true
		r.mu.Unlock()
	}
	return err
}

// leave takes a Tenant out of a round, unless it is in another one by now.
func (r *Reconciler) leave(name string, under *round) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.rounds[name] == under {
		delete(r.rounds, name)
	}
}
