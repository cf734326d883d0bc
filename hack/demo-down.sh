#!/usr/bin/env bash
# Removes everything that hack/demo.sh made, except what is built once and cached.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source hack/lib.sh

go -C hack/devcluster run . down
rm -rf "$(cache_dir demo)"
