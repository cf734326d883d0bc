// SPDX-License-Identifier: Apache-2.0

package images

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Build makes the named image, or finds it in the cache, and returns the path of its docker-archive and its
// image ID ("sha256:…", the digest of its configuration), which changes exactly when the image's content
// does. Concurrent calls for one image wait for each other, also across processes.
func Build(ctx context.Context, name string, opts Options) (archive, digest string, err error) {
	d, opts, err := resolve(name, opts)
	if err != nil {
		return "", "", err
	}
	unlock, err := lock(ctx, opts, name)
	if err != nil {
		return "", "", err
	}
	defer unlock()
	layers, err := baseLayers(ctx, d, opts)
	if err != nil {
		return "", "", err
	}
	if d.program != noProgram {
		layer, err := programLayer(ctx, d, opts)
		if err != nil {
			return "", "", err
		}
		layers = append(layers, layer)
	}
	return finish(d.name, d.reference, d.run, opts, layers...)
}

// Static describes an image made of one static program.
type Static struct {
	// Name becomes the reference localhost/NAME:dev.
	Name string
	// Binary is the program's path on this machine; it ends up as /usr/bin/NAME and is the entry point.
	Binary string
	// Files are further files, by absolute path in the image.
	Files map[string]File
	// User is "uid:gid" in numbers; the default is 65532:65532.
	User string
	// Cmd holds the default arguments.
	Cmd []string
}

// FromBinary makes an image of one static program, with the same results as [Build].
func FromBinary(ctx context.Context, s Static, opts Options) (archive, digest string, err error) {
	opts, err = opts.withDefaults()
	if err != nil {
		return "", "", err
	}
	unlock, err := lock(ctx, opts, s.Name)
	if err != nil {
		return "", "", err
	}
	defer unlock()
	target := "/usr/bin/" + s.Name
	program, err := binaryLayer(s.Binary, target)
	if err != nil {
		return "", "", err
	}
	layers := []v1.Layer{program}
	if len(s.Files) > 0 {
		files, err := newMemoryLayer(s.Files)
		if err != nil {
			return "", "", err
		}
		layers = []v1.Layer{files, program}
	}
	if s.User == "" {
		s.User = "65532:65532"
	}
	run := RunConfig{User: s.User, Entrypoint: []string{target}, Cmd: s.Cmd, Env: []string{"PATH=/usr/bin"}}
	return finish(s.Name, "localhost/"+s.Name+":dev", run, opts, layers...)
}

// resolve looks an image up and completes the options.
func resolve(name string, opts Options) (definition, Options, error) {
	d, err := find(name)
	if err != nil {
		return d, opts, err
	}
	opts, err = opts.withDefaults()
	return d, opts, err
}

// finish composes and stores an image.
func finish(name, reference string, run RunConfig, opts Options, layers ...v1.Layer) (string, string, error) {
	image, err := compose(run, layers...)
	if err != nil {
		return "", "", err
	}
	return store(opts, name, reference, image)
}

// baseLayers are the layers below the program: Debian, or the few files a static program expects.
func baseLayers(ctx context.Context, d definition, opts Options) ([]v1.Layer, error) {
	if d.debian {
		layer, err := debianLayer(ctx, d.name, opts)
		if err != nil {
			return nil, err
		}
		return []v1.Layer{layer}, nil
	}
	files, err := staticFiles(opts, d.name)
	if err != nil {
		return nil, err
	}
	layer, err := newMemoryLayer(files)
	if err != nil {
		return nil, err
	}
	return []v1.Layer{layer}, nil
}

// hostCertificates is where Debian and its kin keep the certification authorities that the machine trusts.
const hostCertificates = "/etc/ssl/certs/ca-certificates.crt"

// staticFiles are what an image without Debian carries besides its program: users, and the authorities that
// this machine trusts, where it has any.
func staticFiles(opts Options, name string) (map[string]File, error) {
	files := map[string]File{}
	for _, base := range []string{"passwd", "group"} {
		content, err := os.ReadFile(filepath.Join(opts.imageDir(name), base))
		if err != nil {
			return nil, fmt.Errorf("read the users of image %s: %w", name, err)
		}
		files["/etc/"+base] = File{Content: content}
	}
	certificates, err := os.ReadFile(hostCertificates)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("read the certification authorities for image %s: %w", name, err)
	}
	if err == nil {
		files[hostCertificates] = File{Content: certificates}
	}
	return files, nil
}
