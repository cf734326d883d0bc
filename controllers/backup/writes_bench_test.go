// SPDX-License-Identifier: Apache-2.0

//go:build bench

package backup

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	batchv1 "k8s.io/api/batch/v1"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/backup/engine"
	"github.com/freehold-dev/freehold/controllers/internal/figures"
	"github.com/freehold-dev/freehold/controllers/internal/testenv"
)

// BenchmarkFleetWrites counts what the backups of one Tenant cost the API server: every request with which the backup
// controller changes something while BENCH_DAYS days pass on a fake clock (a week by default, so that a full backup and
// the proofs have their turn), with a backup a day to each of two destinations. Nothing fails, and the log never lags.
// Tenants share nothing there but the places of proofs, so a fleet costs that many times as much.
//
// The operator's minutes pass in steps of five, since nothing is written in between. It does not count what Kubernetes
// itself writes (CronJobs, Jobs, pods, their events), nor the rounds of proofs of walls, nor any reads but those of Secrets, which are never
// cached. The API server is real; CronJob controller, kubelet and archiver are played.
func BenchmarkFleetWrites(b *testing.B) {
	days := figures.Size(b, "BENCH_DAYS", 7)
	s := newStage(b, "bench")
	s.converged()
	s.told()
	d := &diary{stage: s, made: map[string]bool{}, ended: map[string]int{}}
	for end := s.clock.Now().AddDate(0, 0, days); s.clock.Now().Before(end); {
		d.schedule()
		again := d.settle()
		d.work()
		d.settle()
		if again > 10*time.Second {
			again = 5 * time.Minute
		}
		s.clock.SetTime(s.clock.Now().Add(again))
	}
	for _, kind := range owned {
		s.Expect(s.condition(kind)).To(HavePrefix("True Fresh"), "what is counted is a Tenant that is well")
	}
	b.ReportMetric(0, "ns/op") // The clock is not the machine's.
	daily := func(n int) float64 { return float64(n) / float64(days) }
	b.ReportMetric(daily(d.count(testenv.Request.IsWrite)), "writes/tenant-day")
	b.ReportMetric(daily(d.count(isStatus)), "status-writes/tenant-day")
	b.ReportMetric(daily(d.announced), "events/tenant-day")
	b.ReportMetric(daily(d.count(isSecretRead)), "secret-reads/tenant-day")
	b.Logf("in %d days, with %d base backups and %d proofs:\n%s", days, d.ended[engine.JobBackup], d.ended[engine.JobVerify], d.table())
}

// diary is what happened to a stage.
type diary struct {
	*stage
	// seen are all requests, announced is how many events there were.
	seen      []testenv.Request
	announced int
	// made are the occasions that the CronJobs have had, ended how many Jobs of each kind came to their end.
	made  map[string]bool
	ended map[string]int
}

// schedule makes the Jobs that the CronJobs are due for, as Kubernetes does: late where they were suspended.
func (d *diary) schedule() {
	for _, site := range []string{"site-a", "site-b"} {
		cronJob := d.cronJob(site)
		zone, err := time.LoadLocation(*cronJob.Spec.TimeZone)
		d.Expect(err).NotTo(HaveOccurred())
		var hour, minute int
		_, err = fmt.Sscanf(cronJob.Spec.Schedule, "%d %d * * *", &minute, &hour)
		d.Expect(err).NotTo(HaveOccurred())
		now := d.clock.Now().In(zone)
		due := time.Date(now.Year(), now.Month(), now.Day(), hour, minute, 0, 0, zone)
		name := fmt.Sprintf("%s-%d", cronJob.Name, due.Unix()/60)
		if now.Before(due) || now.Sub(due) > time.Hour || *cronJob.Spec.Suspend || d.made[name] {
			continue
		}
		d.made[name] = true
		d.scheduled(site, name)
	}
}

// settle lets the operator pass until it writes nothing more, and returns when it wants to come back.
func (d *diary) settle() time.Duration {
	for range 10 {
		d.requests.Reset()
		again := d.pass()
		d.seen = append(d.seen, d.requests.Reconciling()...)
		if told := d.told(); told != "" {
			d.announced += strings.Count(told, "\n") + 1
		}
		if len(d.writes()) == 0 {
			return again
		}
	}
	d.Expect(d.writes()).To(BeEmpty(), "the operator does not come to rest")
	return 0
}

// work ends the Jobs that are under way, each well.
func (d *diary) work() {
	for _, site := range []string{"site-a", "site-b"} {
		for _, job := range d.jobs(engine.JobBackup, site) {
			d.finish(&job, d.backedUp(site, int(*d.site(site).Backups)+1))
		}
		for _, job := range d.jobs(engine.JobVerify, site) {
			d.finish(&job, d.proven(site))
		}
	}
}

func (d *diary) finish(job *batchv1.Job, result engine.Result) {
	d.end(job, result)
	d.ended[job.Labels[v1alpha1.LabelBackupJob]]++
}

func (d *diary) count(match func(testenv.Request) bool) (n int) {
	for _, r := range d.seen {
		if match(r) {
			n++
		}
	}
	return n
}

func isStatus(r testenv.Request) bool {
	path, _, _ := strings.Cut(r.Path, "?")
	return r.IsWrite() && strings.HasPrefix(path, "/apis/freehold.dev/v1alpha1/tenants/") && strings.HasSuffix(path, "/status")
}

func isSecretRead(r testenv.Request) bool {
	return !r.IsWrite() && strings.Contains(r.Path, "/secrets/")
}

// kindOf finds the kind in a path, with what follows the name.
var kindOf = regexp.MustCompile(`/v1(?:alpha1)?/(?:namespaces/[^/]+/)?(\w+)(?:/[^/?]+)?(/\w+)?`)

// table is how often what was written.
func (d *diary) table() string {
	counts := map[string]int{}
	for _, r := range d.seen {
		if found := kindOf.FindStringSubmatch(r.Path); r.IsWrite() && found != nil {
			counts[r.Method+" "+found[1]+found[2]]++
		}
	}
	lines := make([]string, 0, len(counts))
	for what, n := range counts {
		lines = append(lines, fmt.Sprintf("%6d %s", n, what))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
