// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"maps"
	"strings"

	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// earlier is a repository as a configuration that was made before has it.
type earlier struct {
	// options of pgbackrest.conf, without repoN-, each followed by its value.
	options []string
	// files that they name, and restic's.
	files map[string][]byte
}

// AsIn is a repository as files have it that Files or ApplicationFiles made before, whatever its credentials and its
// passphrase are now: for when it cannot be configured anew. False if they do not have it, or not whole.
func (r Repository) AsIn(files map[string][]byte) (Repository, bool) {
	known, err := ParseDestinations(files[meta.KeyDestinations])
	if err != nil {
		return r, false
	}
	was, found := known.Find(string(r.Destination.Name), r.Generation)
	if !found {
		return r, false
	}
	r.earlier = &earlier{files: maps.Clone(files)}
	maps.DeleteFunc(r.earlier.files, func(name string, _ []byte) bool { return !r.names(name) })
	conf, configured := files[meta.KeyPgBackRestConf]
	for line := range strings.Lines(string(conf)) {
		if prefix := optionOf(was.Repository); strings.HasPrefix(line, prefix) {
			option, value, _ := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(line, prefix), "\n"), "=")
			r.earlier.options = append(r.earlier.options, option, value)
		}
	}
	return r, !configured || len(r.earlier.options) > 0
}

// names reports whether the configuration of a repository names a file beside it.
func (r Repository) names(file string) bool {
	name := string(r.Destination.Name)
	for _, suffix := range []string{caSuffix, gcsSuffix, sshKeySuffix, certSuffix, keySuffix} {
		if file == name+suffix {
			return true
		}
	}
	return file == ResticFile(name, r.Generation)
}

// repeat puts a repository in as it was, restic's way to it included. What another generation of the destination was
// configured anew with is not put back.
func (c *configuration) repeat(r Repository) {
	for i := 0; i < len(r.earlier.options); i += 2 {
		c.options(optionOf(r.Number)+r.earlier.options[i], r.earlier.options[i+1])
	}
	for name, content := range r.earlier.files {
		if _, anew := c.files[name]; !anew {
			c.files[name] = content
		}
	}
}
