// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/conditions"
	"github.com/freehold-dev/freehold/controllers/internal/dial"
)

// Point is a probe point outside the cluster.
type Point = dial.Point

// Options are what the installation decides.
type Options struct {
	// Interval between two proofs of a Tenant. Evidence counts for three intervals.
	Interval time.Duration
	// Image of the pods that make the attempts, and its pull policy. It has the freehold binary.
	Image      string
	PullPolicy corev1.PullPolicy
	// ClusterDomain ends the cluster's DNS names.
	ClusterDomain string
	// Canary finds the address, host:port, of the listener that no policy protects.
	Canary func(context.Context) (string, error)
	// APIServer is its address, host:port, as pods see it.
	APIServer string
	// Outside are addresses, host:port, beyond the cluster that no tenant's class allows. May be empty.
	Outside []string
	// Points outside the cluster, which tell whether they get into gates. May be empty.
	Points []dial.Point
	// Dial makes the operator's own attempts. Default: a dial.Dialer.
	Dial func(context.Context, []dial.Attempt) []dial.Outcome
}

// Reconciler proves one Tenant's walls and encryption, again and again.
type Reconciler struct {
	client   client.Client
	api      client.Reader
	clock    clock.PassiveClock
	events   events.EventRecorder
	options  Options
	schedule schedule
	dial     func(context.Context, []dial.Attempt) []dial.Outcome

	mu sync.Mutex
	// rounds under way, by the Tenants that take part: two share one.
	rounds map[string]*round
	// ended is when the last round of a Tenant ended, revision which one ran then; changed says that its walls were
	// touched since.
	ended    map[string]time.Time
	revision map[string]int64
	changed  map[string]bool
	// blocked is how many clients a Tenant's gate blocked at the last round.
	blocked map[string]int
}

// NewReconciler makes a Reconciler. c reads from caches and writes to the API server; live reads from the API server.
func NewReconciler(c client.Client, live client.Reader, clk clock.PassiveClock, recorder events.EventRecorder, options Options) *Reconciler {
	if options.Dial == nil {
		options.Dial = dial.Dialer{}.All
	}
	return &Reconciler{
		client: c, api: live, clock: clk, events: recorder, options: options,
		schedule: schedule{interval: options.Interval}, dial: options.Dial,
		rounds: map[string]*round{}, ended: map[string]time.Time{}, revision: map[string]int64{}, changed: map[string]bool{}, blocked: map[string]int{},
	}
}

// Reconcile is one look at one Tenant: a round goes on, begins, or is not due yet.
func (r *Reconciler) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	tenant := &v1alpha1.Tenant{}
	err := r.client.Get(ctx, request.NamespacedName, tenant)
	if apierrors.IsNotFound(err) {
		return reconcile.Result{}, r.forget(ctx, request.Name)
	}
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("reading the Tenant: %w", err)
	}
	conditions.Observe(tenant.Name, tenant.Status.Conditions, owned...)
	if under := r.underway(tenant.Name); under != nil && under != reserved && closing(tenant) && !under.lockdown {
		// A lockdown waits for nobody: the round is given up for it.
		if err := r.abandon(ctx, under); err != nil {
			return reconcile.Result{}, err
		}
	} else if under != nil {
		return r.goOn(ctx, tenant.Name, under)
	}
	if !provable(tenant) {
		return reconcile.Result{}, nil
	}
	if err := r.write(ctx, r.withoutRound(tenant)); err != nil {
		return reconcile.Result{}, err
	}
	if wait := r.wait(tenant); wait > 0 {
		return reconcile.Result{RequeueAfter: wait}, nil
	}
	return r.begin(ctx, tenant)
}

// withoutRound is what can be said without a new proof: that evidence has become stale, and that nothing is locked
// down any more.
func (r *Reconciler) withoutRound(tenant *v1alpha1.Tenant) *report {
	now, p := r.clock.Now(), reportOn(tenant)
	if r.schedule.stale(tenant, now) {
		p.expire(now)
	}
	if !tenant.Spec.Lockdown {
		conditions.Remove(&p.conditions, v1alpha1.ConditionLockedDown)
	} else if closing(tenant) {
		p.set(verdict{condition: v1alpha1.ConditionLockedDown, status: metav1.ConditionFalse, reason: v1alpha1.ReasonClosing, message: "the gate is being closed; it is not proven yet"}, now, now)
	}
	return p
}

func (r *Reconciler) wait(tenant *v1alpha1.Tenant) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	changed := r.changed[tenant.Name]
	if before, known := r.revision[tenant.Name]; known && before != tenant.Status.Revision.Number {
		changed = changed || apimeta.IsStatusConditionTrue(tenant.Status.Conditions, v1alpha1.ConditionReady)
	}
	return r.schedule.due(tenant, r.ended[tenant.Name], changed, r.clock.Now())
}

