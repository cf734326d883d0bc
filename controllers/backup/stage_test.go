// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	clocktesting "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/cluster"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/backup/engine"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
	"github.com/freehold-dev/freehold/controllers/internal/testenv"
)

// These tests call the reconciler directly, with a fake clock and no manager. What Kubernetes' controllers, the pods of
// Jobs and the archiver would do is done by the stage.

var env *testenv.Environment

func TestMain(m *testing.M) {
	log.SetLogger(logr.Discard())
	testenv.Main(m, &env)
}

// recipient is the public half of an age key that nobody has.
const recipient = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"

// stage is a Tenant with a running instance and a policy with two destinations, and a controller of backups.
type stage struct {
	*WithT
	ctx        context.Context
	name       string
	clock      *clocktesting.FakePassiveClock
	reconciler *Reconciler
	requests   *testenv.Requests
	events     *events.FakeRecorder
	// archive is what the archiver reports; silent makes it fail instead.
	archive func() engine.Report
	silent  error
	asked   int
}

func newStage(t testing.TB, name string, edits ...func(*v1alpha1.BackupPolicy)) *stage {
	t.Helper()
	s := &stage{WithT: NewWithT(t), ctx: t.Context(), name: name, clock: clocktesting.NewFakePassiveClock(time.Now().Truncate(time.Second))}
	s.archive = s.healthy
	t.Cleanup(s.removeJobs)
	s.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.operatorNamespace()}})
	s.policy(edits...)
	s.instance()
	s.restart()
	return s
}

// removeJobs leaves the fleet's places to the other tests.
func (s *stage) removeJobs() {
	for _, namespace := range []string{s.namespace(), s.operatorNamespace()} {
		s.Expect(env.Client.DeleteAllOf(context.Background(), &batchv1.Job{}, client.InNamespace(namespace), client.PropagationPolicy(metav1.DeletePropagationBackground))).To(Succeed())
	}
}

func (s *stage) operatorNamespace() string { return "ops-" + s.name }
func (s *stage) namespace() string         { return meta.Namespace(s.name) }
func (s *stage) instanceID() string        { return "i-" + s.name }

// restart is what an operator knows after a restart: nothing.
func (s *stage) restart() {
	config, requests := testenv.Counting(env.Config)
	c, err := client.New(config, client.Options{Scheme: env.Scheme})
	s.Expect(err).NotTo(HaveOccurred())
	s.requests = requests
	s.begin(c, c)
}

// restartWithCaches is a restart of an operator that reads as in production: from caches, but for Secrets and pods.
func (s *stage) restartWithCaches() {
	config, requests := testenv.Counting(env.Config)
	made, err := cluster.New(config, func(o *cluster.Options) {
		o.Scheme, o.Logger = env.Scheme, logr.Discard()
		o.Client.Cache = &client.CacheOptions{DisableFor: []client.Object{&corev1.Secret{}}}
	})
	s.Expect(err).NotTo(HaveOccurred())
	go func() { _ = made.Start(s.ctx) }() // Ends with the test.
	s.Expect(made.GetCache().WaitForCacheSync(s.ctx)).To(BeTrue())
	s.requests = requests
	s.begin(made.GetClient(), made.GetAPIReader())
}

// begin makes a controller that knows nothing yet.
func (s *stage) begin(c client.Client, live client.Reader) {
	s.events = events.NewFakeRecorder(200)
	s.reconciler = NewReconciler(c, live, s.clock, s.events, Options{
		OperatorNamespace: s.operatorNamespace(), ClusterDomain: "cluster.local",
		Random: func(n int64) int64 { return n / 2 },
		Ask:    s.answer,
	})
}

// answer is the archiver's.
func (s *stage) answer(_ context.Context, host, token string, authorities []byte) (engine.Report, error) {
	s.Expect(host).To(Equal("db." + s.namespace() + ".svc.cluster.local"))
	s.Expect(token).To(HaveLen(64))
	s.Expect(authorities).NotTo(BeEmpty())
	s.asked++
	if s.silent != nil {
		return engine.Report{}, s.silent
	}
	return s.archive(), nil
}

func (s *stage) create(o client.Object) { s.Expect(env.Client.Create(s.ctx, o)).To(Succeed()) }

