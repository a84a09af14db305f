# SPDX-License-Identifier: GPL-2.0
# title: two hosts talk through a bridge of an unchanged ovs-vswitchd: ping, 20 MB over TCP, VLAN, IPv6
# group: check
# timeout: 240
. $LIB/lib.sh
set -o pipefail

say() { printf '\n# %s\n' "$*"; }
x() { printf '$ %s\n' "$*"; "$@" || die "$*"; }

say "The kernel, and the module that is going to forward"
x uname -srv
file=$(modinfo -F filename openvswitch)
sum=$(sha256sum < "$file" | cut -d' ' -f1)
symbols=$(grep -c '[[:space:]]_R.*\[openvswitch\]' /proc/kallsyms)
x modinfo -F description openvswitch
x modinfo -F filename openvswitch
echo "sha256             $sum"
echo "srcversion         $(cat /sys/module/openvswitch/srcversion 2>/dev/null || echo '(none)')"
id=$(od -An -tx1 -j16 /sys/module/openvswitch/notes/.note.gnu.build-id | tr -d ' \n')
echo "build id running   $id"
taint=O
! grep -q '^CONFIG_MODULE_SIG=y' /guest/config || taint=OE
echo "module taint       '$(cat /sys/module/openvswitch/taint)' (O: built out of tree; E: unsigned, where the kernel knows signatures)"
echo "symbols            $(grep -c '\[openvswitch\]' /proc/kallsyms), of which $symbols compiled from Rust"
od -An -v -tx1 "$file" | tr -d ' \n' | grep -q "${id:-none}" || die "the loaded module is not the file"
[ "$(modinfo -F srcversion openvswitch)" = "$(cat /sys/module/openvswitch/srcversion 2>/dev/null)" ] ||
	die "the loaded module is not the file: srcversion"
case $MODULE in
ours)
	[ "$sum" = "$KO_SHA256" ] || die "not the module that was built"
	[ "$symbols" -gt 0 ] || die "no Rust in the loaded module"
	[ "$(cat /sys/module/openvswitch/taint)" = $taint ] || die "module taint"
	echo "=> openvswitch.ko in Rust" ;;
stock)
	[ "$symbols" = 0 ] || die "Rust in the stock module"
	echo "=> the stock C module, on request" ;;
esac

say "Debian's own Open vSwitch"
x ovs-vswitchd --version
start_ovs || die "Open vSwitch did not start"
x ovs-vsctl add-br br0
hosts h1 h2
x ovs-vsctl add-port br0 v-h1 -- add-port br0 v-h2
x ovs-vsctl show

# transfer ADDRESS TITLE: 20 MB from h1 to h2, checksums compared
head -c 20000000 /dev/urandom > blob
want=$(sha256sum < blob)
transfer() {
	say "20 MB over TCP to $1 ($2)"
	ip netns exec h2 nc -l "$1" 5001 > got & local server=$! began=$(date +%s%N)
	retry 5 ip netns exec h2 sh -c 'ss -ltn | grep -q :5001' || die "no listener"
	timeout 100 ip netns exec h1 nc -N "$1" 5001 < blob || die "transfer to $1"
	wait $server || die "receiver of $1"
	echo "sent     $want"
	echo "received $(sha256sum < got)  ($(stat -c %s got) bytes, $((($(date +%s%N) - began) / 1000000)) ms)"
	[ "$(sha256sum < got)" = "$want" ] || die "checksums differ"
	rm got
}

say "IPv4"
x ip netns exec h1 ping -c 3 -i 0.3 -W 5 10.0.0.2
transfer 10.0.0.2 "IPv4"
say "IPv6"
x ip netns exec h1 ping -c 3 -i 0.3 -W 5 fd00::2
transfer fd00::2 "IPv6"

say "VLAN: h1 on an access port of VLAN 10, h2 on a trunk with a VLAN device"
x ovs-vsctl set port v-h1 tag=10
ip -n h2 link add link e0 name e0.10 type vlan id 10
ip -n h2 addr add 10.0.10.2/24 dev e0.10
ip -n h2 link set e0.10 up
ip -n h1 addr add 10.0.10.1/24 dev e0
# ovs-vswitchd's revalidators take the flows from before away, after ovs-vsctl has returned.
apart() { ! ip netns exec h1 ping -q -c 1 -W 1 10.0.0.2 > /dev/null; }
retry 10 apart || die "the VLAN does not separate"
x ip netns exec h1 ping -c 3 -i 0.3 -W 5 10.0.10.2
transfer 10.0.10.2 "through push_vlan and pop_vlan"

say "The datapath"
# Flows leave that are idle for 10 s, or when ovs-vswitchd finds itself too slow to look at them.
flows_of_a_ping() {
	ip netns exec h1 ping -q -c 1 -W 5 10.0.10.2 > /dev/null
	ovs-appctl dpctl/dump-flows > flows
	grep -q 'push_vlan(vid=10' flows && grep -q pop_vlan flows
}
retry 20 flows_of_a_ping || { cat flows; die "no flow with push_vlan, or none with pop_vlan"; }
echo '$ ovs-appctl dpctl/dump-flows'
cat flows
x ovs-dpctl show | tee show
hit=$(sed -n 's/.*lookups: hit:\([0-9]*\) .*/\1/p' show)
lost=$(sed -n 's/.*lost:\([0-9]*\).*/\1/p' show)
[ "${hit:-0}" -gt 1000 ] || die "packets did not take the kernel's path: hit:$hit"
[ "$lost" = 0 ] || die "lost upcalls: $lost"
stop_ovs || die "stop"

say "Warnings and errors of ovs-vswitchd (but that emulation is slow)"
ovs_log_clean || die "ovs-vswitchd complained"
echo none
say "What the kernel said"
dmesg --notime | grep -E 'openvswitch|BUG|WARNING|Oops|Call Trace' || true
say "All good: the module is unloaded next, and the kernel log checked once more"
