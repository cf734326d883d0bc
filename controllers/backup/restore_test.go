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

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	clocktesting "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/backup/engine"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// scene is a Tenant whose backups reach from noon to an hour later, and who restores. What the controller of tenants,
// the kubelet and the agent would do is done by the scene.
type scene struct {
	*WithT
	ctx             context.Context
	name, namespace string
	clock           *clocktesting.FakePassiveClock
	restorer        *RestoreReconciler
}

func newScene(t *testing.T, name string) *scene {
	t.Helper()
	s := &scene{WithT: NewWithT(t), ctx: t.Context(), name: name, namespace: meta.Namespace(name), clock: clocktesting.NewFakePassiveClock(at(70))}
	labels := meta.Labels(name, "i-"+name, "")
	s.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.namespace, Labels: labels}})
	tenant := &v1alpha1.Tenant{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.TenantSpec{
		ClassRef: v1alpha1.ClassReference{Name: "shop"}, Hostnames: []v1alpha1.Hostname{v1alpha1.Hostname(name + ".example.com")},
		BackupPolicyRef: &v1alpha1.BackupPolicyReference{Name: "gold"}}}
	s.create(tenant)
	tenant.Status = v1alpha1.TenantStatus{InstanceID: "i-" + name, Namespace: s.namespace, Backups: &v1alpha1.TenantBackups{
		Destinations: []v1alpha1.DestinationStatus{{Name: "site-a", RecoverableFrom: ptr.To(metav1.NewTime(at(0))), RecoverableUntil: ptr.To(metav1.NewTime(at(60)))}}}}
	s.Expect(env.Client.Status().Update(s.ctx, tenant)).To(Succeed())
	s.claim("db-0001")
	s.create(s.database())
	s.restart()
	return s
}

// database is the instance's workload as far as Jobs are made like it.
func (s *scene) database() *appsv1.StatefulSet {
	labels := map[string]string{v1alpha1.LabelServes: meta.ComponentDatabase}
	set := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: meta.DatabaseStatefulSet}}
	set.Spec = appsv1.StatefulSetSpec{ServiceName: "db", Selector: &metav1.LabelSelector{MatchLabels: labels}}
	set.Spec.Template.Labels = labels
	set.Spec.Template.Spec.InitContainers = []corev1.Container{{Name: meta.ContainerWalls, Image: "registry.example/postgres:1"}}
	set.Spec.Template.Spec.Containers = []corev1.Container{{Name: meta.ContainerDB, Image: "registry.example/postgres:1"}, {Name: meta.ContainerArchiver, Image: "registry.example/postgres:1"}}
	return set
}

// restart is what an operator knows after it was killed: nothing.
func (s *scene) restart() {
	s.restorer = NewRestoreReconciler(env.Client, env.Client, s.clock, events.NewFakeRecorder(100),
		func(context.Context, *v1alpha1.Tenant) (*engine.Report, error) {
			return nil, errors.New("it does not answer")
		})
}

func (s *scene) create(o client.Object) { s.Expect(env.Client.Create(s.ctx, o)).To(Succeed()) }

func (s *scene) claim(name string) {
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: name}}
	claim.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
	claim.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
	s.create(claim)
}

// serving is a pod of the instance.
func (s *scene) serving(name, component string) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: name, Labels: map[string]string{v1alpha1.LabelServes: component}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: component, Image: "x"}}}}
	s.create(pod)
	return pod
}

func (s *scene) gone(o client.Object) {
	s.Expect(env.Client.Delete(s.ctx, o, client.GracePeriodSeconds(0))).To(Succeed())
}

func (s *scene) order(name string, target v1alpha1.RestoreTarget) *v1alpha1.Restore {
	restore := &v1alpha1.Restore{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: name}, Spec: v1alpha1.RestoreSpec{Target: target}}
	s.create(restore)
	return restore
}

// pass looks at a Restore once, by an operator that has just been started: nothing may depend on memory.
func (s *scene) pass(name string) reconcile.Result {
	s.restart()
	result, err := s.restorer.Reconcile(s.ctx, reconcile.Request{NamespacedName: client.ObjectKey{Namespace: s.namespace, Name: name}})
	s.Expect(err).NotTo(HaveOccurred())
	return result
}

