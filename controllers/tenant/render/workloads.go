// SPDX-License-Identifier: Apache-2.0

package render

import (
	"strconv"

	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// Scale says how many pods each workload shall have: none while the Tenant is suspended or stopped is set (it is
// being deleted). A change of it restarts nothing that goes on running.
func Scale(t *v1alpha1.Tenant, c *v1alpha1.TenantClass, stopped bool) Replicas {
	if stopped || t.Spec.Suspended {
		return Replicas{}
	}
	return Replicas{Database: 1, App: 1, Edge: edgeReplicas(c)}
}

// Workloads are the revision's workloads as they are applied: with replicas, and annotated with the revision's
// number and hash so that a lost revision can be rebuilt from them. They are copies and share nothing with r.
func (r *Revision) Workloads(number int64, replicas Replicas) (db, app *appsv1ac.StatefulSetApplyConfiguration, edge *appsv1ac.DeploymentApplyConfiguration) {
	raw, err := r.Encode()
	if err != nil {
		panic(err) // See Hash.
	}
	made, err := DecodeRevision(raw)
	if err != nil {
		panic(err) // What Encode wrote can be read.
	}
	annotations := map[string]string{
		meta.AnnotationRevision:     strconv.FormatInt(number, 10),
		meta.AnnotationRevisionHash: contentHash(raw),
	}
	made.Database.WithAnnotations(annotations).Spec.WithReplicas(replicas.Database)
	made.App.WithAnnotations(annotations).Spec.WithReplicas(replicas.App)
	made.Edge.WithAnnotations(annotations).Spec.WithReplicas(replicas.Edge)
	return made.Database, made.App, made.Edge
}
