#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# fetch-kernel.sh 5.10|6.1|6.12|7.3|RELEASE
#
# Prints the directory of headers of a kernel of Debian: 5.10 is the cloud kernel of bullseye, 6.1 that of bookworm, 6.12 that
# of bookworm-backports, 7.3 that of trixie-backports; RELEASE any other of these suites, cloud or not (6.1.0-56-amd64). The
# packages are unpacked into the cache, not installed, so that what is built does not depend on what the machine has.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
name=$1

case $name in
5.10 | 5.10.*) suite=bullseye ;;
6.1 | 6.1.*) suite=bookworm ;;
7.3 | *+deb13*) suite=trixie ;;
*) suite=backports ;;
esac
"apt_$suite" || case $name in
5.10 | 6.1 | 6.12 | 7.3) die "cannot read Debian's package lists through /etc/apt; name a directory of headers with KDIR=" ;;
*) die "no headers of kernel $name; install with: apt-get install linux-headers-$name" ;;
esac
case $name in
5.10 | 6.1) package=linux-headers-cloud-amd64 ;;
6.12) package=linux-headers-cloud-amd64/bookworm-backports ;;
7.3) package=linux-headers-cloud-amd64/trixie-backports ;;
*) package=linux-headers-$name ;;
esac

# Asking apt takes seconds; its answer holds as long as its lists do.
memo=$OVS_RS_CACHE/headers/$name.is
if [ -e "$memo" ] && [ "$memo" -nt "$APT_DIR/lists" ] && [ -e "$(cat "$memo")/Makefile" ]; then
	cat "$memo"
	exit 0
fi

# The meta package names the release; two other packages carry the common half and the tools.
exec 9>"$OVS_RS_CACHE/headers.lock"
flock 9
all=$(apt_plan "$package" || :)
plan=$(grep -E '^linux-(headers-[0-9]|kbuild-|base)' <<<"$all" | grep -v '^linux-base=' || :)
release=$(awk -F= '/^linux-headers-/ && $1 !~ /-common$/ { print substr($1, 15); exit }' <<<"$plan")
[ -n "$release" ] || die "no headers of kernel $name in the package lists of Debian's $suite ($APT_DIR/lists: remove them to have" \
	"them read again); KVER= takes 5.10, 6.1, 6.12, 7.3 or a whole release (6.1.0-56-amd64), KDIR= any headers"
dir=$OVS_RS_CACHE/headers/$(printf '%s\n' "$plan" | sed -n "s/^linux-headers-$release=\(.*\)/$release-\1/p" | tr '~' -)
kdir=$dir/usr/src/linux-headers-$release
mkdir -p "$OVS_RS_CACHE/headers"
if [ ! -e "$dir/.ready" ]; then
	say "fetching the headers of $release (once)"
	debs=$(apt_fetch $plan) || die "cannot download the headers of $release"
	rm -rf "$dir"
	unpack "$dir" $debs
	# Debian's Makefile includes the common one by an absolute path.
	grep -rlI '/usr/\(src\|lib\)/linux-' "$kdir/Makefile" "$dir"/usr/src/*-common*/Makefile 2>/dev/null |
		xargs -r sed -i "s|/usr/src/linux-|$dir/usr/src/linux-|g; s|/usr/lib/linux-|$dir/usr/lib/linux-|g"
	# Its tools may need a newer C library than the machine's: they get their own suite's.
	older=$(find "$dir"/usr/lib/linux-kbuild*/ -type f -perm -1 -exec sh -c \
		'ldd "$1" 2>&1 | grep -q "version .GLIBC_.* not found" && printf "%s\n" "$1"' _ {} \; || :)
	if [ -n "$older" ]; then
		debs=$(apt_fetch $(grep -E '^(libc6|libelf1(t64)?|zlib1g|libzstd1)=' <<<"$all")) || die "cannot download the C library for $release"
		unpack "$dir/libc" $debs
		for tool in $older; do
			mv "$tool" "$tool.elf"
			starter "$tool" "$dir/libc" "$tool.elf"
		done
	fi
	touch "$dir/.ready"
fi
printf '%s\n' "$kdir" | tee "$memo"
