// SPDX-License-Identifier: Apache-2.0

package tenant_test

import (
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
	"github.com/freehold-dev/freehold/controllers/internal/testenv"
)

// pod makes a pod as the workload of a component would.
func (w *world) pod(name, serves string) *corev1.Pod {
	GinkgoHelper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: w.namespace(), Labels: map[string]string{
			v1alpha1.LabelInstance: w.readTenant().Status.InstanceID, v1alpha1.LabelServes: serves}},
		Spec: corev1.PodSpec{
			AutomountServiceAccountToken: ptr.To(false),
			SecurityContext:              &corev1.PodSecurityContext{RunAsNonRoot: ptr.To(true), SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}},
			Containers: []corev1.Container{{Name: "c", Image: "c", SecurityContext: &corev1.SecurityContext{
				AllowPrivilegeEscalation: ptr.To(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}}}},
		},
	}
	w.create(pod)
	return pod
}

func (w *world) listsHash(pod *corev1.Pod) string {
	GinkgoHelper()
	return read(w, pod.Name, &corev1.Pod{}).Annotations[meta.AnnotationListsHash]
}

var _ = Describe("New lists of the gate", func() {
	var (
		w    *world
		gate *corev1.Pod
	)
	BeforeEach(func() {
		w = running()
		gate = w.pod("edge-1", meta.ComponentEdge)
	})

	lockDown := func(on bool) { w.editTenant(func(t *v1alpha1.Tenant) { t.Spec.Lockdown = on }) }
	// aboutPods are the requests since the last reset that concern pods.
	aboutPods := func() []testenv.Request {
		return w.requests.Seen(func(r testenv.Request) bool { return strings.Contains(r.Path, "/pods") })
	}

	It("make the kubelet look at them at once, and once more in case it looked too early", func() {
		app := w.pod("app-0", meta.ComponentApp)
		w.clock.SetTime(time.Now().Add(time.Second)) // The API server's time, by which the rounds are spaced.
		lockDown(true)
		result := w.pass()
		first := w.listsHash(gate)
		Expect(first).NotTo(BeEmpty())
		Expect(read(w, meta.EdgeListsConfigMap, &corev1.ConfigMap{}).Data[meta.KeyAllowedList]).NotTo(ContainSubstring("0.0.0.0/0"))
		Expect(result.RequeueAfter).To(And(BeNumerically(">", 0), BeNumerically("<=", 2*time.Second)))
		Expect(w.writes()).To(BeEmpty(), "the second round has its time")

		w.clock.SetTime(w.clock.Now().Add(time.Minute))
		w.pass()
		second := w.listsHash(gate)
		Expect(second).NotTo(Equal(first))
		Expect(w.listsHash(app)).To(BeEmpty(), "the application does not read the gate's lists")

		By("costing nothing once the pods were told, also after a restart of the operator")
		w.restart()
		w.requests.Reset()
		w.clock.SetTime(w.clock.Now().Add(time.Minute))
		Expect(w.writes()).To(BeEmpty())
		Expect(aboutPods()).To(BeEmpty())

		lockDown(false)
		w.pass()
		Expect(w.listsHash(gate)).NotTo(BeElementOf(first, second), "taking the lockdown back is as urgent")
	})

	It("are told of after a crash that came between the lists and the pods", func() {
		// As if the operator had ended after the first of the two writes.
		edit(read(w, meta.EdgeListsConfigMap, &corev1.ConfigMap{}), func(c *corev1.ConfigMap) {
			c.Annotations[meta.AnnotationListsHurried] = "0123456789-2"
		})
		w.restart()
		w.pass()
		Expect(w.listsHash(gate)).NotTo(BeEmpty())

		By("leaving a pod alone that was told already")
		told := read(w, gate.Name, &corev1.Pod{}).ResourceVersion
		edit(read(w, meta.EdgeListsConfigMap, &corev1.ConfigMap{}), func(c *corev1.ConfigMap) {
			c.Annotations[meta.AnnotationListsHurried] = "never"
		})
		w.pass()
		Expect(read(w, gate.Name, &corev1.Pod{}).ResourceVersion).To(Equal(told))

		By("not telling anybody when something else changes")
		w.clock.SetTime(w.clock.Now().Add(time.Minute))
		w.pass()
		w.requests.Reset()
		w.editClass(func(c *v1alpha1.TenantClass) {
			c.Spec.AllowedEgress = []v1alpha1.EgressRule{{CIDR: "192.0.2.0/24", Ports: []int32{443}}}
		})
		w.pass()
		Expect(w.writesSeen()).NotTo(BeEmpty())
		Expect(aboutPods()).To(BeEmpty())
	})

	It("are told of together with a new certificate", func() {
		w.settle()
		w.clock.SetTime(time.Now().Add(70 * 24 * time.Hour)) // renewed after 60 of 90 days
		before := w.listsHash(gate)
		w.pass()
		told := w.listsHash(gate)
		Expect(told).NotTo(Equal(before), "the kubelet should look at the new certificate at once")
		w.settle()
		w.requests.Reset()
		w.pass()
		Expect(aboutPods()).To(BeEmpty())
	})
})
