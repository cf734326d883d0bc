// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/api/v1alpha1"
)

const (
	// limitedClass is the local cluster's StorageClass whose volumes can be full.
	limitedClass = "devcluster-limited"
	// longestStall is how long no order may be written while a site is dead: a generous bound on a busy machine.
	longestStall = 10 * time.Second
	// longestSilence is how long nothing new may arrive at the healthy site: the minute after which what was written is
	// handed over, what a dead site costs the healthy one (18 seconds and a little), and a busy machine's share.
	longestSilence = 2 * time.Minute
	// fullest is how full, in percent, the volume may become. PostgreSQL stops at 100.
	fullest = 90
)

// outage watches what a dead site does to a customer, from outside.
type outage struct {
	mu      sync.Mutex
	silence time.Duration
	used    float64
}

// watches looks each second at the customer's volume, and at what arrives in a folder, until the present part of the story
// ends.
func (o *outage) watches(ctx context.Context, volume, arrivals string) {
	background, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for background.Err() == nil {
			o.look(volume, arrivals)
			select {
			case <-tick.C:
			case <-background.Done():
			}
		}
	}()
	DeferCleanup(func() { cancel(); <-done })
}

func (o *outage) look(volume, arrivals string) {
	var room syscall.Statfs_t
	if syscall.Statfs(volume, &room) != nil {
		return // The volume may be gone already.
	}
	silence := time.Since(newest(arrivals))
	o.mu.Lock()
	defer o.mu.Unlock()
	o.silence = max(o.silence, silence)
	o.used = max(o.used, 100*float64(room.Blocks-room.Bavail)/float64(room.Blocks))
}

// seen is the longest time in which nothing arrived, and how full, in percent, the volume was at most.
func (o *outage) seen() (silence time.Duration, used float64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.silence, o.used
}

// newest is when the last file below a folder was written.
func newest(folder string) time.Time {
	var last time.Time
	_ = filepath.WalkDir(folder, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return nil //nolint:nilerr // What vanishes while we look is not new.
		}
		if info, err := entry.Info(); err == nil && info.ModTime().After(last) {
			last = info.ModTime()
		}
		return nil
	})
	return last
}

// volumeFolder is where this machine sees the volume that the customer's database runs on.
func (c *customer) volumeFolder(ctx context.Context) string {
	GinkgoHelper()
	claim, volume := &corev1.PersistentVolumeClaim{}, &corev1.PersistentVolume{}
	Expect(api.Get(ctx, client.ObjectKey{Namespace: c.namespace, Name: "db-0001"}, claim)).To(Succeed())
	Expect(api.Get(ctx, client.ObjectKey{Name: claim.Spec.VolumeName}, volume)).To(Succeed())
	return volume.Spec.Local.Path
}

// logBytes is how much of the write-ahead log lies on the volume.
func (c *customer) logBytes(ctx context.Context) int64 {
	GinkgoHelper()
	kibibytes, _, _ := strings.Cut(run(ctx, "du", "-sk", filepath.Join(c.volumeFolder(ctx), "pgdata", "pg_wal")), "\t")
	size, err := strconv.ParseInt(kibibytes, 10, 64)
	Expect(err).NotTo(HaveOccurred())
	return size << 10
}

