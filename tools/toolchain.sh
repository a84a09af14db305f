#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# toolchain.sh rust|bindgen|cargo|clang|gcc-10|gcc-14
#
# Finds a tool, fetching it into the cache if the machine has none that will do, and prints shell assignments:
#
#   rust     OVS_RUSTC, OVS_RUSTC_VERSION, OVS_CORE_SRC   rustc >= 1.85 and the sources of exactly its `core`
#   bindgen  OVS_BINDGEN, LIBCLANG_PATH                   bindgen >= 0.71 with libclang >= 16
#   cargo    OVS_CARGO_PATH                               the directory of a cargo with std, clippy and rustfmt
#   clang    OVS_CLANG                                    clang >= 17, for kernels with KASAN (kunit-kernel.sh)
#   gcc-N    OVS_GCC_BIN                                  a directory with the compiler and binutils of another Debian
#
# A bundle that was carried here (toolchain-bundle.sh), in toolchain/ beside the sources or where OVS_TOOLCHAIN says, comes first. Else
# the machine's own rustc, with `rust-src` of rustup, of its distribution, or Debian's package of that very
# version; else Debian 12's rustc-web, unpacked into the cache. What was found is remembered there. When nothing will
# do, one line says what is missing and how to install it. OVS_RS_OFFLINE=1: fetch nothing.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
RUST_MIN=1.85.0 BINDGEN_MIN=0.71.0 CLANG_MIN=16 CLANG_FOR_KERNELS=17

# candidates NAME VALUE: the given one, else what PATH and cargo's own directory have.
candidates() {
	if [ -n "$2" ]; then
		printf '%s\n' "$2"
	else
		{ command -v "$1" || :; printf '%s\n' "$HOME/.cargo/bin/$1"; } | awk '!seen[$0]++'
	fi
}

emit() { # NAME VALUE...
	while [ $# -gt 0 ]; do
		printf 'export %s=%q\n' "$1" "$2"
		shift 2
	done
}

# ---- Debian 12's own toolchain, unpacked ------------------------------------------------------------
# web_root rustc|cargo: the directory of rustc-web, with cargo-web & co. if asked for; fetched if need be.
web_root() {
	local plan version dir debs tool deb what=$1
	apt_bookworm || return 1
	version=$(apt-cache "${APT[@]}" policy rustc-web | sed -n 's/^ *Candidate: *//p')
	dir=$OVS_RS_CACHE/rust-web/$version
	[ ! -e "$dir/.$what" ] || { printf '%s\n' "$dir"; return 0; }
	if [ "$what" = cargo ]; then
		web_root rustc >/dev/null || return 1
		plan=$(apt_plan cargo-web rustfmt-web rust-web-clippy)
		say "fetching Debian's cargo for Rust $version into the cache (70 MB, once)"
	else
		plan=$(apt_plan rustc-web rust-web-src)
		say "fetching Debian's Rust $version into the cache (120 MB, once)"
	fi
	# The programs and the libraries they need; the C library and the like are the machine's.
	plan=$(printf '%s\n' "$plan" | grep -E '^(rustc-web|cargo-web|rustfmt-web|rust-web-clippy|rust-web-src|lib)' |
		grep -vE '^(libc6|libc-|libgcc|libstdc|libcrypt|libnsl|libtirpc|lib[a-z]*san[0-9]|libgomp|libitm|libatomic|libquadmath|libcc1)')
	[ "$what" = cargo ] || plan=$(printf '%s\n' "$plan" | grep -v '^libstd-rust-web-dev=')
	debs=$(apt_fetch $plan) || return 1
	mkdir -p "$dir/bin"
	for deb in $debs; do
		case ${deb##*/} in
		rust-web-src_*) unpack_core "$deb" "$dir/src" || return 1 ;;
		*) dpkg-deb -x "$deb" "$dir" || return 1 ;;
		esac
	done
	for tool in rustc rustdoc cargo rustfmt cargo-fmt cargo-clippy clippy-driver; do
		[ -e "$dir/usr/bin/$tool" ] || continue
		cat > "$dir/bin/$tool" <<-END
			#!/bin/sh
			export LD_LIBRARY_PATH="$dir/usr/lib/x86_64-linux-gnu:$dir/lib/x86_64-linux-gnu\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}"
			exec "$dir/usr/bin/$tool" "\$@"
		END
		chmod +x "$dir/bin/$tool"
	done
	"$dir/bin/$what" -V >/dev/null || return 1
	touch "$dir/.$what"
	printf '%s\n' "$dir"
}

