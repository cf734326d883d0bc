// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/freehold-dev/freehold/api/v1alpha1"
)

var _ = Describe("A customer is backed up to a site and to a volume", Ordered, Label("backups"), SpecPriority(long), func() {
	customer := named("on-a-shelf")

	BeforeAll(func(ctx SpecContext) {
		needLocalCluster()
		away := sites(ctx)["s3-a"]
		policy(ctx, "with-a-shelf", escrowedTo(newKeeper()), func(p *v1alpha1.BackupPolicy) {
			p.Spec.Destinations = []v1alpha1.BackupDestination{away.destination(),
				{Name: "shelf", Volume: &v1alpha1.VolumeDestination{Size: resource.MustParse("2Gi")}}}
		})
		away.admits(ctx, customer)
		customer.order(ctx, backedUpBy("with-a-shelf")).available(ctx)
		customer.writes(ctx, "written before the accident")
	}, NodeTimeout(limit))

	It("has a proven backup on both, and is told that the volume goes with the cluster", func(ctx SpecContext) {
		for _, one := range []string{"s3-a", "shelf"} {
			Eventually(customer.destinationTells(ctx, one, v1alpha1.ConditionRecoverable)).WithContext(ctx).WithTimeout(limit).Should(HavePrefix("Recoverable=True Fresh"))
		}
		Expect(customer.destinationTells(ctx, "shelf", v1alpha1.ConditionBackedUp)()).To(And(HavePrefix("BackedUp=True InCluster"), ContainSubstring("would be lost")))
		customer.becomes(ctx, v1alpha1.ConditionPointInTimeRecoverable, "True Fresh")
	}, SpecTimeout(limit))

	It("comes back from the volume to the moment before an accident", Label("long"), func(ctx SpecContext) {
		before := customer.nextSecond(ctx)
		customer.writes(ctx, "written after the accident")
		customer.recoverableUntil(ctx, customer.now(ctx))
		target := moment(before)
		target.Destination = "shelf"
		restore := customer.restores(ctx, "from-the-shelf", target)
		Expect(string(restore.Status.Destination)).To(Equal("shelf"))
		customer.available(ctx)
		customer.has(ctx, "written before the accident")
		Expect(customer.categories(ctx)).NotTo(ContainElement("written after the accident"))
	}, SpecTimeout(limit))
})
