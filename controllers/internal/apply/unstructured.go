// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"bytes"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/utils/ptr"

	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// Foreign is the desired content of an object whose Go type we do not have, such as cert-manager's Certificate.
// Its lists are taken as atomic.
type Foreign struct{ *unstructured.Unstructured }

// IsApplyConfiguration marks Foreign as something that can be applied.
func (Foreign) IsApplyConfiguration() {}

// GetName is the object's name.
func (f Foreign) GetName() *string { return ptr.To(f.Unstructured.GetName()) }

// GetNamespace is the object's namespace.
func (f Foreign) GetNamespace() *string { return ptr.To(f.Unstructured.GetNamespace()) }

// GetKind is the object's kind.
func (f Foreign) GetKind() *string { return ptr.To(f.Unstructured.GetKind()) }

// MarshalJSON encodes the content.
func (f Foreign) MarshalJSON() ([]byte, error) { return f.Unstructured.MarshalJSON() }

// ForeignKind is how objects like template, which names API version and kind, are applied.
func ForeignKind(template *unstructured.Unstructured) Kind[*unstructured.Unstructured, Foreign] {
	gvk := template.GroupVersionKind()
	return Kind[*unstructured.Unstructured, Foreign]{
		New: func() *unstructured.Unstructured {
			u := &unstructured.Unstructured{}
			u.SetGroupVersionKind(gvk)
			return u
		},
		Extract: extractForeign,
	}
}

// extractForeign gives what a manager owns of an object, with its live values.
func extractForeign(live *unstructured.Unstructured, owner string) (Foreign, error) {
	out := &unstructured.Unstructured{Object: map[string]any{}}
	out.SetGroupVersionKind(live.GroupVersionKind())
	for _, entry := range live.GetManagedFields() {
		if !isOurs(entry) || entry.Manager != owner || entry.FieldsV1 == nil {
			continue
		}
		set := fieldpath.NewSet()
		if err := set.FromJSON(bytes.NewReader(entry.FieldsV1.GetRawBytes())); err != nil {
			return Foreign{}, fmt.Errorf("reading our managed fields: %w", err)
		}
		value, err := managedfields.NewDeducedTypeConverter().ObjectToTyped(live)
		if err != nil {
			return Foreign{}, err
		}
		content, ok := value.ExtractItems(set.Leaves()).AsValue().Unstructured().(map[string]any)
		if !ok {
			return Foreign{}, fmt.Errorf("extracting from %s gave no object", live.GetName())
		}
		out.Object = runtime.DeepCopyJSON(content)
		out.SetGroupVersionKind(live.GroupVersionKind())
	}
	out.SetName(live.GetName())
	out.SetNamespace(live.GetNamespace())
	return Foreign{out}, nil
}
