// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"filippo.io/age"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/api/v1alpha1"
)

// orders is a table of the customer's that somebody writes to all the time.
const orders = "CREATE TABLE IF NOT EXISTS orders (id bigserial PRIMARY KEY, at timestamptz NOT NULL DEFAULT clock_timestamp())"

// asTheApplication makes psql connect as the application does: nobody else comes into its database.
const asTheApplication = `exec psql "$(cat /etc/freehold/credentials/url)" -q -v ON_ERROR_STOP=1 "$@"`

// sql runs statements in the customer's database.
func (c *customer) sql(ctx context.Context, statement string) (string, error) {
	return c.exec(ctx, "db-0", "sh", "-c", asTheApplication, "psql", "-tAc", statement)
}

func (c *customer) mustSQL(ctx context.Context, statement string) string {
	GinkgoHelper()
	var out string
	Eventually(func() (err error) { out, err = c.sql(ctx, statement); return err }).WithContext(ctx).Should(Succeed(), "the database of %s should take: %s", c.name, statement)
	return out
}

// underLoad writes an order every tenth of a second until the story ends or stop is called. It goes on after the
// database was away.
func (c *customer) underLoad(ctx context.Context) (stop func()) {
	GinkgoHelper()
	c.mustSQL(ctx, orders)
	background, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for background.Err() == nil {
			cmd := exec.CommandContext(background, "kubectl", "exec", "-i", "-n", c.namespace, "db-0", "-c", "postgres", "--", "sh", "-c", asTheApplication)
			cmd.Stdin = strings.NewReader("INSERT INTO orders DEFAULT VALUES \\watch i=0.1\n")
			_ = cmd.Run() // The database may be away: that is what the stories are about.
		}
	}()
	stop = func() { cancel(); <-done }
	DeferCleanup(stop)
	return stop
}

// nextSecond waits, by the database's clock, until the second is over, and says when that was.
func (c *customer) nextSecond(ctx context.Context) time.Time {
	GinkgoHelper()
	second := c.now(ctx).Truncate(time.Second).Add(time.Second)
	Eventually(func() time.Time { return c.now(ctx) }).WithContext(ctx).Should(BeTemporally(">", second))
	return second
}

// now is the database's clock.
func (c *customer) now(ctx context.Context) time.Time {
	GinkgoHelper()
	seconds, err := strconv.ParseFloat(c.mustSQL(ctx, "SELECT extract(epoch FROM clock_timestamp())"), 64)
	Expect(err).NotTo(HaveOccurred())
	return time.UnixMicro(int64(seconds * 1e6))
}

// backups says what the Tenant tells of one destination; its conditions as "Type=Status Reason: message".
func (c *customer) destinationTells(ctx context.Context, destination, condition string) func() string {
	return func() string {
		t := &v1alpha1.Tenant{}
		if err := api.Get(ctx, client.ObjectKey{Name: c.name}, t); err != nil {
			return err.Error()
		}
		if t.Status.Backups == nil {
			return "nothing is told of backups yet"
		}
		for _, d := range t.Status.Backups.Destinations {
			if string(d.Name) != destination {
				continue
			}
			if found := apimeta.FindStatusCondition(d.Conditions, condition); found != nil {
				return fmt.Sprintf("%s=%s %s: %s", condition, found.Status, found.Reason, found.Message)
			}
			return condition + " absent"
		}
		return "no such destination in the status"
	}
}

// recoverableUntil waits until the moment can be restored from every destination.
func (c *customer) recoverableUntil(ctx context.Context, moment time.Time) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		backups := c.tenant(ctx).Status.Backups
		g.Expect(backups).NotTo(BeNil())
		for _, d := range backups.Destinations {
			g.Expect(d.RecoverableUntil).NotTo(BeNil(), "%s should tell until when it can restore", d.Name)
			g.Expect(d.RecoverableUntil.Time).To(BeTemporally(">", moment), "%s should hold the archive until then", d.Name)
		}
	}).WithContext(ctx).WithTimeout(limit).Should(Succeed())
}

