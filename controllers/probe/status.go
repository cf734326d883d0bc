// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/apply"
	"github.com/freehold-dev/freehold/controllers/internal/conditions"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// fieldOwner owns the proofs and the conditions of this package in a Tenant's status, and nothing else.
const fieldOwner = "freehold-probe"

// owned are the conditions of this package.
var owned = []string{v1alpha1.ConditionIsolated, v1alpha1.ConditionEncryptedInTransit, v1alpha1.ConditionEncryptedAtRest, v1alpha1.ConditionLockedDown}

// report is what shall stand in a Tenant's status.
type report struct {
	tenant     *v1alpha1.Tenant
	conditions []metav1.Condition
	proofs     []v1alpha1.Proof
}

// reportOn begins with what the status says already.
func reportOn(tenant *v1alpha1.Tenant) *report {
	out := &report{tenant: tenant, proofs: slices.Clone(tenant.Status.Proofs)}
	for _, c := range tenant.Status.Conditions {
		if slices.Contains(owned, c.Type) {
			out.conditions = append(out.conditions, c)
		}
	}
	return out
}

// set puts a verdict in its place. observed is when its evidence began to be gathered: what happened since is not in it.
func (p *report) set(v verdict, observed, now time.Time) {
	conditions.Set(&p.conditions, metav1.Condition{
		Type: v.condition, Status: v.status, Reason: v.reason, Message: v.message, ObservedGeneration: p.tenant.Generation,
	}, now)
	if len(v.claims) == 0 {
		return
	}
	proof := v1alpha1.Proof{Condition: v.condition, ObservedAt: metav1.NewTime(observed), Claims: v.claims}
	at := slices.IndexFunc(p.proofs, func(old v1alpha1.Proof) bool { return old.Condition == v.condition })
	if at < 0 {
		p.proofs = append(p.proofs, proof)
		return
	}
	p.proofs[at] = proof
}

// expire makes Unknown what was proven too long ago. The claims stay, with their time.
func (p *report) expire(now time.Time) {
	for _, condition := range []string{v1alpha1.ConditionIsolated, v1alpha1.ConditionEncryptedInTransit} {
		if apimeta.FindStatusCondition(p.conditions, condition) == nil {
			continue
		}
		p.set(verdict{condition: condition, status: metav1.ConditionUnknown, reason: v1alpha1.ReasonStale,
			message: "the last evidence is of " + observedAt(p.tenant).UTC().Format(time.RFC3339) + ", which is too old to count; another proof is due"}, now, now)
	}
}

// changed reports whether the report differs from the status.
func (p *report) changed() bool {
	before := reportOn(p.tenant)
	a, errA := json.Marshal([]any{before.conditions, before.proofs})
	b, errB := json.Marshal([]any{p.conditions, p.proofs})
	return errA != nil || errB != nil || string(a) != string(b)
}

// write writes the report, if it differs from the status, and tells of conditions that changed.
func (r *Reconciler) write(ctx context.Context, p *report) error {
	if !p.changed() {
		return nil
	}
	own := v1alpha1.TenantStatus{Conditions: p.conditions, Proofs: p.proofs}
	if err := apply.Status(ctx, r.client, p.tenant, own, fieldOwner); err != nil {
		return err
	}
	r.tell(p)
	return nil
}

// tell sends an event for each condition whose status or reason changed.
func (r *Reconciler) tell(p *report) {
	for _, now := range p.conditions {
		before := apimeta.FindStatusCondition(p.tenant.Status.Conditions, now.Type)
		if before != nil && before.Status == now.Status && before.Reason == now.Reason {
			continue
		}
		kind := corev1.EventTypeNormal
		if now.Status == metav1.ConditionFalse && now.Type != v1alpha1.ConditionLockedDown {
			kind = corev1.EventTypeWarning
		}
		r.events.Eventf(p.tenant, nil, kind, now.Reason, "Prove", "%s", noted(fmt.Sprintf("%s=%s: %s", now.Type, now.Status, now.Message)))
	}
}

func noted(text string) string { return conditions.Shorten(text, conditions.MaxNote) }

// tellBlocked shows how many clients the gate blocks, and sends an event when there are more than before.
func (r *Reconciler) tellBlocked(tenant *v1alpha1.Tenant, clients int) {
	blockedClients.WithLabelValues(tenant.Name).Set(float64(clients))
	r.mu.Lock()
	before := r.blocked[tenant.Name]
	r.blocked[tenant.Name] = clients
	r.mu.Unlock()
	if clients > before {
		r.events.Eventf(tenant, nil, corev1.EventTypeWarning, "ClientsBlocked", "Prove",
			"the gate keeps %d clients from logging in, after too many attempts; to see them: kubectl exec -n %s deploy/%s -- %s agent edge blocked",
			clients, tenant.Status.Namespace, meta.EdgeDeployment, meta.AgentBinary)
	}
}
