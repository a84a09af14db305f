# SPDX-License-Identifier: GPL-2.0
# title: no device is asked for a sum that was cut off with TRUNC or gone with a header, and nothing is logged of it (A28, Q18)
# module: ours
import subprocess
import sys

from frames import *
from ovsnl import *
from wire import *

# Of the stock module's packets the kernel says "offset (34) >= skb_headlen() (14)", once, and shows the packet.
s = Sock()
up = Sock(pid=5555)
up.family("ovs_packet")
DP0 = s.new_dp("dp0", 1000, pid=5555, features=UNALIGNED)
for n in (1, 2):
    veth("p%d" % n, "q%d" % n)
    s.new_port(DP0, "p%d" % n, n, NETDEV, 5555)
subprocess.run("ethtool -K p2 tx off".split(), check=True, stdout=subprocess.DEVNULL)
w1, w2 = Wire("q1"), Wire("q2")
FRAME = eth(0x800, ipv4(6, tcp(bytes(range(100)), flags=0x18, partial=True)))
KEY = [k_port(1), k_eth(), k_type(0x800), k_ipv4(proto=6), k_tcp(), k_tcp_flags(0x18)]
for keep in (14, 34, 50, 51, 52, 60):
    s.new_flow(DP0, KEY, [a_trunc(keep), a_output(2)], [k_port(0xffffffff), k_type(0xffff)])
    w1.send(FRAME, NEEDS_CSUM, start=34, offset=16)
    got = w2.recv(1)
    if not got or len(got[0]) != keep or got[0][:50] != FRAME[:min(keep, 50)]:
        sys.exit("keep %d: %s" % (keep, got))
    s.flow(DEL, DP0)
# A sum over the MAC addresses, which are the tag's place when that has left, and of which no one is told but userspace.
TAGGED = FRAME[:12] + b"\x81\0\0\7" + FRAME[12:]
try:
    w1.send(TAGGED, NEEDS_CSUM, start=2, offset=20)
except OSError as e:
    print("this kernel sends no packet with such a sum:", e)
    sys.exit(0)
told = up.notifications("ovs_packet", 0.5)
if len(told) != 1:
    sys.exit("%d upcalls" % len(told))
