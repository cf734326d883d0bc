// SPDX-License-Identifier: Apache-2.0

package apply_test

import (
	"context"
	"testing"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	networkingv1ac "k8s.io/client-go/applyconfigurations/networking/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/controllers/internal/apply"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
	"github.com/freehold-dev/freehold/controllers/internal/testenv"
)

var env *testenv.Environment

func TestMain(m *testing.M) { testenv.Main(m, &env) }

// bench is one namespace with an Applier whose requests are counted.
type bench struct {
	*WithT
	ctx       context.Context
	namespace string
	applier   *apply.Applier
	requests  *testenv.Requests
	// stranger writes as somebody else.
	stranger client.Client
}

func newBench(t *testing.T) *bench {
	t.Helper()
	g := NewWithT(t)
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "apply-"}}
	g.Expect(env.Client.Create(t.Context(), namespace)).To(Succeed())
	config, requests := testenv.Counting(env.Config)
	c, err := client.New(config, client.Options{Scheme: env.Scheme})
	g.Expect(err).NotTo(HaveOccurred())
	requests.Reset()
	return &bench{
		WithT: g, ctx: t.Context(), namespace: namespace.Name,
		applier: apply.New(c, c), requests: requests,
		stranger: client.WithFieldOwner(env.Client, "kubectl-edit"),
	}
}

func labels() map[string]string { return meta.Labels("acme", "i-1", "app") }

func (b *bench) policy() *networkingv1ac.NetworkPolicyApplyConfiguration {
	return networkingv1ac.NetworkPolicy("app", b.namespace).WithLabels(labels()).
		WithSpec(networkingv1ac.NetworkPolicySpec().
			WithPodSelector(metav1ac.LabelSelector().WithMatchLabels(map[string]string{"a": "b"})).
			WithPolicyTypes(networkingv1.PolicyTypeIngress).
			WithIngress(networkingv1ac.NetworkPolicyIngressRule().
				WithPorts(networkingv1ac.NetworkPolicyPort().WithProtocol(corev1.ProtocolTCP).WithPort(intstr.FromInt32(8080)))))
}

func (b *bench) statefulSet() *appsv1ac.StatefulSetApplyConfiguration {
	selector := map[string]string{"a": "b"}
	return appsv1ac.StatefulSet("app", b.namespace).WithLabels(labels()).
		WithSpec(appsv1ac.StatefulSetSpec().
			WithReplicas(1).
			WithServiceName("app").
			WithSelector(metav1ac.LabelSelector().WithMatchLabels(selector)).
			WithTemplate(corev1ac.PodTemplateSpec().WithLabels(selector).
				WithSpec(corev1ac.PodSpec().WithContainers(corev1ac.Container().
					WithName("app").WithImage("app:1").
					WithEnv(corev1ac.EnvVar().WithName("A").WithValue("1")).
					WithPorts(corev1ac.ContainerPort().WithName("http").WithContainerPort(8080))))))
}

func (b *bench) service() *corev1ac.ServiceApplyConfiguration {
	return corev1ac.Service("edge", b.namespace).WithLabels(labels()).
		WithSpec(corev1ac.ServiceSpec().
			WithType(corev1.ServiceTypeLoadBalancer).
			WithAllocateLoadBalancerNodePorts(false).
			WithExternalTrafficPolicy(corev1.ServiceExternalTrafficPolicyLocal).
			WithLoadBalancerSourceRanges("0.0.0.0/0").
			WithSelector(map[string]string{"a": "b"}).
			WithPorts(corev1ac.ServicePort().WithName("https").WithPort(443).WithTargetPort(intstr.FromInt32(8443))))
}

func (b *bench) doStatefulSet() (apply.Result, error) {
	return apply.Do(b.ctx, b.applier, apply.StatefulSet, b.liveStatefulSet(), b.statefulSet())
}

func (b *bench) doService() (apply.Result, error) {
	return apply.Do(b.ctx, b.applier, apply.Service, b.liveService(), b.service())
}

func (b *bench) liveStatefulSet() *appsv1.StatefulSet { return read(b, &appsv1.StatefulSet{}, "app") }
func (b *bench) liveService() *corev1.Service         { return read(b, &corev1.Service{}, "edge") }

func read[O client.Object](b *bench, into O, name string) O {
	b.Expect(env.Client.Get(b.ctx, client.ObjectKey{Namespace: b.namespace, Name: name}, into)).To(Succeed())
	return into
}

