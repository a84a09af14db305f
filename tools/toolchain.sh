#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# toolchain.sh rust|bindgen|cargo
#
# Finds a tool, fetching it into the cache if the machine has none that will do, and prints shell assignments:
#
#   rust     OVS_RUSTC, OVS_RUSTC_VERSION, OVS_CORE_SRC   rustc >= 1.85 and the sources of exactly its `core`
#   bindgen  OVS_BINDGEN, LIBCLANG_PATH                   bindgen >= 0.71 with libclang >= 16
#   cargo    OVS_CARGO_PATH                               the directory of a cargo with std, clippy and rustfmt
#
# The machine's own rustc comes first, with `rust-src` of rustup, of its distribution, or Debian's package of that very
# version; else Debian 12's rustc-web, unpacked into the cache. What was found is remembered there. When nothing will
# do, one line says what is missing and how to install it. OVS_RS_OFFLINE=1: fetch nothing.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
RUST_MIN=1.85.0 BINDGEN_MIN=0.71.0 CLANG_MIN=16
BINDGEN_PIN=0.72.1 LIBCLANG_PACKAGE=19

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
# web_root: the directory of rustc-web & co.; fetched if need be.
web_root() {
	local plan version dir debs tool
	apt_bookworm || return 1
	plan=$(apt_plan rustc-web cargo-web rustfmt-web rust-web-clippy rust-web-src)
	version=$(printf '%s\n' "$plan" | sed -n 's/^rustc-web=//p')
	[ -n "$version" ] || return 1
	dir=$OVS_RS_CACHE/rust-web/$version
	if [ ! -e "$dir/.ready" ]; then
		say "fetching Debian's Rust $version into the cache (190 MB, once)"
		# The programs and the libraries they need; the C library and the like are the machine's.
		plan=$(printf '%s\n' "$plan" | grep -E '^(rustc-web|cargo-web|rustfmt-web|rust-web-clippy|rust-web-src|libstd-rust-web|lib)' |
			grep -vE '^(libc6|libc-|libgcc|libstdc|libcrypt|libnsl|libtirpc|lib[a-z]*san[0-9]|libgomp|libitm|libatomic|libquadmath|libcc1)')
		debs=$(apt_fetch $plan) || return 1
		rm -rf "$dir"
		unpack "$dir" $debs || return 1
		mkdir -p "$dir/bin"
		for tool in rustc rustdoc cargo rustfmt cargo-fmt cargo-clippy clippy-driver; do
			[ -e "$dir/usr/bin/$tool" ] || continue
			cat > "$dir/bin/$tool" <<-END
				#!/bin/sh
				export LD_LIBRARY_PATH="$dir/usr/lib/x86_64-linux-gnu:$dir/lib/x86_64-linux-gnu\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}"
				exec "$dir/usr/bin/$tool" "\$@"
			END
			chmod +x "$dir/bin/$tool"
		done
		"$dir/bin/rustc" -V >/dev/null && "$dir/bin/cargo" -V >/dev/null || return 1
		find "$dir/usr/src" -mindepth 2 -maxdepth 2 ! -name library -exec rm -rf {} +
		touch "$dir/.ready"
	fi
	printf '%s\n' "$dir"
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
	dir=$OVS_RS_CACHE/rust-src
	mkdir -p "$dir"
	rm -rf "$dir/$2.tmp" "$dir/$2"
	mkdir "$dir/$2.tmp"
	dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$dir/$2.tmp" --strip-components=4 --wildcards \
		'./usr/src/*/library/core/*' './usr/src/*/library/stdarch/*' './usr/src/*/library/portable-simd/*' || return 1
	mv "$dir/$2.tmp" "$dir/$2"
	rm -f "$deb"
	printf '%s\n' "$dir/$2/library"
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
	if dir=$(web_root); then
		rustc=$dir/bin/rustc version=$(release_of "$dir/bin/rustc")
		emit OVS_RUSTC "$rustc" OVS_RUSTC_VERSION "$version" OVS_CORE_SRC "$dir/usr/src/rustc-$version/library"
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
	dir=$(web_root) || die "no cargo >= ${RUST_MIN%.0}; install with: rustup toolchain install stable"
	emit OVS_CARGO_PATH "$dir/bin"
}

