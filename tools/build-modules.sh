#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# build-modules.sh [-o OUT] [-k KVER] [-d KDIR] [-O LEVEL] [-c CC]
#
# Builds openvswitch.ko for one kernel in OUT/<its release>/, a directory of symbolic links to the sources, so that
# several kernels do not disturb one another and the source tree stays clean.
#
#   -k KVER      5.10, 6.1, 6.12 or 7.3: Debian's cloud kernels, their headers fetched into the cache (fetch-kernel.sh); 7.3-rust: ours,
#                with crates of its own (kunit-kernel.sh); or the release of an installed kernel, or of any kernel of Debian 11 to 13
#   -d KDIR      any directory of kernel headers
#   -O LEVEL     rustc's opt-level
#   -c CC        the C compiler; else the one that built the kernel, from this machine or fetched into the cache, else a newer one
#   OVS_STRICT   clippy, and no warning of rustc's or clippy's; in mode A the kernel's own set of both
#   OVS_MODE     b: with our `kernel` crate, although the kernel has one (rust/mode.mk); a: refuses where it has none
#   OVS_KUNIT    y: with the KUnit suites (docs/kunit.md) in mode B, too; a kernel's own crates have them wherever it has KUnit
#   OVS_WITHOUT  features to do without, although the kernel has them: names, or all (tools/feature-test.sh)
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/lib.sh
src=$PWD out=out kver=6.1 kdir='' opt=3 cc=''
OVS_WITHOUT=${OVS_WITHOUT:-} OVS_MODE=${OVS_MODE:-} OVS_KUNIT=${OVS_KUNIT:-}
while getopts o:k:d:O:c: o; do
	case $o in
	o) out=$OPTARG ;; k) kver=$OPTARG ;; d) kdir=$OPTARG ;; O) opt=$OPTARG ;; c) cc=$OPTARG ;;
	*) exit 2 ;;
	esac
done

# ---- the kernel ----------------------------------------------------------------------------------------
# OVS_EXPECT: the kernel of features.expected whose answers the probes must give. Only Debian's newest are held to them.
export OVS_EXPECT=''
if [ -n "$kdir" ]; then
	kver=''
elif [ -z "$kver" ]; then
	die "KVER= names no kernel; there are 5.10, 6.1, 6.12, 7.3, 7.3-rust, or a release such as 6.1.0-56-amd64"
elif [ "$kver" = 7.3-rust ]; then
	kdir=$(tools/kunit-kernel.sh x86_64)
elif [ -e "/lib/modules/$kver/build/Makefile" ]; then
	kdir=/lib/modules/$kver/build
else
	kdir=$(tools/fetch-kernel.sh "$kver")
	series=$(sed -E 's|.*linux-headers-([0-9]+\.[0-9]+)\..*|\1|' <<<"$kdir")
	! grep -qE "^kernel .*\<${series/./\\.}\>" rust/helpers/features.expected || OVS_EXPECT=$series
fi
wanted=$(sed -nE 's|^/lib/modules/([^/]+)/build/*$|\1|p' <<<"$kdir")
[ -e "$kdir/Makefile" ] || die "no kernel headers in $kdir; ${wanted:+install with: apt-get install linux-headers-$wanted, or }name another directory with KDIR="
release=$(sed -n 's/^#define UTS_RELEASE "\(.*\)"/\1/p' "$kdir/include/generated/utsrelease.h" 2>/dev/null || :)
[ -n "$release" ] || die "$kdir is not prepared; run there: make modules_prepare"
conf=$kdir/include/config/auto.conf
for option in X86_64 MODULES NET INET; do
	grep -qs "^CONFIG_$option=y" "$conf" ||
		die "kernel $release has no CONFIG_$option; rebuild it with this option, or name another one with KDIR="
done

# What would be built, and be wrong.
refuse() { die "kernel $release has CONFIG_$1: $2; rebuild it without, or name another one with KDIR="; }
while read -r option why; do
	! grep -qs "^CONFIG_$option=y" "$conf" || refuse "$option" "$why"
done <<-'END'
	PREEMPT_RT another task may run on the CPU inside a BH-disabled section, which the per-CPU data rely on
	PREEMPT_RT_FULL another task may run on the CPU inside a BH-disabled section, which the per-CPU data rely on
	CFI the callbacks in Rust bear no type hashes, so that the first call would panic
	CFI_CLANG the callbacks in Rust bear no type hashes, so that the first call would panic
	SLOB its kfree() cannot free an object of a slab cache
	RANDSTRUCT the fields of its structures are shuffled, which bindgen does not know
	GCC_PLUGIN_RANDSTRUCT the fields of its structures are shuffled, which bindgen does not know
