# SPDX-License-Identifier: GPL-2.0
"""Frames by name: what a datapath meets, and what it should not trip over. Pure bytes."""

import struct

from ovsnl import MAC1, MAC2, be16, be32, ip4, ip6


def csum(data):
    if len(data) % 2:
        data += b"\0"
    n = sum(struct.unpack(">%dH" % (len(data) // 2), data))
    while n >> 16:
        n = (n & 0xffff) + (n >> 16)
    return ~n & 0xffff


def crc32c(data):
    crc = 0xffffffff
    for b in data:
        crc ^= b
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return struct.pack("<I", crc ^ 0xffffffff)


def eth(kind, payload, src=MAC1, dst=MAC2):
    return dst + src + be16(kind) + payload


def vlan(tci, kind, payload):
    return be16(tci) + be16(kind) + payload


def ipv4(proto, payload, src="10.0.0.1", dst="10.0.0.2", tos=0, ttl=64, frag=0, options=b"", total=None, ihl=None):
    n = 20 + len(options)
    head = struct.pack(">BBHHHBBH", 0x40 | (n // 4 if ihl is None else ihl), tos, n + len(payload) if total is None else total,
                       0x1234, frag, ttl, proto, 0) + ip4(src) + ip4(dst) + options
    return head[:10] + be16(csum(head)) + head[12:] + payload


def ipv6(proto, payload, src="fd00::1", dst="fd00::2", tclass=0, label=0, hlimit=64):
    return be32(6 << 28 | tclass << 20 | label) + be16(len(payload)) + bytes([proto, hlimit]) + ip6(src) + ip6(dst) + payload


def pseudo(src, dst, proto, n):
    if ":" in src:
        return ip6(src) + ip6(dst) + be32(n) + be32(proto)
    return ip4(src) + ip4(dst) + be16(proto) + be16(n)


def udp(data=b"hello, datapath!", s=1000, d=2000, src="10.0.0.1", dst="10.0.0.2", check=True):
    h = be16(s) + be16(d) + be16(8 + len(data))
    c = csum(pseudo(src, dst, 17, 8 + len(data)) + h + b"\0\0" + data) or 0xffff
    return h + be16(c if check else 0) + data


def tcp(data=b"", s=1000, d=2000, flags=0x02, src="10.0.0.1", dst="10.0.0.2", doff=5, options=b"", partial=False, seq=1, ack=2):
    h = be16(s) + be16(d) + be32(seq) + be32(ack) + be16(doff << 12 | flags) + be16(8192)
    tail = b"\0\0" + options + data
    if partial:  # the sum of the pseudo header only: hardware adds the rest
        c = ~csum(pseudo(src, dst, 6, len(h) + 2 + len(tail))) & 0xffff
    else:
        c = csum(pseudo(src, dst, 6, len(h) + 2 + len(tail)) + h + b"\0\0" + tail)
    return h + be16(c) + tail


def sctp(data=b"sctp" * 4, s=1000, d=2000):
    h = be16(s) + be16(d) + be32(7)
    return h + crc32c(h + b"\0\0\0\0" + data) + data


def icmp(kind=8, code=0, data=b"\0\1\0\1ping"):
    h = bytes([kind, code])
    return h + be16(csum(h + b"\0\0" + data)) + data


def icmpv6(kind=128, code=0, data=b"\0\1\0\1ping", src="fd00::1", dst="fd00::2"):
    h = bytes([kind, code])
    return h + be16(csum(pseudo(src, dst, 58, 4 + len(data)) + h + b"\0\0" + data)) + data


def arp(op=1, hrd=1, pro=0x800, hln=6, pln=4, sha=MAC1, tha=b"\0" * 6):
    return be16(hrd) + be16(pro) + bytes([hln, pln]) + be16(op) + sha + ip4("10.0.0.1") + tha + ip4("10.0.0.2")


def opt(kind, mac=MAC1, n=1):
    return bytes([kind, n]) + mac


def ext(following, n=0, body=None):
    """A hop-by-hop, routing or destination header of 8 + 8n bytes."""
    return bytes([following, n]) + (body if body is not None else b"\1\4" + b"\0" * (4 + 8 * n))


def frag6(following, offset=0, more=False):
    return bytes([following, 0]) + be16(offset << 3 | more) + be32(99)


def ah(following):
    return bytes([following, 4]) + b"\0\0" + be32(1) + be32(2) + b"\0" * 12


U6 = udp(src="fd00::1", dst="fd00::2")
T6 = tcp(src="fd00::1", dst="fd00::2")
HOP, ROUTE, FRAG, ESP, AH, NONE, DEST = 0, 43, 44, 50, 51, 59, 60
TARGET = ip6("fd00::2")


def nd(kind, options=b"", code=0):
    return eth(0x86dd, ipv6(58, icmpv6(kind, code, b"\0\0\0\0" + TARGET + options)))


def frames():
    f = {
        "udp": eth(0x800, ipv4(17, udp())), "udp no checksum": eth(0x800, ipv4(17, udp(check=False))),
        "udp options": eth(0x800, ipv4(17, udp(), options=b"\1" * 8)), "udp header cut": eth(0x800, ipv4(17, udp()[:7])),
        "udp padded": eth(0x800, ipv4(17, udp(b"x")) + b"\0" * 30), "tos ttl": eth(0x800, ipv4(17, udp(), tos=0xb9, ttl=1)),
        "tcp syn": eth(0x800, ipv4(6, tcp())), "tcp fin ack": eth(0x800, ipv4(6, tcp(flags=0x11))), "tcp all flags": eth(0x800, ipv4(6, tcp(flags=0xfff))),
        "tcp header cut": eth(0x800, ipv4(6, tcp()[:19])), "tcp doff 4": eth(0x800, ipv4(6, tcp(doff=4))), "tcp doff 15": eth(0x800, ipv4(6, tcp(doff=15))),
        "tcp options": eth(0x800, ipv4(6, tcp(doff=6, options=b"\2\4\5\xb4"))), "sctp": eth(0x800, ipv4(132, sctp())), "sctp cut": eth(0x800, ipv4(132, sctp()[:11])),
        "icmp echo": eth(0x800, ipv4(1, icmp())), "icmp unreachable": eth(0x800, ipv4(1, icmp(3, 1))), "icmp cut": eth(0x800, ipv4(1, icmp()[:7])),
        "igmp": eth(0x800, ipv4(2, b"\x16\0\0\0\xe0\0\0\1")), "gre": eth(0x800, ipv4(47, b"\0\0\x08\0" + b"\0" * 20)),
        "icmpv6 in ipv4": eth(0x800, ipv4(58, icmpv6())), "first fragment": eth(0x800, ipv4(17, udp(), frag=0x2000)),
        "middle fragment": eth(0x800, ipv4(17, udp(), frag=0x2005)), "last fragment": eth(0x800, ipv4(17, udp(), frag=5)),
        "dont fragment": eth(0x800, ipv4(17, udp(), frag=0x4000)), "ipv4 header cut": eth(0x800, ipv4(17, b"")[:19]), "ipv4 ihl 4": eth(0x800, ipv4(17, udp(), ihl=4)),
        "ipv4 ihl beyond": eth(0x800, ipv4(17, udp(b""), ihl=15)), "ipv4 no payload": eth(0x800, ipv4(17, b"")), "ipv4 total short": eth(0x800, ipv4(17, udp(), total=20)),
        "ipv4 version 6": eth(0x800, b"\x65" + ipv4(17, udp())[1:]), "arp request": eth(0x806, arp()), "arp reply": eth(0x806, arp(2, tha=MAC2)),
        "arp op 255": eth(0x806, arp(255)), "arp op 256": eth(0x806, arp(256)), "arp op 0x0101": eth(0x806, arp(0x101)), "arp other hardware": eth(0x806, arp(hrd=6)),
        "arp other protocol": eth(0x806, arp(pro=0x86dd)), "arp hln 8": eth(0x806, arp(hln=8)), "arp pln 6": eth(0x806, arp(pln=6)), "arp cut": eth(0x806, arp()[:27]),
        "rarp": eth(0x8035, arp(3)), "type 0x1234": eth(0x1234, b"\0" * 46), "type 0x600": eth(0x600, b"\0" * 46), "type 0x5ff": eth(0x5ff, b"\0" * 46),
        "802.2": eth(0x26, b"\x42\x42\3" + b"\0" * 43), "snap ip": eth(0x30, b"\xaa\xaa\3\0\0\0\x08\0" + ipv4(17, udp())),
        "snap other oui": eth(0x30, b"\xaa\xaa\3\0\0\1\x08\0" + ipv4(17, udp())), "snap type 0x100": eth(0x30, b"\xaa\xaa\3\0\0\0\1\0" + b"\0" * 40),
        "llc cut": eth(0x10, b"\xaa\xaa\3\0\0\0\x08"), "ethernet only": eth(0x1234, b""), "ipv4 nothing": eth(0x800, b""), "ipv6 nothing": eth(0x86dd, b""),
        "vlan": eth(0x8100, vlan(0x600a, 0x800, ipv4(17, udp()))), "vlan with CFI": eth(0x8100, vlan(0x700a, 0x800, ipv4(17, udp()))),
        "vlan 0": eth(0x8100, vlan(0, 0x800, ipv4(17, udp()))), "qinq": eth(0x88a8, vlan(0x64, 0x8100, vlan(0xa, 0x800, ipv4(17, udp())))),
        "vlan vlan": eth(0x8100, vlan(0x64, 0x8100, vlan(0xa, 0x86dd, ipv6(17, U6)))), "vlan thrice": eth(0x8100, vlan(1, 0x8100, vlan(2, 0x8100, vlan(3, 0x800, ipv4(17, udp()))))),
        "vlan cut": eth(0x8100, b"\0\x0a\x08"), "vlan only": eth(0x8100, vlan(5, 0x800, b"")), "inner vlan cut": eth(0x8100, vlan(5, 0x8100, b"\0\x06\x08")),
        "vlan 802.2": eth(0x8100, vlan(5, 0x26, b"\x42\x42\3" + b"\0" * 43)), "vlan arp": eth(0x8100, vlan(5, 0x806, arp())),
        "ipv6 udp": eth(0x86dd, ipv6(17, U6)), "ipv6 label tclass": eth(0x86dd, ipv6(17, U6, tclass=0xb9, label=0xfedcb, hlimit=1)), "ipv6 tcp": eth(0x86dd, ipv6(6, T6)),
        "ipv6 sctp": eth(0x86dd, ipv6(132, sctp())), "ipv6 echo": eth(0x86dd, ipv6(58, icmpv6())), "icmp in ipv6": eth(0x86dd, ipv6(1, icmp())),
        "ipv6 header cut": eth(0x86dd, ipv6(17, b"")[:39]), "ipv6 no payload": eth(0x86dd, ipv6(17, b"")), "ipv6 no next": eth(0x86dd, ipv6(NONE, b"")),
        "ipv6 udp cut": eth(0x86dd, ipv6(17, U6[:7])), "ipv6 unknown proto": eth(0x86dd, ipv6(200, b"\0" * 20)), "icmpv6 cut": eth(0x86dd, ipv6(58, icmpv6()[:7])),
        "hop": eth(0x86dd, ipv6(HOP, ext(17) + U6)), "route": eth(0x86dd, ipv6(ROUTE, ext(17) + U6)), "dest": eth(0x86dd, ipv6(DEST, ext(17) + U6)),
        "hop long": eth(0x86dd, ipv6(HOP, ext(17, 2) + U6)), "hop beyond": eth(0x86dd, ipv6(HOP, ext(17, 200) + U6)), "hop cut": eth(0x86dd, ipv6(HOP, b"\x11")),
        "hop dest route frag": eth(0x86dd, ipv6(HOP, ext(DEST) + ext(ROUTE) + ext(FRAG) + frag6(17, 0, True) + U6)),
        "dest route dest": eth(0x86dd, ipv6(DEST, ext(ROUTE) + ext(DEST) + ext(17) + U6)), "route hop": eth(0x86dd, ipv6(ROUTE, ext(HOP) + ext(17) + U6)),
        "hop hop": eth(0x86dd, ipv6(HOP, ext(HOP) + ext(17) + U6)), "dest dest": eth(0x86dd, ipv6(DEST, ext(DEST) + ext(17) + U6)),
        "dest dest dest": eth(0x86dd, ipv6(DEST, ext(DEST) + ext(DEST) + ext(17) + U6)), "route route": eth(0x86dd, ipv6(ROUTE, ext(ROUTE) + ext(17) + U6)),
        "frag first": eth(0x86dd, ipv6(FRAG, frag6(17, 0, True) + U6)), "frag atomic": eth(0x86dd, ipv6(FRAG, frag6(17) + U6)),
        "frag later": eth(0x86dd, ipv6(FRAG, frag6(17, 7) + U6)), "frag later more": eth(0x86dd, ipv6(FRAG, frag6(17, 7, True) + U6)), "frag cut": eth(0x86dd, ipv6(FRAG, frag6(17)[:5])),
        "frag then dest": eth(0x86dd, ipv6(FRAG, frag6(DEST, 0, True) + ext(17) + U6)), "frag later dest": eth(0x86dd, ipv6(FRAG, frag6(DEST, 3) + ext(17) + U6)),
        "dest then none": eth(0x86dd, ipv6(DEST, ext(NONE))), "dest no next": eth(0x86dd, ipv6(DEST, ext(NONE) + U6)),
        "nd solicitation": nd(135), "nd solicitation sll": nd(135, opt(1)), "nd solicitation tll": nd(135, opt(2)), "nd advertisement tll": nd(136, opt(2, MAC2)),
        "nd both": nd(136, opt(1) + opt(2, MAC2)), "nd sll twice": nd(135, opt(1) + opt(1)), "nd option length 0": nd(135, opt(1, n=0)), "nd option length 2": nd(135, opt(1, n=2)),
        "nd option beyond": nd(135, opt(1, n=255)), "nd other option then sll": nd(135, opt(14) + opt(1)), "nd sll then length 0": nd(135, opt(1) + opt(2, n=0)),
        "nd code 1": nd(135, opt(1), 1), "nd router": eth(0x86dd, ipv6(58, icmpv6(133, 0, b"\0\0\0\0" + opt(1)))),
        "nd cut": eth(0x86dd, ipv6(58, icmpv6(135, 0, b"\0\0\0\0" + TARGET[:15]))), "nd after dest": eth(0x86dd, ipv6(DEST, ext(58) + icmpv6(135, 0, b"\0\0\0\0" + TARGET + opt(1)))),
        "nd in vlan": eth(0x8100, vlan(5, 0x86dd, ipv6(58, icmpv6(135, 0, b"\0\0\0\0" + TARGET + opt(1))))),
        "multicast": eth(0x800, ipv4(17, udp()), dst=b"\1\0\x5e\0\0\1"), "broadcast": eth(0x806, arp(), dst=b"\xff" * 6),
        "1500 bytes": eth(0x800, ipv4(17, udp(bytes(range(256)) * 5 + b"\0" * 192))),
    }
    return f


# The order rules of AH and ESP were corrected after 6.12 (spec 0.6): the stock module is no judge.
def frames_ipsec():
    return {
        "ah": eth(0x86dd, ipv6(AH, ah(17) + U6)), "esp": eth(0x86dd, ipv6(ESP, b"\0" * 32)), "dest ah": eth(0x86dd, ipv6(DEST, ext(AH) + ah(17) + U6)),
        "ah dest": eth(0x86dd, ipv6(AH, ah(DEST) + ext(17) + U6)), "frag ah": eth(0x86dd, ipv6(FRAG, frag6(AH, 0, True) + ah(17) + U6)),
        "ah esp": eth(0x86dd, ipv6(AH, ah(ESP) + b"\0" * 16)),
    }
