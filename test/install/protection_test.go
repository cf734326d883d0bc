// SPDX-License-Identifier: Apache-2.0

package install_test

import (
	"context"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/api/v1alpha1"
)

const (
	instanceID = "k7qvx2m9tb"
	wayOut     = "--as=break-glass --as-group=freehold:break-glass"
)

// The identities that act in a cluster.
var (
	operatorName        = "system:serviceaccount:" + operatorNamespace + ":freehold-manager"
	namespaceController = "system:serviceaccount:kube-system:namespace-controller"
	garbageCollector    = "system:serviceaccount:kube-system:generic-garbage-collector"
	pvcProtection       = "system:serviceaccount:kube-system:pvc-protection-controller"
)

// as gives a client of somebody in some groups.
func as(t *testing.T, user string, groups ...string) client.Client {
	t.Helper()
	own := rest.CopyConfig(config)
	own.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: append(groups, "system:authenticated")}
	return newClient(t, own)
}

func newClient(t *testing.T, config *rest.Config) client.Client {
	t.Helper()
	kinds := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{scheme.AddToScheme, apiextensionsv1.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(kinds); err != nil {
			t.Fatal(err)
		}
	}
	somebody, err := client.New(config, client.Options{Scheme: kinds})
	if err != nil {
		t.Fatal(err)
	}
	return somebody
}

// protected are the objects of one instance that a customer's data and walls hang on.
type protected struct {
	namespace *corev1.Namespace
	claim     *corev1.PersistentVolumeClaim
	revision  *appsv1.ControllerRevision
	wall      *networkingv1.NetworkPolicy
	way       *rbacv1.RoleBinding
	escrow    *corev1.Secret
	// keys of the backups, and what they are made with and when.
	keys     *corev1.Secret
	backup   *corev1.Secret
	schedule *batchv1.CronJob
}

func instanceIn(ns string) protected {
	owned := func(name, namespace string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Name: name, Namespace: namespace, Labels: map[string]string{v1alpha1.LabelInstance: instanceID}}
	}
	home := walled(ns, "restricted")
	home.Labels[v1alpha1.LabelInstance] = instanceID
	way := binding(ns, "freehold-tenant", "freehold-manager")
	return protected{
		namespace: home,
		claim: &corev1.PersistentVolumeClaim{ObjectMeta: owned("db-0001", ns), Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
		}},
		revision: &appsv1.ControllerRevision{ObjectMeta: owned("revision-0001", ns), Revision: 1, Data: runtime.RawExtension{Raw: []byte("{}")}},
		wall:     policy(ns, "freehold-default-deny"),
		way:      way,
		escrow:   &corev1.Secret{ObjectMeta: owned("instance-"+ns, operatorNamespace)},
		keys:     &corev1.Secret{ObjectMeta: owned("backup-"+ns, operatorNamespace)},
		backup:   &corev1.Secret{ObjectMeta: owned("freehold-backup-job", ns)},
		schedule: cronJob(ns, owned("backup-site-a", ns).Labels),
	}
}

// cronJob is the schedule of a destination, as Freehold makes it.
func cronJob(ns string, labels map[string]string) *batchv1.CronJob {
	return &batchv1.CronJob{ObjectMeta: metav1.ObjectMeta{Name: "backup-site-a", Namespace: ns, Labels: labels},
		Spec: batchv1.CronJobSpec{Schedule: "30 1 * * *", JobTemplate: batchv1.JobTemplateSpec{Spec: job(ns).Spec}}}
}

func job(ns string) *batchv1.Job {
	return &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: "backup-site-a-1", Namespace: ns},
		Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever, AutomountServiceAccountToken: ptr.To(false),
			Containers: []corev1.Container{{Name: "backup", Image: "example.com/postgres:1"}}}}}}
}

func (p protected) all() []client.Object {
	return []client.Object{p.namespace, p.claim, p.revision, p.wall, p.way, p.escrow, p.keys, p.backup, p.schedule}
}

// store makes the objects for the time of one test. Without a namespace controller, the namespace stays.
func (p protected) store(t *testing.T, breakGlass client.Client) {
	t.Helper()
	for _, object := range p.all() {
		if err := breakGlass.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		_ = breakGlass.Delete(context.Background(), p.escrow)
		_ = breakGlass.Delete(context.Background(), p.keys)
	})
}

func policy(ns, name string) *networkingv1.NetworkPolicy {
	return &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: ns},
		Spec: networkingv1.NetworkPolicySpec{PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}}}
}

