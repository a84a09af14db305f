#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# build-modules.sh -o OUT -k KVER -d KDIR -O OPT
#
# Builds openvswitch.ko for one kernel in OUT/<its name>/, a directory of symbolic links to the sources, so that
# several kernels do not disturb one another and the source tree stays clean.
set -euo pipefail
cd "$(dirname "$0")/.."
src=$PWD out=out kver=6.1 kdir='' opt=3
while getopts o:k:d:O: o; do
	case $o in
	o) out=$OPTARG ;; k) kver=$OPTARG ;; d) kdir=$OPTARG ;; O) opt=$OPTARG ;;
	*) exit 2 ;;
	esac
done

[ -n "$kdir" ] || kdir=/lib/modules/6.1.0-56-cloud-amd64/build
release=$(sed -n 's/^#define UTS_RELEASE "\(.*\)"/\1/p' "$kdir/include/generated/utsrelease.h")
mkdir -p "$out/$release"
m=$(realpath "$out/$release")

# The farm of links: everything that Kbuild and the C compiler read.
(cd "$src" && find Kbuild kmod rust -name '*.[ch]' -o -name '*.mk' -o -name Kbuild \
	-o -name features.list -o -name bindgen_parameters) | while read -r f; do
	mkdir -p "$m/$(dirname "$f")"
	[ "$m/$f" -ef "$src/$f" ] || ln -sfn "$src/$f" "$m/$f"
done
find "$m" -xtype l -delete

export OVS_SRC=$src OVS_OPT=$opt
export OVS_RUSTC=rustc OVS_BINDGEN=bindgen OVS_RUSTC_VERSION=1.95.0 LIBCLANG_PATH=/usr/lib/llvm-19/lib
export OVS_CORE_SRC=${OVS_RS_CACHE:-$HOME/.cache/openvswitch-rs}/rust-src/1.95.0/usr/src/rustc-1.95.0/library
make -C "$kdir" M="$m" --no-print-directory -j"$(nproc)" modules
echo "built $out/$release/openvswitch.ko"
