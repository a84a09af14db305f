# SPDX-License-Identifier: GPL-2.0
# title: TCP and UDP through flows that rewrite addresses and ports, with and without offloads, IPv4 and IPv6
# timeout: 180
set -e
. $LIB/lib.sh
hosts h1 h2
ovs-dpctl add-dp dp0
ovs-dpctl add-if dp0 v-h1
ovs-dpctl add-if dp0 v-h2
flow() { ovs-dpctl add-flow dp0 "$1" "$2"; }
M1=02:00:00:00:00:01 M2=02:00:00:00:00:02
# h1 believes that it talks to 10.0.0.100 port 8080 (fd00::100); h2 sees a client 10.0.0.200 (fd00::200) at port 5001.
ip -n h1 neigh add 10.0.0.100 lladdr $M2 dev e0
ip -n h2 neigh add 10.0.0.200 lladdr $M1 dev e0
ip -n h1 neigh add fd00::100 lladdr $M2 dev e0
ip -n h2 neigh add fd00::200 lladdr $M1 dev e0
for p in 6,tcp 17,udp; do
	n=${p%,*} t=${p#*,} f=
	[ $t = tcp ] && f=',tcp_flags(0/0)'
	flow "in_port(1),eth(),eth_type(0x0800),ipv4(dst=10.0.0.100,proto=$n,frag=no),$t(dst=8080)$f" \
		"set(ipv4(src=10.0.0.200,dst=10.0.0.2)),set($t(dst=5001)),2"
	flow "in_port(2),eth(),eth_type(0x0800),ipv4(dst=10.0.0.200,proto=$n,frag=no),$t(src=5001)$f" \
		"set(ipv4(src=10.0.0.100,dst=10.0.0.1)),set($t(src=8080)),push_vlan(vid=5,pcp=0),pop_vlan,1"
	flow "in_port(1),eth(),eth_type(0x86dd),ipv6(dst=fd00::100,proto=$n,frag=no),$t(dst=8080)$f" \
		"set(ipv6(src=fd00::200,dst=fd00::2)),set($t(dst=5001)),2"
	flow "in_port(2),eth(),eth_type(0x86dd),ipv6(dst=fd00::200,proto=$n,frag=no),$t(src=5001)$f" \
		"set(ipv6(src=fd00::100,dst=fd00::1)),set($t(src=8080)),1"
done
head -c 1000000 /dev/urandom > blob
want=$(sha256sum < blob)
tcp() {
	ip netns exec h2 nc -l "$2" 5001 > got & local server=$!
	retry 10 ip netns exec h2 sh -c 'ss -ltn | grep -q :5001'
	timeout 60 ip netns exec h1 nc -N "$1" 8080 < blob || die "$3: transfer"
	wait $server
	[ "$(sha256sum < got)" = "$want" ] || die "$3: checksum"
	echo ":: $3: 1 MB"
}
udp() {
	timeout 10 ip netns exec h2 nc -u -l -W 1 "$2" 5001 > got & local server=$!
	retry 10 ip netns exec h2 sh -c 'ss -lun | grep -q :5001'
	echo "a datagram with its checksum" | timeout 10 ip netns exec h1 nc -u -w 1 "$1" 8080
	wait $server || true
	grep -q "a datagram with its checksum" got || die "$3: datagram"
}
for offload in on off; do
	for h in h1 h2; do
		ip netns exec $h ethtool -K e0 tx $offload tso $offload gso $offload gro $offload > /dev/null
		ethtool -K v-$h tx $offload tso $offload gso $offload gro $offload > /dev/null
	done
	tcp 10.0.0.100 10.0.0.2 "IPv4, offloads $offload"
	tcp fd00::100 fd00::2 "IPv6, offloads $offload"
	udp 10.0.0.100 10.0.0.2 "IPv4, offloads $offload"
	udp fd00::100 fd00::2 "IPv6, offloads $offload"
done
ovs-dpctl dump-flows -m dp0
for h in h1 h2; do
	! ip netns exec $h cat /proc/net/snmp /proc/net/snmp6 | grep -E '^(Udp|Tcp|Ip)6?InC?s?u?m?Errors.* [1-9]' || die "checksum errors in $h"
	ip netns exec $h nstat -az 2> /dev/null | grep -E 'CsumErrors|InErrs|InErrors' | grep -v ' 0  ' || true
done
