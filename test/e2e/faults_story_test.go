// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/api/v1alpha1"
)

// fault is what is wrong with one destination of one customer.
type fault struct {
	site     string
	customer *customer
	begins   func(ctx context.Context)
	ends     func(ctx context.Context)
	// reason of the condition while it lasts, and words that tell it from another fault with the same reason.
	reason, words string
}

func (f fault) String() string { return f.customer.name + " at " + f.site }

// siteFault is a fault of a site itself, which nobody else uses.
func siteFault(c *customer, site, reason, words string, command ...string) fault {
	return fault{
		site: site, customer: c, reason: reason, words: words,
		begins: func(ctx context.Context) {
			devcluster(ctx, append([]string{"site", command[0], site}, command[1:]...)...)
		},
		ends: func(ctx context.Context) { devcluster(ctx, "site", "mend", site) },
	}
}

// revoked credentials are of one customer: others at the site notice nothing.
func revoked(c *customer, site string) fault {
	return fault{
		site: site, customer: c, reason: v1alpha1.ReasonRefused, words: "credentials",
		begins: func(ctx context.Context) { devcluster(ctx, "site", "revoke", site, c.name) },
		ends: func(ctx context.Context) {
			at := sites(ctx)[site]
			at.hands(ctx, c)
			c.isToldOf(ctx, at.keys(ctx, c)[site+"-"+c.name]["secretAccessKey"])
		},
	}
}

// hurries makes the kubelet look at what the database pod mounts now, instead of within a minute and a half.
func (c *customer) hurries(ctx context.Context) {
	GinkgoHelper()
	run(ctx, "kubectl", "annotate", "pod", "-n", c.namespace, "db-0", "--overwrite", fmt.Sprintf("e2e/look=%d", time.Now().UnixNano()))
}

// isToldOf waits until the customer's database pod has a Secret's new content.
func (c *customer) isToldOf(ctx context.Context, content string) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		c.hurries(ctx)
		told, err := try(ctx, "kubectl", "exec", "-n", c.namespace, "db-0", "-c", "archiver", "--", "cat", "/etc/freehold/backup/pgbackrest.conf")
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(strings.Contains(told, content)).To(BeTrue(), "the database pod of %s should know what was changed", c.name)
	}).WithContext(ctx).WithPolling(2 * time.Second).Should(Succeed())
}

// wrongPassphrase is what a Secret is like that somebody restored from another cluster.
func wrongPassphrase(c *customer, site string) fault {
	var right []byte
	replace := func(ctx context.Context, with []byte) (before []byte) {
		GinkgoHelper()
		keys := &corev1.Secret{}
		Expect(api.Get(ctx, client.ObjectKey{Namespace: operatorNamespace, Name: "backup-" + c.instanceID(ctx)}, keys)).To(Succeed())
		before = keys.Data[site+".g1"]
		Expect(before).NotTo(BeEmpty(), "the customer should have a passphrase for %s", site)
		keys.Data[site+".g1"] = with
		Expect(breakGlass.Update(ctx, keys)).To(Succeed())
		c.isToldOf(ctx, string(with))
		return before
	}
	return fault{
		site: site, customer: c, reason: v1alpha1.ReasonWrongKey, words: "key",
		begins: func(ctx context.Context) {
			right = replace(ctx, []byte(strings.Repeat("0", 64)))
		},
		ends: func(ctx context.Context) { replace(ctx, right) },
	}
}

