# SPDX-License-Identifier: GPL-2.0
# title: a truncated upcall of a GSO frame (B52: the stock modules of 5.10 and 6.12.95 panic here)
import os
import sys

from golden import Golden
from frames import *
from ovsnl import *
from wire import *

if os.environ["MODULE"] == "stock" and os.environ["KERNEL"].startswith(("5.10.", "6.12.")):
    print("the stock module of this kernel panics (CVE-2026-68123)")
    sys.exit(77)
g, s = Golden(), Sock()
up = Sock(pid=5555)
up.family("ovs_packet")
DP0 = s.new_dp("dp0", 1000, pid=5555, features=UNALIGNED)
veth("p1", "q1")
s.new_port(DP0, "p1", 1, NETDEV, 5555)
w1 = Wire("q1")
BIG = eth(0x800, ipv4(6, tcp(bytes(range(256)) * 8, flags=0x18, partial=True)))
KEY4 = [k_port(1), k_eth(), k_type(0x800), k_ipv4(proto=6), k_tcp(), k_tcp_flags(0x18)]
for keep in (100, 54, 60, 1000, 1054, 1055, 60000):
    s.new_flow(DP0, KEY4, [a_trunc(keep), a_user(5555)], [k_port(0xffffffff), k_type(0xffff)])
    w1.send(BIG, NEEDS_CSUM, GSO_TCPV4, 54, 1000, 34, 16)
    got = up.notifications("ovs_packet", 0.05)
    g.say("B52 keep %d" % keep, " ; ".join(text("ovs_packet", m, ("HASH",)) for m in got) or "nothing")
    s.flow(DEL, DP0)
g.finish()
