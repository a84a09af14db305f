#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# dist.sh [OUT [LOCKFILE...]]
#
# Makes OUT/openvswitch-VERSION.tar.gz (out): the tracked files, the crates that the tests need (vendor/), the RPM spec with the
# version in it and Debian's changelog, which says no more than the version; with LOCKFILEs the crates of
# these only. What is unpacked from it builds without network, git and autotools. The same commit gives the same bytes: names
# sorted, owners and modes made equal, times those of the commit.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/lib.sh
out=${1:-out}
[ $# = 0 ] || shift
version=$(cat VERSION)
[[ $version =~ ^[0-9][0-9A-Za-z.+~]*$ ]] ||
	die "'$version' in the file VERSION is no version: digits, letters and . + ~ (a dash would end the version in an RPM's name)"
git rev-parse --show-toplevel >/dev/null 2>&1 && [ "$(git rev-parse --show-toplevel)" -ef . ] ||
	die "make dist needs the git repository; this is an unpacked tarball or another's subdirectory"
need tar:tar gzip:gzip
# cargo wants the number in each manifest; it must be the same.
while read -r manifest; do
	grep -qx "version = \"$version\"" "$manifest" || die "$manifest has another version than the file VERSION, $version"
done < <(git ls-files userspace-shim/Cargo.toml userspace-shim/kernel/Cargo.toml 'xenserver/*Cargo.toml')
git diff-index --quiet HEAD -- || say "not committed: $(git diff-index --name-only HEAD -- | wc -l) files; the tarball has them as they are here"

mkdir -p "$out" 2>/dev/null && [ -w "$out" ] || die "cannot write to $out"
out=$(realpath "$out")
name=openvswitch-$version
t=$(mktemp -d "$out/dist.XXXXXX")
trap 'rm -rf "$t"' EXIT
mkdir "$t/$name"
git ls-files -z | while IFS= read -r -d '' f; do [ ! -e "$f" ] || printf '%s\0' "$f"; done |
	tar -c --null -T - | tar -x -C "$t/$name"

# One directory of crates for all workspaces that are built offline; benches and fuzzing are not.
assignments=$(tools/toolchain.sh cargo)
eval "$assignments"
manifests=() log=$t/vendor.log
while read -r lock; do manifests+=(--sync "${lock%.lock}.toml"); done < <(git ls-files "${@:-*Cargo.lock}" | grep -vE '/(benches|fuzz)/')
PATH=$OVS_CARGO_PATH:$PATH cargo vendor --locked --versioned-dirs --manifest-path "${manifests[@]:1}" "$t/$name/vendor" >"$log" 2>&1 || {
	tail -n 5 "$log" >&2
	die "cannot fetch the crates that Cargo.lock names; they come from crates.io, once"
}
mkdir -p "$t/$name/.cargo"
cat > "$t/$name/.cargo/config.toml" <<'END'
# Written by make dist: cargo takes the crates from vendor/ and asks no network.
[source.crates-io]
replace-with = "vendored"

[source.vendored]
directory = "vendor"
END
sed "s/@VERSION@/$version/g" xenserver/openvswitch-xen.spec.in > "$t/$name/xenserver/openvswitch-xen.spec"
# Debian's tools take version and time from it.
printf '%s\n' "openvswitch-modules ($version) unstable; urgency=medium" '' "  * What has changed is in CHANGELOG.md." '' \
	" -- $(sed -n 's/^Maintainer: //p' debian/control)  $(git log -1 --date=rfc2822 --format=%cd)" > "$t/$name/debian/changelog"

tar -c -C "$t" --format=gnu --sort=name --mtime="@$(git log -1 --format=%ct)" --owner=0 --group=0 --numeric-owner \
	--mode='u+rwX,go+rX,go-w,a-s' "$name" | gzip -n > "$t/tar.gz"
mv "$t/tar.gz" "$out/$name.tar.gz"
say "made $out/$name.tar.gz, sha256 $(sha256sum < "$out/$name.tar.gz" | cut -d' ' -f1)"
