#!/usr/bin/env bash
# Lints everything that people write: Go (with the import directions and the API conventions), the chart and the
# kustomization. LINT_ARGS goes to golangci-lint, for example LINT_ARGS=--fix.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
source hack/lib.sh

lint=$(hack/tools/build.sh lint)/golangci-lint-kube-api-linter
helm=$(hack/tools/build.sh helm)/helm
kustomize=$(hack/tools/build.sh kustomize)/kustomize

# The tags bring in the files that ordinary builds leave out.
for module in . hack/devcluster; do
  section "golangci-lint in ${module/#./the root module} (some minutes the first time)"
  # shellcheck disable=SC2086 # LINT_ARGS is a list of arguments.
  (cd "$module" && "$lint" run --allow-parallel-runners --config "$root/.golangci.yml" --build-tags e2e,packets,bench --timeout 30m ${LINT_ARGS:-} ./...)
done

section "shell scripts parse"
mapfile -t scripts < <(git ls-files '*.sh' .ci/run)
for script in "${scripts[@]}"; do bash -n "$script"; done
echo "${#scripts[@]} scripts"

section "helm lint"
"$helm" lint --strict charts/freehold

section "kustomize build"
rendered=$("$kustomize" build config/default)
echo "config/default: $(grep -c '^kind:' <<<"$rendered") objects"
