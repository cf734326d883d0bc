// SPDX-License-Identifier: Apache-2.0

package render

import (
	"strconv"

	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	"k8s.io/utils/ptr"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// Scale says how many pods each workload shall have: none while the Tenant is suspended, and the gate's alone while its
// data is being restored (stopped). A change of it restarts nothing that goes on running.
func Scale(t *v1alpha1.Tenant, c *v1alpha1.TenantClass, stopped bool) Replicas {
	switch {
	case t.Spec.Suspended:
		return Replicas{}
	case stopped:
		return Replicas{Edge: edgeReplicas(c)} // Somebody has to say that the others come back.
	}
	return Replicas{Database: 1, App: 1, Edge: edgeReplicas(c)}
}

// Workloads are the revision's workloads as they are applied: with replicas, with the claims that database and application run on,
// and annotated with the revision's number and hash so that a lost revision can be rebuilt from them. They are copies and
// share nothing with r.
func (r *Revision) Workloads(number int64, replicas Replicas, databaseClaim, appClaim string) (db, app *appsv1ac.StatefulSetApplyConfiguration, edge *appsv1ac.DeploymentApplyConfiguration) {
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
	MountData(made.Database, databaseClaim)
	MountData(made.App, appClaim)
	return made.Database, made.App, made.Edge
}

// MountData puts a claim in the place of the one with the data that a workload's pods mount, if they mount one. A revision
// always has the first one, so that a restore into another is no update; to read a revision back from a workload, give it
// the first one again.
func MountData(workload *appsv1ac.StatefulSetApplyConfiguration, claim string) {
	if workload.Spec == nil || workload.Spec.Template == nil || workload.Spec.Template.Spec == nil {
		return // What is left of a workload that somebody has taken apart.
	}
	volumes := workload.Spec.Template.Spec.Volumes
	for i := range volumes {
		if volumes[i].PersistentVolumeClaim != nil && ptr.Deref(volumes[i].Name, "") == dataVolume {
			volumes[i].PersistentVolumeClaim.WithClaimName(claim)
		}
	}
}