// restores makes a Restore and waits for it.
func (c *customer) restores(ctx context.Context, name string, target v1alpha1.RestoreTarget) *v1alpha1.Restore {
	GinkgoHelper()
	restore := &v1alpha1.Restore{ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace, Name: name}}
	restore.Spec.Target = target
	Expect(api.Create(ctx, restore)).To(Succeed())
	c.restoreTells(ctx, restore, v1alpha1.ConditionComplete, "Complete=True Succeeded")
	return restore
}

func (c *customer) restoreTells(ctx context.Context, restore *v1alpha1.Restore, condition, told string) {
	GinkgoHelper()
	Eventually(func() string {
		if err := api.Get(ctx, client.ObjectKeyFromObject(restore), restore); err != nil {
			return err.Error()
		}
		found := apimeta.FindStatusCondition(restore.Status.Conditions, condition)
		if found == nil {
			return condition + " absent"
		}
		return fmt.Sprintf("%s=%s %s: %s", condition, found.Status, found.Reason, found.Message)
	}).WithContext(ctx).WithTimeout(limit).Should(HavePrefix(told))
}

func moment(t time.Time) v1alpha1.RestoreTarget {
	stamp := metav1.NewTime(t)
	return v1alpha1.RestoreTarget{Time: &stamp}
}

