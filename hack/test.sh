#!/usr/bin/env bash
# Runs the tests that need no cluster: those of the operator (unit tests, and envtest against a real
# kube-apiserver and etcd), those of the local cluster's programs and, as root, those that send packets.
#
#   hack/test.sh                 everything
#   hack/test.sh operator|devcluster|packets
#
# The tests of HAProxy and PostgreSQL settings ask the real programs, out of the images' root file systems: as root
# they are unpacked here (FREEHOLD_EDGE_ROOT, FREEHOLD_POSTGRES_ROOT, FREEHOLD_HAPROXY name them), otherwise the tests
# that need them say so.
#
# GO_TEST_ARGS goes to `go test` of the operator, for example GO_TEST_ARGS='-run TestRender ./controllers/...'.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source hack/lib.sh

run_operator() {
  section "tests of the operator (the first run compiles with -race for some minutes)"
  KUBEBUILDER_ASSETS=$(hack/envtest-assets.sh)
  export KUBEBUILDER_ASSETS
  unpack_images
  # test/e2e needs a cluster: `make e2e`.
  local packages=${GO_TEST_ARGS:-}
  if [ -z "$packages" ]; then
    packages=$(go list ./...)
    # The longest begin first, so that in the end nobody waits for one of them.
    packages="./controllers/tenant ./controllers/backup/agent $(grep -v '/test/e2e' <<<"$packages")"
  fi
  # shellcheck disable=SC2086 # a list of arguments.
  counted . -race -timeout 40m ${fresh} $packages
  # The chart's alerts and dashboards against Prometheus, which has dependencies of its own. What Go remembers of results
  # does not see files of another module.
  if [ -z "${GO_TEST_ARGS:-}" ]; then counted test/alerts -count=1 ./...; fi
}

run_devcluster() {
  section "tests of the local cluster's programs"
  counted hack/devcluster ${fresh} ./...
  # The policies against an independent model, which has dependencies of its own.
  counted hack/devcluster/netpol/oracle ${fresh} ./...
}

run_packets() {
  section "NetworkPolicy on real packets, in network namespaces of its own; volumes that can be full"
  if [ "$(id -u)" != 0 ]; then
    echo "SKIPPED: sending packets needs root; run: sudo -E make test"
    return
  fi
  need_programs nft:nftables ip:iproute2 mkfs.ext4:e2fsprogs
  counted hack/devcluster -tags packets ${fresh} ./netpol/... ./provision/...
}

# In continuous integration nothing is taken from the cache of test results.
fresh=${CI:+-count=1}
for part in ${1:-operator devcluster packets}; do
  "run_$part"
done