func crd(name string) *apiextensionsv1.CustomResourceDefinition {
	return &apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: name}}
}

// attempt is something that somebody tries; nothing of it is stored.
type attempt struct {
	name string
	do   func(ctx context.Context, somebody client.Client) error
	// refused is a part of the refusal of a cluster's administrator.
	refused string
}

func deletes(object client.Object) func(context.Context, client.Client) error {
	return func(ctx context.Context, somebody client.Client) error {
		return somebody.Delete(ctx, object.DeepCopyObject().(client.Object), client.DryRunAll)
	}
}

func makes(object client.Object) func(context.Context, client.Client) error {
	return func(ctx context.Context, somebody client.Client) error {
		return somebody.Create(ctx, object.DeepCopyObject().(client.Object), client.DryRunAll)
	}
}

func patches(object client.Object, patch string) func(context.Context, client.Client) error {
	return func(ctx context.Context, somebody client.Client) error {
		return somebody.Patch(ctx, object.DeepCopyObject().(client.Object), client.RawPatch("application/merge-patch+json", []byte(patch)), client.DryRunAll)
	}
}

func deletesAll(kind client.Object, ns string) func(context.Context, client.Client) error {
	return func(ctx context.Context, somebody client.Client) error {
		return somebody.DeleteAllOf(ctx, kind, client.InNamespace(ns), client.DryRunAll)
	}
}

const unlabel = `{"metadata":{"labels":{"freehold.dev/instance":null}}}`

