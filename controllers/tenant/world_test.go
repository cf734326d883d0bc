// SPDX-License-Identifier: Apache-2.0

package tenant_test

import (
	"fmt"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
	"github.com/freehold-dev/freehold/controllers/internal/testenv"
)

// class is a small product: an application, a generated password and a data volume.
func (w *world) class() *v1alpha1.TenantClass {
	return &v1alpha1.TenantClass{
		ObjectMeta: metav1.ObjectMeta{Name: w.name},
		Spec: v1alpha1.TenantClassSpec{
			App: v1alpha1.ClassApp{
				Image: "registry.example/app:1", Port: 8080,
				Env: []v1alpha1.EnvVar{
					{Name: "DATABASE_URL", Source: v1alpha1.EnvDatabaseURL},
					{Name: "ADMIN_PASSWORD", Generated: "admin-password"},
				},
				DataVolume: &v1alpha1.DataVolume{MountPath: "/data", Size: resource.MustParse("1Gi")},
			},
			LoadBalancer: v1alpha1.ClassLoadBalancer{AddressAnnotation: "example.com/address"},
		},
	}
}

func (w *world) tenant() *v1alpha1.Tenant {
	return &v1alpha1.Tenant{
		ObjectMeta: metav1.ObjectMeta{Name: w.name},
		Spec: v1alpha1.TenantSpec{
			ClassRef:  v1alpha1.ClassReference{Name: w.name},
			Hostnames: []v1alpha1.Hostname{v1alpha1.Hostname(w.name + ".example.com")},
		},
	}
}

func (w *world) namespace() string { return meta.Namespace(w.name) }

func (w *world) create(objects ...client.Object) {
	GinkgoHelper()
	for _, o := range objects {
		Expect(env.Client.Create(ctx, o)).To(Succeed())
	}
}

// running is a world with a converged instance.
func running(edits ...func(*v1alpha1.Tenant)) *world {
	GinkgoHelper()
	w := newWorld()
	t := w.tenant()
	for _, edit := range edits {
		edit(t)
	}
	w.create(w.class(), t)
	w.settle()
	w.expectCondition(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonConverged)
	return w
}

// settle does what the cluster's controllers and the operator do until nothing changes any more.
func (w *world) settle() {
	GinkgoHelper()
	for range 3 {
		w.pass()
		w.cluster()
	}
	w.pass()
	Expect(w.writes()).To(BeEmpty(), "a converged Tenant must cost no writes")
}

// cluster does what Kubernetes' controllers, the kubelet, the storage and the load balancer would do.
func (w *world) cluster() {
	GinkgoHelper()
	Expect(testenv.Play(ctx, env.Client, w.namespace())).To(Succeed())
}

// changeStatus writes a status without minding who else writes the object.
func changeStatus[O client.Object](o O, change func(O)) {
	GinkgoHelper()
	before := o.DeepCopyObject().(client.Object)
	change(o)
	Expect(env.Client.Status().Patch(ctx, o, client.MergeFrom(before))).To(Succeed())
}

// bindClaims makes a volume for each claim.
func (w *world) bindClaims() {
	GinkgoHelper()
	Expect(testenv.BindClaims(ctx, env.Client, w.namespace())).To(Succeed())
}

func (w *world) key(name string) types.NamespacedName {
	return types.NamespacedName{Namespace: w.namespace(), Name: name}
}

// read fills an object of the tenant's namespace.
func read[O client.Object](w *world, name string, into O) O {
	GinkgoHelper()
	Expect(env.Client.Get(ctx, w.key(name), into)).To(Succeed(), "reading %T %s", into, w.key(name))
	return into
}

func (w *world) gone(name string, o client.Object) {
	GinkgoHelper()
	err := env.Client.Get(ctx, w.key(name), o)
	Expect(apierrors.IsNotFound(err)).To(BeTrue(), "%T %s shall not exist, but reading it gave: %v", o, w.key(name), err)
}