END
# Where call_rcu() is another name for call_rcu_sched(), its flavour waits for BH-disabled sections; with PREEMPT_RCU it is one of
# its own, which does not. Debian keeps such headers in a directory that the Makefile includes.
if grep -qs '^CONFIG_PREEMPT_RCU=y' "$conf"; then
	common=$(sed -n 's|^include \(/.*\)/Makefile$|\1|p' "$kdir/Makefile")
	! grep -qsE '^#define[[:space:]]+call_rcu[[:space:]]+call_rcu_sched' \
		"$kdir/include/linux/rcupdate.h" "$kdir/source/include/linux/rcupdate.h" "$common/include/linux/rcupdate.h" ||
		refuse PREEMPT_RCU "its call_rcu() does not wait for BH-disabled sections"
fi

# A kernel with crates of its own, for Rust modules (rust/mode-a.mk): its compiler and ours must be the same, to the letter.
crates=''
[ ! -e "$kdir/rust/libkernel.rmeta" ] || ! grep -qs '^CONFIG_RUST=y' "$conf" || crates=y
case $OVS_MODE$crates in
'' | y | ay) ;;
b | by) crates='' ;;
a) die "kernel $release has no crates to build against (CONFIG_RUST=y, rust/libkernel.rmeta): MODE=a cannot be" ;;
*) die "no MODE=$OVS_MODE; there are a, against the kernel's own crates, and b, with all that is needed brought along" ;;
esac

# ---- the C compiler ----------------------------------------------------------------------------------------
need make:make ld:binutils
major() { { "$1" -dumpversion 2>/dev/null || :; } | sed -n 's/^\([0-9]*\).*/\1/p'; }
value() { sed -n "s/^CONFIG_$1=\"\{0,1\}\([^\"]*\).*/\1/p" "$conf"; }
tools_of_kernel=()
if [ -n "$cc" ]; then
	command -v "$cc" >/dev/null 2>&1 || die "no $cc, which CC= names"
	tools_of_kernel=("CC=$cc")
