# SPDX-License-Identifier: GPL-2.0
# title: after any pushing and popping of tags SET and fragments find the L3 header (A21, A22, A30; the stock module of 6.12 does not)
# module: ours
# timeout: 120
import itertools
import sys

from frames import *
from ovsnl import *
from wire import *

# On some kernels skb_vlan_push() lets the network header's mark point at the tag that it has put into the frame.
s = Sock()
DP0 = s.new_dp("dp0", 1000)
for n in (1, 2):
    veth("p%d" % n, "q%d" % n)
    s.new_port(DP0, "p%d" % n, n)
w2 = Wire("q2")
STEPS = {"a": (a_push_vlan(0x1001), (0x8100, 1)), "b": (a_push_vlan(0x7002, 0x88a8), (0x88a8, 0x6002)), "-": (a_pop_vlan(), None)}


def frame(tags, kind, l3):
    """`tags`: (tpid, tci), outermost first."""
    out = MAC2 + MAC1
    for tpid, tci in tags:
        out += be16(tpid) + be16(tci)
    return out + be16(kind) + l3


def after(tags, steps):
    for step in steps:
        tag = STEPS[step][1]
        tags = [tag] + tags if tag else tags[1:]
    return tags


def drained(n):
    got = [f for f, _ in w2.drain(0)]
    return got + [f for f, _ in w2.drain(0.3)] if len(got) < n else got


KINDS = {
    "ipv4": (0x800, ipv4(17, udp()), a_set(k_ipv4("10.9.8.7", "10.9.8.6", 17, 0x2e, 9)),
             ipv4(17, udp(src="10.9.8.7", dst="10.9.8.6"), src="10.9.8.7", dst="10.9.8.6", tos=0x2e, ttl=9)),
    "ipv6": (0x86dd, ipv6(17, U6), a_set(k_ipv6("fd11::1", "fd11::2", 0x54321, 17, 0x2e, 9)),
             ipv6(17, udp(src="fd11::1", dst="fd11::2"), src="fd11::1", dst="fd11::2", tclass=0x2e, label=0x54321, hlimit=9)),
}
bad = 0
SEQUENCES = [q for n in range(4) for q in itertools.product("ab-", repeat=n)] + [tuple(q) for q in ("aaaa", "abab", "aab-", "ab--", "aaaa----a")]
for (name, (kind, before, change, changed)), had in itertools.product(KINDS.items(), ([], [(0x8100, 5)], [(0x88a8, 6), (0x8100, 7)])):
    wanted, sent = [], []
    for steps in SEQUENCES:
        r = s.execute(DP0, frame(had, kind, before), [k_port(1)], [STEPS[q][0] for q in steps] + [change, a_output(2)])
        if r.errno:
            sys.exit("%s, %d tags, %s: %s %s" % (name, len(had), "".join(steps), r.error, r.note))
        wanted.append(frame(after(had, steps), kind, changed))
        sent += drained(len(wanted) - len(sent))
    for steps, want, got in zip(SEQUENCES, wanted, sent):
        if want != got:
            bad += 1
            if bad < 10:
                print("%s, %d tags, then %s:\n  want %s\n  got  %s" % (name, len(had), "".join(steps), want.hex(), got.hex()))
    if len(sent) != len(wanted):
        sys.exit("%s, %d tags: %d frames instead of %d" % (name, len(had), len(sent), len(wanted)))
    print("%s, %d tags: %d sequences" % (name, len(had), len(sent)))

PAYLOAD = bytes(range(256)) * 8
FRAGMENTED = {
    "ipv4": (0x800, ipv4(17, udp(PAYLOAD[:1300])), 20, 576),
    "ipv6": (0x86dd, ipv6(17, udp(PAYLOAD[:1400], src="fd00::1", dst="fd00::2")), 48, 1280),
}
# With DEI (0x1000), which the stock module clears in fragments (A30).
HAD = [("", []), ("a", []), ("aa", []), ("aba", []), ("aab-", []), ("abab", []), ("ab--", []), ("aaaa--", []),
       ("", [(0x8100, 0x7005)]), ("", [(0x88a8, 0x3006), (0x8100, 0x7005)]), ("-", [(0x88a8, 0x3006), (0x8100, 0x7005)])]
for (name, (kind, l3, header, mru)), (steps, had) in itertools.product(FRAGMENTED.items(), HAD):
    r = s.execute(DP0, frame(had, kind, l3), [k_port(1)], [STEPS[q][0] for q in steps] + [a_output(2)], attr(PACKET.MRU, u16(mru)))
    got, tags = drained(2), after(had, steps)
    start = frame(tags, kind, b"")
    whole = b"".join(f[len(start) + header:] for f in got)
    if r.errno or len(got) < 2 or any(not f.startswith(start) for f in got) or whole != l3[40 if kind == 0x86dd else 20:]:
        bad += 1
        print("%s with %d tags in fragments after %s: %s, %d frames: %s" % (name, len(had), steps or "nothing", r.error, len(got), [f[:60].hex() for f in got]))
    if any(len(f) - len(start) > mru for f in got):
        sys.exit("%s: a fragment longer than %d" % (name, mru))
if bad:
    sys.exit("%d differ" % bad)
print("fragments ok")
