// SPDX-License-Identifier: Apache-2.0

//go:build bench

package controllers_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/go-logr/logr"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers"
	"github.com/freehold-dev/freehold/controllers/backup"
	"github.com/freehold-dev/freehold/controllers/backup/engine"
	"github.com/freehold-dev/freehold/controllers/internal/figures"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
	"github.com/freehold-dev/freehold/controllers/internal/testenv"
	"github.com/freehold-dev/freehold/controllers/tenant"
	"github.com/freehold-dev/freehold/controllers/tenant/render"
)

const (
	operatorNamespace = "freehold-system"
	fleetName         = "fleet"
	// recipient is the public key of age's own example.
	recipient = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
	// records of base backups that each destination of a Tenant keeps as objects.
	records = 10
)

var sites = []string{"site-a", "site-b"}

// BenchmarkFleetHeap measures what a Tenant costs the operator in memory: the heap that is in use after a garbage
// collection, at a quarter, a half and the whole of BENCH_TENANTS Tenants, each with its instance, a policy with two
// destinations, all conditions of backups True, and as many Backups as are ever kept. heap-KiB/tenant is the slope of the
// straight line through the three; heap-MiB is the whole at the largest size, with the test's own client in it.
//
// The controllers are those of main.go but for the proofs of walls, with their caches; the API server is real, while
// kubelet, Kubernetes' controllers and archivers are played. A pod's memory limit needs about twice the heap, since garbage
// is collected when the heap has doubled; stacks and what the runtime holds back are not in it.
func BenchmarkFleetHeap(b *testing.B) {
	most := figures.Size(b, "BENCH_TENANTS", 40)
	f := newFleet(b)
	var sizes, heaps []float64
	for _, size := range []int{most / 4, most / 2, most} {
		f.grow(size)
		sizes, heaps = append(sizes, float64(size)), append(heaps, heap())
	}
	b.ReportMetric(0, "ns/op") // It is the API server's time.
	b.ReportMetric(figures.Slope(sizes, heaps)/1024, "heap-KiB/tenant")
	b.ReportMetric(heaps[len(heaps)-1]/(1<<20), "heap-MiB")
	b.Logf("heap of %v Tenants: %.0f KiB", sizes, []float64{heaps[0] / 1024, heaps[1] / 1024, heaps[2] / 1024})
}

// heap is what is in use once nothing more can be freed.
func heap() float64 {
	var stats runtime.MemStats
	for range 3 { // Finalizers and pools free what they hold one collection later.
		runtime.GC()
	}
	runtime.ReadMemStats(&stats)
	return float64(stats.HeapAlloc)
}

// fleet is an operator with Tenants that have backups.
type fleet struct {
	b    *testing.B
	env  *testenv.Environment
	size int
	// cached reads what the operator holds.
	cached client.Reader
}

func newFleet(b *testing.B) *fleet {
	b.Helper()
	ctrl.SetLogger(logr.Discard())
	env, err := testenv.Start()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := env.Stop(); err != nil {
			b.Error(err)
		}
	})
	f := &fleet{b: b, env: env}
	f.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: operatorNamespace}}, class(), policy())
	f.operate()
	return f
}

func (f *fleet) create(objects ...client.Object) {
	f.b.Helper()
	for _, o := range objects {
		if err := f.env.Client.Create(f.b.Context(), o); err != nil {
			f.b.Fatal(err)
		}
	}
}

func class() *v1alpha1.TenantClass {
	return &v1alpha1.TenantClass{ObjectMeta: metav1.ObjectMeta{Name: fleetName}, Spec: v1alpha1.TenantClassSpec{
		App: v1alpha1.ClassApp{
			Image: "registry.example/app:1", Port: 8080,
			Env:        []v1alpha1.EnvVar{{Name: "DATABASE_URL", Source: v1alpha1.EnvDatabaseURL}},
			DataVolume: &v1alpha1.DataVolume{MountPath: "/data", Size: resource.MustParse("1Gi")},
		}}}
}

