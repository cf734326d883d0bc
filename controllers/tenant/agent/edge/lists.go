// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// admitsNobody reports whether the list of client networks that may connect has no entries.
func (c Config) admitsNobody() (bool, error) {
	content, err := os.ReadFile(filepath.Join(c.ListsDir, meta.KeyAllowedList))
	if err != nil {
		return false, fmt.Errorf("read who may connect: %w", err)
	}
	for line := range strings.Lines(string(content)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			return false, nil
		}
	}
	return true, nil
}