# unpack_core DEB DIR: library/core and what it includes, out of a package of Rust's sources.
unpack_core() {
	rm -rf "$2"
	mkdir -p "$2"
	dpkg-deb --fsys-tarfile "$1" | tar -x -C "$2" --strip-components=4 --wildcards './usr/src/*/library/core/*' \
		'./usr/src/*/library/stdarch/crates/*' './usr/src/*/library/portable-simd/crates/*' &&
		[ -e "$2/library/core/src/lib.rs" ]
}

# ---- rustc and core -----------------------------------------------------------------------------------
release_of() { "$1" -vV 2>/dev/null | sed -n 's/^release: \([0-9.]*\).*/\1/p'; }

# core_of RUSTC VERSION: the directory of its library sources.
core_of() {
	local dir deb plan
	for dir in "$("$1" --print sysroot 2>/dev/null)/lib/rustlib/src/rust/library" "/usr/src/rustc-$2/library" \
		"$OVS_RS_CACHE/rust-src/$2/library"; do
		[ ! -e "$dir/core/src/lib.rs" ] || { printf '%s\n' "$dir"; return 0; }
	done
	apt_trixie || return 1
	plan=$(apt-cache "${APT[@]}" madison rust-src 2>/dev/null | awk -v v="$2" 'index($3, v "+") == 1 { print $3; exit }')
	[ -n "$plan" ] || return 1
	say "fetching the sources of Rust $2's core into the cache (45 MB, once)"
	deb=$(apt_fetch "rust-src=$plan") || return 1
	unpack_core "$deb" "$OVS_RS_CACHE/rust-src/$2" || return 1
	rm -f "$deb"
	printf '%s\n' "$OVS_RS_CACHE/rust-src/$2/library"
}

find_rust() {
	local rustc version core found='' dir
	for rustc in $(candidates rustc "${OVS_RUSTC:-}"); do
		version=$(release_of "$rustc")
		[ -n "$version" ] || continue
		found="rustc $version"
		version_ge "$version" "$RUST_MIN" || continue
		core=$(core_of "$rustc" "$version") || continue
		emit OVS_RUSTC "$rustc" OVS_RUSTC_VERSION "$version" OVS_CORE_SRC "$core"
		return 0
	done
	if dir=$(web_root rustc); then
		rustc=$dir/bin/rustc version=$(release_of "$dir/bin/rustc")
		emit OVS_RUSTC "$rustc" OVS_RUSTC_VERSION "$version" OVS_CORE_SRC "$dir/src/library"
		return 0
	fi
	case $found in
	'') die "no rustc; install 1.85 or newer with its sources: rustup toolchain install stable --component rust-src" ;;
	*) if version_ge "${found#rustc }" "$RUST_MIN"; then
		die "no sources of core for $found; install with: rustup component add rust-src"
	   fi
	   die "$found is older than ${RUST_MIN%.0}; install with: rustup toolchain install stable --component rust-src" ;;
	esac
}

find_cargo() {
	local cargo dir
	for cargo in $(candidates cargo "${OVS_CARGO:-}"); do
		version=$("$cargo" -V 2>/dev/null | awk '{ print $2 }')
		[ -n "$version" ] && version_ge "$version" "$RUST_MIN" || continue
		emit OVS_CARGO_PATH "$(dirname "$cargo")"
		return 0
	done
	dir=$(web_root cargo) || die "no cargo >= ${RUST_MIN%.0}; install with: rustup toolchain install stable"
	emit OVS_CARGO_PATH "$dir/bin"
}

# ---- bindgen and libclang -----------------------------------------------------------------------------
# clang_dir: the directory of the machine's libclang, if new enough.
clang_dir() {
	local dir n
	for dir in ${LIBCLANG_PATH:+"$LIBCLANG_PATH"} $(ls -d /usr/lib/llvm-*/lib 2>/dev/null | sort -rV); do
		n=$(printf '%s\n' "$dir" | sed -n 's|.*/llvm-\([0-9]*\)/.*|\1|p')
		[ -z "$n" ] || [ "$n" -ge $CLANG_MIN ] || continue
		[ -z "$(ls "$dir"/libclang.so* "$dir"/libclang-*.so* 2>/dev/null)" ] || { printf '%s\n' "$dir"; return 0; }
	done
	return 1
}

# bindgen_works BINDGEN CLANG: libclang is loaded at run time only, so a trial tells.
bindgen_works() {
	local t rc=0
	t=$(mktemp -d)
	echo 'struct trial { int x; };' > "$t/trial.h"
	LIBCLANG_PATH=$2 "$1" --rust-target 1.85 "$t/trial.h" 2>"$t/log" | grep -q 'struct trial' || rc=1
	rm -rf "$t"
	return $rc
}

