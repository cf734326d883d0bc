// SPDX-License-Identifier: Apache-2.0

package render_test

import (
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/controllers/internal/apply"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
	"github.com/freehold-dev/freehold/controllers/internal/testenv"
	"github.com/freehold-dev/freehold/controllers/tenant/render"
)

// What the API server stores of a rendered object must be recognised as what was rendered: otherwise a fleet at
// rest writes without end.
func TestWhatIsAppliedIsRecognisedAsApplied(t *testing.T) {
	env, err := testenv.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = env.Stop() })
	for name, in := range shapes {
		t.Run(name, func(t *testing.T) {
			applyAll(t, env.Client, in(), apply.Applied)
			applyAll(t, env.Client, in(), apply.Unmodified)
		})
	}
}

// applyAll applies everything that is rendered for in, anew, and demands the same result of each object.
func applyAll(t *testing.T, c client.Client, in render.Inputs, want apply.Result) {
	t.Helper()
	o, revision := mustLive(t, in), mustRevision(t, in)
	a := apply.New(c, c) // An Applier of its own remembers nothing of the first round.
	applyEach(t, a, apply.Namespace, want, o.Namespace)
	applyEach(t, a, apply.RoleBinding, want, o.RoleBinding)
	applyEach(t, a, apply.ResourceQuota, want, o.Quota)
	applyEach(t, a, apply.LimitRange, want, o.Limits)
	applyEach(t, a, apply.NetworkPolicy, want, o.NetworkPolicies...)
	applyEach(t, a, apply.ServiceAccount, want, o.ServiceAccounts...)
	applyEach(t, a, apply.ConfigMap, want, append(o.ConfigMaps, revision.ConfigMaps...)...)
	applyEach(t, a, apply.Service, want, o.Services...)
	applyEach(t, a, apply.PersistentVolumeClaim, want, o.Claims...)
	db, app, edge := revision.Workloads(1, render.Scale(in.Tenant, in.Class, false), meta.DatabaseClaim, meta.AppClaim)
	applyEach(t, a, apply.StatefulSet, want, db, app)
	applyEach(t, a, apply.StatefulSet, want, render.Repositories(in, revision)...)
	applyEach(t, a, apply.Deployment, want, edge)
	applyEach(t, a, apply.PodDisruptionBudget, want, o.Budgets...)
}

func applyEach[O client.Object, A apply.Configuration](t *testing.T, a *apply.Applier, kind apply.Kind[O, A], want apply.Result, objects ...A) {
	t.Helper()
	for _, object := range objects {
		var none O // Not cached: the Applier asks the API server.
		result, err := apply.Do(t.Context(), a, kind, none, object)
		if err != nil {
			t.Errorf("%T %s: %v", object, *object.GetName(), err)
		} else if result != want {
			t.Errorf("%T %s: %s, expected %s", object, *object.GetName(), result, want)
		}
	}
}
