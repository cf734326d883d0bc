// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/freehold-dev/freehold/hack/devcluster/netpol"
)

// readyLimit bounds the wait for any one program; a busy machine of two cores needs a good part of it.
const readyLimit = 3 * time.Minute

// Up brings the cluster up, or repairs it: what runs as wanted is left alone. Policy is how NetworkPolicies are
// enforced (see package netpol); empty keeps the running cluster's way, strict for a new one. Up needs root.
func Up(ctx context.Context, l Layout, progress *Progress, policy string) error {
	if err := ensurePackages(ctx, progress); err != nil {
		return err
	}
	if err := l.buildTools(ctx, progress); err != nil {
		return err
	}
	if err := l.clearStale(ctx, progress); err != nil {
		return err
	}
	policy, err := l.prepare(ctx, policy)
	if err != nil {
		return err
	}
	var group errgroup.Group
	group.Go(func() error { return l.upControlPlane(ctx, progress) })
	group.Go(func() error { return l.upRuntime(ctx, progress) })
	group.Go(func() error { return l.upSites(ctx, progress) })
	if err := group.Wait(); err != nil {
		return err
	}
	return l.upNode(ctx, progress, policy)
}

// clearStale removes a cluster of before the machine's last start: its memory-backed database is gone. It refuses a
// machine whose pods belong to somebody else's kubelet, since stopping ours would end them too.
func (l Layout) clearStale(ctx context.Context, progress *Progress) error {
	if !l.Exists() {
		if pids := podProcesses(); len(pids) > 0 {
			return fmt.Errorf("%d processes of another kubelet's pods run on this machine; use one without Kubernetes", len(pids))
		}
		return nil
	}
	recorded, _ := os.ReadFile(l.State("boot-id"))
	if string(recorded) == bootID() {
		return nil
	}
	progress.Say("the machine was restarted: removing what is left of the cluster before")
	return Down(ctx, l, progress)
}

func bootID() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(id))
}

// prepare makes everything that is not a process and returns the policy mode.
func (l Layout) prepare(ctx context.Context, policy string) (string, error) {
	if err := errors.Join(checkRanges(ctx), l.checkPorts()); err != nil {
		return "", err
	}
	for _, dir := range []string{"", "pki", "conf", "log", "log/pods", "run", "bin", "etcd", "pv", "cni/conf", "cni/data", "kubelet"} {
		if err := os.MkdirAll(l.State(dir), 0o700); err != nil {
			return "", err
		}
	}
	// Pods of any user enter their volumes through these folders.
	for _, dir := range []string{l.Cache, l.State(), l.State("pv"), l.State("kubelet")} {
		if err := os.Chmod(dir, 0o711); err != nil {
			return "", err
		}
	}
	if err := os.WriteFile(l.State("boot-id"), []byte(bootID()), 0o600); err != nil {
		return "", err
	}
	mode, err := l.choosePolicy(policy)
	if err != nil {
		return "", err
	}
	return mode, errors.Join(l.ensureMemoryDisk(), l.ensurePKI(), l.ensureKubeconfigs(), l.writeNodeConfig(),
		l.copySelf(), l.ensureNetwork(ctx))
}

// choosePolicy validates the wish, falls back to what was chosen before, and remembers the choice.
func (l Layout) choosePolicy(wish string) (string, error) {
	before, _ := os.ReadFile(l.State("policy"))
	mode := pickPolicy(wish, string(before))
	switch mode {
	case netpol.ModeStrict, netpol.ModeWeak, netpol.ModeNone:
		return mode, os.WriteFile(l.State("policy"), []byte(mode), 0o600)
	}
	return "", fmt.Errorf("unknown policy %q: choose strict, weak or none", mode)
}

func pickPolicy(wish, before string) string {
	switch {
	case wish != "":
		return wish
	case before != "":
		return before
	}
	return netpol.ModeStrict
}

// ensureMemoryDisk puts etcd's data into memory: it is lost with the machine's next start, and fast until then.
func (l Layout) ensureMemoryDisk() error {
	mounted, err := mountsBelow(l.State("etcd"))
	if err != nil || len(mounted) > 0 {
		return err
	}
	if err := syscall.Mount("etcd", l.State("etcd"), "tmpfs", 0, "size=1g,mode=700"); err != nil {
		return fmt.Errorf("mount memory for etcd: %w", err)
	}
	return nil
}

func (l Layout) upControlPlane(ctx context.Context, progress *Progress) error {
	bin, err := l.builtTool(ctx, "kubernetes")
	if err != nil {
		return err
	}
	if err := l.up(ctx, progress, l.etcd(bin)); err != nil {
		return err
	}
	if err := l.up(ctx, progress, l.apiServer(bin)); err != nil {
		return err
	}
	if err := l.up(ctx, progress, l.controllerManager(bin), l.scheduler(bin)); err != nil {
		return err
	}
	return progress.Step("name service, storage class, load balancer types", func() error { return l.applyAddons(ctx) })
}

func (l Layout) upRuntime(ctx context.Context, progress *Progress) error {
	bin, err := l.builtTool(ctx, "containerd")
	if err != nil {
		return err
	}
	if err := l.up(ctx, progress, l.containerd(bin)); err != nil {
		return err
	}
	return progress.Step("system images", func() error { return l.loadSystemImages(ctx, progress) })
}

// upNode starts what makes pods run. The policy program comes before the kubelet, so that no pod is ever without it.
func (l Layout) upNode(ctx context.Context, progress *Progress, policy string) error {
	kubernetes, err := l.builtTool(ctx, "kubernetes")
	if err != nil {
		return err
	}
	metallb, err := l.builtTool(ctx, "metallb")
	if err != nil {
		return err
	}
	if err := l.up(ctx, progress, l.policyDaemon(policy)); err != nil {
		return err
	}
	if err := l.up(ctx, progress, l.kubelet(kubernetes), l.kubeProxy(kubernetes), l.provisionerDaemon(), l.metallb(metallb)); err != nil {
		return err
	}
	if err := l.applyLoadBalancerPool(ctx); err != nil {
		return err
	}
	return progress.Step("node and name service ready", func() error { return l.awaitClusterReady(ctx, readyLimit) })
}

// up ensures daemons together and then waits for each.
func (l Layout) up(ctx context.Context, progress *Progress, daemons ...daemon) error {
	for _, d := range daemons {
		if _, err := l.ensure(ctx, d); err != nil {
			return err
		}
	}
	for _, d := range daemons {
		if err := progress.Step(d.name, func() error { return l.awaitReady(ctx, d, readyLimit) }); err != nil {
			return err
		}
	}
	return nil
}