else
	# Debian's headers name it; other trees say which version built the kernel, or nothing.
	cc=$(sed -n 's/^CC .*CROSS_COMPILE)\(gcc-[0-9]*\)$/\1/p' "$kdir/.kernelvariables" 2>/dev/null || :)
	built=${cc#gcc-}
	[ -n "$built" ] || { built=$(value GCC_VERSION); built=$((${built:-0} / 10000)); }
	if grep -qs '^CONFIG_CC_IS_CLANG=y' "$conf"; then
		assignments=$(tools/toolchain.sh clang)
		eval "$assignments"
		cc=$OVS_CLANG
		tools_of_kernel=("CC=$cc")
	fi
	here=$(major "${cc:-gcc}")
	if [ "${here:-0}" -lt "$built" ] || { [ -n "$cc" ] && [ -z "$here" ]; }; then
		if assignments=$(tools/toolchain.sh "gcc-$built"); then
			eval "$assignments"
			cc=$(value CC_VERSION_TEXT)
			cc=$OVS_GCC_BIN/${cc%% *}
			[ -x "$cc" ] || cc=$OVS_GCC_BIN/gcc-$built
			tools_of_kernel=("CC=$cc")
			for tool in ld ar nm objcopy objdump readelf strip; do tools_of_kernel+=("${tool^^}=$OVS_GCC_BIN/$tool"); done
		else
			here=$(major gcc)
			[ "${here:-0}" -ge "$built" ] || need "gcc-$built:gcc-$built"
			if command -v "gcc-$built" >/dev/null 2>&1; then cc=gcc-$built; else cc=gcc; fi
			tools_of_kernel=("CC=$cc")
		fi
	fi
	here=$(major "${cc:-gcc}")
	need "${cc:-gcc}:${cc:-gcc}"
	[ "$built" = 0 ] || [ "$here" = "$built" ] ||
		say "gcc $built built kernel $release; taking ${cc:-gcc} $here (CC= names another)"
fi
for tool in "$kdir"/tools/objtool/objtool "$kdir"/scripts/mod/modpost; do
	[ ! -e "$tool" ] || ! ldd "$tool" 2>/dev/null | grep -q 'libelf.so.1 => not found' ||
		need /usr/lib/x86_64-linux-gnu/libelf.so.1:libelf1
done

tools/feature-test.sh --without rust/helpers/features.list

# ---- the compilers ---------------------------------------------------------------------------------------
# cargo's half of the toolchain has the std of the host, for the macro of mode B's suites.
assignments=$(tools/toolchain.sh rust && tools/toolchain.sh bindgen && { [ -z "$OVS_KUNIT" ] || [ -n "$crates" ] || tools/toolchain.sh cargo; })
eval "$assignments"
if [ -n "$crates" ]; then
	text=$(sed -nE 's/^CONFIG_RUSTC_VERSION_TEXT="?([^"]*).*/\1/p' "$conf")
	[ "$("$OVS_RUSTC" --version)" = "$text" ] ||
		die "$text built the crates of kernel $release, and $OVS_RUSTC is another one: OVS_RUSTC= names the first"
	# kunit/run has a driver of its own in between.
	tools_of_kernel+=("RUSTC=${OVS_RUSTC_DRIVER:-$OVS_RUSTC}" "BINDGEN=$OVS_BINDGEN")
	export OVS_DRIVEN_RUSTC=$OVS_RUSTC
	# What mode-b.mk makes of it by itself.
	[ -z "${OVS_STRICT:-}" ] || tools_of_kernel+=(CLIPPY=1 "CLIPPY_DRIVER=$(dirname "$(command -v "$OVS_RUSTC")")/clippy-driver" KRUSTFLAGS=-Dwarnings)
fi
! grep -qs '^CONFIG_UML=y' "$conf" || tools_of_kernel+=(ARCH=um)

# ---- the farm of links: all that Kbuild and the compilers read ---------------------------------------------
mkdir -p "$out/$release" 2>/dev/null && [ -w "$out/$release" ] || die "cannot write to $out; O= names another directory"
m=$(realpath "$out/$release")
# Kbuild takes a blank for the end of a name.
for path in "$src" "$m" "$(realpath "$kdir")" "$OVS_RS_CACHE"; do
	[[ $path != *[[:space:]]* ]] || die "a kernel module cannot be built where a path has blanks: $path; move it, or name another one with O=, KDIR=, OVS_RS_CACHE="
done
suites=() # What a kernel with Rust is tested by; Debian's package has none.
for d in kunit tests/vectors; do [ ! -d "$d" ] || suites+=("$d"); done
find Kbuild kmod rust datapath "${suites[@]}" -name '*.rs' -o -name '*.[ch]' -o -name '*.mk' -o -name Kbuild -o -name features.list -o -name features.expected -o -name keys.txt -o \
	-name bindgen_parameters | while read -r f; do
	[ "$m/$f" -ef "$src/$f" ] || { mkdir -p "$m/$(dirname "$f")" && ln -sfn "$src/$f" "$m/$f"; }
done
find "$m" -xtype l -delete

# ---- the module -----------------------------------------------------------------------------------------------
# No debugging information and so no BTF: Rust has none to make it of, and it would hold the paths of the build.
export OVS_SRC=$src OVS_OPT=$opt OVS_WITHOUT OVS_MODE OVS_KUNIT
say "building for $release with rustc $OVS_RUSTC_VERSION${crates:+ and the crates of the kernel}"
# The kernel's make must not see our variables: O means another thing there.
env -u MAKEFLAGS -u MFLAGS make -C "$kdir" M="$m" --no-print-directory -j"$(nproc)" "${tools_of_kernel[@]}" CONFIG_DEBUG_INFO= CONFIG_DEBUG_INFO_BTF_MODULES= modules 2>&1 |
	sed -u "s|$m/||g" | tee "$m/build.log"
case $kver in 5.10 | 6.1 | 6.12 | 7.3 | 7.3-rust) ln -sfn "$release" "$out/$kver" ;; esac
[ -z "${OVS_PROBE:-}" ] || exit 0
# What is refused is linked anew the next time: its warnings are in this log alone.
tools/check-object.sh "$out/$release" ${crates:+"$kdir/Module.symvers"} || { rm -f "$m"/openvswitch.{ko,o} "$m/kmod/main.o"; exit 1; }
say "built $out/$release/openvswitch.ko"
