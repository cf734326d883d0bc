// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/api/v1alpha1"
)

// kinds are the namespaced kinds that the cluster offers and that can be deleted, as a user would list them.
func kinds(ctx context.Context) []schema.GroupVersionKind {
	GinkgoHelper()
	var out []schema.GroupVersionKind
	for _, line := range strings.Split(run(ctx, "kubectl", "api-resources", "--namespaced", "--verbs=list,delete", "--no-headers"), "\n") {
		fields := strings.Fields(line)
		kind, version := fields[len(fields)-1], fields[len(fields)-3]
		out = append(out, schema.FromAPIVersionAndKind(version, kind))
	}
	return out
}

// owned are all objects in the namespace of an instance that nothing but Freehold would bring back, by kind and name.
func owned(ctx context.Context, namespace, instanceID string) map[string]*unstructured.Unstructured {
	GinkgoHelper()
	out := map[string]*unstructured.Unstructured{}
	for _, kind := range kinds(ctx) {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
		Expect(api.List(ctx, list, client.InNamespace(namespace), client.MatchingLabels{v1alpha1.LabelInstance: instanceID})).To(Succeed())
		for i := range list.Items {
			object := &list.Items[i]
			if kind.Kind != "Pod" && kind.Kind != "Endpoints" && len(object.GetOwnerReferences()) == 0 {
				out[kind.Kind+"/"+object.GetName()] = object
			}
		}
	}
	return out
}

// essence is what must be equal in an object that was made again; addresses and ports that the cluster hands out are not.
func essence(object *unstructured.Unstructured) map[string]any {
	copied := object.DeepCopy().Object
	delete(copied, "status")
	delete(copied, "metadata")
	if spec, is := copied["spec"].(map[string]any); is && object.GetKind() == "Service" {
		delete(spec, "healthCheckNodePort")
		if spec["clusterIP"] != "None" {
			delete(spec, "clusterIP")
			delete(spec, "clusterIPs")
		}
	}
	// A StatefulSet names the time of a kubectl rollout restart here, a Deployment its revision.
	copied["labels"] = object.GetLabels()
	annotations := object.GetAnnotations()
	maps.DeleteFunc(annotations, func(name, _ string) bool {
		// The gate's certificate is issued anew when its Secret was lost.
		return !strings.HasPrefix(name, "freehold.dev/") || name == "freehold.dev/gate-certificate" || name == "freehold.dev/lists-hurried"
	})
	copied["annotations"] = annotations
	return copied
}