// attempts on an instance, by what they would end.
func attempts(p protected) []attempt {
	ns := p.namespace.Name
	orphan := `{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"gone","uid":"5f3c1f0e-0000-4000-8000-000000000000"}]}}`
	return []attempt{
		{"delete the namespace", deletes(p.namespace), "namespace " + ns + " holds data, keys and address of instance " + instanceID +
			"; if it shall really go, run: kubectl delete namespace " + ns + " " + wayOut},
		{"take the namespace's identity", patches(p.namespace, unlabel), "the label freehold.dev/instance of namespace " + ns + " says whose data is in it and stays " + instanceID},
		{"delete the operator's namespace", deletes(namespace(operatorNamespace)), "namespace " + operatorNamespace + " holds Freehold and the keys of all tenants; if it shall really go, " +
			"run: kubectl delete namespace " + operatorNamespace + " " + wayOut},
		{"delete the volume claim", deletes(p.claim), "volume claim db-0001 holds data of instance " + instanceID +
			"; if it shall really go, run: kubectl delete pvc db-0001 -n " + ns + " " + wayOut},
		{"delete all volume claims", deletesAll(&corev1.PersistentVolumeClaim{}, ns), "volume claim db-0001 holds data"},
		{"take the volume claim's identity", patches(p.claim, unlabel), "the label freehold.dev/instance of volume claim db-0001 says whose data is on it and stays " + instanceID},
		{"give the volume claim an owner", patches(p.claim, orphan), ""}, // Of no use: see the garbage collector.
		{"delete the revision", deletes(p.revision), "ControllerRevision revision-0001 is what Freehold rebuilds the workloads of " + ns +
			" from; if it shall really go, run: kubectl delete controllerrevision revision-0001 -n " + ns + " " + wayOut},
		{"delete all revisions", deletesAll(&appsv1.ControllerRevision{}, ns), "ControllerRevision revision-0001 is what"},
		{"delete a wall", deletes(p.wall), "only Freehold writes network policies in " + ns},
		{"open a wall", patches(p.wall, `{"spec":{"ingress":[{}]}}`), "what clients may reach is spec.network of the Tenant, what the application may reach spec.allowedEgress of its TenantClass; " +
			"to act by hand nevertheless, add to the command: " + wayOut},
		{"add a network policy", makes(policy(ns, "let-me-in")), "only Freehold writes network policies in " + ns},
		{"delete Freehold's way in", deletes(p.way), "RoleBinding freehold-operator is Freehold's way into " + ns + ", and only Freehold writes it; to act by hand nevertheless, add to the command: " + wayOut},
		{"take Freehold's way in", patches(p.way, `{"subjects":null}`), "RoleBinding freehold-operator is Freehold's way into " + ns},
		{"delete all RoleBindings", deletesAll(&rbacv1.RoleBinding{}, ns), "RoleBinding freehold-operator is Freehold's way into " + ns},
		{"delete the keys", deletes(p.escrow), "Secret " + p.escrow.Name + " holds the keys of instance " + instanceID +
			"; if they shall really go, run: kubectl delete secret " + p.escrow.Name + " -n " + operatorNamespace + " " + wayOut},
		{"delete all keys", deletesAll(&corev1.Secret{}, operatorNamespace), " holds the keys of instance "},
		{"take the keys' identity", patches(p.escrow, unlabel), "the label freehold.dev/instance of Secret " + p.escrow.Name + " says whose keys it holds and stays " + instanceID},
		{"delete the CRD of Tenants", deletes(crd("tenants.freehold.dev")), "nobody would keep the instances; if it shall really go, run: kubectl delete crd tenants.freehold.dev " + wayOut},
		{"delete the CRD of classes", deletes(crd("tenantclasses.freehold.dev")), "kubectl delete crd tenantclasses.freehold.dev " + wayOut},
		{"delete the CRD of policies", deletes(crd("backuppolicies.freehold.dev")), "nobody would back up the instances; if it shall really go, run: kubectl delete crd backuppolicies.freehold.dev " + wayOut},
		{"delete the CRD of backups", deletes(crd("backups.freehold.dev")), "kubectl delete crd backups.freehold.dev " + wayOut},
		{"delete the CRD of restores", deletes(crd("restores.freehold.dev")), "kubectl delete crd restores.freehold.dev " + wayOut},
		{"delete the keys of the backups", deletes(p.keys), "Secret " + p.keys.Name + " holds the keys of instance " + instanceID +
			"; if they shall really go, run: kubectl delete secret " + p.keys.Name + " -n " + operatorNamespace + " " + wayOut},
		{"take the identity of the backups' keys", patches(p.keys, unlabel), "the label freehold.dev/instance of Secret " + p.keys.Name + " says whose keys it holds and stays " + instanceID},
		{"delete what backups are made with", deletes(p.backup), "Secret freehold-backup-job is what " + ns + " is backed up with, and only Freehold writes it; " +
			"where and when it is backed up is said by the BackupPolicy that its Tenant names; to act by hand nevertheless, add to the command: " + wayOut},
		{"send backups elsewhere", patches(p.backup, `{"stringData":{"pgbackrest.conf":"[global]"}}`), "Secret freehold-backup-job is what " + ns + " is backed up with"},
		{"make what the database archives with", makes(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "freehold-backup", Namespace: ns}}), "Secret freehold-backup is what " + ns + " is backed up with"},
		{"make what a new instance is filled from", makes(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "freehold-bootstrap", Namespace: ns}}), "Secret freehold-bootstrap is what"},
		{"delete all Secrets of the tenant", deletesAll(&corev1.Secret{}, ns), "Secret freehold-backup-job is what"},
		{"stop the backups", patches(p.schedule, `{"spec":{"suspend":true}}`), "CronJob backup-site-a is what " + ns + " is backed up with"},
		{"disown the backups' schedule", patches(p.schedule, unlabel), "CronJob backup-site-a is what " + ns + " is backed up with"},
		{"delete the backups' schedule", deletes(p.schedule), "CronJob backup-site-a is what " + ns + " is backed up with"},
	}
}

// protect installs everything and gives the instance of a tenant and who may break the glass.
func protect(t *testing.T, ns string) (protected, client.Client) {
	t.Helper()
	install(t, "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")
	breakGlass := as(t, "test", "system:masters", "freehold:break-glass")
	p := instanceIn(ns)
	p.store(t, breakGlass)
	// Each policy reaches the API server by itself.
	for _, a := range attempts(p) {
		if a.refused != "" {
			eventuallyRefused(t, a.refused, func() error { return a.do(t.Context(), newClient(t, config)) })
		}
	}
	return p, breakGlass
}

func judge(t *testing.T, who string, a attempt, refused bool, err error) {
	t.Helper()
	switch {
	case !refused && err != nil:
		t.Errorf("%s should be able to %s, and is told: %v", who, a.name, err)
	case refused && !apierrors.IsForbidden(err):
		t.Errorf("%s should not be able to %s; the answer was: %v", who, a.name, err)
	case refused && !strings.Contains(err.Error(), a.refused):
		t.Errorf("%s may not %s, but is told: %v\ninstead of: %s", who, a.name, err, a.refused)
	}
}

