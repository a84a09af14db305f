#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# check-object.sh DIR [SYMVERS] | --self-test
#
# What must hold of the openvswitch.ko in DIR, a directory of build-modules.sh:
#   no warning of objtool, modpost, the assembler, the linker or the C compiler in build.log (rustc's: OVS_STRICT=1);
#   no relocation through the GOT: the module loader knows none;
#   no section .modinfo twice, no writable and executable section;
#   no second ud2 after a ud2, of which objtool of older kernels warns as an instruction that nothing reaches;
#   no symbol exported, and no global symbol in the Rust half that C or the kernel does not refer to;
#   no suite of KUnit's and nothing that only suites need, unless OVS_KUNIT asks for them.
#
# With SYMVERS, the Module.symvers of a kernel whose own crates the module was built against (rust/mode-a.mk), generic functions
# are global symbols, which they are not after the fat LTO of mode B. There, instead:
#   no global symbol of our C has a name that the kernel exports: what its crates inline here would call ours, without a word.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"

problem() { printf '  %s\n' "$*"; bad=$((bad + 1)); }

# Global symbols the Rust object may define: named by the kernel itself.
entries='^(init_module|cleanup_module)$'

check() { # DIR [SYMVERS]
	local dir=$1 symvers=${2:-} ko=$1/openvswitch.ko main=$1/kmod/main.o names symbol bad=0
	while read -r line; do problem "build.log: $line"; done < <(
		grep -iE 'warning|error:' "$dir/build.log" | grep -v '^warning: ' || :)
	while read -r line; do problem "relocation through the GOT: $line"; done < <(
		readelf -rW "$ko" | grep -E 'R_X86_64_(REX_)?(GOT|GOTPC)' || :)
	while read -r line; do problem "writable and executable section: $line"; done < <(
		readelf -SW "$ko" | grep -E ' +WAX +' || :)
	while read -r line; do problem "two ud2 in a row: $line"; done < <(
		objdump -d --no-show-raw-insn "$main" | awk '/^[^ ].*:$/ { f = $2 } /ud2/ { if (was) print f; was = 1; next } { was = 0 }')
	[ "$(readelf -SW "$ko" | grep -cE '\] \.modinfo ')" = 1 ] || problem "not exactly one section .modinfo"
	while read -r line; do problem "exported symbol: $line"; done < <(
		nm "$ko" | grep -E '__ksymtab|__crc_' || :)
	if [ -n "$symvers" ]; then
		while read -r line; do problem "the kernel has one, too: $line"; done < <(
			find "$dir" -name '*.o' ! -name main.o ! -name 'openvswitch*.o' -path '*/*' -exec nm -g --defined-only {} + 2>/dev/null |
				awk 'NF == 3 { print $3 }' | sort -u | join - <(awk '{ print $2 }' "$symvers" | sort -u))
		return $((bad > 0))
	fi
	[ -n "${OVS_KUNIT:-}" ] || while read -r line; do problem "made for KUnit: $line"; done < <(
		{ readelf -SW "$ko" | grep -oE ' \.kunit[^ ]*' || :; nm "$ko" | grep -E '[ _]kunit_|__kunit' || :; } | head -n 5)
	# C refers to a trampoline of ours as an undefined symbol of one of its objects.
	names=$(find "$dir" -name '*.o' ! -name main.o ! -name 'openvswitch*.o' ! -name lto.o -path '*/*' \
		-exec nm -u {} + 2>/dev/null | awk 'NF == 2 { print $2 }' | sort -u)
	for symbol in $(nm -g --defined-only "$main" | awk '{ print $3 }' | grep -vE "$entries" || :); do
		grep -qxF "$symbol" <<<"$names" || problem "global Rust symbol: $symbol"
	done
	return $((bad > 0))
}

# Each rule must be able to fail: small objects that break one each.
self_test() {
	local t cases=0 name
	t=$(mktemp -d)
	trap 'rm -rf "$t"' RETURN
	good() {
		rm -rf "$t/d"
		mkdir -p "$t/d/kmod"
		echo "  LD [M]  openvswitch.ko" > "$t/d/build.log"
		printf '%s\n' "${1:-}" '.text' '.globl init_module' 'init_module: ret' '.section .modinfo,"a"' '.string "license=GPL"' |
			as -o "$t/d/openvswitch.ko" -
		cp "$t/d/openvswitch.ko" "$t/d/kmod/main.o"
	}
	expect() { # 0|1 NAME [SYMVERS]
		cases=$((cases + 1))
		if check "$t/d" ${3:+"$3"} >"$t/out"; then [ "$1" = 0 ]; else [ "$1" = 1 ]; fi || die "check-object: self-test: $2"
	}
	good; expect 0 "a good object is refused"
	good; echo "x.o: warning: objtool: f() falls through" >> "$t/d/build.log"; expect 1 "objtool's warning passes"
	good; echo 'WARNING: modpost: "x" undefined!' >> "$t/d/build.log"; expect 1 "modpost's warning passes"
	good '.data
	nop
.text
	mov memcpy@GOTPCREL(%rip), %rax'; expect 1 "a GOT relocation passes"
	good 'f: ud2
	ud2'; expect 1 "two ud2 pass"
	good '.section .wx,"awx"
	nop'; expect 1 "a writable and executable section passes"
	good '.section .modinfo.x,"a"'; objcopy --rename-section .modinfo.x=.modinfo "$t/d/openvswitch.ko"
	expect 1 "a second .modinfo passes"
	good '.section __ksymtab_strings,"a"
__ksymtab_f: .quad 0'; expect 1 "an exported symbol passes"
	good '.section .kunit_test_suites,"aw"
	.quad 0'; expect 1 "a suite passes"
	OVS_KUNIT=y expect 0 "a suite that was asked for is refused"
	good '.data
	.quad rust_helper_kunit_fail'; expect 1 "what is for suites passes"
	good '.globl leaked
leaked:	nop'; expect 1 "a global symbol passes"
	printf '0x0\tours\tvmlinux\tEXPORT_SYMBOL\t\n' > "$t/symvers"
	expect 0 "a global symbol of the kernel's crates is refused" "$t/symvers"
	mkdir "$t/d/rust"
	printf '%s\n' '.text' '.globl ours' 'ours: ret' | as -o "$t/d/rust/helpers.o" -
	expect 1 "a helper by a name of the kernel's passes" "$t/symvers"
	echo "check-object: self-test: $cases cases"
}

if [ "$1" = --self-test ]; then
	self_test
else
	check "$@" || die "$1/openvswitch.ko breaks the rules above"
fi
