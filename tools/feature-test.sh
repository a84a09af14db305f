#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# feature-test.sh LIST HEADER RUSTCFG CC FLAGS... | --without LIST | --self-test
#
# Asks the target kernel's headers, never its version, what they offer. LIST (rust/helpers/features.list) has
# "#include" lines, comments ("//") and probes of one of the forms
#
#     HAVE_NAME: C statements;
#     HAVE_NAME deniable: C statements;
#     HAVE_NAME deniable with HAVE_OTHER: C statements;
#
# A probe whose statements compile without an error becomes "#define HAVE_NAME 1" in HEADER and "--cfg HAVE_NAME"
# in RUSTCFG. All probes are compiled in one run: each is a function of its own, and the compiler says which failed.
# It complains of a missing function only once, so no two probes may ask for the same one.
#
# OVS_WITHOUT names features that the answer "no" is wanted for although the kernel has them: lower case, without "have_",
# or "all" for every one that can be denied on this kernel. HEADER says "denied" of them. --without only checks the names.
set -eu

# The names in OVS_WITHOUT, a line each, as LIST has them.
denied() { # LIST
	deniable=$(sed -n 's/^\(HAVE_[A-Z0-9_]*\) deniable.*/\1/p' "$1")
	for word in $(printf '%s\n' "${OVS_WITHOUT:-}" | tr ',' ' '); do
		name=HAVE_$(printf '%s\n' "$word" | tr 'a-z' 'A-Z')
		if [ "$word" = all ]; then
			printf '%s\n' "$deniable"
		elif printf '%s\n' "$deniable" | grep -qxF "$name"; then
			printf '%s\n' "$name"
		else
			echo "feature-test: WITHOUT=$word: cannot be denied; all, or some of:" \
				$(printf '%s\n' "$deniable" | sed 's/^HAVE_//' | tr 'A-Z' 'a-z') >&2
			return 1
		fi
	done
}

# Each answer, and each way to deny it.
self_test() {
	t=$(mktemp -d)
	trap 'rm -rf "$t"' EXIT
	cases=0
	printf '%s\n' '// comment' '#include <stddef.h>' 'HAVE_SELF_TEST_YES: size_t x;' 'HAVE_SELF_TEST_NO: nowhere();' \
		'HAVE_FIXED: size_t x;' 'HAVE_SOFT deniable: size_t x;' 'HAVE_ABSENT deniable: absent();' \
		'HAVE_PAIR deniable with HAVE_FIXED: size_t x;' 'HAVE_ALONE deniable with HAVE_ABSENT: size_t x;' > "$t/list"
	expect() { # WITHOUT 0|1 PATTERN FILE
		cases=$((cases + 1))
		OVS_WITHOUT=$1 sh "$0" "$t/list" "$t/header" "$t/cfg" "${CC:-gcc}" > "$t/out" 2>&1 && rc=0 || rc=1
		[ $rc = "$2" ] && grep -q -- "$3" "$t/$4" || {
			cat "$t/out" "$t/header" "$t/cfg"
			echo "feature-test: self-test: WITHOUT=\"$1\" does not give \"$3\"" >&2
			exit 1
		}
	}
	expect '' 0 '^#define HAVE_SOFT 1$' header
	expect '' 0 '^--cfg=HAVE_PAIR$' cfg
	expect '' 0 'HAVE_ABSENT: no ' header
	expect soft 0 'HAVE_SOFT: denied ' header
	expect soft 0 '^--cfg=HAVE_PAIR$' cfg
	expect 'soft, pair' 0 'HAVE_PAIR: denied ' header
	expect all 0 'HAVE_PAIR: denied ' header
	expect all 0 'HAVE_ABSENT: no ' header
	expect all 0 '^#define HAVE_FIXED 1$' header
	expect all 0 '^#define HAVE_ALONE 1$' header
	expect fixed 1 'WITHOUT=fixed: cannot be denied; all, or some of: soft absent pair alone$' out
	expect 'soft other' 1 'WITHOUT=other: cannot' out
	echo 'size_t x;' >> "$t/list"; expect '' 1 'list:10: not a probe' out
	sed -i '$d; s/<stddef.h>/<nowhere.h>/' "$t/list"; expect '' 1 'does not compile' out
	echo "feature-test: self-test: $cases cases"
}

