// SPDX-License-Identifier: Apache-2.0

package install_test

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers"
	"github.com/freehold-dev/freehold/controllers/tenant"
	"github.com/freehold-dev/freehold/controllers/tenant/render"
)

// The rights that both ways of installation give are enough: the real controllers, with the identity of the operator's
// service account and under its admission policies, build an instance, repair it and retire it.
func TestRightsAreEnough(t *testing.T) {
	install(t, "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")
	world := startOperator(t)
	for _, object := range backedUp {
		if err := world.Create(t.Context(), object.DeepCopy()); err != nil {
			t.Fatalf("creating sample %s: %v", nameOf(object), err)
		}
	}
	for _, step := range []struct {
		name string
		do   func(*testing.T, client.Client)
	}{
		{"to build an instance", build},
		{"to keep its volume", keepVolume},
		{"to make again what was deleted", remake},
		{"to take out what somebody added", takeOut},
		{"to retire an instance", retire},
	} {
		if !t.Run(step.name, func(t *testing.T) { step.do(t, world) }) {
			return // Each step builds on the one before.
		}
	}
}

func build(t *testing.T, world client.Client) {
	for _, part := range instance("tenant-acme") {
		eventually(t, world, part.GetName()+" exists", func() error { return get(t, world, part) })
	}
	eventually(t, world, "the status names the namespace", func() error {
		return expectTenant(t, world, func(have *v1alpha1.Tenant) bool { return have.Status.Namespace == "tenant-acme" })
	})
}

// keepVolume binds the database's claim, as a cluster's volume controller would.
func keepVolume(t *testing.T, world client.Client) {
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "db-0001", Namespace: "tenant-acme"}}
	if err := get(t, world, claim); err != nil {
		t.Fatal(err)
	}
	volume := &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: "pv-acme"},
		Spec: corev1.PersistentVolumeSpec{
			Capacity:                      claim.Spec.Resources.Requests,
			AccessModes:                   claim.Spec.AccessModes,
			PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimDelete,
			PersistentVolumeSource:        corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/nowhere"}},
			ClaimRef:                      &corev1.ObjectReference{Kind: "PersistentVolumeClaim", Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID},
		},
	}
	if err := world.Create(t.Context(), volume); err != nil {
		t.Fatal(err)
	}
	if err := world.Patch(t.Context(), claim, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"volumeName":"pv-acme"}}`))); err != nil {
		t.Fatal(err)
	}
	if err := world.Status().Patch(t.Context(), claim, client.RawPatch(types.MergePatchType, []byte(`{"status":{"phase":"Bound"}}`))); err != nil {
		t.Fatal(err)
	}
	eventually(t, world, "the volume is set to Retain", func() error {
		if err := get(t, world, volume); err != nil {
			return err
		}
		if volume.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimRetain {
			return errNotYet
		}
		return nil
	})
}

func remake(t *testing.T, world client.Client) {
	breakGlass := as(t, "test", "system:masters", "freehold:break-glass") // Some of it is protected.
	for _, part := range instance("tenant-acme") {
		switch part.(type) {
		case *corev1.Namespace, *corev1.PersistentVolumeClaim:
			continue // Identity and data: nothing is put in their place.
		case *corev1.Secret:
			continue // Looked at by the audit, minutes later.
		}
		if err := get(t, world, part); err != nil {
			t.Fatal(err)
		}
		before := part.GetUID()
		if err := breakGlass.Delete(t.Context(), part); err != nil {
			t.Fatal(err)
		}
		eventually(t, world, part.GetName()+" is back", func() error {
			if err := get(t, world, part); err != nil {
				return err
			}
			if part.GetUID() == before {
				return errNotYet
			}
			return nil
		})
	}
}

func takeOut(t *testing.T, world client.Client) {
	addition := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"hard":{"count/jobs.batch":"99"}}}`))
	quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "freehold", Namespace: "tenant-acme"}}
	if err := world.Patch(t.Context(), quota, addition, client.FieldOwner("somebody")); err != nil {
		t.Fatal(err)
	}
	eventually(t, world, "the addition is gone", func() error {
		if err := get(t, world, quota); err != nil {
			return err
		}
		if _, still := quota.Spec.Hard["count/jobs.batch"]; still {
			return errNotYet
		}
		return nil
	})
}

