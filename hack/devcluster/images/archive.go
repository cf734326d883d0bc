// SPDX-License-Identifier: Apache-2.0

package images

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// RunConfig is how a container of an image runs unless its pod says otherwise.
type RunConfig struct {
	// User is "uid:gid", in numbers, because runAsNonRoot cannot judge names.
	User       string
	Entrypoint []string
	Cmd        []string
	// Env holds NAME=value entries.
	Env []string
}

// compose makes an image of layers, lowest first. Nothing in it depends on the time or the machine, except
// the processor architecture.
func compose(run RunConfig, layers ...v1.Layer) (v1.Image, error) {
	image, err := mutate.AppendLayers(empty.Image, layers...)
	if err != nil {
		return nil, fmt.Errorf("stack the layers of an image: %w", err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("read the configuration of an image: %w", err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", runtime.GOARCH
	config.Created = v1.Time{Time: time.Unix(epoch, 0).UTC()}
	config.Config = v1.Config{User: run.User, Entrypoint: run.Entrypoint, Cmd: run.Cmd, Env: run.Env, WorkingDir: "/"}
	for i := range config.History {
		config.History[i].Created = config.Created
	}
	image, err = mutate.ConfigFile(image, config)
	if err != nil {
		return nil, fmt.Errorf("write the configuration of an image: %w", err)
	}
	return image, nil
}

// store writes the image as a docker-archive into the cache, unless it is there already, and returns the
// archive's path and the image ID. Older archives of the image are removed.
func store(opts Options, imageName, reference string, image v1.Image) (string, string, error) {
	id, err := image.ConfigName()
	if err != nil {
		return "", "", fmt.Errorf("compute the ID of image %s: %w", imageName, err)
	}
	dir := filepath.Join(opts.cacheDir(), "archives")
	path := filepath.Join(dir, imageName+"-"+shortDigest(id.Hex)+".tar")
	if _, err := os.Stat(path); err == nil {
		return path, id.String(), nil
	}
	tag, err := name.NewTag(reference)
	if err != nil {
		return "", "", fmt.Errorf("the reference %q of image %s: %w", reference, imageName, err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", "", fmt.Errorf("make the cache of image archives: %w", err)
	}
	partial := path + ".partial"
	if err := tarball.WriteToFile(partial, tag, image); err != nil {
		return "", "", fmt.Errorf("write the archive of image %s: %w", imageName, err)
	}
	if err := os.Rename(partial, path); err != nil {
		return "", "", fmt.Errorf("put the archive of image %s in place: %w", imageName, err)
	}
	return path, id.String(), removeOthers(dir, imageName, path)
}

func shortDigest(hex string) string { return hex[:16] }
