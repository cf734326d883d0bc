// SPDX-License-Identifier: Apache-2.0

// The rules of the API as users meet them: each row is sent to a real API server.
package v1alpha1_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/freehold-dev/freehold/test/apiserver"
)

var api client.Client

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	config, stop, err := apiserver.Start()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = stop() }()
	if api, err = client.New(config, client.Options{Scheme: runtime.NewScheme()}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

const tenant = `
apiVersion: freehold.dev/v1alpha1
kind: Tenant
metadata: {name: acme}
spec:
  classRef: {name: shop}
  hostnames: [acme.example.com]
`

const class = `
apiVersion: freehold.dev/v1alpha1
kind: TenantClass
metadata: {name: shop}
spec:
  app: {image: "registry.example.com/shop:1.0", port: 8080}
`

// row is one object that the API server is asked to store.
type row struct {
	// name says what the object is about.
	name string
	// path and value are what differs from the minimal valid object: a dotted path, and YAML.
	path, value string
	// refused is a part of the message that the user reads; empty when the object is accepted.
	refused string
}

// created sends each row as a new object. Nothing is stored.
func created(t *testing.T, base string, rows []row) {
	t.Helper()
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			object := with(t, parse(t, base), r.path, r.value)
			judge(t, r.refused, api.Create(context.Background(), object, client.DryRunAll))
		})
	}
}

// change is a row about an object that exists with the value before and is updated to the value after. An empty
// value means that the field is not there.
type change struct {
	name, path, before, after, refused string
}

// updated stores an object for each row and sends the change. The change is not stored.
func updated(t *testing.T, base string, rows []change) {
	t.Helper()
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			stored := with(t, parse(t, base), r.path, r.before)
			if err := api.Create(context.Background(), stored); err != nil {
				t.Fatalf("storing the object before the change: %v", err)
			}
			t.Cleanup(func() {
				if err := api.Delete(context.Background(), stored); err != nil {
					t.Error(err)
				}
			})
			judge(t, r.refused, api.Update(context.Background(), with(t, stored.DeepCopy(), r.path, r.after), client.DryRunAll))
		})
	}
}

func judge(t *testing.T, refused string, err error) {
	t.Helper()
	switch {
	case refused == "" && err != nil:
		t.Errorf("refused, although it is right: %v", err)
	case refused != "" && err == nil:
		t.Errorf("accepted, although it should be refused with %q", refused)
	case refused != "" && !strings.Contains(err.Error(), refused):
		t.Errorf("refused, but the user is told:\n  %v\ninstead of:\n  %s", err, refused)
	}
}

func parse(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	object := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &object.Object); err != nil {
		t.Fatal(err)
	}
	return object
}

// with sets the field at a dotted path to a value in YAML, or removes it if the value is empty.
func with(t *testing.T, object *unstructured.Unstructured, path, value string) *unstructured.Unstructured {
	t.Helper()
	if path == "" {
		return object
	}
	fields := strings.Split(path, ".")
	if value == "" {
		unstructured.RemoveNestedField(object.Object, fields...)
		return object
	}
	var parsed any
	if err := yaml.Unmarshal([]byte(value), &parsed); err != nil {
		t.Fatalf("%s: %v", value, err)
	}
	if err := unstructured.SetNestedField(object.Object, parsed, fields...); err != nil {
		t.Fatal(err)
	}
	return object
}
