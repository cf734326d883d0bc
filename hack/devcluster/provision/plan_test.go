// SPDX-License-Identifier: Apache-2.0

package provision

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const root = "/state/pv"

func class(policy corev1.PersistentVolumeReclaimPolicy) *storagev1.StorageClass {
	waits := storagev1.VolumeBindingWaitForFirstConsumer
	return &storagev1.StorageClass{
		ObjectMeta: metav1.ObjectMeta{Name: "c"}, Provisioner: Name, ReclaimPolicy: &policy, VolumeBindingMode: &waits,
	}
}

func claim(change ...func(*corev1.PersistentVolumeClaim)) *corev1.PersistentVolumeClaim {
	c := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "data", UID: "u1", Annotations: map[string]string{selectedNode: "node1"}},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
		},
		Status: corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimPending},
	}
	for _, f := range change {
		f(c)
	}
	return c
}

func TestAClaimGetsAVolumeOnceANodeIsChosen(t *testing.T) {
	for name, test := range map[string]struct {
		claim *corev1.PersistentVolumeClaim
		want  bool
	}{
		"node chosen":     {claim(), true},
		"no consumer yet": {claim(func(c *corev1.PersistentVolumeClaim) { c.Annotations = nil }), false},
		"bound":           {claim(func(c *corev1.PersistentVolumeClaim) { c.Status.Phase = corev1.ClaimBound }), false},
		"volume chosen":   {claim(func(c *corev1.PersistentVolumeClaim) { c.Spec.VolumeName = "v" }), false},
	} {
		if got := wantsVolume(test.claim, class(corev1.PersistentVolumeReclaimDelete)); got != test.want {
			t.Errorf("%s: got %v", name, got)
		}
	}
	other := class(corev1.PersistentVolumeReclaimDelete)
	other.Provisioner = "somebody.else/x"
	if wantsVolume(claim(), other) {
		t.Error("a claim of another provisioner's class was served")
	}
}

func TestAVolumeTakesItsReclaimPolicyFromTheClass(t *testing.T) {
	for _, policy := range []corev1.PersistentVolumeReclaimPolicy{corev1.PersistentVolumeReclaimDelete, corev1.PersistentVolumeReclaimRetain} {
		volume := newVolume(claim(), class(policy), root, "node1")
		if volume.Spec.PersistentVolumeReclaimPolicy != policy {
			t.Errorf("got %s, want %s", volume.Spec.PersistentVolumeReclaimPolicy, policy)
		}
	}
}

func TestOnlyAClassThatSaysSoHasALimit(t *testing.T) {
	small := class(corev1.PersistentVolumeReclaimDelete)
	if limited(small) {
		t.Error("a class is limited that does not say so")
	}
	small.Parameters = map[string]string{"size": "limited"}
	if !limited(small) {
		t.Error("a class that says so is not limited")
	}
}

func released(change ...func(*corev1.PersistentVolume)) *corev1.PersistentVolume {
	v := newVolume(claim(), class(corev1.PersistentVolumeReclaimDelete), root, "node1")
	v.Status.Phase = corev1.VolumeReleased
	for _, f := range change {
		f(v)
	}
	return v
}

func TestOnlyReleasedVolumesOfOursWithPolicyDeleteAreDeleted(t *testing.T) {
	for name, test := range map[string]struct {
		volume *corev1.PersistentVolume
		want   bool
	}{
		"released, Delete": {released(), true},
		"released, but set to Retain": {released(func(v *corev1.PersistentVolume) {
			v.Spec.PersistentVolumeReclaimPolicy = corev1.PersistentVolumeReclaimRetain
		}), false},
		"still bound":        {released(func(v *corev1.PersistentVolume) { v.Status.Phase = corev1.VolumeBound }), false},
		"somebody else's":    {released(func(v *corev1.PersistentVolume) { v.Annotations = nil }), false},
		"a folder elsewhere": {released(func(v *corev1.PersistentVolume) { v.Spec.Local.Path = "/etc" }), false},
	} {
		if got := mayDelete(test.volume, root); got != test.want {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

func TestABoundClaimGrowsAndNeverShrinks(t *testing.T) {
	bound := func(has string) *corev1.PersistentVolumeClaim {
		return claim(func(c *corev1.PersistentVolumeClaim) {
			c.Status.Phase = corev1.ClaimBound
			c.Status.Capacity = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(has)}
		})
	}
	for has, want := range map[string]bool{"512Mi": true, "1Gi": false, "2Gi": false} {
		if got := mustGrow(bound(has), released()); got != want {
			t.Errorf("has %s, wants 1Gi: got %v", has, got)
		}
	}
}
