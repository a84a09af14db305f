#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# toolchain-test.sh: on a machine that lacks something, make modules says in one line what, and the command that
# installs it; and so for a kernel for which the module would be wrong, and for what is not there or not read. Each case takes one thing away; nothing is fetched or
# installed.
set -uo pipefail
cd "$(dirname "$0")/.."
t=$(mktemp -d)
trap 'rm -rf "$t"' EXIT
passed=0 failed=0

expect() { # PATTERN VAR=VALUE... COMMAND...
	local pattern=$1 out
	shift
	out=$(env -i HOME="$t" PATH="$t/bin:/usr/bin:/bin" OVS_RS_CACHE="$t/cache" OVS_RS_OFFLINE=1 OVS_RS_NO_INSTALL=1 "$@" 2>&1 >/dev/null)
	if [ "$(printf '%s\n' "$out" | wc -l)" = 1 ] && [[ $out =~ $pattern ]]; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		printf 'wanted: %s\ngot:    %s\n' "$pattern" "$out"
	fi
}
program() { # NAME LINES...: a stand-in
	local f=$t/$1
	shift
	printf '#!/bin/sh\n' > "$f"
	printf '%s\n' "$@" >> "$f"
	chmod +x "$f"
}

mkdir -p "$t/bin" "$t/k/include/config" "$t/k/include/generated"
program none 'exit 1'
program old 'echo "release: 1.63.0"'
program bare 'case $1 in --print) echo /nowhere ;; *) echo "release: 1.99.0" ;; esac'
program bindgen 'echo "bindgen 0.60.1"'
expect 'no rustc; install .*rustup' OVS_RUSTC="$t/none" tools/toolchain.sh rust
expect 'rustc 1.63.0 is older than 1.85; install with: rustup' OVS_RUSTC="$t/old" tools/toolchain.sh rust
expect 'no sources of core for rustc 1.99.0; install with: rustup component add rust-src' OVS_RUSTC="$t/bare" tools/toolchain.sh rust
expect 'no (bindgen|libclang) >= .*; install with: (cargo|apt-get) install' OVS_BINDGEN="$t/none" tools/toolchain.sh bindgen
expect 'no (bindgen|libclang) >= .*; install with: (cargo|apt-get) install' OVS_BINDGEN="$t/bindgen" tools/toolchain.sh bindgen
expect 'no cargo >= 1.85; install with: rustup' OVS_CARGO="$t/none" tools/toolchain.sh cargo
expect 'no toolchain in /nowhere; tools/toolchain-bundle.sh unpack FILE /nowhere puts one there' OVS_TOOLCHAIN=/nowhere tools/toolchain.sh rust
expect 'no file /nowhere' tools/toolchain-bundle.sh unpack /nowhere "$t/toolchain"
echo x > "$t/bundle"
expect 'no .*/bundle.sha256; copy it from where make toolchain ran, or give the sum' tools/toolchain-bundle.sh unpack "$t/bundle" "$t/toolchain"
echo 0123 > "$t/bundle.sha256"
expect '/bundle is not what make toolchain made: its SHA-256 is not 0123; copy it again' tools/toolchain-bundle.sh unpack "$t/bundle" "$t/toolchain"
sha256sum < "$t/bundle" | cut -d' ' -f1 > "$t/bundle.sha256"
expect '/bundle is nothing that tar and gzip unpack; is it the file that make toolchain made' tools/toolchain-bundle.sh unpack "$t/bundle" "$t/toolchain"
# Nothing is left of it.
expect 'nothing there' sh -c 'for f in "$0".new "$0"; do [ ! -e "$f" ] || echo "$f"; done >&2; echo nothing there >&2' "$t/toolchain"
expect 'no kernel headers in /nowhere; name another directory with KDIR=' tools/build-modules.sh -d /nowhere
expect 'no kernel headers in /lib/modules/5.4.0-none/build; install with: apt-get install linux-headers-5.4.0-none, or' tools/build-modules.sh -d /lib/modules/5.4.0-none/build
expect 'make vm-test does not read CASE; it reads .*CASES' make -n vm-test CASE=load
expect 'make check does not read KVER; it reads no variables' make -n check KVER=6.12
expect 'KVER= names no kernel; there are' tools/build-modules.sh -k ''
expect 'no file /nowhere' tools/cargo.sh replay /nowhere
expect 'FLOWS= names no file' tools/cargo.sh replay ''
expect 'fuzz: SECONDS_EACH=abc is no number of seconds' tools/fuzz.sh abc
expect 'no headers of kernel 5.4.0-none; install with: apt-get install linux-headers-5.4.0-none' tools/build-modules.sh -k 5.4.0-none
touch "$t/k/Makefile"
expect 'is not prepared; run there: make modules_prepare' tools/build-modules.sh -d "$t/k"
echo '#define UTS_RELEASE "6.1.0-x"' > "$t/k/include/generated/utsrelease.h"
for option in X86_64 MODULES NET INET; do
	expect "kernel 6.1.0-x has no CONFIG_$option; rebuild" tools/build-modules.sh -d "$t/k"
	echo "CONFIG_$option=y" >> "$t/k/include/config/auto.conf"
