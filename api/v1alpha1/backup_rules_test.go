// SPDX-License-Identifier: Apache-2.0

package v1alpha1_test

import (
	"strings"
	"testing"
)

const backup = `
apiVersion: freehold.dev/v1alpha1
kind: Backup
metadata: {name: before-the-move, namespace: default}
spec:
  destination: site-a
`

func TestBackup(t *testing.T) {
	const name = "a Backup's name becomes part of its Job's name: at most 52 characters, lower-case letters, digits and hyphens, no dots"
	created(t, backup, []row{
		{"incremental", "spec.type", "Incremental", ""},
		{"full", "spec.type", "Full", ""},
		{"of an unknown type", "spec.type", "Differential", `supported values: "Full", "Incremental"`},
		{"to no destination", "spec.destination", "", "spec.destination: Required value"},
		{"to a destination that cannot be", "spec.destination", "Site A", destinationMessage},
		{"without a spec", "spec", "", "spec: Required value"},
		{"with a name of 52 characters", "metadata.name", strings.Repeat("a", 52), ""},
		{"with a name of 53 characters", "metadata.name", strings.Repeat("a", 53), name},
		{"with a dot in its name", "metadata.name", "before.the-move", name},
	})
	updated(t, backup, []change{
		{"to another destination", "spec.destination", "site-a", "site-b", "a Backup cannot be changed; make another one"},
		{"of another type", "spec.type", "Incremental", "Full", "a Backup cannot be changed; make another one"},
		{"with a label of yours", "metadata.labels", "", "{ticket: '4711'}", ""},
	})
	expect(t, stored(t, backup), map[string]any{"type": "Incremental"})
}
