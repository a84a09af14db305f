#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# deb.sh build [OUT] | check [CASE...] | full [CASE...]
#
# The Debian package openvswitch-modules-dkms (debian/). `build` makes OUT/openvswitch-modules-dkms_VERSION_all.deb (out/deb) out of what
# make dist makes, without network. `check` (tests/deb) looks at the package, needs no root and takes less than half a minute; `full` installs
# it in a Debian 12 of its own, builds it there for several kernels, removes it, and boots.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/lib.sh
export PATH=$PATH:/usr/sbin:/sbin

tools_of_debian() {
	need dpkg-buildpackage:dpkg-dev dh:debhelper dh_dkms:dh-dkms dpkg-deb:dpkg fakeroot:fakeroot make:make git:git tar:tar gzip:gzip
}

build() { # OUT
	local out=$1 version tree
	version=$(cat VERSION)
	tools_of_debian
	mkdir -p "$out" 2>/dev/null && [ -w "$out" ] || die "cannot write to $out"
	t=$(mktemp -d "$(realpath "$out")/deb.XXXXXX") # not local: it is removed when all has ended
	trap 'rm -rf "$t"' EXIT
	tools/dist.sh "$t" debian/bindgen/Cargo.lock
	tar -xzf "$t/openvswitch-$version.tar.gz" -C "$t"
	tree=$t/openvswitch-$version
	# -d: dh-dkms and debhelper have been looked for by what they are, above.
	(cd "$tree" && dpkg-buildpackage -d -b -us -uc -tc) > "$t/log" 2>&1 || { tail -n 20 "$t/log" >&2; die "dpkg-buildpackage failed"; }
	mv "$t/openvswitch-modules-dkms_${version}_all.deb" "$t"/*.changes "$t"/*.buildinfo "$out/"
	say "made $out/openvswitch-modules-dkms_${version}_all.deb"
}

what=${1:-}
[ $# = 0 ] || shift
case $what in
build) build "${1:-out/deb}" ;;
check)
	tools_of_debian
	need lintian:lintian depmod:kmod python3:python3
	exec tests/deb/run "$@" ;;
full)
	tools_of_debian
	need lintian:lintian depmod:kmod debootstrap:debootstrap unshare:util-linux mkfs.ext4:e2fsprogs qemu-system-x86_64:qemu-system-x86 python3:python3
	[ "$(id -u)" = 0 ] || die "make deb-test makes a Debian of its own, with many users' files: run it as root"
	exec tests/deb/run --full "$@" ;;
*) die "usage: deb.sh build|check|full" ;;
esac
