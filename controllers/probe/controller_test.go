// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/dial"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
	"github.com/freehold-dev/freehold/controllers/internal/testenv"
)

// These tests call the reconciler directly, with a fake clock and no manager. What the pods of a proof would answer
// on a cluster that enforces every wall is written into their status.

var env *testenv.Environment

func TestMain(m *testing.M) { testenv.Main(m, &env) }

// stage is a Tenant with a running instance, and a prober.
type stage struct {
	*WithT
	ctx      context.Context
	name     string
	clock    *clocktesting.FakePassiveClock
	prober   *Reconciler
	requests *testenv.Requests
	events   *events.FakeRecorder
}

func newStage(t *testing.T, name string) *stage {
	t.Helper()
	s := &stage{WithT: NewWithT(t), ctx: t.Context(), name: name, clock: clocktesting.NewFakePassiveClock(time.Now())}
	s.make(name)
	s.restart()
	return s
}

// restart is what a prober knows after a restart: nothing.
func (s *stage) restart() {
	config, requests := testenv.Counting(env.Config)
	c, err := client.New(config, client.Options{Scheme: env.Scheme})
	s.Expect(err).NotTo(HaveOccurred())
	s.requests, s.events = requests, events.NewFakeRecorder(100)
	s.prober = NewReconciler(c, c, s.clock, s.events, Options{
		Interval: 10 * time.Minute, Image: "registry.example/edge:1", ClusterDomain: "cluster.local",
		Canary:    func(context.Context) (string, error) { return outsideOfAll.canary, nil },
		APIServer: outsideOfAll.api,
		Dial: func(_ context.Context, attempts []dial.Attempt) []dial.Outcome {
			var out []dial.Outcome
			for _, a := range attempts {
				out = append(out, strictly(a))
			}
			return out
		},
	})
}

// make makes a Tenant, and pods as those of its instance.
func (s *stage) make(name string) {
	namespace := "tenant-" + name
	labels := meta.Labels(name, "i-"+name, "")
	s.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace, Labels: labels}})
	tenant := &v1alpha1.Tenant{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.TenantSpec{
		ClassRef: v1alpha1.ClassReference{Name: "shop"}, Hostnames: []v1alpha1.Hostname{v1alpha1.Hostname(name + ".example.com")}}}
	s.create(tenant)
	tenant.Status = v1alpha1.TenantStatus{InstanceID: "i-" + name, Namespace: namespace, Conditions: []metav1.Condition{
		{Type: v1alpha1.ConditionAvailable, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonServing, Message: "it serves", LastTransitionTime: metav1.NewTime(s.clock.Now())}}}
	s.Expect(env.Client.Status().Update(s.ctx, tenant)).To(Succeed())
	s.create(&networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: "freehold-app", Namespace: namespace, Labels: labels}})
	for i, part := range partRoles {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: string(part), Namespace: namespace, Labels: meta.Labels(name, "i-"+name, string(part))},
			Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: string(part), Image: "x", Ports: ports(part)}}}}
		pod.Labels[v1alpha1.LabelServes] = string(part)
		s.create(pod)
		pod.Status = corev1.PodStatus{Phase: corev1.PodRunning, PodIP: fmt.Sprintf("10.0.1.%d", i+1),
			Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}
		s.Expect(env.Client.Status().Update(s.ctx, pod)).To(Succeed())
	}
}

func ports(part role) []corev1.ContainerPort {
	switch part {
	case roleApp:
		return []corev1.ContainerPort{{Name: meta.AppPortName, ContainerPort: 8080}}
	case roleEdge:
		return []corev1.ContainerPort{{Name: "probe", ContainerPort: meta.PortEdgeProbe}}
	default:
		return nil
	}
}

func (s *stage) create(o client.Object) { s.Expect(env.Client.Create(s.ctx, o)).To(Succeed()) }

func (s *stage) pass() reconcile.Result {
	result, err := s.prober.Reconcile(s.ctx, reconcile.Request{NamespacedName: types.NamespacedName{Name: s.name}})
	s.Expect(err).NotTo(HaveOccurred())
	return result
}

func (s *stage) tenant() *v1alpha1.Tenant {
	tenant := &v1alpha1.Tenant{}
	s.Expect(env.Client.Get(s.ctx, client.ObjectKey{Name: s.name}, tenant)).To(Succeed())
	return tenant
}