func TestWhatTenantsHangOnIsProtected(t *testing.T) {
	p, _ := protect(t, "tenant-hooli")
	// What the operator's account may do here is decided by the policies alone: its RBAC allows it no more.
	operator := as(t, operatorName, "system:masters")
	collector := as(t, garbageCollector, "system:masters")
	own := map[string]bool{"delete the revision": true, "delete all revisions": true, "delete a wall": true, "open a wall": true, "add a network policy": true,
		"take Freehold's way in": true, "delete Freehold's way in": true, "delete all RoleBindings": true,
		"delete what backups are made with": true, "send backups elsewhere": true, "make what the database archives with": true,
		"make what a new instance is filled from": true, "delete all Secrets of the tenant": true,
		"stop the backups": true, "disown the backups' schedule": true, "delete the backups' schedule": true}
	for _, a := range attempts(p) {
		t.Run(a.name, func(t *testing.T) {
			judge(t, "a cluster's administrator", a, a.refused != "", a.do(t.Context(), newClient(t, config)))
			judge(t, "the garbage collector", a, a.refused != "", a.do(t.Context(), collector))
			judge(t, "an administrator who breaks the glass", a, false, a.do(t.Context(), as(t, "test", "system:masters", "freehold:break-glass")))
			if a.name == "delete the namespace" || a.name == "delete the operator's namespace" || a.name == "take Freehold's way in" || strings.Contains(a.name, "delete the volume claim") || a.name == "delete all volume claims" {
				return // Its own policies have other words for it: see TestOperatorIsHeldToTenants, TestTheOperatorDeletesOnlyClaimsThatWerePutAside.
			}
			judge(t, "the operator", a, a.refused != "" && !own[a.name], a.do(t.Context(), operator))
		})
	}
}

// Whoever acts in the group needs no other right for what it is for.
func TestTheGroupBringsTheRightsToBreakTheGlass(t *testing.T) {
	p, _ := protect(t, "tenant-piedpiper")
	nobody := as(t, "break-glass", "freehold:break-glass")
	for _, a := range []attempt{
		{"delete the namespace", deletes(p.namespace), ""},
		{"delete the volume claim", deletes(p.claim), ""},
		{"delete the revision", deletes(p.revision), ""},
		{"delete a wall", deletes(p.wall), ""},
		{"add a network policy", makes(policy(p.namespace.Name, "let-me-in")), ""},
		{"delete Freehold's way in", deletes(p.way), ""},
		{"delete the keys", deletes(p.escrow), ""},
		{"delete the keys of the backups", deletes(p.keys), ""},
		{"delete the CRD of Tenants", deletes(crd("tenants.freehold.dev")), ""},
		{"delete the CRD of policies", deletes(crd("backuppolicies.freehold.dev")), ""},
		{"delete another CRD", deletes(crd("others.example.com")), "cannot delete resource"},
		{"delete a Secret elsewhere", deletes(secret(p.namespace.Name)), "cannot delete resource"},
		{"read the keys", func(ctx context.Context, somebody client.Client) error {
			return somebody.Get(ctx, client.ObjectKeyFromObject(p.escrow), &corev1.Secret{})
		}, "cannot get resource"},
		{"let somebody in", makes(&rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "freehold-operator", Namespace: "default"},
			RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "freehold-tenant"}}), "cannot create resource"},
	} {
		t.Run(a.name, func(t *testing.T) {
			judge(t, "somebody with nothing but the group", a, a.refused != "", a.do(t.Context(), nobody))
		})
	}
}

