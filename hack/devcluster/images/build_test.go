// SPDX-License-Identifier: Apache-2.0

package images

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// compileProgram compiles a static program that prints text.
func compileProgram(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "main.go"), "package main\n\nfunc main() { println(\""+text+"\") }\n")
	cmd := exec.Command("go", "build", "-trimpath", "-o", "program", "main.go")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "CGO_ENABLED=0")
	if err := run(cmd); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "program")
}

func readArchive(t *testing.T, archive, reference string) (v1.Image, *v1.ConfigFile) {
	t.Helper()
	tag, err := name.NewTag(reference)
	if err != nil {
		t.Fatal(err)
	}
	image, err := tarball.ImageFromPath(archive, &tag)
	if err != nil {
		t.Fatalf("the archive does not hold %s: %v", reference, err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	return image, config
}

func TestImageOfOneProgramRunsItUnprivileged(t *testing.T) {
	opts := checkout(t)
	archive, id, err := FromBinary(context.Background(), Static{Name: "pause", Binary: compileProgram(t, "one")}, opts)
	if err != nil {
		t.Fatal(err)
	}
	image, config := readArchive(t, archive, "localhost/pause:dev")
	if got, _ := image.ConfigName(); got.String() != id {
		t.Errorf("the archive holds image %s, but Build announced %s", got, id)
	}
	if config.Config.User != "65532:65532" || config.Config.Entrypoint[0] != "/usr/bin/pause" {
		t.Errorf("the image runs %q as %q, want /usr/bin/pause as 65532:65532", config.Config.Entrypoint, config.Config.User)
	}
}

func TestEqualInputsGiveEqualImages(t *testing.T) {
	program := compileProgram(t, "one")
	var archives, ids []string
	for range 2 {
		opts := checkout(t) // a machine of its own: other paths, another time
		archive, id, err := FromBinary(context.Background(), Static{Name: "pause", Binary: program}, opts)
		if err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(archive)
		if err != nil {
			t.Fatal(err)
		}
		archives, ids = append(archives, string(content)), append(ids, id)
	}
	if ids[0] != ids[1] || archives[0] != archives[1] {
		t.Errorf("two builds of the same program differ: image IDs %s and %s", ids[0], ids[1])
	}
}

func TestChangedProgramChangesOnlyTheLastLayer(t *testing.T) {
	opts := checkout(t)
	files := map[string]File{"/etc/passwd": {Content: []byte("root:x:0:0:::\n")}}
	var diffIDs [][]v1.Hash
	for _, text := range []string{"one", "two"} {
		archive, _, err := FromBinary(context.Background(), Static{Name: "app", Binary: compileProgram(t, text), Files: files}, opts)
		if err != nil {
			t.Fatal(err)
		}
		_, config := readArchive(t, archive, "localhost/app:dev")
		diffIDs = append(diffIDs, config.RootFS.DiffIDs)
	}
	if len(diffIDs[0]) != 2 || diffIDs[0][0] != diffIDs[1][0] || diffIDs[0][1] == diffIDs[1][1] {
		t.Errorf("layers before and after the change: %v, want an equal first and a different second one", diffIDs)
	}
}

func TestDynamicallyLinkedProgramIsRefused(t *testing.T) {
	shell, err := filepath.EvalSymlinks("/bin/sh") // dynamically linked on every Debian
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = FromBinary(context.Background(), Static{Name: "app", Binary: shell}, checkout(t))
	if err == nil || !strings.Contains(err.Error(), "CGO_ENABLED=0") {
		t.Errorf("got error %v, want one that says how to link statically", err)
	}
}

func TestUnknownImageIsRefusedWithTheKnownNames(t *testing.T) {
	_, _, err := Build(context.Background(), "nginx", Options{})
	if err == nil || !strings.Contains(err.Error(), "postgres") {
		t.Errorf("got error %v, want one that lists the known images", err)
	}
}

func TestEveryImageRunsAsTheUserItsPasswdFileNames(t *testing.T) {
	repo, err := findRepo(mustGetwd(t))
	if err != nil {
		t.Fatal(err)
	}
	opts := Options{Repo: repo}
	for _, d := range catalogue {
		passwd, err := os.ReadFile(filepath.Join(opts.imageDir(d.name), "passwd"))
		if err != nil {
			t.Errorf("image %s has no users: %v", d.name, err)
			continue
		}
		if !strings.Contains(string(passwd), ":x:"+d.run.User+":") {
			t.Errorf("image %s runs as %s, which its passwd file does not know:\n%s", d.name, d.run.User, passwd)
		}
		if d.debian {
			if _, err := readPackages(opts, d.name); err != nil {
				t.Errorf("image %s: %v", d.name, err)
			}
		}
	}
}

func TestDockerfileAgreesWithTheCatalogue(t *testing.T) {
	repo, err := findRepo(mustGetwd(t))
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(repo, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{"manager", "postgres", "edge"} {
		d, err := find(target)
		if err != nil {
			t.Fatal(err)
		}
		_, stage, found := strings.Cut(string(content), " AS "+target+"\n")
		stage, _, _ = strings.Cut(stage, "\nFROM ")
		if !found || !strings.Contains(stage, "\nUSER "+d.run.User+"\n") {
			t.Errorf("the Dockerfile's target %s does not run as %s", target, d.run.User)
		}
		if d.debian && !strings.Contains(stage, "/images/install.sh "+target+"\n") {
			t.Errorf("the Dockerfile's target %s does not install its package list", target)
		}
	}
}

func mustGetwd(t *testing.T) string {
	t.Helper()
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	return wd
}
