// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"errors"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/api/v1alpha1"
)

// letters is where the customer keeps files of its own on the application's volume.
const letters = "/var/lib/headscale/letters"

// keeps writes a file onto the application's volume.
func (c *customer) keeps(ctx context.Context, name, text string) {
	GinkgoHelper()
	Eventually(func() error {
		_, err := c.exec(ctx, "app-0", "sh", "-ec", `mkdir -p `+letters+` && printf %s "$2" > `+letters+`/"$1"`, "sh", name, text)
		return err
	}).WithContext(ctx).Should(Succeed(), "the application's volume should take a file")
}

// letter is a file on the application's volume; empty if there is none.
func (c *customer) letter(ctx context.Context, name string) func() (string, error) {
	return func() (string, error) {
		// Quietly: kubectl names the container that it chose, which is no part of the letter.
		return try(ctx, "kubectl", "exec", "-q", "-n", c.namespace, "app-0", "--", "sh", "-c", `test ! -e `+letters+`/"$1" || cat `+letters+`/"$1"`, "sh", name)
	}
}

// backedUpNow asks for a backup to a destination and waits for it.
func (c *customer) backedUpNow(ctx context.Context, name string, destination v1alpha1.DestinationName) *v1alpha1.Backup {
	GinkgoHelper()
	backup := &v1alpha1.Backup{ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace, Name: name}}
	backup.Spec.Destination = destination
	Expect(api.Create(ctx, backup)).To(Succeed())
	Eventually(func() error {
		if err := api.Get(ctx, client.ObjectKeyFromObject(backup), backup); err != nil {
			return err
		}
		if found := apimeta.FindStatusCondition(backup.Status.Conditions, v1alpha1.ConditionComplete); found == nil || found.Status != metav1.ConditionTrue {
			return errors.New("not yet: " + describe(found))
		}
		return nil
	}).WithContext(ctx).WithTimeout(limit).Should(Succeed(), "backup %s should be made", name)
	return backup
}

func describe(c *metav1.Condition) string {
	if c == nil {
		return "nothing is told"
	}
	return c.Type + "=" + string(c.Status) + " " + c.Reason + ": " + c.Message
}

var _ = Describe("A customer's files are backed up with the database", Ordered, Label("backups"), SpecPriority(long), func() {
	customer, copied := named("with-files"), named("with-files-copy")
	// Files go to either kind of server by a client of its own: restic's for S3, and that of the agent for SSH.
	kept := []string{"s3-a", "sftp"}
	var before time.Time
	var restore *v1alpha1.Restore

	BeforeAll(func(ctx SpecContext) {
		needLocalCluster()
		all := sites(ctx)
		policy(ctx, "with-files", escrowedTo(newKeeper()), keptAt(all, kept...))
		for _, one := range kept {
			all[one].admits(ctx, customer)
			all[one].admits(ctx, copied)
		}
		customer.order(ctx, backedUpBy("with-files"), func(t *v1alpha1.Tenant) { t.Spec.ClassRef.Name = headscaleName }).available(ctx)
		customer.keeps(ctx, "to-a-friend", "dear friend")
	}, NodeTimeout(limit))

	It("has them at each site with the next backup", func(ctx SpecContext) {
		for _, one := range kept {
			made := customer.backedUpNow(ctx, "with-the-letter-"+one, v1alpha1.DestinationName(one))
			Expect(made.Status.Label).NotTo(BeEmpty(), "the database should be backed up as ever")
			Expect(made.Status.Snapshot).NotTo(BeNil(), "the backup should say which snapshot holds the files")
			Expect(*made.Status.Snapshot.Files).To(BeNumerically(">=", 2), "the letter and the application's key")
		}
		for _, d := range customer.tenant(ctx).Status.Backups.Destinations {
			Expect(d.Files).NotTo(BeNil(), "%s should tell of the files", d.Name)
			Expect(*d.Files.Snapshots).To(BeNumerically(">=", 1), "what was asked for may have been the first one at all")
		}
	}, SpecTimeout(limit))

	It("has them proven by restoring them", func(ctx SpecContext) {
		Eventually(func(g Gomega) {
			for _, d := range customer.tenant(ctx).Status.Backups.Destinations {
				g.Expect(d.Files.LastVerified).NotTo(BeNil(), "the files in %s should have been restored and compared", d.Name)
			}
		}).WithContext(ctx).WithTimeout(limit).Should(Succeed())
		customer.becomes(ctx, v1alpha1.ConditionRecoverable, "True Fresh")
	}, SpecTimeout(limit))

	It("gets lost files back, as they were when the backup before was made", func(ctx SpecContext) {
		before = customer.nextSecond(ctx)
		Expect(customer.exec(ctx, "app-0", "rm", "-r", letters)).Error().NotTo(HaveOccurred())
		customer.keeps(ctx, "after-the-loss", "where is it?")
		customer.recoverableUntil(ctx, customer.now(ctx))
		restore = customer.restores(ctx, "lost-letter", moment(before))
		customer.available(ctx)
		Eventually(customer.letter(ctx, "to-a-friend")).WithContext(ctx).Should(Equal("dear friend"))
		Expect(customer.letter(ctx, "after-the-loss")()).To(BeEmpty(), "what was written after the target should not be there")
		Expect(restore.Status.AppClaim).To(Equal("app-0002"))
		Expect(restore.Status.PreviousAppClaim).To(Equal("app-0001"))
		Expect(restore.Status.Snapshot).NotTo(BeEmpty())
		customer.keeps(ctx, "since", "the application can write there")
	}, SpecTimeout(limit))

	It("can still have the volume from before back", func(ctx SpecContext) {
		Expect(api.Patch(ctx, restore, client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"decision":"Revert"}}`)))).To(Succeed())
		customer.restoreTells(ctx, restore, v1alpha1.ConditionAccepted, "Accepted=False Reverted")
		customer.available(ctx)
		Eventually(customer.letter(ctx, "after-the-loss")).WithContext(ctx).Should(Equal("where is it?"))
		Expect(customer.letter(ctx, "to-a-friend")()).To(BeEmpty())
	}, SpecTimeout(limit))

	It("has them in a new instance that is made from its backups", func(ctx SpecContext) {
		instance := customer.instanceID(ctx)
		copied.order(ctx, backedUpBy("with-files"), func(t *v1alpha1.Tenant) {
			t.Spec.ClassRef.Name = headscaleName
			t.Spec.Bootstrap = &v1alpha1.TenantBootstrap{Restore: &v1alpha1.BootstrapRestore{InstanceID: instance, Tenant: customer.name, Target: moment(before)}}
		}).available(ctx)
		Eventually(copied.letter(ctx, "to-a-friend")).WithContext(ctx).Should(Equal("dear friend"))
		Expect(copied.letter(ctx, "after-the-loss")()).To(BeEmpty())
	}, SpecTimeout(limit))
})
