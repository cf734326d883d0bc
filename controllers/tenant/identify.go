// SPDX-License-Identifier: Apache-2.0

package tenant

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// idLength makes IDs of 27^10, about 2·10^14, kinds.
const idLength = 10

// identify fills scope.instanceID, and makes sure that the Tenant cannot vanish before its instance was put to rest.
func (r *Reconciler) identify(ctx context.Context, s *scope) error {
	facts, err := r.identityFacts(ctx, s)
	if err != nil {
		return err
	}
	who, err := decideIdentity(facts)
	if err != nil {
		return err
	}
	if who.wait {
		return &waitError{message: fmt.Sprintf("namespace %s is being deleted; the instance is made once it is gone", s.namespace)}
	}
	if err := r.hold(ctx, s); err != nil {
		return err
	}
	s.instanceID, s.adopted = who.id, who.adopted
	if who.mismatch {
		s.failed(stall(v1alpha1.ReasonAdoptionMismatch,
			"bootstrap.adopt names instance %s, but this Tenant runs instance %s, and goes on: remove bootstrap.adopt or name that one", facts.adopt, who.id))
	}
	if s.instanceID == "" {
		if s.instanceID, err = randomText(rand.Read, idAlphabet, idLength); err != nil {
			return err
		}
	}
	return nil
}

// identityFacts gathers what decides the identity. Only a namespace that does not say whose it is costs a read.
func (r *Reconciler) identityFacts(ctx context.Context, s *scope) (identityFacts, error) {
	facts := identityFacts{tenant: s.name, known: s.stored.InstanceID, namespace: s.observed.namespace}
	if bootstrap := s.tenant.Spec.Bootstrap; bootstrap != nil && bootstrap.Adopt != nil {
		facts.adopt = bootstrap.Adopt.InstanceID
	}
	if facts.namespace == nil || facts.namespace.Labels[v1alpha1.LabelInstance] != "" && facts.namespace.Labels[v1alpha1.LabelTenant] == s.name {
		return facts, nil
	}
	var claims corev1.PersistentVolumeClaimList
	if err := r.api.List(ctx, &claims, client.InNamespace(s.namespace)); err != nil {
		return facts, fmt.Errorf("looking for data in namespace %s: %w", s.namespace, err)
	}
	facts.evidence = instancesOf(append(pointers(claims.Items), slices.Collect(maps.Values(s.observed.claims))...))
	facts.evidence = union(facts.evidence, instancesOf(slices.Collect(maps.Values(s.observed.configMaps))))
	facts.evidence = union(facts.evidence, instancesOf(slices.Collect(maps.Values(s.observed.roleBindings))))
	return facts, nil
}

// hold puts the finalizer on the Tenant before anything is made that outlives it.
func (r *Reconciler) hold(ctx context.Context, s *scope) error {
	before := s.tenant.DeepCopy()
	if !controllerutil.AddFinalizer(s.tenant, v1alpha1.Finalizer) {
		return nil
	}
	return r.patchMetadata(ctx, s, before, "adding the finalizer")
}

// patchMetadata writes a change of the Tenant's metadata; a concurrent change wins.
func (r *Reconciler) patchMetadata(ctx context.Context, s *scope, before *v1alpha1.Tenant, doing string) error {
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	status := s.tenant.Status
	if err := r.client.Patch(ctx, s.tenant, patch, client.FieldOwner(meta.FieldOwner)); err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	s.tenant.Status = status // The answer carries the stored one.
	return nil
}

func pointers[T any](items []T) []*T {
	out := make([]*T, len(items))
	for i := range items {
		out[i] = &items[i]
	}
	return out
}

// union merges two lists into one, sorted, each entry once.
func union(a, b []string) []string {
	out := slices.Concat(a, b)
	slices.Sort(out)
	return slices.Compact(out)
}