func (s *stage) condition(kind string) string {
	c := apimeta.FindStatusCondition(s.tenant().Status.Conditions, kind)
	if c == nil {
		return "absent"
	}
	return fmt.Sprintf("%s %s: %s", c.Status, c.Reason, c.Message)
}

// probes are the pods of a proof that are there.
func (s *stage) probes() []corev1.Pod {
	var pods corev1.PodList
	s.Expect(env.Client.List(s.ctx, &pods, client.HasLabels{v1alpha1.LabelProbe})).To(Succeed())
	return pods.Items
}

// answer does what the kubelet and the agent would do.
func (s *stage) answer(pods []corev1.Pod) {
	for i := range pods {
		pod := &pods[i]
		var attempts []dial.Attempt
		list := strings.TrimPrefix(pod.Spec.Containers[0].Args[2], "--attempts=")
		s.Expect(json.Unmarshal([]byte(list), &attempts)).To(Succeed())
		var outcomes []dial.Outcome
		for _, a := range attempts {
			outcomes = append(outcomes, strictly(a))
		}
		raw, err := json.Marshal(outcomes)
		s.Expect(err).NotTo(HaveOccurred())
		pod.Status.Phase = corev1.PodSucceeded
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: meta.ContainerProbe, State: corev1.ContainerState{
			Terminated: &corev1.ContainerStateTerminated{Message: string(raw)}}}}
		s.Expect(env.Client.Status().Update(s.ctx, pod)).To(Succeed())
	}
}

// round passes until nothing of the round is left.
func (s *stage) round() {
	s.pass()
	s.answer(s.probes())
	s.Eventually(func() string { s.pass(); return fmt.Sprint(len(s.probes())) }).Should(Equal("0"), "the round should end")
}

func TestARoundProvesATenantAndLeavesNothingBehind(t *testing.T) {
	s := newStage(t, "first")
	s.pass()
	pods := s.probes()
	s.Expect(pods).To(HaveLen(3))
	for _, pod := range pods {
		s.Expect(pod.Labels).NotTo(HaveKey(v1alpha1.LabelServes), "no customer's request may reach the pod of a proof")
		s.Expect(pod.Labels).To(HaveKeyWithValue(v1alpha1.LabelPolicy, pod.Labels[v1alpha1.LabelProbe]))
		s.Expect(*pod.Spec.AutomountServiceAccountToken).To(BeFalse())
	}
	s.answer(pods)
	s.Eventually(func() string { s.pass(); return s.condition(v1alpha1.ConditionIsolated) }).Should(HavePrefix("True Proven"))
	s.Expect(s.probes()).To(BeEmpty())
	s.Expect(s.condition(v1alpha1.ConditionEncryptedInTransit)).To(HavePrefix("True Proven"))
	s.Expect(s.condition(v1alpha1.ConditionEncryptedAtRest)).To(HavePrefix("Unknown NotAttested"))
	s.Expect(s.condition(v1alpha1.ConditionAvailable)).To(HavePrefix("True Serving"), "other controllers' conditions stay theirs")

	s.requests.Reset()
	wait := s.pass().RequeueAfter
	s.Expect(wait).To(BeNumerically("~", 10*time.Minute, time.Minute+time.Second))
	s.restart()
	s.pass()
	s.Expect(s.requests.Seen(testenv.Request.IsWrite)).To(BeEmpty(), "between two proofs nothing is written, also not after a restart")
}

func TestARoundCostsSevenWritesForEachTenant(t *testing.T) {
	s := newStage(t, "tenth")
	s.round() // the first one also brings the conditions
	s.pass()
	s.clock.SetTime(s.clock.Now().Add(10 * time.Minute))
	s.requests.Reset()
	s.round()
	members := map[string]bool{}
	for _, request := range s.requests.Seen(func(r testenv.Request) bool { return r.Method == "POST" && strings.HasSuffix(r.Path, "/pods") }) {
		members[request.Path] = true
	}
	writes := s.requests.Seen(testenv.Request.IsWrite)
	s.Expect(writes).To(HaveLen(7*len(members)), "three pods made, three removed, one status: %v", writes)
}

