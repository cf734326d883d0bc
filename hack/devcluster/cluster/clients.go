// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"
)

// DescribeClients lists the external clients with their addresses.
func DescribeClients() string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(Clients())) {
		out = append(out, name+" is "+Clients()[name])
	}
	return strings.Join(out, ", ")
}

// ExecInClient replaces this process by a command in a client's network. It returns only when that fails.
func ExecInClient(client string, command []string) error {
	if Clients()[client] == "" {
		return fmt.Errorf("there is no client %q; %s", client, DescribeClients())
	}
	if _, err := os.Stat("/run/netns/" + machineNamespace(client)); err != nil {
		return fmt.Errorf("client %s does not exist; run `up` first: %w", client, err)
	}
	args := append([]string{"ip", "netns", "exec", machineNamespace(client)}, command...)
	if err := syscall.Exec(lookPath("ip"), args, os.Environ()); err != nil {
		return fmt.Errorf("run a command as client %s (needs root): %w", client, err)
	}
	return nil
}