func policy() *v1alpha1.BackupPolicy {
	p := &v1alpha1.BackupPolicy{ObjectMeta: metav1.ObjectMeta{Name: fleetName},
		Spec: v1alpha1.BackupPolicySpec{
			Schedule:  v1alpha1.BackupSchedule{TimeZone: "Europe/Vienna", Start: "01:30"},
			KeyEscrow: v1alpha1.KeyEscrow{Recipients: []v1alpha1.AgeRecipient{recipient}},
			// Only the database's results are played.
			ApplicationData: v1alpha1.ApplicationDataSkip,
		}}
	for _, site := range sites {
		p.Spec.Destinations = append(p.Spec.Destinations, v1alpha1.BackupDestination{
			Name: v1alpha1.DestinationName(site), Region: "eu-1", Networks: []v1alpha1.CIDR{"198.51.100.0/24"},
			Credentials: v1alpha1.DestinationCredentials{SecretName: v1alpha1.SecretNameTemplate(site + "-{tenant}")},
			S3:          &v1alpha1.S3Destination{Endpoint: v1alpha1.DestinationHost(site + ".example.com"), Bucket: "backups"},
		})
	}
	return p
}

// operate runs the operator until the benchmark ends.
func (f *fleet) operate() {
	f.b.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	mgr, err := ctrl.NewManager(f.env.Config, ctrl.Options{
		Scheme: controllers.Scheme(), Cache: controllers.CacheOptions(), Client: controllers.ClientOptions(),
		Metrics: metricsserver.Options{BindAddress: "0"},
	})
	if err == nil {
		err = controllers.Setup(mgr, controllers.Options{
			Tenant: tenant.Options{
				Images: render.Images{Database: "registry.example/postgres:1", Edge: "registry.example/edge:1"},
				Facts: render.Facts{
					ClusterDomain: "cluster.local", ClusterNetworks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
					DNSNamespace: "kube-system", DNSPodLabels: map[string]string{"k8s-app": "kube-dns"},
					OperatorNamespace: operatorNamespace, OperatorServiceAccount: "freehold", TenantClusterRole: "freehold-tenant",
				},
			},
			Backup: backup.Options{OperatorNamespace: operatorNamespace, ClusterDomain: "cluster.local", Verifications: 1 << 20, Ask: archiver},
		})
	}
	if err != nil {
		f.b.Fatal(err)
	}
	f.cached = mgr.GetClient()
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	f.b.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			f.b.Error(err)
		}
	})
}

// archiver is one whose destinations have everything.
func archiver(context.Context, string, string, []byte) (engine.Report, error) {
	now := time.Now()
	report := engine.Report{At: now, Heartbeat: now, SystemIdentifier: "7000000000000000001"}
	for _, site := range sites {
		report.Destinations = append(report.Destinations, engine.ArchiveReport{Name: site, Generation: 1, AskedAt: now, AnsweredAt: now, Until: now})
	}
	return report, nil
}

// grow makes Tenants until there are so many, and plays their cluster until all is well.
func (f *fleet) grow(size int) {
	f.b.Helper()
	from := f.size
	for ; f.size < size; f.size++ {
		name := member(f.size)
		for _, site := range sites {
			f.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: site + "-" + name, Namespace: operatorNamespace},
				Data: map[string][]byte{engine.CredentialAccessKeyID: []byte("id"), engine.CredentialSecretAccessKey: []byte("secret")}})
		}
		f.create(&v1alpha1.Tenant{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.TenantSpec{
			ClassRef: v1alpha1.ClassReference{Name: fleetName}, Hostnames: []v1alpha1.Hostname{v1alpha1.Hostname(name + ".example.com")},
			BackupPolicyRef: &v1alpha1.BackupPolicyReference{Name: fleetName}}})
	}
	var reason error
	err := wait.PollUntilContextTimeout(f.b.Context(), time.Second, 20*time.Minute, true, func(ctx context.Context) (bool, error) {
		reason = nil
		for i := from; i < size; i++ {
			reason = errors.Join(reason, f.play(ctx, member(i)))
		}
		return reason == nil, nil
	})
	if err != nil {
		f.b.Fatal(errors.Join(err, reason))
	}
	for i := from; i < size; i++ {
		f.keepRecords(member(i))
	}
	err = wait.PollUntilContextTimeout(f.b.Context(), 100*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		var held v1alpha1.BackupList
		err := f.cached.List(ctx, &held)
		return len(held.Items) == size*len(sites)*records, err
	})
	if err != nil {
		f.b.Fatalf("the operator does not hold all Backups: %v", err)
	}
}

