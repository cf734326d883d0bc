// SPDX-License-Identifier: Apache-2.0

package tenant

import (
	"context"
	"errors"
	"fmt"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/apply"
	"github.com/freehold-dev/freehold/controllers/tenant/render"
)

// CRDName is the CustomResourceDefinition of Tenants.
const CRDName = "tenants.freehold.dev"

// Options are what the installation decides.
type Options struct {
	// Images are the operator's own component images, for classes that name none.
	Images render.Images
	// Facts are what the installation knows of the cluster.
	Facts render.Facts
	// AuditInterval is how often a tenant's Secrets are looked at. Default: ten minutes.
	AuditInterval time.Duration
}

// Reconciler makes one Tenant's instance be as its spec and its running revision say.
type Reconciler struct {
	client  client.Client
	api     client.Reader
	applier *apply.Applier
	clock   clock.PassiveClock
	events  events.EventRecorder
	audits  *auditSchedule
	options Options
}

// NewReconciler makes a Reconciler. c reads from caches that keep managedFields and have Indexes, and writes to the
// API server; live reads from the API server.
func NewReconciler(c client.Client, live client.Reader, clk clock.PassiveClock, recorder events.EventRecorder, options Options) *Reconciler {
	if options.AuditInterval <= 0 {
		options.AuditInterval = 10 * time.Minute
	}
	return &Reconciler{
		client: c, api: live, applier: apply.New(c, live), clock: clk, events: recorder,
		audits: newAuditSchedule(), options: options,
	}
}

// Reconcile is one pass over one Tenant.
func (r *Reconciler) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	s, err := r.newScope(ctx, request.Name)
	if err != nil {
		return reconcile.Result{}, err
	}
	if s == nil {
		forgetConditions(request.Name)
		return reconcile.Result{}, nil
	}
	if s.tenant.DeletionTimestamp.IsZero() {
		err = r.converge(ctx, s)
	} else {
		err = r.delete(ctx, s)
	}
	return r.finish(ctx, s, err)
}

// converge is the table of contents: each step reads what the earlier ones found out, and an error stops the pass.
// What may fail without stopping it is noted with scope.failed.
func (r *Reconciler) converge(ctx context.Context, s *scope) error {
	for _, step := range []func(context.Context, *scope) error{
		r.guardCRD,
		r.observe,
		r.identify,
		r.conflicts,
		r.requireClass,
		r.database,
		r.recall,
		r.plan,
		r.ground,
		r.walls,
		r.secrets,
		r.live,
		r.hurry,
		r.revise,
		r.workloads,
		r.tidy,
	} {
		if err := step(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// guardCRD refuses to do anything while the CustomResourceDefinition is being deleted: that sends a deletion to every
// Tenant, and nobody who removes a definition means to stop every customer.
func (r *Reconciler) guardCRD(ctx context.Context, s *scope) error {
	reader := client.Reader(r.client)
	if !s.tenant.DeletionTimestamp.IsZero() {
		reader = r.api // The news of the Tenant's deletion may overtake that of the definition's.
	}
	crd := &metav1.PartialObjectMetadata{}
	crd.SetGroupVersionKind(apiextensionsv1.SchemeGroupVersion.WithKind("CustomResourceDefinition"))
	err := reader.Get(ctx, types.NamespacedName{Name: CRDName}, crd)
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("reading the CustomResourceDefinition %s: %w", CRDName, err)
	}
	if wentWithDefinition(s.tenant, crd, err == nil) {
		return stall(v1alpha1.ReasonCRDTerminating,
			"CustomResourceDefinition %s is being deleted, or was deleted after this Tenant: the instance goes on running and is left alone. To keep Freehold: export the Tenants, remove their finalizer %s, and install the CustomResourceDefinitions and the Tenants again; they adopt their running instances",
			CRDName, v1alpha1.Finalizer)
	}
	return nil
}

// wentWithDefinition reports whether a Tenant is, or may have been, deleted only because its definition was: the
// definition is going away, is gone, or was made anew after the Tenant's deletion. For a Tenant that nobody deletes a
// definition that is missing in the cache means nothing: there is one, or the Tenant could not be read.
func wentWithDefinition(tenant *v1alpha1.Tenant, crd *metav1.PartialObjectMetadata, found bool) bool {
	switch deleted := tenant.DeletionTimestamp; {
	case found && crd.DeletionTimestamp != nil:
		return true
	case deleted.IsZero():
		return false
	default:
		return !found || deleted.Before(&crd.CreationTimestamp)
	}
}

// finish turns what came of a pass into the status and into when to come back.
func (r *Reconciler) finish(ctx context.Context, s *scope, err error) (reconcile.Result, error) {
	end := judge(s, err)
	summarise(s, end)
	if err := r.writeStatus(ctx, s); err != nil {
		return reconcile.Result{}, errors.Join(end.failure, err)
	}
	observeConditions(s)
	if end.failure != nil {
		return reconcile.Result{}, end.failure
	}
	return reconcile.Result{RequeueAfter: r.comeBack(s, end)}, nil
}

// judge sorts the errors of a pass: what only a person can mend, what is waited for, and what is tried again.
func judge(s *scope, stopped error) outcome {
	var end outcome
	var retry []error
	for _, err := range append(flatten(stopped), flattenAll(s.problems)...) {
		if stalled := asStall(err); stalled != nil {
			if end.stalled == nil {
				end.stalled = stalled
			}
		} else if waiting := asWait(err); waiting != nil {
			end.waiting = waiting
		} else if waiting := asFresh(s, err); waiting != nil {
			end.waiting = waiting
		} else if waiting := asStale(err); waiting != nil {
			end.waiting = waiting
		} else {
			retry = append(retry, err)
		}
	}
	end.failure = errors.Join(retry...)
	end.rollout = rollout(s)
	return end
}

// flatten takes joined errors apart, so that each is judged for itself.
func flatten(err error) []error {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return flattenAll(joined.Unwrap())
	}
	return []error{err}
}

func flattenAll(errs []error) []error {
	var out []error
	for _, err := range errs {
		out = append(out, flatten(err)...)
	}
	return out
}

// comeBack is when to look again although nothing watched changes: 0 if never.
func (r *Reconciler) comeBack(s *scope, end outcome) time.Duration {
	var after time.Duration
	for _, candidate := range []time.Duration{stallRetry(end.stalled), waitRetry(end.waiting), r.nextLook(s), s.hurryAgain} {
		if candidate > 0 && (after == 0 || candidate < after) {
			after = candidate
		}
	}
	return after
}

func stallRetry(stalled *stallError) time.Duration {
	if stalled == nil {
		return 0
	}
	return stalled.retry
}

func waitRetry(waiting *waitError) time.Duration {
	if waiting == nil {
		return 0
	}
	return waiting.retry
}

// nextLook is when the audit comes; 0 if the pass did not get that far.
func (r *Reconciler) nextLook(s *scope) time.Duration {
	if s.objects == nil {
		return 0
	}
	return r.audits.wait(s.instanceID, s.now)
}
