// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// runtimeDir holds the container runtime's socket and the mounts of running containers. It is not below the cache
// because a socket's path is limited to 108 bytes.
const runtimeDir = "/run/devcluster-containerd"

// Socket is the container runtime's address, as ctr and the kubelet want it.
const Socket = runtimeDir + "/containerd.sock"

// Layout says where everything is. Both folders are absolute paths.
type Layout struct {
	// Repo is the work tree that the cluster's images and tools are built from. Nothing is written there.
	Repo string
	// Cache survives Down: programs, images, the runtime's content store.
	Cache string
}

// NewLayout finds the work tree above the current folder and the cache folder: $FREEHOLD_CACHE, else freehold in
// the user's cache folder. It fails outside a work tree.
func NewLayout() (Layout, error) {
	repo, err := findRepo()
	if err != nil {
		return Layout{}, err
	}
	cache, err := cacheDir(os.Getenv)
	if err != nil {
		return Layout{}, err
	}
	return Layout{Repo: repo, Cache: cache}, nil
}

func cacheDir(getenv func(string) string) (string, error) {
	switch {
	case getenv("FREEHOLD_CACHE") != "":
		return filepath.Abs(getenv("FREEHOLD_CACHE"))
	case getenv("XDG_CACHE_HOME") != "":
		return filepath.Abs(filepath.Join(getenv("XDG_CACHE_HOME"), "freehold"))
	case getenv("HOME") != "":
		return filepath.Join(getenv("HOME"), ".cache", "freehold"), nil
	}
	return "", errors.New("no cache folder: set FREEHOLD_CACHE or HOME")
}

func findRepo() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "hack", "tools", "build.sh")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("%s is not inside a Freehold work tree (no hack/tools/build.sh in any parent)", start)
		}
	}
}

// State is the folder of one cluster's life; Down removes it.
func (l Layout) State(elem ...string) string {
	return filepath.Join(append([]string{l.Cache, "devcluster"}, elem...)...)
}

// Kubeconfig is the administrator's kubeconfig.
func (l Layout) Kubeconfig() string { return l.State("kubeconfig") }

// containerdRoot keeps imported images between clusters.
func (l Layout) containerdRoot() string { return filepath.Join(l.Cache, "containerd") }

func (l Layout) pki(name string) string  { return l.State("pki", name) }
func (l Layout) conf(name string) string { return l.State("conf", name) }

// Exists says whether a cluster, running or killed, has left its state here.
func (l Layout) Exists() bool {
	_, err := os.Stat(l.State())
	return err == nil
}
