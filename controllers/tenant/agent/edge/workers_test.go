// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

func TestWorkersAreReadFromWhatTheMasterSays(t *testing.T) {
	const head = "#<PID>          <type>          <reloads>       <uptime>        <version>      \n" +
		"17279           master          1 [failed: 0]   0d00h00m08s     3.0.11-1+deb13u5\n"
	for name, row := range map[string]struct {
		said string
		want workers
		ok   bool
	}{
		"after a reload": {head + "# workers\n17289           worker          0               0d00h00m06s     3.0.11\n" +
			"# old workers\n17283           worker          1               0d00h00m08s     3.0.11\n17270 worker 2 0d00h01m08s 3.0.11\n# programs\n\n",
			workers{current: []int{17289}, old: []int{17283, 17270}}, true},
		"at first":                      {head + "# workers\n17289           worker          0               0d00h00m06s     3.0.11\n# programs\n\n", workers{current: []int{17289}}, true},
		"without the master":            {"# workers\n17289 worker 0 0d00h00m06s 3.0.11\n", workers{}, false},
		"nothing":                       {"", workers{}, false},
		"an error":                      {"Unknown command: 'show proc'\n", workers{}, false},
		"a process that is everybody's": {head + "# old workers\n1 worker 0 0d00h00m06s 3.0.11\n", workers{}, false},
	} {
		if got, err := parseWorkers(row.said); (err == nil) != row.ok || !reflect.DeepEqual(got, row.want) {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, row.want)
		}
	}
}

func TestAListOfCommentsAdmitsNobody(t *testing.T) {
	c := Config{ListsDir: t.TempDir()}
	if _, err := c.admitsNobody(); err == nil {
		t.Error("a list that is missing is taken for one that says something")
	}
	for content, want := range map[string]bool{"": true, "# nobody\n": true, "# some\n192.0.2.0/24\n": false, "0.0.0.0/0": false, "\n \n#x": true} {
		if err := os.WriteFile(filepath.Join(c.ListsDir, meta.KeyAllowedList), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := c.admitsNobody(); err != nil || got != want {
			t.Errorf("%q: %t, %v; want %t", content, got, err, want)
		}
	}
}
