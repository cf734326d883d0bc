// SPDX-License-Identifier: Apache-2.0

package images

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestPackageListIsReadWithoutItsComments(t *testing.T) {
	got, err := parsePackages("# the database\npostgresql-17  # newest\n\n  libc6\n")
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"postgresql-17", "libc6"}; !slices.Equal(got, want) {
		t.Errorf("got packages %q, want %q", got, want)
	}
}

func TestPackageListThatCouldChangeACommandLineIsRefused(t *testing.T) {
	for _, list := range []string{"", "# nothing\n", "a,b\n", "haproxy -y\n", "$(id)\n", "--help\n"} {
		if got, err := parsePackages(list); err == nil {
			t.Errorf("list %q was accepted as packages %q", list, got)
		}
	}
}

// checkout makes a minimal checkout with one image and returns the options to use it.
func checkout(t *testing.T) Options {
	t.Helper()
	opts := Options{Repo: t.TempDir(), Cache: t.TempDir(), Progress: t.Output()}
	write(t, filepath.Join(opts.Repo, "go.mod"), rootModule+"\n")
	images := filepath.Join(opts.Repo, "hack", "images")
	write(t, filepath.Join(images, "prepare.sh"), "prepare")
	write(t, filepath.Join(images, "finish.sh"), "finish")
	write(t, filepath.Join(images, "edge", "packages.txt"), "haproxy\n")
	write(t, filepath.Join(images, "edge", "passwd"), "haproxy:x:997:997::/:/bin/false\n")
	return opts
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func keyOf(t *testing.T, opts Options) string {
	t.Helper()
	packages, err := readPackages(opts, "edge")
	if err != nil {
		t.Fatal(err)
	}
	key, err := rootfsKey(opts, "edge", packages)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestDebianLayerIsKeptWhileItsInputsStay(t *testing.T) {
	opts := checkout(t)
	before := keyOf(t, opts)
	write(t, filepath.Join(opts.imageDir("edge"), "packages.txt"), "# the same, explained\nhaproxy\n")
	write(t, filepath.Join(opts.imageDir("edge"), "README.md"), "about it\n")
	write(t, filepath.Join(opts.imageDir("postgres"), "packages.txt"), "postgresql-17\n")
	if after := keyOf(t, opts); after != before {
		t.Errorf("a comment, a note or another image's list changed the key of the Debian layer from %s to %s", before, after)
	}
}

func TestDebianLayerIsRebuiltWhenAnInputChanges(t *testing.T) {
	changes := map[string]string{
		"edge/packages.txt":    "haproxy\nrestic\n",
		"edge/passwd":          "haproxy:x:996:996::/:/bin/false\n",
		"edge/files/etc/a.cfg": "new",
		"prepare.sh":           "other",
		"finish.sh":            "other",
	}
	for path, content := range changes {
		t.Run(path, func(t *testing.T) {
			opts := checkout(t)
			before := keyOf(t, opts)
			write(t, filepath.Join(opts.Repo, "hack", "images", path), content)
			if keyOf(t, opts) == before {
				t.Errorf("a change of %s would not reach the image: the key is still %s", path, before)
			}
		})
	}
}

func TestCheckoutIsFoundFromANestedModule(t *testing.T) {
	opts := checkout(t)
	nested := filepath.Join(opts.Repo, "hack", "devcluster")
	write(t, filepath.Join(nested, "go.mod"), rootModule+"/hack/devcluster\n")
	got, err := findRepo(nested)
	if err != nil || got != opts.Repo {
		t.Errorf("found checkout %q (error %v), want %q", got, err, opts.Repo)
	}
	if got, err := findRepo(t.TempDir()); err == nil {
		t.Errorf("found a checkout %q where there is none", got)
	}
}

func TestCacheDirectoryFollowsTheEnvironment(t *testing.T) {
	rows := []struct {
		env  map[string]string
		want string
	}{
		{map[string]string{"FREEHOLD_CACHE": "/a", "XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/a"},
		{map[string]string{"XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/b/freehold"},
		{map[string]string{"HOME": "/c"}, "/c/.cache/freehold"},
	}
	for _, row := range rows {
		got, err := defaultCache(func(name string) string { return row.env[name] })
		if err != nil || got != row.want {
			t.Errorf("environment %v: got cache %q (error %v), want %q", row.env, got, err, row.want)
		}
	}
	if got, err := defaultCache(func(string) string { return "" }); err == nil {
		t.Errorf("an empty environment gave cache %q, want an error", got)
	}
}
