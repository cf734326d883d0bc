// SPDX-License-Identifier: Apache-2.0

package tenant

import (
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// kept is one of the two kinds of volumes that hold a customer's data, numbered by Freehold itself, so that a restore can
// put a new one beside the old one.
type kept struct {
	// whose they are, in words.
	whose string
	// statefulSet mounts the present one; first is the one that an instance begins with.
	statefulSet, first string
	// annotation of the Namespace, and key of freehold-instance, name the present one; restored names one that a restore
	// asks for.
	annotation, key, restored string
	// is reports whether a name is one of such a claim.
	is func(string) bool
}

var (
	databaseVolumes = kept{"the database", meta.DatabaseStatefulSet, meta.DatabaseClaim, meta.AnnotationDatabaseClaim, meta.KeyDatabaseClaim, meta.AnnotationRestoreClaim, meta.IsDatabaseClaim}
	appVolumes      = kept{"the application", meta.AppStatefulSet, meta.AppClaim, meta.AnnotationAppClaim, meta.KeyAppClaim, meta.AnnotationRestoreAppClaim, meta.IsAppClaim}
)

// current is the claim that the workload runs on: the one that the namespace names, else the one that freehold-instance
// remembers, else the one that the StatefulSet mounts, else the first. What one of the first two names counts only if there
// is such a claim, or was: nobody's slip of the pen leads a customer away from the data.
func (k kept) current(o observed) string {
	candidates := []string{remembered(o, k.key)}
	if o.namespace != nil {
		candidates = slices.Insert(candidates, 0, o.namespace.Annotations[k.annotation])
	}
	for _, name := range candidates {
		if k.is(name) && existed(o, name) {
			return name
		}
	}
	if name := k.mounted(o); name != "" {
		return name
	}
	return k.first
}

// remembered is a value of the ConfigMap freehold-instance; "" if it is not there.
func remembered(o observed, key string) string {
	if instance := o.configMaps[meta.InstanceConfigMap]; instance != nil {
		return instance.Data[key]
	}
	return ""
}

// existed reports whether there is a claim of that name, or was one that held data.
func existed(o observed, name string) bool {
	return o.claims[name] != nil || slices.Contains(notedClaims(o.namespace), name)
}

// mounted is the claim that the StatefulSet names; "" if there is none.
func (k kept) mounted(o observed) string {
	set := o.statefulSets[k.statefulSet]
	if set == nil {
		return ""
	}
	for _, volume := range set.Spec.Template.Spec.Volumes {
		if claim := volume.PersistentVolumeClaim; claim != nil && k.is(claim.ClaimName) {
			return claim.ClaimName
		}
	}
	return ""
}

// misnamed says that the namespace names a claim that cannot be the present one; nil if it does not.
func (k kept) misnamed(s *scope, current string) error {
	if s.observed.namespace == nil {
		return nil
	}
	named := s.observed.namespace.Annotations[k.annotation]
	if named == "" || named == current {
		return nil
	}
	return stall(v1alpha1.ReasonConflict,
		"the annotation %s of namespace %s names %q, and there is no such claim of %s: it stays on %s; put the right name there, or remove the annotation",
		k.annotation, s.namespace, named, k.whose, current)
}

// spareClaims are the other claims of database and application that are to exist: those that do, and those that a restore
// asks for.
func spareClaims(o observed, instanceID string) []string {
	return append(databaseVolumes.spare(o, instanceID), appVolumes.spare(o, instanceID)...)
}

func (k kept) spare(o observed, instanceID string) []string {
	names, current := map[string]bool{}, k.current(o)
	for name, claim := range o.claims {
		names[name] = k.is(name) && claim.Labels[v1alpha1.LabelInstance] == instanceID && claim.DeletionTimestamp == nil
	}
	if o.namespace != nil {
		wanted := o.namespace.Annotations[k.restored]
		names[wanted] = names[wanted] || k.is(wanted)
	}
	maps.DeleteFunc(names, func(name string, wanted bool) bool { return !wanted || name == current })
	return slices.Sorted(maps.Keys(names))
}

// notedClaims are the names on the namespace of claims that hold or held data.
func notedClaims(namespace *corev1.Namespace) []string {
	var names []string
	if namespace == nil {
		return nil
	}
	for _, name := range strings.Split(namespace.Annotations[meta.AnnotationBoundClaims], ",") {
		if name = strings.TrimSpace(name); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// boundClaims are the names of the claims that hold or held data: those that the namespace remembers and those that
// are bound now, sorted. The list only grows. current is the database's, which holds data once the database was up.
func boundClaims(namespace *corev1.Namespace, live map[string]*corev1.PersistentVolumeClaim, current string, initialized bool) []string {
	names := notedClaims(namespace)
	for name, claim := range live {
		if claim.Status.Phase == corev1.ClaimBound && !thrownAway(claim) {
			names = append(names, name)
		}
	}
	if initialized {
		names = append(names, current)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// thrownAway reports whether a claim goes with a pod, as that of a restore which only proves a backup.
func thrownAway(claim *corev1.PersistentVolumeClaim) bool {
	return metav1.GetControllerOfNoCopy(claim) != nil
}
