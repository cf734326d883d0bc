// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Digest is a hash over names and contents of the files in the folders. Hidden files, which are the kubelet's
// own, do not count; a missing folder counts as an empty one.
func Digest(folders ...string) (string, error) {
	sum := sha256.New()
	for _, folder := range folders {
		entries, err := os.ReadDir(folder)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("list %s: %w", folder, err)
		}
		for _, entry := range entries {
			if strings.HasPrefix(entry.Name(), ".") {
				continue
			}
			path := filepath.Join(folder, entry.Name())
			content, err := os.ReadFile(path)
			if err != nil {
				return "", fmt.Errorf("read a watched file: %w", err)
			}
			fmt.Fprintf(sum, "%s\n%d\n%s", path, len(content), content)
		}
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
