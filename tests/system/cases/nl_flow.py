# SPDX-License-Identifier: GPL-2.0
# title: ovs_flow family: keys, masks, actions, UFIDs, notifications, dumps (F, K, A1-A7, A16-A18, E4)
# timeout: 120
import itertools
import os
import subprocess

from golden import Golden
from ovsnl import *

g, s = Golden(), Sock(pid=4242)
other = Sock(pid=4243)
DP0 = s.new_dp("dp0", 1000)
for i in (1, 2, 3):
    subprocess.run(["ip", "link", "add", "d%d" % i, "index", str(2000 + i), "type", "dummy"], check=True)
    s.new_port(DP0, "d%d" % i, i)


def flow(label, cmd, *attrs, later=False, flags=0, dp=DP0):
    return g.reply(label, "ovs_flow", s.flow(cmd, dp, *attrs, flags=flags), later=later)


def key(*a):
    return nest(FLOW.KEY, *a)


def mask(*a):
    return nest(FLOW.MASK, *a)


def acts(*a):
    return nest(FLOW.ACTIONS, *a)


def ufid(b):
    return attr(FLOW.UFID, b)


def ufid_flags(n):
    return attr(FLOW.UFID_FLAGS, u32(n))


def dump(label, *attrs, later=False):
    r = s.dump("ovs_flow", DP0, *attrs)
    r.messages.sort(key=lambda m: m.data)
    g.reply(label, "ovs_flow", r, later=later)


def flush():
    r = s.flow(DEL, DP0)
    if r.errno:
        raise SystemExit("flush: " + r.error)


def stats(label):
    m = s.dp(GET, DP0).messages[0]
    g.say(label, "flows=%d masks=%d" % (struct.unpack("=4Q", m.get(DP.STATS))[3],
                                        struct.unpack_from("=QI", m.get(DP.MEGAFLOW_STATS))[1]))


IP = [k_port(1), k_eth(), k_type(0x800), k_ipv4(), k_udp()]
U1, U2 = bytes(range(16)), bytes(range(16, 32))
ECHO = NLM_F_ECHO

# ---- commands (F1-F11) -------------------------------------------------------------------------
dump("dump of no flows")
flow("F1 nothing", NEW)
flow("F1 no actions", NEW, key(*IP))
flow("F1 no key", NEW, acts())
flow("F1 unknown dp", NEW, key(*IP), acts(), dp=4711)
flow("F1 bad key and unknown dp", NEW, key(), acts(), dp=4711)
flow("F4 new without CREATE: inserted", NEW, key(*IP), acts(a_output(2)), flags=ECHO)
flow("F4 again without CREATE: modified", NEW, key(*IP), acts(a_output(3)), flags=ECHO)
flow("F4 again with CREATE", NEW, key(*IP), acts(a_output(3)), flags=NLM_F_CREATE)
flow("F4 again with EXCL", NEW, key(*IP), acts(a_output(3)), flags=NLM_F_EXCL)
flow("F4 again with UFID and CREATE", NEW, ufid(U1), key(*IP), acts(a_output(3)), flags=NLM_F_CREATE)
flow("F4 again with UFID", NEW, ufid(U1), key(*IP), acts(a_output(1)), flags=ECHO)
flow("F8 get by key", GET, key(*IP))
flow("F8 get by other key", GET, key(k_port(2), *IP[1:]))
flow("F8 get by nothing", GET)
flow("F8 get by bad key", GET, key(k_eth()[:-1]))
flow("F8 get by unknown UFID", GET, ufid(U1))
flow("F7 set actions", SET, key(*IP), acts(a_output(2), a_output(3)), flags=ECHO)
flow("F7 set nothing", SET)
flow("F7 set actions without key", SET, ufid(U1), acts(a_output(1)))
flow("F7 set without actions", SET, key(*IP), flags=ECHO)
flow("F7 set clear", SET, key(*IP), attr(FLOW.CLEAR), flags=ECHO)
flow("F7 set unknown", SET, key(k_port(2), *IP[1:]), acts())
flow("F7 set to drop", SET, key(*IP), acts(), flags=ECHO)
flow("F7 set bad actions", SET, key(*IP), acts(attr(99)))
flow("F7 actions unchanged", GET, key(*IP))
stats("T16 one flow")
flow("F9 delete unknown", DEL, key(k_port(2), *IP[1:]))
flow("F9 delete", DEL, key(*IP), flags=ECHO)
flow("F9 delete again", DEL, key(*IP))
stats("T16 none")
flow("F9 flush of none", DEL, flags=ECHO)
flow("F9 flush of unknown dp", DEL, dp=4711)

# UFIDs
M = [k_port(0xffffffff), k_eth(b"\0" * 6, b"\xff" * 6), k_type(0xffff), attr(KEY.IPV4, b"\0" * 8 + b"\xff\0\0\xff")]
flow("F2 new by UFID", NEW, ufid(U1), key(*IP), mask(*M), acts(a_output(2)), flags=ECHO)
flow("F10 get by UFID", GET, ufid(U1))
for n in range(8):
    flow("F10 get by UFID, flags %d" % n, GET, ufid(U1), ufid_flags(n))
flow("F10 unknown flags", GET, ufid(U1), ufid_flags(0x80))
flow("F2 get by its key", GET, key(*IP))
flow("F2 get by UFID and other key", GET, ufid(U1), key(k_port(3), *IP[1:]))
flow("F2 get by UFID and bad key", GET, ufid(U1), key())
flow("F4 new, same UFID, same masked key, no CREATE", NEW, ufid(U1), key(*IP), mask(*M), acts(a_output(3)), flags=ECHO)
flow("F4 new, same UFID, other key, no CREATE", NEW, ufid(U1), key(k_port(3), *IP[1:]), mask(*M), acts())
flow("F4 new, same UFID, other key, CREATE", NEW, ufid(U1), key(k_port(3), *IP[1:]), mask(*M), acts(), flags=NLM_F_CREATE)
flow("F4 new, other UFID, key in the megaflow, CREATE", NEW, ufid(U2), key(*IP), mask(*M), acts(), flags=NLM_F_CREATE)
flow("F7 set by UFID, key and actions", SET, ufid(U1), key(*IP), acts(a_output(1)), flags=ECHO)
flow("F7 set by UFID, clear", SET, ufid(U1), attr(FLOW.CLEAR), flags=ECHO)
flow("UFID of 1", NEW, ufid(b"x"), key(k_port(2), *IP[1:]), mask(*M), acts(a_output(3)), flags=ECHO)
flow("UFID of 15", NEW, ufid(b"y" * 15), key(k_port(3), *IP[1:]), mask(*M), acts(a_output(3)), flags=ECHO)
flow("UFID of 17 is no UFID", NEW, ufid(b"z" * 17), key(k_port(4), *IP[1:]), mask(*M), acts(a_output(3)), flags=ECHO)
flow("UFID of 0", NEW, ufid(b""), key(k_port(5), *IP[1:]), mask(*M), acts(a_output(3)), flags=ECHO)
flow("N5 UFID_FLAGS of 3", GET, ufid(U1), attr(FLOW.UFID_FLAGS, b"abc"))
flow("N5 UFID_FLAGS of 8", GET, ufid(U1), attr(FLOW.UFID_FLAGS, b"\0" * 8))
flow("N5 CLEAR with payload", SET, ufid(U1), attr(FLOW.CLEAR, b"abcd"))
flow("N5 PROBE with payload", GET, ufid(U1), attr(FLOW.PROBE, b"abcd"))
dump("F11 dump")
for n in (1, 2, 4, 7):
    dump("F11 dump with flags %d" % n, ufid_flags(n))
