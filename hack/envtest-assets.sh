#!/usr/bin/env bash
# Prints the folder that holds kube-apiserver, etcd and kubectl for tests against a real API server.
#
#   KUBEBUILDER_ASSETS="$(hack/envtest-assets.sh)" go test ./controllers/...
#
# In this order: what KUBEBUILDER_ASSETS already names; the programs of the local cluster if they have been
# built; a download (about 100 MB) by setup-envtest; building them from source (about five minutes, once).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

cache=${FREEHOLD_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/freehold}
# The minor version of hack/tools/kubernetes: envtest has no build of every patch release.
minor=$(sed -n 's|^.*k8s.io/kubernetes v\(1\.[0-9]*\)\..*|\1|p' hack/tools/kubernetes/go.mod | head -n 1)

download() {
  timeout 120 "$(hack/tools/build.sh envtest)/setup-envtest" use "$minor.x!" --bin-dir "$cache/envtest" -p path
}

if [ -n "${KUBEBUILDER_ASSETS:-}" ]; then
  echo "$KUBEBUILDER_ASSETS"
elif built=$(hack/tools/build.sh --cached kubernetes); then
  echo "$built"
elif [ -z "${CI:-}" ] && fetched=$(download); then
  echo "$fetched"
else
  echo "the API server for the tests is built from source: about five minutes, once" >&2
  hack/tools/build.sh kubernetes
fi
