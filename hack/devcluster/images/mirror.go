// SPDX-License-Identifier: Apache-2.0

package images

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// mirrors are the places to fetch Debian packages from.
type mirrors struct {
	debian   string
	security string
	proxies  []string // lines of apt configuration
}

func defaultMirrors() mirrors {
	return mirrors{debian: "http://ftp.debian.org/debian", security: "http://security.debian.org/debian-security"}
}

// hostMirrors reads which mirrors and proxies the machine's own apt uses. Where apt names none that carry Debian
// (another distribution, a CD), Debian's public addresses are used.
func hostMirrors(ctx context.Context) mirrors {
	files, _ := filepath.Glob("/etc/apt/sources.list.d/*") // the pattern is valid
	var sources strings.Builder
	for _, file := range append([]string{"/etc/apt/sources.list"}, files...) {
		content, err := os.ReadFile(file)
		if err == nil && (strings.HasSuffix(file, ".list") || strings.HasSuffix(file, ".sources")) {
			sources.Write(append(content, '\n'))
		}
	}
	m := pickMirrors(sources.String())
	if config, err := exec.CommandContext(ctx, "apt-config", "dump").Output(); err == nil {
		m.proxies = pickProxies(string(config))
	}
	return m
}

// pickMirrors chooses among the repository addresses of apt, one a line: the archive ends in /debian, the
// security archive in /debian-security. The first of each kind wins, as in apt.
func pickMirrors(uris string) mirrors {
	var found mirrors
	for _, uri := range strings.Fields(uris) {
		uri = strings.TrimRight(uri, "/")
		if !strings.HasPrefix(uri, "http://") && !strings.HasPrefix(uri, "https://") {
			continue
		}
		switch {
		case strings.HasSuffix(uri, "/debian") && found.debian == "":
			found.debian = uri
		case strings.HasSuffix(uri, "/debian-security") && found.security == "":
			found.security = uri
		}
	}
	defaults := defaultMirrors()
	if found.debian == "" {
		found.debian = defaults.debian
	}
	if found.security == "" {
		found.security = defaults.security
	}
	return found
}

var proxyLine = regexp.MustCompile(`(?i)^Acquire::https?::Proxy\S* ".+";$`)

// pickProxies keeps the lines of `apt-config dump` that name a proxy.
func pickProxies(config string) []string {
	var lines []string
	for _, line := range strings.Split(config, "\n") {
		if proxyLine.MatchString(line) {
			lines = append(lines, line)
		}
	}
	return lines
}

// sourcesList renders apt's one-line format for the suite with its updates and security updates.
func (m mirrors) sourcesList() string {
	return fmt.Sprintf("deb %[1]s %[3]s main\ndeb %[1]s %[3]s-updates main\ndeb %[2]s %[3]s-security main\n", m.debian, m.security, suite)
}