func TestTwoTenantsShareARound(t *testing.T) {
	s := newStage(t, "second")
	s.make("third")
	s.pass()
	var namespaces []string
	for _, pod := range s.probes() {
		namespaces = append(namespaces, pod.Namespace)
	}
	other := slices.DeleteFunc(slices.Compact(slices.Sorted(slices.Values(namespaces))), func(n string) bool { return n == "tenant-second" })
	s.Expect(other).To(HaveLen(1), "a neighbour takes part")
	s.Expect(namespaces).To(HaveLen(6))
	s.answer(s.probes())
	s.Eventually(func() string { s.pass(); return s.condition(v1alpha1.ConditionIsolated) }).Should(HavePrefix("True Proven"))
	s.name, _ = meta.TenantOf(other[0])
	s.Expect(s.condition(v1alpha1.ConditionIsolated)).To(HavePrefix("True Proven"), "the neighbour is proven, too")
	s.Expect(s.pass().RequeueAfter).To(BeNumerically(">", 8*time.Minute))
}

func TestAStrangersObjectIsNoticed(t *testing.T) {
	s := newStage(t, "fourth")
	s.create(&networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: "allow-all", Namespace: "tenant-fourth"}})
	s.round()
	s.Expect(s.condition(v1alpha1.ConditionIsolated)).To(And(HavePrefix("False ForeignObject"), ContainSubstring("NetworkPolicy/allow-all")))
	s.Expect(s.events.Events).To(Receive(ContainSubstring("Warning ForeignObject")))
}

func TestAPodThatNeverAnswersLeavesTheClaimUnknown(t *testing.T) {
	s := newStage(t, "fifth")
	s.pass()
	s.clock.SetTime(s.clock.Now().Add(roundLimit + time.Second))
	s.Eventually(func() string { s.pass(); return s.condition(v1alpha1.ConditionIsolated) }).Should(HavePrefix("Unknown NotProven"))
	s.Expect(s.probes()).To(BeEmpty())
}

func TestWhatAKilledOperatorLeftIsRemoved(t *testing.T) {
	s := newStage(t, "sixth")
	s.pass()
	s.Expect(s.probes()).NotTo(BeEmpty())
	s.restart()
	s.round()
	s.Expect(s.probes()).To(BeEmpty())
	s.Expect(s.condition(v1alpha1.ConditionIsolated)).To(HavePrefix("True Proven"))
}

func TestEvidenceThatIsTooOldIsUnknown(t *testing.T) {
	s := newStage(t, "seventh")
	s.round()
	s.restart()
	s.clock.SetTime(s.clock.Now().Add(time.Hour))
	s.pass()
	s.Expect(s.condition(v1alpha1.ConditionIsolated)).To(HavePrefix("Unknown Stale"))
	s.Expect(s.tenant().Status.Proofs[0].ObservedAt.Time).To(BeTemporally("<", s.clock.Now().Add(-30*time.Minute)), "the evidence keeps its time")
	s.answer(s.probes())
	s.Eventually(func() string { s.pass(); return s.condition(v1alpha1.ConditionIsolated) }).Should(HavePrefix("True Proven"))
}

func TestALockdownIsSaidToBeDoneOnlyWhenProven(t *testing.T) {
	s := newStage(t, "eighth")
	s.round()
	tenant := s.tenant()
	tenant.Spec.Lockdown = true
	s.Expect(env.Client.Update(s.ctx, tenant)).To(Succeed())
	s.clock.SetTime(s.clock.Now().Add(time.Second))
	s.pass()
	s.Expect(s.condition(v1alpha1.ConditionLockedDown)).To(HavePrefix("False Closing"))
	s.Expect(s.probes()).To(HaveLen(1), "it is proven at once, and nothing else is")
	s.answer(s.probes())
	s.Eventually(func() string { s.pass(); return s.condition(v1alpha1.ConditionLockedDown) }).Should(HavePrefix("True Proven"))
	s.Expect(s.condition(v1alpha1.ConditionIsolated)).To(HavePrefix("True Proven"), "what was not looked at stays")
	s.clock.SetTime(s.clock.Now().Add(minimumPause + time.Second))
	s.round()
	s.Expect(s.condition(v1alpha1.ConditionIsolated)).To(HavePrefix("True Proven"), "the walls of a closed gate are proven as well")
	s.Expect(s.condition(v1alpha1.ConditionLockedDown)).To(HavePrefix("True Proven"))

	tenant = s.tenant()
	tenant.Spec.Lockdown = false
	s.Expect(env.Client.Update(s.ctx, tenant)).To(Succeed())
	s.pass()
	s.Expect(s.condition(v1alpha1.ConditionLockedDown)).To(Equal("absent"))
}

