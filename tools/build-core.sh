#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# build-core.sh CACHE OUT STUB CORE_SRC VERSION RUSTC...
#
# Puts libcore.rlib, libcore.rmeta and libcompiler_builtins.rlib into OUT. They take 12 s of CPU and depend only
# on the compiler, its sources and the flags, so they are kept in CACHE under a hash of these.
set -eu
cache=$1 out=$2 stub=$3 core=$4 version=$5
shift 5

# OUT and the place of the sources appear in the command line; they must not be part of the key.
key=$({
	printf '%s\n' "$version" "$core" "$*" |
		sed -E "s/(--remap-path-prefix|CLIPPY_CONF_DIR|OVS_OUT)=[^ ]*//g; s|$out|OUT|g; s|[^ ]*/OUT|OUT|g"
	cat "$out/target.json" "$stub" "$0"
} | sha256sum | cut -c1-20)
dir=$cache/$key

rm -f "$out"/libcore.* "$out"/libcompiler_builtins.*
if [ ! -e "$dir/libcompiler_builtins.rlib" ]; then
	minor=${version#1.}
	minor=${minor%%.*}
	edition=2021
	[ "$minor" -lt 87 ] || edition=2024
	mkdir -p "$cache"
	tmp=$(mktemp -d "$cache/tmp.XXXXXX")
	trap 'rm -rf "$tmp"' EXIT
	# The directory must be found by rustc through -L OUT later, so build here and copy.
	env "$@" --crate-name core --crate-type rlib --edition=$edition --cap-lints=allow \
		--cfg no_fp_fmt_parse --emit=metadata="$tmp/libcore.rmeta",link="$tmp/libcore.rlib" \
		"$core/core/src/lib.rs"
	env "$@" -L "$tmp" --crate-name compiler_builtins --crate-type rlib --edition=2021 \
		--emit=link="$tmp/libcompiler_builtins.rlib" "$stub"
	rm -rf "$dir"
	mv "$tmp" "$dir" 2>/dev/null || :
fi
# The last one marks the set as complete.
cp "$dir/libcore.rmeta" "$dir/libcompiler_builtins.rlib" "$out/"
cp "$dir/libcore.rlib" "$out/"
