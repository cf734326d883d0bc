// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"slices"
	"testing"
)

func TestOnlyMountsOfTheClusterAreUnmountedLatestFirst(t *testing.T) {
	const mountinfo = `22 1 8:1 / / rw - ext4 /dev/sda rw
30 22 0:5 / /cache/devcluster/etcd rw - tmpfs etcd rw
31 22 8:1 /x /cache/devcluster/kubelet rw shared:1 - ext4 /dev/sda rw
32 31 0:6 / /cache/devcluster/kubelet/pods/a\040b/volumes rw - tmpfs tmpfs rw
33 22 0:7 / /cache/devcluster-of-somebody-else rw - tmpfs tmpfs rw
`
	want := []string{"/cache/devcluster/kubelet/pods/a b/volumes", "/cache/devcluster/kubelet", "/cache/devcluster/etcd"}
	if got := parseMounts(mountinfo, "/cache/devcluster"); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestPodInterfacesAreKnownByTheirAddress(t *testing.T) {
	const output = `[{"ifname":"lo","addr_info":[{"local":"127.0.0.1"}]},
{"ifname":"veth1","addr_info":[{"local":"10.244.0.1"}]},{"ifname":"veth2","addr_info":[{"local":"172.17.0.1"}]},{}]`
	got, err := linksWithAddress([]byte(output), podGateway)
	if err != nil || !slices.Equal(got, []string{"veth1"}) {
		t.Errorf("got %v, %v", got, err)
	}
}
