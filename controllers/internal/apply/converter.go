// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/client-go/applyconfigurations"
	"sigs.k8s.io/structured-merge-diff/v6/typed"
)

// converter turns objects into values that can be merged by field: by the published schema for Kubernetes' own
// kinds, and by what the object itself shows for all others.
type converter struct {
	known, deduced managedfields.TypeConverter
	scheme         *runtime.Scheme
}

func newConverter(scheme *runtime.Scheme) converter {
	return converter{
		known:   applyconfigurations.NewTypeConverter(scheme),
		deduced: managedfields.NewDeducedTypeConverter(),
		scheme:  scheme,
	}
}

// ObjectToTyped reads an object.
func (c converter) ObjectToTyped(o runtime.Object, opts ...typed.ValidationOptions) (*typed.TypedValue, error) {
	if c.scheme.Recognizes(o.GetObjectKind().GroupVersionKind()) {
		return c.known.ObjectToTyped(o, opts...)
	}
	return c.deduced.ObjectToTyped(o, opts...)
}

// TypedToObject writes a value back into an object.
func (c converter) TypedToObject(v *typed.TypedValue) (runtime.Object, error) {
	return c.deduced.TypedToObject(v)
}
