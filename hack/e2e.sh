#!/usr/bin/env bash
# Runs the stories in test/e2e: on the cluster of KUBECONFIG if that is set, else on the local cluster, which is
# started, loaded with freshly built images and removed afterwards.
#
#   FOCUS=regexp        only the stories that match
#   LABELS=filter       only the stories whose labels match, in Ginkgo's words; by default those that fit the POLICY
#   KEEP_CLUSTER=yes    leave the local cluster running (also: it was running before)
#   POLICY=weak         how the local cluster enforces NetworkPolicy: strict (default) | weak | none
#   PROCS=2             how many stories are told at a time; by default four, which keep two processors busy
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source hack/lib.sh

devcluster() { go -C hack/devcluster run . "$@"; }

start_local_cluster() {
  need_programs sslscan:sslscan
  section "the local cluster (the first time builds Kubernetes: about ten minutes)"
  devcluster up --policy="${POLICY:-strict}"
  # The tests find out by this that they may restart the node and use its external clients.
  export FREEHOLD_DEVCLUSTER=yes
  KUBECONFIG=$(devcluster kubeconfig)
  export KUBECONFIG
  section "images (the first time downloads Debian packages: some minutes)"
  devcluster load
  # The program that is in the images, for what runs outside of the cluster.
  FREEHOLD_PROGRAM=$(cache_dir images)/freehold
  export FREEHOLD_PROGRAM
}

if [ -z "${KUBECONFIG:-}" ]; then
  if devcluster status >/dev/null 2>&1; then KEEP_CLUSTER=yes; fi
  if [ -z "${KEEP_CLUSTER:-}" ]; then
    # A run that was killed leaves the database of its cluster: "up" would bring the customers of half-told stories back.
    devcluster down
    trap 'devcluster down' EXIT
  fi
  start_local_cluster
fi

tools=$(hack/tools/build.sh helm):$(hack/tools/build.sh kustomize)
command -v kubectl >/dev/null || tools=$tools:$(hack/tools/build.sh kubernetes)
PATH=$tools:$PATH

# On careless networks only what is about walls is told; without walls, only what is said then.
case ${POLICY:-strict} in
  strict) fitting='!no-walls && !bench' ;;
  weak) fitting=walls ;;
  none) fitting=no-walls ;;
esac

# Ginkgo's own program, of the version in go.mod, tells several stories at a time, each in a process; those that change
# the cluster as a whole are Serial and come last, alone.
tell_stories() {
  local report code=0
  report=$(mktemp)
  testsum=$(build_testsum)
  go tool ginkgo run -v --no-color --procs="${PROCS:-4}" --timeout=75m --tags=e2e \
    --focus="${FOCUS:-}" --label-filter="${LABELS:-$fitting}" \
    --output-dir="$(dirname "$report")" --json-report="$(basename "$report")" ./test/e2e </dev/null || code=$?
  "$testsum" -stories "$report" -closing "${CLOSING_LINES:-}" || code=1
  rm -f "$report"
  return $code
}

section "stories, ${PROCS:-4} at a time"
tell_stories
