// SPDX-License-Identifier: Apache-2.0

package tenant

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/apply"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
	"github.com/freehold-dev/freehold/controllers/tenant/render"
)

// scope is what one pass over one Tenant knows. Each field says which step fills it; steps only read what earlier
// ones filled.
type scope struct {
	// tenant is a copy of our own; its status is what will be written. Filled by newScope, status by the setters.
	tenant *v1alpha1.Tenant
	// stored is the status as it was read. Filled by newScope.
	stored v1alpha1.TenantStatus
	// name of the Tenant and namespace of its instance. Filled by newScope.
	name, namespace string
	// now is the time of the pass. Filled by newScope.
	now time.Time

	// wanted is the Tenant that is rendered: tenant, without what an older one has. Filled by newScope, again by
	// conflicts. Only read.
	wanted *v1alpha1.Tenant
	// observed is the world as the caches have it. Filled by observe.
	observed observed
	// instanceID is who the instance is. Filled by identify.
	instanceID string
	// adopted is true if the pass takes retained data over. Filled by identify.
	adopted bool
	// grounded is true once the namespace carries the instance ID: only then does the status name it. Filled by
	// ground.
	grounded bool

	// names of the database and its owner; moved is set if the class has others. Filled by database, which then
	// puts the instance's names into the observed class.
	names databaseNames
	moved *stallError

	// inputs of rendering. Filled by plan, trust and hash again by secrets.
	inputs render.Inputs
	// objects are the desired live objects. Filled by plan, again by secrets once the trust is known.
	objects *render.Objects
	// auditDue says that the Secrets have to be looked at in this pass. Filled by plan.
	auditDue bool
	// keysLost says that the instance's Secrets cannot be made, because what they are made from is lost. Filled by
	// secrets.
	keysLost bool
	// certificate is what is known of a certificate from outside. Filled by secrets.
	certificate finding
	// running is the revision that the workloads are built from. Filled by recall from what is stored, by revise
	// when it makes the next one.
	running *storedRevision
	// highest is the highest number of a revision that is stored or that a workload names; 0 if there is none. Filled
	// by recall.
	highest int64
	// lost says why it cannot be told which revision runs; nil if it can. Then workloads and updates are left alone, all
	// else is kept up. Filled by recall, emptied by revise when a person lets another revision take over.
	lost *stallError
	// update is what today's rendering says beside what runs; nil until it was decided. Filled by revise.
	update *updateState

	// written are the objects that this pass changed, for events. Filled by apply and prune.
	written []string
	// rolling is true if a workload was changed: what the cache says of its rollout is old. Filled by workloads.
	rolling bool
	// hurryAgain is when the gate's pods are to be told of their lists once more; 0 if they were told. Filled by hurry.
	hurryAgain time.Duration
	// pending are things on which convergence still waits. Filled by any step.
	pending []string
	// problems are failures that did not stop the pass. Filled by any step.
	problems []error
	// announcements are events to send once the status is written. Filled by any step.
	announcements []announcement
}

// announcement is an event about the Tenant.
type announcement struct {
	warning      bool
	reason, note string
}

// newScope reads the Tenant; nil if there is none.
func (r *Reconciler) newScope(ctx context.Context, name string) (*scope, error) {
	tenant := &v1alpha1.Tenant{}
	if err := r.client.Get(ctx, types.NamespacedName{Name: name}, tenant); err != nil {
		if apierrors.IsNotFound(err) {
			return nil, nil
		}
		return nil, fmt.Errorf("reading the Tenant: %w", err)
	}
	return &scope{
		tenant:    tenant,
		wanted:    tenant,
		stored:    *tenant.Status.DeepCopy(),
		name:      name,
		namespace: meta.Namespace(name),
		now:       r.clock.Now(),
	}, nil
}

// failed notes a failure that does not stop the pass.
func (s *scope) failed(err error) {
	if err != nil {
		s.problems = append(s.problems, err)
	}
}

// announce notes an event to send once the status is written.
func (s *scope) announce(reason, format string, args ...any) {
	s.announcements = append(s.announcements, announcement{reason: reason, note: fmt.Sprintf(format, args...)})
}

// do applies one object and notes what came of it. It reports whether the object was changed.
func do[O client.Object, A apply.Configuration](ctx context.Context, r *Reconciler, s *scope, kind apply.Kind[O, A], live O, want A, opts ...apply.Option) (bool, error) {
	name := describe(want)
	result, err := apply.Do(ctx, r.applier, kind, live, want, opts...)
	countApply(name, result, err)
	if err != nil {
		return false, err
	}
	changed := result == apply.Applied || result == apply.Repaired
	if changed {
		s.written = append(s.written, name.String())
	}
	return changed, nil
}

// objectName is an object's kind and name, for people.
type objectName struct{ kind, name string }

// String is kind/name, as kubectl writes it.
func (n objectName) String() string { return n.kind + "/" + n.name }

func describe(want apply.Configuration) objectName {
	kind := "Object"
	if k, ok := want.(interface{ GetKind() *string }); ok {
		kind = ptr.Deref(k.GetKind(), kind)
	}
	return objectName{kind: kind, name: ptr.Deref(want.GetName(), "")}
}
