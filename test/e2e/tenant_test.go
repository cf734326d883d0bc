// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/api/v1alpha1"
)

// customer is a Tenant and what belongs to it, as its owner and the cluster's administrator see it.
type customer struct {
	name, namespace, host string
}

// named is the customer of that name. Stories are told at the same time, so no two of them may use the same name.
func named(name string) *customer {
	_, file, line, _ := runtime.Caller(1)
	where := fmt.Sprintf("%s:%d", filepath.Base(file), line)
	if other, taken := names.LoadOrStore(name, where); taken && other != where {
		panic(fmt.Sprintf("%s and %s both name a customer %s: they would meet on the cluster", other, where, name))
	}
	return &customer{name: name, namespace: "tenant-" + name, host: name + ".example.com"}
}

// names says where in the code the name of each customer stands.
var names sync.Map

// manifest is what the platform engineer applies.
func (c *customer) manifest(changes ...func(*v1alpha1.Tenant)) *v1alpha1.Tenant {
	t := &v1alpha1.Tenant{ObjectMeta: metav1.ObjectMeta{Name: c.name}}
	t.Spec.ClassRef.Name = minifluxName
	t.Spec.Hostnames = []v1alpha1.Hostname{v1alpha1.Hostname(c.host)}
	t.Spec.DeletionProtection = ptr.To(false)
	for _, change := range changes {
		change(t)
	}
	return t
}

// order creates the Tenant, for the length of the story.
func (c *customer) order(ctx context.Context, changes ...func(*v1alpha1.Tenant)) *customer {
	GinkgoHelper()
	c.leavesNothing()
	Expect(api.Create(ctx, c.manifest(changes...))).To(Succeed())
	return c
}

// leavesNothing makes sure that all of the customer's is erased after the story.
func (c *customer) leavesNothing() {
	DeferCleanup(func(ctx SpecContext) { c.erase(ctx) }, NodeTimeout(limit))
}

// erase removes the Tenant and then, breaking the glass, what Freehold keeps of it.
func (c *customer) erase(ctx context.Context) {
	GinkgoHelper()
	t := c.manifest()
	if api.Get(ctx, client.ObjectKeyFromObject(t), t) == nil {
		_ = api.Patch(ctx, t, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"deletionProtection":false}}`)))
		c.cancel(ctx)
	}
	var volumes corev1.PersistentVolumeList
	Expect(api.List(ctx, &volumes)).To(Succeed())
	// A namespace waits for its pods' grace periods in coarse steps; nobody needs grace any more.
	_ = api.DeleteAllOf(ctx, &corev1.Pod{}, client.InNamespace(c.namespace), client.GracePeriodSeconds(0))
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: c.namespace}}
	Expect(client.IgnoreNotFound(breakGlass.Delete(ctx, ns))).To(Succeed())
	Eventually(func() bool { return apierrors.IsNotFound(api.Get(ctx, client.ObjectKeyFromObject(ns), ns)) }).
		WithContext(ctx).Should(BeTrue(), "namespace %s should go away", c.namespace)
	for i := range volumes.Items {
		pv := &volumes.Items[i]
		if pv.Spec.ClaimRef != nil && pv.Spec.ClaimRef.Namespace == c.namespace {
			_ = api.Patch(ctx, pv, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"persistentVolumeReclaimPolicy":"Delete"}}`)))
		}
	}
	Expect(breakGlass.DeleteAllOf(ctx, &corev1.Secret{}, client.InNamespace(operatorNamespace), client.MatchingLabels{v1alpha1.LabelTenant: c.name})).To(Succeed())
}

// cancel deletes the Tenant and waits until it is gone.
func (c *customer) cancel(ctx context.Context) {
	GinkgoHelper()
	Expect(client.IgnoreNotFound(api.Delete(ctx, c.manifest()))).To(Succeed())
	c.gone(ctx)
}

func (c *customer) gone(ctx context.Context) {
	GinkgoHelper()
	Eventually(func() error { return api.Get(ctx, client.ObjectKey{Name: c.name}, &v1alpha1.Tenant{}) }).
		WithContext(ctx).Should(Satisfy(apierrors.IsNotFound), "Tenant %s should be gone once its instance has stopped", c.name)
}

