// SPDX-License-Identifier: Apache-2.0

package install_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// install applies the objects of these kinds from the kustomization for the time of one test.
func install(t *testing.T, kinds ...string) {
	t.Helper()
	for _, object := range kustomization {
		for _, kind := range kinds {
			if object.GetKind() != kind {
				continue
			}
			made := object.DeepCopy()
			if err := admin.Create(context.Background(), made); err != nil {
				t.Fatalf("installing %s: %v", nameOf(object), err)
			}
			t.Cleanup(func() { _ = admin.Delete(context.Background(), made) })
		}
	}
}

// eventuallyRefused waits until a policy that was just made takes effect: the API server learns of it from a watch.
func eventuallyRefused(t *testing.T, message string, request func() error) {
	t.Helper()
	var last error
	err := wait.PollUntilContextTimeout(context.Background(), 50*time.Millisecond, time.Minute, true, func(context.Context) (bool, error) {
		last = request()
		return last != nil && strings.Contains(last.Error(), message), nil
	})
	if err != nil {
		t.Fatalf("not refused with %q within a minute; the last answer was: %v", message, last)
	}
}

func tenantOf(name, spec string) *unstructured.Unstructured {
	objects, err := decode(strings.NewReader(`
apiVersion: freehold.dev/v1alpha1
kind: Tenant
metadata: {name: ` + name + `}
spec: {classRef: {name: shop}, hostnames: [` + name + `.example.com], ` + spec + `}
`))
	if err != nil {
		panic(err)
	}
	return objects[0]
}

