#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# xen.sh KERNELS MODULE [CASE...]
#
# make xen: makes sure of what tests/xen needs, and runs it for each kernel. All of it is tried, whatever fails.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/lib.sh
export PATH=$PATH:/usr/sbin:/sbin
kernels=$1 module=${2:-ours}
shift 2
case $module in ours | stock) ;; *) die "no MODULE=$module; there are ours and stock" ;; esac
[ -n "${kernels//,/}" ] || die "KERNELS= names no kernel; there are 6.12, 6.1, or a release such as 6.1.0-56-amd64"
need python3:python3 qemu-system-x86_64:qemu-system-x86 modinfo:kmod depmod:kmod mkfs.ext4:e2fsprogs xz:xz-utils tar:tar gzip:gzip \
	readelf:binutils cc:gcc make:make git:git
[ "$module" = stock ] || need rpmbuild:rpm find-debuginfo:debugedit file:file eu-strip:elfutils as:binutils unshare:util-linux
tests/xen/run --list "$@" >/dev/null # Are there such cases? Building takes minutes.
failed=0
for k in ${kernels//,/ }; do tests/xen/run --kernel "$k" --module "$module" "$@" || failed=1; done
exit $failed