var _ = Describe("A customer is backed up to two sites", Ordered, Label("backups"), SpecPriority(long), func() {
	customer := named("backed-up")
	all := []string{"s3-a", "s3-b"}

	BeforeAll(func(ctx SpecContext) {
		needLocalCluster()
		policy(ctx, "two-sites", escrowedTo(newKeeper()), func(p *v1alpha1.BackupPolicy) {
			p.Spec.Verification.Assertions = []v1alpha1.SQLAssertion{{Name: "has-users", Query: "SELECT count(*) > 0 FROM users"}}
		})
		for _, one := range all {
			sites(ctx)[one].admits(ctx, customer)
		}
		customer.order(ctx, backedUpBy("two-sites")).available(ctx)
		customer.underLoad(ctx)
	}, NodeTimeout(limit))

	It("soon has a base backup at each of them", func(ctx SpecContext) {
		for _, one := range all {
			Eventually(customer.destinationTells(ctx, one, v1alpha1.ConditionBackedUp)).WithContext(ctx).WithTimeout(limit).Should(HavePrefix("BackedUp=True Fresh"))
		}
		customer.becomes(ctx, v1alpha1.ConditionBackedUp, "True Fresh")
	}, SpecTimeout(limit))

	It("can be put back to any minute, and says until when", func(ctx SpecContext) {
		customer.recoverableUntil(ctx, customer.now(ctx))
		customer.becomes(ctx, v1alpha1.ConditionPointInTimeRecoverable, "True Fresh")
	}, SpecTimeout(limit))

	It("has its backups proven by restoring them", func(ctx SpecContext) {
		for _, one := range all {
			Eventually(customer.destinationTells(ctx, one, v1alpha1.ConditionRecoverable)).WithContext(ctx).WithTimeout(limit).Should(HavePrefix("Recoverable=True"))
		}
		customer.becomes(ctx, v1alpha1.ConditionRecoverable, "True Fresh")
		Expect(customer.tenant(ctx).Status.Backups.Destinations[0].RecoverySeconds).NotTo(BeNil(), "how long a recovery takes should be told")
	}, SpecTimeout(limit))

	It("gets a backup when a person asks for one", func(ctx SpecContext) {
		backup := &v1alpha1.Backup{ObjectMeta: metav1.ObjectMeta{Namespace: customer.namespace, Name: "before-the-move"}}
		backup.Spec.Destination = "s3-a"
		Expect(api.Create(ctx, backup)).To(Succeed())
		Eventually(func() bool {
			Expect(api.Get(ctx, client.ObjectKeyFromObject(backup), backup)).To(Succeed())
			return apimeta.IsStatusConditionTrue(backup.Status.Conditions, v1alpha1.ConditionComplete)
		}).WithContext(ctx).Should(BeTrue())
		Expect(backup.Status.Type).To(Equal(v1alpha1.BackupIncremental))
		Expect(backup.Status.Label).To(MatchRegexp(`^\d{8}-\d{6}F_\d{8}-\d{6}I$`))
	}, SpecTimeout(limit))

	Context("and somebody drops a table", Ordered, func() {
		var before time.Time
		var restore *v1alpha1.Restore

		It("comes back to the moment before", func(ctx SpecContext) {
			customer.writes(ctx, "written before the accident")
			before = customer.nextSecond(ctx)
			customer.mustSQL(ctx, "DROP TABLE orders")
			customer.mustSQL(ctx, orders)
			customer.writes(ctx, "written after the accident")
			customer.recoverableUntil(ctx, customer.now(ctx))
			restore = customer.restores(ctx, "accident", moment(before))
			customer.available(ctx)
			customer.has(ctx, "written before the accident")
			Expect(customer.categories(ctx)).NotTo(ContainElement("written after the accident"))
			Expect(customer.mustSQL(ctx, fmt.Sprintf("SELECT count(*) FROM orders WHERE at < to_timestamp(%d)", before.Unix()))).
				NotTo(Equal("0"), "the orders of before should be there again")
			Expect(restore.Status.PreviousClaim).To(Equal("db-0001"))
			Expect(restore.Status.Claim).To(Equal("db-0002"))
		}, SpecTimeout(limit))

		It("has every order of before and none of later than that, apart from those since", func(ctx SpecContext) {
			gap := customer.mustSQL(ctx, fmt.Sprintf("SELECT count(*) FROM orders WHERE at > to_timestamp(%d) AND at < to_timestamp(%d)",
				before.Unix(), restore.Status.FinishedAt.Unix()))
			Expect(gap).To(Equal("0"), "what was written after the target should not be there")
			holes := customer.mustSQL(ctx, fmt.Sprintf("SELECT count(*) FROM (SELECT id - lag(id) OVER (ORDER BY id) AS step FROM orders WHERE at < to_timestamp(%d)) s WHERE step > 33", before.Unix()))
			Expect(holes).To(Equal("0"), "no order of before should be missing (a sequence may skip 32 numbers after a crash)")
		}, SpecTimeout(limit))

		It("can still have the volume from before back", func(ctx SpecContext) {
			customer.restoreTells(ctx, restore, v1alpha1.ConditionAccepted, "Accepted=False AwaitingDecision")
			Expect(api.Patch(ctx, restore, client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"decision":"Revert"}}`)))).To(Succeed())
			customer.restoreTells(ctx, restore, v1alpha1.ConditionAccepted, "Accepted=False Reverted")
			customer.available(ctx)
			customer.has(ctx, "written after the accident")
		}, SpecTimeout(limit))

		It("comes back again, restore after restore", func(ctx SpecContext) {
			customer.recoverableUntil(ctx, customer.now(ctx))
			again := customer.restores(ctx, "accident-again", moment(before))
			customer.available(ctx)
			customer.has(ctx, "written before the accident")
			Expect(customer.categories(ctx)).NotTo(ContainElement("written after the accident"))
			Expect(api.Patch(ctx, again, client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"decision":"Accept"}}`)))).To(Succeed())
			customer.restoreTells(ctx, again, v1alpha1.ConditionAccepted, "Accepted=True Accepted")
		}, SpecTimeout(limit))
	})

	It("refuses a restore to a moment that no site holds, and says which ones they do", func(ctx SpecContext) {
		restore := &v1alpha1.Restore{ObjectMeta: metav1.ObjectMeta{Namespace: customer.namespace, Name: "too-early"}}
		restore.Spec.Target = moment(time.Now().Add(-48 * time.Hour))
		lives := customer.lives(ctx)
		Expect(api.Create(ctx, restore)).To(MatchError(ContainSubstring("cannot be restored: the destinations hold every moment from")))
		Expect(customer.lives(ctx)).To(Equal(lives), "nothing should have been restarted")
	}, SpecTimeout(limit))
})

