// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/api/v1alpha1"
)

// barrier stops the operator at a step: the API server refuses it to write certain things for one tenant. So the
// operator can be killed exactly there, again and again the same way.
type barrier struct {
	policy  *admissionregistrationv1.ValidatingAdmissionPolicy
	binding *admissionregistrationv1.ValidatingAdmissionPolicyBinding
}

const barrierName = "e2e-barrier"

// rules match what the steps write.
func rules(steps []step) []admissionregistrationv1.NamedRuleWithOperations {
	var out []admissionregistrationv1.NamedRuleWithOperations
	for _, s := range steps {
		out = append(out, admissionregistrationv1.NamedRuleWithOperations{RuleWithOperations: admissionregistrationv1.RuleWithOperations{
			Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create, admissionregistrationv1.Update},
			Rule:       admissionregistrationv1.Rule{APIGroups: []string{s.group}, APIVersions: []string{"*"}, Resources: []string{s.resource}},
		}})
	}
	return out
}

// close puts the barrier up: what the operator writes in these steps is refused when the CEL expression is true.
func (b *barrier) close(ctx context.Context, when string, steps ...step) {
	GinkgoHelper()
	b.policy = &admissionregistrationv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: barrierName}}
	b.policy.Spec = admissionregistrationv1.ValidatingAdmissionPolicySpec{
		MatchConstraints: &admissionregistrationv1.MatchResources{ResourceRules: rules(steps)},
		MatchConditions: []admissionregistrationv1.MatchCondition{
			{Name: "operator", Expression: fmt.Sprintf("request.userInfo.username == 'system:serviceaccount:%s:freehold-manager'", operatorNamespace)},
			{Name: "step", Expression: when},
		},
		Validations: []admissionregistrationv1.Validation{{Expression: "false", Message: barrierName + " is closed"}},
	}
	b.binding = &admissionregistrationv1.ValidatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: barrierName}}
	b.binding.Spec = admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{PolicyName: barrierName,
		ValidationActions: []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny}}
	Expect(api.Create(ctx, b.policy)).To(Succeed())
	Expect(api.Create(ctx, b.binding)).To(Succeed())
}

// move puts the barrier in front of other steps.
func (b *barrier) move(ctx context.Context, when string, steps ...step) {
	GinkgoHelper()
	b.policy.Spec.MatchConstraints.ResourceRules = rules(steps)
	b.policy.Spec.MatchConditions[1].Expression = when
	current := &admissionregistrationv1.ValidatingAdmissionPolicy{}
	Expect(api.Get(ctx, client.ObjectKeyFromObject(b.policy), current)).To(Succeed())
	b.policy.ResourceVersion = current.ResourceVersion // Kubernetes writes its judgement of the expressions into it.
	Expect(api.Update(ctx, b.policy)).To(Succeed())
}

func (b *barrier) open(ctx context.Context) {
	GinkgoHelper()
	Expect(client.IgnoreNotFound(api.Delete(ctx, b.binding))).To(Succeed())
	Expect(client.IgnoreNotFound(api.Delete(ctx, b.policy))).To(Succeed())
}

// holds waits until the API server enforces the barrier: a request like the operator's is refused.
func (b *barrier) holds(ctx context.Context, manifest string) {
	GinkgoHelper()
	Eventually(func() string { return asOperator(ctx, manifest) }).WithContext(ctx).
		Should(ContainSubstring(barrierName+" is closed"), "the barrier should be enforced")
}

// passes waits until the barrier has gone from in front of a step.
func (b *barrier) passes(ctx context.Context, manifest string) {
	GinkgoHelper()
	Eventually(func() string { return asOperator(ctx, manifest) }).WithContext(ctx).
		ShouldNot(ContainSubstring(barrierName), "the barrier should have moved on")
}

// asOperator tries a request in the operator's name, without an effect, and returns the answer.
func asOperator(ctx context.Context, manifest string) string {
	out, _ := tryPipe(ctx, manifest, "kubectl", "create", "--dry-run=server", "-f", "-",
		"--as=system:serviceaccount:"+operatorNamespace+":freehold-manager", "--as-group=system:masters")
	return out
}

// step is something that the operator writes, and a manifest by which the barrier in front of it can be tried.
type step struct{ group, resource, manifest string }