func (s *scene) tells(name, condition string) string {
	restore := s.restore(name)
	found := apimeta.FindStatusCondition(restore.Status.Conditions, condition)
	if found == nil {
		return "absent"
	}
	return fmt.Sprintf("%s %s: %s", found.Status, found.Reason, found.Message)
}

func (s *scene) restore(name string) *v1alpha1.Restore {
	restore := &v1alpha1.Restore{}
	s.Expect(env.Client.Get(s.ctx, client.ObjectKey{Namespace: s.namespace, Name: name}, restore)).To(Succeed())
	return restore
}

func (s *scene) annotation(key string) string {
	namespace := &corev1.Namespace{}
	s.Expect(env.Client.Get(s.ctx, client.ObjectKey{Name: s.namespace}, namespace)).To(Succeed())
	return namespace.Annotations[key]
}

// job that a Restore has; nil if none.
func (s *scene) job(kind string, restore *v1alpha1.Restore) *batchv1.Job {
	job := &batchv1.Job{}
	err := env.Client.Get(s.ctx, client.ObjectKey{Namespace: s.namespace, Name: kind + "-" + string(restore.UID[:8])}, job)
	if apierrors.IsNotFound(err) {
		return nil
	}
	s.Expect(err).NotTo(HaveOccurred())
	return job
}

// ends lets a Job's pod leave its last words and the Job end, as the kubelet and the Job's controller do.
func (s *scene) ends(job *batchv1.Job, result engine.Result) {
	raw, err := json.Marshal(result)
	s.Expect(err).NotTo(HaveOccurred())
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: job.Name + "-x", Labels: map[string]string{}}, Spec: job.Spec.Template.Spec}
	for key, value := range job.Spec.Template.Labels {
		pod.Labels[key] = value
	}
	pod.Labels[batchv1.JobNameLabel], pod.Labels[batchv1.ControllerUidLabel] = job.Name, string(job.UID)
	pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: "batch/v1", Kind: "Job", Name: job.Name, UID: job.UID, Controller: ptr.To(true)}}
	s.create(pod)
	ended := corev1.ContainerStateTerminated{Message: string(raw)}
	phase, kinds := corev1.PodSucceeded, []batchv1.JobConditionType{batchv1.JobSuccessCriteriaMet, batchv1.JobComplete}
	if result.Failure != nil {
		ended.ExitCode, phase = 1, corev1.PodFailed
		kinds = []batchv1.JobConditionType{batchv1.JobFailureTarget, batchv1.JobFailed}
	}
	pod.Status = corev1.PodStatus{Phase: phase, ContainerStatuses: []corev1.ContainerStatus{{Name: meta.ContainerBackup, State: corev1.ContainerState{Terminated: &ended}}}}
	s.Expect(env.Client.Status().Update(s.ctx, pod)).To(Succeed())
	now := metav1.NewTime(s.clock.Now())
	job.Status.StartTime = &now
	for _, kind := range kinds {
		job.Status.Conditions = append(job.Status.Conditions, batchv1.JobCondition{Type: kind, Status: corev1.ConditionTrue, LastTransitionTime: now})
	}
	if result.Failure == nil {
		job.Status.CompletionTime, job.Status.Succeeded = &now, 1
	} else {
		job.Status.Failed = 1
	}
	s.Expect(env.Client.Status().Update(s.ctx, job)).To(Succeed())
}

// mountsOf are the folders that a Job's container sees.
func mountsOf(job *batchv1.Job) []string {
	var paths []string
	for _, m := range job.Spec.Template.Spec.Containers[0].VolumeMounts {
		paths = append(paths, m.MountPath)
	}
	return paths
}

func recovered(timeline int) engine.Result {
	return engine.Result{Job: engine.JobRestore, Destination: "site-a", Recovery: &engine.Recovery{
		Backup: "20260301-110000F", Reached: at(9), Seconds: 12, Timeline: timeline, SystemIdentifier: "7"}}
}