// converged applies the StatefulSet and the Service once and forgets the requests.
func (b *bench) converged() {
	for _, step := range []func() error{
		func() error {
			_, err := apply.Do(b.ctx, b.applier, apply.StatefulSet, nil, b.statefulSet())
			return err
		},
		func() error { _, err := apply.Do(b.ctx, b.applier, apply.Service, nil, b.service()); return err },
	} {
		b.Expect(step()).To(Succeed())
	}
	b.requests.Reset()
}

func TestAConvergedObjectCostsNoRequest(t *testing.T) {
	b := newBench(t)
	b.converged()
	b.Expect(b.doStatefulSet()).To(Equal(apply.Unmodified))
	b.Expect(b.doService()).To(Equal(apply.Unmodified))
	b.Expect(apply.Do(b.ctx, b.applier, apply.NetworkPolicy, nil, b.policy())).To(Equal(apply.Applied))
	b.requests.Reset()
	b.Expect(apply.Do(b.ctx, b.applier, apply.NetworkPolicy, read(b, &networkingv1.NetworkPolicy{}, "app"), b.policy())).To(Equal(apply.Unmodified))
	b.Expect(b.requests.Reconciling()).To(BeEmpty())
}

func TestDriftIsRepaired(t *testing.T) {
	rows := map[string]struct {
		drift func(*appsv1.StatefulSet)
		want  apply.Result
	}{
		"a value changed": {func(s *appsv1.StatefulSet) { s.Spec.Template.Spec.Containers[0].Image = "evil:1" }, apply.Applied},
		"an environment variable": {func(s *appsv1.StatefulSet) {
			s.Spec.Template.Spec.Containers[0].Env = append(s.Spec.Template.Spec.Containers[0].Env, corev1.EnvVar{Name: "B", Value: "2"})
		}, apply.Repaired},
		"a sidecar added": {func(s *appsv1.StatefulSet) {
			s.Spec.Template.Spec.Containers = append(s.Spec.Template.Spec.Containers, corev1.Container{Name: "x", Image: "x:1"})
		}, apply.Repaired},
		"the host's network": {func(s *appsv1.StatefulSet) {
			s.Spec.Template.Spec.HostNetwork = true
			s.Spec.Template.Spec.Containers[0].Ports[0].HostPort = 8080
		}, apply.Repaired},
		"our labels stripped": {func(s *appsv1.StatefulSet) { s.Labels = nil }, apply.Applied},
		"a merge key changed": {func(s *appsv1.StatefulSet) { s.Spec.Template.Spec.Containers[0].Name = "renamed" }, apply.Repaired},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.converged()
			before := b.liveStatefulSet()
			drifted := before.DeepCopy()
			row.drift(drifted)
			b.Expect(b.stranger.Update(b.ctx, drifted)).To(Succeed())

			b.Expect(b.doStatefulSet()).To(Equal(row.want))

			after := b.liveStatefulSet()
			b.Expect(after.Spec).To(Equal(before.Spec))
			b.Expect(after.Labels).To(Equal(before.Labels))
			b.requests.Reset()
			b.Expect(b.doStatefulSet()).To(Equal(apply.Unmodified))
			b.Expect(b.requests.Reconciling()).To(BeEmpty())
		})
	}
}

func TestARenamedPortOfAServiceIsRepaired(t *testing.T) {
	b := newBench(t)
	b.converged()
	drifted := b.liveService()
	drifted.Spec.Ports[0].Port = 444
	b.Expect(b.stranger.Update(b.ctx, drifted)).To(Succeed())
	b.Expect(b.doService()).To(Equal(apply.Repaired))
	b.Expect(b.liveService().Spec.Ports).To(HaveLen(1))
	b.Expect(b.liveService().Spec.Ports[0].Port).To(BeEquivalentTo(443))
}

func TestANodePortLeftBehindIsRemoved(t *testing.T) {
	b := newBench(t)
	b.converged()
	open := b.liveService()
	open.Spec.AllocateLoadBalancerNodePorts = new(true)
	b.Expect(b.stranger.Update(b.ctx, open)).To(Succeed())
	b.Expect(b.liveService().Spec.Ports[0].NodePort).NotTo(BeZero())
	b.Expect(b.doService()).To(Equal(apply.Repaired))
	b.Expect(b.liveService().Spec.Ports[0].NodePort).To(BeZero())
	b.Expect(b.doService()).To(Equal(apply.Unmodified))
}

