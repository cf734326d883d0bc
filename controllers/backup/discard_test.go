// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/backup/engine"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// bound gives a claim of the scene the instance's labels and a volume that is kept, as the controller of tenants and the
// cluster's volume controller would.
func (s *scene) bound(name string) {
	volume := "pv-" + s.name + "-" + name
	claim := s.existing(name)
	claim.Labels, claim.Spec.VolumeName = meta.Labels(s.name, "i-"+s.name, meta.ComponentDatabase), volume
	s.Expect(env.Client.Update(s.ctx, claim)).To(Succeed())
	claim.Status.Phase = corev1.ClaimBound
	s.Expect(env.Client.Status().Update(s.ctx, claim)).To(Succeed())
	s.create(&corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: volume}, Spec: corev1.PersistentVolumeSpec{
		Capacity: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}, AccessModes: claim.Spec.AccessModes,
		PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimRetain,
		PersistentVolumeSource:        corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/nowhere"}},
		ClaimRef:                      &corev1.ObjectReference{Kind: "PersistentVolumeClaim", Namespace: s.namespace, Name: name, UID: claim.UID},
	}})
}

// existing is a claim of the scene; nil if it is gone, or going and only held by Kubernetes' own protection.
func (s *scene) existing(name string) *corev1.PersistentVolumeClaim {
	claim := &corev1.PersistentVolumeClaim{}
	err := env.Client.Get(s.ctx, client.ObjectKey{Namespace: s.namespace, Name: name}, claim)
	if apierrors.IsNotFound(err) || err == nil && claim.DeletionTimestamp != nil {
		return nil
	}
	s.Expect(err).NotTo(HaveOccurred())
	return claim
}

// acceptedRestore is one whose restored data stays; the volume from before is db-0001.
func (s *scene) acceptedRestore() {
	s.bound("db-0001")
	restore := s.made("accident", 2)
	s.bound("db-0002")
	restore.Spec.Decision = v1alpha1.RestoreAccept
	s.Expect(env.Client.Update(s.ctx, restore)).To(Succeed())
}

func (s *scene) later(d time.Duration) reconcile.Result {
	s.clock.SetTime(s.clock.Now().Add(d))
	return s.pass("accident")
}

func TestTheClaimFromBeforeGoesADayAfterTheAcceptanceAndItsVolumeStays(t *testing.T) {
	s := newScene(t, "discards")
	s.acceptedRestore()
	s.Expect(s.pass("accident").RequeueAfter).To(Equal(discardDwell))
	s.Expect(s.tells("accident", v1alpha1.ConditionAccepted)).To(And(HavePrefix("True Accepted: the restored data stays; volume claim db-0001 from before is removed after 2026-03-02T13:10:00Z"),
		ContainSubstring("stays on PersistentVolume pv-discards-db-0001"), ContainSubstring("kubectl patch pv pv-discards-db-0001")))
	s.Expect(s.existing("db-0001").Annotations).To(HaveKeyWithValue(v1alpha1.AnnotationDiscardClaim, "db-0001"))
	s.Expect(s.restore("accident").Status.KeptVolumes).To(Equal([]string{"pv-discards-db-0001"}))

	s.Expect(s.later(discardDwell - time.Minute).RequeueAfter).To(Equal(time.Minute))
	s.Expect(s.existing("db-0001")).NotTo(BeNil(), "people may still think otherwise")
	s.later(time.Minute)
	s.Expect(s.existing("db-0001")).To(BeNil())
	s.Expect(s.existing("db-0002")).NotTo(BeNil(), "the database runs on it")
	volume := &corev1.PersistentVolume{}
	s.Expect(env.Client.Get(s.ctx, client.ObjectKey{Name: "pv-discards-db-0001"}, volume)).To(Succeed())
	s.Expect(volume.Spec.PersistentVolumeReclaimPolicy).To(Equal(corev1.PersistentVolumeReclaimRetain))
	s.Expect(s.tells("accident", v1alpha1.ConditionAccepted)).To(ContainSubstring("volume claim db-0001 from before was removed"))

	going := &corev1.PersistentVolumeClaim{}
	s.Expect(env.Client.Get(s.ctx, client.ObjectKey{Namespace: s.namespace, Name: "db-0001"}, going)).To(Succeed())
	s.later(discardRetry)
	s.Expect(s.tells("accident", v1alpha1.ConditionAccepted)).To(ContainSubstring("db-0001 from before is being removed"))
	going.Finalizers = nil
	s.Expect(env.Client.Update(s.ctx, going)).To(Succeed())
	s.Expect(s.later(discardRetry)).To(Equal(reconcile.Result{}), "nothing is left to do")
	s.Expect(s.tells("accident", v1alpha1.ConditionAccepted)).To(And(ContainSubstring("db-0001 from before is gone"), ContainSubstring("kubectl patch pv pv-discards-db-0001")))
}

