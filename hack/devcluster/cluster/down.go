// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/freehold-dev/freehold/hack/devcluster/netpol"
)

// daemonNames lists every daemon that shall run, in starting order.
func (l Layout) daemonNames() []string {
	names := []string{"etcd", "apiserver", "containerd", "controller-manager", "scheduler", "netpol", "kubelet", "proxy",
		"provisioner", "metallb"}
	for _, s := range l.wantedSites() {
		names = append(names, s.Name)
	}
	return names
}

// Down removes the cluster, also what a killed Up or a crash left: processes, pods, mounts, interfaces, network
// namespaces, nftables tables, cgroups and the state folder with all volumes. Programs and images stay cached.
// It goes on after a failure and returns everything that could not be removed.
func Down(ctx context.Context, l Layout, progress *Progress) error {
	if !l.Exists() {
		progress.Say("there is no cluster")
		return nil
	}
	err := progress.Step("stopping pods and programs", func() error { return l.stopEverything(ctx) })
	return errors.Join(err, progress.Step("removing networks, mounts and state", func() error { return l.removeEverything(ctx) }))
}

// stopEverything ends the control loops first, so that nothing starts what is being stopped.
func (l Layout) stopEverything(ctx context.Context) error {
	errs := []error{l.stopAll(ctx, syscall.SIGTERM, "metallb", "provisioner", "controller-manager", "scheduler", "kubelet", "proxy")}
	errs = append(errs, killAll(ctx, podProcesses))
	if _, alive := l.running("containerd"); alive {
		errs = append(errs, removeSandboxes(ctx))
	}
	errs = append(errs, l.stopAll(ctx, syscall.SIGKILL, "apiserver", "etcd", "netpol"))
	errs = append(errs, l.stopAll(ctx, syscall.SIGTERM, "containerd"), killAll(ctx, shims))
	for _, s := range Sites() {
		errs = append(errs, l.stopSite(ctx, s))
	}
	return errors.Join(errs...)
}

func (l Layout) stopAll(ctx context.Context, signal syscall.Signal, names ...string) error {
	var group errgroup.Group
	for _, name := range names {
		group.Go(func() error { return l.stop(ctx, name, signal, 5*time.Second) })
	}
	return group.Wait()
}

// removeEverything undoes prepare and what programs made; its order matters (namespaces before bridges, mounts
// before folders).
func (l Layout) removeEverything(ctx context.Context) error {
	errs := []error{removePodNetworks(ctx)}
	for _, m := range machines() {
		removeMachine(ctx, m.name)
	}
	errs = append(errs, removeLinks(ctx), removeTables(ctx), l.restoreForwarding())
	errs = append(errs, unmountBelow(l.State()), unmountBelow(runtimeDir), removePodCgroups(), l.removeLogLinks(),
		removePluginCache(), removeEmpty())
	if err := errors.Join(errs...); err != nil {
		return err // the state folder still says that there is something to remove
	}
	return errors.Join(os.RemoveAll(runtimeDir), os.RemoveAll(l.State()))
}

// removeTables deletes the nftables tables of the cluster's programs.
func removeTables(ctx context.Context) error {
	var errs []error
	for _, table := range []string{"inet " + guardTable, "inet " + netpol.TableName, "ip kube-proxy", "ip6 kube-proxy"} {
		args := strings.Fields("list table " + table)
		if _, err := run(ctx, "nft", args...); err != nil {
			continue // not there
		}
		_, err := run(ctx, "nft", strings.Fields("delete table "+table)...)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// removeLogLinks removes the kubelet's links to logs of pods that were ours.
func (l Layout) removeLogLinks() error {
	links, err := filepath.Glob("/var/log/containers/*.log")
	if err != nil {
		return err
	}
	var errs []error
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && strings.HasPrefix(target, l.State()+"/") {
			errs = append(errs, os.Remove(link))
		}
	}
	_ = os.Remove("/var/log/containers") // only when empty
	return errors.Join(errs...)
}

// killAll sends KILL to what find returns until it returns nothing: a dying shim can start nothing, but a container's
// process can fork while the list is read.
func killAll(ctx context.Context, find func() []int) error {
	return poll(ctx, 15*time.Second, func(context.Context) error {
		pids := find()
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		if len(pids) > 0 {
			return fmt.Errorf("processes %v do not end", pids)
		}
		return nil
	})
}
