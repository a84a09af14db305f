# SPDX-License-Identifier: GPL-2.0
# title: fragments with L2 headers of different lengths do not become a packet: nobody wrote its L2 header (C6)
# module: ours
# append: slub_debug=FZP
# timeout: 120
import sys

from frames import *
from ovsnl import *

s, up = Sock(), Sock(pid=5555)
up.family("ovs_packet")
dp = s.new_dp("dp0", 1000)
whole = udp(b"z" * 256)
ONE, TWO = ipv4(17, whole[:104], frag=0x2000), ipv4(17, whole[104:], frag=13)
FRAME = eth(0x800, TWO)
TAGGED = eth(0x8100, vlan(5, 0x8100, vlan(6, 0x800, ONE)))
L3 = [k_port(0), k_type(0x800)]
# skb_vlan_push() warns of a MAC header that is not where the data start.
TAGS = [a_push_vlan(0x1007), a_push_vlan(0x1008)]
for label, first_key, one, key, two, acts, errno in (
    ("no header, then one", L3, ONE, [k_port(0)], FRAME, [], "EINVAL"),
    ("tags, then none", [k_port(0)], TAGGED, [k_port(0)], FRAME, TAGS, "EINVAL"),
    ("a header, then none", [k_port(0)], eth(0x800, ONE), L3, TWO, [], "EINVAL"),
    ("headers", [k_port(0)], eth(0x800, ONE), [k_port(0)], FRAME, TAGS, "OK"),
    ("none", L3, ONE, L3, TWO, [], "OK"),
):
    first = s.execute(dp, one, first_key, [a_ct()])
    last = s.execute(dp, two, key, [a_ct()] + acts + [a_user(5555)])
    got = [m.get(PACKET.PACKET) for m in up.notifications("ovs_packet", 0.1)]
    print(label, first.error, last.error, [p.hex() for p in got])
    if first.errno or last.error != errno or len(got) != (errno == "OK"):
        sys.exit(label)
s.dp(DEL, dp)