func TestAClaimThatNobodyAcceptedToLoseStays(t *testing.T) {
	s := newScene(t, "keeps")
	s.bound("db-0001")
	s.made("accident", 2)
	s.bound("db-0002")
	for range 3 {
		s.later(30 * 24 * time.Hour)
	}
	s.Expect(s.existing("db-0001").Annotations).NotTo(HaveKey(v1alpha1.AnnotationDiscardClaim))
}

func TestAPersonMayKeepTheClaimForLonger(t *testing.T) {
	s := newScene(t, "postpones")
	s.acceptedRestore()
	s.pass("accident")
	claim := s.existing("db-0001")
	claim.Annotations[v1alpha1.AnnotationDiscardAfter] = "2026-03-09T13:10:00Z"
	s.Expect(env.Client.Update(s.ctx, claim)).To(Succeed())
	s.later(6 * 24 * time.Hour)
	s.Expect(s.existing("db-0001")).NotTo(BeNil())
	s.Expect(s.tells("accident", v1alpha1.ConditionAccepted)).To(ContainSubstring("is removed after 2026-03-09T13:10:00Z"))
	claim = s.existing("db-0001")
	claim.Annotations[v1alpha1.AnnotationDiscardAfter] = "never"
	s.Expect(env.Client.Update(s.ctx, claim)).To(Succeed())
	s.later(24 * time.Hour)
	s.Expect(s.existing("db-0001")).NotTo(BeNil(), "what is no time begins the day anew")
	s.later(discardDwell)
	s.Expect(s.existing("db-0001")).To(BeNil())
}

func TestAnEarlyMarkDoesNotShortenTheDay(t *testing.T) {
	s := newScene(t, "marked")
	s.acceptedRestore()
	claim := s.existing("db-0001")
	claim.Annotations = map[string]string{v1alpha1.AnnotationDiscardClaim: "db-0001", v1alpha1.AnnotationDiscardAfter: "2020-01-01T00:00:00Z"}
	s.Expect(env.Client.Update(s.ctx, claim)).To(Succeed())
	s.pass("accident")
	s.later(discardDwell - time.Minute)
	s.Expect(s.existing("db-0001")).NotTo(BeNil())
	s.later(time.Minute)
	s.Expect(s.existing("db-0001")).To(BeNil())
}

func TestAClaimThatAPodStillMountsStaysUntilItDoesNot(t *testing.T) {
	s := newScene(t, "mounted")
	s.acceptedRestore()
	s.pass("accident")
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "looks-at-it"}, Spec: corev1.PodSpec{
		Containers: []corev1.Container{{Name: "x", Image: "x"}},
		Volumes: []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "db-0001"}}}}}}
	s.create(pod)
	s.Expect(s.later(discardDwell).RequeueAfter).To(Equal(discardRetry))
	s.Expect(s.existing("db-0001")).NotTo(BeNil())
	s.Expect(s.tells("accident", v1alpha1.ConditionAccepted)).To(ContainSubstring("db-0001 from before is kept: pod looks-at-it has it mounted"))
	s.gone(pod)
	s.later(discardRetry)
	s.Expect(s.existing("db-0001")).To(BeNil())
}

// discardable is a view in which nothing speaks against removing db-0001.
func discardable() *discardView {
	labels := map[string]string{v1alpha1.LabelInstance: "i-1"}
	done := []metav1.Condition{{Type: v1alpha1.ConditionComplete, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonSucceeded},
		{Type: v1alpha1.ConditionAccepted, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonAccepted}}
	restore := v1alpha1.Restore{ObjectMeta: metav1.ObjectMeta{Name: "this", UID: "1"}, Spec: v1alpha1.RestoreSpec{Decision: v1alpha1.RestoreAccept},
		Status: v1alpha1.RestoreStatus{PreviousClaim: "db-0001", Claim: "db-0002", Conditions: done}}
	return &discardView{
		restore: &restore, restores: []v1alpha1.Restore{*restore.DeepCopy()},
		tenant:    &v1alpha1.Tenant{Status: v1alpha1.TenantStatus{InstanceID: "i-1"}},
		namespace: &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Labels: labels, Annotations: map[string]string{meta.AnnotationDatabaseClaim: "db-0002"}}},
		sets:      []appsv1.StatefulSet{{ObjectMeta: metav1.ObjectMeta{Name: "db"}, Spec: appsv1.StatefulSetSpec{Template: corev1.PodTemplateSpec{Spec: mounting("db-0002")}}}},
		pods:      []corev1.Pod{{ObjectMeta: metav1.ObjectMeta{Name: "db-0"}, Spec: mounting("db-0002"), Status: corev1.PodStatus{Phase: corev1.PodRunning}}},
		claim: &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "db-0001", UID: "2", Labels: labels},
			Spec: corev1.PersistentVolumeClaimSpec{VolumeName: "pv-1"}},
		volume: &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "pv-1"}, Spec: corev1.PersistentVolumeSpec{
			PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimRetain, ClaimRef: &corev1.ObjectReference{UID: "2"}}},
		current: &corev1.PersistentVolumeClaim{Status: corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimBound}},
	}
}

