// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/apply"
	"github.com/freehold-dev/freehold/controllers/internal/conditions"
)

// Options are what the installation decides.
type Options struct {
	// OperatorNamespace holds the keys, the escrow and the credentials.
	OperatorNamespace string
	// ClusterDomain ends the cluster's DNS names.
	ClusterDomain string
	// AuditInterval is how often a tenant's Secrets, and what they are made from, are looked at. Default: ten minutes.
	AuditInterval time.Duration
	// Verifications is how many verifications run at a time in the whole fleet. Default: 2.
	Verifications int
	// EvidenceInterval is how often evidence that goes on being good is written. Default: fifteen minutes.
	EvidenceInterval time.Duration
	// AsideInterval lies between two attempts to archive to a destination that is set aside. Default: fifteen minutes.
	AsideInterval time.Duration
	// Ask asks an archiver for its report. Default: over HTTPS.
	Ask Asker
	// Random gives a number from 0 to n-1. Default: a random one.
	Random func(n int64) int64
}

func (o Options) withDefaults() Options {
	if o.AuditInterval <= 0 {
		o.AuditInterval = 10 * time.Minute
	}
	if o.EvidenceInterval <= 0 {
		o.EvidenceInterval = evidenceInterval
	}
	if o.AsideInterval <= 0 {
		o.AsideInterval = asidePause
	}
	if o.Verifications <= 0 {
		o.Verifications = 2
	}
	if o.Ask == nil {
		o.Ask = askArchiver
	}
	if o.Random == nil {
		o.Random = rand.Int64N
	}
	return o
}

// Reconciler has one Tenant backed up, and says how well it is.
type Reconciler struct {
	client  client.Client
	api     client.Reader
	applier *apply.Applier
	clock   clock.PassiveClock
	events  events.EventRecorder
	known   *register
	options Options
}

// NewReconciler makes a Reconciler. c reads from caches that keep managedFields, and writes to the API server; live reads
// from the API server.
func NewReconciler(c client.Client, live client.Reader, clk clock.PassiveClock, recorder events.EventRecorder, options Options) *Reconciler {
	return &Reconciler{
		client: c, api: live, applier: apply.New(c, live), clock: clk, events: recorder,
		known: newRegister(), options: options.withDefaults(),
	}
}

// Reconcile is one pass over one Tenant.
func (r *Reconciler) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	tenant := &v1alpha1.Tenant{}
	err := r.client.Get(ctx, request.NamespacedName, tenant)
	if apierrors.IsNotFound(err) {
		return reconcile.Result{}, r.depart(ctx, request.Name)
	}
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("reading the Tenant: %w", err)
	}
	if !tenant.DeletionTimestamp.IsZero() || tenant.Spec.BackupPolicyRef == nil {
		return reconcile.Result{}, r.retire(ctx, tenant)
	}
	if tenant.Status.InstanceID == "" || tenant.Status.Namespace == "" {
		return reconcile.Result{}, nil // There is no instance yet; its status will tell.
	}
	s := r.newScope(tenant)
	conditions.Observe(tenant.Name, tenant.Status.Conditions, owned...)
	return r.finish(ctx, s, r.work(ctx, s))
}

// work is the table of contents: an error stops the pass; what may fail without stopping it is noted with scope.failed.
func (r *Reconciler) work(ctx context.Context, s *scope) error {
	for _, step := range []func(context.Context, *scope) error{
		r.observe,
		r.secrets,
		r.collect,
		r.ask,
		r.setAside,
		r.rotate,
		r.run,
	} {
		if err := step(ctx, s); err != nil {
			return err
		}
		if s.ended {
			break
		}
	}
	return nil
}

// finish writes the status, marks what is in it by then, and says when to come back.
func (r *Reconciler) finish(ctx context.Context, s *scope, stopped error) (reconcile.Result, error) {
	if s.observed.looked {
		judge(s)
		if err := r.writeStatus(ctx, s); err != nil {
			return reconcile.Result{}, errors.Join(stopped, err)
		}
		s.failed(r.settle(ctx, s))
		showMetrics(s)
	}
	if err := errors.Join(append(s.problems, stopped)...); err != nil {
		return reconcile.Result{}, err
	}
	return reconcile.Result{RequeueAfter: s.again}, nil
}
