#!/bin/sh
# Turns the Debian trixie container it runs in into an image; the Dockerfile calls it:
#
#   install.sh IMAGE
#
# The local cluster's builder (hack/devcluster/images) does the same with mmdebstrap, from the same files.
set -eu

image=$1
here=$(cd "$(dirname "$0")" && pwd)

sh "$here/prepare.sh" "$image" /
export DEBIAN_FRONTEND=noninteractive
apt-get update
apt-get -y --no-install-recommends upgrade
sed -e 's/#.*//' "$here/$image/packages.txt" |
  xargs apt-get -y --no-install-recommends -o Dpkg::Options::=--force-confold install
sh "$here/finish.sh" /