func member(i int) string { return fmt.Sprintf("fleet-%04d", i) }

// play does the cluster's part for one Tenant, and returns why it is not well yet.
func (f *fleet) play(ctx context.Context, name string) error {
	if err := testenv.Play(ctx, f.env.Client, meta.Namespace(name)); err != nil {
		return err
	}
	if err := f.endJobs(ctx, name); err != nil {
		return err
	}
	t := &v1alpha1.Tenant{}
	if err := f.env.Client.Get(ctx, client.ObjectKey{Name: name}, t); err != nil {
		return err
	}
	for _, kind := range []string{v1alpha1.ConditionReady, v1alpha1.ConditionBackedUp, v1alpha1.ConditionPointInTimeRecoverable, v1alpha1.ConditionRecoverable, v1alpha1.ConditionRetained} {
		if !apimeta.IsStatusConditionTrue(t.Status.Conditions, kind) {
			return fmt.Errorf("%s: %s is not True: %+v", name, kind, apimeta.FindStatusCondition(t.Status.Conditions, kind))
		}
	}
	return nil
}

// endJobs ends the Jobs of a Tenant, each well.
func (f *fleet) endJobs(ctx context.Context, name string) error {
	var jobs batchv1.JobList
	if err := f.env.Client.List(ctx, &jobs, client.InNamespace(meta.Namespace(name))); err != nil {
		return err
	}
	for i := range jobs.Items {
		job := &jobs.Items[i]
		if len(job.Status.Conditions) > 0 {
			continue
		}
		message, err := json.Marshal(resultOf(job))
		if err != nil {
			return err
		}
		if err := testenv.EndPod(ctx, f.env.Client, job, meta.ContainerBackup, &corev1.ContainerStateTerminated{Message: string(message)}); err != nil {
			return err
		}
		if err := testenv.EndJob(ctx, f.env.Client, job, time.Now(), true, ""); err != nil {
			return err
		}
	}
	return nil
}

func resultOf(job *batchv1.Job) engine.Result {
	now := time.Now().Truncate(time.Second)
	result := engine.Result{Job: job.Labels[v1alpha1.LabelBackupJob], Destination: job.Labels[v1alpha1.LabelDestination]}
	const label = "20260101-013000F"
	if result.Job == engine.JobVerify {
		result.Recovery = &engine.Recovery{Backup: label, Seconds: 42, SystemIdentifier: "7000000000000000001", Timeline: 1}
		return result
	}
	result.Backup = &engine.Backup{Label: label, Full: true, StartedAt: now.Add(-time.Minute), FinishedAt: now, StartLSN: "0/1000028", StopLSN: "0/2000050", RepositoryBytes: 3 << 20, DatabaseBytes: 30 << 20}
	result.Catalogue = &engine.Catalogue{Backups: 1, Fulls: 1, RepositoryBytes: 3 << 20, Oldest: label, Newest: label, RecoverableFrom: now, NewestFinished: now, OldestStarted: now.Add(-time.Minute)}
	result.Expiry = &engine.Expiry{}
	return result
}

// keepRecords adds the records of earlier days, as copies of today's.
func (f *fleet) keepRecords(name string) {
	f.b.Helper()
	var all v1alpha1.BackupList
	if err := f.env.Client.List(f.b.Context(), &all, client.InNamespace(meta.Namespace(name))); err != nil {
		f.b.Fatal(err)
	}
	if len(all.Items) != len(sites) {
		f.b.Fatalf("%s has %d Backups, want one for each destination", name, len(all.Items))
	}
	for _, today := range all.Items {
		for i := 1; i < records; i++ {
			earlier := &v1alpha1.Backup{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s-%d", today.Name, i), Namespace: today.Namespace, Labels: today.Labels}, Spec: today.Spec}
			f.create(earlier)
			earlier.Status = today.Status
			if err := f.env.Client.Status().Update(f.b.Context(), earlier); err != nil {
				f.b.Fatal(err)
			}
		}
	}
}
