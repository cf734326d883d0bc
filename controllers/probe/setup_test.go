// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"testing"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

func TestWhichWallsCountAsTouched(t *testing.T) {
	wall := func(namespace string, generation int64) *networkingv1.NetworkPolicy {
		return &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "freehold-app", Generation: generation}}
	}
	for name, row := range map[string]struct {
		happens func(*Reconciler, queue)
		want    bool
	}{
		"what a starting operator finds": {func(r *Reconciler, q queue) {
			r.wallEvents().Create(t.Context(), event.CreateEvent{Object: wall("tenant-acme", 1), IsInInitialList: true}, q)
		}, false},
		"a new one": {func(r *Reconciler, q queue) {
			r.wallEvents().Create(t.Context(), event.CreateEvent{Object: wall("tenant-acme", 1)}, q)
		}, true},
		"an edit": {func(r *Reconciler, q queue) {
			r.wallEvents().Update(t.Context(), event.UpdateEvent{ObjectOld: wall("tenant-acme", 1), ObjectNew: wall("tenant-acme", 2)}, q)
		}, true},
		"an edit of labels": {func(r *Reconciler, q queue) {
			r.wallEvents().Update(t.Context(), event.UpdateEvent{ObjectOld: wall("tenant-acme", 1), ObjectNew: wall("tenant-acme", 1)}, q)
		}, false},
		"a deletion": {func(r *Reconciler, q queue) {
			r.wallEvents().Delete(t.Context(), event.DeleteEvent{Object: wall("tenant-acme", 1)}, q)
		}, true},
		"one of a stranger": {func(r *Reconciler, q queue) {
			r.wallEvents().Delete(t.Context(), event.DeleteEvent{Object: wall("acme", 1)}, q)
		}, false},
	} {
		q := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[reconcile.Request]())
		r := NewReconciler(nil, nil, nil, nil, Options{Interval: time.Minute})
		row.happens(r, q)
		if got := r.changed["acme"] && q.Len() == 1; got != row.want || !row.want && q.Len() != 0 {
			t.Errorf("%s: touched %t with %d in the queue, want %t", name, got, q.Len(), row.want)
		}
		q.ShutDown()
	}
}
