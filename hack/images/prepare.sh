#!/bin/sh
# Prepares a Debian root file system before an image's packages are installed into it:
#
#   prepare.sh IMAGE ROOT
#
# adds the users of hack/images/IMAGE/passwd (so that their numbers never depend on the order in which
# packages are installed) and copies hack/images/IMAGE/files over it. Debian's password tools are not there
# yet at this moment, hence the plain appends. Packages keep users and files that already exist.
set -eu

image=$1
root=$2
here=$(cd "$(dirname "$0")/$image" && pwd)

while IFS=: read -r name _ uid gid gecos home shell; do
  echo "$name:x:$uid:$gid:$gecos:$home:$shell" >>"$root/etc/passwd"
  echo "$name:x:$gid:" >>"$root/etc/group"
  echo "$name:!:1::::::" >>"$root/etc/shadow"
done <"$here/passwd"

if [ -d "$here/files" ]; then
  (cd "$here/files" && find . -type d) | while read -r path; do
    install -d -m 0755 "$root/$path"
  done
  (cd "$here/files" && find . -type f) | while read -r path; do
    install -m 0644 "$here/files/$path" "$root/$path"
  done
fi
