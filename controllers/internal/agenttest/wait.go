// SPDX-License-Identifier: Apache-2.0

package agenttest

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Eventually repeats the check until it returns nil, and fails the test with the last reason after Patience.
func Eventually(t testing.TB, what string, check func() error) {
	t.Helper()
	deadline := time.Now().Add(Patience)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s did not happen within %s: %v", what, Patience, err)
		}
		time.Sleep(10 * time.Millisecond) // the pause between two looks, not a wait for something to happen.
	}
}

// Children are the processes, on this machine, whose parent is the given one.
func Children(pid int) ([]int, error) {
	// The kernel keeps one list per thread that started children.
	lists, err := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "task", "*", "children"))
	if err != nil {
		return nil, err
	}
	var content []byte
	for _, list := range lists {
		part, err := os.ReadFile(list)
		if err != nil {
			return nil, fmt.Errorf("list the children of process %d: %w", pid, err)
		}
		content = append(content, part...)
	}
	var children []int
	for _, field := range strings.Fields(string(content)) {
		child, err := strconv.Atoi(field)
		if err != nil {
			return nil, err
		}
		children = append(children, child)
	}
	return children, nil
}
