// SPDX-License-Identifier: Apache-2.0

package tenant_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
	"github.com/freehold-dev/freehold/controllers/internal/testenv"
)

// fleet is how many Tenants the manager has in these specs.
const fleet = 50

// operator is a running manager, as main.go makes it.
type operator struct {
	requests *testenv.Requests
	stop     context.CancelFunc
	ended    chan error
}

func startOperator(environment *testenv.Environment) *operator {
	GinkgoHelper()
	counted, requests := testenv.Counting(environment.Config)
	mgr, err := ctrl.NewManager(counted, ctrl.Options{
		Scheme: controllers.Scheme(), Cache: controllers.CacheOptions(), Client: controllers.ClientOptions(),
		Metrics:    metricsserver.Options{BindAddress: "0"},
		Controller: config.Controller{SkipNameValidation: ptr.To(true)},
	})
	Expect(err).NotTo(HaveOccurred())
	settings := options()
	settings.AuditInterval = 100 * 365 * 24 * time.Hour // no audit falls into these specs
	Expect(controllers.Setup(mgr, controllers.Options{Tenant: settings})).To(Succeed())
	ctx, cancel := context.WithCancel(ctx)
	o := &operator{requests: requests, stop: cancel, ended: make(chan error, 1)}
	go func() { o.ended <- mgr.Start(ctx) }()
	Expect(mgr.GetCache().WaitForCacheSync(ctx)).To(BeTrue())
	return o
}

func (o *operator) end() {
	GinkgoHelper()
	o.stop()
	Eventually(o.ended).WithTimeout(time.Minute).Should(Receive(BeNil()))
}

// quiet waits until the operator has asked for nothing for a while.
func (o *operator) quiet() {
	GinkgoHelper()
	Eventually(func() []testenv.Request {
		o.requests.Reset()
		time.Sleep(2 * time.Second) // the span over which silence is measured, not a wait for something
		return o.requests.Reconciling()
	}).WithTimeout(2 * time.Minute).WithPolling(time.Millisecond).Should(BeEmpty())
}

// reconciles counts the passes of all operators of this process.
func reconciles() float64 {
	GinkgoHelper()
	return metric("controller_runtime_reconcile_total", map[string]string{"controller": "tenant"})
}

// metric is the sum of a metric over all series with the given labels.
func metric(name string, labels map[string]string) float64 {
	GinkgoHelper()
	families, err := metrics.Registry.Gather()
	Expect(err).NotTo(HaveOccurred())
	total, found := 0.0, false
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, series := range family.GetMetric() {
			has := map[string]string{}
			for _, label := range series.GetLabel() {
				has[label.GetName()] = label.GetValue()
			}
			if !subset(labels, has) {
				continue
			}
			found = true
			total += series.GetCounter().GetValue() + series.GetGauge().GetValue()
		}
	}
	Expect(found).To(BeTrue(), "there is no metric %s with %v", name, labels)
	return total
}

func subset(part, whole map[string]string) bool {
	for key, value := range part {
		if whole[key] != value {
			return false
		}
	}
	return true
}

// besidesInitialLists leaves out how a watch begins where the API server does not stream the list: one list of a kind
// over all namespaces.
func besidesInitialLists(requests []testenv.Request) []testenv.Request {
	return slices.DeleteFunc(requests, func(r testenv.Request) bool {
		path, query, _ := strings.Cut(r.Path, "?")
		return !r.IsWrite() && !strings.Contains(path, "/namespaces/") && strings.Contains(query, "resourceVersion=0")
	})
}

