// SPDX-License-Identifier: Apache-2.0

// Package postgres finds PostgreSQL's programs in the instance's image.
package postgres

import (
	"fmt"
	"os/exec"
	"path/filepath"
)

// Program is the path of one of PostgreSQL's programs: in the folder, or, where none is named, in PATH or where Debian
// puts them.
func Program(folder, name string) (string, error) {
	if folder != "" {
		return filepath.Join(folder, name), nil
	}
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	found, err := filepath.Glob(filepath.Join("/usr/lib/postgresql/*/bin", name))
	if err != nil || len(found) != 1 {
		return "", fmt.Errorf("find PostgreSQL's program %q: not in PATH, and %d of them in /usr/lib/postgresql; the image must hold exactly one version", name, len(found))
	}
	return found[0], nil
}
