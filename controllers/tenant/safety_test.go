// SPDX-License-Identifier: Apache-2.0

package tenant_test

import (
	"bytes"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

var _ = Describe("A pass that is stopped before the audit that is due", func() {
	It("is repeated at the pace of the obstacle, not in a loop", func() {
		w := running()
		var policies networkingv1.NetworkPolicyList
		Expect(env.Client.List(ctx, &policies, client.InNamespace(w.namespace()))).To(Succeed())
		ours := policies.Items[0]
		Expect(env.Client.Delete(ctx, &ours)).To(Succeed())
		strangers := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: ours.Name, Namespace: ours.Namespace}, Spec: ours.Spec}
		w.create(strangers)
		w.clock.SetTime(w.clock.Now().Add(10 * time.Minute))
		for range 2 {
			Expect(w.pass().RequeueAfter).To(And(BeNumerically(">=", 5*time.Second), BeNumerically("<=", time.Minute)))
			w.expectStalled(v1alpha1.ReasonConflict)
		}

		By("catching up on the audit once the obstacle is gone")
		Expect(env.Client.Delete(ctx, strangers)).To(Succeed())
		w.settle()
		w.expectNotStalled()
	})
})

// replaceClaim does what an administrator does who brings data back under the name of a claim.
func (w *world) replaceClaim(name string, change func(*corev1.PersistentVolumeClaim)) *corev1.PersistentVolumeClaim {
	GinkgoHelper()
	claim := read(w, name, &corev1.PersistentVolumeClaim{})
	edit(claim, func(c *corev1.PersistentVolumeClaim) { c.Finalizers = nil })
	Expect(client.IgnoreNotFound(env.Client.Delete(ctx, claim))).To(Succeed())
	back := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: w.namespace(), Labels: map[string]string{
			v1alpha1.LabelTenant: w.name, v1alpha1.LabelInstance: w.readTenant().Status.InstanceID,
		}},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources:   corev1.VolumeResourceRequirements{Requests: claim.Spec.Resources.Requests},
		},
	}
	change(back)
	w.create(back)
	return back
}

var _ = Describe("A claim that an administrator made again", func() {
	DescribeTable("is taken as it is", func(change func(*corev1.PersistentVolumeClaim)) {
		w := running()
		made := w.replaceClaim(meta.DatabaseClaim, change)
		w.settle()
		w.expectNotStalled()
		w.expectCondition(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonConverged)
		after := read(w, meta.DatabaseClaim, &corev1.PersistentVolumeClaim{})
		Expect(after.UID).To(Equal(made.UID))
		Expect(after.Labels).To(HaveKeyWithValue("app.kubernetes.io/component", meta.ComponentDatabase))
		Expect(after.Spec.DataSourceRef).To(Equal(made.Spec.DataSourceRef))
		Expect(after.Spec.AccessModes).To(Equal(made.Spec.AccessModes))
	},
		Entry("from a snapshot", func(c *corev1.PersistentVolumeClaim) {
			c.Spec.DataSource = &corev1.TypedLocalObjectReference{APIGroup: ptr.To("snapshot.storage.k8s.io"), Kind: "VolumeSnapshot", Name: "before-the-accident"}
			c.Spec.VolumeMode = ptr.To(corev1.PersistentVolumeFilesystem)
		}),
		Entry("by a selector, with a storage class and a size of its own", func(c *corev1.PersistentVolumeClaim) {
			c.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"disk": "old"}}
			c.Spec.StorageClassName = ptr.To("by-hand")
			c.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("50Gi")}
		}),
		Entry("with another access mode", func(c *corev1.PersistentVolumeClaim) {
			c.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOncePod}
		}),
	)

	It("without our labels is neither touched nor given up: the message says how to mark it", func() {
		w := running()
		made := w.replaceClaim(meta.DatabaseClaim, func(c *corev1.PersistentVolumeClaim) { c.Labels = nil })
		w.bindClaims()
		Expect(env.Client.Delete(ctx, read(w, meta.AppService, &corev1.Service{}))).To(Succeed())
		w.pass()
		message := w.expectStalled(v1alpha1.ReasonConflict)
		labels := fmt.Sprintf("freehold.dev/tenant=%s freehold.dev/instance=%s", w.name, w.readTenant().Status.InstanceID)
		Expect(message).To(And(
			ContainSubstring("do NOT delete it"),
			ContainSubstring("kubectl label pvc --namespace "+w.namespace()+" "+meta.DatabaseClaim+" "+labels),
			Not(ContainSubstring("move it away"))))
		Expect(read(w, meta.DatabaseClaim, &corev1.PersistentVolumeClaim{}).Labels).To(BeEmpty())
		read(w, meta.AppService, &corev1.Service{}) // all else goes on converging

		By("marking it as the message says")
		edit(made, func(c *corev1.PersistentVolumeClaim) {
			c.Labels = map[string]string{v1alpha1.LabelTenant: w.name, v1alpha1.LabelInstance: w.readTenant().Status.InstanceID}
		})
		w.settle()
		w.expectNotStalled()
	})

	It("that only lost its labels gets them back, with the size that it has grown to", func() {
		w := running()
		w.replaceClaim(meta.AppClaim, func(c *corev1.PersistentVolumeClaim) {
			c.Spec.StorageClassName = ptr.To("by-hand")
			c.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("50Gi")}
		})
		w.settle()
		edit(read(w, meta.AppClaim, &corev1.PersistentVolumeClaim{}), func(c *corev1.PersistentVolumeClaim) { c.Labels = nil })
		w.settle()
		w.expectNotStalled()
		after := read(w, meta.AppClaim, &corev1.PersistentVolumeClaim{})
		Expect(after.Labels).To(HaveKeyWithValue(v1alpha1.LabelTenant, w.name))
		Expect(after.Spec.Resources.Requests.Storage().String()).To(Equal("50Gi"))
	})
})