// policy makes a BackupPolicy of the stage's name, and credentials.
func (s *stage) policy(edits ...func(*v1alpha1.BackupPolicy)) {
	policy := &v1alpha1.BackupPolicy{ObjectMeta: metav1.ObjectMeta{Name: s.name}, Spec: v1alpha1.BackupPolicySpec{
		Schedule:  v1alpha1.BackupSchedule{TimeZone: "Europe/Vienna", Start: "01:30"},
		KeyEscrow: v1alpha1.KeyEscrow{Recipients: []v1alpha1.AgeRecipient{recipient}},
	}}
	for _, site := range []string{"site-a", "site-b"} {
		policy.Spec.Destinations = append(policy.Spec.Destinations, v1alpha1.BackupDestination{
			Name: v1alpha1.DestinationName(site), Region: "eu-1", Networks: []v1alpha1.CIDR{"198.51.100.0/24"},
			Credentials: v1alpha1.DestinationCredentials{SecretName: v1alpha1.SecretNameTemplate(site + "-{tenant}")},
			S3:          &v1alpha1.S3Destination{Endpoint: v1alpha1.DestinationHost(site + ".example.com"), Bucket: "backups"},
		})
		s.credentials(site)
	}
	for _, edit := range edits {
		edit(policy)
	}
	s.create(policy)
}

func (s *stage) credentials(site string) {
	s.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: site + "-" + s.name, Namespace: s.operatorNamespace()},
		Data: map[string][]byte{engine.CredentialAccessKeyID: []byte("id-of-" + site), engine.CredentialSecretAccessKey: []byte("secret-of-" + site)}})
}

// instance makes a Tenant, and what its controller would have made.
func (s *stage) instance() {
	labels := meta.Labels(s.name, s.instanceID(), "")
	s.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.namespace(), Labels: labels}})
	s.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: meta.EscrowSecret(s.instanceID()), Namespace: s.operatorNamespace(), Labels: labels},
		Data: map[string][]byte{meta.KeyEscrowPassword: []byte("the-password")}})
	s.create(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: meta.TrustConfigMap, Namespace: s.namespace(), Labels: labels},
		Data: map[string]string{meta.KeyCACert: "-----BEGIN CERTIFICATE-----"}})
	s.create(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: meta.InstanceConfigMap, Namespace: s.namespace(), Labels: labels},
		Data: map[string]string{meta.KeyInstanceDatabase: "shop"}})
	s.create(&corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: meta.DatabaseClaim, Namespace: s.namespace(), Labels: labels},
		Spec: corev1.PersistentVolumeClaimSpec{AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, StorageClassName: ptr.To("fast"),
			Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("7Gi")}}}})
	s.create(database(s.namespace(), labels))
	s.ready(1)
	tenant := &v1alpha1.Tenant{ObjectMeta: metav1.ObjectMeta{Name: s.name}, Spec: v1alpha1.TenantSpec{
		ClassRef: v1alpha1.ClassReference{Name: "shop"}, Hostnames: []v1alpha1.Hostname{v1alpha1.Hostname(s.name + ".example.com")},
		BackupPolicyRef: &v1alpha1.BackupPolicyReference{Name: s.name}}}
	s.create(tenant)
	tenant.Status = v1alpha1.TenantStatus{InstanceID: s.instanceID(), Namespace: s.namespace(), Conditions: []metav1.Condition{
		{Type: v1alpha1.ConditionAvailable, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonServing, Message: "it serves", LastTransitionTime: metav1.NewTime(s.clock.Now())}}}
	s.Expect(env.Client.Status().Update(s.ctx, tenant)).To(Succeed())
}

// database is the StatefulSet of a revision that archives.
func database(namespace string, labels map[string]string) *appsv1.StatefulSet {
	limits := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1"), corev1.ResourceMemory: resource.MustParse("1Gi")}
	pod := map[string]string{"app": "db"}
	return &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: meta.DatabaseStatefulSet, Namespace: namespace, Labels: labels},
		Spec: appsv1.StatefulSetSpec{ServiceName: "db", Selector: &metav1.LabelSelector{MatchLabels: pod},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: pod}, Spec: corev1.PodSpec{
				NodeSelector: map[string]string{"disk": "fast"}, Tolerations: []corev1.Toleration{{Key: "db", Operator: corev1.TolerationOpExists}},
				InitContainers: []corev1.Container{{Name: meta.ContainerWalls, Image: "registry.example/postgres:1", Command: []string{meta.AgentBinary}, Args: []string{"agent", "wait", "walls"}}},
				Containers: []corev1.Container{
					{Name: meta.ContainerDB, Image: "registry.example/postgres:1", Resources: corev1.ResourceRequirements{Limits: limits, Requests: limits}},
					{Name: meta.ContainerArchiver, Image: "registry.example/postgres:1"},
				}}}}}
}

// ready says how many pods of the database are ready.
func (s *stage) ready(n int32) {
	set := &appsv1.StatefulSet{}
	s.get(meta.DatabaseStatefulSet, set)
	set.Status = appsv1.StatefulSetStatus{ObservedGeneration: set.Generation, Replicas: n, ReadyReplicas: n}
	s.Expect(env.Client.Status().Update(s.ctx, set)).To(Succeed())
}

