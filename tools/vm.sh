#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# vm.sh demo KERNEL | ovn-demo KERNEL | test KERNELS [OPTION | CASE...] | system KERNELS [MODULE [OPTION...]] | bench KERNELS [OPTION...]
#
# What runs in VMs: builds the modules, makes sure of QEMU and the like, and hands over to tests/system. For demo and test what is
# built with features denied (OVS_WITHOUT) or in a mode that is asked for (OVS_MODE) goes to a directory of its own, as do test's logs.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/lib.sh
export PATH=$PATH:/usr/sbin:/sbin
need python3:python3 qemu-system-x86_64:qemu-system-x86 modinfo:kmod mkfs.ext4:e2fsprogs xz:xz-utils
what=$1
shift
built=out${OVS_MODE:+/mode-$OVS_MODE}${OVS_WITHOUT:+/without}
case $what in
demo)
	tools/build-modules.sh -o "$built" -k "$1"
	exec tests/system/demo --kernel "$1" --built "$built" ;;
ovn-demo)
	tools/build-modules.sh -k "$1"
	exec tests/system/ovn-demo --kernel "$1" ;;
test)
	kernels=$1
	shift
	kernels=${kernels// /,}
	[ -n "$kernels" ] || die "KERNELS= names no kernel; there are 5.10, 6.1, 6.12, 7.3, 7.3-rust and um"
	tests/system/run --list "$@" >/dev/null # Are there such cases? Building takes minutes.
	for k in ${kernels//,/ }; do
		case $k in um | um-*) ;; # the module of make kunit, which tests/system/run builds
		*) tools/build-modules.sh -o "$built" -k "$k" ;; esac
	done
	exec tests/system/run --kernel "$kernels" --built "$built" --out "$built/vm" "$@" ;;
system)
	kernels=$1 module=${2:-both}
	shift; shift || :
	case $module in stock | ours | both | needed) ;; *) die "no MODULE=$module; there are stock, ours, both and needed" ;; esac
	need pip3:python3-pip unshare:util-linux
	tests/system/suites/run --list "$@" >/dev/null # Are there such suites and tests?
	[ "$module" = stock ] || for k in ${kernels//,/ }; do tools/build-modules.sh -k "$k"; done
	exec tests/system/suites/run --kernel "$kernels" --module "$module" "$@" ;;
bench)
	kernels=${1// /,}
	shift
	for k in ${kernels//,/ }; do
		tools/build-modules.sh -k "$k"
		# In both modes, where a kernel allows it.
		[ "$k" != 7.3-rust ] || OVS_MODE=b tools/build-modules.sh -o out/mode-b -k "$k"
	done
	exec tests/bench/run --kernel "$kernels" "$@" ;;
*) die "usage: vm.sh demo|ovn-demo|test|system|bench" ;;
esac
