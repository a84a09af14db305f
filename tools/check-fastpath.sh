#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# check-fastpath.sh DIR | --self-test
#
# Proves in the object file what the packet path may not do: from every function where a packet enters
# (tools/fastpath-symbols) it follows the calls and fails on a panic, an indirect branch or an allocation.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"

walk() { # OBJECT RULES STRICT
	local names
	names=$(mktemp)
	nm "$1" | awk '{ print $NF }' | grep '^_R' | sort -u > "$names.m" || :
	paste -d' ' "$names.m" <(c++filt < "$names.m" | sed -E 's/\[[0-9a-f]{8,}\]//g') > "$names"
	local rc=0
	objdump -dr --no-show-raw-insn "$1" | awk -v strict="$3" -f "$here/check-fastpath.awk" "$2" "$names" /dev/stdin || rc=$?
	rm -f "$names" "$names.m"
	return $rc
}

self_test() {
	local t n=0
	t=$(mktemp -d)
	trap 'rm -rf "$t"' RETURN
	printf 'root ^enter$\nstop ^slow$\nallow indirect ^trusted$ .\n' > "$t/rules"
	run() { # 0|1 TITLE ASSEMBLER...
		local want=$1 title=$2 rc=0
		shift 2
		n=$((n + 1))
		printf '%s\n' "$@" | as -o "$t/o" -
		walk "$t/o" "$t/rules" 1 > "$t/log" || rc=1
		[ $rc = "$want" ] || { cat "$t/log"; die "check-fastpath: self-test: $title"; }
	}
	local p=core_panicking_failed
	run 0 "good code is refused" '.text' 'enter: call inner' 'call memcpy' 'ret' 'inner: call slow' 'ret' 'slow: call kmalloc' 'call *%rax' 'ret'
	run 1 "a panic passes" '.text' 'enter: call inner' 'ret' "inner: call $p" 'ret'
	run 1 "a panic by a conditional jump passes" '.text' 'enter: jne cold' 'ret' "cold: jmp $p"
	run 1 "a panic in another section passes" '.text' 'enter: call cold' 'ret' '.section .text.unlikely,"ax"' '.globl cold' "cold: call $p" 'ret'
	run 1 "an indirect call passes" '.text' 'enter: call *%rax' 'ret'
	run 1 "an indirect call through memory passes" '.text' 'enter: call *8(%rax)' 'ret'
	run 1 "an indirect jump passes" '.text' 'enter: notrack jmp *%rax'
	run 1 "a retpoline passes" '.text' 'enter: call __x86_indirect_thunk_r11' 'ret'
	run 1 "a retpoline in a tail call passes" '.text' 'enter: jmp __x86_indirect_thunk_rax'
	run 1 "an allocation passes" '.text' 'enter: call inner' 'ret' 'inner: jmp rust_helper_krealloc'
	run 0 "what is allowed is refused" '.text' 'enter: call trusted' 'ret' 'trusted: call *%rax' 'ret'
	run 1 "no root passes" '.text' 'other: ret'
	echo "check-fastpath: self-test: $n cases"
}

if [ "$1" = --self-test ]; then
	self_test
else
	strict=''
	[ ! -e "$here/../kmod/rx.rs" ] || strict=1
	walk "$1/kmod/main.o" "$here/fastpath-symbols" "$strict" || die "the packet path of $1 is not clean"
fi
