// SPDX-License-Identifier: Apache-2.0

package install_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

func TestEverythingPassesStrictDryRun(t *testing.T) {
	for way, objects := range map[string][]*unstructured.Unstructured{"chart": chart, "kustomization": kustomization, "samples": samples, "samples with backups": backedUp} {
		if len(objects) < 3 {
			t.Fatalf("%s: only %d objects were rendered", way, len(objects))
		}
		for _, object := range objects {
			t.Run(way+" "+nameOf(object), func(t *testing.T) {
				text, err := object.MarshalJSON()
				if err != nil {
					t.Fatal(err)
				}
				err = admin.Patch(context.Background(), object.DeepCopy(), client.RawPatch(types.ApplyPatchType, text), client.DryRunAll,
					client.FieldOwner("test"), client.ForceOwnership, client.FieldValidation("Strict"))
				if err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// The chart and the kustomization give the operator the same rights, flags and surroundings. Only the namespace
// itself is the kustomization's alone (Helm makes it), and labels and annotations for people and for Helm differ.
func TestChartAndKustomizationInstallTheSame(t *testing.T) {
	fromChart, fromKustomization := byName(chart), byName(kustomization)
	delete(fromKustomization, "Namespace /"+operatorNamespace)
	for name, want := range fromKustomization {
		got, there := fromChart[name]
		if !there {
			t.Errorf("the chart lacks %s", name)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s differs (- kustomization, + chart):\n%s", name, diff)
		}
	}
	for name := range fromChart {
		if _, there := fromKustomization[name]; !there {
			t.Errorf("the kustomization lacks %s", name)
		}
	}
}

func byName(objects []*unstructured.Unstructured) map[string]map[string]any {
	all := map[string]map[string]any{}
	for _, object := range objects {
		same := object.DeepCopy()
		same.SetLabels(nil)
		annotations := same.GetAnnotations()
		delete(annotations, "helm.sh/resource-policy")
		same.SetAnnotations(annotations)
		all[nameOf(same)] = same.Object
	}
	return all
}

func TestUninstallKeepsTheCRDs(t *testing.T) {
	var kept []string
	for _, object := range chart {
		if object.GetKind() != "CustomResourceDefinition" {
			continue
		}
		kept = append(kept, object.GetName())
		if object.GetAnnotations()["helm.sh/resource-policy"] != "keep" {
			t.Errorf("helm uninstall would delete %s, and with it every object of its kind", object.GetName())
		}
	}
	want := []string{"backuppolicies.freehold.dev", "backups.freehold.dev", "restores.freehold.dev", "tenantclasses.freehold.dev", "tenants.freehold.dev"}
	if slices.Sort(kept); !slices.Equal(kept, want) {
		t.Errorf("the chart has the CRDs %v, expected %v", kept, want)
	}
}

func TestChartInAnotherNamespace(t *testing.T) {
	objects, err := helm("elsewhere")
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range objects {
		text, err := object.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), operatorNamespace) {
			t.Errorf("%s still speaks of %s", nameOf(object), operatorNamespace)
		}
	}
}

func TestChartValuesReachTheOperator(t *testing.T) {
	objects, err := helm(operatorNamespace, "--set", strings.Join([]string{
		"replicas=2", "images.manager.tag=sha256:" + strings.Repeat("0", 64), "images.postgres.repository=localhost/freehold-postgres", "images.postgres.tag=dev",
		"images.edge.repository=localhost/freehold-edge", "images.edge.tag=dev", "images.pullPolicy=Never", "cluster.domain=example.internal",
		`cluster.networks={10.244.0.0/16,10.96.0.0/16}`, "dns.namespace=dns", "auditInterval=30s", "backups.concurrentVerifications=7",
		"dns.addresses={169.254.20.10/32}", "metrics.port=9090", "healthPort=9091", "extraArgs={--verbose}",
	}, ","), "--set-json", `dns.podLabels={"k8s-app":null,"b":"2","a":"1"}`)
	if err != nil {
		t.Fatal(err)
	}
	deployment := byName(objects)["Deployment "+operatorNamespace+"/freehold-manager"]
	if replicas := field[float64](t, deployment, "spec", "replicas"); replicas != 2 {
		t.Errorf("replicas: %v", replicas)
	}
	container := field[[]any](t, deployment, "spec", "template", "spec", "containers")[0].(map[string]any)
	if image := container["image"]; image != "ghcr.io/freehold-dev/freehold-manager@sha256:"+strings.Repeat("0", 64) {
		t.Errorf("image: %s", image)
	}
	want := []any{
		"manager", "--cluster-domain=example.internal", "--cluster-networks=10.244.0.0/16,10.96.0.0/16", "--dns-namespace=dns", "--dns-pod-labels=a=1,b=2",
		"--dns-addresses=169.254.20.10/32", "--postgres-image=localhost/freehold-postgres:dev", "--edge-image=localhost/freehold-edge:dev",
		"--image-pull-policy=Never", "--tenant-cluster-role=freehold-tenant", "--audit-interval=30s", "--backup-evidence-interval=15m", "--backup-aside-interval=15m", "--concurrent-verifications=7", "--probe-interval=10m", "--leader-elect", "--metrics-bind-address=:9090",
		"--health-probe-bind-address=:9091", "--verbose",
	}
	if diff := cmp.Diff(want, container["args"]); diff != "" {
		t.Errorf("arguments (- wanted, + got):\n%s", diff)
	}
}

// What only some clusters can take is made on request: test/alerts holds the content to what it is for.
func TestChartHasRulesAndDashboardsOnRequest(t *testing.T) {
	for _, object := range chart {
		if object.GetKind() == "PrometheusRule" || object.GetName() == "freehold-dashboards" {
			t.Errorf("%s is made unasked", nameOf(object))
		}
	}
	objects, err := helm(operatorNamespace, "--set", "prometheusRule.enabled=true,prometheusRule.labels.release=prometheus,grafanaDashboard.enabled=true")
	if err != nil {
		t.Fatal(err)
	}
	made := map[string]*unstructured.Unstructured{}
	for _, object := range objects {
		made[object.GetKind()+" "+object.GetName()] = object
	}
	rule, board := made["PrometheusRule freehold-backups"], made["ConfigMap freehold-dashboards"]
	if rule == nil || board == nil {
		t.Fatal("they are not made on request either")
	}
	if groups := field[[]any](t, rule.Object, "spec", "groups"); len(groups) == 0 || rule.GetLabels()["release"] != "prometheus" {
		t.Errorf("the rule has %d groups and the labels %v", len(groups), rule.GetLabels())
	}
	var content map[string]any
	if err := json.Unmarshal([]byte(field[string](t, board.Object, "data", "freehold-backups.json")), &content); err != nil || board.GetLabels()["grafana_dashboard"] != "1" {
		t.Errorf("the dashboard has the labels %v: %v", board.GetLabels(), err)
	}
}

func TestChartRefusesWrongValues(t *testing.T) {
	for setting, complaint := range map[string]string{
		"cluster.networks=null":              "networks",
		`cluster.networks={}`:                "networks",
		`cluster.networks={2001:db8\:\:/32}`: "networks",
		"cluster.network={10.0.0.0/8}":       "network",
		"images.pullPolicy=Sometimes":        "pullPolicy",
		"metrics.port=443":                   "port",
		"auditInterval=soon":                 "auditInterval",
		"replicas=many":                      "replicas",
		"dns.namespace=":                     "namespace",
		"prometheusRule.enabled=yes please":  "prometheusRule",
		"grafanaDashboard.label=a":           "grafanaDashboard",
	} {
		t.Run(setting, func(t *testing.T) {
			if _, err := helm(operatorNamespace, "--set", setting); err == nil || !strings.Contains(err.Error(), complaint) {
				t.Errorf("expected a refusal that names %s, got: %v", complaint, err)
			}
		})
	}
}

// The operator's pods obey the Pod Security Standard that its namespace enforces: an API server that enforces it
// takes every pod that either way of installation makes.
func TestOperatorPodsAreRestricted(t *testing.T) {
	if level := byNameWithLabels(t, "Namespace", operatorNamespace).GetLabels()[enforce]; level != "restricted" {
		t.Errorf("the namespace enforces %q", level)
	}
	strict := walled("restricted", "restricted")
	if err := admin.Create(t.Context(), strict); err != nil {
		t.Fatal(err)
	}
	if err := admin.Create(t.Context(), privilegedPod(strict.Name), client.DryRunAll); err == nil || !strings.Contains(err.Error(), `violates PodSecurity "restricted:latest"`) {
		t.Fatalf("the API server does not enforce the standard: %v", err)
	}
	for way, objects := range map[string][]*unstructured.Unstructured{"chart": chart, "kustomization": kustomization} {
		pods := 0
		for _, object := range objects {
			template, is, err := unstructured.NestedMap(object.Object, "spec", "template")
			if err != nil {
				t.Fatal(err)
			}
			if !is {
				continue
			}
			pods++
			pod := &unstructured.Unstructured{Object: template}
			pod.SetAPIVersion("v1")
			pod.SetKind("Pod")
			pod.SetName(object.GetName())
			pod.SetNamespace(strict.Name)
			if err := admin.Create(t.Context(), pod, client.DryRunAll); err != nil {
				t.Errorf("%s: the pod of %s: %v", way, nameOf(object), err)
			}
		}
		if pods == 0 {
			t.Errorf("%s: no workload was found", way)
		}
	}
}

func TestOperatorCannotWriteItsRoot(t *testing.T) {
	deployment := byName(kustomization)["Deployment "+operatorNamespace+"/freehold-manager"]
	container := field[[]any](t, deployment, "spec", "template", "spec", "containers")[0].(map[string]any)
	if readOnly := field[bool](t, container, "securityContext", "readOnlyRootFilesystem"); !readOnly {
		t.Error("the root file system is writable")
	}
	if dropped := field[[]any](t, container, "securityContext", "capabilities", "drop"); !slices.Contains(dropped, any("ALL")) {
		t.Errorf("capabilities dropped: %v", dropped)
	}
}

func byNameWithLabels(t *testing.T, kind, name string) *unstructured.Unstructured {
	t.Helper()
	for _, object := range kustomization {
		if object.GetKind() == kind && object.GetName() == name {
			return object
		}
	}
	t.Fatalf("the kustomization has no %s %s", kind, name)
	return nil
}

func field[T any](t *testing.T, object map[string]any, path ...string) T {
	t.Helper()
	value, _, err := unstructured.NestedFieldNoCopy(object, path...)
	if err != nil {
		t.Fatal(err)
	}
	typed, ok := value.(T)
	if !ok {
		t.Fatalf("%s is %v (%s)", strings.Join(path, "."), value, fmt.Sprintf("%T", value))
	}
	return typed
}
