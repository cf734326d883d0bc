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

// databaseClaim is the claim that the database runs on: the one that the namespace names, else the one that
// freehold-instance remembers, else the one that the database's StatefulSet mounts, else the first. What one of the first
// two names counts only if there is such a claim, or was: nobody's slip of the pen leads a database away from its data.
func databaseClaim(o observed) string {
	candidates := []string{remembered(o, meta.KeyDatabaseClaim)}
	if o.namespace != nil {
		candidates = slices.Insert(candidates, 0, o.namespace.Annotations[meta.AnnotationDatabaseClaim])
	}
	for _, name := range candidates {
		if meta.IsDatabaseClaim(name) && existed(o, name) {
			return name
		}
	}
	if name := mountedClaim(o); meta.IsDatabaseClaim(name) {
		return name
	}
	return meta.DatabaseClaim
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

// mountedClaim is the claim that the database's StatefulSet names; "" if there is none.
func mountedClaim(o observed) string {
	database := o.statefulSets[meta.DatabaseStatefulSet]
	if database == nil {
		return ""
	}
	for _, volume := range database.Spec.Template.Spec.Volumes {
		if claim := volume.PersistentVolumeClaim; claim != nil && meta.IsDatabaseClaim(claim.ClaimName) {
			return claim.ClaimName
		}
	}
	return ""
}

// misnamedClaim says that the namespace names a claim that cannot be the database's; nil if it does not.
func misnamedClaim(s *scope) error {
	if s.observed.namespace == nil {
		return nil
	}
	named := s.observed.namespace.Annotations[meta.AnnotationDatabaseClaim]
	if named == "" || named == s.inputs.DatabaseClaim {
		return nil
	}
	return stall(v1alpha1.ReasonConflict,
		"the annotation %s of namespace %s names %q, and there is no such claim of the database: it stays on %s; put the right name there, or remove the annotation",
		meta.AnnotationDatabaseClaim, s.namespace, named, s.inputs.DatabaseClaim)
}

// spareClaims are the other claims of the database that are to exist: those that do, and the one that a restore asks for.
func spareClaims(o observed, instanceID, current string) []string {
	names := map[string]bool{}
	for name, claim := range o.claims {
		names[name] = meta.IsDatabaseClaim(name) && claim.Labels[v1alpha1.LabelInstance] == instanceID && claim.DeletionTimestamp == nil
	}
	if o.namespace != nil {
		wanted := o.namespace.Annotations[meta.AnnotationRestoreClaim]
		names[wanted] = names[wanted] || meta.IsDatabaseClaim(wanted)
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
