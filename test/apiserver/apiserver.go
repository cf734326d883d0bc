// SPDX-License-Identifier: Apache-2.0

// Package apiserver starts a real kube-apiserver and etcd for tests outside controllers/. The tests of the
// controllers use controllers/internal/testenv, which offers more and which Go hides from everybody else.
package apiserver

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// Start runs an API server that knows Freehold's CRDs, with an administrator's credentials in the answer. Its
// programs come from KUBEBUILDER_ASSETS or, without it, from hack/envtest-assets.sh. The caller stops it.
func Start() (config *rest.Config, stop func() error, err error) {
	assets, err := assets()
	if err != nil {
		return nil, nil, err
	}
	env := &envtest.Environment{
		BinaryAssetsDirectory: assets,
		CRDDirectoryPaths:     []string{filepath.Join(Root(), "config", "crd", "bases")},
		ErrorIfCRDPathMissing: true,
	}
	if config, err = env.Start(); err != nil {
		// A CRD that the API server refuses leaves the programs running.
		return nil, nil, errors.Join(fmt.Errorf("starting the API server from %s: %w", assets, err), env.Stop())
	}
	// Tests ask more often than an operator; the limit would only make them slow.
	config.QPS = -1
	return config, env.Stop, nil
}

// Root is the folder of the repository: the nearest one above the test's own that has a go.mod.
func Root() string {
	dir, err := os.Getwd()
	for err == nil && dir != filepath.Dir(dir) {
		if _, missing := os.Stat(filepath.Join(dir, "go.mod")); missing == nil {
			return dir
		}
		dir = filepath.Dir(dir)
	}
	return "."
}

// Tool is the path of a program that hack/tools/MODULE pins; it is built if need be.
func Tool(module, program string) (string, error) {
	dir, err := script("hack/tools/build.sh", module)
	return filepath.Join(dir, program), err
}

func assets() (string, error) {
	if dir := os.Getenv("KUBEBUILDER_ASSETS"); dir != "" {
		return dir, nil
	}
	return script("hack/envtest-assets.sh")
}

func script(name string, args ...string) (string, error) {
	command := exec.Command(filepath.Join(Root(), name), args...)
	command.Stderr = os.Stderr
	out, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("running %s: %w", name, err)
	}
	return strings.TrimSpace(string(out)), nil
}