var _ = Describe("The hash that a stored revision is marked with", func() {
	remark := func(w *world, number int64, hash string) {
		GinkgoHelper()
		edit(read(w, meta.RevisionName(number), &appsv1.ControllerRevision{}), func(r *appsv1.ControllerRevision) {
			delete(r.Annotations, meta.AnnotationRevisionHash)
			if hash != "" {
				r.Annotations[meta.AnnotationRevisionHash] = hash
			}
		})
	}

	DescribeTable("is put right while the workloads prove the content", func(hash string) {
		w := running()
		w.setImage("registry.example/app:2") // so that today's rendering cannot pass for it
		w.settle()
		before, versions := read(w, meta.RevisionName(1), &appsv1.ControllerRevision{}), w.workloadVersions()
		remark(w, 1, hash)
		w.pass()
		w.expectNotStalled()
		after := read(w, meta.RevisionName(1), &appsv1.ControllerRevision{})
		Expect(after.Annotations).To(Equal(before.Annotations))
		Expect(after.UID).To(Equal(before.UID))
		Expect(w.workloadVersions()).To(Equal(versions))
		w.settle()
		Expect(w.readTenant().Status.Revision.Hash).To(Equal(before.Annotations[meta.AnnotationRevisionHash]))
	},
		Entry("when it was removed", ""),
		Entry("when it was changed", "0123456789"),
	)

	It("does not keep anyone from going back: the content counts", func() {
		w := running()
		first := w.readTenant().Status.Revision.Hash
		w.setImage("registry.example/app:2")
		w.settle()
		w.approve(w.readTenant().Status.Revision.PendingHash)
		w.settle()
		remark(w, 1, "")
		w.approve(first)
		w.settle()
		Expect(w.appImage()).To(Equal("registry.example/app:1"))
		Expect(w.readTenant().Status.Revision.Number).To(Equal(int64(3)))
	})

	It("lets no other content in: what the workloads do not prove is not run", func() {
		w := running()
		w.setImage("registry.example/app:2")
		w.settle()
		before := read(w, meta.RevisionName(1), &appsv1.ControllerRevision{})
		Expect(env.Client.Delete(ctx, before)).To(Succeed())
		w.create(&appsv1.ControllerRevision{
			ObjectMeta: metav1.ObjectMeta{Name: before.Name, Namespace: before.Namespace, Labels: before.Labels},
			Revision:   before.Revision,
			Data:       runtime.RawExtension{Raw: bytes.ReplaceAll(before.Data.Raw, []byte("registry.example/app:1"), []byte("registry.example/app:evil"))},
		})
		w.pass()
		w.expectStalled(v1alpha1.ReasonRevisionLost)
		Expect(w.appImage()).To(Equal("registry.example/app:1"))
	})
})

func (w *world) escrow() *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: operatorNamespace, Name: meta.EscrowSecret(w.readTenant().Status.InstanceID)}}
}

func (w *world) readEscrow() *corev1.Secret {
	GinkgoHelper()
	secret := w.escrow()
	Expect(env.Client.Get(ctx, client.ObjectKeyFromObject(secret), secret)).To(Succeed())
	return secret
}

// dropKey removes a key from the escrow and, with its copy's name, from the tenant's Secret.
func (w *world) dropKey(key, secret, copied string) {
	GinkgoHelper()
	edit(w.escrow(), func(s *corev1.Secret) { delete(s.Data, key) })
	if secret != "" {
		edit(w.secret(secret), func(s *corev1.Secret) { delete(s.Data, copied) })
	}
}

