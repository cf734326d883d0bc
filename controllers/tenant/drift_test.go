// SPDX-License-Identifier: Apache-2.0

package tenant_test

import (
	"fmt"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// owned is one object of each kind, and a change that a person might make to it.
func ownedObjects() []struct {
	object client.Object
	change func(client.Object)
} {
	named := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Name: name} }
	return []struct {
		object client.Object
		change func(client.Object)
	}{
		{&rbacv1.RoleBinding{ObjectMeta: named(meta.OperatorRoleBinding)}, func(o client.Object) {
			b := o.(*rbacv1.RoleBinding)
			b.Subjects = append(b.Subjects, rbacv1.Subject{Kind: "User", APIGroup: rbacv1.GroupName, Name: "mallory"})
		}},
		{&corev1.ResourceQuota{ObjectMeta: named(meta.Quota)}, func(o client.Object) {
			delete(o.(*corev1.ResourceQuota).Spec.Hard, corev1.ResourcePods)
		}},
		{&corev1.LimitRange{ObjectMeta: named(meta.Limits)}, func(o client.Object) {
			o.(*corev1.LimitRange).Spec.Limits = nil
		}},
		{&networkingv1.NetworkPolicy{ObjectMeta: named(meta.PolicyDefaultDeny)}, func(o client.Object) {
			o.(*networkingv1.NetworkPolicy).Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{}}
		}},
		{&networkingv1.NetworkPolicy{ObjectMeta: named(meta.PolicyDatabase)}, func(o client.Object) {
			o.(*networkingv1.NetworkPolicy).Spec.Ingress[0].From = nil
		}},
		{&corev1.ServiceAccount{ObjectMeta: named("app")}, func(o client.Object) {
			o.(*corev1.ServiceAccount).AutomountServiceAccountToken = ptr.To(true)
		}},
		{&corev1.ConfigMap{ObjectMeta: named(meta.TrustConfigMap)}, func(o client.Object) {
			o.(*corev1.ConfigMap).Data[meta.KeyCACert] = "trust me"
		}},
		{&corev1.ConfigMap{ObjectMeta: named(meta.InstanceConfigMap)}, func(o client.Object) {
			o.(*corev1.ConfigMap).Data[meta.KeyInstanceID] = "another"
		}},
		{&corev1.ConfigMap{ObjectMeta: named(meta.EdgeListsConfigMap)}, func(o client.Object) {
			o.(*corev1.ConfigMap).Data["extra.lst"] = "0.0.0.0/0"
		}},
		{&corev1.Service{ObjectMeta: named(meta.DatabaseService)}, func(o client.Object) {
			o.(*corev1.Service).Spec.Selector = map[string]string{"app": "mine"}
		}},
		{&corev1.Service{ObjectMeta: named(meta.AppService)}, func(o client.Object) {
			s := o.(*corev1.Service)
			s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{Name: "debug", Port: 9999, TargetPort: intstr.FromInt32(9999)})
		}},
		{&corev1.Service{ObjectMeta: named(meta.EdgeService)}, func(o client.Object) {
			o.(*corev1.Service).Spec.LoadBalancerSourceRanges = []string{"203.0.113.0/24"}
		}},
		{&corev1.PersistentVolumeClaim{ObjectMeta: named(meta.DatabaseClaim)}, nil},
		{&policyv1.PodDisruptionBudget{ObjectMeta: named(meta.EdgeDeployment)}, func(o client.Object) {
			o.(*policyv1.PodDisruptionBudget).Spec.MaxUnavailable = ptr.To(intstr.FromInt32(7))
		}},
		{&appsv1.StatefulSet{ObjectMeta: named(meta.DatabaseStatefulSet)}, func(o client.Object) {
			o.(*appsv1.StatefulSet).Spec.Template.Spec.Containers[0].Image = "registry.example/mine:1"
		}},
		{&appsv1.StatefulSet{ObjectMeta: named(meta.AppStatefulSet)}, func(o client.Object) {
			c := &o.(*appsv1.StatefulSet).Spec.Template.Spec.Containers[0]
			c.Env = append(c.Env, corev1.EnvVar{Name: "DEBUG", Value: "1"})
		}},
		{&appsv1.Deployment{ObjectMeta: named(meta.EdgeDeployment)}, func(o client.Object) {
			o.(*appsv1.Deployment).Spec.Replicas = ptr.To(int32(9))
		}},
	}
}