// What is not Freehold's, or not protected, is nobody's business here: least of all the system's.
func TestProtectionTouchesNothingElse(t *testing.T) {
	p, breakGlass := protect(t, "tenant-aviato")
	elsewhere := namespace("protection-elsewhere")
	claim, labelled := instanceIn(elsewhere.Name).claim, instanceIn(elsewhere.Name).escrow
	labelled.Namespace = elsewhere.Name
	history := &appsv1.ControllerRevision{ObjectMeta: metav1.ObjectMeta{Name: "db-7f9c5b8d6", Namespace: p.namespace.Name, Labels: p.revision.Labels}, Data: p.revision.Data}
	unrelated := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "theirs", Namespace: p.namespace.Name}, Spec: p.claim.Spec}
	theirs := binding(p.namespace.Name, "view", "somebody")
	theirs.Name = "support"
	other := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "registry", Namespace: operatorNamespace}}
	report := cronJob(p.namespace.Name, nil)
	report.Name = "report"
	schedule, password := instanceIn(elsewhere.Name).schedule, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "freehold-backup", Namespace: elsewhere.Name}}
	for _, object := range []client.Object{elsewhere, claim, labelled, history, unrelated, theirs, other, report, schedule, password} {
		if err := breakGlass.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = breakGlass.Delete(context.Background(), other) })
	for _, a := range []attempt{
		{"delete another namespace", deletes(elsewhere), ""},
		{"delete a claim elsewhere that has the label", deletes(claim), ""},
		{"delete a Secret elsewhere that has the label", deletes(labelled), ""},
		{"delete the StatefulSet controller's record", deletes(history), ""},
		{"delete a stranger's claim", deletes(unrelated), ""},
		{"delete another RoleBinding", deletes(theirs), ""},
		{"delete another Secret of the operator's namespace", deletes(other), ""},
		{"change another CronJob of the tenant", patches(report, `{"spec":{"suspend":true}}`), ""},
		{"make another Secret of the tenant", makes(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "smtp", Namespace: p.namespace.Name}}), ""},
		{"run a Job", makes(job(p.namespace.Name)), ""},
		{"delete a schedule elsewhere that has the label", deletes(schedule), ""},
		{"delete a Secret elsewhere that has the name", deletes(password), ""},
		{"add a network policy elsewhere", makes(policy(elsewhere.Name, "theirs")), ""},
		{"label the system's namespace", patches(namespace("kube-system"), `{"metadata":{"labels":{"a":"b"}}}`), ""},
		{"label the operator's namespace", patches(namespace(operatorNamespace), `{"metadata":{"labels":{"`+enforce+`":"restricted"}}}`), ""},
		{"annotate a tenant's namespace", patches(p.namespace, `{"metadata":{"annotations":{"a":"b"}}}`), ""},
		{"enlarge a volume claim's label set", patches(p.claim, `{"metadata":{"labels":{"a":"b"}}}`), ""},
	} {
		t.Run(a.name, func(t *testing.T) {
			judge(t, "a cluster's administrator", a, false, a.do(t.Context(), newClient(t, config)))
		})
	}
}

// Network plugins have policies of their own, which add up with those of Kubernetes.
func TestWallsOfNetworkPluginsAreProtectedToo(t *testing.T) {
	p, _ := protect(t, "tenant-nucleus")
	kind := &apiextensionsv1.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{Name: "ciliumnetworkpolicies.cilium.io"},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: "cilium.io", Scope: apiextensionsv1.NamespaceScoped,
			Names: apiextensionsv1.CustomResourceDefinitionNames{Plural: "ciliumnetworkpolicies", Singular: "ciliumnetworkpolicy", Kind: "CiliumNetworkPolicy", ListKind: "CiliumNetworkPolicyList"},
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{Name: "v2", Served: true, Storage: true,
				Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{Type: "object"}}}},
		},
	}
	world := newClient(t, config)
	if err := world.Create(t.Context(), kind); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = world.Delete(context.Background(), kind) })
	made := func(ns string) error {
		opened := &unstructured.Unstructured{}
		opened.SetGroupVersionKind(schema.GroupVersionKind{Group: "cilium.io", Version: "v2", Kind: "CiliumNetworkPolicy"})
		opened.SetNamespace(ns)
		opened.SetName("let-me-in")
		return world.Create(t.Context(), opened, client.DryRunAll)
	}
	eventually(t, world, "the kind is served", func() error { return made("default") })
	if err := made(p.namespace.Name); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "only Freehold writes network policies in "+p.namespace.Name) {
		t.Errorf("the answer was: %v", err)
	}
}