func TestATenantThatGoesLeavesItsNeighbourFree(t *testing.T) {
	s := newStage(t, "eleventh")
	s.make("twelfth")
	s.pass()
	var neighbour string
	for _, pod := range s.probes() {
		if name, _ := meta.TenantOf(pod.Namespace); name != s.name {
			neighbour = name
		}
	}
	s.Expect(neighbour).NotTo(BeEmpty())
	s.Expect(env.Client.Delete(s.ctx, s.tenant())).To(Succeed())
	s.pass()
	s.Expect(s.probes()).To(BeEmpty())
	s.name = neighbour
	s.clock.SetTime(s.clock.Now().Add(time.Hour))
	s.round()
	s.Expect(s.condition(v1alpha1.ConditionIsolated)).To(HavePrefix("True Proven"))
}

func TestAProofThatCannotBeginIsTold(t *testing.T) {
	s := newStage(t, "thirteenth")
	s.Expect(env.Client.Delete(s.ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "tenant-thirteenth"}})).To(Succeed())
	_, err := s.prober.Reconcile(s.ctx, reconcile.Request{NamespacedName: types.NamespacedName{Name: s.name}})
	s.Expect(err).To(MatchError(ContainSubstring("forbidden")), "nothing is made in a namespace that goes")
	s.Expect(s.events.Events).To(Receive(ContainSubstring("Warning ProofFailed")))
	s.Expect(s.probes()).To(BeEmpty())
}

func TestBlockedClientsAreToldWhenTheyBecomeMore(t *testing.T) {
	s := newStage(t, "fourteenth")
	tenant := s.tenant()
	told := func() int { return len(s.events.Events) }
	s.prober.tellBlocked(tenant, 0)
	s.Expect(told()).To(Equal(0))
	s.prober.tellBlocked(tenant, 2)
	s.Expect(s.events.Events).To(Receive(And(ContainSubstring("Warning ClientsBlocked"), ContainSubstring("2 clients"), ContainSubstring("tenant-fourteenth"))))
	s.prober.tellBlocked(tenant, 2)
	s.prober.tellBlocked(tenant, 1)
	s.Expect(told()).To(Equal(0), "the same and fewer are no news")
}

func TestAFleetThatIsDueAtOnceIsNoBurstOfPods(t *testing.T) {
	s := newStage(t, "fifteenth")
	for i := range 2 * maxRounds {
		s.prober.rounds[fmt.Sprintf("other-%d", i)] = reserved
	}
	s.Expect(s.pass().RequeueAfter).To(BeNumerically("<=", time.Second), "it comes soon, when others have ended")
	s.Expect(s.probes()).To(BeEmpty())
	tenant := s.tenant()
	tenant.Spec.Lockdown = true
	s.Expect(env.Client.Update(s.ctx, tenant)).To(Succeed())
	s.pass()
	s.Expect(s.probes()).To(HaveLen(1), "a lockdown waits for nobody")
	delete(s.prober.rounds, "other-0")
	s.answer(s.probes())
	s.Eventually(func() string { s.pass(); return fmt.Sprint(len(s.probes())) }).Should(Equal("0"))
}

func TestARoundIsGivenUpForALockdown(t *testing.T) {
	s := newStage(t, "sixteenth")
	s.make("seventeenth")
	s.pass()
	round := s.prober.underway(s.name)
	s.Expect(round.members).To(HaveLen(2))
	s.Expect(s.probes()).NotTo(BeEmpty(), "a round is under way, and its pods never answer")
	tenant := s.tenant()
	tenant.Spec.Lockdown = true
	s.Expect(env.Client.Update(s.ctx, tenant)).To(Succeed())
	s.pass()
	pods := s.probes()
	s.Expect(pods).To(HaveLen(1), "only the lockdown is proven, of all that took part")
	s.Expect(s.prober.changed[round.members[1].name]).To(BeTrue(), "the neighbour, whose round it was too, is proven soon")
	s.answer(pods)
	s.Eventually(func() string { s.pass(); return s.condition(v1alpha1.ConditionLockedDown) }).Should(HavePrefix("True Proven"))
	s.Expect(s.probes()).To(BeEmpty())
}

func TestATenantWithoutAnInstanceIsNotProven(t *testing.T) {
	s := newStage(t, "ninth")
	tenant := s.tenant()
	tenant.Status = v1alpha1.TenantStatus{}
	s.Expect(env.Client.Status().Update(s.ctx, tenant)).To(Succeed())
	s.Expect(s.pass()).To(Equal(reconcile.Result{}))
	s.Expect(s.probes()).To(BeEmpty())
}