func mounting(claim string) corev1.PodSpec {
	return corev1.PodSpec{Volumes: []corev1.Volume{{VolumeSource: corev1.VolumeSource{
		PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim}}}}}
}

// ofTheApplication turns the view into one of app-0001, in which nothing speaks against removing it either.
func (v *discardView) ofTheApplication() {
	v.claim.Name, v.restore.Status.PreviousAppClaim, v.restore.Status.AppClaim = "app-0001", "app-0001", "app-0002"
	v.namespace.Annotations[meta.AnnotationAppClaim] = "app-0002"
}

func TestTheApplicationsClaimFromBeforeGoesWithTheDatabases(t *testing.T) {
	s := newFilesScene(t, "discards-app")
	for _, name := range []string{"db-0001", "app-0001"} {
		s.bound(name)
	}
	restore := s.underWay("accident")
	s.ends(s.job(engine.JobRestore, restore), recovered(2))
	s.endsFiles(s.filesJob(restore), nil)
	s.pass("accident")
	for _, name := range []string{"db-0002", "app-0002"} {
		s.bound(name)
	}
	set, _ := keeper(s.namespace, nil)
	s.Expect(env.Client.Get(s.ctx, client.ObjectKeyFromObject(set), set)).To(Succeed())
	restore = s.restore("accident")
	restore.Spec.Decision = v1alpha1.RestoreAccept
	s.Expect(env.Client.Update(s.ctx, restore)).To(Succeed())
	s.pass("accident")
	s.Expect(s.tells("accident", v1alpha1.ConditionAccepted)).To(ContainSubstring("volume claim app-0001 from before is kept: StatefulSet app uses it"))
	set.Spec.Template.Spec.Volumes[0].PersistentVolumeClaim.ClaimName = "app-0002" // as the controller of tenants does
	s.Expect(env.Client.Update(s.ctx, set)).To(Succeed())
	s.later(time.Minute)
	s.later(discardDwell)
	for name, there := range map[string]bool{"db-0001": false, "app-0001": false, "db-0002": true, "app-0002": true} {
		s.Expect(s.existing(name) != nil).To(Equal(there), name)
	}
	s.Expect(s.restore("accident").Status.KeptVolumes).To(ConsistOf("pv-discards-app-db-0001", "pv-discards-app-app-0001"))
}

