// SPDX-License-Identifier: Apache-2.0

package tenant

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/apply"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// identityFacts are all that decides which instance a Tenant is.
type identityFacts struct {
	tenant string
	// adopt is spec.bootstrap.adopt.instanceID; "" if not given.
	adopt string
	// known is the instance ID in the Tenant's status. It only confirms what is observed elsewhere.
	known string
	// namespace as it is; nil if there is none.
	namespace *corev1.Namespace
	// evidence are the instance IDs that objects in the namespace carry.
	evidence []string
}

// identity is the outcome: which instance, and whether it is new.
type identity struct {
	// id of the instance; "" asks for a new one.
	id string
	// wait is true while the namespace of an earlier instance is going away.
	wait bool
	// adopted is true if retained data is taken over in this pass.
	adopted bool
	// mismatch is true if bootstrap.adopt names another instance than the one that the Tenant runs already.
	mismatch bool
}

// decideIdentity says which instance a Tenant is, or why it cannot be told. A name that is used again is not the
// same customer: retained data needs its instance ID named.
func decideIdentity(f identityFacts) (identity, error) {
	switch {
	case f.namespace == nil && f.known != "":
		return identity{}, stall(v1alpha1.ReasonVolumeLost,
			"namespace %s with instance %s is gone; an empty instance is not put in its place: restore the namespace with its labels and bind the retained PersistentVolumes again, or delete this Tenant and create it anew to begin with an empty database",
			meta.Namespace(f.tenant), f.known)
	case f.namespace == nil && f.adopt != "":
		return identity{}, stall(v1alpha1.ReasonAdoptionMismatch,
			"bootstrap.adopt names instance %s, but there is no namespace %s that could hold it: restore the namespace, or remove bootstrap.adopt to begin with an empty database",
			f.adopt, meta.Namespace(f.tenant))
	case f.namespace == nil:
		return identity{}, nil
	case f.namespace.DeletionTimestamp != nil:
		return identity{wait: true}, nil
	}
	owner, instance := f.namespace.Labels[v1alpha1.LabelTenant], f.namespace.Labels[v1alpha1.LabelInstance]
	if owner != f.tenant || instance == "" {
		return recoverIdentity(f, owner)
	}
	return existingIdentity(f, instance)
}

// existingIdentity judges a namespace that says itself whose it is.
func existingIdentity(f identityFacts, instance string) (identity, error) {
	retained := isRetained(f.namespace)
	switch {
	case f.known != "" && f.known != instance:
		return identity{}, stall(v1alpha1.ReasonConflict,
			"namespace %s is labelled as instance %s, but this Tenant runs instance %s; everything is left as it is; if the label is wrong, run: kubectl label namespace %s %s=%s --overwrite",
			f.namespace.Name, instance, f.known, f.namespace.Name, v1alpha1.LabelInstance, f.known)
	case f.known == instance && !retained:
		return identity{id: instance, mismatch: f.adopt != "" && f.adopt != instance}, nil
	case f.adopt != "" && f.adopt != instance:
		return identity{}, stall(v1alpha1.ReasonAdoptionMismatch,
			"bootstrap.adopt names instance %s, but namespace %s holds instance %s: name that one to take its data over", f.adopt, f.namespace.Name, instance)
	case retained && f.adopt == "":
		return identity{}, stall(v1alpha1.ReasonRetainedDataExists,
			"namespace %s keeps the data of instance %s, whose Tenant of the same name was deleted: set spec.bootstrap.adopt.instanceID to %s to take it over, or destroy it by deleting the namespace to begin anew",
			f.namespace.Name, instance, instance)
	}
	return identity{id: instance, adopted: retained}, nil
}

