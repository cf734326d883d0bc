#!/bin/sh
# Finishes a Debian root file system after an image's packages were installed into it:
#
#   finish.sh ROOT
#
# removes what must not be shared between installations (Debian's self-signed key), what differs from build
# to build (logs, caches), what names the machine that built it (mirrors, proxies), and the setuid bits that
# no container of ours may use.
set -eu

root=$1

rm -f "$root/etc/ssl/private/ssl-cert-snakeoil.key" "$root/etc/ssl/certs/ssl-cert-snakeoil.pem"
find "$root/etc/ssl/certs" -xtype l -delete
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/* "$root"/var/cache/debconf/*-old \
  "$root"/var/cache/ldconfig/* "$root"/var/lib/dpkg/*-old "$root"/etc/*- "$root"/tmp/* "$root"/var/tmp/*
find "$root/var/log" -type f -delete
: >"$root/etc/machine-id"

rm -f "$root/etc/apt/apt.conf.d/99mmdebstrap" "$root/etc/dpkg/dpkg.cfg.d/99mmdebstrap" "$root"/etc/apt/sources.list.d/*
cat >"$root/etc/apt/sources.list" <<'LIST'
deb http://deb.debian.org/debian trixie main
deb http://deb.debian.org/debian trixie-updates main
deb http://deb.debian.org/debian-security trixie-security main
LIST

find "$root" -xdev -type f -perm /6000 -exec chmod a-s {} +