# ---- bindgen and libclang -----------------------------------------------------------------------------
# clang_dir: the directory of a libclang that is new enough, ours if the machine has none.
clang_dir() {
	local dir n plan debs
	for dir in ${LIBCLANG_PATH:+"$LIBCLANG_PATH"} $(ls -d /usr/lib/llvm-*/lib 2>/dev/null | sort -rV); do
		n=$(printf '%s\n' "$dir" | sed -n 's|.*/llvm-\([0-9]*\)/.*|\1|p')
		[ -z "$n" ] || [ "$n" -ge $CLANG_MIN ] || continue
		[ -z "$(ls "$dir"/libclang.so* "$dir"/libclang-*.so* 2>/dev/null)" ] || { printf '%s\n' "$dir"; return 0; }
	done
	dir=$OVS_RS_CACHE/libclang-$LIBCLANG_PACKAGE
	if [ ! -e "$dir/.ready" ]; then
		apt_bookworm || return 1
		say "fetching libclang $LIBCLANG_PACKAGE into the cache (40 MB, once)"
		plan=$(apt_plan libclang1-$LIBCLANG_PACKAGE | grep -E '^lib' | grep -vE '^(libc6|libgcc|libstdc|libcrypt)')
		debs=$(apt_fetch $plan) || return 1
		rm -rf "$dir"
		unpack "$dir" $debs || return 1
		touch "$dir/.ready"
	fi
	printf '%s\n' "$dir/usr/lib/llvm-$LIBCLANG_PACKAGE/lib"
}

find_bindgen() {
	local bindgen='' b version clang cargo root
	for b in $(candidates bindgen "${OVS_BINDGEN:-}") "$OVS_RS_CACHE/bindgen/$BINDGEN_PIN/bin/bindgen"; do
		version=$("$b" --version 2>/dev/null | awk '{ print $2 }')
		[ -n "$version" ] && version_ge "$version" "$BINDGEN_MIN" || continue
		bindgen=$b
		break
	done
	if [ -z "$bindgen" ]; then
		[ -z "${OVS_RS_OFFLINE:-}" ] || die "no bindgen >= $BINDGEN_MIN; install with: cargo install bindgen-cli --locked"
		eval "$(find_cargo)"
		need cc:gcc /etc/ssl/certs/ca-certificates.crt:ca-certificates
		echo 'int main(void) { return 0; }' | cc -x c - -o /dev/null 2>/dev/null ||
			need /usr/lib/x86_64-linux-gnu/crti.o:libc6-dev
		root=$OVS_RS_CACHE/bindgen/$BINDGEN_PIN
		say "building bindgen $BINDGEN_PIN into the cache (3 minutes, once)"
		(PATH=$OVS_CARGO_PATH:$PATH CARGO_TARGET_DIR=$OVS_RS_CACHE/bindgen/target RUSTFLAGS='' MAKEFLAGS='' \
			cargo install bindgen-cli --version "$BINDGEN_PIN" --locked --root "$root" --quiet >&2) ||
			die "cannot build bindgen; install with: cargo install bindgen-cli --locked"
		rm -rf "$OVS_RS_CACHE/bindgen/target"
		bindgen=$root/bin/bindgen
	fi
	clang=$(clang_dir) || die "no libclang >= $CLANG_MIN; install with: apt-get install libclang1-$LIBCLANG_PACKAGE"
	case $clang in
	"$OVS_RS_CACHE"/*) # its libraries are in the cache as well
		b=$OVS_RS_CACHE/bindgen/run-$LIBCLANG_PACKAGE
		mkdir -p "$OVS_RS_CACHE/bindgen"
		printf '#!/bin/sh\nexport LD_LIBRARY_PATH="%s"\nexec "%s" "$@"\n' \
			"${clang%/llvm-*}/x86_64-linux-gnu:${clang%/usr/lib/*}/lib/x86_64-linux-gnu" "$bindgen" > "$b.$$"
		chmod +x "$b.$$"
		mv "$b.$$" "$b"
		bindgen=$b ;;
	esac
	# It loads libclang when it runs: a trial tells whether the two work together.
	b=$(mktemp -d)
	echo 'struct trial { int x; };' > "$b/trial.h"
	LIBCLANG_PATH=$clang "$bindgen" "$b/trial.h" 2>"$b/log" | grep -q 'struct trial' ||
		{ cat "$b/log" >&2; rm -rf "$b"; die "bindgen does not work with $clang; install with: apt-get install libclang1-$LIBCLANG_PACKAGE"; }
	rm -rf "$b"
	emit OVS_BINDGEN "$bindgen" LIBCLANG_PATH "$clang"
}

# ---- what was found last time ---------------------------------------------------------------------------
what=$1
case $what in rust | bindgen | cargo) ;; *) die "usage: toolchain.sh rust|bindgen|cargo" ;; esac
key=$({
	echo "$what ${OVS_RUSTC:-} ${OVS_CARGO:-} ${OVS_BINDGEN:-} ${LIBCLANG_PATH:-}"
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
"find_$what" > "$memo.$$" || { rm -f "$memo.$$"; exit 1; }
mv "$memo.$$" "$memo"
cat "$memo"