func (c *customer) tenant(ctx context.Context) *v1alpha1.Tenant {
	GinkgoHelper()
	t := &v1alpha1.Tenant{}
	Expect(api.Get(ctx, client.ObjectKey{Name: c.name}, t)).To(Succeed())
	return t
}

// patch changes the Tenant as kubectl patch --type=merge does.
func (c *customer) patch(ctx context.Context, patch string) {
	GinkgoHelper()
	Expect(api.Patch(ctx, c.manifest(), client.RawPatch(types.MergePatchType, []byte(patch)))).To(Succeed())
}

// poll gets a condition of the Tenant, for Eventually; the text shows the whole of it when a story fails.
func (c *customer) poll(ctx context.Context, kind string) func() string {
	return func() string {
		t := &v1alpha1.Tenant{}
		if err := api.Get(ctx, client.ObjectKey{Name: c.name}, t); err != nil {
			return err.Error()
		}
		found := apimeta.FindStatusCondition(t.Status.Conditions, kind)
		if found == nil {
			return kind + " absent"
		}
		if found.ObservedGeneration != t.Generation {
			return "not observed yet"
		}
		return fmt.Sprintf("%s=%s %s: %s", kind, found.Status, found.Reason, found.Message)
	}
}

// available waits until the instance serves and is as its Tenant says.
func (c *customer) available(ctx context.Context) *customer {
	GinkgoHelper()
	Eventually(c.poll(ctx, v1alpha1.ConditionReady)).WithContext(ctx).Should(HavePrefix("Ready=True"), "Tenant %s should become what its spec says", c.name)
	Eventually(c.poll(ctx, v1alpha1.ConditionAvailable)).WithContext(ctx).Should(HavePrefix("Available=True"), "the instance of %s should serve", c.name)
	return c
}

// stalled waits until the Tenant says that a person has to help, why, and with which words.
func (c *customer) stalled(ctx context.Context, reason string, says ...string) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		told := c.poll(ctx, v1alpha1.ConditionStalled)()
		g.Expect(told).To(HavePrefix("Stalled=True "+reason+": "), "Tenant %s should be Stalled", c.name)
		for _, words := range says {
			g.Expect(told).To(ContainSubstring(words), "the message should tell the user this")
		}
	}).WithContext(ctx).Should(Succeed())
}

func (c *customer) address(ctx context.Context) string {
	GinkgoHelper()
	addresses := c.tenant(ctx).Status.Addresses
	Expect(addresses).To(HaveLen(1), "Tenant %s should have one address", c.name)
	return addresses[0]
}

func (c *customer) instanceID(ctx context.Context) string {
	GinkgoHelper()
	ns := &corev1.Namespace{}
	Expect(api.Get(ctx, client.ObjectKey{Name: c.namespace}, ns)).To(Succeed())
	Expect(ns.Labels).To(HaveKey(v1alpha1.LabelInstance), "namespace %s should carry the instance ID", c.namespace)
	return ns.Labels[v1alpha1.LabelInstance]
}

// password of the application's administrator, made for this customer only.
func (c *customer) password(ctx context.Context) string {
	GinkgoHelper()
	secret := &corev1.Secret{}
	Expect(api.Get(ctx, client.ObjectKey{Namespace: c.namespace, Name: "freehold-generated"}, secret)).To(Succeed())
	Expect(secret.Data["admin-password"]).NotTo(BeEmpty())
	return string(secret.Data["admin-password"])
}

// authorityPEM is the tenant's own authority, as its owner would download it.
func (c *customer) authorityPEM(ctx context.Context) string {
	GinkgoHelper()
	trust := &corev1.ConfigMap{}
	Expect(api.Get(ctx, client.ObjectKey{Namespace: c.namespace, Name: "freehold-trust"}, trust)).To(Succeed())
	return trust.Data["ca.crt"]
}

func (c *customer) authority(ctx context.Context) *x509.CertPool {
	GinkgoHelper()
	pool := x509.NewCertPool()
	Expect(pool.AppendCertsFromPEM([]byte(c.authorityPEM(ctx)))).To(BeTrue(), "the authority of %s should be a certificate", c.name)
	return pool
}

