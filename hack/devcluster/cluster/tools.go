// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// tools are the modules below hack/tools that a cluster is made of, in building order.
func tools() []string { return []string{"containerd", "kubernetes", "coredns", "metallb", "versitygw"} }

// toolBuilds remembers the folders of tools that were already asked for by this command.
var toolBuilds sync.Map

// buildTool compiles the programs of a module below hack/tools unless they are cached, and returns their folder.
func (l Layout) buildTool(ctx context.Context, module string, progress io.Writer) (string, error) {
	if dir, ok := toolBuilds.Load(module); ok {
		return dir.(string), nil
	}
	cmd := exec.CommandContext(ctx, filepath.Join(l.Repo, "hack", "tools", "build.sh"), module)
	cmd.Env = append(os.Environ(), "FREEHOLD_CACHE="+l.Cache)
	cmd.Stderr = progress
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("build hack/tools/%s: %w", module, err)
	}
	dir := strings.TrimSpace(string(out))
	toolBuilds.Store(module, dir)
	return dir, nil
}

// builtTool is buildTool for programs that exist already, and therefore quiet.
func (l Layout) builtTool(ctx context.Context, module string) (string, error) {
	return l.buildTool(ctx, module, os.Stderr)
}

// buildTools compiles everything that is not cached. Nothing is compiled at the same time: each build uses all cores.
func (l Layout) buildTools(ctx context.Context, progress *Progress) error {
	for _, module := range tools() {
		err := progress.Step("programs of "+module, func() error {
			_, err := l.buildTool(ctx, module, progress)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// moduleDir is the source folder of a dependency of a tool module; it is downloaded where the module cache lost it.
func (l Layout) moduleDir(ctx context.Context, tool, module string) (string, error) {
	out, err := run(ctx, "go", "-C", filepath.Join(l.Repo, "hack", "tools", tool), "mod", "download", "-json", module)
	if err != nil {
		return "", err
	}
	var info struct{ Dir string }
	if err := json.Unmarshal([]byte(out), &info); err != nil {
		return "", fmt.Errorf("source of %s: %w", module, err)
	}
	return info.Dir, nil
}

// kubectl applies text read as manifests with the administrator's rights.
func (l Layout) kubectlApply(ctx context.Context, documents string) error {
	bin, err := l.builtTool(ctx, "kubernetes")
	if err != nil {
		return err
	}
	_, err = runInput(ctx, documents, filepath.Join(bin, "kubectl"), "--kubeconfig="+l.Kubeconfig(),
		"apply", "--server-side", "--force-conflicts", "--field-manager=devcluster", "-f", "-")
	return err
}
