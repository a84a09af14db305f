#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# kunit-kernel.sh um|x86_64 [SANITIZER...]
#
# Prints the build directory of a Linux 7.3 with CONFIG_RUST and CONFIG_KUNIT: of Debian's source package, configured by
# kunit/{net,um,x86_64}.config and, for each SANITIZER, kunit/<it>.config. Built once and kept in the cache; built anew as far as need be
# when the source, the configuration or the compilers are others. With kasan by clang, as CONFIG_RUST does not go with KASAN under gcc.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/lib.sh
arch=$1
shift
fragments=(kunit/net.config "kunit/$arch.config")
sanitizers=$(cd kunit && ls ./*.config | sed -E 's|./(.*).config|\1|' | grep -vxE 'net|um|x86_64' | tr '\n' ' ')
for sanitizer; do
	case " $sanitizers" in *" $sanitizer "*) ;; *) die "no sanitizer $sanitizer; SAN= takes one of $sanitizers" ;; esac
	fragments+=("kunit/$sanitizer.config")
done

need gcc:gcc make:make flex:flex bison:bison bc:bc xz:xz-utils /usr/include/gelf.h:libelf-dev /usr/include/openssl/err.h:libssl-dev
# cargo's half of the toolchain has the std of the host, which the kernel's own macros and scripts are compiled against.
assignments=$(tools/toolchain.sh rust && tools/toolchain.sh cargo && tools/toolchain.sh bindgen)
eval "$assignments"
cc=gcc
case " $* " in *" kasan "*)
	assignments=$(tools/toolchain.sh clang)
	eval "$assignments"
	cc=$OVS_CLANG
	;;
esac

# ---- the source ------------------------------------------------------------------------------------------
apt_trixie || die "cannot read Debian's package lists through /etc/apt; KDIR= names a kernel tree of your own"
version=$(apt-cache "${APT[@]}" policy linux-source-7.3 | sed -n 's/^ *Candidate: *//p')
[ -n "$version" ] || die "no linux-source-7.3 in the package lists of Debian's trixie-backports ($APT_DIR/lists)"
kunit=$OVS_RS_CACHE/kunit
source=$kunit/linux-${version//\~/-}
mkdir -p "$kunit"
exec 9>"$kunit/lock"
flock 9
if [ ! -e "$source/.ready" ]; then
	say "fetching the source of Linux $version into the cache (150 MB, once)"
	deb=$(apt_fetch "linux-source-7.3=$version") || die "cannot download linux-source-7.3"
	rm -rf "$source"
	mkdir -p "$source"
	# Other architectures' and the largest drivers' files are of no use here.
	dpkg-deb --fsys-tarfile "$deb" | tar -xO --wildcards './usr/src/linux-source-*.tar.xz' |
		tar -xJ -C "$source" --strip-components=1 --exclude='*/arch/arm*/boot/dts' --exclude='*/drivers/gpu/drm/*/*.h' \
			--exclude='*/drivers/gpu/drm/*/*.c' --exclude='*/tools/testing/selftests' --exclude='*/sound/*.c'
	rm -f "$deb"
	touch "$source/.ready"
fi
exec 9>&-

# ---- the kernel --------------------------------------------------------------------------------------------
# One directory, whatever the fragments say today: Kbuild makes anew what a change of them concerns.
name=$arch${*:+-$(IFS=-; echo "$*")}
dir=$kunit/$name-${version//\~/-}
exec 9>"$dir.lock"
flock 9
made_of=$({ echo "$version"; cat "${fragments[@]}"; "$OVS_RUSTC" -V; "$OVS_BINDGEN" --version; "$cc" --version; } | sha256sum | cut -c1-16)
if [ "$(cat "$dir/.made-of" 2>/dev/null || :)" != "$made_of" ]; then
	say "building Linux $version for $name (15 minutes of CPU, once); log: $dir.log"
	# What the sanitizer does not concern need not be compiled again.
	plain=$kunit/$arch-${version//\~/-}
	[ -e "$dir" ] || [ "$cc" != gcc ] || [ ! -e "$plain/.made-of" ] || { rm -rf "$dir.new" && cp -a "$plain" "$dir.new" && mv "$dir.new" "$dir"; }
	mkdir -p "$dir"
	rm -f "$dir/.made-of"
	cat "${fragments[@]}" > "$dir/fragment"
	kmake() {
		env -u MAKEFLAGS -u MFLAGS -u O -u CC -u KERNELRELEASE make -C "$source" O="$dir" ARCH="$arch" CC="$cc" RUSTC="$OVS_RUSTC" \
			BINDGEN="$OVS_BINDGEN" RUST_LIB_SRC="$OVS_CORE_SRC" KCONFIG_ALLCONFIG="$dir/fragment" -j"$(nproc)" "$@" >> "$dir.log" 2>&1 || {
			tail -n 25 "$dir.log" >&2
			die "the kernel cannot be built; all of it: $dir.log"
		}
	}
	: > "$dir.log"
	kmake allnoconfig
	# What a fragment asks for, and Kconfig did not give, would make suites pass without having looked.
	# The last word of the fragments about an option counts.
	missing=$(awk -F= '/^CONFIG_/ { said[$1] = $0 } END { for (o in said) print said[o] }' "$dir/fragment" | sort | grep -vxFf "$dir/.config" || :)
	[ -z "$missing" ] || die "Kconfig does not give what kunit/*.config ask for: $missing"
	kmake
	echo "$made_of" > "$dir/.made-of"
fi
printf '%s\n' "$dir"
