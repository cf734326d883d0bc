// SPDX-License-Identifier: Apache-2.0

package images

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// epoch is the time stamp of everything this package writes, in seconds since 1970: 2024-01-01.
const epoch = 1704067200

// Rootfs builds the Debian layer of the named image, unpacks it in the cache and returns its directory, for
// running its programs on this machine by chroot. The directory is shared: treat it as read-only. It holds no
// freehold program. It fails for images without Debian packages.
func Rootfs(ctx context.Context, name string, opts Options) (string, error) {
	d, opts, err := resolve(name, opts)
	if err != nil {
		return "", err
	}
	if !d.debian {
		return "", fmt.Errorf("image %s has no Debian packages, so no root file system to unpack", name)
	}
	unlock, err := lock(ctx, opts, name)
	if err != nil {
		return "", err
	}
	defer unlock()
	layer, err := debianLayer(ctx, name, opts)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(opts.cacheDir(), "unpacked", name+"-"+shortDigest(layer.hash.Hex))
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	return dir, unpack(ctx, layer.path, dir, opts)
}

// unpack extracts a layer beside dir and then renames, so that a killed run leaves nothing that looks done.
func unpack(ctx context.Context, archive, dir string, opts Options) error {
	done := step(opts.Progress, "unpacking %s", filepath.Base(archive))
	partial := dir + ".partial"
	if err := os.RemoveAll(partial); err != nil {
		return fmt.Errorf("remove the leftovers of an earlier run: %w", err)
	}
	if err := os.MkdirAll(partial, 0o755); err != nil {
		return fmt.Errorf("make room for a root file system: %w", err)
	}
	cmd := exec.CommandContext(ctx, "tar", "--extract", "--numeric-owner", "--preserve-permissions", "--file", archive, "--directory", partial)
	if err := run(cmd); err != nil {
		return fmt.Errorf("unpack the root file system %s: %w", archive, err)
	}
	if err := makeDevices(filepath.Join(partial, "dev")); err != nil {
		return err
	}
	if err := os.Rename(partial, dir); err != nil {
		return fmt.Errorf("put the root file system in place: %w", err)
	}
	done()
	return nil
}

// makeDevices creates the few devices without which programs in a chroot fail; layers hold none. Without
// root that is not permitted, and a chroot is not either, so such a caller gets none.
func makeDevices(dev string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	if err := os.MkdirAll(dev, 0o755); err != nil {
		return fmt.Errorf("make /dev in a root file system: %w", err)
	}
	devices := map[string]int{"null": 1<<8 | 3, "zero": 1<<8 | 5, "random": 1<<8 | 8, "urandom": 1<<8 | 9}
	for name, number := range devices {
		path := filepath.Join(dev, name)
		if err := syscall.Mknod(path, syscall.S_IFCHR|0o666, number); err != nil && !errors.Is(err, os.ErrExist) {
			return fmt.Errorf("make %s in a root file system: %w", name, err)
		}
		if err := os.Chmod(path, 0o666); err != nil {
			return fmt.Errorf("open %s in a root file system to everyone: %w", name, err)
		}
	}
	return nil
}

// debianLayer returns the cached Debian layer of an image, building it first where needed. The caller holds
// the image's lock.
func debianLayer(ctx context.Context, name string, opts Options) (*fileLayer, error) {
	packages, err := readPackages(opts, name)
	if err != nil {
		return nil, err
	}
	key, err := rootfsKey(opts, name, packages)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(opts.cacheDir(), "rootfs", name+"-"+key+".tar")
	if !opts.Refresh {
		if layer, err := openLayer(path); err == nil {
			return layer, nil
		}
	}
	if err := bootstrap(ctx, name, packages, path, opts); err != nil {
		return nil, err
	}
	if err := removeOthers(filepath.Dir(path), name, path); err != nil {
		return nil, err
	}
	return openLayer(path)
}

// bootstrap runs mmdebstrap and, when it succeeded, leaves the layer and its digest at path.
func bootstrap(ctx context.Context, name string, packages []string, path string, opts Options) error {
	if _, err := exec.LookPath("mmdebstrap"); err != nil {
		return fmt.Errorf("building image %s needs the Debian packages %s: %w", name, strings.Join(RequiredPackages(), " "), err)
	}
	done := step(opts.Progress, "building the Debian layer of image %s (half a minute or more, then cached)", name)
	work, err := os.MkdirTemp("", "freehold-image-")
	if err != nil {
		return fmt.Errorf("make a working directory: %w", err)
	}
	defer func() { _ = os.RemoveAll(work) }()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("make the cache of Debian layers: %w", err)
	}
	m := hostMirrors(ctx)
	sources := filepath.Join(work, suite+".list") // mmdebstrap knows the format by the ending
	if err := os.WriteFile(sources, []byte(m.sourcesList()), 0o644); err != nil {
		return fmt.Errorf("write the list of mirrors: %w", err)
	}
	partial := strings.TrimSuffix(path, ".tar") + ".partial.tar"
	cmd := exec.CommandContext(ctx, "mmdebstrap", mmdebstrapArgs(opts, name, packages, m.proxies, partial, sources)...)
	cmd.Env = append(os.Environ(), fmt.Sprintf("SOURCE_DATE_EPOCH=%d", epoch), "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive")
	if err := run(cmd); err != nil {
		return fmt.Errorf("build the Debian layer of image %s from %s: %w", name, m.debian, err)
	}
	if err := sealLayer(partial, path); err != nil {
		return err
	}
	done()
	return nil
}

// mmdebstrapArgs is the command line that turns a package list into a root file system.
func mmdebstrapArgs(opts Options, name string, packages, aptLines []string, target, sources string) []string {
	images := filepath.Dir(opts.imageDir(name))
	args := []string{
		"--variant=minbase", "--format=tar", "--quiet",
		"--skip=output/dev", // a container runtime brings its own
		"--include=" + strings.Join(packages, ","),
		"--aptopt=APT::Install-Recommends=false",
		"--aptopt=Acquire::Retries=3",
		"--dpkgopt=force-unsafe-io", // a build that the machine interrupts is repeated, never used
		"--dpkgopt=force-confold",   // keep the files that prepare.sh wrote
		"--essential-hook=sh " + shellQuote(filepath.Join(images, "prepare.sh")) + " " + name + ` "$1"`,
		"--customize-hook=sh " + shellQuote(filepath.Join(images, "finish.sh")) + ` "$1"`,
	}
	for _, dir := range []string{"man", "doc", "locale", "info", "lintian"} {
		args = append(args, "--dpkgopt=path-exclude=/usr/share/"+dir+"/*")
	}
	for _, line := range aptLines {
		args = append(args, "--aptopt="+line)
	}
	return append(args, suite, target, sources)
}

func shellQuote(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