case $1 in
--without) denied "$2" > /dev/null; exit ;;
--self-test) self_test; exit ;;
esac

list=$1 header=$2 cfg=$3
shift 3
dir=$(dirname "$header")
c=$dir/features.c log=$dir/features.log
without=$(denied "$list") || exit 1

awk '
	/^[ \t]*\/\// || /^[ \t]*$/ { next }
	/^#/ { print; next }
	match($0, /^HAVE_[A-Z0-9_]+( deniable( with HAVE_[A-Z0-9_]+)?)?:/) {
		name = $1; sub(/:.*/, "", name); body = substr($0, RLENGTH + 1)
		printf "#line 1 \"%s\"\nstatic void probe_%s(void) { %s }\n", name, name, body
		next
	}
	{ printf "feature-test: %s:%d: not a probe\n", FILENAME, NR > "/dev/stderr"; exit 1 }
' "$list" > "$c"

every=-fmax-errors=0
! "$1" --version 2>/dev/null | grep -q clang || every=-ferror-limit=0
LC_ALL=C "$@" -fsyntax-only "$every" -fno-diagnostics-color -Wno-error -Wno-unused -Werror=implicit-function-declaration \
	-Werror=incompatible-pointer-types -Werror=int-conversion "$c" > "$log" 2>&1 || :
# An error outside of a probe (a header that does not exist) would make every answer worthless.
failed=$(awk '
	/In function .probe_HAVE_/ { sub(/.*probe_/, ""); sub(/[^A-Z0-9_].*/, ""); now = $0; next }
	/: (fatal )?error:/ {
		n = $0; sub(/:.*/, "", n)
		if (n ~ /^HAVE_/) print n; else if (now != "") print now; else { print "OUTSIDE"; print > "/dev/stderr" }
	}
' "$log" | sort -u)
case "$failed" in *OUTSIDE*) echo "feature-test: $list does not compile, see $log" >&2; exit 1 ;; esac

lacks() { printf '%s\n' "$failed" | grep -qxF "$1"; }
{
	echo "/* SPDX-License-Identifier: GPL-2.0 */"
	echo "/* Made by tools/feature-test.sh from rust/helpers/features.list. */"
	for name in $(sed -n 's/^\(HAVE_[A-Z0-9_]*\)[ :].*/\1/p' "$list"); do
		if lacks "$name"; then
			echo "/* $name: no */"
		elif printf '%s\n' "$without" | grep -qxF "$name"; then
			other=$(sed -n "s/^$name deniable with \(HAVE_[A-Z0-9_]*\):.*/\1/p" "$list")
			if [ -z "$other" ] || ! lacks "$other"; then
				echo "/* $name: denied */"
			else
				echo "#define $name 1"
			fi
		else
			echo "#define $name 1"
		fi
	done
} > "$header.tmp"
{
	sed -n 's/^\(HAVE_[A-Z0-9_]*\)[ :].*/--check-cfg=cfg(\1)/p' "$list"
	sed -n 's/^#define \(HAVE_[A-Z0-9_]*\) 1$/--cfg=\1/p' "$header.tmp"
} > "$cfg"
# The probes that must answer yes and no, whatever the kernel.
grep -q '^#define HAVE_SELF_TEST_YES 1' "$header.tmp" && ! grep -q '^#define HAVE_SELF_TEST_NO ' "$header.tmp" || {
	echo "feature-test: the compiler's answers make no sense, see $log" >&2
	exit 1
}
mv "$header.tmp" "$header"