// essence is what makes an object what it is: labels, and everything but metadata and status.
func essence(o client.Object) map[string]any {
	GinkgoHelper()
	raw := &unstructured.Unstructured{}
	gvk, err := apiutil.GVKForObject(o, env.Scheme)
	Expect(err).NotTo(HaveOccurred())
	raw.SetGroupVersionKind(gvk)
	Expect(env.Client.Get(ctx, client.ObjectKeyFromObject(o), raw)).To(Succeed(), "%s %s shall exist", gvk.Kind, o.GetName())
	out := map[string]any{"labels": raw.GetLabels()}
	for key, value := range raw.Object {
		if key != "metadata" && key != "status" {
			out[key] = value
		}
	}
	if spec, ok := out["spec"].(map[string]any); ok && gvk.Kind == "Service" {
		delete(spec, "clusterIP")
		delete(spec, "clusterIPs")
		delete(spec, "healthCheckNodePort")
	}
	return out
}

func strip(o client.Object) {
	labels := o.GetLabels()
	for key := range labels {
		if strings.HasPrefix(key, "freehold.dev/") {
			delete(labels, key)
		}
	}
	o.SetLabels(labels)
}

var _ = Describe("Drift", func() {
	for _, row := range ownedObjects() {
		name := strings.TrimPrefix(fmt.Sprintf("%T %s", row.object, row.object.GetName()), "*")
		fresh := func(w *world) client.Object {
			o := row.object.DeepCopyObject().(client.Object)
			o.SetNamespace(w.namespace())
			return o
		}
		It("is undone in one pass: "+name, func() {
			w := running()
			before := essence(fresh(w))

			By("labels removed")
			edit(fresh(w), strip)
			w.pass()
			Expect(essence(fresh(w))).To(Equal(before))
			w.expectNotStalled()

			if row.change != nil {
				By("a field changed")
				edit(fresh(w), row.change)
				Expect(equality.Semantic.DeepEqual(essence(fresh(w)), before)).To(BeFalse(), "the change of the test must change something")
				w.said()
				w.pass()
				Expect(essence(fresh(w))).To(Equal(before))
				Expect(w.said()).To(ContainSubstring("Applied"), "people shall be told that their change was undone")
			}

			if _, claim := row.object.(*corev1.PersistentVolumeClaim); !claim {
				By("deleted")
				Expect(env.Client.Delete(ctx, fresh(w), client.PropagationPolicy(metav1.DeletePropagationBackground))).To(Succeed())
				w.pass()
				Expect(essence(fresh(w))).To(Equal(before))
			}
			w.settle()
			w.expectCondition(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonConverged)
		})
	}

	It("of the namespace is undone: the walls for pods, and the labels that say whose it is", func() {
		w := running()
		before := w.readNamespace().Labels
		edit(w.readNamespace(), func(n *corev1.Namespace) {
			n.Labels["pod-security.kubernetes.io/enforce"] = "privileged"
			delete(n.Labels, v1alpha1.LabelInstance)
			delete(n.Labels, v1alpha1.LabelTenant)
		})
		w.pass()
		Expect(w.readNamespace().Labels).To(Equal(before))
		w.expectNotStalled()
	})

	It("does not undo somebody's kubectl rollout restart", func() {
		w := running()
		edit(read(w, meta.AppStatefulSet, &appsv1.StatefulSet{}), func(s *appsv1.StatefulSet) {
			s.Spec.Template.Annotations = map[string]string{"kubectl.kubernetes.io/restartedAt": "2026-11-21T12:00:00Z"}
		})
		w.settle()
		Expect(read(w, meta.AppStatefulSet, &appsv1.StatefulSet{}).Spec.Template.Annotations).To(HaveKey("kubectl.kubernetes.io/restartedAt"))
	})
})

