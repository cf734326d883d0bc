// SPDX-License-Identifier: Apache-2.0

package agenttest

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"
)

// The environment tells a started test binary what to be: first the container's runtime, which builds the container
// around itself, then the program in it.
const (
	roleVariable = "FREEHOLD_AGENTTEST_ROLE"
	specVariable = "FREEHOLD_AGENTTEST_SPEC"
	roleRuntime  = "runtime"
	roleProgram  = "program"
	roleNested   = "nested"
)

// Nested, before a command line in a container, makes the program of it that the container's own program is: for
// commands that other programs start.
const Nested = roleVariable + "=" + roleNested

// Main runs the tests, or, in a container, the program with the arguments of the command line; it returns the
// exit code.
func Main(m *testing.M, program func(args []string) int) int {
	switch os.Getenv(roleVariable) {
	case roleProgram:
		go endWithTest()
		return program(os.Args[1:])
	case roleNested:
		return program(os.Args[1:]) // it ends with the container.
	case roleRuntime:
		// Returns only on failure.
		fmt.Fprintln(os.Stderr, "build a container:", enter())
		return 125
	}
	return m.Run()
}

// spec is what the runtime builds.
type spec struct {
	// RootFS is the image; Skeleton a folder of mount points that lies over it; Root where both are put together.
	RootFS, Skeleton, Root string
	Mounts                 []mount
	UID, GID               int
	Args                   []string
	// Path is the variable PATH in the container.
	Path string
}

// mount binds a folder or file of this machine into the container.
type mount struct {
	Source, Target string
	Writable       bool
}

func readSpec() (spec, error) {
	var s spec
	err := json.Unmarshal([]byte(os.Getenv(specVariable)), &s)
	return s, err
}
