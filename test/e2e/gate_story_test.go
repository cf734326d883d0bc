// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/freehold-dev/freehold/api/v1alpha1"
)

var _ = Describe("The gate in front of a customer", Ordered, func() {
	customer := named("gated")

	BeforeAll(func(ctx SpecContext) {
		customer.order(ctx).available(ctx).answers(ctx)
	}, NodeTimeout(limit))

	It("speaks HTTP/2 and tells browsers to come back by HTTPS only", func(ctx SpecContext) {
		got, err := customer.browser(ctx).get(ctx, "/")
		Expect(err).NotTo(HaveOccurred())
		Expect(got.Proto).To(Equal("HTTP/2.0"))
		Expect(got.Header.Get("Strict-Transport-Security")).To(Equal("max-age=31536000"))
		Expect(got.TLS.Version).To(Equal(uint16(tls.VersionTLS13)))
	}, SpecTimeout(limit))

	Describe("with a restricted access", func() {
		admitted := func(ctx context.Context, who visitor) error {
			_, err := who.browse(customer.host, customer.address(ctx), customer.authority(ctx)).get(ctx, "/healthcheck")
			return err
		}
		in := func(ctx context.Context, who visitor) {
			GinkgoHelper()
			Eventually(func() error { return admitted(ctx, who) }).WithContext(ctx).Should(Succeed(), "%s should be let in", who.name)
		}
		out := func(ctx context.Context, who visitor) {
			GinkgoHelper()
			Eventually(func() error { return admitted(ctx, who) }).WithContext(ctx).Should(HaveOccurred(), "%s should be kept out", who.name)
			Consistently(func() error { return admitted(ctx, who) }).WithContext(ctx).Should(HaveOccurred(), "%s should stay out", who.name)
		}

		It("lets in whom the customer names, and follows changes without a restart", func(ctx SpecContext) {
			needLocalCluster()
			pods, address := customer.lives(ctx), customer.address(ctx)
			in(ctx, c10)
			in(ctx, c20)
			By("Restricted to c10")
			customer.patch(ctx, `{"spec":{"network":{"access":"Restricted","allowedRanges":["`+c10Range+`"]}}}`)
			out(ctx, c20)
			in(ctx, c10)
			By("Restricted to the network of both, with c10 denied")
			customer.patch(ctx, `{"spec":{"network":{"allowedRanges":["198.19.0.0/24"],"deniedRanges":["`+c10Range+`"]}}}`)
			out(ctx, c10)
			in(ctx, c20)
			By("Closed")
			customer.patch(ctx, `{"spec":{"network":{"access":"Closed","allowedRanges":null,"deniedRanges":null}}}`)
			out(ctx, c10)
			out(ctx, c20)
			By("Open again")
			customer.patch(ctx, `{"spec":{"network":{"access":"Open"}}}`)
			in(ctx, c10)
			in(ctx, c20)
			Expect(customer.lives(ctx)).To(Equal(pods), "a change of access should restart nothing")
			Expect(customer.address(ctx)).To(Equal(address))
		}, SpecTimeout(limit))
	})

	Describe("with a certificate of the customer's own", func() {
		It("serves it, and its successor without one dropped request", func(ctx SpecContext) {
			pods := customer.lives(ctx)
			old, oldAuthority := certificate(customer.host)
			keep(ctx, customer, old)
			customer.patch(ctx, `{"spec":{"tls":{"secretRef":{"name":"their-certificate"}}}}`)
			served := func(authority *x509.CertPool) func() error {
				return func() error {
					_, err := c10.browse(customer.host, customer.address(ctx), authority).get(ctx, "/healthcheck")
					return err
				}
			}
			Eventually(served(oldAuthority)).WithContext(ctx).Should(Succeed(), "the gate should serve the customer's certificate")

			successor, newAuthority := certificate(customer.host)
			both := oldAuthority.Clone()
			block, _ := pem.Decode(successor[corev1.TLSCertKey])
			parsed, err := x509.ParseCertificate(block.Bytes)
			Expect(err).NotTo(HaveOccurred())
			both.AddCert(parsed)
			stop := load(ctx, customer.host, customer.address(ctx), both)
			keep(ctx, customer, successor)
			Eventually(served(newAuthority)).WithContext(ctx).Should(Succeed(), "the gate should serve the successor")
			requests, failures := stop()
			Expect(failures).To(BeEmpty(), "no request should be dropped while the certificate is replaced")
			Expect(requests).To(BeNumerically(">", 100), "there should have been a load to drop requests from")
			Expect(customer.lives(ctx)).To(Equal(pods), "a new certificate should restart nothing")
		}, SpecTimeout(limit))

		It("goes on with the last good one when the customer's is useless, and says so", func(ctx SpecContext) {
			_, authority := certificate(customer.host)
			useless, _ := certificate("somebody-else.example.com")
			keep(ctx, customer, useless)
			customer.stalled(ctx, v1alpha1.ReasonCertificateInvalid, "their-certificate", customer.host, "the gate goes on with the one it has")
			_, err := c10.browse(customer.host, customer.address(ctx), authority).get(ctx, "/healthcheck")
			Expect(err).To(HaveOccurred(), "a stranger's authority should not do")
			Expect(customer.poll(ctx, v1alpha1.ConditionAvailable)()).To(HavePrefix("Available=True"))
			customer.patch(ctx, `{"spec":{"tls":{"secretRef":null}}}`)
			customer.available(ctx)
			Eventually(func() error { _, err := customer.browser(ctx).get(ctx, "/healthcheck"); return err }).WithContext(ctx).
				Should(Succeed(), "without the Secret the tenant's own authority should vouch again")
		}, SpecTimeout(limit))
	})
})

