// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// podProcesses lists the living processes in the kubelet's cgroups (version 1 and 2 of cgroups).
func podProcesses() []int {
	var pids []int
	for _, root := range []string{"/sys/fs/cgroup/pids/kubepods", "/sys/fs/cgroup/kubepods"} {
		_ = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.Name() != "cgroup.procs" {
				return nil //nolint:nilerr // a cgroup that ends while we look is what we want
			}
			content, _ := os.ReadFile(path)
			for field := range strings.FieldsSeq(string(content)) {
				pid, err := strconv.Atoi(field)
				if err == nil && alive(pid) {
					pids = append(pids, pid)
				}
			}
			return nil
		})
	}
	return pids
}

// shims lists the living containerd shims of our runtime, known by its address on their command lines.
func shims() []int {
	var pids []int
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range files {
		content, _ := os.ReadFile(file)
		if !bytes.Contains(content, []byte("\x00-address\x00"+runtimeDir+"/")) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err == nil && alive(pid) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// alive counts zombies as dead: they hold nothing that we would have to wait for.
func alive(pid int) bool {
	_, state, err := processStat(pid)
	return err == nil && state != 'Z'
}

// removePodNetworks deletes pods' interfaces and network namespaces that the network plugin was not asked to remove.
// A stale interface keeps its route, and a later pod with the same address would be unreachable.
func removePodNetworks(ctx context.Context) error {
	out, err := run(ctx, "ip", "-j", "-4", "address", "show")
	if err != nil {
		return err
	}
	links, err := linksWithAddress([]byte(out), podGateway)
	if err != nil {
		return err
	}
	var errs []error
	for _, link := range links {
		_, err := run(ctx, "ip", "link", "delete", link)
		errs = append(errs, err)
	}
	namespaces, _ := filepath.Glob("/run/netns/cni-*")
	for _, namespace := range namespaces {
		if err := syscall.Unmount(namespace, syscall.MNT_DETACH); err != nil && !errors.Is(err, syscall.EINVAL) {
			errs = append(errs, fmt.Errorf("unmount %s: %w", namespace, err))
		}
		errs = append(errs, os.Remove(namespace))
	}
	return errors.Join(errs...)
}

// linksWithAddress reads `ip -j address show` and returns the interfaces that carry an address.
func linksWithAddress(output []byte, address string) ([]string, error) {
	var links []struct {
		Name      string `json:"ifname"`
		Addresses []struct {
			Local string `json:"local"`
		} `json:"addr_info"`
	}
	if err := json.Unmarshal(output, &links); err != nil {
		return nil, fmt.Errorf("read the list of interfaces: %w", err)
	}
	var out []string
	for _, link := range links {
		for _, a := range link.Addresses {
			if a.Local == address {
				out = append(out, link.Name)
				break
			}
		}
	}
	return out, nil
}

// pluginCache is where the network plugins' library remembers results; its place is fixed.
const pluginCache = "/var/lib/cni/results"

// removePluginCache forgets the results of our pods, known by our network's name and their sandboxes' ids.
func removePluginCache() error {
	const prefix, suffix = pluginCache + "/devcluster-", "-eth0"
	files, err := filepath.Glob(prefix + "*" + suffix)
	if err != nil {
		return err
	}
	var errs []error
	for _, file := range files {
		sandbox := strings.TrimSuffix(strings.TrimPrefix(file, prefix), suffix)
		if err := os.Remove(pluginCache + "/cni-loopback-" + sandbox + "-lo"); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
		errs = append(errs, os.Remove(file))
	}
	return errors.Join(errs...)
}

// removeEmpty removes what programs made in fixed places, unless somebody else uses it too.
func removeEmpty() error {
	if err := os.Remove("/var/lib/kubelet/device-plugins/kubelet.sock"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if names, err := os.ReadDir("/run/netns"); err == nil && len(names) == 0 {
		_ = syscall.Unmount("/run/netns", 0) // the first `ip netns add` mounts it onto itself
	}
	for _, dir := range []string{"/var/lib/kubelet/device-plugins", "/var/lib/kubelet", pluginCache, "/var/lib/cni", "/run/netns"} {
		_ = os.Remove(dir) // fails, as it should, when something is left in it
	}
	return nil
}

func removeLinks(ctx context.Context) error {
	var errs []error
	for name := range bridges() {
		if linkExists(name) {
			_, err := run(ctx, "ip", "link", "delete", name)
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// mountsBelow lists mount points at or below a folder, deepest and latest first.
func mountsBelow(dir string) ([]string, error) {
	content, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	return parseMounts(string(content), dir), nil
}

// parseMounts reads /proc/PID/mountinfo, whose fifth field is the mount point.
func parseMounts(mountinfo, dir string) []string {
	var out []string
	for line := range strings.Lines(mountinfo) {
		fields := strings.Fields(line)
		if len(fields) < 5 {
			continue
		}
		point := unescapeMount(fields[4])
		if point == dir || strings.HasPrefix(point, dir+"/") {
			out = append(out, point)
		}
	}
	slices.Reverse(out) // what was mounted later goes first
	return out
}

var mountEscapes = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

func unescapeMount(point string) string { return mountEscapes.Replace(point) }

func unmountBelow(dir string) error {
	points, err := mountsBelow(dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, point := range points {
		if err := syscall.Unmount(point, syscall.MNT_DETACH); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENOENT) {
			errs = append(errs, fmt.Errorf("unmount %s: %w", point, err))
		}
	}
	return errors.Join(errs...)
}

// removePodCgroups removes the kubelet's cgroups from every hierarchy; they are empty once the pods are dead.
func removePodCgroups() error {
	roots, _ := filepath.Glob("/sys/fs/cgroup/*/kubepods")
	roots = append(roots, "/sys/fs/cgroup/kubepods")
	var errs []error
	for _, root := range roots {
		var dirs []string
		_ = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				dirs = append(dirs, path)
			}
			return nil
		})
		for _, dir := range slices.Backward(dirs) {
			if err := os.Remove(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}