# unpacked_bindgen: Debian 13's bindgen and libclang, run by the C library that they were built for.
unpacked_bindgen() {
	local dir=$OVS_RS_CACHE/bindgen plan debs lib
	if [ ! -e "$dir/.ready" ]; then
		apt_trixie || return 1
		say "fetching bindgen and libclang into the cache (45 MB, once)"
		plan=$(apt_plan bindgen | grep -E '^(bindgen|lib[a-z0-9.+-]*|zlib1g)=' |
			grep -vE '^(lib[a-z]*san[0-9]|libgomp|libitm|libatomic|libquadmath|libcrypt|libgc1|libobjc|[^=]*-dev)')
		debs=$(apt_fetch $plan) || return 1
		rm -rf "$dir"
		unpack "$dir" $debs || return 1
		lib=$dir/usr/lib/x86_64-linux-gnu
		printf '#!/bin/sh\nexec "%s" --library-path "%s" "%s" "$@"\n' \
			"$lib/ld-linux-x86-64.so.2" "$lib" "$dir/usr/bin/bindgen" > "$dir/run"
		chmod +x "$dir/run"
		bindgen_works "$dir/run" "$dir/usr/lib/llvm-19/lib" || return 1
		touch "$dir/.ready"
	fi
	emit OVS_BINDGEN "$dir/run" LIBCLANG_PATH "$dir/usr/lib/llvm-19/lib"
}

find_bindgen() {
	local b version clang=''
	clang=$(clang_dir) || :
	for b in $(candidates bindgen "${OVS_BINDGEN:-}"); do
		version=$("$b" --version 2>/dev/null | awk '{ print $2 }')
		[ -n "$clang" ] && [ -n "$version" ] && version_ge "$version" "$BINDGEN_MIN" && bindgen_works "$b" "$clang" || continue
		emit OVS_BINDGEN "$b" LIBCLANG_PATH "$clang"
		return 0
	done
	! unpacked_bindgen || return 0
	[ -n "$clang" ] || die "no libclang >= $CLANG_MIN; install with: apt-get install libclang1-19"
	die "no bindgen >= ${BINDGEN_MIN%.0} that works with $clang; install with: cargo install bindgen-cli --locked"
}

# ---- clang ------------------------------------------------------------------------------------------------
# find_clang: the machine's, or Debian 12's, unpacked into the cache. It uses the machine's binutils and C library.
find_clang() {
	local clang version dir=$OVS_RS_CACHE/clang debs plan
	for clang in $(candidates clang "${OVS_CLANG:-}") clang-{22,21,20,19,18,17}; do
		clang=$(command -v "$clang") || continue
		version=$("$clang" -dumpversion 2>/dev/null) || continue
		version_ge "$version" "$CLANG_FOR_KERNELS" || continue
		emit OVS_CLANG "$clang"
		return 0
	done
	if [ ! -e "$dir/.ready" ]; then
		apt_bookworm || die "no clang >= $CLANG_FOR_KERNELS; install with: apt-get install clang-19"
		say "fetching clang 19 into the cache (80 MB, once)"
		plan=$(apt_plan clang-19 | grep -E '^(clang-19|libclang|libllvm19|libedit2|libbsd0|libmd0|libz3-4|libxml2|libicu72|libtinfo6)')
		debs=$(apt_fetch $plan) || return 1
		rm -rf "$dir"
		unpack "$dir" $debs || return 1
		mkdir "$dir/bin"
		printf '#!/bin/sh\nexport LD_LIBRARY_PATH="%s${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"\nexec "%s" "$@"\n' \
			"$dir/usr/lib/llvm-19/lib:$dir/usr/lib/x86_64-linux-gnu:$dir/lib/x86_64-linux-gnu" "$dir/usr/lib/llvm-19/bin/clang" > "$dir/bin/clang"
		chmod +x "$dir/bin/clang"
		echo 'int f(int x) { return x + 1; }' | "$dir/bin/clang" -x c -c -O2 -fsanitize=kernel-address - -o "$dir/trial.o" || return 1
		rm -f "$dir/trial.o" $debs
		touch "$dir/.ready"
	fi
	emit OVS_CLANG "$dir/bin/clang"
}