stats("T16 four flows, one mask")
flow("F9 delete by UFID", DEL, ufid(U1), flags=ECHO)
flow("F9 delete by UFID, terse", DEL, ufid(b"x"), ufid_flags(7), flags=ECHO)
flow("F9 delete by UFID again", DEL, ufid(U1))
other.join("ovs_flow")
flow("N9 new, one listener", NEW, key(*IP), acts(a_output(2)))
flow("N9 delete, one listener", DEL, key(*IP))
flow("N9 flush, one listener", DEL)
g.say("N9 heard", " ; ".join(text("ovs_flow", m) for m in other.notifications("ovs_flow")))
other.close()
stats("T16 after flush")

# ---- keys without a mask, round trip (K1-K10, E4) -------------------------------------------------
E = [k_port(1), k_eth()]
V6 = E + [k_type(0x86dd)]
ROUND = {
    "802.2": E, "type 0x1234": E + [k_type(0x1234)], "no port": [k_eth(), k_type(0x1234)],
    "type 0x5ff": E + [k_type(0x5ff)], "type 0x600": E + [k_type(0x600)],
    "no ethernet, type (L3)": [k_port(1), k_type(0x800), k_ipv4(), k_udp()], "nothing": [], "only port": [k_port(1)],
    "port 65534": [k_port(65534)] + IP[1:], "port 65535": [k_port(65535)] + IP[1:],
    "metadata": [k_prio(3), k_mark(4), k_recirc(5), k_hash(6)] + IP,
    "arp": E + [k_type(0x806), k_arp()], "rarp": E + [k_type(0x8035), k_arp(op=3)],
    "arp op 255": E + [k_type(0x806), k_arp(op=255)], "arp op 256": E + [k_type(0x806), k_arp(op=256)],
    "arp missing": E + [k_type(0x806)], "ipv4 missing": E + [k_type(0x800)], "ipv6 missing": V6,
    "ipv4 udp missing": E + [k_type(0x800), k_ipv4()], "ipv4 proto 0": E + [k_type(0x800), k_ipv4(proto=0)],
    "ipv4 proto 47": E + [k_type(0x800), k_ipv4(proto=47)],
    "ipv4 first fragment": E + [k_type(0x800), k_ipv4(frag=1), k_udp()],
    "ipv4 first fragment without udp": E + [k_type(0x800), k_ipv4(frag=1)],
    "ipv4 later fragment": E + [k_type(0x800), k_ipv4(frag=2)],
    "ipv4 later fragment with udp": E + [k_type(0x800), k_ipv4(frag=2), k_udp()],
    "ipv4 frag 3": E + [k_type(0x800), k_ipv4(frag=3)], "ipv4 tos ttl": E + [k_type(0x800), k_ipv4(tos=255, ttl=1), k_udp()],
    "tcp": E + [k_type(0x800), k_ipv4(proto=6), k_tcp(), k_tcp_flags(0x12)],
    "tcp without flags": E + [k_type(0x800), k_ipv4(proto=6), k_tcp()],
    "tcp flags above 12 bits": E + [k_type(0x800), k_ipv4(proto=6), k_tcp(), k_tcp_flags(0xf012)],
    "tcp flags without tcp": E + [k_type(0x800), k_ipv4(proto=6), k_tcp_flags(2)],
    "sctp": E + [k_type(0x800), k_ipv4(proto=132), k_sctp()], "icmp": E + [k_type(0x800), k_ipv4(proto=1), k_icmp()],
    "icmpv6 in ipv4": E + [k_type(0x800), k_ipv4(proto=58), k_icmpv6()],
    "udp and tcp": E + [k_type(0x800), k_ipv4(), k_udp(), k_tcp()],
    "arp in ipv4": E + [k_type(0x800), k_ipv4(), k_udp(), k_arp()], "ipv4 in arp": E + [k_type(0x806), k_arp(), k_ipv4()],
    "ipv4 in type 0x1234": E + [k_type(0x1234), k_ipv4(), k_udp()],
    "ipv6 udp": V6 + [k_ipv6(), k_udp()], "ipv6 tcp": V6 + [k_ipv6(proto=6), k_tcp(), k_tcp_flags(2)],
    "ipv6 sctp": V6 + [k_ipv6(proto=132), k_sctp()],
    "ipv6 label": V6 + [k_ipv6(label=0xfffff), k_udp()], "ipv6 label 21 bits": V6 + [k_ipv6(label=0x100000), k_udp()],
    "ipv6 later fragment": V6 + [k_ipv6(proto=44, frag=2)], "ipv6 frag 3": V6 + [k_ipv6(frag=3), k_udp()],
    "ipv6 no next header": V6 + [k_ipv6(proto=59)],
    "icmpv6 echo": V6 + [k_ipv6(proto=58), k_icmpv6()], "icmpv6 missing": V6 + [k_ipv6(proto=58)],
    "nd 135": V6 + [k_ipv6(proto=58), k_icmpv6(135), k_nd()], "nd 136": V6 + [k_ipv6(proto=58), k_icmpv6(136), k_nd(tll=MAC2)],
    "nd 135 missing": V6 + [k_ipv6(proto=58), k_icmpv6(135)], "nd 135 code 1": V6 + [k_ipv6(proto=58), k_icmpv6(135, 1), k_nd()],
    "nd with echo": V6 + [k_ipv6(proto=58), k_icmpv6(), k_nd()], "icmp in ipv6": V6 + [k_ipv6(proto=1), k_icmp()],
    "exthdrs": V6 + [k_ipv6(), k_udp(), attr(KEY.IPV6_EXTHDRS, u16(8))],
    "exthdrs in ipv4": IP + [attr(KEY.IPV6_EXTHDRS, u16(8))],
    "vlan": E + [k_type(0x8100), k_vlan(0x100a), k_encap(k_type(0x800), k_ipv4(), k_udp())],
    "vlan 802.1ad": E + [k_type(0x88a8), k_vlan(0xf00a), k_encap(k_type(0x800), k_ipv4(), k_udp())],
    "vlan without CFI": E + [k_type(0x8100), k_vlan(0x000a), k_encap(k_type(0x800), k_ipv4(), k_udp())],
    "vlan 0, encap empty": E + [k_type(0x8100), k_vlan(0), k_encap()],
    "vlan 0, encap not empty": E + [k_type(0x8100), k_vlan(0), k_encap(k_type(0x800), k_ipv4(), k_udp())],
    "vlan CFI, encap empty": E + [k_type(0x8100), k_vlan(0x1000), k_encap()],
    "vlan without encap": E + [k_type(0x8100), k_vlan(0x100a)], "encap without vlan": E + [k_type(0x8100), k_encap(k_type(0x1234))],
    "vlan attribute on 0x1234": E + [k_type(0x1234), k_vlan(0x100a)],
    "encap attribute on 0x1234": E + [k_type(0x1234), k_encap()],
    "vlan type alone": E + [k_type(0x8100)], "vlan without type": E + [k_vlan(0x100a), k_encap(k_type(0x1234))],
    "vlan, no ethernet": [k_port(1), k_type(0x8100), k_vlan(0x100a), k_encap(k_type(0x1234))],
    "vlan twice": E + [k_type(0x88a8), k_vlan(0x1064), k_encap(k_type(0x8100), k_vlan(0x100a), k_encap(
        k_type(0x800), k_ipv4(), k_udp()))],
    "vlan twice, inner 0": E + [k_type(0x88a8), k_vlan(0x1064), k_encap(k_type(0x8100), k_vlan(0), k_encap())],
    "vlan thrice": E + [k_type(0x8100), k_vlan(0x1001), k_encap(k_type(0x8100), k_vlan(0x1002), k_encap(
        k_type(0x8100), k_vlan(0x1003), k_encap(k_type(0x1234))))],
    "vlan twice and type 0x8100": E + [k_type(0x8100), k_vlan(0x1001), k_encap(k_type(0x8100), k_vlan(0x1002), k_encap(
        k_type(0x8100)))],
    "encap repeats port": E + [k_type(0x8100), k_vlan(0x100a), k_encap(k_type(0x1234), k_port(1))],
    "encap repeats ethernet": E + [k_type(0x8100), k_vlan(0x100a), k_encap(k_type(0x1234), k_eth())],
    "encap with metadata": E + [k_type(0x8100), k_vlan(0x100a), k_encap(k_type(0x1234), k_prio(1))],
    "ipv4 outside encap": E + [k_type(0x8100), k_vlan(0x100a), k_encap(k_type(0x800)), k_ipv4(), k_udp()],
    "802.2 in vlan": E + [k_type(0x8100), k_vlan(0x100a), k_encap()],
}
LSE = be32(0x00064140)
T_ID, T_SRC, T_DST = attr(TUNNEL.ID, b"\0" * 7 + b"\5"), attr(TUNNEL.IPV4_SRC, ip4("1.1.1.1")), attr(TUNNEL.IPV4_DST, ip4("2.2.2.2"))
T_SRC6, T_DST6 = attr(TUNNEL.IPV6_SRC, ip6("::1")), attr(TUNNEL.IPV6_DST, ip6("::2"))
T_TTL, T_TOS = attr(TUNNEL.TTL, b"\x40"), attr(TUNNEL.TOS, b"\x08")
T_FLAGS = [attr(TUNNEL.DF), attr(TUNNEL.CSUM), attr(TUNNEL.OAM)]
T_PORTS = [attr(TUNNEL.TP_SRC, be16(1000)), attr(TUNNEL.TP_DST, be16(4789))]
GBP = nest(TUNNEL.VXLAN_OPTS, attr(1, u32(0x10203)))