// The accounts are those of a cluster whose controllers have one each (--use-service-account-credentials); where they
// share one, it acts like anybody else in a namespace that goes.
func TestNamespaceDeletionCompletesOnceTheGlassIsBroken(t *testing.T) {
	p, _ := protect(t, "tenant-raviga")
	ns := p.namespace.Name
	if err := as(t, "break-glass", "freehold:break-glass").Delete(t.Context(), p.namespace); err != nil {
		t.Fatal(err)
	}
	shared := as(t, "system:kube-controller-manager", "system:masters")
	eventually(t, newClient(t, config), "the API server lets everything in the namespace go", func() error {
		return deletes(p.claim)(t.Context(), shared)
	})
	for _, kind := range []client.Object{&appsv1.ControllerRevision{}, &networkingv1.NetworkPolicy{}, &rbacv1.RoleBinding{}, &batchv1.CronJob{}, &corev1.Secret{}} {
		if err := deletesAll(kind, ns)(t.Context(), shared); err != nil {
			t.Errorf("a controller without an account of its own: %v", err)
		}
	}

	// No system:masters: the rights that Kubernetes gives its controllers.
	controller := as(t, namespaceController, "system:serviceaccounts", "system:serviceaccounts:kube-system")
	for _, kind := range []client.Object{&appsv1.ControllerRevision{}, &networkingv1.NetworkPolicy{}, &rbacv1.RoleBinding{}, &corev1.PersistentVolumeClaim{}} {
		if err := controller.DeleteAllOf(t.Context(), kind, client.InNamespace(ns)); err != nil {
			t.Fatal(err)
		}
	}
	guard := as(t, pvcProtection, "system:serviceaccounts", "system:serviceaccounts:kube-system")
	if err := newClient(t, config).Get(t.Context(), client.ObjectKeyFromObject(p.claim), p.claim); err != nil {
		t.Fatal(err)
	}
	p.claim.Finalizers = nil
	if err := guard.Update(t.Context(), p.claim); err != nil {
		t.Fatal(err)
	}
	if err := newClient(t, config).Get(t.Context(), client.ObjectKeyFromObject(p.namespace), p.namespace); err != nil {
		t.Fatal(err)
	}
	p.namespace.Spec.Finalizers = nil
	if err := controller.SubResource("finalize").Update(t.Context(), p.namespace); err != nil {
		t.Fatal(err)
	}
	if err := newClient(t, config).Get(t.Context(), client.ObjectKeyFromObject(p.namespace), p.namespace); !apierrors.IsNotFound(err) {
		t.Errorf("the namespace is still there: %v", err)
	}
}

// The namespace controller is exempt in any namespace: it may see the deletion before the API server that it asks.
func TestTheNamespaceControllerNeedNotWait(t *testing.T) {
	p, _ := protect(t, "tenant-endframe")
	controller := as(t, namespaceController, "system:serviceaccounts", "system:serviceaccounts:kube-system")
	for _, object := range []client.Object{p.claim, p.revision, p.wall, p.way, p.escrow, p.keys, p.backup, p.schedule} {
		if err := deletes(object)(t.Context(), controller); err != nil {
			t.Error(err)
		}
	}
}

// tenantAdmin may do in one namespace what the ClusterRole admin lets people do. No controller aggregates that role
// here, hence its parts.
func tenantAdmin(t *testing.T, ns string) client.Client {
	t.Helper()
	for _, part := range []string{"admin", "edit", "view"} {
		right := &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: "owner-" + part, Namespace: ns},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "system:aggregate-to-" + part},
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "owner"}},
		}
		if err := admin.Create(t.Context(), right); err != nil {
			t.Fatal(err)
		}
	}
	return as(t, "owner")
}

