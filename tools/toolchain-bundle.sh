#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# toolchain-bundle.sh make [OUT] | unpack FILE DIR [SHA256]
#
# For a build host that has no Rust, no network and an old C library, such as a DDK VM: rustc, the sources of its `core`, bindgen and
# libclang in one file, which `make` puts together of Debian's packages (apt checks them against Debian's signatures; MANIFEST in it
# lists them with their sums). Each program brings the C library and the loader that it was built for, so that the host's do not matter.
#
# unpack: checks FILE against SHA256, or else against the FILE.sha256 that lies beside it, unpacks it into DIR and tries both compilers.
# The build takes what is in toolchain/ beside the sources, or in OVS_TOOLCHAIN (tools/toolchain.sh); the spec file unpacks it there when
# it lies in SOURCES.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"

# program DIR NAME: DIR/bin/NAME runs DIR/NAME/usr/bin/NAME with the C library that is beside it, wherever DIR is by then.
program() {
	mkdir -p "$1/bin"
	cat > "$1/bin/$2" <<-END
		#!/bin/sh
		d=\$(dirname "\$(readlink -f "\$0")")/../$2
		lib=\$d/lib/x86_64-linux-gnu:\$d/usr/lib/x86_64-linux-gnu
		for loader in "\$d/lib/x86_64-linux-gnu" "\$d/usr/lib/x86_64-linux-gnu"; do
			[ ! -x "\$loader/ld-linux-x86-64.so.2" ] || exec "\$loader/ld-linux-x86-64.so.2" --library-path "\$lib" "\$d/usr/bin/$2" "\$@"
		done
		echo "openvswitch: no C library in \$d; unpack the toolchain again" >&2
		exit 1
	END
	chmod 755 "$1/bin/$2"
}

# libraries: of a plan ("name=version" lines), the programs and what they load.
libraries() {
	grep -E "^($1|lib[a-z0-9.+-]*|zlib1g)=" | grep -vE '^(lib[a-z]*san[0-9]|libgomp|libitm|libatomic|libquadmath|libcc1|libgprofng|libbinutils|libctf|libgc1|libobjc|[^=]*-dev|libc-dev-bin|libtirpc|libnsl|libkrb5|libk5crypto|libgssapi|libcom-err|libkeyutils|libssl|libcrypt1)'
}

add() { # DIR DEB...: unpacks packages, and notes what they were.
	local dir=$1 deb
	shift
	mkdir -p "$dir"
	for deb; do
		dpkg-deb -x "$deb" "$dir"
		printf '%s %s %s\n' "$(dpkg-deb -f "$deb" Package)" "$(dpkg-deb -f "$deb" Version)" "$(sha256sum < "$deb" | cut -d' ' -f1)" >> "$dir/../MANIFEST"
	done
	rm -rf "$dir"/usr/bin/rustdoc "$dir"/usr/share "$dir"/usr/lib/x86_64-linux-gnu/gconv "$dir"/etc "$dir"/sbin "$dir"/usr/sbin
}

trial() { # DIR: do both compilers run?
	local t rc=0 said
	t=$(mktemp -d)
	echo 'struct trial { int x; };' > "$t/trial.h"
	{ said=$("$1/bin/rustc" -vV) && [[ $said == *"release: $(cat "$1/VERSION")"* ]] &&
		said=$(LIBCLANG_PATH=$(echo "$1"/bindgen/usr/lib/llvm-*/lib) "$1/bin/bindgen" --rust-target 1.85 "$t/trial.h") &&
		[[ $said == *'struct trial'* ]]; } || { printf '%s\n' "$said" >&2; rc=1; }
	rm -rf "$t"
	return $rc
}