def geneve(n, b=b"\5"):
    return attr(TUNNEL.GENEVE_OPTS, b * n)


def erspan(n, b=None):
    return attr(TUNNEL.ERSPAN_OPTS, bytes(range(1, n + 1)) if b is None else b * n)


BRIDGE = attr(TUNNEL.INFO_BRIDGE)
# 2.2, K13 to K16
TUNNELS = {
    "tunnel": [T_ID, T_SRC, T_DST, T_TTL], "all": [T_ID, T_SRC, T_DST, T_TOS, T_TTL] + T_FLAGS + T_PORTS,
    "all backwards": T_PORTS[::-1] + T_FLAGS[::-1] + [T_TTL, T_TOS, T_DST, T_SRC, T_ID], "least": [T_DST, T_TTL],
    "ttl 0": [T_DST, attr(TUNNEL.TTL, b"\0")], "no ttl": [T_ID, T_DST], "no address": [T_ID, T_TTL], "src only": [T_SRC, T_TTL],
    "dst 0": [attr(TUNNEL.IPV4_DST, b"\0" * 4), T_TTL], "empty": [], "ipv6": [T_ID, T_SRC6, T_DST6, T_TTL], "ipv6 src only": [T_SRC6, T_TTL],
    "ipv6 dst 0": [attr(TUNNEL.IPV6_DST, b"\0" * 16), T_TTL], "ipv4 and ipv6": [T_DST, T_DST6, T_TTL], "ipv4 src, ipv6": [T_SRC, T_DST6, T_TTL],
    "tos twice": [T_TOS, attr(TUNNEL.TOS, b"\4"), T_DST, T_TTL], "pad": [attr(TUNNEL.PAD), T_DST, T_TTL],
    "pad 4": [attr(TUNNEL.PAD, b"\0" * 4), T_DST, T_TTL], "type 17": [attr(17), T_DST, T_TTL], "id short": [attr(TUNNEL.ID, b"\1" * 7), T_DST, T_TTL],
    "flag with payload": [attr(TUNNEL.CSUM, b"\1"), T_DST, T_TTL], "trailing": [T_DST, T_TTL, b"\1\2\3"],
    "geneve 0": [T_DST, T_TTL, geneve(0)], "geneve 4": [T_DST, T_TTL, geneve(4)], "geneve 6": [T_DST, T_TTL, geneve(6)],
    "geneve 8": [T_DST, T_TTL, geneve(8)], "geneve 36": [T_DST, T_TTL, geneve(36)], "geneve 252": [T_DST, T_TTL, geneve(252)],
    "geneve 255": [T_DST, T_TTL, geneve(255)], "geneve 256": [T_DST, T_TTL, geneve(256)], "geneve twice": [T_DST, T_TTL, geneve(4), geneve(4)],
    "gbp": [T_DST, T_TTL, GBP], "gbp ipv6": [T_DST6, T_TTL, GBP], "gbp empty": [T_DST, T_TTL, nest(TUNNEL.VXLAN_OPTS)],
    "gbp short": [T_DST, T_TTL, nest(TUNNEL.VXLAN_OPTS, attr(1, b"\1\2"))], "vxlan ext 2": [T_DST, T_TTL, nest(TUNNEL.VXLAN_OPTS, attr(2, u32(1)))],
    "vxlan trailing": [T_DST, T_TTL, attr(TUNNEL.VXLAN_OPTS, b"\1\2")], "gbp and geneve": [T_DST, T_TTL, GBP, geneve(4)],
    "erspan 12": [T_DST, T_TTL, erspan(12)], "erspan 4": [T_DST, T_TTL, erspan(4)], "erspan 1": [T_DST, T_TTL, erspan(1)],
    "erspan 20": [T_DST, T_TTL, erspan(20)], "erspan 255": [T_DST, T_TTL, erspan(255, b"\7")], "erspan 256": [T_DST, T_TTL, erspan(256, b"\7")],
    "bridge": [BRIDGE], "bridge with id": [BRIDGE, T_ID], "bridge with ttl": [BRIDGE, T_TTL], "bridge with ttl 0": [BRIDGE, attr(TUNNEL.TTL, b"\0")],
    "bridge with dst": [BRIDGE, T_DST], "bridge with flag": [BRIDGE, attr(TUNNEL.OAM)], "bridge with gbp": [BRIDGE, GBP], "bridge with ipv6": [BRIDGE, T_DST6],
}
for label, t in TUNNELS.items():
    ROUND["tunnel, " + label if label != "tunnel" else label] = [nest(KEY.TUNNEL, *t)] + IP