// made is a Restore that was made: the database runs on what it brought back.
func (s *scene) made(name string, timeline int) *v1alpha1.Restore {
	s.order(name, to(10))
	s.pass(name)
	restore := s.restore(name)
	s.claim(restore.Status.Claim)
	s.pass(name)
	s.ends(s.job(engine.JobRestore, restore), recovered(timeline))
	s.pass(name)
	s.Expect(s.tells(name, v1alpha1.ConditionComplete)).To(HavePrefix("True Succeeded"))
	return s.restore(name)
}

func TestARestoreStopsTheInstanceRestoresAsideAndGoesOver(t *testing.T) {
	s := newScene(t, "restored")
	database := s.serving("db-0", meta.ComponentDatabase)
	restore := s.order("accident", to(10))

	s.pass("accident")
	s.Expect(s.annotation(meta.AnnotationStoppedFor)).To(Equal("accident"), "the instance should be asked to stop")
	s.Expect(s.annotation(meta.AnnotationRestoreClaim)).To(Equal("db-0002"))

	s.pass("accident")
	s.Expect(s.job(engine.JobRestore, restore)).To(BeNil(), "nothing is restored while the database runs")
	s.Expect(s.tells("accident", v1alpha1.ConditionComplete)).To(ContainSubstring("being stopped"))

	s.gone(database)
	s.pass("accident")
	s.Expect(s.job(engine.JobRestore, restore)).To(BeNil(), "nothing is restored before there is a volume")
	s.claim("db-0002")
	s.pass("accident")
	job := s.job(engine.JobRestore, restore)
	s.Expect(job).NotTo(BeNil())
	command := strings.Join(job.Spec.Template.Spec.Containers[0].Args, " ")
	s.Expect(command).To(ContainSubstring("backup restore"))
	s.Expect(command).To(ContainSubstring("--destination=site-a"))
	s.Expect(command).To(ContainSubstring("--target=2026-03-01T12:10:00Z --timeline=current"))
	s.Expect(mountsOf(job)).To(ContainElements(meta.BackupDir, meta.DataDir, meta.SpoolDir), "the Job should see what it works with")
	s.Expect(*job.Spec.BackoffLimit).To(BeZero(), "an attempt that failed is not repeated unseen")

	s.pass("accident")
	s.Expect(s.annotation(meta.AnnotationDatabaseClaim)).To(BeEmpty(), "the database goes over only when the restore succeeded")

	s.ends(job, recovered(2))
	s.pass("accident")
	s.Expect(s.annotation(meta.AnnotationDatabaseClaim)).To(Equal("db-0002"))
	s.Expect(s.annotation(meta.AnnotationStoppedFor)).To(BeEmpty(), "the instance should start")
	s.Expect(s.annotation(meta.AnnotationTimelines)).To(Equal(`[{"timeline":2,"since":"2026-03-01T13:10:00Z"}]`))
	s.Expect(s.tells("accident", v1alpha1.ConditionComplete)).To(HavePrefix("True Succeeded: restored from site-a in 12 seconds; the database runs on volume db-0002, and volume db-0001 keeps what was before"))
	s.Expect(s.tells("accident", v1alpha1.ConditionAccepted)).To(HavePrefix("False AwaitingDecision: volumes db-0002 (restored) and db-0001 (from before) are both kept"))
	got := s.restore("accident")
	s.Expect(got.Status.ReachedTime.Time).To(BeTemporally("==", at(9)))
	s.Expect(got.Finalizers).To(BeEmpty())

	before := got.ResourceVersion
	s.Expect(s.pass("accident")).To(Equal(reconcile.Result{}), "there is nothing more to do")
	s.Expect(s.restore("accident").ResourceVersion).To(Equal(before))
}

func TestARestoreOutsideTheWindowStopsNothing(t *testing.T) {
	s := newScene(t, "outside")
	s.serving("db-0", meta.ComponentDatabase)
	s.order("too-late", to(61))
	s.Expect(s.pass("too-late")).To(Equal(reconcile.Result{}))
	s.Expect(s.tells("too-late", v1alpha1.ConditionComplete)).To(HavePrefix(
		"False TargetOutsideWindow: 2026-03-01T13:01:00.000000Z cannot be restored: site-a holds every moment from 2026-03-01T12:00:00Z to 2026-03-01T13:00:00Z. Nothing was changed"))
	s.Expect(s.annotation(meta.AnnotationStoppedFor)).To(BeEmpty())
	s.pass("too-late")
	s.Expect(s.annotation(meta.AnnotationStoppedFor)).To(BeEmpty(), "a refusal stands")
}