// certificate makes a certificate that signs itself, as the content of a TLS Secret, and the pool that trusts it.
func certificate(host string) (map[string][]byte, *x509.CertPool) {
	GinkgoHelper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	Expect(err).NotTo(HaveOccurred())
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	Expect(err).NotTo(HaveOccurred())
	template := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: fmt.Sprintf("their authority %d", serial)}, DNSNames: []string{host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	Expect(err).NotTo(HaveOccurred())
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	Expect(err).NotTo(HaveOccurred())
	parsed, err := x509.ParseCertificate(der)
	Expect(err).NotTo(HaveOccurred())
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return map[string][]byte{
		corev1.TLSCertKey:       pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		corev1.TLSPrivateKeyKey: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
	}, pool
}

// keep puts the customer's certificate into their Secret.
func keep(ctx context.Context, c *customer, data map[string][]byte) {
	GinkgoHelper()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "their-certificate", Namespace: c.namespace}, Type: corev1.SecretTypeTLS, Data: data}
	err := api.Create(ctx, secret)
	if apierrors.IsAlreadyExists(err) {
		err = api.Update(ctx, secret)
	}
	Expect(err).NotTo(HaveOccurred())
}

// load sends requests from c10 all the time, half of them each on a connection of its own, until stop is called, which
// returns how many were answered and what went wrong.
func load(ctx context.Context, host, address string, authority *x509.CertPool) (stop func() (answered int, failures []string)) {
	ctx, cancel := context.WithCancel(ctx)
	var (
		mutex    sync.Mutex
		workers  sync.WaitGroup
		answered int
		failures []string
	)
	for worker := range 4 {
		b := c10.browse(host, address, authority)
		b.stays = worker%2 == 0
		workers.Go(func() {
			for ctx.Err() == nil {
				// A request that has begun is always finished: stopping drops none.
				got, err := b.get(context.WithoutCancel(ctx), "/healthcheck")
				mutex.Lock()
				switch {
				case err != nil:
					failures = append(failures, err.Error())
				case got.StatusCode != http.StatusOK:
					failures = append(failures, got.Status)
				default:
					answered++
				}
				mutex.Unlock()
				select {
				case <-ctx.Done():
				case <-time.After(20 * time.Millisecond):
				}
			}
		})
	}
	return func() (int, []string) {
		cancel()
		workers.Wait()
		return answered, failures
	}
}