# MPLS, NSH
ROUND.update({
    "mpls 1": E + [k_type(0x8847), attr(KEY.MPLS, LSE)], "mpls 3": E + [k_type(0x8848), attr(KEY.MPLS, LSE * 3)],
    "mpls 2": E + [k_type(0x8847), attr(KEY.MPLS, LSE * 2)], "mpls 4": E + [k_type(0x8847), attr(KEY.MPLS, LSE * 4)],
    "mpls 0": E + [k_type(0x8847), attr(KEY.MPLS)], "mpls 6 bytes": E + [k_type(0x8847), attr(KEY.MPLS, b"\1" * 6)],
    "mpls, no labels": E + [k_type(0x8847)], "mpls, L3": [k_port(1), k_type(0x8847), attr(KEY.MPLS, LSE)],
    "nsh": E + [k_type(0x894f), nest(KEY.NSH, attr(1, b"\0\x3f\1\1\0\0\1\1"), attr(2, b"\1" * 16))],
    "nsh type 2": E + [k_type(0x894f), nest(KEY.NSH, attr(1, b"\0\x3f\2\1\0\0\1\1"))],
    "nsh type 2, md1": E + [k_type(0x894f), nest(KEY.NSH, attr(1, b"\0\x3f\2\1\0\0\1\1"), attr(2, b"\1" * 16))],
    "nsh type 1, no md1": E + [k_type(0x894f), nest(KEY.NSH, attr(1, b"\0\x3f\1\1\0\0\1\1"))],
    "nsh md2": E + [k_type(0x894f), nest(KEY.NSH, attr(1, b"\0\x3f\2\1\0\0\1\1"), attr(3, b"\1" * 4))],
    "nsh empty": E + [k_type(0x894f), nest(KEY.NSH)], "nsh, none": E + [k_type(0x894f)],
    "nsh base short": E + [k_type(0x894f), nest(KEY.NSH, attr(1, b"\1" * 4))], "nsh type 4": E + [k_type(0x894f), nest(KEY.NSH, attr(4))],
    "nsh base twice": E + [k_type(0x894f), nest(KEY.NSH, attr(1, b"\1" * 8), attr(1, b"\2" * 8))],
    "nsh trailing": E + [k_type(0x894f), nest(KEY.NSH, attr(1, b"\1" * 8), b"\1\2")],
})
ROUND.update({
    "ct_state": [attr(KEY.CT_STATE, u32(1))] + IP, "ct_zone": [attr(KEY.CT_ZONE, u16(1))] + IP,
    "ct_mark": [attr(KEY.CT_MARK, u32(1))] + IP, "ct_label": [attr(KEY.CT_LABELS, b"\1" * 16)] + IP,
    "ct tuple 4": [attr(KEY.CT_ORIG_TUPLE_IPV4, ip4("1.1.1.1") + ip4("2.2.2.2") + be16(1) + be16(2) + b"\x11\0\0\0")] + IP,
    "ct tuple 6": V6 + [k_ipv6(), k_udp(), attr(KEY.CT_ORIG_TUPLE_IPV6, ip6("::1") * 2 + be16(1) + be16(2) + b"\x11\0\0\0")],
})
for label, k in ROUND.items():
    r = flow("K new: " + label, NEW, key(*k), acts(a_output(2)), flags=ECHO | NLM_F_CREATE)
    if r.errno == 0:
        flow("K get: " + label, GET, key(*k))
        flow("K delete: " + label, DEL, key(*k))
    flush()
stats("K nothing left")

# ---- masks (K3, K5, K9, K10, K11) ---------------------------------------------------------------------
UDP0 = [k_port(1), k_eth(), k_type(0x800), k_ipv4(), k_udp()]
FULL_TYPE = k_type(0xffff)
VL = E + [k_type(0x8100), k_vlan(0x100a), k_encap(k_type(0x800), k_ipv4(), k_udp())]
Z12, F12 = b"\0" * 12, b"\xff" * 12
TUN, TUNG = [nest(KEY.TUNNEL, T_ID, T_SRC, T_DST, T_TTL)] + UDP0, [nest(KEY.TUNNEL, T_DST, T_TTL, geneve(8))] + UDP0
MPLS2 = E + [k_type(0x8847), attr(KEY.MPLS, LSE * 2)]
NSH1 = E + [k_type(0x894f), nest(KEY.NSH, attr(1, b"\0\x3f\1\1\0\0\1\1"), attr(2, b"\1" * 16))]


def t_mask(*attrs):
    return [nest(KEY.TUNNEL, *attrs), FULL_TYPE]


