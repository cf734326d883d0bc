// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"fmt"
	"reflect"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// Unchanged reports whether applying want would change nothing: what we own of live equals want, and live holds
// nothing that others put below what is ours alone.
func Unchanged[O client.Object, A Configuration](kind Kind[O, A], live O, want A) (bool, error) {
	owned, err := kind.Extract(live, meta.FieldOwner)
	if err != nil {
		return false, fmt.Errorf("reading what we own of %s: %w", client.ObjectKeyFromObject(live), err)
	}
	// Semantic: quantities by value, nil and empty alike.
	if !equality.Semantic.DeepEqual(want, owned) {
		return false, nil
	}
	extra, err := foreign(kind, live)
	return err == nil && extra.Empty(), err
}

// foreign is what others own of an object outside metadata and status and we do not, and what nobody owns but
// must not be there. Our own Update entries count as others: they would keep fields alive that we no longer want.
func foreign[O client.Object, A Configuration](kind Kind[O, A], live O) (*fieldpath.Set, error) {
	own, others, err := owners(live.GetManagedFields())
	if err != nil {
		return nil, err
	}
	out := fieldpath.NewSet()
	for path := range others.Difference(own).All() { // path is reused between steps
		if !isMetadata(path) && !isExempt(path, kind.Exempt) && !ownsBelow(own, path) {
			out.Insert(path.Copy())
		}
	}
	if kind.Stray != nil {
		for _, path := range kind.Stray(live) {
			out.Insert(path)
		}
	}
	return out, nil
}

// owners splits the managed fields of an object's main resource into ours and everybody else's.
func owners(entries []metav1.ManagedFieldsEntry) (own, others *fieldpath.Set, err error) {
	own, others = fieldpath.NewSet(), fieldpath.NewSet()
	for _, entry := range entries {
		if entry.Subresource == "status" || entry.FieldsV1 == nil {
			continue
		}
		set := fieldpath.NewSet()
		if err := set.FromJSON(entry.FieldsV1.GetRawReader()); err != nil {
			return nil, nil, fmt.Errorf("reading the managed fields of %s: %w", entry.Manager, err)
		}
		if isOurs(entry) {
			own = set
		} else {
			others = others.Union(set)
		}
	}
	return own, others, nil
}

func isOurs(entry metav1.ManagedFieldsEntry) bool {
	return entry.Manager == meta.FieldOwner && entry.Operation == metav1.ManagedFieldsOperationApply && entry.Subresource == ""
}

// AppliedByUs reports whether we have applied this object before.
func AppliedByUs(o metav1.Object) bool {
	for _, entry := range o.GetManagedFields() {
		if isOurs(entry) {
			return true
		}
	}
	return false
}

func isMetadata(path fieldpath.Path) bool {
	first := path[0].FieldName
	return first != nil && (*first == "metadata" || *first == "status")
}

// isExempt reports whether path is an exempt field, lies below one, or is only the container of one.
func isExempt(path fieldpath.Path, exempt []fieldpath.Path) bool {
	for _, field := range exempt {
		common := min(len(path), len(field))
		if path[:common].Equals(field[:common]) {
			return true
		}
	}
	return false
}

// ownsBelow reports whether we own something inside path: then path is only the container of what is ours.
func ownsBelow(own *fieldpath.Set, path fieldpath.Path) bool {
	set := own
	for _, element := range path {
		set = set.WithPrefix(element)
	}
	return !set.Empty()
}

// isNil reports whether a typed pointer holds nothing.
func isNil(o client.Object) bool {
	v := reflect.ValueOf(o)
	return !v.IsValid() || v.IsNil()
}
