// SPDX-License-Identifier: Apache-2.0

package images

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
)

// suite is the Debian release of every Debian layer; prepare.sh and finish.sh name it too.
const suite = "trixie"

// recipe is raised when the way Debian layers are built changes, so that cached ones are not used any more.
const recipe = "1"

var packageName = regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]+$`)

// parsePackages reads a package list: one Debian package a line, "#" begins a comment.
func parsePackages(list string) ([]string, error) {
	var packages []string
	for i, line := range strings.Split(list, "\n") {
		name, _, _ := strings.Cut(line, "#")
		name = strings.TrimSpace(name)
		if name == "" {
			continue
		}
		if !packageName.MatchString(name) {
			return nil, fmt.Errorf("line %d: %q is not the name of a Debian package", i+1, name)
		}
		packages = append(packages, name)
	}
	if len(packages) == 0 {
		return nil, errors.New("the list names no package")
	}
	return packages, nil
}

// readPackages reads hack/images/NAME/packages.txt.
func readPackages(opts Options, name string) ([]string, error) {
	path := filepath.Join(opts.imageDir(name), "packages.txt")
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the package list of image %s: %w", name, err)
	}
	packages, err := parsePackages(string(content))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return packages, nil
}

// rootfsKey names the content of a Debian layer by all that decides it, except the packages' versions at
// the moment of building: those change only with Options.Refresh.
func rootfsKey(opts Options, name string, packages []string) (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, recipe, suite, runtime.GOARCH, strings.Join(packages, " "))
	images := filepath.Dir(opts.imageDir(name))
	for _, script := range []string{"prepare.sh", "finish.sh"} {
		if err := hashFile(h, script, filepath.Join(images, script)); err != nil {
			return "", err
		}
	}
	if err := hashTree(h, opts.imageDir(name), "files"); err != nil {
		return "", fmt.Errorf("read the files of image %s: %w", name, err)
	}
	if err := hashFile(h, "passwd", filepath.Join(opts.imageDir(name), "passwd")); err != nil {
		return "", err
	}
	return shortHex(h.Sum(nil)), nil
}

// hashTree adds every file of base below the directory sub to h, in the order of their names. A directory
// that does not exist counts as empty.
func hashTree(h io.Writer, base, sub string) error {
	dir := filepath.Join(base, sub)
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if path == dir && errors.Is(err, fs.ErrNotExist) {
			return fs.SkipAll
		}
		if err != nil || entry.IsDir() {
			return err
		}
		rel, err := filepath.Rel(base, path)
		if err != nil {
			return err
		}
		return hashFile(h, rel, path)
	})
}

// hashFile adds a file's name, length and content to h.
func hashFile(h io.Writer, name, path string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("hash the inputs of an image: %w", err)
	}
	fmt.Fprintln(h, name, len(content))
	_, err = h.Write(content)
	return err
}

func shortHex(sum []byte) string {
	return hex.EncodeToString(sum)[:16]
}