var _ = Describe("A customer's namespace is lost with all that is in it", Ordered, Label("backups"), SpecPriority(long), func() {
	lost, phoenix, again := named("lost"), named("phoenix"), named("phoenix-again")
	keeper, _ := age.GenerateX25519Identity()
	var instance, password string
	// One site stops, which nobody else may use therefore.
	stops, stays := "s3-g", "s3-b"

	// from says which instance's backups a new one is made from.
	from := func(t *v1alpha1.Tenant) {
		t.Spec.Bootstrap = &v1alpha1.TenantBootstrap{Restore: &v1alpha1.BootstrapRestore{InstanceID: instance, Tenant: lost.name}}
	}

	BeforeAll(func(ctx SpecContext) {
		needLocalCluster()
		devcluster(ctx, "site", "start", stops)
		all := sites(ctx)
		policy(ctx, "for-the-worst", escrowedTo(keeper), func(p *v1alpha1.BackupPolicy) {
			p.Spec.Destinations = []v1alpha1.BackupDestination{all[stops].destination(), all[stays].destination()}
		})
		for _, name := range []string{stops, stays} {
			for _, c := range []*customer{lost, phoenix, again} {
				all[name].admits(ctx, c)
			}
		}
		lost.order(ctx, backedUpBy("for-the-worst")).available(ctx).answers(ctx)
		instance, password = lost.instanceID(ctx), lost.password(ctx)
		for _, name := range []string{stops, stays} {
			Eventually(lost.destinationTells(ctx, name, v1alpha1.ConditionBackedUp)).WithContext(ctx).WithTimeout(limit).Should(HavePrefix("BackedUp=True"))
		}
		lost.writes(ctx, "written before the loss")
		lost.recoverableUntil(ctx, lost.now(ctx))
	}, NodeTimeout(limit))

	It("comes back as a new instance from the other site while one is down", func(ctx SpecContext) {
		devcluster(ctx, "site", "stop", stops)
		DeferCleanup(func(ctx SpecContext) { devcluster(ctx, "site", "start", stops) })
		destroy(ctx, lost)
		phoenix.order(ctx, backedUpBy("for-the-worst"), from).available(ctx)
		phoenix.has(ctx, "written before the loss")
		Expect(phoenix.password(ctx)).To(Equal(password), "the application's own secrets should have come along")
		phoenix.logsIn(ctx)
		Expect(phoenix.instanceID(ctx)).NotTo(Equal(instance), "it should be another instance, with an archive of its own")
		devcluster(ctx, "site", "start", stops)
	}, SpecTimeout(limit))

	It("comes back on an empty cluster from a site, the manifests and the offline key alone", func(ctx SpecContext) {
		phoenix.erase(ctx)
		lost.erase(ctx)
		for _, secret := range []string{"instance-" + instance, "backup-" + instance} {
			_, err := try(ctx, "kubectl", append([]string{"get", "secret", "-n", operatorNamespace, secret}, withGlass...)...)
			Expect(err).To(HaveOccurred(), "the cluster should not have the keys any more, or what follows says nothing")
		}
		sealed := sites(ctx)[stays].stored(lost, instance, "escrow.age")
		unseal(ctx, keeper, sealed)
		again.order(ctx, backedUpBy("for-the-worst"), from).available(ctx)
		again.has(ctx, "written before the loss")
		Expect(again.password(ctx)).To(Equal(password))
	}, SpecTimeout(limit))
})

