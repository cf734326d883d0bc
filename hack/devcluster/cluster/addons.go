// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/freehold-dev/freehold/hack/devcluster/netpol"
)

// applyAddons creates what a cloud's cluster would bring along: name service, default StorageClass, and the
// LoadBalancer implementation's types.
func (l Layout) applyAddons(ctx context.Context) error {
	crds, err := l.metallbTypes(ctx)
	if err != nil {
		return err
	}
	documents := []string{crds}
	for _, name := range []string{"coredns.yaml", "storage.yaml", "metallb-namespace.yaml"} {
		content, err := l.expand(name)
		if err != nil {
			return err
		}
		documents = append(documents, content)
	}
	return l.kubectlApply(ctx, strings.Join(documents, "\n---\n"))
}

// metallbTypes reads the CustomResourceDefinitions from MetalLB's own source, so that they fit the program.
func (l Layout) metallbTypes(ctx context.Context) (string, error) {
	dir, err := l.moduleDir(ctx, "metallb", "go.universe.tf/metallb")
	if err != nil {
		return "", err
	}
	files, err := filepath.Glob(filepath.Join(dir, "config", "crd", "bases", "*.yaml"))
	if err != nil || len(files) == 0 {
		return "", errors.Join(errors.New("MetalLB's source has no CustomResourceDefinitions"), err)
	}
	var documents []string
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		documents = append(documents, string(content))
	}
	return strings.Join(documents, "\n---\n"), nil
}

// applyLoadBalancerPool waits until the API server serves MetalLB's types.
func (l Layout) applyLoadBalancerPool(ctx context.Context) error {
	pool, err := l.expand("metallb-pool.yaml")
	if err != nil {
		return err
	}
	return poll(ctx, 30*time.Second, func(ctx context.Context) error { return l.kubectlApply(ctx, pool) })
}

// metallb is MetalLB's controller as a process that only assigns addresses: nothing has to announce them, because
// clients route the whole network to this machine, where kube-proxy takes over.
func (l Layout) metallb(bin string) daemon {
	return daemon{
		name: "metallb", path: filepath.Join(bin, "controller"),
		args: []string{"--webhook-mode=disabled", "--disable-cert-rotation", "--port=7472", "--log-level=warn"},
		env: []string{
			"KUBECONFIG=" + l.Kubeconfig(), "METALLB_NAMESPACE=metallb-system", "METALLB_POD_NAME=host", "METALLB_HOST=127.0.0.1",
		},
		inputs: []string{l.Kubeconfig()},
		ready:  l.answers("http://127.0.0.1:7472/metrics"),
	}
}

// policyDaemon enforces NetworkPolicies; see package netpol for the modes.
func (l Layout) policyDaemon(mode string) daemon {
	return daemon{
		name: "netpol", path: l.self(), args: []string{"netpol", "--policy=" + mode, "--kubeconfig=" + l.Kubeconfig()},
		inputs: []string{l.self(), l.Kubeconfig()},
		ready: func(ctx context.Context) error {
			_, err := run(ctx, "nft", "list", "table", "inet", netpol.TableName)
			switch {
			case mode == netpol.ModeNone && err == nil:
				return errors.New("policies are still enforced")
			case mode == netpol.ModeNone:
				return nil
			}
			return err
		},
	}
}

func (l Layout) provisionerDaemon() daemon {
	return daemon{
		name: "provisioner", path: l.self(),
		args:   []string{"provisioner", "--root=" + l.State("pv"), "--kubeconfig=" + l.Kubeconfig()},
		inputs: []string{l.self(), l.Kubeconfig()},
	}
}

// self is this program's copy among the cluster's files: `go run` removes its own when the command ends.
func (l Layout) self() string { return l.State("bin", "devcluster") }

// copySelf replaces the copy only when the program changed; a running program's file cannot be overwritten.
func (l Layout) copySelf() error {
	path, err := os.Executable()
	if err != nil {
		return err
	}
	if path == l.self() {
		return nil
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if existing, err := os.ReadFile(l.self()); err == nil && string(existing) == string(content) {
		return nil
	}
	if err := os.WriteFile(l.self()+".new", content, 0o700); err != nil {
		return err
	}
	return os.Rename(l.self()+".new", l.self())
}