func retire(t *testing.T, world client.Client) {
	doomed := &v1alpha1.Tenant{ObjectMeta: metav1.ObjectMeta{Name: "acme"}}
	if err := world.Patch(t.Context(), doomed, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"deletionProtection":false}}`))); err != nil {
		t.Fatal(err)
	}
	if err := world.Delete(t.Context(), doomed); err != nil {
		t.Fatal(err)
	}
	for _, workload := range []client.Object{
		&appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: "db", Namespace: "tenant-acme"}},
		&appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: "app", Namespace: "tenant-acme"}},
		&appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "edge", Namespace: "tenant-acme"}},
	} {
		eventually(t, world, workload.GetName()+" is scaled to zero", func() error { return observeStopped(t, world, workload) })
	}
	eventually(t, world, "the Tenant is gone", func() error {
		if err := world.Get(t.Context(), client.ObjectKeyFromObject(doomed), doomed); !apierrors.IsNotFound(err) {
			return errNotYet
		}
		return nil
	})
	eventually(t, world, "an event about the Tenant", func() error {
		told := &eventsv1.EventList{}
		if err := world.List(t.Context(), told, client.InNamespace("default")); err != nil {
			return err
		}
		if !slices.ContainsFunc(told.Items, func(e eventsv1.Event) bool { return e.Regarding.Kind == "Tenant" && e.Regarding.Name == "acme" }) {
			return errNotYet
		}
		return nil
	})
	kept := namespace("tenant-acme")
	if err := get(t, world, kept); err != nil || kept.Labels[v1alpha1.LabelRetained] != "true" {
		t.Errorf("the namespace is not kept as retained: %v, labels %v", err, kept.Labels)
	}
	if err := get(t, world, &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "db-0001", Namespace: "tenant-acme"}}); err != nil {
		t.Errorf("the volume of the database: %v", err)
	}
}

// observeStopped plays the cluster's workload controllers: it notes that no pod is left once none is wanted.
func observeStopped(t *testing.T, world client.Client, workload client.Object) error {
	t.Helper()
	if err := get(t, world, workload); err != nil {
		return err
	}
	switch w := workload.(type) {
	case *appsv1.StatefulSet:
		if *w.Spec.Replicas != 0 {
			return errNotYet
		}
		w.Status.ObservedGeneration = w.Generation
	case *appsv1.Deployment:
		if *w.Spec.Replicas != 0 {
			return errNotYet
		}
		w.Status.ObservedGeneration = w.Generation
	}
	return world.Status().Update(t.Context(), workload)
}

// instance are objects of every kind that an instance of the samples consists of.
func instance(ns string) []client.Object {
	named := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Name: name, Namespace: ns} }
	return []client.Object{
		namespace(ns),
		&rbacv1.RoleBinding{ObjectMeta: named("freehold-operator")},
		&corev1.ResourceQuota{ObjectMeta: named("freehold")},
		&corev1.LimitRange{ObjectMeta: named("freehold")},
		&networkingv1.NetworkPolicy{ObjectMeta: named("freehold-default-deny")},
		&corev1.ServiceAccount{ObjectMeta: named("db")},
		&corev1.Secret{ObjectMeta: named("freehold-database")},
		&corev1.ConfigMap{ObjectMeta: named("freehold-trust")},
		&corev1.Service{ObjectMeta: named("edge")},
		&corev1.PersistentVolumeClaim{ObjectMeta: named("db-0001")},
		&appsv1.ControllerRevision{ObjectMeta: named("revision-0001")},
		&appsv1.StatefulSet{ObjectMeta: named("db")},
		&appsv1.StatefulSet{ObjectMeta: named("app")},
		&appsv1.Deployment{ObjectMeta: named("edge")},
		&policyv1.PodDisruptionBudget{ObjectMeta: named("edge")},
	}
}

// startOperator runs the controllers with the operator's identity, and gives a client of an administrator.
func startOperator(t *testing.T) client.Client {
	t.Helper()
	ctrl.SetLogger(logr.Discard())
	scheme := controllers.Scheme()
	world, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	mgr, err := ctrl.NewManager(operatorConfig(), ctrl.Options{
		Scheme: scheme, Cache: controllers.CacheOptions(), Client: controllers.ClientOptions(),
		Metrics: metricsserver.Options{BindAddress: "0"}, HealthProbeBindAddress: "0",
		LeaderElection: true, LeaderElectionID: "manager.freehold.dev", LeaderElectionNamespace: operatorNamespace, LeaderElectionReleaseOnCancel: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := controllers.Setup(mgr, controllers.Options{Tenant: tenant.Options{
		AuditInterval: 10 * time.Minute,
		Images:        render.Images{Database: "example.com/postgres:1", Edge: "example.com/edge:1", PullPolicy: corev1.PullIfNotPresent},
		Facts: render.Facts{
			ClusterDomain: "cluster.local", ClusterNetworks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
			DNSNamespace: "kube-system", DNSPodLabels: map[string]string{"k8s-app": "kube-dns"},
			OperatorNamespace: operatorNamespace, OperatorServiceAccount: "freehold-manager", TenantClusterRole: "freehold-tenant",
		},
	}}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() { stopped <- mgr.Start(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-stopped; err != nil {
			t.Errorf("the operator: %v", err)
		}
	})
	return world
}

var errNotYet = apierrors.NewServiceUnavailable("not yet")

func get(t *testing.T, world client.Client, object client.Object) error {
	t.Helper()
	return world.Get(t.Context(), client.ObjectKeyFromObject(object), object)
}

func expectTenant(t *testing.T, world client.Client, holds func(*v1alpha1.Tenant) bool) error {
	t.Helper()
	have := &v1alpha1.Tenant{ObjectMeta: metav1.ObjectMeta{Name: "acme"}}
	if err := get(t, world, have); err != nil {
		return err
	}
	if !holds(have) {
		return errNotYet
	}
	return nil
}

// eventually waits for something that the operator brings about, and otherwise prints what it says itself.
func eventually(t *testing.T, world client.Client, what string, check func() error) {
	t.Helper()
	var last error
	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, 90*time.Second, true, func(context.Context) (bool, error) {
		last = check()
		return last == nil, nil
	})
	if err == nil {
		return
	}
	var said []string
	have := &v1alpha1.Tenant{ObjectMeta: metav1.ObjectMeta{Name: "acme"}}
	if get(t, world, have) == nil {
		for _, condition := range have.Status.Conditions {
			said = append(said, condition.Type+"="+string(condition.Status)+" ("+condition.Reason+"): "+condition.Message)
		}
	}
	t.Fatalf("not within 90 seconds: %s: %v; the Tenant says:\n  %s", what, last, strings.Join(said, "\n  "))
}
