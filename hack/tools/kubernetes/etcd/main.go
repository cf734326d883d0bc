// SPDX-License-Identifier: Apache-2.0

// Command etcd is etcd's server under its usual name. The upstream package is called "server", so that
// `go install` would leave a program of that name; envtest and the local cluster look for "etcd".
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() {
	etcdmain.Main(os.Args)
}