func TestARestoreThatFailsLeavesTheInstanceAsItWas(t *testing.T) {
	s := newScene(t, "failing")
	restore := s.order("accident", to(10))
	s.pass("accident")
	s.claim("db-0002")
	s.pass("accident")
	s.ends(s.job(engine.JobRestore, restore), engine.Result{Job: engine.JobRestore, Destination: "site-a", Failure: &engine.Failure{Reason: engine.FailedDamaged, Message: "a file of backup 20260301-110000F is damaged"}})
	s.pass("accident")
	s.Expect(s.tells("accident", v1alpha1.ConditionComplete)).To(HavePrefix("False Failed: a file of backup 20260301-110000F is damaged. The database starts again on volume db-0001, as it was"))
	s.Expect(s.annotation(meta.AnnotationStoppedFor)).To(BeEmpty())
	s.Expect(s.annotation(meta.AnnotationDatabaseClaim)).To(BeEmpty())
	s.pass("accident")
	s.Expect(s.annotation(meta.AnnotationStoppedFor)).To(BeEmpty(), "what failed is not tried again by itself")
}

func TestASecondRestoreWaitsForTheFirst(t *testing.T) {
	s := newScene(t, "queueing")
	s.order("first", to(10))
	s.pass("first")
	s.order("second", to(20))
	s.pass("second")
	s.Expect(s.tells("second", v1alpha1.ConditionComplete)).To(Equal("False Waiting: the instance is stopped for Restore first; this one follows"))
	s.Expect(s.annotation(meta.AnnotationStoppedFor)).To(Equal("first"))
}

func TestARestoreThatIsDeletedUnderWayLetsTheInstanceStart(t *testing.T) {
	s := newScene(t, "aborted")
	restore := s.order("accident", to(10))
	s.pass("accident")
	s.Expect(env.Client.Delete(s.ctx, restore)).To(Succeed())
	s.pass("accident")
	s.Expect(s.annotation(meta.AnnotationStoppedFor)).To(BeEmpty())
	s.Expect(s.annotation(meta.AnnotationDatabaseClaim)).To(BeEmpty())
	err := env.Client.Get(s.ctx, client.ObjectKeyFromObject(restore), restore)
	s.Expect(apierrors.IsNotFound(err)).To(BeTrue())
}

// unstop removes by hand what the instance is stopped by.
func (s *scene) unstop() {
	namespace := &corev1.Namespace{}
	s.Expect(env.Client.Get(s.ctx, client.ObjectKey{Name: s.namespace}, namespace)).To(Succeed())
	delete(namespace.Annotations, meta.AnnotationStoppedFor)
	s.Expect(env.Client.Update(s.ctx, namespace)).To(Succeed())
}

func TestAnInstanceThatSomebodyLetStartNeverGoesOverToAVolumeThatNobodyFilled(t *testing.T) {
	s := newScene(t, "unstopped")
	restore := s.order("accident", to(10))
	s.pass("accident")
	s.claim("db-0002")
	s.pass("accident")
	job := s.job(engine.JobRestore, restore)
	s.unstop()
	s.pass("accident")
	s.Expect(s.restore("accident").Status.Claim).To(Equal("db-0002"), "the Job fills that one")
	s.Expect(s.annotation(meta.AnnotationRestoreClaim)).To(Equal("db-0002"))
	s.Expect(s.annotation(meta.AnnotationStoppedFor)).To(Equal("accident"))
	s.Expect(s.tells("accident", v1alpha1.ConditionComplete)).To(ContainSubstring("the instance is stopped again; to give the Restore up, delete it"))

	s.ends(job, recovered(2))
	s.unstop()
	s.pass("accident")
	s.Expect(s.annotation(meta.AnnotationDatabaseClaim)).To(BeEmpty())
	s.Expect(s.tells("accident", v1alpha1.ConditionComplete)).To(And(HavePrefix("False Failed: somebody removed the annotation freehold.dev/"),
		ContainSubstring("The database starts again on volume db-0001, as it was")), "it runs as before, and nobody says otherwise")
}