func TestWhatSpeaksAgainstRemovingAClaim(t *testing.T) {
	now := metav1.Now()
	other := func(change func(*v1alpha1.Restore)) func(*discardView) {
		return func(v *discardView) {
			o := v1alpha1.Restore{ObjectMeta: metav1.ObjectMeta{Name: "other", UID: "9"}, Status: v1alpha1.RestoreStatus{PreviousClaim: "db-0001", Claim: "db-0003"}}
			change(&o)
			v.restores = append(v.restores, o)
		}
	}
	complete := func(status metav1.ConditionStatus, reason string) []metav1.Condition {
		return []metav1.Condition{{Type: v1alpha1.ConditionComplete, Status: status, Reason: reason}}
	}
	for name, row := range map[string]struct {
		change func(*discardView)
		want   string
	}{
		"nothing":                       {func(*discardView) {}, ""},
		"the Restore is gone":           {func(v *discardView) { v.restore = nil }, "the Restore that put it aside is not accepted any more"},
		"the Restore goes":              {func(v *discardView) { v.restore.DeletionTimestamp = &now }, "the Restore that put it aside is not accepted any more"},
		"the Restore was not accepted":  {func(v *discardView) { v.restore.Spec.Decision = "" }, "the Restore that put it aside is not accepted any more"},
		"the Restore was taken back":    {func(v *discardView) { v.restore.Status.Conditions[1].Status = metav1.ConditionFalse }, "the Restore that put it aside is not accepted any more"},
		"the Restore put another aside": {func(v *discardView) { v.restore.Status.PreviousClaim = "db-0007" }, "the Restore that put it aside is not accepted any more"},
		"another Restore is under way":  {other(func(*v1alpha1.Restore) {}), "Restore other may still need it"},
		"another Restore may be taken back": {other(func(o *v1alpha1.Restore) {
			o.Status.Conditions = complete(metav1.ConditionTrue, v1alpha1.ReasonSucceeded)
		}), "Restore other may still need it"},
		"another Restore failed": {other(func(o *v1alpha1.Restore) {
			o.Status.Conditions = complete(metav1.ConditionFalse, v1alpha1.ReasonFailed)
		}), ""},
		"another Restore has other volumes": {other(func(o *v1alpha1.Restore) { o.Status.PreviousClaim = "db-0002" }), ""},
		"the Tenant is gone":                {func(v *discardView) { v.tenant = nil }, "the Tenant or its namespace goes"},
		"the Tenant goes":                   {func(v *discardView) { v.tenant.DeletionTimestamp = &now }, "the Tenant or its namespace goes"},
		"the namespace goes":                {func(v *discardView) { v.namespace.DeletionTimestamp = &now }, "the Tenant or its namespace goes"},
		"the namespace is another's":        {func(v *discardView) { v.namespace.Labels = map[string]string{v1alpha1.LabelInstance: "i-2"} }, "the namespace does not belong to the Tenant's instance"},
		"the instance is not known":         {func(v *discardView) { v.tenant.Status.InstanceID = "" }, "the namespace does not belong to the Tenant's instance"},
		"the claim is another's":            {func(v *discardView) { v.claim.Labels = nil }, "its label freehold.dev/instance does not name the Tenant's instance"},
		"the namespace names it":            {func(v *discardView) { v.namespace.Annotations[meta.AnnotationDatabaseClaim] = "db-0001" }, "the namespace names it as one that is in use"},
		"the namespace names none":          {func(v *discardView) { v.namespace.Annotations = nil }, "the namespace names it as one that is in use"},
		"a restore writes to it":            {func(v *discardView) { v.namespace.Annotations[meta.AnnotationRestoreClaim] = "db-0001" }, "the namespace names it as one that is in use"},
		"only the instance remembers it": {func(v *discardView) {
			v.namespace.Annotations, v.facts = nil, &corev1.ConfigMap{Data: map[string]string{meta.KeyDatabaseClaim: "db-0001"}}
		}, "the namespace names it as one that is in use"},
		"a StatefulSet mounts it": {func(v *discardView) { v.sets[0].Spec.Template.Spec = mounting("db-0001") }, "StatefulSet db uses it"},
		"a pod mounts it":         {func(v *discardView) { v.pods[0].Spec = mounting("db-0001") }, "pod db-0 has it mounted"},
		"a pod that has ended mounted it": {func(v *discardView) {
			v.pods[0].Spec, v.pods[0].Status.Phase = mounting("db-0001"), corev1.PodSucceeded
		}, ""},
		"the database has no claim":   {func(v *discardView) { v.current = nil }, "the claim in its place, db-0002, is not bound"},
		"of the application: nothing": {(*discardView).ofTheApplication, ""},
		"of the application: the Restore left its data as it was": {func(v *discardView) {
			v.ofTheApplication()
			v.restore.Status.PreviousAppClaim = ""
		}, "the Restore that put it aside is not accepted any more"},
		"of the application: another Restore goes back to it": {func(v *discardView) {
			v.ofTheApplication()
			v.restores = append(v.restores, v1alpha1.Restore{ObjectMeta: metav1.ObjectMeta{Name: "other", UID: "9"}, Status: v1alpha1.RestoreStatus{AppClaim: "app-0001"}})
		}, "Restore other may still need it"},
		"of the application: the namespace names none": {func(v *discardView) {
			v.ofTheApplication()
			delete(v.namespace.Annotations, meta.AnnotationAppClaim)
		}, "the namespace names it as one that is in use"},
		"of the application: its claim is pending": {func(v *discardView) {
			v.ofTheApplication()
			v.current.Status.Phase = corev1.ClaimPending
		}, "the claim in its place, app-0002, is not bound"},
		"the database's claim is pending": {func(v *discardView) { v.current.Status.Phase = corev1.ClaimPending }, "the claim in its place, db-0002, is not bound"},
		"it was never bound":              {func(v *discardView) { v.claim.Spec.VolumeName = "" }, "it has no PersistentVolume that could keep the data"},
		"its volume is gone":              {func(v *discardView) { v.volume = nil }, "it has no PersistentVolume that could keep the data"},
		"its volume is bound to another":  {func(v *discardView) { v.volume.Spec.ClaimRef.UID = "8" }, "PersistentVolume pv-1 is not bound to it"},
		"its volume is bound to none":     {func(v *discardView) { v.volume.Spec.ClaimRef = nil }, "PersistentVolume pv-1 is not bound to it"},
		"its volume would go with it": {func(v *discardView) {
			v.volume.Spec.PersistentVolumeReclaimPolicy = corev1.PersistentVolumeReclaimDelete
		}, "PersistentVolume pv-1 is not set to Retain, and would be deleted with it"},
	} {
		v := discardable()
		row.change(v)
		if got := v.objection(); got != row.want {
			t.Errorf("%s: %q speaks against it, want %q", name, got, row.want)
		}
	}
}