var _ = Describe("Somebody damages a stored backup", Ordered, Label("backups"), SpecPriority(long), func() {
	customer := named("damaged")

	BeforeAll(func(ctx SpecContext) {
		needLocalCluster()
		policy(ctx, "for-the-damaged", escrowedTo(newKeeper()))
		for _, name := range []string{"s3-a", "s3-b"} {
			sites(ctx)[name].admits(ctx, customer)
		}
		customer.order(ctx, backedUpBy("for-the-damaged")).available(ctx)
		for _, name := range []string{"s3-a", "s3-b"} {
			Eventually(customer.destinationTells(ctx, name, v1alpha1.ConditionRecoverable)).WithContext(ctx).WithTimeout(limit).Should(HavePrefix("Recoverable=True"))
		}
	}, NodeTimeout(limit))

	It("is found by the next proof, which names the site and the backup", func(ctx SpecContext) {
		flip(ctx, sites(ctx)["s3-a"].stored(customer, customer.instanceID(ctx), "backup", "main"))
		customer.patch(ctx, fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, v1alpha1.AnnotationProveBackupsSince, time.Now().UTC().Format(time.RFC3339)))
		Eventually(customer.destinationTells(ctx, "s3-a", v1alpha1.ConditionRecoverable)).WithContext(ctx).WithTimeout(limit).Should(HavePrefix("Recoverable=False VerificationFailed"))
		customer.becomes(ctx, v1alpha1.ConditionRecoverable, "False VerificationFailed", "s3-a")
		Expect(customer.destinationTells(ctx, "s3-b", v1alpha1.ConditionRecoverable)()).To(HavePrefix("Recoverable=True"), "the other site's backups are good")
	}, SpecTimeout(limit))
})

func newKeeper() *age.X25519Identity {
	keeper, err := age.GenerateX25519Identity()
	Expect(err).NotTo(HaveOccurred())
	return keeper
}

func escrowedTo(keeper *age.X25519Identity) func(*v1alpha1.BackupPolicy) {
	return func(p *v1alpha1.BackupPolicy) {
		p.Spec.KeyEscrow.Recipients = []v1alpha1.AgeRecipient{v1alpha1.AgeRecipient(keeper.Recipient().String())}
	}
}

// destroy removes the customer's namespace with all that is in it, volumes included, behind Freehold's back.
func destroy(ctx context.Context, c *customer) {
	GinkgoHelper()
	var volumes corev1.PersistentVolumeList
	Expect(api.List(ctx, &volumes)).To(Succeed())
	_ = api.DeleteAllOf(ctx, &corev1.Pod{}, client.InNamespace(c.namespace), client.GracePeriodSeconds(0))
	Expect(breakGlass.Delete(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: c.namespace}})).To(Succeed())
	for i := range volumes.Items {
		if ref := volumes.Items[i].Spec.ClaimRef; ref != nil && ref.Namespace == c.namespace {
			Expect(api.Delete(ctx, &volumes.Items[i])).To(Succeed())
		}
	}
}

// unseal does what the keeper of the offline key does with what lies beside the backups: age -d … | kubectl apply -f -
func unseal(ctx context.Context, keeper age.Identity, sealed string) {
	GinkgoHelper()
	file, err := os.Open(sealed)
	Expect(err).NotTo(HaveOccurred(), "the sealed keys should lie beside the backups")
	defer file.Close()
	plain, err := age.Decrypt(file, keeper)
	Expect(err).NotTo(HaveOccurred())
	cmd := exec.CommandContext(ctx, "kubectl", "apply", "-f", "-")
	cmd.Stdin = plain
	out, err := cmd.CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), string(out))
}

// flip changes bytes in the middle of the largest file below a folder.
func flip(ctx context.Context, folder string) {
	GinkgoHelper()
	largest := run(ctx, "sh", "-c", "find '"+folder+"' -type f -path '*/bundle/*' -printf '%s %p\\n' | sort -n | tail -1 | cut -d' ' -f2")
	Expect(largest).NotTo(BeEmpty(), "there should be a stored file to damage")
	file, err := os.OpenFile(largest, os.O_RDWR, 0)
	Expect(err).NotTo(HaveOccurred())
	defer file.Close()
	info, err := file.Stat()
	Expect(err).NotTo(HaveOccurred())
	bytes := make([]byte, 64)
	_, err = file.ReadAt(bytes, info.Size()/2)
	Expect(err).NotTo(HaveOccurred())
	for i := range bytes {
		bytes[i] ^= 0xff
	}
	_, err = file.WriteAt(bytes, info.Size()/2)
	Expect(err).NotTo(HaveOccurred())
}