MASKS = {
    "empty": (UDP0, []), "all ones": (UDP0, [k_port(0xffffffff), attr(KEY.ETHERNET, F12), FULL_TYPE, attr(KEY.IPV4, F12),
                                             attr(KEY.UDP, b"\xff" * 4)]),
    "all zero": (UDP0, [k_port(0), attr(KEY.ETHERNET, Z12), k_type(0), attr(KEY.IPV4, Z12), attr(KEY.UDP, b"\0" * 4)]),
    "port only": (UDP0, [k_port(0xffffffff)]), "port partly": (UDP0, [k_port(1)]), "type only": (UDP0, [FULL_TYPE]),
    "type partly": (UDP0, [k_type(0xff00)]), "type partly, ipv4": (UDP0, [k_type(0xff00), attr(KEY.IPV4, F12)]),
    "no type, ipv4": (UDP0, [attr(KEY.IPV4, F12)]), "no type, ethernet": (UDP0, [attr(KEY.ETHERNET, F12)]),
    "udp without proto": (UDP0, [FULL_TYPE, attr(KEY.UDP, b"\xff" * 4)]),
    "udp with proto": (UDP0, [FULL_TYPE, attr(KEY.IPV4, b"\0" * 8 + b"\xff\0\0\0"), attr(KEY.UDP, b"\xff\0\xff\0")]),
    "udp with proto partly": (UDP0, [FULL_TYPE, attr(KEY.IPV4, b"\0" * 8 + b"\x7f\0\0\0"), attr(KEY.UDP, b"\xff" * 4)]),
    "addresses partly": (UDP0, [FULL_TYPE, attr(KEY.IPV4, b"\xff\xff\xff\0\0\xff\0\1\0\0\0\0")]),
    "tcp not in key": (UDP0, [FULL_TYPE, attr(KEY.TCP, b"\xff" * 4)]), "ipv6 not in key": (UDP0, [FULL_TYPE, attr(KEY.IPV6, b"\xff" * 40)]),
    "arp not in key": (UDP0, [FULL_TYPE, attr(KEY.ARP, b"\xff" * 24)]),
    "metadata not in key": (UDP0, [k_mark(0xffffffff)]), "recirc not in key": (UDP0, [k_recirc(0xffffffff)]),
    "metadata": ([k_prio(3), k_mark(4), k_recirc(5), k_hash(6)] + UDP0, [k_prio(0xff), k_mark(0xf0), k_recirc(0xffffffff), k_hash(0xf)]),
    "duplicate": (UDP0, [FULL_TYPE, FULL_TYPE]), "unknown attribute": (UDP0, [attr(33, b"\1" * 4)]),
    "short": (UDP0, [attr(KEY.ETHERNET, b"\xff" * 8)]), "long": (UDP0, [attr(KEY.ETHERNET, b"\xff" * 16)]),
    "zero but short": (UDP0, [attr(KEY.ETHERNET, b"\0" * 8)]), "zero but long": (UDP0, [attr(KEY.ETHERNET, b"\0" * 16)]),
    "empty attribute": (UDP0, [attr(KEY.ETHERNET)]),
    "exthdrs not in key": (V6 + [k_ipv6(), k_udp()], [FULL_TYPE, attr(KEY.IPV6_EXTHDRS, u16(0xffff))]),
    "exthdrs": (V6 + [k_ipv6(), k_udp(), attr(KEY.IPV6_EXTHDRS, u16(8))], [FULL_TYPE, attr(KEY.IPV6_EXTHDRS, u16(0xffff))]),
    "ipv6 label 32 bits": (V6 + [k_ipv6(), k_udp()], [FULL_TYPE, attr(KEY.IPV6, b"\0" * 32 + b"\xff" * 4 + b"\0" * 4)]),
    "ipv6": (V6 + [k_ipv6(), k_udp()], [FULL_TYPE, attr(KEY.IPV6, b"\xff" * 8 + b"\0" * 24 + b"\0\0\xff\xff\xff\0\0\xff")]),
    "nd without type": (V6 + [k_ipv6(proto=58), k_icmpv6(135), k_nd()], [FULL_TYPE, attr(KEY.IPV6, b"\0" * 36 + b"\xff\0\0\0"), attr(KEY.ND, b"\xff" * 28)]),
    "nd": (V6 + [k_ipv6(proto=58), k_icmpv6(135), k_nd()], [FULL_TYPE, attr(KEY.IPV6, b"\0" * 36 + b"\xff\0\0\0"),
                                                           attr(KEY.ICMPV6, b"\xff\xff"), attr(KEY.ND, b"\xff" * 16 + b"\0" * 12)]),
    "tcp flags": (E + [k_type(0x800), k_ipv4(proto=6), k_tcp(), k_tcp_flags(2)],
                  [FULL_TYPE, attr(KEY.IPV4, b"\0" * 8 + b"\xff\0\0\xff"), k_tcp_flags(0xfff)]),
    "tcp flags 16 bits": (E + [k_type(0x800), k_ipv4(proto=6), k_tcp(), k_tcp_flags(2)],
                          [FULL_TYPE, attr(KEY.IPV4, b"\0" * 8 + b"\xff\0\0\xff"), k_tcp_flags(0xffff)]),
    "arp": (E + [k_type(0x806), k_arp()], [FULL_TYPE, attr(KEY.ARP, b"\xff" * 10 + b"\0" * 14)]),
    "arp without type": (E + [k_type(0x806), k_arp()], [attr(KEY.ARP, b"\xff" * 24)]),
    "vlan": (VL, [FULL_TYPE, k_vlan(0x1fff), k_encap(FULL_TYPE, attr(KEY.IPV4, b"\xff" * 4 + b"\0" * 8))]),
    "vlan without CFI": (VL, [FULL_TYPE, k_vlan(0x0fff), k_encap(FULL_TYPE)]), "vlan zero": (VL, [FULL_TYPE, k_vlan(0), k_encap(FULL_TYPE)]),
    "vlan, tpid partly": (VL, [k_type(0xfff), k_vlan(0xffff), k_encap(FULL_TYPE)]), "vlan, no tpid": (VL, [k_vlan(0xffff), k_encap(FULL_TYPE)]),
    "vlan, no encap": (VL, [FULL_TYPE, k_vlan(0xffff)]), "vlan, encap empty": (VL, [FULL_TYPE, k_vlan(0xffff), k_encap()]),
    "encap, no vlan": (VL, [FULL_TYPE, k_encap(FULL_TYPE)]), "vlan CFI only": (VL, [FULL_TYPE, k_vlan(0x1000), k_encap(FULL_TYPE)]),
    "encap for untagged": (UDP0, [FULL_TYPE, k_encap(FULL_TYPE)]), "vlan for untagged": (UDP0, [FULL_TYPE, k_vlan(0xffff)]),
    "vlan twice": (ROUND["vlan twice"], [FULL_TYPE, k_vlan(0x1fff), k_encap(FULL_TYPE, k_vlan(0x1fff), k_encap(FULL_TYPE))]),
    "vlan twice, outer only": (ROUND["vlan twice"], [FULL_TYPE, k_vlan(0x1fff), k_encap(FULL_TYPE)]),
    "L3": ([k_port(1), k_type(0x800), k_ipv4(), k_udp()], [FULL_TYPE, attr(KEY.IPV4, F12)]),
    "ethernet mask on L3 key": ([k_port(1), k_type(0x800), k_ipv4(), k_udp()], [FULL_TYPE, attr(KEY.ETHERNET, F12)]),
    "802.2, type mask": (E, [FULL_TYPE]), "802.2, no type mask": (E, [attr(KEY.ETHERNET, F12)]),
    "tunnel for none": (UDP0, [nest(KEY.TUNNEL, attr(TUNNEL.ID, b"\xff" * 8))]),
    "tunnel ttl 0 for none": (UDP0, t_mask(attr(TUNNEL.TTL, b"\0"))), "tunnel empty": (TUN, t_mask()), "no tunnel": (TUN, [FULL_TYPE]),
    "tunnel id": (TUN, t_mask(attr(TUNNEL.ID, b"\xff" * 8))), "tunnel id partly": (TUN, t_mask(attr(TUNNEL.ID, b"\0" * 6 + b"\xff\0"))),
    "tunnel dst": (TUN, t_mask(attr(TUNNEL.IPV4_DST, b"\xff" * 4))), "tunnel src partly": (TUN, t_mask(attr(TUNNEL.IPV4_SRC, b"\xff\xff\0\0"))),
    "tunnel flags": (TUN, t_mask(*T_FLAGS)), "tunnel flag with payload": (TUN, t_mask(attr(TUNNEL.CSUM, b"\xff"))),
    "tunnel type 17": (TUN, t_mask(attr(17))), "tunnel trailing": (TUN, t_mask(b"\1\2\3")), "tunnel short": (TUN, t_mask(attr(TUNNEL.TOS))),
    "tunnel both families": (TUN, t_mask(T_DST, T_DST6)), "tunnel all": (TUN, t_mask(
        attr(TUNNEL.ID, b"\xff" * 8), attr(TUNNEL.IPV4_SRC, b"\xff" * 4), attr(TUNNEL.IPV4_DST, b"\xff" * 4), attr(TUNNEL.TOS, b"\xff"),
        attr(TUNNEL.TTL, b"\xff"), attr(TUNNEL.TP_SRC, b"\xff\xff"), attr(TUNNEL.TP_DST, b"\xff\0"), *T_FLAGS)),
    "tunnel options": (TUNG, t_mask(geneve(8, b"\xff"))), "tunnel options partly": (TUNG, t_mask(attr(TUNNEL.GENEVE_OPTS, b"\xff\xff\0\0\0\0\0\xff"))),
    "tunnel options zero": (TUNG, t_mask(geneve(8, b"\0"))), "tunnel options short": (TUNG, t_mask(geneve(4, b"\xff"))),
    "tunnel options for none": (TUN, t_mask(geneve(4, b"\xff"))), "tunnel options 0 for none": (TUN, t_mask(geneve(0))),
    "tunnel gbp for geneve": (TUNG, t_mask(nest(TUNNEL.VXLAN_OPTS, attr(1, b"\xff" * 4)))), "tunnel gbp for none": (TUN, t_mask(GBP)),
    "tunnel erspan for geneve": (TUNG, t_mask(erspan(12, b"\xff"))), "tunnel, two options": (TUNG, t_mask(geneve(8), GBP)),
    "tunnel bridge": (TUN, t_mask(BRIDGE)), "tunnel options without flag": (TUNG, t_mask(attr(TUNNEL.TTL, b"\xff"))),
    "mpls": (MPLS2, [FULL_TYPE, attr(KEY.MPLS, b"\xff\xff\xf0\0" * 2)]), "mpls, fewer": (MPLS2, [FULL_TYPE, attr(KEY.MPLS, b"\xff" * 4)]),
    "mpls, more": (MPLS2, [FULL_TYPE, attr(KEY.MPLS, b"\xff" * 12)]), "mpls without type": (MPLS2, [attr(KEY.MPLS, b"\xff" * 8)]),
    "mpls zero": (MPLS2, [FULL_TYPE, attr(KEY.MPLS, b"\0" * 8)]), "mpls zero, odd": (MPLS2, [FULL_TYPE, attr(KEY.MPLS, b"\0" * 7)]),
    "mpls odd": (MPLS2, [FULL_TYPE, attr(KEY.MPLS, b"\1" * 7)]), "mpls not in key": (UDP0, [FULL_TYPE, attr(KEY.MPLS, b"\xff" * 4)]),
    "nsh": (NSH1, [FULL_TYPE, nest(KEY.NSH, attr(1, b"\0\0\xff\xff\xff\0\0\0"), attr(2, b"\xff" * 8 + b"\0" * 8))]),
    "nsh base": (NSH1, [FULL_TYPE, nest(KEY.NSH, attr(1, b"\xff" * 8))]), "nsh md1 only": (NSH1, [FULL_TYPE, nest(KEY.NSH, attr(2, b"\xff" * 16))]),
    "nsh without type": (NSH1, [nest(KEY.NSH, attr(1, b"\xff" * 8))]), "nsh md2": (NSH1, [FULL_TYPE, nest(KEY.NSH, attr(3, b"\xff" * 4))]),
    "nsh not in key": (UDP0, [FULL_TYPE, nest(KEY.NSH, attr(1, b"\xff" * 8))]),
}
for label, (k, m) in MASKS.items():
    r = flow("K mask: " + label, NEW, ufid(U1), key(*k), mask(*m), acts(a_output(2)), flags=ECHO | NLM_F_CREATE)
    r2 = flow("K mask by key: " + label, NEW, key(*k), mask(*m), acts(a_output(2)), flags=ECHO)
    flush()