// begin starts a round for a Tenant, and for a neighbour if one is free.
func (r *Reconciler) begin(ctx context.Context, tenant *v1alpha1.Tenant) (reconcile.Result, error) {
	tenants := []*v1alpha1.Tenant{tenant}
	if !closing(tenant) { // A lockdown is proven at once, and alone.
		neighbour, err := r.neighbour(ctx, tenant)
		if err != nil {
			return reconcile.Result{}, err
		}
		if neighbour != nil {
			tenants = append(tenants, neighbour)
		}
	}
	if !r.reserve(tenants) {
		return reconcile.Result{RequeueAfter: 2 * pollInterval}, nil // The neighbour just began one of its own, or there are many.
	}
	made, err := r.prepare(ctx, tenants)
	if err != nil {
		for _, t := range tenants {
			r.leave(t.Name, reserved)
		}
		r.events.Eventf(tenant, nil, corev1.EventTypeWarning, "ProofFailed", "Prove", "%s", noted(err.Error()))
		return reconcile.Result{}, err // Tried again with growing pauses.
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range tenants {
		r.rounds[t.Name], r.changed[t.Name], r.revision[t.Name] = made, false, t.Status.Revision.Number
	}
	return reconcile.Result{RequeueAfter: pollInterval}, nil
}

func (r *Reconciler) prepare(ctx context.Context, tenants []*v1alpha1.Tenant) (*round, error) {
	var members []*member
	for _, t := range tenants {
		m, err := r.look(ctx, t)
		if err != nil {
			return nil, err
		}
		members = append(members, m)
	}
	return r.start(ctx, members)
}

// neighbour is the Tenant whose proof is the oldest among those that may take part; nil if there is none.
func (r *Reconciler) neighbour(ctx context.Context, tenant *v1alpha1.Tenant) (*v1alpha1.Tenant, error) {
	var all v1alpha1.TenantList
	if err := r.client.List(ctx, &all, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing the Tenants: %w", err)
	}
	var found *v1alpha1.Tenant
	for i := range all.Items {
		other := &all.Items[i]
		if other.Name == tenant.Name || !provable(other) || other.Spec.Suspended || closing(other) || r.underway(other.Name) != nil {
			continue
		}
		if found == nil || observedAt(other).Before(observedAt(found)) {
			found = other
		}
	}
	return found.DeepCopy(), nil
}

// goOn looks at a round. The first member leads it; the others are told when it ends.
func (r *Reconciler) goOn(ctx context.Context, name string, under *round) (reconcile.Result, error) {
	if under.members == nil || under.members[0].name != name {
		return reconcile.Result{RequeueAfter: 2 * time.Second}, nil
	}
	done, err := r.step(ctx, under)
	if err != nil || !done {
		return reconcile.Result{RequeueAfter: pollInterval}, err
	}
	return reconcile.Result{RequeueAfter: time.Second}, r.finish(ctx, under)
}

// finish judges a round, writes what came of it and removes its pods.
func (r *Reconciler) finish(ctx context.Context, under *round) error {
	now := r.clock.Now()
	errs := []error{r.clear(ctx, under)}
	for i, m := range under.members {
		tenant := &v1alpha1.Tenant{}
		if err := r.client.Get(ctx, client.ObjectKeyFromObject(m.tenant), tenant); err != nil {
			errs = append(errs, client.IgnoreNotFound(err))
			continue
		}
		j := judgement{members: under.members, world: under.world, seen: under.seen, index: i}
		p := reportOn(tenant)
		// What was seen is about the spec that was looked at.
		p.tenant = tenant.DeepCopy()
		p.tenant.Generation = m.tenant.Generation
		if m.tenant.Spec.Lockdown {
			p.set(j.shut(), under.began, now)
		}
		if !under.lockdown {
			for _, v := range []verdict{j.isolated(), j.encryptedInTransit(now), j.encryptedAtRest()} {
				p.set(v, under.began, now)
			}
			r.tellBlocked(tenant, j.blocked())
			proofSeconds.Observe(now.Sub(under.began).Seconds())
			proofTime.WithLabelValues(m.name).Set(float64(now.Unix()))
		}
		errs = append(errs, r.write(ctx, p))
	}
	r.conclude(under)
	return errors.Join(errs...)
}

// forget drops what is known of a Tenant that is gone. A round that it took part in ends without a result: its
// neighbour soon begins another.
func (r *Reconciler) forget(ctx context.Context, name string) error {
	var err error
	if under := r.underway(name); under != nil {
		err = r.abandon(ctx, under)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.rounds, name)
	delete(r.ended, name)
	delete(r.revision, name)
	delete(r.changed, name)
	delete(r.blocked, name)
	proofTime.DeleteLabelValues(name)
	blockedClients.DeleteLabelValues(name)
	conditions.Forget(name, owned...)
	return err
}
