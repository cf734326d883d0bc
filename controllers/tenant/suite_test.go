// SPDX-License-Identifier: Apache-2.0

package tenant_test

import (
	"context"
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	clocktesting "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/testenv"
	"github.com/freehold-dev/freehold/controllers/tenant"
	"github.com/freehold-dev/freehold/controllers/tenant/render"
)

// These specs call the reconciler directly, with a fake clock and no manager: nothing happens between two passes, so
// nothing has to be waited for. What the reconciler reads comes from the API server instead of a cache.

var (
	env *testenv.Environment
	ctx = context.Background()
	// names makes Tenants of different specs differ: without controllers no namespace can be removed.
	names atomic.Int64
)

func TestTenant(t *testing.T) {
	RegisterFailHandler(Fail)
	ctrl.SetLogger(GinkgoLogr)
	RunSpecs(t, "Tenant controller")
}

var _ = BeforeSuite(func() {
	var err error
	env, err = testenv.Start()
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { Expect(env.Stop()).To(Succeed()) })
	Expect(env.Client.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: operatorNamespace}})).To(Succeed())
})

const operatorNamespace = "freehold-system"

func options() tenant.Options {
	return tenant.Options{
		AuditInterval: 10 * time.Minute,
		Images:        render.Images{Database: "registry.example/postgres:1", Edge: "registry.example/edge:1"},
		Facts: render.Facts{
			ClusterDomain:     "cluster.local",
			ClusterNetworks:   []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
			DNSNamespace:      "kube-system",
			DNSPodLabels:      map[string]string{"k8s-app": "kube-dns"},
			OperatorNamespace: operatorNamespace, OperatorServiceAccount: "freehold", TenantClusterRole: "freehold-tenant",
		},
	}
}

// world is one customer's corner of the API server, and an operator that looks at nothing else.
type world struct {
	name       string
	clock      *clocktesting.FakePassiveClock
	events     *events.FakeRecorder
	requests   *testenv.Requests
	reconciler *tenant.Reconciler
	client     client.WithWatch
	// crdTerminating makes the reader say that the CustomResourceDefinition is being deleted.
	crdTerminating bool
	// crdGone makes the reader say that there is no CustomResourceDefinition any more.
	crdGone bool
}

func newWorld() *world {
	GinkgoHelper()
	w := &world{
		name:  fmt.Sprintf("acme-%03d", names.Add(1)),
		clock: clocktesting.NewFakePassiveClock(time.Now()),
	}
	config, counted := testenv.Counting(env.Config)
	w.requests = counted
	plain, err := client.NewWithWatch(config, client.Options{Scheme: env.Scheme})
	Expect(err).NotTo(HaveOccurred())
	w.client = interceptor.NewClient(plain, interceptor.Funcs{List: listByIndex, Get: w.get})
	w.restart()
	DeferCleanup(w.forget)
	return w
}

// forget removes the Tenant after the spec: each pass of the next ones looks through all Tenants that there are.
func (w *world) forget() {
	t := &v1alpha1.Tenant{ObjectMeta: metav1.ObjectMeta{Name: w.name}}
	withoutFinalizers := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`))
	Expect(client.IgnoreNotFound(env.Client.Patch(ctx, t, withoutFinalizers))).To(Succeed())
	Expect(client.IgnoreNotFound(env.Client.Delete(ctx, t))).To(Succeed())
}

// restart is what an operator knows after a restart: nothing.
func (w *world) restart() {
	w.events = events.NewFakeRecorder(1000)
	w.reconciler = tenant.NewReconciler(w.client, w.client, w.clock, w.events, options())
}

func (w *world) get(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
	err := c.Get(ctx, key, o, opts...)
	if w.crdGone && key.Name == tenant.CRDName {
		return apierrors.NewNotFound(apiextensionsv1.Resource("customresourcedefinitions"), key.Name)
	}
	if w.crdTerminating && key.Name == tenant.CRDName {
		o.SetDeletionTimestamp(ptr.To(metav1.Now()))
	}
	return err
}

// listByIndex answers what the cache's indexes answer.
func listByIndex(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
	options := (&client.ListOptions{}).ApplyOptions(opts)
	tenants, ok := list.(*v1alpha1.TenantList)
	if !ok || options.FieldSelector == nil {
		return c.List(ctx, list, opts...)
	}
	requirement := options.FieldSelector.Requirements()[0]
	var all v1alpha1.TenantList
	if err := c.List(ctx, &all); err != nil {
		return err
	}
	for _, t := range all.Items {
		for _, value := range tenant.Indexes()[requirement.Field](&t) {
			if value == requirement.Value {
				tenants.Items = append(tenants.Items, t)
			}
		}
	}
	return nil
}

// pass is one call of the reconciler that must not fail.
func (w *world) pass() reconcile.Result {
	GinkgoHelper()
	result, err := w.reconciler.Reconcile(ctx, reconcile.Request{NamespacedName: types.NamespacedName{Name: w.name}})
	Expect(err).NotTo(HaveOccurred())
	return result
}

// failingPass is one call of the reconciler that must fail and be tried again.
func (w *world) failingPass() error {
	GinkgoHelper()
	_, err := w.reconciler.Reconcile(ctx, reconcile.Request{NamespacedName: types.NamespacedName{Name: w.name}})
	Expect(err).To(HaveOccurred())
	return err
}

// writes are the requests of one pass that change something.
func (w *world) writes() []string {
	GinkgoHelper()
	w.requests.Reset()
	w.pass()
	return w.writesSeen()
}

// writesSeen are the requests since the last reset that change something.
func (w *world) writesSeen() []string {
	var out []string
	for _, request := range w.requests.Seen(testenv.Request.IsWrite) {
		out = append(out, request.String())
	}
	return out
}
