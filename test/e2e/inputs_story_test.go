// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/api/v1alpha1"
)

var _ = Describe("A platform engineer makes a mistake", func() {
	network := func(access v1alpha1.AccessMode, allowed, denied []v1alpha1.CIDR) func(*v1alpha1.Tenant) {
		return func(t *v1alpha1.Tenant) {
			t.Spec.Network = v1alpha1.TenantNetwork{Access: access, AllowedRanges: allowed, DeniedRanges: denied}
		}
	}
	hostname := func(names ...v1alpha1.Hostname) func(*v1alpha1.Tenant) {
		return func(t *v1alpha1.Tenant) { t.Spec.Hostnames = names }
	}

	DescribeTable("that the API refuses at once, with words that help",
		func(ctx SpecContext, mistake func(*v1alpha1.Tenant), words string) {
			err := api.Create(ctx, named("mistaken").manifest(mistake), client.DryRunAll)
			Expect(err).To(MatchError(ContainSubstring(words)))
		},
		Entry("a hostname with a wildcard", hostname("*.example.com"), "must be a DNS name with at least one dot"),
		Entry("a hostname with a port", hostname("shop.example.com:443"), "must be a DNS name with at least one dot"),
		Entry("a hostname that would be configuration", hostname("a.example.com\n  http-request allow"), "must be a DNS name with at least one dot"),
		Entry("no hostname", hostname(), "spec.hostnames"),
		Entry("a hostname twice", hostname("a.example.com", "a.example.com"), "hostnames must not repeat"),
		Entry("an IPv6 range", network(v1alpha1.AccessRestricted, []v1alpha1.CIDR{"2001:db8::/32"}, nil), "IPv6 is not supported yet"),
		Entry("a range with host bits", network(v1alpha1.AccessRestricted, []v1alpha1.CIDR{"198.51.100.7/24"}, nil), "198.51.100.0/24"),
		Entry("no range at all", network(v1alpha1.AccessRestricted, nil, nil), "access Restricted needs at least one network in allowedRanges"),
		Entry("a denied range outside the allowed ones", network(v1alpha1.AccessRestricted, []v1alpha1.CIDR{"198.51.100.0/24"}, []v1alpha1.CIDR{"203.0.113.0/24"}),
			"each of deniedRanges must lie inside one of allowedRanges"),
		Entry("ranges without a meaning", network(v1alpha1.AccessOpen, []v1alpha1.CIDR{"198.51.100.0/24"}, nil), "allowedRanges only has a meaning with access Restricted"),
		Entry("an IPv6 address", func(t *v1alpha1.Tenant) { t.Spec.Network.Address = "2001:db8::7" }, "IPv6 is not supported yet"),
		Entry("a name with a dot", func(t *v1alpha1.Tenant) { t.Name = "shop.example" }, "at most 56 characters, lower-case letters, digits and hyphens, no dots"),
		Entry("two sources of the certificate", func(t *v1alpha1.Tenant) {
			t.Spec.TLS.SecretRef = &v1alpha1.SecretReference{Name: "mine"}
			t.Spec.TLS.IssuerRef = &v1alpha1.IssuerReference{Name: "theirs"}
		}, "issuerRef and secretRef exclude each other"),
		Entry("a database that is too small", func(t *v1alpha1.Tenant) {
			t.Spec.Database = &v1alpha1.TenantDatabase{Storage: ptr.To(resource.MustParse("1Mi"))}
		}, "storage must be at least 256Mi"),
		Entry("quotes in the display name", func(t *v1alpha1.Tenant) { t.Spec.DisplayName = `Robert"; DROP` }, "may not hold control characters"),
	)

	// The Tenants below are suspended: a mistake does not need a running instance.
	suspended := func(t *v1alpha1.Tenant) { t.Spec.Suspended = true }

	It("names a class that does not exist, and is served once it does", func(ctx SpecContext) {
		customer := named("classless")
		customer.order(ctx, suspended, func(t *v1alpha1.Tenant) { t.Spec.ClassRef.Name = "e2e-later" })
		customer.stalled(ctx, v1alpha1.ReasonClassNotFound, "e2e-later")
		class := minifluxClass()
		class.Name = "e2e-later"
		renewClass(ctx, class)
		DeferCleanup(func(ctx SpecContext) { Expect(api.Delete(ctx, class)).To(Succeed()) }, NodeTimeout(limit))
		Eventually(customer.poll(ctx, v1alpha1.ConditionReady)).WithContext(ctx).Should(HavePrefix("Ready=True"))
		Expect(customer.poll(ctx, v1alpha1.ConditionStalled)()).To(Equal("Stalled absent"))
	}, SpecTimeout(limit))

	It("gives two Tenants one hostname: the older one keeps it", func(ctx SpecContext) {
		first, second := named("hostname-first"), named("hostname-second")
		first.order(ctx, suspended)
		// Of two of the same second the one whose name sorts first is the older one: so is it here in any case.
		second.order(ctx, suspended, func(t *v1alpha1.Tenant) {
			t.Spec.Hostnames = append(t.Spec.Hostnames, "hostname-first.example.com")
		})
		second.stalled(ctx, v1alpha1.ReasonHostnameConflict, "hostname hostname-first.example.com belongs to the older Tenant hostname-first")
		Eventually(first.poll(ctx, v1alpha1.ConditionReady)).WithContext(ctx).Should(HavePrefix("Ready=True"), "the older one should not be disturbed")
		first.patch(ctx, `{"spec":{"hostnames":["elsewhere.example.com"]}}`)
		Eventually(second.poll(ctx, v1alpha1.ConditionStalled)).WithContext(ctx).Should(Equal("Stalled absent"), "the hostname is free now")
	}, SpecTimeout(limit))

	It("gives two Tenants one address: the older one keeps it", func(ctx SpecContext) {
		needLocalCluster()
		const address = "198.18.0.240"
		wish := func(t *v1alpha1.Tenant) { t.Spec.Network.Address = address }
		first, second := named("address-first"), named("address-second")
		first.order(ctx, suspended, wish)
		second.order(ctx, suspended, wish)
		second.stalled(ctx, v1alpha1.ReasonAddressConflict, "address "+address+" belongs to the older Tenant address-first")
		Eventually(func() []string { return first.tenant(ctx).Status.Addresses }).WithContext(ctx).Should(Equal([]string{address}))
	}, SpecTimeout(limit))

	It("asks for a fixed address where the class cannot give one", func(ctx SpecContext) {
		class := minifluxClass()
		class.Name, class.Spec.LoadBalancer.AddressAnnotation = "e2e-no-address", ""
		renewClass(ctx, class)
		DeferCleanup(func(ctx SpecContext) { Expect(api.Delete(ctx, class)).To(Succeed()) }, NodeTimeout(limit))
		customer := named("no-address")
		customer.order(ctx, suspended, func(t *v1alpha1.Tenant) {
			t.Spec.ClassRef.Name, t.Spec.Network.Address = class.Name, "198.18.0.241"
		})
		customer.stalled(ctx, v1alpha1.ReasonInvalidSpec, "class e2e-no-address does not say how its load balancer takes a fixed address")
	}, SpecTimeout(limit))

	It("wants to adopt an instance that is not there", func(ctx SpecContext) {
		customer := named("adopts-nothing")
		customer.order(ctx, suspended, adopting("bbbbbbbbbb"))
		customer.stalled(ctx, v1alpha1.ReasonAdoptionMismatch, "there is no namespace tenant-adopts-nothing")
	}, SpecTimeout(limit))
})
