// SPDX-License-Identifier: Apache-2.0

package v1alpha1_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/api/v1alpha1"
)

const restore = `
apiVersion: freehold.dev/v1alpha1
kind: Restore
metadata: {name: back, namespace: default}
`

const backupLabel = "must be a backup's label, such as 20260101-013000F; it stands in the status of Backup objects"

// targetRows are the rules of a RestoreTarget at one path.
func targetRows(t *testing.T, base, path string) {
	t.Helper()
	rows := []row{
		{"is the latest", path, "{}", ""},
		{"is a backup", path, "{backup: 20260101-013000F}", ""},
		{"is an incremental backup", path, "{backup: 20260101-013000F_20260102-013000I}", ""},
		{"comes from one destination", path, "{destination: site-b}", ""},
		{"is a time at one destination", path, `{time: "2026-01-01T12:00:00Z", destination: site-b}`, ""},
		{"is a time and a backup", path, `{time: "2026-01-01T12:00:00Z", backup: 20260101-013000F}`, "time and backup exclude each other"},
		{"is a backup by another name", path, "{backup: latest-of-yesterday}", backupLabel},
		{"is a backup that climbs", path, "{backup: 20260101-013000F/../..}", backupLabel},
		{"is an empty backup", path, `{backup: ""}`, "should be at least 16 chars long"},
		{"comes from a destination that cannot be", path, "{destination: Site-B}", destinationMessage},
	}
	for _, bad := range []string{"2026-01-01T12:00:00", "2026-01-01 12:00:00Z", "2026-01-01T12:00Z", "2026-01-01", "12:00", "yesterday", "", "2026-01-01T12:00:00.1234567Z",
		"2026-01-01T12:00:00 Europe/Vienna", "2026-01-01T12:00:00Z\n", "2026-01-01T12:00:00,5Z", "2026-01-01t12:00:00z"} {
		rows = append(rows, row{fmt.Sprintf("is the time %q", bad), path + ".time", fmt.Sprintf("%q", bad), path + ".time in body should match '^"})
	}
	for _, bad := range []string{"2026-02-30T12:00:00Z", "2026-13-01T12:00:00Z", "2026-01-01T25:00:00Z", "2026-01-01T12:60:00Z"} {
		rows = append(rows, row{"is the time " + bad, path + ".time", fmt.Sprintf("%q", bad), path + `.time in body must be of type date-time`})
	}
	t.Run(path, func(t *testing.T) { created(t, base, rows) })
}

func TestRestoreTarget(t *testing.T) {
	targetRows(t, restore, "spec.target")
	const fixed = "the target of a Restore cannot be changed; make another Restore"
	updated(t, restore, []change{
		{"another time", "spec.target", `{time: "2026-01-01T12:00:00Z"}`, `{time: "2026-01-01T12:00:01Z"}`, fixed},
		{"a time at last", "spec.target", "{}", `{time: "2026-01-01T12:00:00Z"}`, fixed},
		{"no time any more", "spec.target", `{time: "2026-01-01T12:00:00Z"}`, "{}", fixed},
		{"another destination", "spec.target", "{destination: site-a}", "{destination: site-b}", fixed},
		{"the same", "spec.target", "{destination: site-a}", "{destination: site-a}", ""},
	})
}

// One object that the API server takes and the operator cannot read would stop the operator's watch, and with it every
// tenant of the fleet.
func TestRestoreTimesCanBeRead(t *testing.T) {
	for text, want := range map[string]time.Time{
		"2026-01-01T12:00:00Z":             time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC),
		"2026-01-01T13:00:00+01:00":        time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC),
		"2026-01-01T12:00:00.5Z":           time.Date(2026, 1, 1, 12, 0, 0, 5e8, time.UTC),
		"2026-01-01T06:30:00.123456-05:30": time.Date(2026, 1, 1, 12, 0, 0, 123456e3, time.UTC),
	} {
		t.Run(text, func(t *testing.T) {
			object := with(t, parse(t, restore), "spec.target.time", fmt.Sprintf("%q", text))
			if err := api.Create(t.Context(), object, client.DryRunAll); err != nil {
				t.Fatalf("refused, although it is right: %v", err)
			}
			var read v1alpha1.Restore
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &read); err != nil {
				t.Fatalf("accepted, but no program can read it: %v", err)
			}
			if !read.Spec.Target.Time.Time.Equal(want) {
				t.Errorf("read as %s", read.Spec.Target.Time)
			}
		})
	}
}

func TestRestoreDecision(t *testing.T) {
	const stands = "a decision stands; to change the data again, make another Restore"
	created(t, restore, []row{
		{"is taken later", "spec", "{}", ""},
		{"is taken before there is anything to decide", "spec.decision", "Accept",
			"decide once there is something to look at: make the Restore without decision, wait for its condition Complete, then set it"},
		{"is unknown", "spec.decision", "Maybe", `supported values: "Accept", "Revert"`},
	})
	undecided := with(t, parse(t, restore), "spec", "{}")
	if err := api.Create(t.Context(), undecided); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := api.Delete(context.Background(), undecided); err != nil {
			t.Error(err)
		}
	})
	for _, decision := range []string{"Accept", "Revert"} {
		judge(t, "", api.Update(t.Context(), with(t, undecided.DeepCopy(), "spec.decision", decision), client.DryRunAll))
	}
	if err := api.Update(t.Context(), with(t, undecided, "spec.decision", "Accept")); err != nil {
		t.Fatal(err)
	}
	judge(t, stands, api.Update(t.Context(), with(t, undecided.DeepCopy(), "spec.decision", "Revert"), client.DryRunAll))
	judge(t, stands, api.Update(t.Context(), with(t, undecided.DeepCopy(), "spec.decision", ""), client.DryRunAll))
	judge(t, "", api.Update(t.Context(), with(t, undecided.DeepCopy(), "metadata.labels", "{ticket: '4711'}"), client.DryRunAll))
}

func TestRestoreName(t *testing.T) {
	const name = "a Restore's name becomes part of its Job's name: at most 52 characters, lower-case letters, digits and hyphens, no dots"
	created(t, restore, []row{
		{"of 52 characters", "metadata.name", strings.Repeat("a", 52), ""},
		{"of 53 characters", "metadata.name", strings.Repeat("a", 53), name},
		{"with a dot", "metadata.name", "ticket.4711", name},
	})
}

func TestRestoreDefaults(t *testing.T) {
	if target, set := stored(t, restore)["target"]; !set || len(target.(map[string]any)) > 0 {
		t.Errorf("the default of the target is %v, documented is the latest", target)
	}
}

func TestRestoreOfApplicationData(t *testing.T) {
	created(t, restore, []row{
		{"comes back", "spec.applicationData", "Restore", ""},
		{"is left", "spec.applicationData", "Leave", ""},
		{"is something else", "spec.applicationData", "Merge", `supported values: "Restore", "Leave"`},
	})
	const fixed = "what a Restore does with the application's data cannot be changed; make another Restore"
	updated(t, restore, []change{
		{"is left at last", "spec.applicationData", "Restore", "Leave", fixed},
		{"comes back at last", "spec.applicationData", "Leave", "Restore", fixed},
		{"the same", "spec.applicationData", "Leave", "Leave", ""},
	})
	if data := stored(t, restore)["applicationData"]; data != "Restore" {
		t.Errorf("the default is %v, documented is Restore", data)
	}
}