func (w *world) readNamespace() *corev1.Namespace {
	GinkgoHelper()
	namespace := &corev1.Namespace{}
	Expect(env.Client.Get(ctx, types.NamespacedName{Name: w.namespace()}, namespace)).To(Succeed())
	return namespace
}

func (w *world) readTenant() *v1alpha1.Tenant {
	GinkgoHelper()
	t := &v1alpha1.Tenant{}
	Expect(env.Client.Get(ctx, types.NamespacedName{Name: w.name}, t)).To(Succeed())
	return t
}

func (w *world) tenantGone() bool {
	return apierrors.IsNotFound(env.Client.Get(ctx, types.NamespacedName{Name: w.name}, &v1alpha1.Tenant{}))
}

// edit changes an object as a person would.
func edit[O client.Object](o O, change func(O)) {
	GinkgoHelper()
	Expect(env.Client.Get(ctx, client.ObjectKeyFromObject(o), o)).To(Succeed())
	before := o.DeepCopyObject().(client.Object)
	change(o)
	Expect(env.Client.Patch(ctx, o, client.MergeFrom(before), client.FieldOwner("a-person"))).To(Succeed())
}

func (w *world) editTenant(change func(*v1alpha1.Tenant)) {
	GinkgoHelper()
	edit(&v1alpha1.Tenant{ObjectMeta: metav1.ObjectMeta{Name: w.name}}, change)
}

func (w *world) editClass(change func(*v1alpha1.TenantClass)) {
	GinkgoHelper()
	edit(&v1alpha1.TenantClass{ObjectMeta: metav1.ObjectMeta{Name: w.name}}, change)
}

func (w *world) condition(kind string) *metav1.Condition {
	GinkgoHelper()
	return apimeta.FindStatusCondition(w.readTenant().Status.Conditions, kind)
}

// switchClass points the Tenant to another class, which is the usual one with a difference.
func (w *world) switchClass(change func(*v1alpha1.TenantClass)) {
	GinkgoHelper()
	class := w.class()
	class.Name += "-other"
	change(class)
	w.create(class)
	w.editTenant(func(t *v1alpha1.Tenant) { t.Spec.ClassRef.Name = class.Name })
}

// expectCondition demands a condition and gives its message.
func (w *world) expectCondition(kind string, status metav1.ConditionStatus, reason string) string {
	GinkgoHelper()
	c := w.condition(kind)
	Expect(c).NotTo(BeNil(), "condition %s is absent; the Tenant has %v", kind, w.readTenant().Status.Conditions)
	Expect(fmt.Sprintf("%s/%s", c.Status, c.Reason)).To(Equal(fmt.Sprintf("%s/%s", status, reason)), "condition %s says: %s", kind, c.Message)
	return c.Message
}

func (w *world) expectStalled(reason string) string {
	GinkgoHelper()
	message := w.expectCondition(v1alpha1.ConditionStalled, metav1.ConditionTrue, reason)
	w.expectCondition(v1alpha1.ConditionReady, metav1.ConditionFalse, reason)
	return message
}

func (w *world) expectNotStalled() {
	GinkgoHelper()
	Expect(w.condition(v1alpha1.ConditionStalled)).To(BeNil(), "the Tenant shall not be stalled")
}

// said are the events since the last call.
func (w *world) said() string {
	var out []string
	for {
		select {
		case event := <-w.events.Events:
			out = append(out, event)
		default:
			return strings.Join(out, "\n")
		}
	}
}

func (w *world) secret(name string) *corev1.Secret {
	GinkgoHelper()
	return read(w, name, &corev1.Secret{})
}

// template is the pod template of the application, in whose image the specs see which revision runs.
func (w *world) appImage() string {
	GinkgoHelper()
	set := read(w, meta.AppStatefulSet, &appsv1.StatefulSet{})
	return set.Spec.Template.Spec.Containers[0].Image
}
