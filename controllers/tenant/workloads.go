// SPDX-License-Identifier: Apache-2.0

package tenant

import (
	"context"
	"errors"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/freehold-dev/freehold/controllers/internal/apply"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
	"github.com/freehold-dev/freehold/controllers/tenant/render"
)

// workloads are the workloads that exist.
func (o *observed) workloads() []metav1.Object {
	var out []metav1.Object
	for _, set := range o.statefulSets {
		out = append(out, set)
	}
	for _, deployment := range o.deployments {
		out = append(out, deployment)
	}
	return out
}

// workloads applies the workloads of the running revision, with the number of pods that is wanted now. Their
// immutable ConfigMaps go first: pods would wait for them.
func (r *Reconciler) workloads(ctx context.Context, s *scope) error {
	if s.lost != nil {
		return nil //nolint:nilerr // The stall is noted already.
	}
	if err := each(ctx, r, s, apply.ConfigMap, s.observed.configMaps, s.running.content.ConfigMaps); err != nil {
		return err
	}
	replicas := render.Scale(s.tenant, s.observed.class, halted(s) != "")
	database, app, edge := s.running.content.Workloads(s.running.number, replicas, s.inputs.DatabaseClaim, s.inputs.AppClaim)
	sets := s.observed.statefulSets
	changedDatabase, databaseErr := do(ctx, r, s, apply.StatefulSet, sets[meta.DatabaseStatefulSet], database)
	changedApp, appErr := do(ctx, r, s, apply.StatefulSet, sets[meta.AppStatefulSet], app)
	changedEdge, edgeErr := do(ctx, r, s, apply.Deployment, s.observed.deployments[meta.EdgeDeployment], edge)
	repositoriesErr := each(ctx, r, s, apply.StatefulSet, sets, render.Repositories(s.inputs, s.running.content))
	s.rolling = slices.Contains([]bool{changedDatabase, changedApp, changedEdge}, true)
	return errors.Join(databaseErr, appErr, edgeErr, repositoriesErr)
}