func TestForeignLabelsAndARestartOfTheRolloutAreLeftAlone(t *testing.T) {
	b := newBench(t)
	b.converged()
	live := b.liveStatefulSet()
	live.Labels["team"] = "red"
	live.Spec.Template.Annotations = map[string]string{"kubectl.kubernetes.io/restartedAt": "2026-11-21T00:00:00Z"}
	b.Expect(b.stranger.Update(b.ctx, live)).To(Succeed())
	b.Expect(b.doStatefulSet()).To(Equal(apply.Unmodified))
	b.Expect(b.requests.Reconciling()).To(BeEmpty())
}

func TestAStrangersObjectIsRefused(t *testing.T) {
	b := newBench(t)
	foreign := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: b.namespace, Name: "app"}}
	b.Expect(b.stranger.Create(b.ctx, foreign)).To(Succeed())
	_, err := apply.Do(b.ctx, b.applier, apply.NetworkPolicy, nil, b.policy())
	var conflict *apply.ConflictError
	b.Expect(err).To(BeAssignableToTypeOf(conflict))
	b.Expect(err).To(MatchError(ContainSubstring("NetworkPolicy " + b.namespace + "/app exists and was not made by Freehold")))
	b.Expect(read(b, &networkingv1.NetworkPolicy{}, "app").ResourceVersion).To(Equal(foreign.ResourceVersion))

	_, err = apply.Do(b.ctx, b.applier, apply.NetworkPolicy, nil, b.policy(), apply.Adopting())
	b.Expect(err).NotTo(HaveOccurred())
}

func TestAnObjectThatIsGoingAwayIsWaitedFor(t *testing.T) {
	b := newBench(t)
	b.converged()
	live := b.liveStatefulSet()
	live.Finalizers = []string{"test.freehold.dev/hold"}
	b.Expect(b.stranger.Update(b.ctx, live)).To(Succeed())
	b.Expect(b.stranger.Delete(b.ctx, live)).To(Succeed())
	_, err := b.doStatefulSet()
	var terminating *apply.TerminatingError
	b.Expect(err).To(BeAssignableToTypeOf(terminating))
}

func TestAnApplyThatChangesNothingIsNotRepeated(t *testing.T) {
	b := newBench(t)
	// An empty ingress list is written by us but not stored: such an object never looks unchanged.
	want := b.policy()
	want.Spec.Ingress[0].Ports[0].Protocol = nil // the server's default inside an atomic list
	do := func() (apply.Result, error) {
		return apply.Do(b.ctx, b.applier, apply.NetworkPolicy, read(b, &networkingv1.NetworkPolicy{}, "app"), want)
	}
	_, err := apply.Do(b.ctx, b.applier, apply.NetworkPolicy, nil, want)
	b.Expect(err).NotTo(HaveOccurred())
	b.Expect(do()).To(Equal(apply.NoOp))
	b.requests.Reset()
	b.Expect(do()).To(Equal(apply.Unmodified))
	b.Expect(b.requests.Reconciling()).To(BeEmpty())
}

func TestAKindWithoutGoTypeIsAppliedAndRepaired(t *testing.T) {
	b := newBench(t)
	want := func() apply.Foreign {
		return apply.Foreign{Unstructured: &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "freehold.dev/v1alpha1", "kind": "TenantClass",
			"metadata": map[string]any{"name": b.namespace},
			"spec":     map[string]any{"app": map[string]any{"image": "app:1", "port": int64(8080)}},
		}}}
	}
	kind := apply.ForeignKind(want().Unstructured)
	live := func() *unstructured.Unstructured {
		o := kind.New()
		b.Expect(env.Client.Get(b.ctx, client.ObjectKey{Name: b.namespace}, o)).To(Succeed())
		return o
	}
	b.Expect(apply.Do(b.ctx, b.applier, kind, nil, want())).To(Equal(apply.Applied))
	b.Expect(apply.Do(b.ctx, b.applier, kind, live(), want())).To(Equal(apply.Unmodified))
	drifted := live()
	b.Expect(unstructured.SetNestedField(drifted.Object, "evil:1", "spec", "app", "image")).To(Succeed())
	b.Expect(b.stranger.Update(b.ctx, drifted)).To(Succeed())
	b.Expect(apply.Do(b.ctx, b.applier, kind, live(), want())).To(Equal(apply.Applied))
	b.Expect(apply.Do(b.ctx, b.applier, kind, live(), want())).To(Equal(apply.Unmodified))
}
