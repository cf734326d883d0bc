// SPDX-License-Identifier: Apache-2.0

package tenant_test

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// certificateCRD stands for cert-manager's Certificate as far as Freehold uses it: its group, version and names. Its
// controllers do not run here; the specs issue certificates themselves.
func certificateCRD() *apiextensionsv1.CustomResourceDefinition {
	return &apiextensionsv1.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{Name: "certificates.cert-manager.io"},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: "cert-manager.io", Scope: apiextensionsv1.NamespaceScoped,
			Names: apiextensionsv1.CustomResourceDefinitionNames{Kind: "Certificate", ListKind: "CertificateList", Plural: "certificates", Singular: "certificate"},
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
				Name: "v1", Served: true, Storage: true,
				Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{
					Type: "object", XPreserveUnknownFields: ptr.To(true),
				}},
			}},
		},
	}
}

func requested() *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetAPIVersion("cert-manager.io/v1")
	u.SetKind("Certificate")
	return u
}

func withIssuer(t *v1alpha1.Tenant) {
	t.Spec.TLS.IssuerRef = &v1alpha1.IssuerReference{Name: "letsencrypt"}
}

var _ = Describe("A certificate by an issuer", Ordered, func() {
	It("needs cert-manager, and says so", func() {
		w := newWorld()
		t := w.tenant()
		withIssuer(t)
		w.create(w.class(), t)
		w.pass()
		Expect(w.expectStalled(v1alpha1.ReasonInvalidSpec)).To(ContainSubstring("cert-manager is not installed"))

		By("serving meanwhile, with the tenant's own authority's certificate")
		w.cluster()
		w.settle()
		w.expectStalled(v1alpha1.ReasonInvalidSpec)
		w.expectCondition(v1alpha1.ConditionAvailable, metav1.ConditionTrue, v1alpha1.ReasonServing)
		Expect(certificate(w.secret(meta.EdgeTLSSecret)).CheckSignatureFrom(certificate(w.secret(meta.CASecret)))).To(Succeed())

		By("looking again at the pace of the audit, not in a loop")
		next := w.pass().RequeueAfter
		Expect(next).To(And(BeNumerically(">", 0), BeNumerically("<=", 30*time.Second)))
		w.clock.SetTime(w.clock.Now().Add(30 * time.Second))
		Expect(w.pass().RequeueAfter).To(Equal(next), "an instance has its own moment in the period, whatever that is")
		w.expectStalled(v1alpha1.ReasonInvalidSpec)

		By("serving also after a restart of the operator")
		w.restart()
		w.settle()
		w.expectStalled(v1alpha1.ReasonInvalidSpec)
		w.expectCondition(v1alpha1.ConditionAvailable, metav1.ConditionTrue, v1alpha1.ReasonServing)
	})

	When("cert-manager is installed", Ordered, func() {
		var w *world

		BeforeAll(func() {
			crd := certificateCRD()
			_, err := envtest.InstallCRDs(env.Config, envtest.CRDInstallOptions{CRDs: []*apiextensionsv1.CustomResourceDefinition{crd}})
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(func() { Expect(env.Client.Delete(ctx, crd)).To(Succeed()) })
			w = newWorld()
			t := w.tenant()
			withIssuer(t)
			w.create(w.class(), t)
			for range 3 {
				w.pass()
				w.cluster()
			}
		})

		It("is requested for all hostnames, and meanwhile the tenant's own authority's is served", func() {
			certificateObject := read(w, meta.EdgeCertificate, requested())
			names, _, err := unstructured.NestedStringSlice(certificateObject.Object, "spec", "dnsNames")
			Expect(err).NotTo(HaveOccurred())
			Expect(names).To(ConsistOf(w.name + ".example.com"))
			issuer, _, err := unstructured.NestedStringMap(certificateObject.Object, "spec", "issuerRef")
			Expect(err).NotTo(HaveOccurred())
			Expect(issuer).To(Equal(map[string]string{"name": "letsencrypt", "kind": "ClusterIssuer", "group": "cert-manager.io"}))
			Expect(certificate(w.secret(meta.EdgeTLSSecret)).CheckSignatureFrom(certificate(w.secret(meta.CASecret)))).To(Succeed())
			w.expectCondition(v1alpha1.ConditionAvailable, metav1.ConditionTrue, v1alpha1.ReasonServing)
			w.expectNotStalled()
		})

		It("is served once it is issued", func() {
			pair := w.userPair(w.name + ".example.com")
			w.create(&corev1.Secret{
				ObjectMeta: metav1.ObjectMeta{Name: meta.EdgeIssuedSecret, Namespace: w.namespace()}, Type: corev1.SecretTypeTLS,
				Data: map[string][]byte{meta.KeyTLSCert: pair.CertPEM, meta.KeyTLSKey: pair.KeyPEM},
			})
			w.audit()
			Expect(w.secret(meta.EdgeTLSSecret).Data[meta.KeyTLSCert]).To(Equal(pair.CertPEM))
			w.expectCondition(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonConverged)
		})

		It("is requested again as it shall be when somebody changes the request", func() {
			edit(named(w, requested()), func(u *unstructured.Unstructured) {
				Expect(unstructured.SetNestedField(u.Object, "evil", "spec", "issuerRef", "name")).To(Succeed())
			})
			w.audit()
			name, _, err := unstructured.NestedString(read(w, meta.EdgeCertificate, requested()).Object, "spec", "issuerRef", "name")
			Expect(err).NotTo(HaveOccurred())
			Expect(name).To(Equal("letsencrypt"))
			Expect(w.writes()).To(BeEmpty())
		})

		It("is withdrawn when no issuer is named any more; the tenant's own authority's is served", func() {
			w.editTenant(func(t *v1alpha1.Tenant) { t.Spec.TLS.IssuerRef = nil })
			w.pass()
			err := env.Client.Get(ctx, client.ObjectKey{Namespace: w.namespace(), Name: meta.EdgeCertificate}, requested())
			Expect(apierrors.IsNotFound(err)).To(BeTrue(), "reading the Certificate gave: %v", err)
			Expect(certificate(w.secret(meta.EdgeTLSSecret)).CheckSignatureFrom(certificate(w.secret(meta.CASecret)))).To(Succeed())
		})
	})
})

func named(w *world, u *unstructured.Unstructured) *unstructured.Unstructured {
	u.SetName(meta.EdgeCertificate)
	u.SetNamespace(w.namespace())
	return u
}