var _ = Describe("Somebody deletes objects of an instance by hand", Ordered, func() {
	customer := named("repaired")
	var before map[string]*unstructured.Unstructured
	var instanceID string

	BeforeAll(func(ctx SpecContext) {
		class := minifluxClass()
		class.Name = "e2e-repaired"
		class.Spec.Edge.Replicas = 2 // Only several replicas have a PodDisruptionBudget.
		renewClass(ctx, class)
		DeferCleanup(func(ctx SpecContext) { Expect(api.Delete(ctx, class)).To(Succeed()) }, NodeTimeout(limit))
		customer.order(ctx, func(t *v1alpha1.Tenant) { t.Spec.ClassRef.Name = class.Name }).available(ctx).answers(ctx)
		customer.writes(ctx, "kept through all repairs")
		instanceID = customer.instanceID(ctx)
		before = owned(ctx, customer.namespace, instanceID)
	}, NodeTimeout(limit))

	// deleteAndWait deletes and waits until everything is there again, made anew and equal to what it was.
	deleteAndWait := func(ctx context.Context, doomed []string) {
		GinkgoHelper()
		for _, name := range doomed {
			Expect(breakGlass.Delete(ctx, before[name].DeepCopy())).To(Succeed(), name)
		}
		for _, name := range doomed {
			was := before[name]
			Eventually(func(g Gomega) {
				now := &unstructured.Unstructured{}
				now.SetGroupVersionKind(was.GroupVersionKind())
				g.Expect(api.Get(ctx, client.ObjectKeyFromObject(was), now)).To(Succeed())
				g.Expect(now.GetUID()).NotTo(Equal(was.GetUID()), "it should have been made anew")
				g.Expect(essence(now)).To(Equal(essence(was)))
			}).WithContext(ctx).Should(Succeed(), "%s was deleted by hand and should come back as it was", name)
		}
	}
	inKinds := func(kinds ...string) []string {
		return slices.DeleteFunc(slices.Sorted(maps.Keys(before)), func(name string) bool {
			return !slices.Contains(kinds, name[:strings.Index(name, "/")])
		})
	}
	workloads := []string{"StatefulSet", "Deployment"}

	It("knows all kinds that an instance is made of", func() {
		found := map[string]bool{}
		for name := range before {
			found[name[:strings.Index(name, "/")]] = true
		}
		Expect(slices.Sorted(maps.Keys(found))).To(Equal([]string{"ConfigMap", "ControllerRevision", "Deployment", "LimitRange",
			"NetworkPolicy", "PersistentVolumeClaim", "PodDisruptionBudget", "ResourceQuota", "RoleBinding", "Secret", "Service",
			"ServiceAccount", "StatefulSet"}), "a new kind needs a thought here: what happens when somebody deletes it?")
	})

	It("brings everything around the pods back at once, and restarts none of them", func(ctx SpecContext) {
		pods := customer.lives(ctx)
		deleteAndWait(ctx, inKinds("ConfigMap", "ControllerRevision", "LimitRange", "NetworkPolicy", "PodDisruptionBudget",
			"ResourceQuota", "RoleBinding", "Service", "ServiceAccount"))
		customer.available(ctx).answers(ctx)
		Expect(customer.lives(ctx)).To(Equal(pods), "no pod should be restarted by a repair")
	}, SpecTimeout(limit))

	It("brings Secrets back within the audit's time, with the same passwords and authority", func(ctx SpecContext) {
		pods, password, authority := customer.lives(ctx), customer.password(ctx), customer.authorityPEM(ctx)
		var secrets []string
		for _, name := range inKinds("Secret") {
			// Leaf certificates are issued anew; everything else has to be what it was.
			if strings.HasSuffix(name, "-tls") {
				Expect(breakGlass.Delete(ctx, before[name].DeepCopy())).To(Succeed(), name)
				continue
			}
			secrets = append(secrets, name)
		}
		deleteAndWait(ctx, secrets)
		Eventually(func(g Gomega) {
			now := owned(ctx, customer.namespace, instanceID)
			for _, name := range inKinds("Secret") {
				g.Expect(now).To(HaveKey(name))
			}
		}).WithContext(ctx).Should(Succeed())
		Expect(customer.password(ctx)).To(Equal(password))
		Expect(customer.authorityPEM(ctx)).To(Equal(authority))
		customer.available(ctx).answers(ctx)
		Expect(customer.lives(ctx)).To(Equal(pods), "no pod should be restarted by a repair")
	}, SpecTimeout(limit))

	It("brings workloads back from their stored revision, with the data", func(ctx SpecContext) {
		deleteAndWait(ctx, inKinds(workloads...))
		customer.available(ctx)
		customer.has(ctx, "kept through all repairs")
	}, SpecTimeout(limit))

	It("repairs what was changed or stripped of its labels", func(ctx SpecContext) {
		for what, damage := range map[string][]string{
			"an opened network policy": {"patch", "networkpolicy", "freehold-database", "--type=merge", "-p", `{"spec":{"ingress":[{}]}}`},
			"a second door":            {"patch", "service", "edge", "--type=json", "-p", `[{"op":"add","path":"/spec/ports/-","value":{"name":"backdoor","port":5432,"targetPort":5432}}]`},
			"a removed quota":          {"patch", "resourcequota", "freehold", "--type=merge", "-p", `{"spec":{"hard":{"pods":"1000"}}}`},
			"labels of a Service":      {"label", "service", "app", v1alpha1.LabelTenant + "-", v1alpha1.LabelInstance + "-"},
			"labels of a StatefulSet":  {"label", "statefulset", "db", v1alpha1.LabelTenant + "-", v1alpha1.LabelInstance + "-"},
			"a changed certificate":    {"patch", "configmap", "freehold-trust", "--type=merge", "-p", `{"data":{"ca.crt":"nonsense"}}`},
		} {
			By(what)
			run(ctx, "kubectl", append(slices.Concat(withGlass, []string{"-n", customer.namespace}), damage...)...)
		}
		Eventually(func(g Gomega) {
			now := owned(ctx, customer.namespace, instanceID)
			for name, was := range before {
				g.Expect(now).To(HaveKey(name))
				if !strings.HasPrefix(name, "Secret/") {
					g.Expect(essence(now[name])).To(Equal(essence(was)), name)
				}
			}
		}).WithContext(ctx).Should(Succeed(), "everything should be as before the damage")
		customer.available(ctx).answers(ctx)
	}, SpecTimeout(limit))

	It("is at rest afterwards", func(ctx SpecContext) {
		last := customer.rests(ctx)
		Consistently(func() string { return customer.versions(ctx) }).WithContext(ctx).Should(Equal(last), "a converged instance should not be written to")
	}, SpecTimeout(limit))
})

