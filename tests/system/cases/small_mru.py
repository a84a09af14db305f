# SPDX-License-Identifier: GPL-2.0
# title: packets to be cut into fragments that cannot be: every MRU from 1 to 100, options, extension headers, tags (A29, A30)
# module: ours
# timeout: 120
import itertools
import sys

from frames import *
from ovsnl import *
from wire import *

# From 20 to 27 bytes some kernels' ip_do_fragment() goes round for ever (6.12.95), with BH disabled: so does the stock module.
s = Sock()
DP0 = s.new_dp("dp0", 1000)
for n in (1, 2):
    veth("p%d" % n, "q%d" % n)
    s.new_port(DP0, "p%d" % n, n)
w2 = Wire("q2")
PUSH = a_push_vlan(0x1001)


def run(frame, mru, tags, n):
    r = s.execute(DP0, frame, [k_port(1)], [PUSH] * tags + [a_output(2)], attr(PACKET.MRU, u16(mru)))
    if r.errno:
        sys.exit("MRU %d: %s %s" % (mru, r.error, r.note))
    got = [f for f, _ in w2.drain(0)]
    while len(got) < n:
        more = w2.recv(0.3)
        if more is None:
            break
        got.append(more[0])
    return got


DATA = udp(bytes(range(200)))
for options, tags in itertools.product((0, 4, 40), (0, 1)):
    frame = eth(0x800, ipv4(17, DATA, options=b"\1" * options))
    for mru in range(1, 101):
        header = 20 + options
        room = (mru - header) & ~7
        n = -(-len(DATA) // room) if mru >= header + 8 else 0
        got = run(frame, mru, tags, n)
        at = 14 + 4 * tags + header
        if len(got) != n or n and b"".join(f[at:] for f in got) != DATA:
            sys.exit("options %d, tags %d, MRU %d: %d fragments instead of %d" % (options, tags, mru, len(got), n))
print("ipv4 ok")

# IPv6 is never cut below 1280 bytes, and not at all where the headers before the fragment header leave no room in that.
BIG = udp(bytes(range(250)) * 5, src="fd00::1", dst="fd00::2")
for tags, mru in itertools.product((0, 1), list(range(1, 101, 24)) + [1279, 1280, 1281, 1400]):
    got = run(eth(0x86dd, ipv6(17, BIG)), mru, tags, 2 if mru < 1300 else 1)
    if mru < 1290 and len(got) != 2 or any(len(f) > 14 + 4 * tags + max(mru, 1280) for f in got):
        sys.exit("ipv6, tags %d, MRU %d: %s" % (tags, mru, [len(f) for f in got]))
for extra in (*range(0, 145, 24), *range(148, 156), 200, 255):  # hop-by-hop options of 8 + 8n bytes; 1216 fit
    frame = eth(0x86dd, ipv6(HOP, ext(17, extra) + U6 + b"\0" * 100))
    length = 40 + 8 + 8 * extra
    for mru in (1, 40, 1280):
        got = run(frame, mru, 0, 0)
        if length + 16 > 1280 and got and len(frame) > mru + 14:
            sys.exit("ipv6 with %d bytes of headers, MRU %d: %s" % (length, mru, [len(f) for f in got]))
for cut in range(1, 75, 4):
    for mru in (1, 30, 1280):
        run(eth(0x86dd, ipv6(HOP, ext(DEST, 3) + ext(17) + U6)[:cut]), mru, 0, 0)
        run(eth(0x800, ipv4(17, DATA, options=b"\1" * 40)[:cut]), mru, 0, 0)
print("ipv6 ok")

# Longer than the device takes: IPv6's 1280, or a frame that is payload.
subprocess.run(["ip", "link", "set", "p2", "mtu", "600"], check=True)
got = run(eth(0x86dd, ipv6(17, BIG)), 576, 0, 0)
if any(len(f) > 614 for f in got):
    sys.exit("longer than the MTU: %s" % [len(f) for f in got])
print("mtu ok")
