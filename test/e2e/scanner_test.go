// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"encoding/xml"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/freehold-dev/freehold/api/v1alpha1"
)

// scan is what sslscan, which is not ours, finds at a gate.
type scan struct {
	Protocols []struct {
		Type    string `xml:"type,attr"`
		Version string `xml:"version,attr"`
		Enabled int    `xml:"enabled,attr"`
	} `xml:"ssltest>protocol"`
	Ciphers []struct {
		Protocol string `xml:"sslversion,attr"`
		Name     string `xml:"cipher,attr"`
		Bits     int    `xml:"bits,attr"`
	} `xml:"ssltest>cipher"`
	Heartbleed []struct {
		Vulnerable int `xml:"vulnerable,attr"`
	} `xml:"ssltest>heartbleed"`
	Renegotiation struct {
		Supported int `xml:"supported,attr"`
	} `xml:"ssltest>renegotiation"`
}

// scanned runs sslscan from an address outside the cluster.
func (c *customer) scanned(ctx context.Context) scan {
	GinkgoHelper()
	out := run(ctx, "ip", "netns", "exec", "dc-"+c10.name, "sslscan", "--no-colour", "--xml=-", "--sni-name="+c.host, c.address(ctx)+":443")
	var found scan
	Expect(xml.Unmarshal([]byte(out), &found)).To(Succeed(), out)
	Expect(found.Protocols).To(HaveLen(6), "the scanner should have tried SSL 2 and 3, and TLS 1.0 to 1.3: %s", out)
	return found
}

// enabled are the protocols that the gate speaks.
func (s scan) enabled() []string {
	var out []string
	for _, p := range s.Protocols {
		if p.Enabled != 0 {
			out = append(out, p.Type+p.Version)
		}
	}
	return out
}

var _ = Describe("The gate in the eyes of a scanner that is not ours", Ordered, func() {
	customer := named("scanned")

	BeforeAll(func(ctx SpecContext) {
		needLocalCluster()
		customer.order(ctx).available(ctx).answers(ctx)
	}, NodeTimeout(limit))

	It("speaks TLS 1.2 and 1.3, with forward-secret authenticated ciphers only", func(ctx SpecContext) {
		found := customer.scanned(ctx)
		Expect(found.enabled()).To(ConsistOf("tls1.2", "tls1.3"))
		Expect(found.Ciphers).NotTo(BeEmpty())
		for _, c := range found.Ciphers {
			Expect(c.Name).To(MatchRegexp(`^(TLS_(AES|CHACHA20)|ECDHE-ECDSA-(AES(128|256)-GCM|CHACHA20))`), c.Protocol)
			Expect(c.Bits).To(BeNumerically(">=", 128), c.Name)
		}
		for _, h := range found.Heartbleed {
			Expect(h.Vulnerable).To(BeZero())
		}
		Expect(found.Renegotiation.Supported).To(BeZero(), "a client should not renegotiate")
	}, SpecTimeout(limit))

	It("speaks only TLS 1.3 for a customer who asks for that", func(ctx SpecContext) {
		customer.patch(ctx, `{"spec":{"tls":{"minVersion":"TLSv1.3"}}}`)
		var pending string
		Eventually(func() string { pending = customer.tenant(ctx).Status.Revision.PendingHash; return pending }).WithContext(ctx).ShouldNot(BeEmpty())
		run(ctx, "kubectl", "annotate", "tenant", customer.name, "--overwrite", v1alpha1.AnnotationApproveUpdate+"="+pending)
		Eventually(func() []string { return customer.scanned(ctx).enabled() }).WithContext(ctx).Should(ConsistOf("tls1.3"))
		Eventually(func() string {
			return customer.claims(ctx, v1alpha1.ConditionEncryptedInTransit)["ClientToGate"].Message
		}).WithContext(ctx).
			Should(ContainSubstring("lowest accepted TLS 1.3"), "the proof should see the same")
	}, SpecTimeout(limit))
})