// browser opens the tenant's site as c10.
func (c *customer) browser(ctx context.Context) *browser {
	GinkgoHelper()
	return c10.browse(c.host, c.address(ctx), c.authority(ctx))
}

// answers waits until the application answers the outside.
func (c *customer) answers(ctx context.Context) *customer {
	GinkgoHelper()
	b := c.browser(ctx)
	Eventually(func(g Gomega) {
		got, err := b.get(ctx, "/healthcheck")
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(got.StatusCode).To(Equal(http.StatusOK), got.body)
	}).WithContext(ctx).Should(Succeed(), "%s should answer over HTTPS", c.host)
	return c
}

// logsIn waits until the customer can log in from outside with their own password.
func (c *customer) logsIn(ctx context.Context) {
	GinkgoHelper()
	Eventually(func() error { return c.browser(ctx).logIn(ctx, c.password(ctx)) }).WithContext(ctx).
		Should(Succeed(), "the customer should be able to log in at %s", c.host)
}

func (c *customer) basicAuth(ctx context.Context) http.Header {
	token := base64.StdEncoding.EncodeToString([]byte("admin:" + c.password(ctx)))
	return http.Header{"Authorization": {"Basic " + token}, "Content-Type": {"application/json"}}
}

// writes stores something of the customer's in the application: a category of Miniflux.
func (c *customer) writes(ctx context.Context, title string) {
	GinkgoHelper()
	b, who := c.browser(ctx), c.basicAuth(ctx)
	// Each replica of the gate finds the application by itself, within a second of the others.
	Eventually(func(g Gomega) {
		got, err := b.do(ctx, http.MethodPost, "/v1/categories", fmt.Sprintf(`{"title":%q}`, title), who)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(got.StatusCode).To(Equal(http.StatusCreated), got.body)
	}).WithContext(ctx).Should(Succeed(), "%s should be able to store something", c.name)
}

// categories reads back what was stored.
func (c *customer) categories(ctx context.Context) ([]string, error) {
	got, err := c.browser(ctx).do(ctx, http.MethodGet, "/v1/categories", "", c.basicAuth(ctx))
	if err != nil {
		return nil, err
	}
	if got.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("reading the categories answered %s: %.200s", got.Status, got.body)
	}
	var list []struct{ Title string }
	if err := json.Unmarshal([]byte(got.body), &list); err != nil {
		return nil, err
	}
	var titles []string
	for _, category := range list {
		titles = append(titles, category.Title)
	}
	slices.Sort(titles)
	return titles, nil
}

// has waits until the customer finds again what they stored.
func (c *customer) has(ctx context.Context, title string) {
	GinkgoHelper()
	Eventually(func() ([]string, error) { return c.categories(ctx) }).WithContext(ctx).
		Should(ContainElement(title), "%s should find its data again", c.name)
}

// pods that run or may yet run.
func (c *customer) pods(ctx context.Context) []corev1.Pod {
	GinkgoHelper()
	var pods corev1.PodList
	Expect(api.List(ctx, &pods, client.InNamespace(c.namespace))).To(Succeed())
	return slices.DeleteFunc(pods.Items, func(pod corev1.Pod) bool {
		return pod.Labels[v1alpha1.LabelProbe] != "" || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
	})
}

// lives says of each running pod which one it is and how often its containers were restarted: two equal answers
// mean that nothing was restarted in between.
func (c *customer) lives(ctx context.Context) map[string]string {
	GinkgoHelper()
	lives := map[string]string{}
	for _, pod := range c.pods(ctx) {
		var restarts []string
		for _, status := range pod.Status.ContainerStatuses {
			restarts = append(restarts, fmt.Sprintf("%s:%d", status.Name, status.RestartCount))
		}
		lives[pod.Name] = fmt.Sprintf("%s %s", pod.UID, strings.Join(restarts, " "))
	}
	return lives
}

// exec runs a command in a pod.
func (c *customer) exec(ctx context.Context, pod string, command ...string) (string, error) {
	return try(ctx, "kubectl", append([]string{"exec", "-n", c.namespace, pod, "--"}, command...)...)
}