bundle() { # OUT
	local out=$1 plan debs src version file
	need dpkg-deb:dpkg gzip:gzip
	mkdir -p "$out" 2>/dev/null && [ -w "$out" ] || die "cannot write to $out"
	t=$(mktemp -d "$(realpath "$out")/toolchain.XXXXXX") # not local: it is removed when all has ended
	trap 'rm -rf "$t"' EXIT
	mkdir "$t/toolchain"
	say "fetching Debian's rustc, its sources, bindgen and libclang (170 MB, once)"
	apt_bookworm || die "cannot read Debian's package lists through /etc/apt"
	plan=$(apt_plan rustc-web rust-web-src)
	debs=$(apt_fetch $(libraries rustc-web <<<"$plan")) || die "cannot fetch rustc"
	add "$t/toolchain/rustc" $debs
	src=$(apt_fetch $(grep '^rust-web-src=' <<<"$plan")) || die "cannot fetch the sources of core"
	mkdir "$t/toolchain/core"
	dpkg-deb --fsys-tarfile "$src" | tar -x -C "$t/toolchain/core" --strip-components=4 --wildcards './usr/src/*/library/core/*' \
		'./usr/src/*/library/stdarch/crates/*' './usr/src/*/library/portable-simd/crates/*'
	printf '%s %s %s\n' rust-web-src "$(dpkg-deb -f "$src" Version)" "$(sha256sum < "$src" | cut -d' ' -f1)" >> "$t/toolchain/MANIFEST"
	apt_trixie || die "cannot read Debian's package lists through /etc/apt"
	debs=$(apt_fetch $(apt_plan bindgen | libraries bindgen)) || die "cannot fetch bindgen"
	add "$t/toolchain/bindgen" $debs
	program "$t/toolchain" rustc
	program "$t/toolchain" bindgen
	version=$("$t/toolchain/bin/rustc" -vV | sed -n 's/^release: \([0-9.]*\).*/\1/p')
	echo "$version" > "$t/toolchain/VERSION"
	trial "$t/toolchain" || die "what was put together does not run"
	file=openvswitch-toolchain-$version-x86_64.tar.gz
	# The same packages give the same bytes.
	tar -c -C "$t" --format=gnu --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --mode='u+rwX,go+rX,go-w,a-s' toolchain |
		gzip -n > "$t/$file"
	(cd "$t" && sha256sum "$file" > "$file.sha256")
	mv "$t/$file" "$t/$file.sha256" "$out/"
	say "made $out/$file, sha256 $(cut -d' ' -f1 "$out/$file.sha256"); copy it and $file.sha256 to SOURCES of the build host"
}

unpack_bundle() { # FILE DIR [SHA256]
	local file=$1 dir=$2 sum=${3:-}
	[ -r "$file" ] || die "no file $file"
	if [ -z "$sum" ]; then
		sum=$(cut -d' ' -f1 "$file.sha256" 2>/dev/null || :)
		[ -n "$sum" ] || die "no $file.sha256; copy it from where make toolchain ran, or give the sum that it printed"
	fi
	[ "$(sha256sum < "$file" | cut -d' ' -f1)" = "$sum" ] || die "$file is not what make toolchain made: its SHA-256 is not $sum; copy it again"
	new=$dir.new # not local: it is removed when all has ended
	trap 'rm -rf "$new"' EXIT
	rm -rf "$new"
	mkdir -p "$new" 2>/dev/null || die "cannot write to $dir"
	tar -x -f "$file" -C "$new" --strip-components=1 2>/dev/null ||
		die "$file is nothing that tar and gzip unpack; is it the file that make toolchain made, and is there room in $new?"
	trial "$dir.new" || die "the compilers in $file do not run here; they need x86_64 and Linux 3.2"
	rm -rf "$dir"
	mv "$dir.new" "$dir"
	say "unpacked rustc $(cat "$dir/VERSION") and bindgen into $dir"
}

case ${1:-} in
make) bundle "${2:-out}" ;;
unpack) [ $# -ge 3 ] || die "usage: toolchain-bundle.sh unpack FILE DIR [SHA256]"; unpack_bundle "$2" "$3" "${4:-}" ;;
*) die "usage: toolchain-bundle.sh make [OUT] | unpack FILE DIR [SHA256]" ;;
esac
