// SPDX-License-Identifier: Apache-2.0

package install_test

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/api/v1alpha1"
)

// The operator may delete claims, through its role in the tenants' namespaces: but only such as a restore put aside, whatever
// its code, or who has its token, wants.
func TestTheOperatorDeletesOnlyClaimsThatWerePutAside(t *testing.T) {
	p, breakGlass := protect(t, "tenant-coleman")
	ns := p.namespace.Name
	elsewhere := instanceIn("tenant-nextdoor")
	elsewhere.way = binding(elsewhere.namespace.Name, "view", "somebody")
	elsewhere.store(t, breakGlass)
	const (
		inUse    = "the operator of Freehold may not delete a volume claim that is in use"
		unmarked = "the operator of Freehold may only delete volume claims whose annotation freehold.dev/discard-claim repeats their name"
	)
	claim := func(name, mark string) *corev1.PersistentVolumeClaim {
		made := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: ns, Labels: map[string]string{v1alpha1.LabelInstance: instanceID}}, Spec: p.claim.Spec}
		if mark != "" {
			made.Annotations = map[string]string{v1alpha1.AnnotationDiscardClaim: mark}
		}
		return made
	}
	strangers, theirs := claim("db-0007", "db-0007"), claim("db-0008", "db-0008")
	strangers.Labels, theirs.Labels = nil, map[string]string{v1alpha1.LabelInstance: "another"}
	aside := claim("db-0005", "db-0005")
	for _, object := range []client.Object{claim("db-0002", "db-0002"), claim("db-0003", ""), claim("db-0004", "db-0003"), aside, claim("db-0006", "db-0006"),
		claim("app-0001", "app-0001"), claim("app-0002", "app-0002"), claim("theirs", "theirs"), strangers, theirs} {
		if err := breakGlass.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
	names := func(annotations string) {
		t.Helper()
		if err := breakGlass.Patch(t.Context(), namespace(ns), client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"annotations":`+annotations+`}}`))); err != nil {
			t.Fatal(err)
		}
	}
	names(`{"freehold.dev/database-claim":"db-0002","freehold.dev/restore-claim":"db-0006"}`)
	operator := impersonate(t)
	eventuallyRefused(t, inUse, func() error { return operator.Delete(t.Context(), claim("db-0002", ""), client.DryRunAll) })

	for _, a := range []attempt{
		{"delete a claim that was put aside", deletes(aside), ""},
		{"delete a claim of the application that was put aside", deletes(claim("app-0002", "")), ""},
		{"delete the claim in use", deletes(claim("db-0002", "")), inUse},
		{"delete the claim that is restored to", deletes(claim("db-0006", "")), inUse},
		{"delete the application's claim in use", deletes(claim("app-0001", "")), inUse},
		{"delete a claim that is not marked", deletes(claim("db-0003", "")), unmarked},
		{"delete a claim that is marked as another", deletes(claim("db-0004", "")), unmarked},
		{"delete a claim with another name", deletes(claim("theirs", "")), "the operator of Freehold may only delete volume claims that it has numbered itself"},
		{"delete a stranger's claim", deletes(strangers), "the operator of Freehold may only delete volume claims of the instance that the namespace belongs to"},
		{"delete another instance's claim", deletes(theirs), "the operator of Freehold may only delete volume claims of the instance that the namespace belongs to"},
		{"delete all claims", deletesAll(&corev1.PersistentVolumeClaim{}, ns), "cannot deletecollection resource"},
		{"delete a claim where it has no role", deletes(elsewhere.claim), "cannot delete resource"},
		{"take a claim's identity", patches(claim("db-0003", ""), unlabel), "says whose data is on it"},
	} {
		t.Run(a.name, func(t *testing.T) {
			judge(t, "the operator", a, a.refused != "", a.do(t.Context(), operator))
		})
	}
	for _, a := range []attempt{{"delete a claim that was put aside", deletes(aside), "volume claim db-0005 holds data of instance " + instanceID}} {
		judge(t, "a cluster's administrator", a, true, a.do(t.Context(), newClient(t, config)))
	}

	stale := client.Preconditions{UID: ptr.To(types.UID("another")), ResourceVersion: ptr.To("1")}
	if err := operator.Delete(t.Context(), claim("db-0005", ""), stale); !apierrors.IsConflict(err) {
		t.Errorf("a successor of the same name is deleted: %v", err)
	}
	if err := operator.Delete(context.Background(), aside, client.Preconditions{UID: ptr.To(aside.UID), ResourceVersion: ptr.To(aside.ResourceVersion)}); err != nil {
		t.Errorf("the claim that was put aside: %v", err)
	}

	// Without the annotation the first claims are those in use.
	names(`{"freehold.dev/database-claim":null}`)
	if err := breakGlass.Patch(t.Context(), p.claim, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"annotations":{"freehold.dev/discard-claim":"db-0001"}}}`))); err != nil {
		t.Fatal(err)
	}
	eventuallyRefused(t, inUse, func() error { return operator.Delete(t.Context(), claim("db-0001", ""), client.DryRunAll) })
}
