// SPDX-License-Identifier: Apache-2.0

package render_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/ptr"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
	"github.com/freehold-dev/freehold/controllers/tenant/render"
)

func encoded(t *testing.T, revision *render.Revision) []byte {
	t.Helper()
	raw, err := revision.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func decoded(t *testing.T, raw []byte) *render.Revision {
	t.Helper()
	revision, err := render.DecodeRevision(raw)
	if err != nil {
		t.Fatalf("a stored revision cannot be read: %v", err)
	}
	return revision
}

func TestRevisionSurvivesItsStorage(t *testing.T) {
	for name, in := range shapes {
		t.Run(name, func(t *testing.T) {
			revision := mustRevision(t, in())
			back := decoded(t, encoded(t, revision))
			if back.Hash() != revision.Hash() {
				t.Errorf("the hash is %s before and %s after", revision.Hash(), back.Hash())
			}
			if !equality.Semantic.DeepEqual(revision, back) {
				t.Errorf("the content differs:\n%s\n%s", encoded(t, revision), encoded(t, back))
			}
		})
	}
}

func TestRevisionIsTheSameInAnyWriting(t *testing.T) {
	in := miniflux()
	first := mustRevision(t, in)
	for range 20 {
		if again := mustRevision(t, miniflux()); again.Hash() != first.Hash() {
			t.Fatalf("rendered twice from the same inputs: %s and %s", first.Hash(), again.Hash())
		}
	}
	in.Class.Spec.App.Compute = v1alpha1.Compute{CPU: ptr.To(resource.MustParse("0.5")), Memory: ptr.To(resource.MustParse("262144Ki"))}
	if same := mustRevision(t, in); same.Hash() != first.Hash() {
		t.Error("500m written as 0.5, or 256Mi as 262144Ki, looks like an update")
	}
	var content map[string]any
	if err := json.Unmarshal(encoded(t, first), &content); err != nil {
		t.Fatal(err)
	}
	spaced, err := json.MarshalIndent(content, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if decoded(t, spaced).Hash() != first.Hash() {
		t.Error("white space in the stored revision changes its hash")
	}
}

func TestWhatNeedsARestartMakesAnotherRevision(t *testing.T) {
	before := mustRevision(t, dex()).Hash()
	for name, change := range map[string]func(*render.Inputs){
		"the application's image":  func(in *render.Inputs) { in.Class.Spec.App.Image = "dexidp/dex:v3" },
		"the operator's edge":      func(in *render.Inputs) { in.Class.Spec.Edge.Image = ""; in.Images.Edge = "freehold/edge:0.2.0" },
		"a variable":               func(in *render.Inputs) { in.Class.Spec.App.Env[0].Name = "DATABASE_HOST" },
		"a file":                   func(in *render.Inputs) { in.Class.Spec.App.Files[0].Content += "more: true\n" },
		"a path":                   func(in *render.Inputs) { in.Class.Spec.App.Files[0].Path = "/etc/dex/other.yaml" },
		"a parameter":              func(in *render.Inputs) { in.Tenant.Spec.Database.Parameters["work_mem"] = "8MB" },
		"memory":                   func(in *render.Inputs) { in.Tenant.Spec.Database.Compute.Memory = ptr.To(resource.MustParse("3Gi")) },
		"the least TLS version":    func(in *render.Inputs) { in.Tenant.Spec.TLS.MinVersion = v1alpha1.TLSv12 },
		"HSTS":                     func(in *render.Inputs) { in.Class.Spec.Edge.HSTSMaxAgeSeconds = nil },
		"the name that an app has": func(in *render.Inputs) { in.Tenant.Spec.DisplayName = "Globex" },
	} {
		in := dex()
		change(&in)
		if mustRevision(t, in).Hash() == before {
			t.Errorf("%s changed, and the revision is the same: the change would never reach the pods", name)
		}
	}
}

func TestWhatIsLiveMakesNoOtherRevision(t *testing.T) {
	in := miniflux()
	in.Class.Spec.App.Env = in.Class.Spec.App.Env[:2] // No variable with the URL: hostnames then need no restart.
	before := mustRevision(t, in).Hash()
	for name, change := range map[string]func(*render.Inputs){
		"hostnames":         func(in *render.Inputs) { in.Tenant.Spec.Hostnames = []v1alpha1.Hostname{"new.example.com"} },
		"access":            func(in *render.Inputs) { in.Tenant.Spec.Network.Access = v1alpha1.AccessClosed },
		"denied ranges":     func(in *render.Inputs) { in.Tenant.Spec.Network.DeniedRanges = []v1alpha1.CIDR{"192.0.2.0/24"} },
		"the certificate":   func(in *render.Inputs) { in.Tenant.Spec.TLS.SecretRef = &v1alpha1.SecretReference{Name: "mine"} },
		"the trust":         func(in *render.Inputs) { in.TrustBundle, in.SecretsHash = "other", "other" },
		"database storage":  func(in *render.Inputs) { in.Class.Spec.Database.Storage.Size = resource.MustParse("99Gi") },
		"replicas":          func(in *render.Inputs) { in.Class.Spec.Edge.Replicas = 5 },
		"the load balancer": func(in *render.Inputs) { in.Class.Spec.LoadBalancer.AllocateNodePorts = true },
		"egress":            func(in *render.Inputs) { in.Class.Spec.AllowedEgress = nil },
		"headroom": func(in *render.Inputs) {
			in.Class.Spec.QuotaHeadroom = corev1.ResourceList{"pods": resource.MustParse("1")}
		},
		"suspension":      func(in *render.Inputs) { in.Tenant.Spec.Suspended = true },
		"stage":           func(in *render.Inputs) { in.Tenant.Spec.Stage = v1alpha1.StagePreprod },
		"the first start": func(in *render.Inputs) { in.Initialized, in.BoundClaims = true, []string{"db-0001"} },
		"a backup policy that is named": func(in *render.Inputs) {
			in.Tenant.Spec.BackupPolicyRef, in.Backup = &v1alpha1.BackupPolicyReference{Name: "two-sites"}, twoSites()
		},
		"the cluster's facts": func(in *render.Inputs) { in.Facts.ClusterNetworks, in.Facts.DNSNamespace = nil, "dns" },
	} {
		in := miniflux()
		in.Class.Spec.App.Env = in.Class.Spec.App.Env[:2]
		change(&in)
		if mustRevision(t, in).Hash() != before {
			t.Errorf("%s changed, and it looks like an update that needs a restart", name)
		}
	}
}

func TestARevisionWithUnknownFieldsIsRefused(t *testing.T) {
	raw := string(encoded(t, mustRevision(t, miniflux())))
	for name, text := range map[string]string{
		"a field of a newer operator": raw[:len(raw)-1] + `,"backup":{"kind":"CronJob"}}`,
		"a field of a newer API":      strings.Replace(raw, `"enableServiceLinks"`, `"hostUsersOfTheFuture":true,"enableServiceLinks"`, 1),
		"no database":                 `{"app":{},"edge":{},"configMaps":[]}`,
		"no JSON":                     `{`,
	} {
		if _, err := render.DecodeRevision([]byte(text)); err == nil {
			t.Errorf("%s: it is read as if nothing were missing", name)
		}
	}
}

func TestWorkloadsAreCopiesWithNumberHashAndReplicas(t *testing.T) {
	revision := mustRevision(t, dex())
	hash := revision.Hash()
	db, app, edge := revision.Workloads(7, render.Replicas{Database: 1, App: 1, Edge: 3}, meta.DatabaseClaim, meta.AppClaim)
	for name, annotations := range map[string]map[string]string{"db": db.Annotations, "app": app.Annotations, "edge": edge.Annotations} {
		if annotations[meta.AnnotationRevision] != "7" || annotations[meta.AnnotationRevisionHash] != hash {
			t.Errorf("%s is annotated with %v, expected revision 7 with hash %s", name, annotations, hash)
		}
	}
	if *db.Spec.Replicas != 1 || *app.Spec.Replicas != 1 || *edge.Spec.Replicas != 3 {
		t.Errorf("replicas are %d, %d, %d, expected 1, 1, 3", *db.Spec.Replicas, *app.Spec.Replicas, *edge.Spec.Replicas)
	}
	db.Spec.Template.Spec.Containers[0].WithImage("changed")
	db.Labels["changed"] = "yes"
	if revision.Hash() != hash {
		t.Error("a change of the workloads reached the revision")
	}
	if db.Spec.Template.Annotations[meta.AnnotationRevision] != "" {
		t.Error("the revision's number stands in the pod template: the same content would be a restart")
	}
}

func TestScale(t *testing.T) {
	in := miniflux()
	running := render.Replicas{Database: 1, App: 1, Edge: 2}
	if has := render.Scale(in.Tenant, in.Class, false); has != running {
		t.Errorf("a running instance has %+v, expected %+v", has, running)
	}
	if has := render.Scale(in.Tenant, in.Class, true); has != (render.Replicas{Edge: 2}) {
		t.Errorf("while its data is restored an instance has %+v, expected the gate alone", has)
	}
	in.Tenant.Spec.Suspended = true
	for _, stopped := range []bool{false, true} {
		if has := render.Scale(in.Tenant, in.Class, stopped); has != (render.Replicas{}) {
			t.Errorf("a suspended instance has %+v", has)
		}
	}
}

func TestTheDatabaseMovesToAnotherClaimWithoutAnotherRevision(t *testing.T) {
	in := dex()
	revision := mustRevision(t, in)
	in.DatabaseClaim, in.AppClaim, in.SpareClaims = "db-0002", "app-0002", []string{"db-0001", "app-0001"}
	if moved := mustRevision(t, in); moved.Hash() != revision.Hash() {
		t.Error("a restore into another claim looks like an update")
	}
	mounted := func(database, files string) []string {
		db, app, _ := revision.Workloads(1, render.Replicas{}, database, files)
		var names []string
		for _, volume := range append(db.Spec.Template.Spec.Volumes, app.Spec.Template.Spec.Volumes...) {
			if volume.PersistentVolumeClaim != nil {
				names = append(names, *volume.PersistentVolumeClaim.ClaimName)
			}
		}
		return names
	}
	equal(t, "claims before", mounted("db-0001", "app-0001"), []string{"db-0001", "app-0001"})
	equal(t, "claims after", mounted("db-0002", "app-0002"), []string{"db-0002", "app-0002"})
	equal(t, "claims before, asked again", mounted("db-0001", "app-0001"), []string{"db-0001", "app-0001"})
	db, app, _ := revision.Workloads(1, render.Replicas{}, "db-0002", "app-0002")
	render.MountData(db, meta.DatabaseClaim)
	render.MountData(app, meta.AppClaim)
	same, sameApp, _ := revision.Workloads(1, render.Replicas{}, meta.DatabaseClaim, meta.AppClaim)
	if !equality.Semantic.DeepEqual(db, same) || !equality.Semantic.DeepEqual(app, sameApp) {
		t.Error("a workload that was moved cannot be read back as its revision")
	}
}

func TestComponentsAreTheImagesThatServe(t *testing.T) {
	for i, want := range []v1alpha1.ComponentVersion{
		{Name: "database", Image: "registry.example/postgres:17.12"},
		{Name: "app", Image: string(dex().Class.Spec.App.Image)},
		{Name: "edge", Image: "registry.example/edge:3.0.11"},
	} {
		if has := mustRevision(t, dex()).Components()[i]; has != want {
			t.Errorf("component %v, expected %v", has, want)
		}
	}
}

// The stored revisions were written by an earlier version of the operator and are never written anew. Today's code
// must make exactly the workloads of them that were applied then: anything else restarts customers.
func TestYesterdaysRevisionsMakeYesterdaysWorkloads(t *testing.T) {
	stored, err := filepath.Glob(filepath.Join("testdata", "stored", "*.json"))
	if err != nil || len(stored) < 2 {
		t.Fatalf("stored revisions: %v, %v; expected one of each shape at least", stored, err)
	}
	for _, path := range stored {
		t.Run(filepath.Base(path), func(t *testing.T) {
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			revision := decoded(t, raw)
			// The hash is part of the name.
			if hash := revision.Hash(); !strings.Contains(path, hash) {
				t.Errorf("the hash is %s now", hash)
			}
			db, app, edge := revision.Workloads(3, render.Replicas{Database: 1, App: 1, Edge: 2}, meta.DatabaseClaim, meta.AppClaim)
			want, err := os.ReadFile(strings.TrimSuffix(path, ".json") + ".workloads")
			if err != nil {
				t.Fatal(err)
			}
			has, err := json.MarshalIndent([]any{db, app, edge}, "", " ")
			if err != nil {
				t.Fatal(err)
			}
			if line, wanted, got := firstDifference(want, append(has, '\n')); line > 0 {
				t.Errorf("line %d of the workloads was %q and is %q: every pod of such a tenant would be replaced", line, wanted, got)
			}
		})
	}
}
