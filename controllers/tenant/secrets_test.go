// SPDX-License-Identifier: Apache-2.0

package tenant_test

import (
	"crypto/x509"
	"encoding/pem"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
	"github.com/freehold-dev/freehold/controllers/tenant/pki"
)

// audit lets the time of the next audit come, and holds it.
func (w *world) audit() {
	GinkgoHelper()
	w.pass() // schedules it
	w.clock.SetTime(w.clock.Now().Add(10 * time.Minute))
	w.pass()
}

func certificate(secret *corev1.Secret) *x509.Certificate {
	GinkgoHelper()
	block, _ := pem.Decode(secret.Data[meta.KeyTLSCert])
	Expect(block).NotTo(BeNil())
	cert, err := x509.ParseCertificate(block.Bytes)
	Expect(err).NotTo(HaveOccurred())
	return cert
}

func (w *world) userPair(hostname string) pki.Pair {
	GinkgoHelper()
	authority, err := pki.NewAuthority("the user's", w.clock.Now())
	Expect(err).NotTo(HaveOccurred())
	pair, err := authority.Issue(pki.Leaf{CommonName: hostname, DNSNames: []string{hostname}}, w.clock.Now())
	Expect(err).NotTo(HaveOccurred())
	return pair
}

func userSecret(w *world, pair pki.Pair) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "gate-certificate", Namespace: w.namespace()}, Type: corev1.SecretTypeTLS,
		Data: map[string][]byte{meta.KeyTLSCert: pair.CertPEM, meta.KeyTLSKey: pair.KeyPEM},
	}
}

func withSecretRef(t *v1alpha1.Tenant) {
	t.Spec.TLS.SecretRef = &v1alpha1.SecretReference{Name: "gate-certificate"}
}

var _ = Describe("Secrets", func() {
	DescribeTable("that were lost come back exactly as they were, within the audit's period", func(name string, same bool) {
		w := running()
		before := w.secret(name)
		Expect(env.Client.Delete(ctx, before)).To(Succeed())
		w.audit()
		after := w.secret(name)
		Expect(after.Labels).To(Equal(before.Labels))
		Expect(after.Type).To(Equal(before.Type))
		if same {
			Expect(after.Data).To(Equal(before.Data))
		} else {
			Expect(certificate(after).DNSNames).To(Equal(certificate(before).DNSNames))
			Expect(certificate(after).CheckSignatureFrom(certificate(w.secret(meta.CASecret)))).To(Succeed())
		}
		w.settle()
	},
		Entry("the authority", meta.CASecret, true),
		Entry("the database's credentials", meta.CredentialsSecret, true),
		Entry("generated values", meta.GeneratedSecret, true),
		Entry("the database's certificate", meta.DatabaseTLSSecret, false),
		Entry("the gate's certificate", meta.EdgeTLSSecret, false),
	)

	DescribeTable("that somebody changed are put right, within the audit's period", func(change func(*corev1.Secret)) {
		w := running()
		before := w.secret(meta.CredentialsSecret)
		edit(w.secret(meta.CredentialsSecret), change)
		w.audit()
		after := w.secret(meta.CredentialsSecret)
		Expect(after.Data).To(Equal(before.Data))
		Expect(after.Labels).To(Equal(before.Labels))
		Expect(after.Annotations).To(Equal(before.Annotations))
	},
		Entry("a value", func(s *corev1.Secret) { s.Data[meta.KeyDatabasePassword] = []byte("guessed") }),
		Entry("a key too many", func(s *corev1.Secret) { s.Data["extra"] = []byte("x") }),
		Entry("a key too few", func(s *corev1.Secret) { delete(s.Data, meta.KeyDatabaseURL) }),
		Entry("the labels", func(s *corev1.Secret) { s.Labels = nil }),
		Entry("the marks of the audit", func(s *corev1.Secret) { s.Annotations = nil }),
	)

	It("are not read between audits, and one audit reads no content while all is well", func() {
		w := running()
		w.pass()
		w.clock.SetTime(w.clock.Now().Add(10 * time.Minute))
		w.requests.Reset()
		result := w.pass()
		Expect(result.RequeueAfter).To(And(BeNumerically(">", 0), BeNumerically("<=", 10*time.Minute)))
		var contents int
		for _, request := range w.requests.Reconciling() {
			Expect(request.IsWrite()).To(BeFalse())
			if request.Path == "/api/v1/namespaces/"+w.namespace()+"/secrets/"+meta.CredentialsSecret {
				contents++
			}
		}
		Expect(contents).To(Equal(1), "the audit looks at each Secret once, by its metadata")
	})

	It("survive the loss of the escrow: it is put together from them", func() {
		w := running()
		key := types.NamespacedName{Namespace: operatorNamespace, Name: meta.EscrowSecret(w.readTenant().Status.InstanceID)}
		escrow := &corev1.Secret{}
		Expect(env.Client.Get(ctx, key, escrow)).To(Succeed())
		before := escrow.Data
		Expect(env.Client.Delete(ctx, escrow)).To(Succeed())
		w.audit()
		again := &corev1.Secret{}
		Expect(env.Client.Get(ctx, key, again)).To(Succeed())
		Expect(again.Data).To(Equal(before))
	})

	It("get a value more when the class asks for one more, and keep the others", func() {
		w := running()
		before := w.secret(meta.GeneratedSecret).Data["admin-password"]
		w.editClass(func(c *v1alpha1.TenantClass) {
			c.Spec.App.Env = append(c.Spec.App.Env, v1alpha1.EnvVar{Name: "SESSION_KEY", Generated: "session-key"})
		})
		w.settle()
		Expect(w.secret(meta.GeneratedSecret).Data).To(HaveKey("session-key"))
		Expect(w.secret(meta.GeneratedSecret).Data["admin-password"]).To(Equal(before))
	})

	It("with certificates are renewed after two thirds of their life, under the same authority", func() {
		w := running()
		before := certificate(w.secret(meta.DatabaseTLSSecret))
		w.clock.SetTime(w.clock.Now().Add(pki.LeafLife * 2 / 3))
		w.restart()
		w.audit()
		after := certificate(w.secret(meta.DatabaseTLSSecret))
		Expect(after.NotAfter.After(before.NotAfter)).To(BeTrue(), "it shall be a new one")
		Expect(after.CheckSignatureFrom(certificate(w.secret(meta.CASecret)))).To(Succeed())
	})

	It("with the application's certificate never change it: no application is told to read it again", func() {
		w := newWorld()
		class := w.class()
		class.Spec.App.Port, class.Spec.App.TLSPort = 0, 8443
		w.create(class, w.tenant())
		w.settle()
		before := certificate(w.secret(meta.AppTLSSecret))
		gate := certificate(w.secret(meta.EdgeTLSSecret))
		w.clock.SetTime(w.clock.Now().Add(pki.LeafLife + 24*time.Hour))
		w.restart()
		w.audit()
		Expect(certificate(w.secret(meta.EdgeTLSSecret)).SerialNumber).NotTo(Equal(gate.SerialNumber), "the gate reads its own again")
		Expect(certificate(w.secret(meta.AppTLSSecret)).SerialNumber).To(Equal(before.SerialNumber))
		Expect(before.NotAfter.After(w.clock.Now())).To(BeTrue(), "it shall be valid still")
		Expect(before.NotAfter).To(Equal(certificate(w.secret(meta.CASecret)).NotAfter))
	})

	It("follow the hostnames at once", func() {
		w := running()
		w.editTenant(func(t *v1alpha1.Tenant) { t.Spec.Hostnames = append(t.Spec.Hostnames, "www-"+t.Spec.Hostnames[0]) })
		w.pass()
		Expect(certificate(w.secret(meta.EdgeTLSSecret)).DNSNames).To(ConsistOf(w.name+".example.com", "www-"+w.name+".example.com"))
	})
})

