// SPDX-License-Identifier: Apache-2.0

package images

import (
	"fmt"
	"strings"
)

// program says which static program goes into an image's last layer.
type program string

const (
	noProgram        program = ""          // the Debian packages are all there is
	freeholdProgram  program = "freehold"  // the repository's root package
	headscaleProgram program = "headscale" // hack/tools/headscale
)

// definition describes one image that this package knows how to build by name.
type definition struct {
	name      string // directory below hack/images
	reference string
	debian    bool // has packages.txt and so a Debian layer
	program   program
	run       RunConfig
}

const debianPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// catalogue is the one list of the images; users match hack/images/NAME/passwd, and the Dockerfile repeats
// what concerns its three targets.
var catalogue = []definition{
	{
		name: "manager", reference: "localhost/freehold-manager:dev", program: freeholdProgram,
		run: RunConfig{User: "65532:65532", Entrypoint: []string{"/usr/bin/freehold"}, Env: []string{"PATH=/usr/bin"}},
	},
	{
		name: "postgres", reference: "localhost/freehold-postgres:dev", debian: true, program: freeholdProgram,
		run: RunConfig{User: "999:999", Env: []string{"PATH=/usr/lib/postgresql/17/bin:" + debianPath, "LANG=C.UTF-8"}},
	},
	{
		name: "edge", reference: "localhost/freehold-edge:dev", debian: true, program: freeholdProgram,
		run: RunConfig{User: "997:997", Env: []string{"PATH=" + debianPath}},
	},
	{
		name: "miniflux", reference: "localhost/miniflux:dev", debian: true, program: noProgram,
		run: RunConfig{User: "998:998", Entrypoint: []string{"/usr/bin/miniflux"}, Env: []string{"PATH=" + debianPath}},
	},
	{
		name: "headscale", reference: "localhost/headscale:dev", debian: true, program: headscaleProgram,
		run: RunConfig{
			User: "1001:1001", Entrypoint: []string{"/usr/bin/headscale"}, Cmd: []string{"serve"},
			Env: []string{"PATH=" + debianPath},
		},
	},
}

// Names lists the images that [Build] knows, in the order in which a demo needs them.
func Names() []string {
	names := make([]string, 0, len(catalogue))
	for _, d := range catalogue {
		names = append(names, d.name)
	}
	return names
}

// Reference returns the name under which pods refer to the image, such as "localhost/freehold-edge:dev".
// It fails for a name that is not in [Names].
func Reference(name string) (string, error) {
	d, err := find(name)
	return d.reference, err
}

// RequiredPackages lists the Debian packages that [Build] and [Rootfs] run programs of.
func RequiredPackages() []string {
	return []string{"mmdebstrap", "debian-archive-keyring"}
}

func find(name string) (definition, error) {
	for _, d := range catalogue {
		if d.name == name {
			return d, nil
		}
	}
	return definition{}, fmt.Errorf("there is no image %q; known are: %s", name, strings.Join(Names(), ", "))
}