// All six begin at once, so that all can be told at once. No destination of these customers is well meanwhile: the
// write-ahead log waits on their volumes.
var _ = Describe("Destinations fail in six ways", Ordered, SpecPriority(long), Label("backups"), func() {
	north, south := named("north"), named("south")
	faults := []fault{
		siteFault(north, "s3-c", v1alpha1.ReasonUntrusted, "certificate", "certificate", "expired"),
		siteFault(north, "sftp", v1alpha1.ReasonUntrusted, "another host key", "hostkey", "other"),
		siteFault(south, "s3-d", v1alpha1.ReasonFull, "takes no more", "fill", "on"),
		siteFault(south, "s3-e", v1alpha1.ReasonRefused, "clocks", "clock", "skewed"),
		revoked(south, "s3-b"),
		wrongPassphrase(north, "s3-a"),
	}
	var began time.Time

	destination := func(ctx context.Context, f fault) *v1alpha1.DestinationStatus {
		if backups := f.customer.tenant(ctx).Status.Backups; backups != nil {
			for i := range backups.Destinations {
				if string(backups.Destinations[i].Name) == f.site {
					return &backups.Destinations[i]
				}
			}
		}
		return &v1alpha1.DestinationStatus{}
	}

	BeforeAll(func(ctx SpecContext) {
		needLocalCluster()
		startSites(ctx, "s3-c", "s3-d", "s3-e")
		DeferCleanup(func(ctx SpecContext) {
			for _, name := range []string{"s3-c", "s3-d", "s3-e", "sftp"} {
				devcluster(ctx, "site", "mend", name)
			}
		}, NodeTimeout(limit))
		all := sites(ctx)
		keeper := newKeeper()
		for _, c := range []*customer{north, south} {
			var places []string
			for _, f := range faults {
				if f.customer == c {
					places = append(places, f.site)
					all[f.site].admits(ctx, c)
				}
			}
			policy(ctx, "for-the-"+c.name, escrowedTo(keeper), keptAt(all, places...))
			c.order(ctx, backedUpBy("for-the-"+c.name))
		}
		for _, c := range []*customer{north, south} {
			c.available(ctx).underLoad(ctx)
		}
		for _, f := range faults {
			Eventually(f.customer.destinationTells(ctx, f.site, v1alpha1.ConditionBackedUp)).WithContext(ctx).WithTimeout(limit).Should(HavePrefix("BackedUp=True"))
		}
	}, NodeTimeout(limit))

	It("and each is told by its own reason, and since when", func(ctx SpecContext) {
		began = time.Now()
		for _, f := range faults {
			By(f.String())
			f.begins(ctx)
		}
		for _, f := range faults {
			Eventually(f.customer.destinationTells(ctx, f.site, v1alpha1.ConditionPointInTimeRecoverable)).WithContext(ctx).WithTimeout(limit).
				Should(MatchRegexp(`^PointInTimeRecoverable=False %s: the archive stands at .*; since .*%s`, f.reason, f.words), "%s", f)
		}
		GinkgoWriter.Printf("all six were told after %s\n", time.Since(began).Round(time.Second))
		for _, f := range faults {
			Eventually(f.customer.poll(ctx, v1alpha1.ConditionPointInTimeRecoverable)).WithContext(ctx).
				Should(And(HavePrefix("PointInTimeRecoverable=False"), ContainSubstring(f.site+": ")), "the whole should name %s", f)
		}
	}, SpecTimeout(limit))

	It("and recovers from each when it is mended, with nothing missing", func(ctx SpecContext) {
		mended := time.Now()
		for _, f := range faults {
			By(f.String())
			f.ends(ctx)
		}
		now := north.now(ctx)
		for _, f := range faults {
			Eventually(f.customer.destinationTells(ctx, f.site, v1alpha1.ConditionPointInTimeRecoverable)).WithContext(ctx).WithTimeout(limit).
				Should(HavePrefix("PointInTimeRecoverable=True Fresh"), "%s", f)
		}
		for _, c := range []*customer{north, south} {
			c.recoverableUntil(ctx, now)
		}
		GinkgoWriter.Printf("all were well %s after the mends\n", time.Since(mended).Round(time.Second))
		for _, f := range faults {
			Expect(destination(ctx, f).RecoverableFrom.Time).To(BeTemporally("<", began), "what %s can restore should have no gap", f)
			Expect(f.customer.destinationTells(ctx, f.site, v1alpha1.ConditionBackedUp)()).To(HavePrefix("BackedUp=True"), "%s", f)
		}
	}, SpecTimeout(limit))

	It("and a restore over SFTP has every order that was written meanwhile", func(ctx SpecContext) {
		before := north.nextSecond(ctx).Truncate(time.Second)
		// An order of the last second may have been committed after it.
		orders := fmt.Sprintf("SELECT count(*) FROM orders WHERE at < to_timestamp(%d)", before.Unix()-1)
		count := north.mustSQL(ctx, orders)
		north.recoverableUntil(ctx, before)
		target := moment(before)
		target.Destination = "sftp"
		restore := north.restores(ctx, "over-sftp", target)
		north.available(ctx)
		Expect(string(restore.Status.Destination)).To(Equal("sftp"))
		Expect(north.mustSQL(ctx, orders)).To(Equal(count), "every order should have come back")
	}, SpecTimeout(limit))
})