var _ = Describe("The operator as it runs", Ordered, Serial, func() {
	var (
		own   *testenv.Environment
		o     *operator
		ended bool
	)
	member := func(i int) *world { return &world{name: fmt.Sprintf("fleet-%02d", i)} }
	on := func(own *testenv.Environment, f func()) {
		shared := env
		env = own
		defer func() { env = shared }()
		f()
	}
	ready := func() int {
		var list v1alpha1.TenantList
		Expect(own.Client.List(ctx, &list)).To(Succeed())
		n := 0
		for _, t := range list.Items {
			if apimeta.IsStatusConditionTrue(t.Status.Conditions, v1alpha1.ConditionReady) && apimeta.IsStatusConditionTrue(t.Status.Conditions, v1alpha1.ConditionAvailable) {
				n++
			}
		}
		return n
	}

	BeforeAll(func() {
		var err error
		own, err = testenv.Start()
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func() {
			if !ended {
				o.end()
			}
			Expect(own.Stop()).To(Succeed())
		})
		Expect(own.Client.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: operatorNamespace}})).To(Succeed())
		o = startOperator(own)
	})

	It("brings up a fleet", func() {
		class := member(0).class()
		class.Name = "fleet"
		Expect(own.Client.Create(ctx, class)).To(Succeed())
		for i := range fleet {
			t := member(i).tenant()
			t.Spec.ClassRef.Name = "fleet"
			Expect(own.Client.Create(ctx, t)).To(Succeed())
		}
		Eventually(func() int {
			on(own, func() {
				for i := range fleet {
					member(i).cluster()
				}
			})
			return ready()
		}).WithTimeout(5 * time.Minute).WithPolling(500 * time.Millisecond).Should(Equal(fleet))
	})

	It("asks the API server for nothing once the fleet has converged", func() {
		Expect(o.requests.Seen(testenv.Request.IsWrite)).NotTo(BeEmpty(), "a counter that counts nothing proves nothing")
		o.quiet()
		o.requests.Reset()
		Consistently(o.requests.Reconciling).WithTimeout(5 * time.Second).WithPolling(time.Second).Should(BeEmpty())
	})

	It("asks for nothing but its watches after a restart", func() {
		o.end()
		ended = true
		before := reconciles()
		o = startOperator(own)
		ended = false
		Eventually(reconciles).WithTimeout(time.Minute).Should(BeNumerically(">=", before+fleet), "each Tenant shall be looked at")
		Consistently(func() []testenv.Request { return besidesInitialLists(o.requests.Reconciling()) }).
			WithTimeout(3 * time.Second).WithPolling(time.Second).Should(BeEmpty())
		Expect(o.requests.Seen(func(r testenv.Request) bool { return r.Watch })).NotTo(BeEmpty(), "a counter that counts nothing proves nothing")
	})

	It("undoes drift at once", func() {
		w := member(7)
		service := &corev1.Service{}
		key := types.NamespacedName{Namespace: w.namespace(), Name: meta.AppService}
		Expect(own.Client.Get(ctx, key, service)).To(Succeed())
		Expect(own.Client.Delete(ctx, service)).To(Succeed())
		Eventually(func() error { return own.Client.Get(ctx, key, &corev1.Service{}) }).WithTimeout(time.Minute).Should(Succeed())

		database := &appsv1.StatefulSet{}
		key.Name = meta.DatabaseStatefulSet
		Expect(own.Client.Get(ctx, key, database)).To(Succeed())
		uid := database.UID
		before := database.DeepCopy()
		database.Labels = nil
		Expect(own.Client.Patch(ctx, database, client.MergeFrom(before))).To(Succeed())
		Eventually(func() map[string]string {
			Expect(own.Client.Get(ctx, key, database)).To(Succeed())
			return database.Labels
		}).WithTimeout(time.Minute).Should(Equal(before.Labels))
		Expect(database.UID).To(Equal(uid))
		o.quiet()
	})

	It("offers an edit of the class to every Tenant, and restarts none", func() {
		class := &v1alpha1.TenantClass{}
		Expect(own.Client.Get(ctx, types.NamespacedName{Name: "fleet"}, class)).To(Succeed())
		class.Spec.App.Image = "registry.example/app:2"
		Expect(own.Client.Update(ctx, class)).To(Succeed())
		Eventually(func() int {
			var list v1alpha1.TenantList
			Expect(own.Client.List(ctx, &list)).To(Succeed())
			n := 0
			for _, t := range list.Items {
				if apimeta.IsStatusConditionTrue(t.Status.Conditions, v1alpha1.ConditionUpdatePending) {
					n++
				}
			}
			return n
		}).WithTimeout(time.Minute).Should(Equal(fleet))
		var sets appsv1.StatefulSetList
		Expect(own.Client.List(ctx, &sets)).To(Succeed())
		Expect(sets.Items).To(HaveLen(2 * fleet))
		for _, set := range sets.Items {
			Expect(set.Generation).To(Equal(int64(1)), "StatefulSet %s/%s was changed", set.Namespace, set.Name)
		}
	})

	It("follows an edit of a backup policy", func() {
		w := member(3)
		opened := func() (out []string) {
			wall := types.NamespacedName{Namespace: w.namespace(), Name: meta.PolicyArchive}
			if own.Client.Get(ctx, wall, &networkingv1.NetworkPolicy{}) == nil {
				on(own, func() { out = w.opens() })
			}
			return out
		}
		on(own, func() {
			w.create(w.backupPolicy())
			w.editTenant(w.named)
		})
		Eventually(opened).WithTimeout(time.Minute).Should(Equal([]string{"198.51.100.0/24:443"}))
		on(own, func() {
			edit(w.backupPolicy(), func(p *v1alpha1.BackupPolicy) { p.Spec.Destinations[0].S3.Port = 7443 })
		})
		Eventually(opened).WithTimeout(time.Minute).Should(Equal([]string{"198.51.100.0/24:7443"}))
	})

	It("gives a hostname to the next Tenant once the older one lets it go", func() {
		w := member(99)
		t := w.tenant()
		t.Spec.ClassRef.Name = "fleet"
		t.Spec.Hostnames = []v1alpha1.Hostname{"fleet-00.example.com"}
		Expect(own.Client.Create(ctx, t)).To(Succeed())
		stalled := func() *metav1.Condition {
			Expect(own.Client.Get(ctx, client.ObjectKeyFromObject(t), t)).To(Succeed())
			return apimeta.FindStatusCondition(t.Status.Conditions, v1alpha1.ConditionStalled)
		}
		Eventually(stalled).WithTimeout(time.Minute).Should(HaveField("Reason", v1alpha1.ReasonHostnameConflict))
		on(own, func() {
			member(0).editTenant(func(t *v1alpha1.Tenant) { t.Spec.Hostnames = []v1alpha1.Hostname{"moved.example.com"} })
		})
		Eventually(stalled).WithTimeout(time.Minute).Should(BeNil())
	})

	It("harms nobody when the CustomResourceDefinition is deleted", func() {
		o.quiet()
		before := map[string]string{}
		var sets appsv1.StatefulSetList
		Expect(own.Client.List(ctx, &sets)).To(Succeed())
		for _, set := range sets.Items {
			before[set.Namespace+"/"+set.Name] = set.ResourceVersion
		}
		Expect(own.Client.Delete(ctx, &apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: "tenants.freehold.dev"}})).To(Succeed())
		Eventually(func() int {
			var list v1alpha1.TenantList
			Expect(own.Client.List(ctx, &list)).To(Succeed())
			n := 0
			for _, t := range list.Items {
				c := apimeta.FindStatusCondition(t.Status.Conditions, v1alpha1.ConditionStalled)
				if !t.DeletionTimestamp.IsZero() && c != nil && c.Reason == v1alpha1.ReasonCRDTerminating {
					n++
				}
			}
			return n
		}).WithTimeout(time.Minute).Should(Equal(fleet+1), "every Tenant shall be there still, and say why")
		o.quiet()
		Expect(own.Client.List(ctx, &sets)).To(Succeed())
		for _, set := range sets.Items {
			Expect(set.ResourceVersion).To(Equal(before[set.Namespace+"/"+set.Name]))
			Expect(*set.Spec.Replicas).To(Equal(int32(1)))
		}
		var namespaces corev1.NamespaceList
		Expect(own.Client.List(ctx, &namespaces, client.HasLabels{v1alpha1.LabelRetained})).To(Succeed())
		Expect(namespaces.Items).To(BeEmpty())
	})
})
