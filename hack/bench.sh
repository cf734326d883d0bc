#!/usr/bin/env bash
# Runs the benchmarks that match a regular expression, all of them without one: hack/bench.sh [REGEXP]
#
# Sizes come from the environment (see docs/performance.md): BENCH_MIB, BENCH_ROUNDS, BENCH_SECONDS, BENCH_TENANTS,
# BENCH_DAYS. The benchmarks of backups run PostgreSQL and pgBackRest out of the database's image and need root.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source hack/lib.sh

wanted=${1:-.}
# Only packages that have benchmarks: the tests of others would start API servers for nothing.
mapfile -t packages < <(grep -rl --include='*_test.go' '^//go:build bench$' . | xargs -n1 dirname | sort -u)
KUBEBUILDER_ASSETS=$(hack/envtest-assets.sh)
export KUBEBUILDER_ASSETS
unpack_images
output=$(mktemp)
trap 'rm -f "$output"' EXIT

# What the machine did beside it belongs to every figure.
circumstances() { printf '%s: %s, %s processors, load %s\n' "$(date '+%Y-%m-%d %H:%M')" "$1" "$(nproc)" "$(cut -d' ' -f1-3 /proc/loadavg)"; }

circumstances begin
# One package after the other, and no limit: sizes are the caller's.
go test -tags bench -timeout 0 -run '^$' -bench "$wanted" -v "${packages[@]}" | grep --line-buffered -v '^=== ' | tee "$output"
circumstances end
grep -q '^Benchmark.*[0-9]' "$output" || { echo "no benchmark matched '$wanted'" >&2; exit 1; }
