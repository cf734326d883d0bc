// SPDX-License-Identifier: Apache-2.0

package render_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/freehold-dev/freehold/controllers/internal/meta"
	"github.com/freehold-dev/freehold/controllers/tenant/render"
)

var update = flag.Bool("update", false, "write the golden files anew")

// shapes are the instances that everything is looked at for.
var shapes = map[string]func() render.Inputs{"miniflux": miniflux, "dex": dex, "shelved": shelved}

func TestLiveObjectsAreTheGoldenOnes(t *testing.T) {
	for name, in := range shapes {
		t.Run(name, func(t *testing.T) {
			golden(t, name+"-live.yaml", flat(mustLive(t, in()))...)
		})
	}
}

func TestRevisionIsTheGoldenOne(t *testing.T) {
	for name, in := range shapes {
		t.Run(name, func(t *testing.T) {
			revision := mustRevision(t, in())
			database, app, edge := revision.Workloads(1, render.Scale(in().Tenant, in().Class, false), meta.DatabaseClaim, meta.AppClaim)
			var objects []any
			for _, config := range revision.ConfigMaps {
				objects = append(objects, config)
			}
			objects = append(objects, database, app, edge)
			golden(t, name+"-revision.yaml", appendAll(objects, render.Repositories(in(), revision))...)
		})
	}
}

// flat lists live objects in the order in which they are applied.
func flat(o *render.Objects) []any {
	all := []any{o.Namespace, o.RoleBinding, o.Quota, o.Limits}
	all = appendAll(all, o.NetworkPolicies)
	all = appendAll(all, o.ServiceAccounts)
	all = appendAll(all, o.ConfigMaps)
	all = appendAll(all, o.Services)
	all = appendAll(all, o.Claims)
	all = appendAll(all, o.Budgets)
	if o.Certificate != nil {
		all = append(all, o.Certificate)
	}
	return all
}

func appendAll[T any](all []any, more []T) []any {
	for _, object := range more {
		all = append(all, object)
	}
	return all
}

// golden compares objects with a file of testdata.
func golden(t *testing.T, file string, objects ...any) {
	t.Helper()
	var got bytes.Buffer
	for _, object := range objects {
		text, err := yaml.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		got.WriteString("---\n")
		got.Write(text)
	}
	path := filepath.Join("testdata", file)
	if *update {
		if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (go test ./controllers/tenant/render -update writes it)", err)
	}
	if line, wanted, has := firstDifference(want, got.Bytes()); line > 0 {
		t.Errorf("what is rendered is not %s any more; look at the difference with\n  go test ./controllers/tenant/render -update && git diff controllers/tenant/render/testdata\nline %d: golden %q, rendered %q", path, line, wanted, has)
	}
}

func firstDifference(want, got []byte) (line int, wanted, has string) {
	a, b := bytes.Split(want, []byte("\n")), bytes.Split(got, []byte("\n"))
	for i := range max(len(a), len(b)) {
		wanted, has = "(end of file)", "(end of file)"
		if i < len(a) {
			wanted = string(a[i])
		}
		if i < len(b) {
			has = string(b[i])
		}
		if wanted != has {
			return i + 1, wanted, has
		}
	}
	return 0, "", ""
}
