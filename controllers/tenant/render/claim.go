// SPDX-License-Identifier: Apache-2.0

package render

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	policyv1ac "k8s.io/client-go/applyconfigurations/policy/v1"

	"k8s.io/apimachinery/pkg/util/intstr"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// volume is what users want a claim to be.
type volume struct {
	name, component, storageClass string
	size                          resource.Quantity
}

// claims are the instance's volumes. One that exists stays wanted, whatever the class says today: data lies on it.
func claims(in Inputs) []*corev1ac.PersistentVolumeClaimApplyConfiguration {
	var made []*corev1ac.PersistentVolumeClaimApplyConfiguration
	for _, wanted := range volumes(in) {
		made = append(made, claim(in, wanted))
	}
	return made
}

func volumes(in Inputs) []volume {
	class, tenant := in.Class.Spec, in.Tenant.Spec
	database := volume{name: databaseClaim(in), component: meta.ComponentDatabase,
		storageClass: class.Database.Storage.StorageClassName, size: class.Database.Storage.Size}
	if tenant.Database != nil && tenant.Database.Storage != nil {
		database.size = *tenant.Database.Storage
	}
	if database.size.IsZero() {
		database.size = resource.MustParse(defaultDatabaseStorage)
	}
	wanted := []volume{database}
	app := volume{name: appClaim(in), component: meta.ComponentApp}
	if class.App.DataVolume != nil {
		app.storageClass, app.size = class.App.DataVolume.StorageClassName, class.App.DataVolume.Size
	}
	if tenant.App != nil && tenant.App.Storage != nil {
		app.size = *tenant.App.Storage
	}
	if keepsFiles(in) {
		wanted = append(wanted, app)
	}
	for _, name := range in.SpareClaims {
		like := database
		if meta.IsAppClaim(name) {
			like = app
		}
		wanted = append(wanted, spare(in, name, like))
	}
	return append(wanted, repositoryVolumes(in)...) // Last: quotas reckon with the first ones.
}

// keepsFiles reports whether the application has a volume of its own.
func keepsFiles(in Inputs) bool {
	return in.Class.Spec.App.DataVolume != nil || in.Claims[appClaim(in)] != nil
}

// databaseClaim is the claim that the database runs on.
func databaseClaim(in Inputs) string { return or(in.DatabaseClaim, meta.DatabaseClaim) }

// appClaim is the claim that holds the application's data.
func appClaim(in Inputs) string { return or(in.AppClaim, meta.AppClaim) }

// spare is a claim beside the one in use. A new one, to restore into, is made as that one is; one that exists stays as it
// is, and does not grow with the other.
func spare(in Inputs, name string, inUse volume) volume {
	made := volume{name: name, component: inUse.component}
	if in.Claims[name] != nil {
		return made
	}
	made.storageClass, made.size = inUse.storageClass, inUse.size
	if current := in.Claims[inUse.name]; current != nil {
		made.storageClass = ptr.Deref(current.Spec.StorageClassName, "")
		if has := current.Spec.Resources.Requests[corev1.ResourceStorage]; has.Cmp(made.size) > 0 {
			made.size = has
		}
	}
	return made
}

// claim keeps what Kubernetes does not let a claim change: its storage class, its access modes, and its size downwards.
func claim(in Inputs, wanted volume) *corev1ac.PersistentVolumeClaimApplyConfiguration {
	size, modes := wanted.size, []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
	if live := in.Claims[wanted.name]; live != nil {
		if has := live.Spec.Resources.Requests[corev1.ResourceStorage]; has.Cmp(size) > 0 {
			size = has
		}
		if len(live.Spec.AccessModes) > 0 {
			modes = live.Spec.AccessModes
		}
		wanted.storageClass = ""
		if live.Spec.StorageClassName != nil {
			wanted.storageClass = *live.Spec.StorageClassName
		}
	}
	spec := corev1ac.PersistentVolumeClaimSpec().WithAccessModes(modes...).
		WithResources(corev1ac.VolumeResourceRequirements().
			WithRequests(corev1.ResourceList{corev1.ResourceStorage: size.DeepCopy()}))
	if wanted.storageClass != "" {
		spec.WithStorageClassName(wanted.storageClass)
	}
	return corev1ac.PersistentVolumeClaim(wanted.name, namespaceOf(in)).
		WithLabels(labels(in, wanted.component)).WithSpec(spec)
}

// budgets keep one gate standing while nodes are drained. A single pod gets none: it could only forbid the drain.
func budgets(in Inputs) []*policyv1ac.PodDisruptionBudgetApplyConfiguration {
	if edgeReplicas(in.Class) < 2 {
		return nil
	}
	budget := policyv1ac.PodDisruptionBudget(meta.EdgeDeployment, namespaceOf(in)).
		WithLabels(labels(in, meta.ComponentEdge)).
		WithSpec(policyv1ac.PodDisruptionBudgetSpec().WithMaxUnavailable(intstr.FromInt32(1)).
			WithSelector(metav1ac.LabelSelector().
				WithMatchLabels(map[string]string{v1alpha1.LabelServes: meta.ComponentEdge})))
	return []*policyv1ac.PodDisruptionBudgetApplyConfiguration{budget}
}
