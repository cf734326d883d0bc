// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/typed"

	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// repair removes what a forced apply leaves standing: one Update of the live object without the foreign fields and
// with what we want, in which the others' claims to those fields are withdrawn. Its resourceVersion makes a
// concurrent writer win; the next reconcile then looks again.
func repair(ctx context.Context, a *Applier, live client.Object, extra *fieldpath.Set, raw []byte) error {
	merged, err := without(a, live, extra, raw)
	if err != nil {
		return fmt.Errorf("working out the repair of %s: %w", client.ObjectKeyFromObject(live), err)
	}
	entries, err := disowned(live.GetManagedFields(), extra)
	if err != nil {
		return err
	}
	merged.SetManagedFields(entries)
	if err := a.client.Update(ctx, merged, client.FieldOwner(meta.FieldOwner)); err != nil {
		return fmt.Errorf("removing foreign fields from %s %s: %w", merged.GetKind(), client.ObjectKeyFromObject(live), err)
	}
	return nil
}

// without is the live object minus the foreign fields, merged with what we want.
func without(a *Applier, live client.Object, extra *fieldpath.Set, raw []byte) (*unstructured.Unstructured, error) {
	gvk, err := a.client.GroupVersionKindFor(live)
	if err != nil {
		return nil, err
	}
	current := live.DeepCopyObject().(client.Object)
	current.SetManagedFields(nil)
	current.GetObjectKind().SetGroupVersionKind(gvk)
	have, err := a.types.ObjectToTyped(current, typed.AllowDuplicates)
	if err != nil {
		return nil, err
	}
	desired := &unstructured.Unstructured{}
	if err := json.Unmarshal(raw, &desired.Object); err != nil {
		return nil, err
	}
	want, err := a.types.ObjectToTyped(desired, typed.AllowDuplicates)
	if err != nil {
		return nil, err
	}
	merged, err := have.RemoveItems(extra).Merge(want)
	if err != nil {
		return nil, err
	}
	object, err := a.types.TypedToObject(merged)
	if err != nil {
		return nil, err
	}
	out, ok := object.(*unstructured.Unstructured)
	if !ok {
		return nil, fmt.Errorf("the type converter made a %T", object)
	}
	out.SetGroupVersionKind(gvk)
	return out, nil
}

// disowned takes the paths out of every entry but ours; entries left empty are dropped.
func disowned(entries []metav1.ManagedFieldsEntry, paths *fieldpath.Set) ([]metav1.ManagedFieldsEntry, error) {
	var out []metav1.ManagedFieldsEntry
	for _, entry := range entries {
		if entry.FieldsV1 == nil || entry.Subresource != "" || isOurs(entry) {
			out = append(out, entry)
			continue
		}
		set := fieldpath.NewSet()
		if err := set.FromJSON(entry.FieldsV1.GetRawReader()); err != nil {
			return nil, fmt.Errorf("reading the managed fields of %s: %w", entry.Manager, err)
		}
		rest := set.RecursiveDifference(paths)
		if rest.Empty() {
			continue
		}
		raw, err := rest.ToJSON()
		if err != nil {
			return nil, fmt.Errorf("writing the managed fields of %s: %w", entry.Manager, err)
		}
		fields := &metav1.FieldsV1{}
		if err := fields.UnmarshalJSON(bytes.TrimSpace(raw)); err != nil {
			return nil, err
		}
		entry.FieldsV1 = fields
		out = append(out, entry)
	}
	return out, nil
}