func (s *stage) get(name string, into client.Object) {
	s.Expect(env.Client.Get(s.ctx, client.ObjectKey{Namespace: s.namespace(), Name: name}, into)).To(Succeed())
}

// healthy is the report of an archiver whose destinations have everything.
func (s *stage) healthy() engine.Report {
	now := s.clock.Now()
	report := engine.Report{At: now, Heartbeat: now.Add(-20 * time.Second), SystemIdentifier: "7000000000000000001"}
	for _, site := range []string{"site-a", "site-b"} {
		report.Destinations = append(report.Destinations, engine.ArchiveReport{Name: site, Generation: 1, AskedAt: now, AnsweredAt: now, Until: now.Add(-80 * time.Second)})
	}
	return report
}

func (s *stage) pass() time.Duration {
	result, err := s.reconciler.Reconcile(s.ctx, reconcile.Request{NamespacedName: client.ObjectKey{Name: s.name}})
	s.Expect(err).NotTo(HaveOccurred())
	return result.RequeueAfter
}

// passes lets the operator pass until nothing comes of it, as watches would make it do.
func (s *stage) passes() {
	for range 10 {
		s.requests.Reset()
		s.pass()
		if len(s.writes()) == 0 {
			return
		}
	}
	s.Expect(s.writes()).To(BeEmpty(), "the operator does not come to rest")
}

func (s *stage) writes() []testenv.Request { return s.requests.Seen(testenv.Request.IsWrite) }

// after lets time go by.
func (s *stage) after(d time.Duration) {
	s.clock.SetTime(s.clock.Now().Add(d))
	s.passes()
}

func (s *stage) tenant() *v1alpha1.Tenant {
	tenant := &v1alpha1.Tenant{}
	s.Expect(env.Client.Get(s.ctx, client.ObjectKey{Name: s.name}, tenant)).To(Succeed())
	return tenant
}

func (s *stage) changeTenant(change func(*v1alpha1.Tenant)) {
	tenant := s.tenant()
	change(tenant)
	s.Expect(env.Client.Update(s.ctx, tenant)).To(Succeed())
}

func (s *stage) condition(kind string) string { return text(s.tenant().Status.Conditions, kind) }

func text(all []metav1.Condition, kind string) string {
	c := apimeta.FindStatusCondition(all, kind)
	if c == nil {
		return "absent"
	}
	return fmt.Sprintf("%s %s: %s", c.Status, c.Reason, c.Message)
}

// site is what the status says of a destination.
func (s *stage) site(name string) v1alpha1.DestinationStatus {
	for _, d := range s.tenant().Status.Backups.Destinations {
		if string(d.Name) == name {
			return d
		}
	}
	s.Expect(name).To(BeNil(), "the status does not speak of the destination")
	return v1alpha1.DestinationStatus{}
}

func (s *stage) secret(namespace, name string) *corev1.Secret {
	secret := &corev1.Secret{}
	s.Expect(env.Client.Get(s.ctx, client.ObjectKey{Namespace: namespace, Name: name}, secret)).To(Succeed())
	return secret
}

func (s *stage) cronJob(site string) *batchv1.CronJob {
	cronJob := &batchv1.CronJob{}
	s.get("backup-"+site, cronJob)
	return cronJob
}

// jobs are those of a kind for a destination that have not ended.
func (s *stage) jobs(kind, site string) []batchv1.Job {
	var all batchv1.JobList
	s.Expect(env.Client.List(s.ctx, &all, client.InNamespace(s.namespace()), client.MatchingLabels{v1alpha1.LabelBackupJob: kind, v1alpha1.LabelDestination: site})).To(Succeed())
	var open []batchv1.Job
	for _, job := range all.Items {
		if endOf(&job).IsZero() {
			open = append(open, job)
		}
	}
	return open
}

// theJob is the only one under way of a kind for a destination.
func (s *stage) theJob(kind, site string) *batchv1.Job {
	jobs := s.jobs(kind, site)
	s.ExpectWithOffset(1, jobs).To(HaveLen(1), "Jobs of kind %s to %s", kind, site)
	return &jobs[0]
}

// end does what the pod of a Job, and Kubernetes, would do.
func (s *stage) end(job *batchv1.Job, result engine.Result) {
	raw, err := json.Marshal(result)
	s.Expect(err).NotTo(HaveOccurred())
	exit := int32(0)
	if result.Failure != nil {
		exit = 1
	}
	s.pod(job, &corev1.ContainerStateTerminated{ExitCode: exit, Message: string(raw)})
	s.endJob(job, exit == 0, "BackoffLimitExceeded")
}