func TestDeletionProtection(t *testing.T) {
	install(t, "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
	ctx := context.Background()
	const remedy = "if it shall really go, first run: kubectl patch tenant "
	rows := []struct{ name, spec, refused string }{
		{"by-default", "stage: Production", "Tenant by-default is protected from deletion because its stage is Production; " + remedy + "by-default"},
		{"unsaid", "suspended: true", "Tenant unsaid is protected from deletion because its stage is Production; " + remedy + "unsaid"},
		{"told-so", "stage: Preprod, deletionProtection: true", "Tenant told-so is protected from deletion; " + remedy + "told-so"},
		{"preprod", "stage: Preprod", ""},
		{"released", "stage: Production, deletionProtection: false", ""},
	}
	for _, row := range rows {
		object := tenantOf(row.name, row.spec)
		if err := admin.Create(ctx, object); err != nil {
			t.Fatal(err)
		}
	}
	first := tenantOf(rows[0].name, rows[0].spec)
	eventuallyRefused(t, rows[0].refused, func() error { return admin.Delete(ctx, first, client.DryRunAll) })

	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			err := admin.Delete(ctx, tenantOf(row.name, row.spec))
			switch {
			case row.refused == "" && err != nil:
				t.Errorf("the deletion was refused: %v", err)
			case row.refused != "" && (err == nil || !strings.Contains(err.Error(), row.refused)):
				t.Errorf("the user is told: %v\ninstead of: %s", err, row.refused)
			}
		})
	}
	t.Run("all at once", func(t *testing.T) {
		if err := admin.DeleteAllOf(ctx, first); err == nil {
			t.Error("a deletion of the whole collection went through")
		}
		if err := admin.Get(ctx, client.ObjectKeyFromObject(first), first); err != nil {
			t.Errorf("the protected Tenant: %v", err)
		}
	})
	t.Run("the command in the message helps", func(t *testing.T) {
		patch := client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"deletionProtection":false}}`))
		for _, name := range []string{"by-default", "unsaid", "told-so"} {
			object := tenantOf(name, "stage: Production")
			if err := admin.Patch(ctx, object, patch); err != nil {
				t.Fatal(err)
			}
			if err := admin.Delete(ctx, object); err != nil {
				t.Errorf("after the command: %v", err)
			}
		}
	})
}

// request is something that the operator, or somebody with its token, asks the API server to do.
type request struct {
	name    string
	refused string
	do      func(ctx context.Context, operator client.Client) error
}

func TestOperatorIsHeldToTenants(t *testing.T) {
	install(t, "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")
	ctx := context.Background()
	operator := impersonate(t)
	const onlyTenants = "the operator of Freehold may only write namespaces named tenant-*"
	eventuallyRefused(t, onlyTenants, func() error { return operator.Create(ctx, namespace("stranger"), client.DryRunAll) })
	eventuallyRefused(t, "may only write RoleBindings in namespaces named tenant-*", func() error {
		return operator.Create(ctx, binding("default", "freehold-tenant", "somebody"), client.DryRunAll)
	})
	strangers := namespace("strangers")
	if err := admin.Create(ctx, strangers); err != nil {
		t.Fatal(err)
	}

	for _, r := range slices.Concat(operatorRequests(onlyTenants), secretRequests(), strangerRequests("strangers"), strangerRequests("kube-system")) {
		t.Run(r.name, func(t *testing.T) {
			err := r.do(ctx, operator)
			switch {
			case r.refused == "" && err != nil:
				t.Errorf("the operator needs this, and is told: %v", err)
			case r.refused != "" && !apierrors.IsForbidden(err):
				t.Errorf("this should be forbidden, the answer was: %v", err)
			case r.refused != "" && !strings.Contains(err.Error(), r.refused):
				t.Errorf("refused, but with: %v\ninstead of: %s", err, r.refused)
			}
		})
	}
}

// operatorRequests build on each other: the namespace first, then the way into it.
func operatorRequests(onlyTenants string) []request {
	const onlyRestricted = "the operator of Freehold may only write namespaces that enforce Pod Security restricted"
	create := func(o client.Object) func(context.Context, client.Client) error {
		return func(ctx context.Context, operator client.Client) error { return operator.Create(ctx, o) }
	}
	return []request{
		{"make a tenant's namespace", "", create(walled("tenant-initech", "restricted"))},
		{"make a tenant's namespace without walls", onlyRestricted, create(namespace("tenant-open"))},
		{"make a tenant's namespace with low walls", onlyRestricted, create(walled("tenant-low", "baseline"))},
		{"take the walls of a tenant's namespace down", onlyRestricted, relabel("null")},
		{"lower the walls of a tenant's namespace", onlyRestricted, relabel(`"privileged"`)},
		{"label a tenant's namespace", "", func(ctx context.Context, operator client.Client) error {
			return operator.Patch(ctx, namespace("tenant-initech"), client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"labels":{"a":"b"}}}`)))
		}},
		{"apply a tenant's namespace", "", func(ctx context.Context, operator client.Client) error {
			object := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{
				"name": "tenant-umbrella", "labels": map[string]any{enforce: "restricted"}}}}
			return operator.Apply(ctx, client.ApplyConfigurationFromUnstructured(object), client.FieldOwner("freehold"))
		}},
		{"make another namespace", onlyTenants, create(namespace("freehold-extra"))},
		{"label another namespace", onlyTenants, func(ctx context.Context, operator client.Client) error {
			return operator.Patch(ctx, namespace("strangers"), client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"labels":{"a":"b"}}}`)))
		}},
		{"delete a tenant's namespace", "cannot delete resource", func(ctx context.Context, operator client.Client) error {
			return operator.Delete(ctx, namespace("tenant-initech"))
		}},
		{"enter a stranger's namespace", "may only write RoleBindings in namespaces named tenant-*", create(binding("strangers", "freehold-tenant", "freehold-manager"))},
		{"enter with another role", "may only bind the ClusterRole freehold-tenant", create(binding("tenant-initech", "freehold-manager", "freehold-manager"))},
		{"become administrator", "attempting to grant RBAC permissions not currently held", create(binding("tenant-initech", "cluster-admin", "freehold-manager"))},
		{"let somebody else in", "may only bind its own service account", create(binding("tenant-initech", "freehold-tenant", "somebody"))},
		{"write a Secret before it has entered", "cannot create resource", create(secret("tenant-initech"))},
		{"enter a tenant's namespace", "", create(binding("tenant-initech", "freehold-tenant", "freehold-manager"))},
		{"label its way in", "", func(ctx context.Context, operator client.Client) error {
			changed := binding("tenant-initech", "freehold-tenant", "freehold-manager")
			if err := operator.Get(ctx, client.ObjectKeyFromObject(changed), changed); err != nil {
				return err
			}
			changed.Labels = map[string]string{"freehold.dev/tenant": "acme"}
			return operator.Update(ctx, changed)
		}},
	}
}

func secretRequests() []request {
	get := func(ns string) func(context.Context, client.Client) error {
		return func(ctx context.Context, operator client.Client) error {
			return client.IgnoreNotFound(operator.Get(ctx, client.ObjectKeyFromObject(secret(ns)), secret(ns)))
		}
	}
	withToken := job("tenant-initech")
	withToken.Spec.Template.Spec.AutomountServiceAccountToken = nil
	scheduleWithToken := cronJob("tenant-initech", nil)
	scheduleWithToken.Spec.JobTemplate.Spec.Template.Spec.AutomountServiceAccountToken = ptr.To(true)
	create := func(o client.Object) func(context.Context, client.Client) error {
		return func(ctx context.Context, operator client.Client) error { return operator.Create(ctx, o) }
	}
	const noToken = "the operator of Freehold may only write Jobs and CronJobs whose pods get no token of a service account"
	return []request{
		{"run a Job of a tenant", "", create(job("tenant-initech"))},
		{"schedule Jobs of a tenant", "", create(cronJob("tenant-initech", nil))},
		{"run a Job with a token", noToken, create(withToken)},
		{"schedule Jobs with a token", noToken, create(scheduleWithToken)},
		{"delete a Job of a tenant", "", func(ctx context.Context, operator client.Client) error {
			return operator.Delete(ctx, job("tenant-initech"))
		}},
		{"write a Secret of a tenant", "", func(ctx context.Context, operator client.Client) error {
			return operator.Create(ctx, secret("tenant-initech"))
		}},
		{"read a Secret of a tenant", "", get("tenant-initech")},
		{"read a Secret of a stranger", "cannot get resource", get("strangers")},
		{"read a Secret of the system", "cannot get resource", get("kube-system")},
		{"read a Secret of its own", "", get(operatorNamespace)},
		{"list all Secrets", "cannot list resource", func(ctx context.Context, operator client.Client) error {
			return operator.List(ctx, &corev1.SecretList{})
		}},
		{"list the Secrets of a tenant", "cannot list resource", func(ctx context.Context, operator client.Client) error {
			return operator.List(ctx, &corev1.SecretList{}, client.InNamespace("tenant-initech"))
		}},
		{"list the Secrets of its own", "cannot list resource", func(ctx context.Context, operator client.Client) error {
			return operator.List(ctx, &corev1.SecretList{}, client.InNamespace(operatorNamespace))
		}},
		{"delete an escrow", "cannot delete resource", func(ctx context.Context, operator client.Client) error {
			return operator.Delete(ctx, secret(operatorNamespace))
		}},
		// One by one, see TestTheOperatorDeletesOnlyClaimsThatWerePutAside.
		{"delete all volume claims of a tenant", "cannot deletecollection resource", func(ctx context.Context, operator client.Client) error {
			return operator.DeleteAllOf(ctx, &corev1.PersistentVolumeClaim{}, client.InNamespace("tenant-initech"))
		}},
		{"delete a volume", "cannot delete resource", func(ctx context.Context, operator client.Client) error {
			return operator.Delete(ctx, &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "pv-initech"}})
		}},
		{"delete a Tenant", "cannot delete resource", func(ctx context.Context, operator client.Client) error {
			return operator.Delete(ctx, tenantOf("acme", "stage: Preprod"))
		}},
	}
}

// strangerRequests are made in a namespace that is no tenant's.
func strangerRequests(ns string) []request {
	list := func(kind client.ObjectList) func(context.Context, client.Client) error {
		return func(ctx context.Context, operator client.Client) error {
			return operator.List(ctx, kind, client.InNamespace(ns))
		}
	}
	create := func(o client.Object) func(context.Context, client.Client) error {
		return func(ctx context.Context, operator client.Client) error { return operator.Create(ctx, o) }
	}
	return []request{
		{"list the Secrets of " + ns, "cannot list resource", list(&corev1.SecretList{})},
		{"list the pods of " + ns, "cannot list resource", list(&corev1.PodList{})},
		{"write a Secret in " + ns, "cannot create resource", create(secret(ns))},
		{"run a pod in " + ns, "cannot create resource", create(privilegedPod(ns))},
		{"run a Job in " + ns, "cannot create resource", create(job(ns))},
		{"run a workload in " + ns, "cannot create resource", create(&appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "edge", Namespace: ns}})},
		{"open the walls of " + ns, "cannot create resource", create(policy(ns, "let-me-in"))},
		{"make itself at home in " + ns, "may only write RoleBindings in namespaces named tenant-*", create(binding(ns, "freehold-tenant", "freehold-manager"))},
		{"become administrator of " + ns, "attempting to grant RBAC permissions not currently held", create(binding(ns, "cluster-admin", "freehold-manager"))},
		{"take a token in " + ns, "cannot create resource", func(ctx context.Context, operator client.Client) error {
			account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default", Namespace: ns}}
			return operator.SubResource("token").Create(ctx, account, &authenticationv1.TokenRequest{})
		}},
		{"delete the namespace " + ns, "cannot delete resource", func(ctx context.Context, operator client.Client) error {
			return operator.Delete(ctx, namespace(ns))
		}},
	}
}

// impersonate gives a client with the identity of the operator's service account.
func impersonate(t *testing.T) client.Client {
	t.Helper()
	operator, err := client.New(operatorConfig(), client.Options{Scheme: scheme.Scheme})
	if err != nil {
		t.Fatal(err)
	}
	return operator
}

func operatorConfig() *rest.Config {
	own := rest.CopyConfig(config)
	own.Impersonate = rest.ImpersonationConfig{
		UserName: "system:serviceaccount:" + operatorNamespace + ":freehold-manager",
		Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:" + operatorNamespace, "system:authenticated"},
	}
	return own
}

func namespace(name string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
}

const enforce = "pod-security.kubernetes.io/enforce"

// walled is a namespace that enforces a level of Pod Security.
func walled(name, level string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{enforce: level}}}
}

// relabel changes the level of Pod Security of a tenant's namespace; "null" removes it.
func relabel(level string) func(context.Context, client.Client) error {
	return func(ctx context.Context, operator client.Client) error {
		patch := `{"metadata":{"labels":{"` + enforce + `":` + level + `}}}`
		return operator.Patch(ctx, namespace("tenant-initech"), client.RawPatch("application/merge-patch+json", []byte(patch)))
	}
}

func secret(ns string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "instance-k7m2p9x4", Namespace: ns}}
}

func binding(ns, role, account string) *rbacv1.RoleBinding {
	return &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "freehold-operator", Namespace: ns},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: account, Namespace: operatorNamespace}},
	}
}

// What RBAC refuses already is refused once more, should somebody bind the operator's account to more.
func TestOperatorRunsJobsOfTenantsOnly(t *testing.T) {
	install(t, "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
	const only = "the operator of Freehold may only write Jobs and CronJobs in namespaces named tenant-*"
	operator := as(t, operatorName, "system:masters")
	eventuallyRefused(t, only, func() error { return operator.Create(t.Context(), job("default"), client.DryRunAll) })
	for _, object := range []client.Object{job("kube-system"), job(operatorNamespace), cronJob("default", nil)} {
		if err := operator.Create(t.Context(), object, client.DryRunAll); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), only) {
			t.Errorf("in %s the answer was: %v", object.GetNamespace(), err)
		}
	}
	if err := newClient(t, config).Create(t.Context(), job("default"), client.DryRunAll); err != nil {
		t.Errorf("everybody else runs Jobs where they may: %v", err)
	}
}