done
good=$(cat "$t/k/include/config/auto.conf")
for option in PREEMPT_RT PREEMPT_RT_FULL CFI CFI_CLANG SLOB RANDSTRUCT GCC_PLUGIN_RANDSTRUCT; do
	printf '%s\n' "$good" "CONFIG_$option=y" > "$t/k/include/config/auto.conf"
	expect "kernel 6.1.0-x has CONFIG_$option: .*; rebuild it without" tools/build-modules.sh -d "$t/k"
done
# Preemptible RCU is wrong only where there are flavours of it: with one flavour the next thing is said.
printf '%s\n' "$good" CONFIG_PREEMPT_RCU=y > "$t/k/include/config/auto.conf"
mkdir -p "$t/k/include/linux" "$t/common/include/linux"
expect 'no /nowhere/cc, which CC= names' tools/build-modules.sh -d "$t/k" -c /nowhere/cc
echo '#define	call_rcu	call_rcu_sched' > "$t/common/include/linux/rcupdate.h"
echo "include $t/common/Makefile" > "$t/k/Makefile"
expect 'has CONFIG_PREEMPT_RCU: its call_rcu' tools/build-modules.sh -d "$t/k"
: > "$t/k/Makefile"
mv "$t/common/include/linux/rcupdate.h" "$t/k/include/linux"
expect 'has CONFIG_PREEMPT_RCU: its call_rcu' tools/build-modules.sh -d "$t/k"
printf '%s\n' "$good" > "$t/k/include/config/auto.conf"
expect 'no /nowhere/cc, which CC= names' tools/build-modules.sh -d "$t/k" -c /nowhere/cc
echo 'CC = $(CROSS_COMPILE)gcc-77' > "$t/k/.kernelvariables"
expect 'missing gcc-77; install with: apt-get install gcc-77' tools/build-modules.sh -d "$t/k"
# A kernel that a newer compiler built, and this machine's does not know its flags: 99 is in no Debian.
rm "$t/k/.kernelvariables"
echo 'CONFIG_GCC_VERSION=990100' >> "$t/k/include/config/auto.conf"
expect 'missing gcc-99; install with: apt-get install gcc-99' tools/build-modules.sh -d "$t/k"
# Lists of packages without the kernel. The first call makes them, out of nothing.
program bin/apt-get 'for o; do case $o in Dir::State::lists=*) : > "${o#*=}/none_Packages" ;; esac; done'
env -i HOME="$t" PATH="$t/bin:/usr/bin:/bin" OVS_RS_CACHE="$t/cache" tools/fetch-kernel.sh 5.4.0-none >/dev/null 2>&1
expect 'no headers of kernel 5.4.0-none' tools/build-modules.sh -k 5.4.0-none
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
