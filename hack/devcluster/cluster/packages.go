// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// requirement is a program (or, with a full path, any file) of the operating system and the Debian package that brings it.
type requirement struct{ program, debianPackage string }

func requirements() []requirement {
	return []requirement{
		{"runc", "runc"}, {"/usr/lib/cni/ptp", "containernetworking-plugins"}, {"nft", "nftables"},
		{"ip", "iproute2"}, {"conntrack", "conntrack"}, {"mmdebstrap", "mmdebstrap"}, {"mount", "mount"},
		{"flock", "util-linux"}, {"unshare", "util-linux"}, {"mkfs.ext4", "e2fsprogs"},
		{sshServer, "openssh-server"}, {"ssh-keygen", "openssh-client"}, {"curl", "curl"}, {"tar", "tar"},
		{"/usr/share/keyrings/debian-archive-keyring.gpg", "debian-archive-keyring"}, // Ubuntu lacks it
	}
}

// missingPackages lists the packages of programs that are not there, once each.
func missingPackages(needed []requirement, present func(program string) bool) []string {
	var out []string
	for _, r := range needed {
		if !present(r.program) && !slices.Contains(out, r.debianPackage) {
			out = append(out, r.debianPackage)
		}
	}
	return out
}

func programPresent(program string) bool {
	if filepath.IsAbs(program) {
		_, err := os.Stat(program)
		return err == nil
	}
	_, err := exec.LookPath(program)
	return err == nil
}

// isDebianLike reads os-release: Debian, Ubuntu and what names them as its family.
func isDebianLike(osRelease string) bool {
	for line := range strings.Lines(osRelease) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		if key != "ID" && key != "ID_LIKE" {
			continue
		}
		for _, id := range strings.Fields(strings.Trim(value, `"'`)) {
			if id == "debian" || id == "ubuntu" {
				return true
			}
		}
	}
	return false
}

// ensurePackages installs what is missing on Debian and Ubuntu and names it elsewhere.
func ensurePackages(ctx context.Context, progress *Progress) error {
	missing := missingPackages(requirements(), programPresent)
	if len(missing) == 0 {
		return nil
	}
	osRelease, _ := os.ReadFile("/etc/os-release")
	if !isDebianLike(string(osRelease)) {
		return fmt.Errorf("install the programs of these Debian packages first: %s", strings.Join(missing, " "))
	}
	return progress.Step("installing Debian packages "+strings.Join(missing, " "), func() error {
		if err := aptInstall(ctx, missing); err == nil {
			return nil
		}
		if _, err := run(ctx, "apt-get", "update"); err != nil {
			return err
		}
		return aptInstall(ctx, missing)
	})
}

func aptInstall(ctx context.Context, packages []string) error {
	args := append([]string{"DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "--no-install-recommends"}, packages...)
	if _, err := run(ctx, "env", args...); err != nil {
		return err
	}
	if slices.Contains(packages, "openssh-server") {
		// The cluster starts the server itself, for a network of its own. That the package also opens this machine to
		// logins is not wanted; without systemd there is nothing to switch off.
		_, _ = run(ctx, "systemctl", "disable", "--now", "ssh.service", "ssh.socket")
	}
	return nil
}
