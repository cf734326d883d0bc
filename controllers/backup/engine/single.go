// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"regexp"
	"strings"
)

var repositoryOption = regexp.MustCompile(`^repo(\d+)-`)

// Single is a pgbackrest.conf with one of its repositories. Some of pgBackRest's commands go to all repositories that
// they find, and a dead one would delay or fail what is about another. It is an error if the repository is not there.
func Single(conf []byte, repository int) ([]byte, error) {
	var kept strings.Builder
	found := false
	for line := range strings.Lines(string(conf)) {
		if option := repositoryOption.FindStringSubmatch(line); option != nil {
			if option[1] != fmt.Sprint(repository) {
				continue
			}
			found = true
		}
		kept.WriteString(line)
	}
	if !found {
		return nil, fmt.Errorf("pgbackrest.conf holds no repository %d", repository)
	}
	return []byte(kept.String()), nil
}
