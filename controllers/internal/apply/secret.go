// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// secretKind is used for writes only: Secrets are never cached, and nobody reads them back to compare.
var secretKind = Kind[*corev1.Secret, *corev1ac.SecretApplyConfiguration]{
	New:     func() *corev1.Secret { return &corev1.Secret{} },
	Extract: corev1ac.ExtractSecret,
}

// SecretIntact judges a Secret by its metadata alone, so that an audit need not read what is secret: our labels
// and annotations have the wanted values, we own exactly the fields that we want, and nobody owns any other. want
// may carry a hash of its content in an annotation; a value that a stranger changed is seen by its change of owner.
func SecretIntact(a *Applier, live *metav1.PartialObjectMetadata, want *corev1ac.SecretApplyConfiguration) (bool, error) {
	if !contains(live.Labels, want.Labels) || !contains(live.Annotations, want.Annotations) {
		return false, nil
	}
	own, others, err := owners(live.ManagedFields)
	if err != nil {
		return false, err
	}
	wanted, err := a.fieldSet(want)
	if err != nil {
		return false, err
	}
	if !dataKeys(own).Equals(dataKeys(wanted)) {
		return false, nil
	}
	return dataKeys(others).Difference(dataKeys(own)).Empty(), nil
}

// dataKeys are the leaves of a field set outside metadata, identity and status.
func dataKeys(set *fieldpath.Set) *fieldpath.Set {
	out := fieldpath.NewSet()
	for path := range set.Leaves().All() {
		if name := path[0].FieldName; name != nil && (*name == "data" || *name == "immutable") {
			out.Insert(path.Copy())
		}
	}
	return out
}

func contains(have, want map[string]string) bool {
	for key, value := range want {
		if have[key] != value {
			return false
		}
	}
	return true
}

// fieldSet is the set of fields that an apply configuration sets.
func (a *Applier) fieldSet(want Configuration) (*fieldpath.Set, error) {
	raw, err := json.Marshal(want)
	if err != nil {
		return nil, err
	}
	u := &unstructured.Unstructured{}
	if err := json.Unmarshal(raw, &u.Object); err != nil {
		return nil, err
	}
	value, err := a.types.ObjectToTyped(u)
	if err != nil {
		return nil, fmt.Errorf("reading the fields of %s: %w", nameOf(want), err)
	}
	return value.ToFieldSet()
}

// Secret writes a Secret that is missing or not intact. It reads it first, because nothing about it is cached:
// a stranger's is refused, our own is applied, and what others added is removed.
func Secret(ctx context.Context, a *Applier, want *corev1ac.SecretApplyConfiguration) (Result, error) {
	return Do(ctx, a, secretKind, nil, want)
}
