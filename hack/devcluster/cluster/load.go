// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/freehold-dev/freehold/hack/devcluster/images"
)

const (
	pauseImage   = "localhost/pause:dev"
	coreDNSImage = "localhost/coredns:dev"
)

// Load builds the named images, all of them when none is named, and imports those whose content changed. Pods use
// them with imagePullPolicy Never or IfNotPresent, under the references of package images.
func Load(ctx context.Context, l Layout, progress *Progress, names []string) error {
	if _, alive := l.running("containerd"); !alive {
		return errors.New("the cluster is not up: run `up` first")
	}
	if len(names) == 0 {
		names = images.Names()
	}
	for _, name := range names {
		reference, err := images.Reference(name)
		if err != nil {
			return err
		}
		err = progress.Step("image "+reference, func() error {
			archive, digest, err := images.Build(ctx, name, images.Options{Repo: l.Repo, Cache: l.Cache, Progress: progress})
			if err != nil {
				return err
			}
			return l.importImage(ctx, reference, archive, digest)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// loadSystemImages builds and imports what every cluster needs: the pause program and the name service.
func (l Layout) loadSystemImages(ctx context.Context, progress *Progress) error {
	coredns, err := l.builtTool(ctx, "coredns")
	if err != nil {
		return err
	}
	pause, err := l.buildPause(ctx)
	if err != nil {
		return err
	}
	binaries := []images.Static{
		{Name: "pause", Binary: pause},
		{Name: "coredns", Binary: filepath.Join(coredns, "coredns")},
	}
	for _, static := range binaries {
		archive, digest, err := images.FromBinary(ctx, static, images.Options{Repo: l.Repo, Cache: l.Cache, Progress: progress})
		if err != nil {
			return err
		}
		if err := l.importImage(ctx, "localhost/"+static.Name+":dev", archive, digest); err != nil {
			return err
		}
	}
	return nil
}

func (l Layout) buildPause(ctx context.Context) (string, error) {
	target := l.State("bin", "pause")
	_, err := run(ctx, "env", "CGO_ENABLED=0", "go", "-C", filepath.Join(l.Repo, "hack", "devcluster"), "build",
		"-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", target, "./pause")
	return target, err
}

// importImage imports an archive unless the runtime holds an image of this name and content already.
func (l Layout) importImage(ctx context.Context, reference, archive, digest string) error {
	mark := filepath.Join(l.containerdRoot(), "imported", strings.NewReplacer("/", "_", ":", "_").Replace(reference))
	recorded, _ := os.ReadFile(mark)
	if string(recorded) == digest {
		present, err := l.ctr(ctx, "images", "ls", "-q", "name=="+reference)
		if err == nil && strings.TrimSpace(present) == reference {
			return nil
		}
	}
	if _, err := l.ctr(ctx, "images", "import", archive); err != nil {
		return fmt.Errorf("import %s: %w", reference, err)
	}
	if err := l.awaitImage(ctx, reference); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(mark), 0o700); err != nil {
		return err
	}
	return os.WriteFile(mark, []byte(digest), 0o600)
}

// awaitImage waits until the kubelet's side of the runtime knows the image too: it learns of imports by an event.
func (l Layout) awaitImage(ctx context.Context, reference string) error {
	return poll(ctx, 30*time.Second, func(ctx context.Context) error {
		present, err := l.criImagePresent(ctx, reference)
		if err == nil && !present {
			err = fmt.Errorf("the runtime does not offer %s to pods yet", reference)
		}
		return err
	})
}
