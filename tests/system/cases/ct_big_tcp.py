# SPDX-License-Identifier: GPL-2.0
# title: an IPv6 TCP aggregate without a payload length (BIG TCP without its option) is tracked and sent whole (C6)
# module: ours
import sys

from frames import *
from ovsnl import *
from wire import *

s = Sock()
dp = s.new_dp("dp0", 1000)
for n in (1, 2):
    veth("p%d" % n, "q%d" % n, 2000)
    s.new_port(dp, "p%d" % n, n)
w1, w2 = Wire("q1"), Wire("q2")
six = ipv6(6, tcp(bytes(range(256)) * 8, flags=0x18, src="fd00::1", dst="fd00::2", partial=True))
six = six[:4] + b"\0\0" + six[6:]
key = [k_port(1), k_eth(), k_type(0x86dd), k_ipv6(proto=6), k_tcp(), k_tcp_flags(0x18)]
r = s.new_flow(dp, key, [a_ct(), a_output(2)], [k_port(0xffffffff), k_type(0xffff)])
if r.errno:
    sys.exit(r.error)
w1.send(eth(0x86dd, six), flags=NEEDS_CSUM, start=54, offset=16, gso=GSO_TCPV6, header=74, size=1000)
out = [len(f) for f, _ in w2.drain(0.5)]
if out != [14 + len(six)]:
    sys.exit("cut or lost: %s" % out)
s.dp(DEL, dp)
