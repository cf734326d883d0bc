// SPDX-License-Identifier: Apache-2.0

package images

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Options say where to build from and to. The zero value is ready to use.
type Options struct {
	// Repo is the root of the Freehold checkout. Default: found upwards from the working directory.
	Repo string
	// Cache is the directory for everything built. Default: $FREEHOLD_CACHE, else
	// ${XDG_CACHE_HOME:-$HOME/.cache}/freehold.
	Cache string
	// Binary is a static freehold program to use instead of building the repository's root package.
	Binary string
	// Refresh rebuilds the Debian layers although their inputs did not change, to get newer packages.
	Refresh bool
	// Progress receives a line for each long step. Default: os.Stderr.
	Progress io.Writer
}

const rootModule = "module github.com/freehold-dev/freehold"

// withDefaults fills every empty field and makes the directories absolute.
func (o Options) withDefaults() (Options, error) {
	if o.Progress == nil {
		o.Progress = os.Stderr
	}
	if o.Repo == "" {
		wd, err := os.Getwd()
		if err != nil {
			return o, fmt.Errorf("find the Freehold checkout: %w", err)
		}
		if o.Repo, err = findRepo(wd); err != nil {
			return o, err
		}
	}
	if o.Cache == "" {
		cache, err := defaultCache(os.Getenv)
		if err != nil {
			return o, err
		}
		o.Cache = cache
	}
	var err error
	if o.Repo, err = filepath.Abs(o.Repo); err != nil {
		return o, fmt.Errorf("make the path of the checkout absolute: %w", err)
	}
	if o.Cache, err = filepath.Abs(o.Cache); err != nil {
		return o, fmt.Errorf("make the path of the cache absolute: %w", err)
	}
	return o, nil
}

// findRepo walks upwards from dir to the directory whose go.mod is that of the root module.
func findRepo(dir string) (string, error) {
	for d := dir; ; d = filepath.Dir(d) {
		content, err := os.ReadFile(filepath.Join(d, "go.mod"))
		if err == nil && strings.HasPrefix(string(content), rootModule+"\n") {
			return d, nil
		}
		if d == filepath.Dir(d) {
			return "", fmt.Errorf("no Freehold checkout found at or above %s: run this inside one or set Options.Repo", dir)
		}
	}
}

// defaultCache returns the cache directory that all of Freehold's development tools share.
func defaultCache(getenv func(string) string) (string, error) {
	if dir := getenv("FREEHOLD_CACHE"); dir != "" {
		return dir, nil
	}
	if dir := getenv("XDG_CACHE_HOME"); dir != "" {
		return filepath.Join(dir, "freehold"), nil
	}
	if home := getenv("HOME"); home != "" {
		return filepath.Join(home, ".cache", "freehold"), nil
	}
	return "", errors.New("no cache directory: set FREEHOLD_CACHE, XDG_CACHE_HOME or HOME")
}

// imageDir is the directory of an image's package list and files.
func (o Options) imageDir(name string) string {
	return filepath.Join(o.Repo, "hack", "images", name)
}

// cacheDir is where archives, Debian layers and unpacked root file systems are kept.
func (o Options) cacheDir() string {
	return filepath.Join(o.Cache, "images")
}