func TestAdminOfOneNamespaceStaysOutsideTheWalls(t *testing.T) {
	p, breakGlass := protect(t, "tenant-hanneli")
	neighbour := instanceIn("tenant-bachmanity")
	neighbour.store(t, breakGlass)
	ns := p.namespace.Name
	owner := tenantAdmin(t, ns)
	settings := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "theirs", Namespace: ns}}
	for _, a := range []attempt{
		{"make a ConfigMap", makes(settings), ""}, // The rights are there: what follows is refused for its own reason.
		{"delete the namespace", deletes(p.namespace), "cannot delete resource"},
		{"delete the volume claim", deletes(p.claim), "volume claim db-0001 holds data"},
		{"delete all volume claims", deletesAll(&corev1.PersistentVolumeClaim{}, ns), "volume claim db-0001 holds data"},
		{"take the volume claim's identity", patches(p.claim, unlabel), "says whose data is on it"},
		{"delete the revision", deletes(p.revision), "cannot delete resource"},
		{"delete a wall", deletes(p.wall), "only Freehold writes network policies"},
		{"open a wall", patches(p.wall, `{"spec":{"ingress":[{}]}}`), "only Freehold writes network policies"},
		{"add a network policy", makes(policy(ns, "let-me-in")), "only Freehold writes network policies"},
		{"delete Freehold's way in", deletes(p.way), "RoleBinding freehold-operator is Freehold's way"},
		{"enter by Freehold's way", patches(p.way, `{"subjects":[{"apiGroup":"rbac.authorization.k8s.io","kind":"User","name":"owner"}]}`), "forbidden"},
		{"lower the namespace's Pod Security", patches(p.namespace, `{"metadata":{"labels":{"`+enforce+`":"privileged"}}}`), "cannot patch resource"},
		{"send the backups elsewhere", patches(p.backup, `{"stringData":{"pgbackrest.conf":"[global]"}}`), "Secret freehold-backup-job is what " + ns + " is backed up with"},
		{"delete what the backups are made with", deletes(p.backup), "Secret freehold-backup-job is what " + ns + " is backed up with"},
		{"make what the database archives with", makes(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "freehold-backup", Namespace: ns}}), "Secret freehold-backup is what"},
		{"stop the backups", patches(p.schedule, `{"spec":{"suspend":true}}`), "CronJob backup-site-a is what " + ns + " is backed up with"},
		{"delete the keys of its backups", deletes(p.keys), "cannot delete resource"},
		{"run a privileged pod", makes(privilegedPod(ns)), `violates PodSecurity "restricted:latest"`},
		{"read the neighbour's namespace", func(ctx context.Context, somebody client.Client) error {
			return somebody.Get(ctx, client.ObjectKeyFromObject(neighbour.namespace), &corev1.Namespace{})
		}, "cannot get resource"},
		{"read the neighbour's Secrets", func(ctx context.Context, somebody client.Client) error {
			return somebody.List(ctx, &corev1.SecretList{}, client.InNamespace(neighbour.namespace.Name))
		}, "cannot list resource"},
		{"read the keys of all tenants", func(ctx context.Context, somebody client.Client) error {
			return somebody.List(ctx, &corev1.SecretList{}, client.InNamespace(operatorNamespace))
		}, "cannot list resource"},
		{"delete the neighbour's volume claim", deletes(neighbour.claim), "cannot delete resource"},
		{"change its own Tenant", patches(&v1alpha1.Tenant{ObjectMeta: metav1.ObjectMeta{Name: "hanneli"}}, `{"spec":{"suspended":true}}`), "cannot patch resource"},
	} {
		t.Run(a.name, func(t *testing.T) {
			judge(t, "the admin of the tenant's namespace", a, a.refused != "", a.do(t.Context(), owner))
		})
	}
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{User: "owner", ResourceAttributes: &authorizationv1.ResourceAttributes{
		Verb: "impersonate", Resource: "groups", Name: "freehold:break-glass"}}}
	if err := admin.Create(t.Context(), review); err != nil || review.Status.Allowed {
		t.Errorf("may the admin of the tenant's namespace break the glass? %v %v", review.Status, err)
	}
}

func privilegedPod(ns string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "root", Namespace: ns}, Spec: corev1.PodSpec{Containers: []corev1.Container{{
		Name: "root", Image: "example.com/root:1", SecurityContext: &corev1.SecurityContext{Privileged: ptr.To(true)}}}}}
}

// A chart with other groups names them in the policies, the refusals and the bindings.
func TestChartTakesTheGroupsThatBreakTheGlass(t *testing.T) {
	objects, err := helm(operatorNamespace, "--set", "protection.breakGlassGroups={oidc:on-call,platform}")
	if err != nil {
		t.Fatal(err)
	}
	policies, bindings := 0, 0
	for _, object := range objects {
		text, err := object.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "freehold:break-glass") {
			t.Errorf("%s still speaks of freehold:break-glass", nameOf(object))
		}
		switch {
		case object.GetKind() == "ValidatingAdmissionPolicy" && strings.HasPrefix(object.GetName(), "freehold-protection-"):
			policies++
			if !strings.Contains(string(text), `g in ['oidc:on-call', 'platform']`) || !strings.Contains(string(text), "--as-group=oidc:on-call") {
				t.Errorf("%s does not name the groups: %s", nameOf(object), text)
			}
		case strings.HasSuffix(object.GetKind(), "RoleBinding") && object.GetName() == "freehold-break-glass":
			bindings++
			if subjects := field[[]any](t, object.Object, "subjects"); len(subjects) != 2 || subjects[1].(map[string]any)["name"] != "platform" {
				t.Errorf("%s binds %v", nameOf(object), subjects)
			}
		}
	}
	if policies != 7 || bindings != 2 {
		t.Errorf("%d policies and %d bindings were looked at", policies, bindings)
	}
}
