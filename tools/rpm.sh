#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# rpm.sh check|full [OPTION...]
#
# The RPMs of xenserver/ (tests/rpm): `check` compiles nothing and takes less than a minute; `full` builds them for 6.1 and 6.12 as well,
# without network, and with OVS's own sources.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/lib.sh
export PATH=$PATH:/usr/sbin:/sbin
need rpmbuild:rpm find-debuginfo:debugedit file:file eu-strip:elfutils depmod:kmod as:binutils cc:gcc make:make python3:python3 \
	git:git tar:tar gzip:gzip unshare:util-linux systemctl:systemd
what=${1:-}
[ $# = 0 ] || shift
case $what in
check) exec tests/rpm/run "$@" ;;
full)
	need openssl:openssl chroot:coreutils autoconf:autoconf automake:automake libtoolize:libtool \
		pkg-config:pkg-config /usr/include/openssl/ssl.h:libssl-dev
	exec tests/rpm/run --full "$@" ;;
*) die "usage: rpm.sh check|full" ;;
esac
