// SPDX-License-Identifier: Apache-2.0

package tenant

import (
	"context"
	"errors"
	"maps"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
	"github.com/freehold-dev/freehold/controllers/tenant/render"
)

// plan fills scope.inputs and scope.objects: what the live objects shall be, as far as it is known before the Secrets.
func (r *Reconciler) plan(ctx context.Context, s *scope) error {
	if s.moved != nil && s.running == nil && s.lost == nil {
		return s.moved
	}
	s.inputs = r.renderInputs(s)
	if s.lost != nil {
		var err error
		if s.inputs.Running, err = closest(s); err != nil {
			return errors.Join(s.lost, err)
		}
	}
	if err := r.renderLive(s); err != nil {
		return err
	}
	if err := r.guardVolumes(ctx, s); err != nil {
		return err
	}
	s.failed(keptLoadBalancer(s))
	s.failed(closedDestinations(s))
	s.failed(databaseVolumes.misnamed(s, s.inputs.DatabaseClaim))
	s.failed(appVolumes.misnamed(s, s.inputs.AppClaim))
	s.auditDue = r.audits.due(s.instanceID, s.now, r.auditInterval(s), certificateSource(s) != meta.SourceAuthority)
	s.auditDue = s.auditDue || rememberedNames(s.observed) != s.names // The escrow confirms them first.
	return nil
}

// renderInputs are what rendering works from, as observed.
func (r *Reconciler) renderInputs(s *scope) render.Inputs {
	initialized, current := initialized(s.observed), databaseVolumes.current(s.observed)
	inputs := render.Inputs{
		Tenant: s.wanted, Class: s.observed.class, InstanceID: s.instanceID,
		Images: r.options.Images, Facts: r.options.Facts,
		Initialized:   initialized,
		BoundClaims:   boundClaims(s.observed.namespace, s.observed.claims, current, initialized),
		DatabaseClaim: current,
		AppClaim:      appVolumes.current(s.observed),
		SpareClaims:   spareClaims(s.observed, s.instanceID),
		Claims:        maps.Clone(s.observed.claims),
		Gate:          s.observed.services[meta.EdgeService],
		Backup:        s.observed.backupPolicy,
	}
	inputs.ListsHurried = listsHurried(s.observed)
	if live := s.observed.configMaps[meta.EdgeListsConfigMap]; live != nil {
		inputs.GateCertificate = live.Annotations[meta.AnnotationGateCertificate]
	}
	if live := s.observed.configMaps[meta.TrustConfigMap]; live != nil {
		inputs.TrustBundle, inputs.SecretsHash = live.Data[meta.KeyCACert], live.Annotations[meta.AnnotationSecretsHash]
	}
	if s.running != nil {
		inputs.Running = s.running.content
	}
	return inputs
}

// keptLoadBalancer says that the gate's Service keeps the load balancer that it was made for, if the class names
// another one now; nil if it does not. Clusters that choose one by themselves are left to it.
func keptLoadBalancer(s *scope) error {
	wanted, gate := s.observed.class.Spec.LoadBalancer.Class, s.inputs.Gate
	if wanted == "" || gate == nil || gate.Spec.Type != corev1.ServiceTypeLoadBalancer {
		return nil
	}
	kept := ptr.Deref(gate.Spec.LoadBalancerClass, "")
	if kept == wanted {
		return nil
	}
	return stall(v1alpha1.ReasonInvalidSpec,
		"class %s names the load balancer class %q, but Service %s/%s was made for %q, and Kubernetes lets nobody change that: it stays there; to move it, which takes a new address, delete the Service",
		s.observed.class.Name, wanted, s.namespace, gate.Name, kept)
}

// closedDestinations names the networks of the backup policy that no tenant's pod may ever reach; nil if there are none.
// The others are opened all the same.
func closedDestinations(s *scope) error {
	closed := render.ClosedDestinations(s.inputs)
	if len(closed) == 0 {
		return nil
	}
	return stall(v1alpha1.ReasonInvalidSpec,
		"BackupPolicy %s: the walls stay closed to %s: such networks are the cluster's own (--cluster-networks, in the chart clusterNetworks), or lead nowhere; name the networks that the destinations really answer from, or, if these do not belong to the cluster, list what does there",
		s.observed.backupPolicy.Name, strings.Join(closed, ", "))
}

// requireClass refuses to go on without a class.
func (r *Reconciler) requireClass(_ context.Context, s *scope) error {
	if s.observed.class == nil {
		return stall(v1alpha1.ReasonClassNotFound, "there is no TenantClass %s: create it, or name another one in spec.classRef", s.tenant.Spec.ClassRef.Name)
	}
	return nil
}

// renderLive fills scope.objects from scope.inputs.
func (r *Reconciler) renderLive(s *scope) error {
	objects, err := render.Live(s.inputs)
	if err == nil {
		s.objects = objects
	}
	return err
}

// initialized reports whether the database was up once, so that its volume holds data: it is up now, or one of the two
// places says so that remember it. An instance that was filled from backups counts as if it had been.
func initialized(o observed) bool {
	if o.namespace != nil && (o.namespace.Annotations[meta.AnnotationInitialized] == "true" || o.namespace.Annotations[meta.AnnotationBootstrapped] != "") {
		return true
	}
	if remembered(o, meta.KeyInitialized) == "true" {
		return true
	}
	database := o.statefulSets[meta.DatabaseStatefulSet]
	return database != nil && database.Status.ReadyReplicas > 0
}

// auditInterval is how often the tenant's Secrets are looked at.
func (r *Reconciler) auditInterval(s *scope) time.Duration {
	if certificateSource(s) != meta.SourceAuthority {
		return min(externalAuditInterval, r.options.AuditInterval)
	}
	return r.options.AuditInterval
}