stats("K11 nothing left")

# One mask object for equal masks, one more for each other.
for n in range(3):
    flow("K11 same mask, flow %d" % n, NEW, key(k_port(n), *UDP0[1:]), mask(k_port(0xffffffff), FULL_TYPE), acts(), flags=NLM_F_CREATE)
stats("K11 three flows, one mask")
flow("K11 other mask", NEW, key(*UDP0), mask(k_port(0xffffffff), k_eth(b"\xff" * 6, b"\0" * 6), FULL_TYPE), acts(), flags=NLM_F_CREATE)
flow("K11 other mask, outside the first", NEW, key(k_port(7), *UDP0[1:]), mask(k_port(0xffffffff), k_eth(b"\xff" * 6, b"\0" * 6), FULL_TYPE), acts(), flags=NLM_F_CREATE)
stats("K11 two masks")
flow("T10 delete by a key of the same megaflow", DEL, key(k_port(1), *UDP0[1:4], k_udp(5, 6)))
flow("T10 delete by the exact key", DEL, key(*UDP0))
stats("K11 after delete")
flush()

# ---- actions (A1-A6, A16-A18) -----------------------------------------------------------------------------
K4, K6, KT, KA = IP, V6 + [k_ipv6(), k_udp()], E + [k_type(0x800), k_ipv4(proto=6), k_tcp(), k_tcp_flags(2)], E + [k_type(0x806), k_arp()]
KL3 = [k_port(1), k_type(0x800), k_ipv4(), k_udp()]
KN = V6 + [k_ipv6(proto=58), k_icmpv6(135), k_nd()]
KV = VL


def nested_clones(n):
    a = a_output(1)
    for _ in range(n):
        a = a_clone(a)
    return a


def nested_samples(n):
    a = a_output(1)
    for _ in range(n):
        a = a_sample(0xffffffff, a)
    return a