// versions are those of all objects of the instance: equal answers mean that nothing was written in between.
func (c *customer) versions(ctx context.Context) string {
	GinkgoHelper()
	var text []string
	for name, object := range owned(ctx, c.namespace, c.instanceID(ctx)) {
		if object.GetKind() == "ResourceQuota" {
			continue // Kubernetes counts the pods of proofs in its status.
		}
		text = append(text, fmt.Sprintf("%s %s", name, object.GetResourceVersion()))
	}
	slices.Sort(text)
	return strings.Join(text, "\n")
}

// rests waits until nothing is written any more, and returns the versions.
func (c *customer) rests(ctx context.Context) string {
	GinkgoHelper()
	last := ""
	Eventually(func() bool { now := c.versions(ctx); same := now == last; last = now; return same }).WithContext(ctx).Should(BeTrue())
	return last
}

// strangers are objects that are none of Freehold's.
const strangers = `
apiVersion: v1
kind: ConfigMap
metadata: {name: their-config}
data: {theirs: "yes"}
---
apiVersion: v1
kind: Service
metadata: {name: their-service, labels: {app: theirs}}
spec: {selector: {app: theirs}, ports: [{port: 80}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: their-policy}
spec: {podSelector: {matchLabels: {app: theirs}}, policyTypes: [Ingress]}
---
apiVersion: v1
kind: Secret
metadata: {name: their-secret}
stringData: {theirs: "yes"}
`

// ofStrangers are those objects as they are in the customer's namespace.
func ofStrangers(ctx context.Context, c *customer) string {
	GinkgoHelper()
	return run(ctx, "kubectl", "get", "configmap/their-config", "service/their-service", "networkpolicy/their-policy",
		"secret/their-secret", "-n", c.namespace, "-o", "yaml")
}

var _ = Describe("The instance lives among objects of strangers", Ordered, func() {
	customer := named("neighbours")
	theirs := func(ctx context.Context) string { return ofStrangers(ctx, customer) }

	BeforeAll(func(ctx SpecContext) {
		customer.leavesNothing()
		run(ctx, "kubectl", "create", "namespace", customer.namespace)
		Expect(api.Create(ctx, customer.manifest())).To(Succeed())
	}, NodeTimeout(limit))

	It("leaves a namespace alone that nobody has handed over, and says how to", func(ctx SpecContext) {
		customer.stalled(ctx, v1alpha1.ReasonConflict, "kubectl label namespace tenant-neighbours freehold.dev/tenant=neighbours")
		Expect(run(ctx, "kubectl", "get", "networkpolicy,secret,service,pvc", "-n", customer.namespace, "-o", "name")).To(BeEmpty())
	}, SpecTimeout(limit))

	It("does not take an object that a stranger owns, and names it", func(ctx SpecContext) {
		run(ctx, "kubectl", "create", "configmap", "freehold-instance", "-n", customer.namespace, "--from-literal=theirs=yes")
		run(ctx, "kubectl", "label", "namespace", customer.namespace, v1alpha1.LabelTenant+"="+customer.name)
		customer.stalled(ctx, v1alpha1.ReasonConflict, "ConfigMap", "freehold-instance")
		Expect(run(ctx, "kubectl", "get", "configmap", "freehold-instance", "-n", customer.namespace, "-o", "jsonpath={.data}")).To(Equal(`{"theirs":"yes"}`))
		Expect(customer.pods(ctx)).To(BeEmpty())
	}, SpecTimeout(limit))

	It("uses the namespace once nothing stands in the way", func(ctx SpecContext) {
		run(ctx, "kubectl", "delete", "configmap", "freehold-instance", "-n", customer.namespace)
		customer.available(ctx).answers(ctx)
	}, SpecTimeout(limit))

	It("never touches strangers' objects", func(ctx SpecContext) {
		pipe(ctx, strangers, "kubectl", append(slices.Clone(withGlass), "apply", "-n", customer.namespace, "-f", "-")...)
		before := theirs(ctx)
		customer.patch(ctx, `{"spec":{"suspended":true}}`)
		Eventually(customer.poll(ctx, v1alpha1.ConditionAvailable)).WithContext(ctx).Should(HavePrefix("Available=False Suspended"))
		customer.patch(ctx, `{"spec":{"suspended":false}}`)
		customer.available(ctx)
		customer.cancel(ctx)
		Expect(theirs(ctx)).To(Equal(before), "strangers' objects should be byte for byte what they were")
	}, SpecTimeout(limit))
})
