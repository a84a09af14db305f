#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# check-features.sh HEADER KERNEL EXPECTED | --table EXPECTED OUT | --self-test
#
# Did the probes answer as they must? A probe that fails for a reason of its own (a missing header, a changed prototype) compiles
# code out without a word. So EXPECTED (rust/helpers/features.expected) says what each probe answers on each of Debian's kernels
# that we test on, and the build for one of them fails where HEADER, which feature-test.sh made, says otherwise: a line for each,
# with the probe, what it should have said, and what it said. A probe that EXPECTED does not list is an error, too.
#
# --table prints EXPECTED anew from OUT/KERNEL/rust/features.h (`make features` makes these and rewrites the file); comments and
# "either" stay.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"

# "name yes|no" of each probe. What was denied (WITHOUT=) was there.
answers() { # HEADER
	sed -n 's/^#define \(HAVE_[A-Z0-9_]*\) 1$/\1 yes/p; s|^/\* \(HAVE_[A-Z0-9_]*\): no \*/$|\1 no|p; s|^/\* \(HAVE_[A-Z0-9_]*\): denied \*/$|\1 yes|p' "$1"
}

check() { # HEADER KERNEL EXPECTED
	answers "$1" | awk -v kernel="$2" -v file="$3" '
		function problem(text) { print "openvswitch: " text > "/dev/stderr"; bad++ }
		FNR == NR && /^[ \t]*(#|$)/ { next }
		FNR == NR && $1 == "kernel" { for (i = 2; i <= NF; i++) if ($i == kernel) column = i; columns = NF; next }
		FNR == NR {
			reason = $0; if (!sub(/^[^#]*#[ \t]*/, "", reason)) reason = ""
			for (i = 2; i <= columns; i++) {
				if ($i !~ /^(yes|no|either)$/) problem(file ": " $1 ": an answer is yes, no or either, not \"" $i "\"")
				if ($i == "either" && reason == "") problem(file ": " $1 ": \"either\" without a reason (# ...)")
			}
			want[$1] = $column; next
		}
		{
			said[$1] = 1
			if (!column) next
			if (!($1 in want)) problem(kernel ": probe " $1 " is not in " file "; it said " $2 " (make features writes the file)")
			else if (want[$1] != "either" && want[$1] != $2) problem(kernel ": probe " $1 " must say " want[$1] ", and said " $2 "; see rust/features.log")
		}
		END {
			if (!column) problem(file " has no column " kernel)
			for (p in want) if (!(p in said)) problem(file ": " p " is no probe")
			exit bad > 0
		}' "$3" -
}

table() { # EXPECTED OUT
	local kernels k
	kernels=$(awk '$1 == "kernel" { $1 = ""; print }' "$1")
	{
		sed 's/^/old /' "$1"
		for k in $kernels; do answers "$2/$k/rust/features.h" | sed "s/^/new $k /"; done
	} | awk '
		$1 == "old" && $2 == "kernel" { n = NF - 2; for (i = 1; i <= n; i++) kernel[i] = $(i + 2); next }
		$1 == "old" && ($2 ~ /^#/ || NF == 1) { if (!n) print substr($0, 5); next }
		$1 == "old" {
			for (i = 1; i <= n; i++) if ($(i + 2) == "either") either[$2, kernel[i]] = 1
			if (match($0, /#.*/)) reason[$2] = "  " substr($0, RSTART)
			next
		}
		!($3 in seen) { seen[$3] = 1; probe[++count] = $3 }
		{ answer[$3, $2] = ($3, $2) in either ? "either" : $4 }
		END {
			printf "%-34s", "kernel"; for (i = 1; i <= n; i++) printf i < n ? "%-7s" : "%s\n", kernel[i]
			for (p = 1; p <= count; p++) {
				name = probe[p]
				printf "%-34s", name
				for (i = 1; i <= n; i++) printf i < n ? "%-7s" : "%s", answer[name, kernel[i]]
				print reason[name]
			}
		}'
}

# Each rule must be able to fail, and a wrong answer must end the build.
self_test() {
	local t cases=0
	t=$(mktemp -d)
	trap 'rm -rf "$t"' RETURN
	header() { printf '%s\n' "$@" > "$t/h"; }
	expected() { printf '%s\n' '# a comment' 'kernel 6.1 6.12' "$@" > "$t/e"; }
	expect() { # 0|1 TEXT NAME
		cases=$((cases + 1))
		if (check "$t/h" "${KERNEL:-6.12}" "$t/e") >"$t/out" 2>&1; then [ "$1" = 0 ]; else [ "$1" = 1 ]; fi && grep -q -- "${2:-^}" <(cat "$t/out"; echo) ||
			{ cat "$t/out"; die "check-features: self-test: $3"; }
	}
	header '#define HAVE_A 1' '/* HAVE_B: no */' '/* HAVE_C: denied */'
	expected 'HAVE_A no yes' 'HAVE_B yes no' 'HAVE_C yes yes'; expect 0 '' "right answers are refused"
	KERNEL=6.1 expect 1 '6.1: probe HAVE_A must say no, and said yes' "another kernel's answer passes"
	KERNEL=6.6 expect 1 'no column 6.6' "a kernel that is not listed passes"
	expected 'HAVE_A no no' 'HAVE_B yes no' 'HAVE_C yes yes'; expect 1 'probe HAVE_A must say no, and said yes' "a wrong yes passes"
	expected 'HAVE_A no yes' 'HAVE_B yes yes' 'HAVE_C yes yes'; expect 1 'probe HAVE_B must say yes, and said no' "a wrong no passes"
	expected 'HAVE_A no yes' 'HAVE_B yes no'; expect 1 'HAVE_C is not in' "a probe that is not listed passes"
	expected 'HAVE_A no yes' 'HAVE_B yes no' 'HAVE_C yes yes' 'HAVE_D yes yes'; expect 1 'HAVE_D is no probe' "a probe that is gone passes"
	expected 'HAVE_A no yes' 'HAVE_B yes either' 'HAVE_C yes yes'; expect 1 'HAVE_B: "either" without a reason' "either passes without a reason"
	expected 'HAVE_A no yes' 'HAVE_B yes either # 6.12.99 has it' 'HAVE_C yes yes'; expect 0 '' "either is refused"
	expected 'HAVE_A no yes' 'HAVE_B yes' 'HAVE_C yes yes'; expect 1 'HAVE_B: an answer is' "a line that is too short passes"
	# The table from answers is what they are held to, with the reasons of the old one.
	expected 'HAVE_A no no' 'HAVE_B no either # why'
	mkdir -p "$t/out.d/6.1/rust" "$t/out.d/6.12/rust"
	cp "$t/h" "$t/out.d/6.1/rust/features.h"; cp "$t/h" "$t/out.d/6.12/rust/features.h"
	table "$t/e" "$t/out.d" > "$t/e2"; mv "$t/e2" "$t/e"
	expect 0 '' "a table made from the answers is refused"
	KERNEL=6.1 expect 0 '' "a table made from the answers is refused"
	grep -q '^# a comment$' "$t/e" && grep -q '^HAVE_B  *no  *either  *# why$' "$t/e" || die "check-features: self-test: a table loses a comment"
	# From the compiler to the refusal, on a list of our own.
	printf '%s\n' 'HAVE_SELF_TEST_YES: int x = 1;' 'HAVE_SELF_TEST_NO: ovs_no_such_function();' 'HAVE_X: ovs_typo();' > "$t/list"
	"$here/feature-test.sh" "$t/list" "$t/h" "$t/cfg" gcc
	expected 'HAVE_SELF_TEST_YES yes yes' 'HAVE_SELF_TEST_NO no no' 'HAVE_X no yes'; expect 1 'probe HAVE_X must say yes, and said no' "a probe with a mistake passes"
	echo "check-features: self-test: $cases cases"
}

case ${1:-} in
--self-test) need gcc:gcc; self_test ;;
--table) table "$2" "$3" ;;
*) [ $# = 3 ] || die "usage: check-features.sh HEADER KERNEL EXPECTED | --table EXPECTED OUT | --self-test"
   check "$@" ;;
esac