A = {
    "none": (K4, []), "output": (K4, [a_output(2)]), "output to a port that is not": (K4, [a_output(99)]),
    "output 65534": (K4, [a_output(65534)]), "output 65535": (K4, [a_output(65535)]), "output of 2 bytes": (K4, [attr(ACTION.OUTPUT, b"\1\0")]),
    "output of 8 bytes": (K4, [attr(ACTION.OUTPUT, b"\1\0\0\0\0\0\0\0")]), "output many": (K4, [a_output(n) for n in range(1, 200)]),
    "type 0": (K4, [attr(0)]), "type 26": (K4, [attr(26, u32(0))]), "type 27": (K4, [attr(27, u32(0))]), "type 200": (K4, [attr(200, u32(0))]),
    "trailing bytes": (K4, [a_output(1), b"\1\0\0\0"]), "nested flag on output": (K4, [attr(ACTION.OUTPUT | NLA_F_NESTED, u32(1))]),
    "userspace": (K4, [a_user(7)]), "userspace userdata": (K4, [a_user(7, attr(USERSPACE.USERDATA, b"cookie!"))]),
    "userspace all": (K4, [a_user(7, attr(USERSPACE.USERDATA, b"12345678"), attr(USERSPACE.EGRESS_TUN_PORT, u32(3)), attr(USERSPACE.ACTIONS))]),
    "userspace no pid": (K4, [nest(ACTION.USERSPACE, attr(USERSPACE.USERDATA, b"x"))]), "userspace pid 0": (K4, [a_user(0)]),
    "userspace empty": (K4, [nest(ACTION.USERSPACE)]), "userspace pid short": (K4, [nest(ACTION.USERSPACE, attr(USERSPACE.PID, b"\1\0"))]),
    "userspace nested flag": (K4, [attr(ACTION.USERSPACE | NLA_F_NESTED, attr(USERSPACE.PID, u32(7)))]),
    "push_vlan": (K4, [a_push_vlan(0x1005)]), "push_vlan 88a8": (K4, [a_push_vlan(0x1005, 0x88a8)]),
    "push_vlan no CFI": (K4, [a_push_vlan(5)]), "push_vlan 0x1234": (K4, [a_push_vlan(0x1005, 0x1234)]), "push_vlan short": (K4, [attr(ACTION.PUSH_VLAN, b"\x81\0")]),
    "push_vlan on L3": (KL3, [a_push_vlan(0x1005)]), "pop_vlan": (KV, [a_pop_vlan()]), "pop_vlan untagged": (K4, [a_pop_vlan()]),
    "pop_vlan on L3": (KL3, [a_pop_vlan()]), "pop_vlan with payload": (K4, [attr(ACTION.POP_VLAN, u32(0))]), "pop push pop": (KV, [a_pop_vlan(), a_push_vlan(0x1006), a_pop_vlan(), a_output(2)]),
    "recirc": (K4, [a_recirc(5)]), "recirc 0": (K4, [a_recirc(0)]), "recirc short": (K4, [attr(ACTION.RECIRC, b"\1\0")]),
    "hash": (K4, [a_hash(0, 5)]), "hash sym": (K4, [a_hash(1, 5)]), "hash 2": (K4, [a_hash(2, 5)]), "hash short": (K4, [attr(ACTION.HASH, u32(0))]),
    "trunc 14": (K4, [a_trunc(14)]), "trunc 13": (K4, [a_trunc(13)]), "trunc 65536": (K4, [a_trunc(65536)]), "trunc short": (K4, [attr(ACTION.TRUNC, b"\xff\xff")]),
    "clone empty": (K4, [a_clone()]), "clone": (K4, [a_clone(a_output(1), a_push_vlan(0x1001), a_output(2))]), "clone of 3 bytes": (K4, [attr(ACTION.CLONE, b"abc")]),
    "clone bad inside": (K4, [a_clone(a_output(70000))]), "clone state does not leak": (K4, [a_clone(a_push_vlan(0x1001)), a_output(1)]),
    "clones 15": (K4, [nested_clones(15)]), "clones 16": (K4, [nested_clones(16)]), "clones 17": (K4, [nested_clones(17)]), "clones 40": (K4, [nested_clones(40)]),
    "samples 10": (K4, [nested_samples(10)]), "samples 16": (K4, [nested_samples(16)]), "samples 17": (K4, [nested_samples(17)]),
    "sample": (K4, [a_sample(0x80000000, a_output(1)), a_output(2)]), "sample 0": (K4, [a_sample(0, a_output(1))]), "sample all": (K4, [a_sample(0xffffffff, a_output(1))]),
    "sample empty actions": (K4, [a_sample(5)]), "sample no actions": (K4, [nest(ACTION.SAMPLE, attr(SAMPLE.PROBABILITY, u32(5)))]),
    "sample no probability": (K4, [nest(ACTION.SAMPLE, nest(SAMPLE.ACTIONS, a_output(1)))]), "sample empty": (K4, [nest(ACTION.SAMPLE)]),
    "sample unknown type": (K4, [nest(ACTION.SAMPLE, attr(SAMPLE.PROBABILITY, u32(5)), nest(SAMPLE.ACTIONS), attr(3, u32(1)))]),
    "sample duplicate": (K4, [nest(ACTION.SAMPLE, attr(SAMPLE.PROBABILITY, u32(5)), attr(SAMPLE.PROBABILITY, u32(6)), nest(SAMPLE.ACTIONS))]),
    "sample type 0": (K4, [nest(ACTION.SAMPLE, attr(SAMPLE.PROBABILITY, u32(5)), nest(SAMPLE.ACTIONS), attr(0))]),
    "sample reversed": (K4, [nest(ACTION.SAMPLE, nest(SAMPLE.ACTIONS, a_output(1)), attr(SAMPLE.PROBABILITY, u32(5)))]),
    "sample probability short": (K4, [nest(ACTION.SAMPLE, attr(SAMPLE.PROBABILITY, b"\5\0"), nest(SAMPLE.ACTIONS))]),
    "sample actions of 3": (K4, [nest(ACTION.SAMPLE, attr(SAMPLE.PROBABILITY, u32(5)), attr(SAMPLE.ACTIONS, b"abc"))]),
    "set eth": (K4, [a_set(k_eth(MAC2, MAC1))]), "set eth on L3": (KL3, [a_set(k_eth())]), "set eth short": (K4, [a_set(attr(KEY.ETHERNET, b"123456"))]),
    "set prio": (K4, [a_set(k_prio(5))]), "set mark": (K4, [a_set(k_mark(5))]), "set empty": (K4, [nest(ACTION.SET)]),
    "set two": (K4, [nest(ACTION.SET, k_prio(1), k_mark(2))]), "set ipv4": (K4, [a_set(k_ipv4("1.1.1.1", "2.2.2.2", 17, 4, 9))]),
    "set ipv4 other proto": (K4, [a_set(k_ipv4(proto=6))]), "set ipv4 frag": (K4, [a_set(k_ipv4(frag=1))]), "set ipv4 on ipv6": (K6, [a_set(k_ipv4())]),
    "set ipv4 on arp": (KA, [a_set(k_ipv4())]), "set ipv6": (K6, [a_set(k_ipv6("fd::1", "fd::2", 0x12345, 17, 3, 4))]), "set ipv6 label": (K6, [a_set(k_ipv6(label=0x100000))]),
    "set ipv6 proto": (K6, [a_set(k_ipv6(proto=6))]), "set ipv6 on ipv4": (K4, [a_set(k_ipv6())]), "set udp": (K4, [a_set(k_udp(1, 2))]),
    "set udp on tcp": (KT, [a_set(k_udp(1, 2))]), "set tcp": (KT, [a_set(k_tcp(1, 2))]), "set tcp on udp": (K4, [a_set(k_tcp())]), "set udp on arp": (KA, [a_set(k_udp())]),
    "set udp on ipv6": (K6, [a_set(k_udp(1, 2))]), "set sctp": (E + [k_type(0x800), k_ipv4(proto=132), k_sctp()], [a_set(k_sctp(1, 2))]), "set sctp on udp": (K4, [a_set(k_sctp())]),
    "set tcp_flags": (KT, [a_set(k_tcp_flags(1))]), "set icmp": (E + [k_type(0x800), k_ipv4(proto=1), k_icmp()], [a_set(k_icmp(0, 0))]), "set arp": (KA, [a_set(k_arp())]),
    "set nd": (KN, [a_set(k_nd())]), "set in_port": (K4, [a_set(k_port(1))]), "set type": (K4, [a_set(k_type(0x800))]), "set vlan": (KV, [a_set(k_vlan(0x1001))]),
    "set recirc": (K4, [a_set(k_recirc(1))]), "set hash": (K4, [a_set(k_hash(1))]), "set nd_ext": (KN, [a_set(attr(KEY.ND_EXTENSIONS, b"\0" * 8))]),
    "set packet_type": (K4, [a_set(attr(KEY.PACKET_TYPE, u32(0)))]), "set type 33": (K4, [a_set(attr(33, u32(0)))]), "set nested flag": (K4, [attr(ACTION.SET | NLA_F_NESTED, k_prio(1))]),
    "set inner nested flag": (K4, [nest(ACTION.SET, attr(KEY.PRIORITY | NLA_F_NESTED, u32(1)))]), "set inner longer": (K4, [nest(ACTION.SET, attr(KEY.PRIORITY, u32(1), length=12))]),
    "masked eth": (K4, [a_set_masked(KEY.ETHERNET, MAC1 + b"\0" * 6, b"\xff" * 6 + b"\0" * 6)]), "masked eth beyond mask": (K4, [a_set_masked(KEY.ETHERNET, MAC1 + MAC1, b"\xff" * 6 + b"\0" * 6)]),
    "masked eth half": (K4, [nest(ACTION.SET_MASKED, attr(KEY.ETHERNET, MAC1 + MAC2))]), "masked prio": (K4, [a_set_masked(KEY.PRIORITY, u32(5), u32(7))]),
    "masked mark": (K4, [a_set_masked(KEY.SKB_MARK, u32(5), u32(7))]), "masked mark beyond": (K4, [a_set_masked(KEY.SKB_MARK, u32(8), u32(7))]),
    "masked ipv4": (K4, [a_set_masked(KEY.IPV4, ip4("0.0.0.9") + b"\0" * 8, ip4("0.0.0.255") + b"\0" * 8)]), "masked ipv4 proto": (K4, [a_set_masked(KEY.IPV4, b"\0" * 12, b"\0" * 8 + b"\xff\0\0\0")]),
    "masked ipv4 frag": (K4, [a_set_masked(KEY.IPV4, b"\0" * 12, b"\0" * 11 + b"\xff")]), "masked ipv6": (K6, [a_set_masked(KEY.IPV6, b"\0" * 39 + b"\0", b"\0" * 38 + b"\xff\0")]),
    "masked ipv6 label": (K6, [a_set_masked(KEY.IPV6, b"\0" * 40, b"\0" * 32 + b"\xff" * 4 + b"\0" * 4)]), "masked ipv6 proto": (K6, [a_set_masked(KEY.IPV6, b"\0" * 40, b"\0" * 36 + b"\xff\0\0\0")]),
    "masked udp": (K4, [a_set_masked(KEY.UDP, be16(0) + be16(7), be16(0) + be16(0xff))]), "masked tcp on udp": (K4, [a_set_masked(KEY.TCP, b"\0" * 4, b"\xff" * 4)]),
    "masked nd": (KN, [a_set_masked(KEY.ND, b"\0" * 28, b"\xff" * 28)]), "masked tunnel": (K4, [a_set_masked(KEY.TUNNEL, b"", b"")]),
    "drop": (K4, [a_drop(0)]), "drop 5": (K4, [a_drop(5)]), "drop not last": (K4, [a_drop(0), a_output(1)]), "drop short": (K4, [attr(ACTION.DROP, b"\0\0")]),
    "many sets": (K4, [a_set(k_prio(n)) for n in range(500)]), "list of 30000": (K4, [a_output(1)] * 3750),
    "list of 65520": (K4, [a_output(1)] * 8170), "clone of 65000": (K4, [a_clone(*[a_output(1)] * 8120)]), "clone of sets expands": (K4, [a_clone(*[a_set(k_eth())] * 3000)]),
    "sample of sets expands": (K4, [a_sample(5, *[a_set(k_eth())] * 3000)]),
}
KERNEL = tuple(map(int, os.uname().release.split(".")[:2]))
LATER_ACTIONS = {
    "meter": (K4, [attr(ACTION.METER, u32(1))]), "push_mpls": (K4, [attr(ACTION.PUSH_MPLS, LSE + be16(0x8847) + b"\0\0")]),
    "pop_mpls": (E + [k_type(0x8847), attr(KEY.MPLS, LSE)], [attr(ACTION.POP_MPLS, be16(0x800))]), "push_eth": (KL3, [attr(ACTION.PUSH_ETH, MAC1 + MAC2)]),
    "pop_eth": (K4, [attr(ACTION.POP_ETH)]), "push_nsh": (K4, [nest(ACTION.PUSH_NSH, nest(KEY.NSH, attr(1, b"\0\x3f\1\1\0\0\1\1"), attr(2, b"\1" * 16)))]),
    "check_pkt_len": (K4, [nest(ACTION.CHECK_PKT_LEN, attr(1, u16(100)), nest(2, a_output(1)), nest(3, a_output(2)))]),
    "dec_ttl": (K4, [nest(ACTION.DEC_TTL, nest(1, a_output(1)))]), "add_mpls": (K4, [attr(ACTION.ADD_MPLS, LSE + be16(0x8847) + u16(1))]),
    "set tunnel": (K4, [a_set(nest(KEY.TUNNEL, attr(TUNNEL.IPV4_DST, ip4("2.2.2.2")), attr(TUNNEL.TTL, b"\x40")))]),
    "set mpls": (E + [k_type(0x8847), attr(KEY.MPLS, LSE)], [a_set(attr(KEY.MPLS, LSE))]), "psample": (K4, [attr(ACTION.PSAMPLE | NLA_F_NESTED, attr(1, u32(5)))]),
    "set ct_mark": (K4, [a_set(attr(KEY.CT_MARK, u32(1)))]), "masked ct_label": (K4, [a_set_masked(KEY.CT_LABELS, b"\0" * 16, b"\xff" * 16)]),
    "pop_nsh": (K4, [attr(ACTION.POP_NSH)]), "check_pkt_len incomplete": (K4, [nest(ACTION.CHECK_PKT_LEN, attr(1, u16(100)))]),
}
# What a nested list may begin with, after the list around it has taken the Ethernet header or given one (A4).
HEADER = {"pop_eth": attr(ACTION.POP_ETH), "push_eth": attr(ACTION.PUSH_ETH, MAC1 + MAC2), "push_vlan": a_push_vlan(0x1001), "pop_vlan": a_pop_vlan(),
          "set eth": a_set(k_eth())}
