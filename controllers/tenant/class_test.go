// SPDX-License-Identifier: Apache-2.0

package tenant_test

import (
	"context"
	"errors"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/tenant"
)

// classPass is one call of the class's reconciler; it reports the requests that changed something.
func (w *world) classPass() []string {
	GinkgoHelper()
	w.requests.Reset()
	reconciler := tenant.NewClassReconciler(w.client, w.events)
	_, err := reconciler.Reconcile(ctx, reconcile.Request{NamespacedName: types.NamespacedName{Name: w.name}})
	Expect(err).NotTo(HaveOccurred())
	return w.writesSeen()
}

func (w *world) readClass() (*v1alpha1.TenantClass, error) {
	class := &v1alpha1.TenantClass{}
	err := env.Client.Get(ctx, client.ObjectKey{Name: w.name}, class)
	return class, err
}

var _ = Describe("A class", func() {
	It("that a Tenant names outlives its deletion until no Tenant names it any more, and says so", func() {
		w := newWorld()
		w.create(w.class(), w.tenant())
		Expect(w.classPass()).To(HaveLen(1))
		Expect(w.classPass()).To(BeEmpty(), "a class that is marked costs no writes")

		Expect(env.Client.Delete(ctx, w.class())).To(Succeed())
		Expect(w.classPass()).To(BeEmpty())
		class, err := w.readClass()
		Expect(err).NotTo(HaveOccurred())
		Expect(class.DeletionTimestamp).NotTo(BeNil())
		Expect(w.said()).To(ContainSubstring("1 do, " + w.name + " among them"))

		Expect(env.Client.Delete(ctx, w.readTenant())).To(Succeed())
		w.classPass()
		_, err = w.readClass()
		Expect(apierrors.IsNotFound(err)).To(BeTrue(), "reading the class gave: %v", err)
	})

	It("that somebody else wrote meanwhile is looked at again, and that is no error", func() {
		w := newWorld()
		w.create(w.class(), w.tenant())
		behind := interceptor.NewClient(w.client, interceptor.Funcs{
			Patch: func(_ context.Context, _ client.WithWatch, o client.Object, _ client.Patch, _ ...client.PatchOption) error {
				return apierrors.NewConflict(v1alpha1.GroupVersion.WithResource("tenantclasses").GroupResource(), o.GetName(), errors.New("the object has been modified"))
			},
		})
		result, err := tenant.NewClassReconciler(behind, w.events).Reconcile(ctx, reconcile.Request{NamespacedName: types.NamespacedName{Name: w.name}})
		Expect(err).NotTo(HaveOccurred())
		Expect(result.RequeueAfter).To(Equal(time.Second))
	})

	It("that no Tenant names goes at once", func() {
		w := newWorld()
		w.create(w.class())
		Expect(w.classPass()).To(BeEmpty())
		Expect(env.Client.Delete(ctx, w.class())).To(Succeed())
		_, err := w.readClass()
		Expect(apierrors.IsNotFound(err)).To(BeTrue(), "reading the class gave: %v", err)
	})
})
