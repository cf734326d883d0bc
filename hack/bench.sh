#!/usr/bin/env bash
# Runs the benchmarks that match a regular expression (all without one): hack/bench.sh [REGEXP]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

KUBEBUILDER_ASSETS=$(hack/envtest-assets.sh)
export KUBEBUILDER_ASSETS
packages=$(go list ./...)
packages=$(grep -v '/test/e2e' <<<"$packages")
output=$(mktemp)
trap 'rm -f "$output"' EXIT

# shellcheck disable=SC2086 # a list of arguments.
go test -tags bench -run '^$' -bench "${1:-.}" -benchmem $packages | grep --line-buffered -v 'no test files' | tee "$output"
grep -q '^Benchmark' "$output" || { echo "no benchmark matched '${1:-.}'" >&2; exit 1; }