var _ = Describe("A user's certificate", func() {
	It("is served once it was found good, and replaced when the user replaces it", func() {
		w := running()
		pair := w.userPair(w.name + ".example.com")
		w.create(userSecret(w, pair))
		w.editTenant(withSecretRef)
		w.settle()
		Expect(w.secret(meta.EdgeTLSSecret).Data[meta.KeyTLSCert]).To(Equal(pair.CertPEM))

		next := w.userPair(w.name + ".example.com")
		edit(userSecret(w, pair), func(s *corev1.Secret) { s.Data = userSecret(w, next).Data })
		w.clock.SetTime(w.clock.Now().Add(30 * time.Second))
		w.pass()
		Expect(w.secret(meta.EdgeTLSSecret).Data[meta.KeyTLSCert]).To(Equal(next.CertPEM))

		By("going back to the tenant's own authority")
		w.editTenant(func(t *v1alpha1.Tenant) { t.Spec.TLS.SecretRef = nil })
		w.settle()
		Expect(certificate(w.secret(meta.EdgeTLSSecret)).CheckSignatureFrom(certificate(w.secret(meta.CASecret)))).To(Succeed())
	})

	It("that is bad leaves the last good one in place, and says why", func() {
		w := running()
		good := w.userPair(w.name + ".example.com")
		w.create(userSecret(w, good))
		w.editTenant(withSecretRef)
		w.settle()

		edit(userSecret(w, good), func(s *corev1.Secret) { s.Data = userSecret(w, w.userPair("other.example.com")).Data })
		w.clock.SetTime(w.clock.Now().Add(30 * time.Second))
		result := w.pass()
		Expect(w.expectStalled(v1alpha1.ReasonCertificateInvalid)).To(ContainSubstring("does not cover " + w.name + ".example.com; it covers other.example.com"))
		Expect(w.secret(meta.EdgeTLSSecret).Data[meta.KeyTLSCert]).To(Equal(good.CertPEM))
		Expect(result.RequeueAfter).To(BeNumerically("<=", 30*time.Second), "Secrets are not watched")
		w.expectCondition(v1alpha1.ConditionAvailable, metav1.ConditionTrue, v1alpha1.ReasonServing)

		By("everything else goes on converging")
		Expect(env.Client.Delete(ctx, read(w, meta.AppService, &corev1.Service{}))).To(Succeed())
		w.pass()
		read(w, meta.AppService, &corev1.Service{})
		w.expectStalled(v1alpha1.ReasonCertificateInvalid)

		By("mending it")
		edit(userSecret(w, good), func(s *corev1.Secret) { s.Data = userSecret(w, good).Data })
		w.clock.SetTime(w.clock.Now().Add(30 * time.Second))
		w.settle()
		w.expectNotStalled()
	})

	It("that is missing leaves the tenant's own authority's in place, and says so", func() {
		w := newWorld()
		t := w.tenant()
		withSecretRef(t)
		w.create(w.class(), t)
		w.pass()
		Expect(w.expectStalled(v1alpha1.ReasonCertificateInvalid)).To(ContainSubstring("there is no such Secret"))
		Expect(certificate(w.secret(meta.EdgeTLSSecret)).DNSNames).To(ConsistOf(w.name + ".example.com"))
	})
})
