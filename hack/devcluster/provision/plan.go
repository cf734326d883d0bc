// SPDX-License-Identifier: Apache-2.0

package provision

import (
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Name is the provisioner's name in StorageClasses.
const Name = "devcluster.freehold.dev/local"

const (
	selectedNode  = "volume.kubernetes.io/selected-node"
	provisionedBy = "pv.kubernetes.io/provisioned-by"
)

// limited says whether the volumes of a class are as large as their claims, and not larger.
func limited(class *storagev1.StorageClass) bool { return class.Parameters["size"] == "limited" }

// wantsVolume says whether a claim waits for a volume of ours.
func wantsVolume(claim *corev1.PersistentVolumeClaim, class *storagev1.StorageClass) bool {
	if class == nil || class.Provisioner != Name || claim.Spec.VolumeName != "" || claim.DeletionTimestamp != nil {
		return false
	}
	if claim.Status.Phase != corev1.ClaimPending {
		return false
	}
	waits := class.VolumeBindingMode != nil && *class.VolumeBindingMode == storagev1.VolumeBindingWaitForFirstConsumer
	return !waits || claim.Annotations[selectedNode] != ""
}

// newVolume is the volume for a claim; its name comes from the claim's UID, so that making it twice makes it once.
func newVolume(claim *corev1.PersistentVolumeClaim, class *storagev1.StorageClass, root, node string) *corev1.PersistentVolume {
	name := "pvc-" + string(claim.UID)
	reclaim := corev1.PersistentVolumeReclaimDelete
	if class.ReclaimPolicy != nil {
		reclaim = *class.ReclaimPolicy
	}
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{provisionedBy: Name}},
		Spec: corev1.PersistentVolumeSpec{
			Capacity:                      corev1.ResourceList{corev1.ResourceStorage: claim.Spec.Resources.Requests[corev1.ResourceStorage]},
			AccessModes:                   claim.Spec.AccessModes,
			PersistentVolumeReclaimPolicy: reclaim,
			StorageClassName:              class.Name,
			ClaimRef: &corev1.ObjectReference{
				APIVersion: "v1", Kind: "PersistentVolumeClaim",
				Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID,
			},
			PersistentVolumeSource: corev1.PersistentVolumeSource{
				Local: &corev1.LocalVolumeSource{Path: filepath.Join(root, name)},
			},
			NodeAffinity: &corev1.VolumeNodeAffinity{Required: onNode(node)},
		},
	}
}

func onNode(node string) *corev1.NodeSelector {
	return &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
		MatchExpressions: []corev1.NodeSelectorRequirement{{
			Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{node},
		}},
	}}}
}

// mayDelete says whether a volume and its folder may go: it is ours, nobody claims it any more, its policy says
// Delete, and its folder is really one that we made below root.
func mayDelete(volume *corev1.PersistentVolume, root string) bool {
	return volume.Annotations[provisionedBy] == Name &&
		volume.Status.Phase == corev1.VolumeReleased &&
		volume.DeletionTimestamp == nil &&
		volume.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimDelete &&
		volume.Spec.Local != nil && volume.Spec.Local.Path == filepath.Join(root, volume.Name)
}

// mustGrow says whether a bound claim asks for more than it has.
func mustGrow(claim *corev1.PersistentVolumeClaim, volume *corev1.PersistentVolume) bool {
	if claim.Status.Phase != corev1.ClaimBound || volume == nil || volume.Annotations[provisionedBy] != Name {
		return false
	}
	wanted := claim.Spec.Resources.Requests[corev1.ResourceStorage]
	return wanted.Cmp(claim.Status.Capacity[corev1.ResourceStorage]) > 0
}
