#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# ovs-tools.sh: prints a directory with ovsdb-server, ovsdb-tool, ovs-vsctl, ovs-ofctl, ovs-appctl, ovs-vswitchd and
# vswitch.ovsschema for the tests: Debian 12's packages, unpacked into the cache and run by their own C library. Nothing
# of the machine is changed.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tools/lib.sh

apt_bookworm || die "no package lists of Debian 12; OVS_TOOLS= names a directory with Open vSwitch's programs instead"
version=$(apt-cache "${APT[@]}" policy openvswitch-switch | sed -n 's/^ *Candidate: *//p')
dir=$OVS_RS_CACHE/ovs-tools/$version
exec 9>"$OVS_RS_CACHE/ovs-tools.lock"
flock 9
if [ ! -e "$dir/bin/.ready" ]; then
	say "fetching Open vSwitch $version into the cache (15 MB, once)"
	# The programs and the libraries that they need, no scripts and their interpreters.
	plan=$(apt_plan openvswitch-switch | grep -E '^(openvswitch-(common|switch)|lib[a-z0-9.+-]*|zlib1g)=' |
		grep -vE '^(libperl|libpython|libsystemd|libgdbm|libdb|libsqlite|libreadline|libncurses)')
	debs=$(apt_fetch $plan) || die "cannot fetch Open vSwitch $version"
	rm -rf "$dir"
	unpack "$dir/root" $debs
	mkdir -p "$dir/bin"
	for program in usr/sbin/ovsdb-server usr/bin/ovsdb-tool usr/bin/ovs-vsctl usr/bin/ovs-ofctl usr/bin/ovs-appctl \
		usr/lib/openvswitch-switch/ovs-vswitchd; do
		starter "$dir/bin/${program##*/}" "$dir/root" "$dir/root/$program"
	done
	cp "$dir/root/usr/share/openvswitch/vswitch.ovsschema" "$dir/bin/"
	for program in ovsdb-server ovsdb-tool ovs-vsctl ovs-ofctl ovs-appctl ovs-vswitchd; do
		"$dir/bin/$program" --version >/dev/null || die "$program does not run; see $dir"
	done
	touch "$dir/bin/.ready"
fi
printf '%s\n' "$dir/bin"
