# Functions that the scripts in hack/ share. To be sourced, from the root of the repository.
# shellcheck shell=bash

# section TEXT prints a heading that is easy to find in a long log.
section() { printf '\n=== %s\n' "$*"; }

# need_programs PROGRAM:PACKAGE... installs the Debian packages of missing programs when it may, and otherwise
# names them.
need_programs() {
  local pair missing=()
  for pair in "$@"; do
    command -v "${pair%%:*}" >/dev/null || missing+=("${pair#*:}")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing ${missing[*]}" >&2
    apt-get update -qq >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
  else
    echo "please install: ${missing[*]}" >&2
    return 1
  fi
}

# counted MODULE-DIR GO-TEST-ARGUMENT... runs go test there and prints what was executed. With CLOSING_LINES set,
# the closing lines are appended to that file too. TESTSUM_ARGS goes to hack/testsum.
counted() {
  local dir=$1; shift
  testsum=${testsum:-$(build_testsum)}
  # shellcheck disable=SC2086 # TESTSUM_ARGS is a list of arguments.
  go -C "$dir" test -json "$@" | "$testsum" -closing "${CLOSING_LINES:-}" ${TESTSUM_ARGS:-}
}

build_testsum() {
  local bin
  bin=$(cache_dir bin)
  go build -o "$bin/testsum" ./hack/testsum
  echo "$bin/testsum"
}

# cache_dir NAME makes and prints a folder of the cache.
cache_dir() {
  local dir=${FREEHOLD_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/freehold}/$1
  mkdir -p "$dir"
  echo "$dir"
}

# unpack_images unpacks the root file systems whose programs tests and benchmarks run, as root, and exports where they are.
# The programs run on this machine's kernel and see its files, with the libraries of their own image.
unpack_images() {
  [ "$(id -u)" = 0 ] || return 0
  need_programs mmdebstrap:mmdebstrap
  FREEHOLD_POSTGRES_ROOT=${FREEHOLD_POSTGRES_ROOT:-$(go -C hack/devcluster run ./images/cmd/rootfs postgres)}
  FREEHOLD_EDGE_ROOT=${FREEHOLD_EDGE_ROOT:-$(go -C hack/devcluster run ./images/cmd/rootfs edge)}
  FREEHOLD_HAPROXY=${FREEHOLD_HAPROXY:-$(wrapper "$FREEHOLD_EDGE_ROOT" /usr/sbin/haproxy)}
  export FREEHOLD_POSTGRES_ROOT FREEHOLD_EDGE_ROOT FREEHOLD_HAPROXY
}

# wrapper ROOT PROGRAM makes a script that runs a program of an unpacked image outside of it, and prints its path.
wrapper() {
  local root=$1 program=$2 libraries loader script
  libraries=$(uname -m)-linux-gnu
  loader=$(find "$root"/lib*/ -maxdepth 1 -name 'ld-linux-*.so.*' -print -quit)
  script=$(cache_dir bin)/$(basename "$program")
  cat >"$script.new" <<SCRIPT
#!/bin/sh
exec "$loader" --library-path "$root/usr/lib/$libraries:$root/lib/$libraries" "$root$program" "\$@"
SCRIPT
  chmod +x "$script.new"
  mv "$script.new" "$script"
  echo "$script"
}