var _ = Describe("Objects that are not wanted any more", func() {
	// copyOf is a Service like one that Freehold once made, under another name.
	copyOf := func(w *world, owner client.FieldOwner) *corev1.Service {
		GinkgoHelper()
		made := &corev1.Service{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
			ObjectMeta: metav1.ObjectMeta{Name: "old", Namespace: w.namespace(), Labels: meta.Labels(w.name, w.readTenant().Status.InstanceID, "app")},
			Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80, Protocol: corev1.ProtocolTCP}}},
		}
		Expect(env.Client.Patch(ctx, made, client.Apply, owner)).To(Succeed()) //nolint:staticcheck // one call for a typed object
		return made
	}

	It("go if Freehold made them", func() {
		w := running()
		copyOf(w, meta.FieldOwner)
		w.pass()
		w.gone("old", &corev1.Service{})
	})

	It("stay if somebody else made them, even with Freehold's labels", func() {
		w := running()
		copyOf(w, "a-person")
		w.pass()
		read(w, "old", &corev1.Service{})
		w.expectNotStalled()
	})

	It("stay if they belong to another instance", func() {
		w := running()
		made := copyOf(w, meta.FieldOwner)
		edit(made, func(s *corev1.Service) { s.Labels[v1alpha1.LabelInstance] = "another" })
		w.pass()
		read(w, "old", &corev1.Service{})
	})
})

