# SPDX-License-Identifier: GPL-2.0
# title: two namespaces, one megaflow each way by ovs-dpctl: ping passes, counters move
set -e
. $LIB/lib.sh
hosts h1 h2
ovs-dpctl add-dp dp0
ovs-dpctl add-if dp0 v-h1
ovs-dpctl add-if dp0 v-h2
ovs-dpctl show dp0
ovs-dpctl add-flow dp0 "in_port(1),eth(),eth_type(0x0806),arp()" 2
ovs-dpctl add-flow dp0 "in_port(2),eth(),eth_type(0x0806),arp()" 1
ovs-dpctl add-flow dp0 "in_port(1),eth(),eth_type(0x0800),ipv4(frag=no)" 2
ovs-dpctl add-flow dp0 "in_port(2),eth(),eth_type(0x0800),ipv4(frag=no)" 1
ip netns exec h1 ping -q -c 5 -i 0.2 -W 2 10.0.0.2
ovs-dpctl dump-flows dp0
ovs-dpctl show dp0 | tee show
grep -q "flows: 4" show
ovs-dpctl dump-flows dp0 | grep 0x0800 | grep -q "packets:[4-9]"
