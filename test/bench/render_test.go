// SPDX-License-Identifier: Apache-2.0

//go:build bench

package bench

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/tenant/render"
)

// sample reads one of config/samples.
func sample(b *testing.B, name string, into any) {
	b.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "..", "config", "samples", name))
	if err == nil {
		err = yaml.UnmarshalStrict(raw, into)
	}
	if err != nil {
		b.Fatal(err)
	}
}

func inputs(b *testing.B) render.Inputs {
	b.Helper()
	tenant, class := &v1alpha1.Tenant{}, &v1alpha1.TenantClass{}
	sample(b, "tenant_globex.yaml", tenant)
	sample(b, "tenantclass_miniflux.yaml", class)
	class.Spec.Database.Name, class.Spec.Database.User = "app", "app" // the API server's defaults
	return render.Inputs{
		Tenant: tenant, Class: class, InstanceID: "k7qvx2m9tb", Initialized: true,
		Images:      render.Images{Database: "postgres:1", Edge: "edge:1", PullPolicy: "IfNotPresent"},
		TrustBundle: "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
		Facts: render.Facts{
			ClusterDomain:          "cluster.local",
			ClusterNetworks:        []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
			DNSNamespace:           "kube-system",
			OperatorNamespace:      "freehold-system",
			TenantClusterRole:      "freehold-tenant",
			DNSPodLabels:           map[string]string{"k8s-app": "kube-dns"},
			OperatorServiceAccount: "freehold-manager",
		},
	}
}

// BenchmarkRender is what a pass over one Tenant computes before it compares: the live objects, today's revision with
// its hash, and the workloads of the running one.
func BenchmarkRender(b *testing.B) {
	in := inputs(b)
	running, err := render.NewRevision(in)
	if err != nil {
		b.Fatal(err)
	}
	in.Running = running
	raw, err := running.Encode()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := render.Live(in); err != nil {
			b.Fatal(err)
		}
		today, err := render.NewRevision(in)
		if err != nil {
			b.Fatal(err)
		}
		stored, err := render.DecodeRevision(raw)
		if err != nil || today.Hash() != stored.Hash() {
			b.Fatalf("the stored revision should be today's: %v", err)
		}
		stored.Workloads(1, render.Scale(in.Tenant, in.Class, false), "db-0001", "app-0001")
	}
	b.ReportMetric(float64(len(raw)), "stored-bytes")
}