var _ = Describe("Strangers' objects", func() {
	It("leave a namespace alone that is not marked for the Tenant, and tell how to mark it", func() {
		w := newWorld()
		w.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.namespace()}}, w.class(), w.tenant())
		version := w.readNamespace().ResourceVersion
		w.pass()
		Expect(w.expectStalled(v1alpha1.ReasonConflict)).To(ContainSubstring(
			fmt.Sprintf("kubectl label namespace %s freehold.dev/tenant=%s", w.namespace(), w.name)))
		Expect(w.readNamespace().ResourceVersion).To(Equal(version))
		Expect(w.readTenant().Finalizers).To(BeEmpty(), "a Tenant that has nothing needs no finalizer")

		edit(w.readNamespace(), func(n *corev1.Namespace) { n.Labels[v1alpha1.LabelTenant] = w.name })
		w.settle()
		w.expectCondition(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonConverged)
	})

	It("leave a namespace alone that is marked for another Tenant", func() {
		w := newWorld()
		w.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.namespace(), Labels: map[string]string{v1alpha1.LabelTenant: "globex"}}}, w.class(), w.tenant())
		w.pass()
		Expect(w.expectStalled(v1alpha1.ReasonConflict)).To(ContainSubstring("freehold.dev/tenant=globex, which is another Tenant's"))
	})

	It("are not overwritten where they are in the way, and a new instance starts no pod beside them", func() {
		w := newWorld()
		w.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.namespace(), Labels: map[string]string{v1alpha1.LabelTenant: w.name}}},
			&corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: meta.DatabaseService, Namespace: w.namespace()}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 1234}}}},
			w.class(), w.tenant())
		version := read(w, meta.DatabaseService, &corev1.Service{}).ResourceVersion
		Expect(w.pass().RequeueAfter).To(BeNumerically(">", 0), "nobody tells when a stranger's object goes")
		Expect(w.expectStalled(v1alpha1.ReasonConflict)).To(ContainSubstring("Service " + w.namespace() + "/" + meta.DatabaseService))
		Expect(read(w, meta.DatabaseService, &corev1.Service{}).ResourceVersion).To(Equal(version))
		read(w, meta.EdgeService, &corev1.Service{})
		w.gone(meta.DatabaseStatefulSet, &appsv1.StatefulSet{})
		w.gone(meta.EdgeDeployment, &appsv1.Deployment{})

		Expect(env.Client.Delete(ctx, read(w, meta.DatabaseService, &corev1.Service{}))).To(Succeed())
		w.settle()
		w.expectCondition(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonConverged)
	})

	It("do not hold up the repair of an instance that runs", func() {
		w := running()
		Expect(env.Client.Delete(ctx, read(w, meta.EdgeListsConfigMap, &corev1.ConfigMap{}))).To(Succeed())
		w.create(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: meta.EdgeListsConfigMap, Namespace: w.namespace()}})
		Expect(env.Client.Delete(ctx, read(w, meta.AppStatefulSet, &appsv1.StatefulSet{}))).To(Succeed())
		w.pass()
		Expect(w.expectStalled(v1alpha1.ReasonConflict)).To(ContainSubstring(meta.EdgeListsConfigMap))
		read(w, meta.AppStatefulSet, &appsv1.StatefulSet{})
	})

	It("stay untouched beside Freehold's own", func() {
		w := running()
		w.create(&networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: "mine", Namespace: w.namespace()}},
			&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "mine", Namespace: w.namespace()}},
			&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "mine", Namespace: w.namespace()}})
		w.settle()
		read(w, "mine", &networkingv1.NetworkPolicy{})
		read(w, "mine", &corev1.ConfigMap{})
		read(w, "mine", &corev1.Secret{})
	})

	It("lose a hostname to the older Tenant, which is not disturbed", func() {
		first := running()
		second := newWorld()
		t := second.tenant()
		t.Spec.Hostnames = append(t.Spec.Hostnames, v1alpha1.Hostname(first.name+".example.com"))
		// Objects of one second are ordered by name; newWorld counts upwards, so the first stays first.
		second.create(second.class(), t)
		second.pass()
		Expect(second.expectStalled(v1alpha1.ReasonHostnameConflict)).To(ContainSubstring(
			"hostname " + first.name + ".example.com belongs to the older Tenant " + first.name))
		Expect(client.IgnoreNotFound(env.Client.Get(ctx, client.ObjectKey{Name: second.namespace()}, &corev1.Namespace{}))).To(Succeed())
		Expect(first.writes()).To(BeEmpty())

		second.editTenant(func(t *v1alpha1.Tenant) { t.Spec.Hostnames = t.Spec.Hostnames[:1] })
		second.settle()
		second.expectCondition(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonConverged)
	})

	It("lose a hostname that an older Tenant takes later, but are kept running and repaired", func() {
		older, younger := running(), running()
		older.editTenant(func(t *v1alpha1.Tenant) {
			t.Spec.Hostnames = append(t.Spec.Hostnames, v1alpha1.Hostname(younger.name+".example.com"))
		})
		Expect(env.Client.Delete(ctx, read(younger, meta.EdgeService, &corev1.Service{}))).To(Succeed())
		younger.pass()
		younger.cluster()
		younger.pass()
		younger.expectStalled(v1alpha1.ReasonHostnameConflict)
		read(younger, meta.EdgeService, &corev1.Service{})
		Expect(certificate(younger.secret(meta.EdgeTLSSecret)).DNSNames).To(ConsistOf(younger.name + ".example.com"))
		younger.expectCondition(v1alpha1.ConditionAvailable, metav1.ConditionTrue, v1alpha1.ReasonServing)
	})

	It("get no hostname of an older Tenant by an edit while they run, but all else that the edit says", func() {
		older, younger := running(), newWorld()
		t := younger.tenant()
		younger.create(younger.class(), t)
		younger.settle()
		mine, theirs := younger.name+".example.com", older.name+".example.com"
		younger.editTenant(func(t *v1alpha1.Tenant) {
			t.Spec.Hostnames = []v1alpha1.Hostname{v1alpha1.Hostname(theirs), v1alpha1.Hostname(mine), v1alpha1.Hostname("www." + mine)}
		})
		younger.settle()
		younger.expectStalled(v1alpha1.ReasonHostnameConflict)
		Expect(read(younger, meta.EdgeListsConfigMap, &corev1.ConfigMap{}).Data[meta.KeyHostsList]).To(
			And(ContainSubstring("www."+mine), Not(ContainSubstring(theirs))))
		Expect(certificate(younger.secret(meta.EdgeTLSSecret)).DNSNames).To(ConsistOf(mine, "www."+mine))
		Expect(younger.readTenant().Status.URL).To(Equal("https://" + mine))

		By("keeping what they serve when nothing else is asked for")
		younger.editTenant(func(t *v1alpha1.Tenant) { t.Spec.Hostnames = []v1alpha1.Hostname{v1alpha1.Hostname(theirs)} })
		younger.settle()
		Expect(certificate(younger.secret(meta.EdgeTLSSecret)).DNSNames).To(ConsistOf(mine, "www."+mine))
		Expect(older.writes()).To(BeEmpty())

		By("getting it once the older one gives it up")
		older.editTenant(func(t *v1alpha1.Tenant) { t.Spec.Hostnames[0] = "moved." + t.Spec.Hostnames[0] })
		younger.settle()
		younger.expectNotStalled()
		Expect(certificate(younger.secret(meta.EdgeTLSSecret)).DNSNames).To(ConsistOf(theirs))
	})

	It("get no address of an older Tenant by an edit while they run, and keep theirs", func() {
		free := func() string { return fmt.Sprintf("203.0.113.%d", names.Add(1)%250+1) }
		first, second := free(), free()
		asks := func(w *world) string {
			return read(w, meta.EdgeService, &corev1.Service{}).Annotations["example.com/address"]
		}
		older := running(func(t *v1alpha1.Tenant) { t.Spec.Network.Address = first })
		younger := running(func(t *v1alpha1.Tenant) { t.Spec.Network.Address = second })
		younger.editTenant(func(t *v1alpha1.Tenant) { t.Spec.Network.Address = first })
		younger.settle()
		younger.expectStalled(v1alpha1.ReasonAddressConflict)
		Expect(asks(younger)).To(Equal(second))

		By("keeping theirs also when it is the older one that takes it")
		younger.editTenant(func(t *v1alpha1.Tenant) { t.Spec.Network.Address = second })
		younger.settle()
		older.editTenant(func(t *v1alpha1.Tenant) { t.Spec.Network.Address = second })
		younger.settle()
		younger.expectStalled(v1alpha1.ReasonAddressConflict)
		Expect(asks(younger)).To(Equal(second))
	})

	It("lose an address to the older Tenant", func() {
		address := fmt.Sprintf("203.0.113.%d", names.Load()%250+1)
		first := running(func(t *v1alpha1.Tenant) { t.Spec.Network.Address = address })
		second := newWorld()
		t := second.tenant()
		t.Spec.Network.Address = address
		second.create(second.class(), t)
		second.pass()
		Expect(second.expectStalled(v1alpha1.ReasonAddressConflict)).To(ContainSubstring("address " + address + " belongs to the older Tenant " + first.name))
	})
})

