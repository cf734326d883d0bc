// SPDX-License-Identifier: Apache-2.0

package apply

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// Untouched judges the content of a Secret by its metadata alone: we own every one of these keys, and neither we nor
// others own any beside them.
func Untouched(seen metav1.Object, keys []string) (bool, error) {
	own, others, err := owners(seen.GetManagedFields())
	if err != nil {
		return false, err
	}
	data := fieldpath.MakePathOrDie("data")[0]
	wanted := fieldpath.NewSet()
	for _, key := range keys {
		wanted.Insert(fieldpath.MakePathOrDie("data", key))
	}
	// We may own the map itself, too.
	has := own.Difference(fieldpath.NewSet(fieldpath.MakePathOrDie("data")))
	return others.WithPrefix(data).Empty() && has.WithPrefix(data).Equals(wanted.WithPrefix(data)), nil
}
