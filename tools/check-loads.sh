#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# check-loads.sh [--names] KO SYMBOLS... | --self-test
#
# Would this module load there? Compares what KO imports with what a kernel exports: SYMBOLS are files in the form of
# Module.symvers (checksum, symbol, where, how exported, namespace), which kABI lists (Module.kabi) have too. Says which symbols
# that kernel lacks, which have another checksum (CONFIG_MODVERSIONS: a structure or a prototype differs), and which are in a
# namespace that the module does not import. Needs neither the kernel nor its headers. --names: whatever the checksums, as for a
# module that was built for another kernel.
set -euo pipefail
names=''
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"

section() { objcopy -O binary --only-section="$2" "$1" /dev/stdout 2>/dev/null || :; }

# "checksum symbol" of each symbol whose version KO was built with. In __versions an entry has 64 bytes, the number (8 bytes)
# first; newer kernels can have the numbers (4 bytes each) and the names, each ended by a NUL, in sections of their own.
versions() { # KO
	section "$1" __versions | od -An -v -tx1 -w64 | awk '
		function char(hex) { return sprintf("%c", index("0123456789abcdef", substr(hex, 1, 1)) * 16 - 16 + index("0123456789abcdef", substr(hex, 2, 1)) - 1) }
		{ name = ""; for (i = 9; i <= NF && $i != "00"; i++) name = name char($i); print "0x" $4 $3 $2 $1, name }'
	paste -d' ' <(section "$1" __version_ext_crcs | od -An -v -tx4 -w4 | sed 's/^ */0x/') \
		<(section "$1" __version_ext_names | tr '\0' '\n') | sed '/^ *$/d'
}

check() { # KO SYMBOLS...
	local ko=$1 imported result rc=0
	shift
	result=$(mktemp)
	imported=$(nm -u "$ko" | awk '{ print $NF }')
	[ -n "$imported" ] || die "$ko imports nothing: not a module"
	{
		cat "$@" | sed 's/^/there /'
		section "$ko" .modinfo | tr '\0' '\n' | sed -n 's/^import_ns=/namespace /p'
		[ -n "$names" ] || versions "$ko" | sed 's/^/version /'
		sed 's/^/imports /' <<<"$imported"
	} | awk '
		$1 == "there" { there[$3] = $2; at[$3] = $4; space[$3] = $6 }
		$1 == "namespace" { has[$2] = 1 }
		$1 == "version" { want[$3] = $2; checked++ }
		$1 == "imports" { imports[$2] = 1; n++ }
		function problem(text) { print "  " text; bad++ }
		END {
			# module_layout stands for struct module: in the versions, but not imported.
			if (checked) imports["module_layout"] = 1
			for (s in imports) {
				if (!(s in there)) {
					if (s != "module_layout") problem("missing: " s)
				} else {
					if (s in want && want[s] != there[s]) problem("other version: " s " " want[s] ", there " there[s])
					if (space[s] != "" && !(space[s] in has)) problem("namespace " space[s] " not imported: " s)
					if (at[s] != "vmlinux" && s != "module_layout") needs[at[s]] = 1
				}
			}
			for (m in needs) more = more " " m
			printf "%d symbols, %s%s%s\n", n, checked ? "with checksums" : "by name only",
				more == "" ? "" : ", of vmlinux and of these modules:" more, bad ? "; " bad " problems" : ""
			exit bad > 0
		}' > "$result" || rc=1
	grep '^ ' "$result" | sort
	grep -v '^ ' "$result"
	rm -f "$result"
	return $rc
}

# Each rule must be able to fail.
self_test() {
	local t cases=0
	t=$(mktemp -d)
	trap 'rm -rf "$t"' RETURN
	module() { # LINES OF ASSEMBLER...
		printf '%s\n' '.text' 'call f' 'call g' "$@" | as -o "$t/x.ko" -
	}
	entry() { printf '.section __versions,"a"\n.quad %s\n.ascii "%s"\n.zero %d\n' "$1" "$2" $((56 - ${#2})); }
	kernel() { printf '%s\n' "$@" > "$t/symvers"; }
	expect() { # 0|1 TEXT NAME
		cases=$((cases + 1))
		if (check "$t/x.ko" "$t/symvers") >"$t/out" 2>&1; then [ "$1" = 0 ]; else [ "$1" = 1 ]; fi && grep -q -- "$2" "$t/out" ||
			{ cat "$t/out"; die "check-loads: self-test: $3"; }
	}
	local f=$'0x00000011\tf\tvmlinux\tEXPORT_SYMBOL' g=$'0x00000022\tg\tnet/x\tEXPORT_SYMBOL_GPL'
	kernel "$f" "$g"
	module; expect 0 'by name only.* net/x' "a module without checksums is refused"
	module "$(entry 0x11 f)" "$(entry 0x22 g)"; expect 0 'with checksums' "a fitting module is refused"
	module "$(entry 0x11 f)" "$(entry 0x23 g)"; expect 1 'other version: g 0x00000023, there 0x00000022' "another checksum passes"
	module '.section __version_ext_crcs,"a"' '.long 0x11, 0x23' '.section __version_ext_names,"a"' '.asciz "f"' '.asciz "g"'
	expect 1 'other version: g' "another checksum in the new form passes"
	module "$(entry 0x11 f)" "$(entry 0x33 module_layout)"; kernel "$f" "$g" $'0x00000034\tmodule_layout\tvmlinux\tEXPORT_SYMBOL'
	expect 1 'other version: module_layout' "another struct module passes"
	module "$(entry 0x11 f)" "$(entry 0x23 g)"; names=y; expect 0 'by name only' "a checksum counts that was not asked for"; names=''
	kernel "$f"; module; expect 1 'missing: g' "a missing symbol passes"
	kernel "$f" "$g"$'\tNS'; expect 1 'namespace NS not imported: g' "a closed namespace passes"
	module '.section .modinfo,"a"' '.asciz "import_ns=NS"'; expect 0 '2 symbols' "an imported namespace is refused"
	printf 'nop\n' | as -o "$t/x.ko" -; expect 1 'not a module' "what is no module passes"
	echo "check-loads: self-test: $cases cases"
}

need objcopy:binutils
[ "${1:-}" != --names ] || { names=y; shift; }
if [ "${1:-}" = --self-test ]; then
	self_test
elif [ $# -ge 2 ]; then
	for f; do [ -r "$f" ] && [ ! -d "$f" ] || die "no file $f"; done
	check "$@" || die "$1 would not load there"
else
	die "usage: make loads KO=openvswitch.ko SYMBOLS=Module.symvers [NAMES=y]"
fi