var _ = Describe("Keys that an instance works with", func() {
	const generated = meta.EscrowGeneratedPrefix + "admin-password"

	It("are never made anew unasked: all else goes on, and a restored backup ends it", func() {
		w := running()
		escrow, authority := w.readEscrow(), w.secret(meta.CASecret)
		credentials := w.secret(meta.CredentialsSecret).ResourceVersion
		w.setImage("registry.example/app:2")
		w.settle()
		Expect(env.Client.Delete(ctx, w.escrow())).To(Succeed())
		Expect(env.Client.Delete(ctx, authority)).To(Succeed())
		Expect(env.Client.Delete(ctx, read(w, meta.AppService, &corev1.Service{}))).To(Succeed())
		w.audit()
		w.approve(w.readTenant().Status.Revision.PendingHash)
		w.pass()
		Expect(w.expectStalled(v1alpha1.ReasonKeysLost)).To(And(
			ContainSubstring("Secret %s/%s lacks tls.crt, tls.key,", operatorNamespace, escrow.Name),
			ContainSubstring("the copies in namespace %s (freehold-ca) are gone too", w.namespace()),
			ContainSubstring("kubectl annotate namespace %s freehold.dev/accept-new-keys=%s", w.namespace(), w.readTenant().Status.InstanceID)))
		w.gone(meta.CASecret, &corev1.Secret{})
		Expect(w.secret(meta.CredentialsSecret).ResourceVersion).To(Equal(credentials))
		read(w, meta.AppService, &corev1.Service{})
		Expect(w.appImage()).To(Equal("registry.example/app:1"), "no update is begun meanwhile")
		Expect(w.writes()).To(BeEmpty())
		w.expectStalled(v1alpha1.ReasonKeysLost)
		Expect(w.pass().RequeueAfter).To(Equal(time.Minute))
		w.expectCondition(v1alpha1.ConditionAvailable, metav1.ConditionTrue, v1alpha1.ReasonServing)

		By("restoring the escrow from a backup")
		w.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: escrow.Name, Namespace: escrow.Namespace, Labels: escrow.Labels}, Data: escrow.Data})
		w.settle()
		w.expectNotStalled()
		Expect(w.secret(meta.CASecret).Data).To(Equal(authority.Data))
		Expect(w.appImage()).To(Equal("registry.example/app:2"), "the approval counts now")
	})

	DescribeTable("come back from the tenant's own Secrets, each by itself", func(keys ...string) {
		w := running()
		before := w.readEscrow().Data
		for _, key := range keys {
			w.dropKey(key, "", "")
		}
		w.audit()
		w.expectNotStalled()
		Expect(w.readEscrow().Data).To(Equal(before))
	},
		Entry("the authority", meta.KeyTLSCert, meta.KeyTLSKey),
		Entry("the authority's key", meta.KeyTLSKey),
		Entry("the database's password", meta.KeyEscrowPassword),
		Entry("a generated value", generated),
	)

	It("do not come back from an authority that is another one", func() {
		w := running()
		w.dropKey(meta.KeyTLSKey, "", "")
		foreign := running()
		edit(w.secret(meta.CASecret), func(s *corev1.Secret) { s.Data = foreign.secret(meta.CASecret).Data })
		w.audit()
		w.expectStalled(v1alpha1.ReasonKeysLost)
		Expect(w.readEscrow().Data).NotTo(HaveKey(meta.KeyTLSKey))
	})

	It("are made anew once a person accepts it, and only once", func() {
		w := running()
		lost := w.readEscrow().Data[generated]
		w.dropKey(generated, meta.GeneratedSecret, "admin-password")
		w.audit()
		Expect(w.expectStalled(v1alpha1.ReasonKeysLost)).To(And(ContainSubstring("lacks "+generated+","), ContainSubstring("(freehold-generated)")))

		By("an acceptance for another instance")
		accept := func(id string) {
			edit(w.readNamespace(), func(n *corev1.Namespace) { n.Annotations[v1alpha1.AnnotationAcceptNewKeys] = id })
		}
		accept("another")
		w.pass()
		w.expectStalled(v1alpha1.ReasonKeysLost)

		By("an acceptance for this one")
		accept(w.readTenant().Status.InstanceID)
		w.settle()
		w.expectNotStalled()
		fresh := w.readEscrow().Data[generated]
		Expect(fresh).To(And(HaveLen(len(lost)), Not(Equal(lost))))
		Expect(w.secret(meta.GeneratedSecret).Data).To(HaveKeyWithValue("admin-password", fresh))
		Expect(w.readNamespace().Annotations).NotTo(HaveKey(v1alpha1.AnnotationAcceptNewKeys))
		Expect(w.said()).To(ContainSubstring("KeysReplaced"))

		By("losing it again")
		w.dropKey(generated, meta.GeneratedSecret, "admin-password")
		w.audit()
		w.expectStalled(v1alpha1.ReasonKeysLost)
	})

	It("count also when the class does not ask for them any more", func() {
		w := running()
		w.editClass(func(c *v1alpha1.TenantClass) { c.Spec.App.Env = c.Spec.App.Env[:1] })
		w.settle()
		w.dropKey(generated, meta.GeneratedSecret, "admin-password")
		w.audit()
		w.expectStalled(v1alpha1.ReasonKeysLost)
	})

	It("may be made anew while the database never ran", func() {
		w := newWorld()
		w.create(w.class(), w.tenant())
		w.pass()
		Expect(env.Client.Delete(ctx, w.escrow())).To(Succeed())
		Expect(env.Client.Delete(ctx, w.secret(meta.CASecret))).To(Succeed())
		w.audit()
		w.settle()
		w.expectNotStalled()
		Expect(w.secret(meta.CASecret).Data[meta.KeyTLSKey]).To(Equal(w.readEscrow().Data[meta.KeyTLSKey]))
	})
})