var _ = Describe("A site is dead under load", Ordered, SpecPriority(long), Label("backups"), func() {
	customer := named("steady")
	var seen outage
	var began time.Time

	BeforeAll(func(ctx SpecContext) {
		needLocalCluster()
		class := minifluxClass()
		class.Name, class.Spec.Database.Storage.StorageClassName = "e2e-limited", limitedClass
		renewClass(ctx, class)
		DeferCleanup(func(ctx SpecContext) { Expect(client.IgnoreNotFound(api.Delete(ctx, class))).To(Succeed()) })
		startSites(ctx, "s3-f")
		DeferCleanup(func(ctx SpecContext) { devcluster(ctx, "site", "mend", "s3-f") }, NodeTimeout(limit))
		all := sites(ctx)
		policy(ctx, "for-the-steady", escrowedTo(newKeeper()), keptAt(all, "s3-a", "s3-f"))
		for _, name := range []string{"s3-a", "s3-f"} {
			all[name].admits(ctx, customer)
		}
		customer.order(ctx, backedUpBy("for-the-steady"), func(t *v1alpha1.Tenant) { t.Spec.ClassRef.Name = class.Name }).available(ctx)
		customer.underLoad(ctx)
		for _, name := range []string{"s3-a", "s3-f"} {
			Eventually(customer.destinationTells(ctx, name, v1alpha1.ConditionBackedUp)).WithContext(ctx).WithTimeout(limit).Should(HavePrefix("BackedUp=True"))
		}
		customer.recoverableUntil(ctx, customer.now(ctx))
		customer.mustSQL(ctx, "CREATE TABLE imports (body text STORAGE EXTERNAL)")
	}, NodeTimeout(limit))

	It("which is told, and set aside before the write-ahead log fills its volume", func(ctx SpecContext) {
		folder := customer.volumeFolder(ctx)
		began = customer.now(ctx)
		devcluster(ctx, "site", "silence", "s3-f", "on")
		seen.watches(ctx, folder, sites(ctx)["s3-a"].stored(customer, customer.instanceID(ctx), "archive"))
		By("importing until the log has taken more than half of its room")
		Eventually(func() bool {
			customer.mustSQL(ctx, "INSERT INTO imports SELECT repeat('x', 1000000) FROM generate_series(1, 8)")
			customer.mustSQL(ctx, "TRUNCATE imports")
			var room syscall.Statfs_t
			Expect(syscall.Statfs(folder, &room)).To(Succeed())
			log := customer.logBytes(ctx)
			return log > int64(room.Bavail)*room.Bsize*11/10
		}).WithContext(ctx).WithTimeout(limit).WithPolling(2*time.Second).Should(BeTrue(), "the log should wait for the dead site")
		By("reading what is told")
		tells := customer.destinationTells(ctx, "s3-f", v1alpha1.ConditionPointInTimeRecoverable)
		Eventually(tells).WithContext(ctx).WithTimeout(limit).Should(MatchRegexp(`^PointInTimeRecoverable=False SetAside: since \S+ nothing is archived`))
		customer.becomes(ctx, v1alpha1.ConditionPointInTimeRecoverable, "False SetAside", "s3-f: since ")
		GinkgoWriter.Printf("set aside %s after it fell silent\n", customer.now(ctx).Sub(began).Round(time.Second))
		Expect(customer.destinationTells(ctx, "s3-a", v1alpha1.ConditionPointInTimeRecoverable)()).To(HavePrefix("PointInTimeRecoverable=True"), "the other site should be complete")
		By("waiting until the log waits no more")
		Eventually(func() ([]string, error) {
			customer.hurries(ctx)
			return filepath.Glob(filepath.Join(folder, "pgdata", "pg_wal", "archive_status", "*.ready"))
		}).WithContext(ctx).WithTimeout(limit).WithPolling(2*time.Second).Should(BeEmpty(), "nothing should wait for the dead site")
	}, SpecTimeout(limit))

	It("which the customer does not notice", func(ctx SpecContext) {
		gap := customer.mustSQL(ctx, "SELECT extract(epoch FROM max(gap)) FROM (SELECT at - lag(at) OVER (ORDER BY at) AS gap FROM orders WHERE at > to_timestamp("+strconv.FormatInt(began.Unix(), 10)+")) g")
		seconds, err := strconv.ParseFloat(gap, 64)
		Expect(err).NotTo(HaveOccurred())
		silence, used := seen.seen()
		GinkgoWriter.Printf("longest gap between orders %.1f s; longest until something new lay at the other site %s; volume %.0f %% full at most\n", seconds, silence.Round(time.Second), used)
		Expect(seconds).To(BeNumerically("<", longestStall.Seconds()), "orders should be taken as before")
		Expect(silence).To(BeNumerically("<", longestSilence), "the other site should get the log as promised")
		Expect(used).To(BeNumerically("<", fullest), "the log should never fill its volume")
	}, SpecTimeout(limit))

	It("and comes back by itself, with a full backup", func(ctx SpecContext) {
		mended := time.Now()
		devcluster(ctx, "site", "mend", "s3-f")
		tells := customer.destinationTells(ctx, "s3-f", v1alpha1.ConditionPointInTimeRecoverable)
		Eventually(func() string { customer.hurries(ctx); return tells() }).WithContext(ctx).WithTimeout(limit).WithPolling(2 * time.Second).
			Should(HavePrefix("PointInTimeRecoverable=True Fresh"))
		GinkgoWriter.Printf("back %s after the mend\n", time.Since(mended).Round(time.Second))
		for _, d := range customer.tenant(ctx).Status.Backups.Destinations {
			if d.Name == "s3-f" {
				Expect(*d.FullBackups).To(BeEquivalentTo(2), "its history should begin anew with a full backup")
				Expect(d.RecoverableFrom.Time).To(BeTemporally(">", began), "what was not archived should not be promised")
			}
		}
	}, SpecTimeout(limit))

	It("while no order was lost at the other one", func(ctx SpecContext) {
		customer.recoverableUntil(ctx, customer.now(ctx))
		customer.backsUp(ctx, "after-the-outage", "s3-a") // It looks at every segment of the log.
		Eventually(customer.destinationTells(ctx, "s3-a", v1alpha1.ConditionRetained)).WithContext(ctx).Should(HavePrefix("Retained=True"))
		for _, d := range customer.tenant(ctx).Status.Backups.Destinations {
			if d.Name == "s3-a" {
				Expect(d.RecoverableFrom.Time).To(BeTemporally("<", began), "every moment of the outage should be restorable")
			}
		}
		holes := customer.mustSQL(ctx, "SELECT count(*) FROM (SELECT id - lag(id) OVER (ORDER BY id) AS step FROM orders) s WHERE step > 1")
		Expect(holes).To(Equal("0"), "no order should be missing")
	}, SpecTimeout(limit))
})

// asksFor makes a Backup that a person asks for.
func (c *customer) asksFor(ctx context.Context, name, destination string) *v1alpha1.Backup {
	GinkgoHelper()
	backup := &v1alpha1.Backup{ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace, Name: name}}
	backup.Spec.Destination = v1alpha1.DestinationName(destination)
	Expect(api.Create(ctx, backup)).To(Succeed())
	return backup
}

// backsUp makes a Backup and waits for it.
func (c *customer) backsUp(ctx context.Context, name, destination string) {
	GinkgoHelper()
	ended(ctx, c.asksFor(ctx, name, destination), "True Succeeded")
}

// ended waits until a Backup says what came of it.
func ended(ctx context.Context, backup *v1alpha1.Backup, told string) {
	GinkgoHelper()
	Eventually(func() string {
		if err := api.Get(ctx, client.ObjectKeyFromObject(backup), backup); err != nil {
			return err.Error()
		}
		complete := apimeta.FindStatusCondition(backup.Status.Conditions, v1alpha1.ConditionComplete)
		if complete == nil {
			return "nothing yet"
		}
		return string(complete.Status) + " " + complete.Reason + ": " + complete.Message
	}).WithContext(ctx).Should(HavePrefix(told), "Backup %s", backup.Name)
}