# ---- the compiler of another Debian ---------------------------------------------------------------------
# find_gcc gcc-N: that compiler, with its suite's binutils and C library, out of packages unpacked into the cache. In bin/ is
# a script for each program, which has that very C library's loader start it: no chroot, no root, no change to the machine. gcc
# finds cc1 and as in bin/ by -B. It can compile and assemble, which is all that a module needs; there are no headers of the C library.
find_gcc() {
	local name=$1 suite version dir plan debs root program script options
	case $name in
	gcc-10) suite=bullseye ;;
	gcc-14) suite=trixie ;;
	*) return 1 ;;
	esac
	"apt_$suite" || return 1
	version=$(apt-cache "${APT[@]}" policy "$name" | sed -n 's/^ *Candidate: *//p')
	dir=$OVS_RS_CACHE/gcc/$name-$version
	exec 9>"$OVS_RS_CACHE/gcc.lock"
	flock 9
	if [ ! -e "$dir/.ready" ]; then
		say "fetching $name $version and binutils of $suite into the cache (40 MB, once)"
		plan=$(apt_plan "$name" binutils | grep -E '^(gcc-|cpp-|binutils|lib|zlib1g)' |
			grep -vE '^(lib[a-z]*san[0-9]|libgomp|libitm|libatomic|libquadmath|libcrypt|libcc1|libgprofng)')
		debs=$(apt_fetch $plan) || return 1
		rm -rf "$dir"
		unpack "$dir" $debs || return 1
		root=$dir/usr/bin
		mkdir "$dir/bin"
		for program in "$root"/*gcc-[0-9]* "$dir"/usr/lib*/gcc/*/*/cc1 "$root"/x86_64-linux-gnu-{as,ld,ar,nm,objcopy,objdump,readelf,strip}; do
			script=${program##*/} options=''
			case $script in
			*gcc-[0-9]*) options="-B $dir/bin/" ;;
			x86_64-*) ln -s "$script" "$dir/bin/${script#x86_64-linux-gnu-}" ;;
			esac
			starter "$dir/bin/$script" "$dir" "$program" $options || return 1
		done
		echo 'int f(int x) { return x + 1; }' | "$dir/bin/$name" -x c -c -O2 - -o "$dir/trial.o" &&
			"$dir/bin/objdump" -d "$dir/trial.o" | grep -q '<f>:' || return 1
		rm -f $(printf '%s\n' "$debs" | grep -E '/(gcc|cpp|binutils)')
		touch "$dir/.ready"
	fi
	emit OVS_GCC_BIN "$dir/bin"
}

# ---- a bundle ------------------------------------------------------------------------------------------
# bundled WHAT: what the bundle has of it, and whether there is one.
bundled() {
	local dir=${OVS_TOOLCHAIN:-$PWD/toolchain}
	[ -n "${OVS_TOOLCHAIN:-}" ] || { [ -z "${OVS_RUSTC:-}${OVS_BINDGEN:-}" ] && [ -e "$dir/VERSION" ]; } || return 1
	[ -x "$dir/bin/rustc" ] || die "no toolchain in $dir; tools/toolchain-bundle.sh unpack FILE $dir puts one there"
	dir=$(realpath "$dir")
	case $1 in
	rust) emit OVS_RUSTC "$dir/bin/rustc" OVS_RUSTC_VERSION "$(cat "$dir/VERSION")" OVS_CORE_SRC "$dir/core/library" ;;
	bindgen) emit OVS_BINDGEN "$dir/bin/bindgen" LIBCLANG_PATH "$(echo "$dir"/bindgen/usr/lib/llvm-*/lib)" ;;
	*) return 1 ;;
	esac
}

# ---- what was found last time ---------------------------------------------------------------------------
what=$1
case $what in rust | bindgen | cargo | clang | gcc-[0-9]*) ;; *) die "usage: toolchain.sh rust|bindgen|cargo|clang|gcc-N" ;; esac
! bundled "$what" || exit 0
key=$({
	echo "$what ${OVS_RUSTC:-} ${OVS_CARGO:-} ${OVS_BINDGEN:-} ${LIBCLANG_PATH:-} ${OVS_CLANG:-}"
	for tool in rustc bindgen; do
		for t in $(candidates $tool ''); do
			echo "$t"
			[ ! -x "$t" ] || "$t" --version 2>/dev/null || :
		done
	done
	ls -d /usr/lib/llvm-* 2>/dev/null || :
	cat "$0"
} | sha256sum | cut -c1-16)
memo=$OVS_RS_CACHE/toolchain/$what-$key
if [ -e "$memo" ]; then
	ok=y
	for path in $(sed -n 's|^export [A-Z_]*=\(/.*\)|\1|p' "$memo"); do [ -e "$path" ] || ok=''; done
	[ -z "$ok" ] || { cat "$memo"; exit 0; }
fi
mkdir -p "$OVS_RS_CACHE/toolchain"
"find_${what%%-*}" "$what" > "$memo.$$" || { rm -f "$memo.$$"; exit 1; }
mv "$memo.$$" "$memo"
cat "$memo"
