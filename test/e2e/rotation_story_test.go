// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/freehold-dev/freehold/api/v1alpha1"
)

var _ = Describe("A customer's keys of backups are rotated", Ordered, Label("backups", "long"), SpecPriority(long), func() {
	customer := named("rotated")
	const site = "s3-a"
	var before time.Time
	var restore *v1alpha1.Restore

	BeforeAll(func(ctx SpecContext) {
		needLocalCluster()
		all := sites(ctx)
		policy(ctx, "rotated", escrowedTo(newKeeper()), keptAt(all, site))
		all[site].admits(ctx, customer)
		customer.order(ctx, backedUpBy("rotated")).available(ctx)
		Eventually(customer.destinationTells(ctx, site, v1alpha1.ConditionRecoverable)).WithContext(ctx).WithTimeout(limit).Should(HavePrefix("Recoverable=True"))
		customer.writes(ctx, "written before the rotation")
		before = customer.nextSecond(ctx)
		customer.recoverableUntil(ctx, customer.now(ctx))
	}, NodeTimeout(limit))

	It("gets another repository under another key, which takes over once it is proven", func(ctx SpecContext) {
		from := customer.tenant(ctx).Status.Backups.RecoverableFrom.Time
		customer.patch(ctx, fmt.Sprintf(`{"metadata":{"annotations":{%q:"once"}}}`, v1alpha1.AnnotationRotateBackupKeys))
		Eventually(func() int32 { return customer.tenant(ctx).Status.Backups.Destinations[0].Generation }).WithContext(ctx).WithTimeout(limit).
			Should(Equal(int32(2)), "generation 2 should take over")
		d := customer.tenant(ctx).Status.Backups.Destinations[0]
		Expect(d.Rotation).To(BeNil())
		Expect(d.Retired).To(HaveLen(1))
		Expect(d.Retired[0].RecoverableUntil.Time).To(BeTemporally(">", before))
		Expect(customer.tenant(ctx).Status.Backups.RecoverableFrom.Time).To(BeTemporally("<=", from), "the recovery window should be as long as before")
		customer.becomes(ctx, v1alpha1.ConditionRecoverable, "True Fresh")
		customer.writes(ctx, "written after the rotation")
		customer.recoverableUntil(ctx, customer.now(ctx))
		customer.becomes(ctx, v1alpha1.ConditionPointInTimeRecoverable, "True Fresh")
	}, SpecTimeout(limit))

	It("comes back to a moment that only the retired repository holds", func(ctx SpecContext) {
		restore = customer.restores(ctx, "before-the-rotation", moment(before))
		Expect(restore.Status.Generation).To(BeZero(), "it should be restored from the first generation")
		customer.available(ctx)
		customer.has(ctx, "written before the rotation")
		Expect(customer.categories(ctx)).NotTo(ContainElement("written after the rotation"))
	}, SpecTimeout(limit))

	It("comes back to a moment of the new one, too", func(ctx SpecContext) {
		Eventually(func(g Gomega) {
			from := customer.tenant(ctx).Status.Backups.Destinations[0].RecoverableFrom
			g.Expect(from).NotTo(BeNil())
			g.Expect(from.Time).To(BeTemporally(">", restore.Status.FinishedAt.Time))
		}).WithContext(ctx).WithTimeout(limit).Should(Succeed(), "what was restored should get a full backup in the new repository at once")
		customer.writes(ctx, "written on the restored volume")
		later := customer.nextSecond(ctx)
		customer.recoverableUntil(ctx, customer.now(ctx))
		again := customer.restores(ctx, "after-the-rotation", moment(later))
		Expect(again.Status.Generation).To(Equal(int32(2)))
		customer.available(ctx)
		customer.has(ctx, "written on the restored volume")
	}, SpecTimeout(limit))
})
