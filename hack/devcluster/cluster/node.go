// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/template"
)

//go:embed manifests
var manifests embed.FS

// expand fills a file of the manifests folder with the cluster's names and addresses.
func (l Layout) expand(name string) (string, error) {
	content, err := manifests.ReadFile("manifests/" + name)
	if err != nil {
		return "", err
	}
	parsed, err := template.New(name).Option("missingkey=error").Parse(string(content))
	if err != nil {
		return "", err
	}
	var out strings.Builder
	err = parsed.Execute(&out, map[string]any{
		"State": l.State(), "PKI": l.State("pki"), "Conf": l.State("conf"), "ContainerdRoot": l.containerdRoot(),
		"RuntimeDir": runtimeDir, "Socket": Socket, "Runc": lookPath("runc"),
		"NodeIP": NodeIP, "NodeName": NodeName, "PodCIDR": PodCIDR, "DNSIP": DNSIP, "LoadBalancerPool": LoadBalancerPool,
		"PauseImage": pauseImage, "CoreDNSImage": coreDNSImage, "Provisioner": Provisioner, "StorageClass": StorageClass, "LimitedStorageClass": LimitedStorageClass,
		"Sites": Sites(),
	})
	return out.String(), err
}

func lookPath(program string) string {
	path, err := exec.LookPath(program)
	if err != nil {
		return program
	}
	return path
}

// writeNodeConfig writes the configuration files of the runtime, the network plugin, the kubelet and kube-proxy.
func (l Layout) writeNodeConfig() error {
	files := map[string]string{
		"containerd.toml": l.conf("containerd.toml"), "kubelet.yaml": l.conf("kubelet.yaml"),
		"proxy.yaml": l.conf("proxy.yaml"), "cni.conflist": l.State("cni", "conf", "10-devcluster.conflist"),
		"resolv.conf": l.conf("resolv.conf"),
	}
	for name, path := range files {
		content, err := l.expand(name)
		if err != nil {
			return fmt.Errorf("configuration %s: %w", name, err)
		}
		if err := writeIfChanged(path, content); err != nil {
			return err
		}
	}
	return nil
}

// writeIfChanged leaves an equal file alone: kube-proxy ends when its file is written, whatever was written.
func writeIfChanged(path, content string) error {
	if existing, err := os.ReadFile(path); err == nil && string(existing) == content {
		return nil
	}
	return os.WriteFile(path, []byte(content), 0o600)
}

func (l Layout) containerd(bin string) daemon {
	config := l.conf("containerd.toml")
	return daemon{
		name: "containerd", path: filepath.Join(bin, "containerd"),
		args: []string{"--config=" + config, "--log-level=warn"},
		// It starts the shim by name. The caller's own PATH must not decide whether the runtime is restarted.
		env:    []string{"PATH=" + bin + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
		inputs: []string{config},
		ready: func(ctx context.Context) error {
			_, err := l.ctr(ctx, "version")
			return err
		},
	}
}

func (l Layout) kubelet(bin string) daemon {
	config, kubeconfig := l.conf("kubelet.yaml"), l.conf("kubelet.kubeconfig")
	return daemon{
		name: "kubelet", path: filepath.Join(bin, "kubelet"),
		args: []string{
			"--kubeconfig=" + kubeconfig, "--config=" + config, "--root-dir=" + l.State("kubelet"),
			"--cert-dir=" + l.State("kubelet", "pki"), "--hostname-override=" + NodeName, "--node-ip=" + NodeIP,
		},
		inputs: []string{config, kubeconfig},
		ready:  l.answers("http://127.0.0.1:10248/healthz"),
	}
}

func (l Layout) kubeProxy(bin string) daemon {
	config := l.conf("proxy.yaml")
	return daemon{
		name: "proxy", path: filepath.Join(bin, "kube-proxy"),
		args:   []string{"--config=" + config},
		inputs: []string{config, l.conf("proxy.kubeconfig")},
		ready:  l.answers("http://" + NodeIP + ":10256/healthz"),
	}
}

// ctr runs containerd's own client in the namespace that the kubelet's containers live in.
func (l Layout) ctr(ctx context.Context, args ...string) (string, error) {
	bin, err := l.builtTool(ctx, "containerd")
	if err != nil {
		return "", err
	}
	return run(ctx, filepath.Join(bin, "ctr"), append([]string{"--address", Socket, "--namespace", "k8s.io"}, args...)...)
}