func TestAnOperatorKilledWhileItSwitchesSwitchesOnce(t *testing.T) {
	s := newScene(t, "killed")
	restore := s.made("accident", 2)
	// The Namespace was written, and the operator killed before the Restore's status was.
	restore.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionComplete, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonRunning, Message: "x", LastTransitionTime: metav1.NewTime(s.clock.Now())}}
	s.Expect(env.Client.Status().Update(s.ctx, restore)).To(Succeed())
	s.pass("accident")
	s.Expect(s.tells("accident", v1alpha1.ConditionComplete)).To(HavePrefix("True Succeeded"))
	s.Expect(s.annotation(meta.AnnotationTimelines)).To(Equal(`[{"timeline":2,"since":"2026-03-01T13:10:00Z"}]`))
	s.Expect(s.annotation(meta.AnnotationStoppedFor)).To(BeEmpty())
}

func TestADecisionStands(t *testing.T) {
	s := newScene(t, "decided")
	restore := s.made("accident", 2)
	restore.Spec.Decision = v1alpha1.RestoreRevert
	s.Expect(env.Client.Update(s.ctx, restore)).To(Succeed())
	s.clock.SetTime(at(80))
	s.pass("accident")
	s.Expect(s.annotation(meta.AnnotationStoppedFor)).To(Equal("accident"))
	s.pass("accident")
	job := s.job(engine.JobRevert, restore)
	s.Expect(job).NotTo(BeNil())
	s.ends(job, engine.Result{Job: engine.JobRevert, Recovery: &engine.Recovery{Timeline: 3, SystemIdentifier: "7"}})
	s.pass("accident")
	s.Expect(s.annotation(meta.AnnotationDatabaseClaim)).To(Equal("db-0001"))
	s.Expect(s.annotation(meta.AnnotationStoppedFor)).To(BeEmpty())
	s.Expect(s.tells("accident", v1alpha1.ConditionAccepted)).To(HavePrefix("False Reverted: the database runs on volume db-0001 again"))
	s.Expect(s.tells("accident", v1alpha1.ConditionComplete)).To(HavePrefix("True Succeeded"))

	// What was written between noon:10 and the restore lies on the first timeline, what came after the revert on the third.
	history, err := parseLineage(map[string]string{meta.AnnotationTimelines: s.annotation(meta.AnnotationTimelines)})
	s.Expect(err).NotTo(HaveOccurred())
	s.Expect(history.at(at(30))).To(Equal("current"))
	s.Expect(history.at(at(75))).To(Equal("2"))
	s.Expect(history.at(at(81))).To(Equal("3"))

	restore = s.restore("accident")
	restore.Spec.Decision = v1alpha1.RestoreAccept
	s.Expect(env.Client.Update(s.ctx, restore)).To(MatchError(ContainSubstring("a decision stands")))
}

func TestAnOlderRestoreIsNotTakenBackUnderANewerOne(t *testing.T) {
	s := newScene(t, "layered")
	s.made("first", 2)
	s.clock.SetTime(s.clock.Now().Add(time.Hour))
	s.made("second", 3)
	s.Expect(s.annotation(meta.AnnotationDatabaseClaim)).To(Equal("db-0003"))
	first := s.restore("first")
	first.Spec.Decision = v1alpha1.RestoreRevert
	s.Expect(env.Client.Update(s.ctx, first)).To(Succeed())
	s.pass("first")
	s.Expect(s.tells("first", v1alpha1.ConditionAccepted)).To(HavePrefix("False Failed: the database runs on volume db-0003, not on db-0002, which this Restore made: another Restore came after it"))
	s.Expect(s.annotation(meta.AnnotationDatabaseClaim)).To(Equal("db-0003"))
	s.Expect(s.annotation(meta.AnnotationStoppedFor)).To(BeEmpty())
}
