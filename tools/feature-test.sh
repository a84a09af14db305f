#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# feature-test.sh LIST HEADER RUSTCFG CC FLAGS...
#
# Asks the target kernel's headers, never its version, what they offer. LIST (rust/helpers/features.list) has
# "#include" lines, comments ("//") and probes of the form
#
#     HAVE_NAME: C statements;
#
# A probe whose statements compile without an error becomes "#define HAVE_NAME 1" in HEADER and "--cfg HAVE_NAME"
# in RUSTCFG. All probes are compiled in one run: each is a function of its own, and the compiler says which failed.
set -eu
list=$1 header=$2 cfg=$3
shift 3
dir=$(dirname "$header")
c=$dir/features.c log=$dir/features.log

awk '
	/^[ \t]*\/\// || /^[ \t]*$/ { next }
	/^#/ { print; next }
	match($0, /^HAVE_[A-Z0-9_]+:/) {
		name = substr($0, 1, RLENGTH - 1); body = substr($0, RLENGTH + 1)
		printf "#line 1 \"%s\"\nstatic void probe_%s(void) { %s }\n", name, name, body
		next
	}
	{ printf "#error features.list:%d: not a probe\n", NR }
' "$list" > "$c"

LC_ALL=C "$@" -fsyntax-only -fmax-errors=0 -fno-diagnostics-color -Wno-error -Wno-unused -Werror=implicit-function-declaration \
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

{
	echo "/* SPDX-License-Identifier: GPL-2.0 */"
	echo "/* Made by tools/feature-test.sh from rust/helpers/features.list. */"
	for name in $(sed -n 's/^\(HAVE_[A-Z0-9_]*\):.*/\1/p' "$list"); do
		if printf '%s\n' "$failed" | grep -qx "$name"; then
			echo "/* $name: no */"
		else
			echo "#define $name 1"
		fi
	done
} > "$header.tmp"
{
	sed -n 's/^\(HAVE_[A-Z0-9_]*\):.*/--check-cfg=cfg(\1)/p' "$list"
	sed -n 's/^#define \(HAVE_[A-Z0-9_]*\) 1$/--cfg=\1/p' "$header.tmp"
} > "$cfg"
# The probes that must answer yes and no, whatever the kernel.
grep -q '^#define HAVE_SELF_TEST_YES 1' "$header.tmp" && ! grep -q '^#define HAVE_SELF_TEST_NO ' "$header.tmp" || {
	echo "feature-test: the compiler's answers make no sense, see $log" >&2
	exit 1
}
mv "$header.tmp" "$header"
