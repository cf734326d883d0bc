// SPDX-License-Identifier: Apache-2.0

// Package testenv starts a real API server and etcd, with Freehold's CRDs, for tests. There are no controllers
// and no kubelet: tests play them, with Play, EndPod and EndJob.
package testenv

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/freehold-dev/freehold/api/v1alpha1"
)

// Environment is a running API server.
type Environment struct {
	// Config reaches the API server as cluster administrator.
	Config *rest.Config
	// Client reads and writes without a cache.
	Client client.WithWatch
	// Scheme knows Kubernetes' kinds, CustomResourceDefinitions and Freehold's.
	Scheme *runtime.Scheme

	server *envtest.Environment
}

// Start starts an API server with the CRDs of config/crd/bases. The programs come from KUBEBUILDER_ASSETS, or
// from hack/envtest-assets.sh, which downloads or builds them.
func Start() (*Environment, error) {
	root, err := Root()
	if err != nil {
		return nil, err
	}
	assets, err := assets(root)
	if err != nil {
		return nil, err
	}
	scheme := NewScheme()
	server := &envtest.Environment{
		BinaryAssetsDirectory: assets,
		CRDDirectoryPaths:     []string{filepath.Join(root, "config", "crd", "bases")},
		ErrorIfCRDPathMissing: true,
		Scheme:                scheme,
	}
	// By default there are 254 addresses for Services, and nothing is ever removed in a test.
	server.ControlPlane.GetAPIServer().Configure().Set("service-cluster-ip-range", "10.0.0.0/16")
	config, err := server.Start()
	if err != nil {
		return nil, fmt.Errorf("starting the API server for the test: %w", err)
	}
	config.QPS, config.Burst = -1, -1 // tests are not the fleet; client-side limits only slow them down
	c, err := client.NewWithWatch(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, err
	}
	return &Environment{Config: config, Client: c, Scheme: scheme, server: server}, nil
}

// Main runs the tests of a package with an Environment, which it puts into env before the first one; for TestMain.
func Main(m interface{ Run() int }, env **Environment) {
	var err error
	if *env, err = Start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if err := (*env).Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// Stop ends the API server and etcd.
func (e *Environment) Stop() error { return e.server.Stop() }

// NewScheme makes the scheme that the operator and its tests use.
func NewScheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(apiextensionsv1.AddToScheme(scheme))
	utilruntime.Must(v1alpha1.AddToScheme(scheme))
	return scheme
}

// Root is the root of the repository: the nearest folder upwards that holds the file PROJECT.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "PROJECT")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", fmt.Errorf("no folder above the test holds the file PROJECT")
		}
		dir = parent
	}
}

func assets(root string) (string, error) {
	if dir := os.Getenv("KUBEBUILDER_ASSETS"); dir != "" {
		return dir, nil
	}
	cmd := exec.Command(filepath.Join(root, "hack", "envtest-assets.sh"))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("finding kube-apiserver and etcd for the test (hack/envtest-assets.sh): %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}
