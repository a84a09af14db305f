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
# A sum at the end of a packet so long that headers in front of it would move its place beyond what 16 bits can say.
for d in ("p1", "q1"):
    subprocess.run(["ip", "link", "set", d, "mtu", "65535"], check=True)
LONG = FRAME + bytes(65500 - len(FRAME))
NSH = a_push_nsh(nsh_base(mdtype=2), attr(3, bytes(240)))
for n in (1, 4):
    s.flow(DEL, DP0)
    r = s.new_flow(DP0, KEY, [NSH] * n + [a_trunc(100), a_user(5555)], [k_port(0xffffffff), k_type(0xffff)])
    if r.errno:
        sys.exit("flow: %s %s" % (r.error, r.note))
    for start in range(64000, 65480, 37):
        w1.send(LONG, NEEDS_CSUM, start=start, offset=6)
    print("%d service headers: %d upcalls of %d" % (n, len(up.notifications("ovs_packet", 0.3)), len(range(64000, 65480, 37))))
s.flow(DEL, DP0)
# CT looks at the packet from its network header on, and puts fragments together there.
r = s.new_flow(DP0, [k_port(1), k_eth(), k_type(0x800), k_ipv4(frag=2)], [a_ct(), a_output(2)], [k_port(0xffffffff), k_type(0xffff)])
if r.errno:
    sys.exit("flow: %s %s" % (r.error, r.note))
WHOLE = udp(bytes(1600))
for start in (0, 34):
    for frag, part in ((0x2000, WHOLE[:1200]), (150, WHOLE[1200:])):
        try:
            w1.send(eth(0x800, ipv4(17, part, frag=frag)), NEEDS_CSUM, start=start, offset=16 if start == 0 else 6)
        except OSError as e:
            print("this kernel sends no fragment with such a sum:", e)
            break
    else:
        print("sum from %d on: %s" % (start, [len(f) for f, _ in w2.drain(0.5)]))
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
