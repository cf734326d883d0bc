#!/usr/bin/env bash
# Builds the pinned programs of one module below hack/tools and prints the folder that holds them.
#
#   hack/tools/build.sh MODULE            e.g. PATH="$(hack/tools/build.sh lint):$PATH"
#   hack/tools/build.sh --cached MODULE   only prints; fails if the programs have not been built yet
#
# Each folder hack/tools/MODULE is a Go module of its own whose go.mod names the programs in `tool`
# directives, so that neither their versions nor their dependencies leak into the operator's go.mod.
# An optional file `ldflags` holds extra linker flags (version stamps). The result is cached outside the
# work tree, under a key made of everything that decides what the programs are.
set -euo pipefail

only_cached=
if [ "${1:-}" = --cached ]; then only_cached=yes; shift; fi
module=${1:?usage: hack/tools/build.sh [--cached] MODULE}
dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/$module
[ -f "$dir/go.mod" ] || { echo "hack/tools/build.sh: there is no module hack/tools/$module" >&2; exit 2; }

cache=${FREEHOLD_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/freehold}
ldflags=$(cat "$dir/ldflags" 2>/dev/null || true)
key=$( { cat "$dir/go.mod" "$dir/go.sum"; echo "$ldflags"; find "$dir" -name '*.go' -print0 | sort -z | xargs -0r cat; go env GOVERSION GOOS GOARCH; } | sha256sum | cut -c1-16)
bin=$cache/tools/$module-$key

if [ -n "$only_cached" ]; then
  [ -f "$bin/.complete" ] || exit 1
  echo "$bin"
  exit
fi

# One builder at a time per module: a second caller waits and then finds the work done.
mkdir -p "$cache/tools"
exec 9>"$cache/tools/$module.lock"
flock 9
if [ ! -f "$bin/.complete" ]; then
  started=$SECONDS
  rm -rf "$bin"; mkdir -p "$bin"
  for package in $(cd "$dir" && go list -mod=readonly -f '{{.ImportPath}}' tool); do
    echo "building $package (once, then cached)" >&2
    (cd "$dir" && CGO_ENABLED=0 GOFLAGS="-buildvcs=false" GOBIN=$bin \
      go install -mod=readonly -trimpath -ldflags "-s -w $ldflags" "$package" >&2)
  done
  touch "$bin/.complete"
  echo "hack/tools/$module built in $((SECONDS - started)) s" >&2
fi
echo "$bin"
