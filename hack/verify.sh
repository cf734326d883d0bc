#!/usr/bin/env bash
# Fails, and prints the difference, if a generated file is not what its source generates or if a go.mod file is
# not tidy. Works on a copy: the work tree is never changed, and need not be committed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
source hack/lib.sh

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
failed=

section "generated files (make generate manifests docs)"
# Only what git tracks or would track, so that a generated file that .gitignore hides is missed here as well.
git ls-files -z --cached --others --exclude-standard |
  while IFS= read -r -d '' file; do if [ -e "$file" ]; then printf '%s\0' "$file"; fi; done |
  xargs -0 cp --parents -t "$copy"
cp -a "$copy" "$copy.before"
trap 'rm -rf "$copy" "$copy.before"' EXIT
make -C "$copy" --no-print-directory --silent generate manifests docs
if difference=$(diff -ruN "$copy.before" "$copy"); then
  echo "up to date"
else
  sed "s|$copy.before/|committed/|; s|$copy/|generated/|" <<<"$difference"
  echo "FAILED: run 'make generate manifests docs' and commit the result"
  failed=yes
fi

section "go.mod files (go mod tidy -diff)"
while IFS= read -r mod; do
  module=$(dirname "$mod")
  if difference=$(go -C "$module" mod tidy -diff 2>"$copy/stderr"); then
    echo "tidy: $module"
  else
    echo "$difference"
    grep -v '^go: downloading' "$copy/stderr" || true
    echo "FAILED: run 'go -C $module mod tidy' and commit the result"
    failed=yes
  fi
done < <(cd "$root" && git ls-files --cached --others --exclude-standard 'go.mod' '*/go.mod')

[ -z "$failed" ]
