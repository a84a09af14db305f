#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# build-modules.sh [-o OUT] [-k KVER] [-d KDIR] [-O LEVEL]
#
# Builds openvswitch.ko for one kernel in OUT/<its release>/, a directory of symbolic links to the sources, so that
# several kernels do not disturb one another and the source tree stays clean.
#
#   -k 6.1|6.12    Debian's kernels, their headers fetched into the cache; or the release of an installed kernel
#   -d KDIR        any directory of kernel headers
#   -O LEVEL       rustc's opt-level
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/lib.sh
src=$PWD out=out kver=6.1 kdir='' opt=3
while getopts o:k:d:O: o; do
	case $o in
	o) out=$OPTARG ;; k) kver=$OPTARG ;; d) kdir=$OPTARG ;; O) opt=$OPTARG ;;
	*) exit 2 ;;
	esac
done

# ---- the kernel ----------------------------------------------------------------------------------------
if [ -z "$kdir" ]; then
	case $kver in
	6.1 | 6.12) kdir=$(tools/fetch-kernel.sh "$kver") ;;
	*)
		kdir=/lib/modules/$kver/build
		[ -e "$kdir/Makefile" ] || kdir=$(tools/fetch-kernel.sh "$kver") ;;
	esac
else
	kver=''
fi
[ -e "$kdir/Makefile" ] || die "no kernel headers in $kdir; install with: apt-get install linux-headers-$(uname -r)"
release=$(sed -n 's/^#define UTS_RELEASE "\(.*\)"/\1/p' "$kdir/include/generated/utsrelease.h" 2>/dev/null || :)
[ -n "$release" ] || die "$kdir is not prepared; run there: make modules_prepare"
conf=$kdir/include/config/auto.conf
for option in X86_64 MODULES NET INET; do
	grep -qs "^CONFIG_$option=y" "$conf" ||
		die "kernel $release has no CONFIG_$option; rebuild it with this option, or name another one with KDIR="
done
cc=$(sed -n 's/^CC .*CROSS_COMPILE)\(gcc-[0-9]*\)$/\1/p' "$kdir/.kernelvariables" 2>/dev/null || :)
need make:make "${cc:-gcc}:${cc:-gcc}" ld:binutils
for tool in "$kdir"/tools/objtool/objtool "$kdir"/scripts/mod/modpost; do
	[ ! -e "$tool" ] || ! ldd "$tool" 2>/dev/null | grep -q 'libelf.so.1 => not found' ||
		need /usr/lib/x86_64-linux-gnu/libelf.so.1:libelf1
done

# ---- the compilers ---------------------------------------------------------------------------------------
assignments=$(tools/toolchain.sh rust && tools/toolchain.sh bindgen)
eval "$assignments"

# ---- the farm of links: all that Kbuild and the C compiler read --------------------------------------------
mkdir -p "$out/$release"
m=$(realpath "$out/$release")
find Kbuild kmod rust -name '*.[ch]' -o -name '*.mk' -o -name Kbuild -o -name features.list -o \
	-name bindgen_parameters | while read -r f; do
	[ "$m/$f" -ef "$src/$f" ] || { mkdir -p "$m/$(dirname "$f")" && ln -sfn "$src/$f" "$m/$f"; }
done
find "$m" -xtype l -delete

# ---- the module -----------------------------------------------------------------------------------------------
# No debugging information and so no BTF: Rust has none to make it of, and it would hold the paths of the build.
export OVS_SRC=$src OVS_OPT=$opt
say "building for $release with rustc $OVS_RUSTC_VERSION"
# The kernel's make must not see our variables: O means another thing there.
env -u MAKEFLAGS -u MFLAGS make -C "$kdir" M="$m" --no-print-directory -j"$(nproc)" CONFIG_DEBUG_INFO= CONFIG_DEBUG_INFO_BTF_MODULES= modules 2>&1 |
	sed -u "s|$m/||g" | tee "$m/build.log"
case $kver in 6.1 | 6.12) ln -sfn "$release" "$out/$kver" ;; esac
tools/check-object.sh "$out/$release"
say "built $out/$release/openvswitch.ko"
