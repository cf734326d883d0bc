#!/usr/bin/env bash
# A real Kubernetes on this machine, the operator installed from its chart, and two customers on it, one of them backed up
# to two sites outside the cluster; then it prints what to try. It can be repeated: what is there already is kept or brought up to date.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source hack/lib.sh
source hack/demo/lib.sh

[ "$(id -u)" = 0 ] || { echo "make demo needs root: it makes network interfaces, mounts and containers" >&2; exit 1; }

begin "1/6  a Kubernetes on this machine (the first time compiles it: ten minutes or more)"
say "     compiling the program that starts it"
devcluster up 2>&1 | restamp

begin "2/6  images (the first time downloads Debian packages: some minutes)"
devcluster load manager postgres edge miniflux 2>&1 | restamp

begin "3/6  programs: kubectl and helm (the first time compiles Helm: some minutes)"
tools=$(hack/tools/build.sh kubernetes):$(hack/tools/build.sh helm)
kubeconfig=$(devcluster kubeconfig)
export PATH=$tools:$PATH KUBECONFIG=$kubeconfig

begin "4/6  the operator, from charts/freehold"
install_operator 2>&1 | restamp

begin "5/6  two backup sites outside the cluster: acme's credentials there, and the policy two-sites"
admit_to_sites acme
make_policy

begin "6/6  the class miniflux and the customers acme and globex"
# Not `apply -k`, which complains about the order that hack/demo/kustomization.yaml asks for.
kubectl kustomize hack/demo | kubectl apply -f - | restamp
applied=$SECONDS
for tenant in acme globex; do await_tenant "$tenant"; done
say "both customers answer over HTTPS, $((SECONDS - applied)) s after they were applied; $SECONDS s in all"

say "the evidence: packets that were sent just now"
await_proof acme

say "acme's backups: made at both sites, and proven by restoring them there (some minutes)"
await_recoverable acme
await_window acme
show_backups acme

write_environment
print_guide
