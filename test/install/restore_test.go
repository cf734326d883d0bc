// SPDX-License-Identifier: Apache-2.0

package install_test

import (
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/api/v1alpha1"
)

// A target that cannot be brought back is refused at once, with the window in the refusal.
func TestRestoresOfWhatIsNotThereAreRefused(t *testing.T) {
	world := newClient(t, config)
	stage(t, world, "dwight", `{"recoverableFrom":"2026-01-10T00:00:00Z","destinations":[
		{"name":"site-a","recoverableFrom":"2026-01-10T00:00:00Z"},{"name":"site-b","recoverableFrom":"2026-01-20T00:00:00Z"},{"name":"site-c"}]}`)
	stage(t, world, "jim", `{"recoverableFrom":"2026-01-30T00:00:00Z"}`)
	stage(t, world, "pam", "")
	install(t, "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
	const (
		before = "spec.target.time 2026-01-09T23:59:59Z cannot be restored: the destinations hold every moment from 2026-01-10T00:00:00Z on"
		future = "lies in the future"
	)
	eventuallyRefused(t, before, func() error { return restore(world, "dwight", "2026-01-09T23:59:59Z", "") })
	tomorrow := time.Now().Add(24 * time.Hour).UTC().Format(time.RFC3339)
	for _, c := range []struct{ name, tenant, time, destination, refused string }{
		{"the first moment", "dwight", "2026-01-10T00:00:00Z", "", ""},
		{"the first moment, in another zone", "dwight", "2026-01-10T01:00:00+01:00", "", ""},
		{"the moment before, in another zone", "dwight", "2026-01-10T00:59:59+01:00", "", "cannot be restored"},
		{"a moment of some destination", "dwight", "2026-01-15T00:00:00Z", "site-a", ""},
		{"a moment of another destination", "dwight", "2026-01-15T00:00:00Z", "site-b", "site-b holds every moment from 2026-01-20T00:00:00Z on"},
		{"a destination of which nothing is known", "dwight", "2026-01-15T00:00:00Z", "site-c", ""},
		{"what a neighbour does not hold", "dwight", "2026-01-15T00:00:00Z", "", ""},
		{"the latest", "dwight", "", "", ""},
		{"the future", "dwight", tomorrow, "", future},
		{"the future of a tenant of which nothing is known", "pam", tomorrow, "", future},
		{"the past of a tenant of which nothing is known", "pam", "2026-01-01T00:00:00Z", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := restore(world, c.tenant, c.time, c.destination)
			switch {
			case c.refused == "" && err != nil:
				t.Errorf("refused, although it may be there: %v", err)
			case c.refused != "" && (err == nil || !strings.Contains(err.Error(), c.refused)):
				t.Errorf("the user is told: %v\ninstead of: %s", err, c.refused)
			}
		})
	}
}

// stage makes a Tenant whose status says what is known of its backups, in JSON, and its namespace.
func stage(t *testing.T, world client.Client, name, backups string) {
	t.Helper()
	tenant := &v1alpha1.Tenant{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.TenantSpec{
		ClassRef: v1alpha1.ClassReference{Name: "shop"}, Hostnames: []v1alpha1.Hostname{v1alpha1.Hostname(name + ".example.com")}}}
	for _, object := range []client.Object{tenant, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "tenant-" + name}}} {
		if err := world.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = world.Delete(context.Background(), tenant) })
	if backups == "" {
		return
	}
	status := `{"status":{"namespace":"tenant-` + name + `","backups":` + backups + `}}`
	if err := world.Status().Patch(t.Context(), tenant, client.RawPatch(types.MergePatchType, []byte(status))); err != nil {
		t.Fatal(err)
	}
}

func restore(world client.Client, tenant, to, destination string) error {
	made := &v1alpha1.Restore{ObjectMeta: metav1.ObjectMeta{Name: "back", Namespace: "tenant-" + tenant}}
	made.Spec.Target.Destination = v1alpha1.DestinationName(destination)
	if to != "" {
		moment, err := time.Parse(time.RFC3339, to)
		if err != nil {
			return err
		}
		made.Spec.Target.Time = &metav1.Time{Time: moment}
	}
	return world.Create(context.Background(), made, client.DryRunAll)
}