var _ = Describe("The load balancer's class", func() {
	kept := func(before, after string) *world {
		w := newWorld()
		class := w.class()
		class.Spec.LoadBalancer.Class = before
		w.create(class, w.tenant())
		w.settle()
		w.switchClass(func(c *v1alpha1.TenantClass) { c.Spec.LoadBalancer.Class = after })
		w.editTenant(func(t *v1alpha1.Tenant) {
			t.Spec.Network.Access = v1alpha1.AccessRestricted
			t.Spec.Network.AllowedRanges = []v1alpha1.CIDR{"198.51.100.0/24"}
		})
		w.settle()
		gate := read(w, meta.EdgeService, &corev1.Service{})
		Expect(gate.Spec.LoadBalancerSourceRanges).To(Equal([]string{"198.51.100.0/24"}), "the rest of the Service must go on changing")
		Expect(ptr.Deref(gate.Spec.LoadBalancerClass, "")).To(Equal(before), "Kubernetes lets nobody change it")
		return w
	}

	DescribeTable("stays what the Service was made for when the class names another one, and that is said", func(before string) {
		w := kept(before, "example.com/new")
		Expect(w.expectStalled(v1alpha1.ReasonInvalidSpec)).To(ContainSubstring(`names the load balancer class "example.com/new"`))
		w.expectCondition(v1alpha1.ConditionAvailable, metav1.ConditionTrue, v1alpha1.ReasonServing)

		By("deleting the Service, as the message says")
		Expect(env.Client.Delete(ctx, read(w, meta.EdgeService, &corev1.Service{}))).To(Succeed())
		w.settle()
		w.expectNotStalled()
		Expect(*read(w, meta.EdgeService, &corev1.Service{}).Spec.LoadBalancerClass).To(Equal("example.com/new"))
	},
		Entry("another one than before", "example.com/old"),
		Entry("one where there was none", ""),
	)

	It("stays when the class names none any more; that may be the cluster's choice", func() {
		kept("example.com/old", "").expectNotStalled()
	})
})