func (s *stage) pod(job *batchv1.Job, ended *corev1.ContainerStateTerminated) {
	s.Expect(testenv.EndPod(s.ctx, env.Client, job, meta.ContainerBackup, ended)).To(Succeed())
}

func (s *stage) endJob(job *batchv1.Job, good bool, reason string) {
	s.Expect(testenv.EndJob(s.ctx, env.Client, job, s.clock.Now(), good, reason)).To(Succeed())
}

// backedUp is the result of a good backup, of which the destination then holds n.
func (s *stage) backedUp(site string, n int) engine.Result {
	now := s.clock.Now()
	label := now.UTC().Format("20060102-150405") + "F"
	return engine.Result{Job: engine.JobBackup, Destination: site,
		Backup: &engine.Backup{Label: label, Full: true, StartedAt: now.Add(-time.Minute), FinishedAt: now, StartLSN: "0/1000028", StopLSN: "0/2000050", RepositoryBytes: 3 << 20, DatabaseBytes: 30 << 20},
		Catalogue: &engine.Catalogue{Backups: n, Fulls: n, RepositoryBytes: int64(n) * 3 << 20, Oldest: label, Newest: label,
			RecoverableFrom: now, NewestFinished: now, OldestStarted: now.Add(-time.Minute)},
		Expiry: &engine.Expiry{}}
}

func (s *stage) proven(site string) engine.Result {
	return engine.Result{Job: engine.JobVerify, Destination: site, Recovery: &engine.Recovery{Backup: "20260101-013000F", Seconds: 42, SystemIdentifier: "7000000000000000001", Timeline: 1}}
}

func failed(kind, site, reason, message string) engine.Result {
	return engine.Result{Job: kind, Destination: site, Failure: &engine.Failure{Reason: reason, Message: message}}
}

// firstBackups brings the Tenant to where both destinations hold a backup, and one verification is under way.
func (s *stage) firstBackups() {
	s.passes()
	s.after(settleTime)
	for _, site := range []string{"site-a", "site-b"} {
		s.end(s.theJob(engine.JobBackup, site), s.backedUp(site, 1))
	}
	s.passes()
}

// converged brings the Tenant to where all is well.
func (s *stage) converged() {
	s.firstBackups()
	for range 2 {
		s.after(10 * time.Second)
		for _, site := range []string{"site-a", "site-b"} {
			for _, job := range s.jobs(engine.JobVerify, site) {
				s.end(&job, s.proven(site))
			}
		}
		s.passes()
		s.collectGarbage()
	}
	for _, kind := range owned {
		s.Expect(s.condition(kind)).To(HavePrefix("True Fresh"), kind)
	}
}

// collectGarbage removes Jobs that are deleted in the background: there is no garbage collector.
func (s *stage) collectGarbage() {
	var pods corev1.PodList
	s.Expect(env.Client.List(s.ctx, &pods, client.InNamespace(s.namespace()))).To(Succeed())
	for i := range pods.Items {
		s.Expect(env.Client.Delete(s.ctx, &pods.Items[i], client.GracePeriodSeconds(0))).To(Succeed())
	}
}

// argument is the value of an option of a Job's container.
func argument(job *batchv1.Job, name string) string {
	for _, arg := range job.Spec.Template.Spec.Containers[0].Args {
		if value, ok := strings.CutPrefix(arg, "--"+name+"="); ok {
			return value
		}
	}
	return ""
}

var errSilent = errors.New("i/o timeout")

// scheduled is a Job as the CronJob of a destination makes it.
func (s *stage) scheduled(site, name string) *batchv1.Job {
	cronJob := s.cronJob(site)
	job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: s.namespace(), Labels: cronJob.Spec.JobTemplate.Labels,
		OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(cronJob, batchv1.SchemeGroupVersion.WithKind("CronJob"))}},
		Spec: cronJob.Spec.JobTemplate.Spec}
	s.create(job)
	return job
}

func (s *stage) backup(name string) *v1alpha1.Backup {
	backup := &v1alpha1.Backup{}
	s.get(name, backup)
	return backup
}

// backups ends all base backups that are due or become due.
func (s *stage) backups() {
	for range 2 {
		s.after(settleTime)
		for _, site := range []string{"site-a", "site-b"} {
			for _, job := range s.jobs(engine.JobBackup, site) {
				s.end(&job, s.backedUp(site, int(*s.site(site).Backups)+1))
			}
		}
		s.passes()
	}
}

// told are the events since the last look.
func (s *stage) told() string {
	var all []string
	for {
		select {
		case event := <-s.events.Events:
			all = append(all, event)
		default:
			return strings.Join(all, "\n")
		}
	}
}