var _ = Describe("The operator is killed", Ordered, Serial, func() {
	customer := named("crashed")
	var gate barrier
	inNamespace := "request.namespace == 'tenant-crashed' || object.metadata.name == 'tenant-crashed'"

	object := func(version, kind, rest string) string {
		metadata := "  name: probe\n  namespace: " + customer.namespace + "\n"
		return fmt.Sprintf("apiVersion: %s\nkind: %s\nmetadata:\n%s%s", version, kind, metadata, rest)
	}
	workload := "spec:\n  selector: {matchLabels: {a: b}}\n  template:\n    metadata: {labels: {a: b}}\n    spec: {containers: [{name: c, image: i}]}\n"
	steps := []step{
		{"rbac.authorization.k8s.io", "rolebindings", object("rbac.authorization.k8s.io/v1", "RoleBinding", "roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: freehold-tenant}\nsubjects: [{kind: ServiceAccount, name: freehold-manager, namespace: "+operatorNamespace+"}]\n")},
		{"", "resourcequotas", object("v1", "ResourceQuota", "")},
		{"networking.k8s.io", "networkpolicies", object("networking.k8s.io/v1", "NetworkPolicy", "spec: {podSelector: {}}\n")},
		{"", "serviceaccounts", object("v1", "ServiceAccount", "")},
		{"", "secrets", object("v1", "Secret", "")},
		{"", "configmaps", object("v1", "ConfigMap", "")},
		{"", "services", object("v1", "Service", "spec: {ports: [{port: 1}]}\n")},
		{"", "persistentvolumeclaims", object("v1", "PersistentVolumeClaim", "spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}\n")},
		{"apps", "controllerrevisions", object("apps/v1", "ControllerRevision", "revision: 1\ndata: {}\n")},
		{"apps", "statefulsets", object("apps/v1", "StatefulSet", workload)},
		{"apps", "deployments", object("apps/v1", "Deployment", workload)},
	}

	// refused waits until the operator has run into the barrier in front of a step.
	refused := func(ctx context.Context, s step) {
		GinkgoHelper()
		Eventually(customer.poll(ctx, v1alpha1.ConditionReconciling)).WithContext(ctx).
			Should(MatchRegexp(`%s.* is forbidden: .*%s is closed`, s.resource, barrierName), "the operator should stand before %s", s.resource)
	}
	oneInstance := func(ctx context.Context) {
		GinkgoHelper()
		var keys corev1.SecretList
		Expect(api.List(ctx, &keys, client.InNamespace(operatorNamespace), client.MatchingLabels{v1alpha1.LabelTenant: customer.name})).To(Succeed())
		Expect(keys.Items).To(HaveLen(1), "one instance, one set of keys")
		Expect(keys.Items[0].Labels).To(HaveKeyWithValue(v1alpha1.LabelInstance, customer.instanceID(ctx)))
	}

	AfterAll(func(ctx SpecContext) { gate.open(ctx) }, NodeTimeout(limit))

	BeforeAll(func(ctx SpecContext) {
		customer.leavesNothing()
		run(ctx, "kubectl", "create", "namespace", customer.namespace)
		run(ctx, "kubectl", "label", "namespace", customer.namespace, v1alpha1.LabelTenant+"="+customer.name)
		gate.close(ctx, inNamespace, steps...)
		gate.holds(ctx, steps[0].manifest)
		Expect(api.Create(ctx, customer.manifest())).To(Succeed())
	}, NodeTimeout(limit))

	It("at each step of a creation; in the end the instance serves, and there is one", func(ctx SpecContext) {
		var instanceID string
		for i, s := range steps {
			By("killing it before " + s.resource)
			refused(ctx, s)
			if i == 0 {
				instanceID = customer.instanceID(ctx)
			}
			if i+1 < len(steps) {
				// What does not depend on a refused object is written all the same, so all later steps are refused.
				gate.move(ctx, inNamespace, steps[i+1:]...)
				gate.passes(ctx, s.manifest)
			} else {
				gate.open(ctx)
			}
			killOperator(ctx)
			Expect(customer.instanceID(ctx)).To(Equal(instanceID), "the identity should be minted once")
		}
		customer.available(ctx).answers(ctx)
		customer.writes(ctx, "written after many deaths")
		Expect(customer.instanceID(ctx)).To(Equal(instanceID))
		oneInstance(ctx)
		logs := run(ctx, "kubectl", "logs", "-n", customer.namespace, "db-0", "-c", "prepare")
		Expect(strings.Count(logs, "made a new database")).To(Equal(1), "the volume should have been initialised once: %s", logs)
	}, SpecTimeout(limit))

	It("at each step of a deletion; in the end the data is retained, and comes back", func(ctx SpecContext) {
		instanceID := customer.instanceID(ctx)
		gate.close(ctx, inNamespace, step{group: "apps", resource: "*"})
		gate.holds(ctx, object("apps/v1", "StatefulSet", workload))
		Expect(api.Delete(ctx, customer.manifest())).To(Succeed())
		refused(ctx, step{resource: "(statefulsets|deployments).apps"})
		killOperator(ctx)
		By("killing it before the mark on the namespace")
		gate.move(ctx, inNamespace, step{group: "", resource: "namespaces"})
		gate.holds(ctx, "apiVersion: v1\nkind: Namespace\nmetadata: {name: tenant-crashed, labels: {pod-security.kubernetes.io/enforce: restricted}}\n")
		refused(ctx, step{resource: "namespaces"})
		Expect(customer.pods(ctx)).To(BeEmpty())
		killOperator(ctx)
		By("killing it before the Tenant is let go")
		gate.move(ctx, "object.metadata.name == 'crashed'", step{group: "freehold.dev", resource: "tenants"})
		ns := &corev1.Namespace{}
		Eventually(func(g Gomega) {
			g.Expect(api.Get(ctx, client.ObjectKey{Name: customer.namespace}, ns)).To(Succeed())
			g.Expect(ns.Labels).To(HaveKeyWithValue(v1alpha1.LabelRetained, "true"))
		}).WithContext(ctx).Should(Succeed(), "the namespace should be marked as retained")
		killOperator(ctx)
		gate.open(ctx)
		customer.gone(ctx)
		oneInstance(ctx)
		Expect(api.Create(ctx, customer.manifest(adopting(instanceID), func(t *v1alpha1.Tenant) {
			t.Spec.DeletionProtection = ptr.To(false)
		}))).To(Succeed())
		customer.available(ctx)
		customer.has(ctx, "written after many deaths")
		Expect(customer.instanceID(ctx)).To(Equal(instanceID))
	}, SpecTimeout(limit))
})