// recoverIdentity judges a namespace that lacks our labels: one that a user made, or one whose labels somebody
// removed. What lies in it decides.
func recoverIdentity(f identityFacts, owner string) (identity, error) {
	if owner != "" && owner != f.tenant {
		return identity{}, stall(v1alpha1.ReasonConflict, "namespace %s is labelled %s=%s, which is another Tenant's: it is left alone", f.namespace.Name, v1alpha1.LabelTenant, owner)
	}
	if len(f.evidence) == 0 && usedBefore(f.namespace) {
		return identity{}, stall(v1alpha1.ReasonConflict,
			"namespace %s held an instance, but neither it nor its volumes say which: its ID stands in the ConfigMap %s there; run: kubectl label namespace %s %s=%s %s=<ID>",
			f.namespace.Name, meta.InstanceConfigMap, f.namespace.Name, v1alpha1.LabelTenant, f.tenant, v1alpha1.LabelInstance)
	}
	if owner != f.tenant && (len(f.evidence) == 0 || !apply.AppliedByUs(f.namespace)) {
		return identity{}, stall(v1alpha1.ReasonConflict,
			"namespace %s exists and is not marked as this Tenant's: it is left alone; to let the Tenant use it, run: kubectl label namespace %s %s=%s",
			f.namespace.Name, f.namespace.Name, v1alpha1.LabelTenant, f.tenant)
	}
	return identityByEvidence(f)
}

// identityByEvidence judges a namespace that is the Tenant's by what lies in it.
func identityByEvidence(f identityFacts) (identity, error) {
	if len(f.evidence) == 0 {
		if f.adopt != "" {
			return identity{}, stall(v1alpha1.ReasonAdoptionMismatch, "bootstrap.adopt names instance %s, but namespace %s holds no instance", f.adopt, f.namespace.Name)
		}
		return identity{}, nil
	}
	if len(f.evidence) > 1 {
		return identity{}, stall(v1alpha1.ReasonConflict, "namespace %s has lost its label %s and holds objects of several instances (%s): label it with the right one",
			f.namespace.Name, v1alpha1.LabelInstance, strings.Join(f.evidence, ", "))
	}
	if found := f.evidence[0]; found == f.known || found == f.adopt {
		return identity{id: found}, nil
	}
	return identity{}, stall(v1alpha1.ReasonRetainedDataExists,
		"namespace %s has lost its labels and holds objects of instance %s: set spec.bootstrap.adopt.instanceID to %s to take it over", f.namespace.Name, f.evidence[0], f.evidence[0])
}

// isRetained reports whether a namespace is marked as kept from a deleted Tenant. There are two marks, so that the loss
// of one does not hand the data to the next customer of the name.
func isRetained(namespace *corev1.Namespace) bool {
	return namespace.Labels[v1alpha1.LabelRetained] == "true" || namespace.Annotations[meta.AnnotationRetained] != ""
}

// usedBefore reports whether a database once ran in a namespace.
func usedBefore(namespace *corev1.Namespace) bool {
	return namespace.Annotations[meta.AnnotationInitialized] != "" || namespace.Annotations[meta.AnnotationBoundClaims] != ""
}

// instancesOf lists the instance IDs that objects carry, each once, sorted.
func instancesOf[O interface{ GetLabels() map[string]string }](objects []O) []string {
	var ids []string
	for _, o := range objects {
		if id := o.GetLabels()[v1alpha1.LabelInstance]; id != "" {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// idAlphabet has no vowels and no digits that look like letters: an ID is read aloud and never spells a word.
const idAlphabet = "bcdfghjklmnpqrstvwxz2456789"

// valueAlphabet is what passwords and generated values consist of.
const valueAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// randomText makes n characters of an alphabet out of bytes from read, each character equally likely.
func randomText(read func([]byte) (int, error), alphabet string, n int) (string, error) {
	limit := 256 - 256%len(alphabet)
	out := make([]byte, 0, n)
	buffer := make([]byte, n)
	for len(out) < n {
		if _, err := read(buffer); err != nil {
			return "", fmt.Errorf("reading random bytes: %w", err)
		}
		for _, b := range buffer {
			if int(b) < limit && len(out) < n {
				out = append(out, alphabet[int(b)%len(alphabet)])
			}
		}
	}
	return string(out), nil
}