for (name, (k, before)), (inner, act) in itertools.product({"L2": (K4, "pop_eth"), "L3": (KL3, "push_eth")}.items(), HEADER.items()):
    A["%s: %s, %s" % (name, before, inner)] = (k, [HEADER[before], act])
    A["%s: %s, clone(%s)" % (name, before, inner)] = (k, [HEADER[before], a_clone(act), a_output(1)])
    A["%s: %s, sample(%s)" % (name, before, inner)] = (k, [HEADER[before], a_sample(5, act), a_output(1)])
    A["%s: %s, clone(sample(%s))" % (name, before, inner)] = (k, [HEADER[before], a_clone(a_sample(5, act))])
    A["%s: clone(%s, clone(%s)), %s" % (name, before, inner, before)] = (k, [a_clone(HEADER[before], a_clone(act)), HEADER[before]])
A["L2: push_vlan, clone(pop_eth)"] = (K4, [a_push_vlan(0x1001), a_clone(attr(ACTION.POP_ETH))])
A["L2: push_vlan, clone(pop_vlan, pop_eth)"] = (K4, [a_push_vlan(0x1001), a_clone(a_pop_vlan(), attr(ACTION.POP_ETH))])
# Connection tracking: more in nl_ct. SET of its fields would drop every packet (Q7), ours refuses it.
A.update({"ct": (K4, [nest(ACTION.CT)]), "ct commit": (K4, [nest(ACTION.CT, attr(1), attr(2, u16(5)))]),
          "ct_clear": (K4, [attr(ACTION.CT_CLEAR)]), "ct on arp": (KA, [nest(ACTION.CT)])})
# The stock module's lengths overflow here and it shows another list than it was given (B2).
g.ours["A clone of sets expands"] = g.ours["A sample of sets expands"] = "OK as sent"
for label, (k, a) in list(A.items()) + list(LATER_ACTIONS.items()):
    later = label in LATER_ACTIONS
    r = s.flow(NEW, DP0, key(*k), acts(*a), flags=ECHO | NLM_F_CREATE)
    value = r.error
    if r.messages:
        got = r.messages[0].get(FLOW.ACTIONS)
        # A list as long as these is compared by its length and digest.
        shown = show(ACTION, got) if len(got) < 700 else "%d bytes %s" % (len(got), __import__("hashlib").sha256(got).hexdigest()[:16])
        value += " " + ("as sent" if got == b"".join(a) else shown)
    # Ours has all the others. Psample is the kernel's, and its C module has the action from 6.11 on.
    if label in ("set ct_mark", "masked ct_label") or label == "psample" and KERNEL < (6, 11):
        g.later.add("A " + label)
    g.say("A " + label, value)
    if not r.errno:
        # The dump may leave the actions of a flow out when they do not fit (F11); GET must not.
        d = s.flow(GET, DP0, key(*k))
        if not later:
            g.say("A get " + label, d.error + (" same" if d.messages and d.messages[0].get(FLOW.ACTIONS) == r.messages[0].get(FLOW.ACTIONS) else ""))
        d = s.dump("ovs_flow", DP0)
        if not later:
            g.say("A dump " + label, "%s %d%s" % (d.error, len(d.messages), " without actions" if d.messages and d.messages[0].get(FLOW.ACTIONS) is None else ""))
    flush()
stats("A nothing left")

# Many flows: every one is dumped once, flush leaves none.
for n in range(3000):
    s.new_flow(DP0, IP[:4] + [k_udp(n, 7)], [a_output(2)])
stats("F11 3000 flows")
d = s.dump("ovs_flow", DP0)
g.say("F11 dump of 3000", "%s %d" % (d.error, len({m.get(FLOW.KEY) for m in d.messages})))
flush()
stats("F11 flushed")
g.finish()
