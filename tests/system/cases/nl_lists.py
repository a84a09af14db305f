# SPDX-License-Identifier: GPL-2.0
# title: action lists of lengths and TTLs, MPLS, NSH and Ethernet headers, by ovs_flow: what is refused, what is dumped (A1-A18, B4-B9, B14, B56, B57)
# timeout: 120
# allow: field-spanning write.*include/net/ip_tunnels|WARNING.* validate_and_copy_set_tun\+|Call Trace:
import struct

from golden import Golden
from ovsnl import *

g, s = Golden(), Sock(pid=4242)
DP0 = s.new_dp("dp0", 1000)
MD1 = attr(2, bytes(range(16)))
TAG, TYPE = 0x1005, {"v4": 0x800, "v6": 0x86dd, "arp": 0x806, "rarp": 0x8035, "other": 0x1234}
ETH = [k_port(1), k_eth()]
KEYS = {
    "v4": ETH + [k_type(0x800), k_ipv4(), k_udp()],
    "v6": ETH + [k_type(0x86dd), k_ipv6(), k_udp()],
    "arp": ETH + [k_type(0x806), k_arp()],
    "other": ETH + [k_type(0x1234)],
    "vlan": ETH + [k_type(0x8100), k_vlan(TAG), k_encap(k_type(0x800), k_ipv4(), k_udp())],
    "mpls": ETH + [k_type(0x8847), k_mpls(lse(1))],
    "mpls 2": ETH + [k_type(0x8848), k_mpls(lse(1, 0), lse(2))],
    "mpls 3": ETH + [k_type(0x8847), k_mpls(lse(1, 0), lse(2, 0), lse(3))],
    "nsh": ETH + [k_type(0x894f), nest(KEY.NSH, nsh_base(), MD1)],
    "nsh np 1": ETH + [k_type(0x894f), nest(KEY.NSH, nsh_base(1), MD1)],
    "nsh np 2": ETH + [k_type(0x894f), nest(KEY.NSH, nsh_base(2), MD1)],
    "nsh np 5": ETH + [k_type(0x894f), nest(KEY.NSH, nsh_base(5), MD1)],
    "nsh np 7": ETH + [k_type(0x894f), nest(KEY.NSH, nsh_base(7), MD1)],
    "l3 v4": [k_port(1), k_type(0x800), k_ipv4(), k_udp()],
    "l3 other": [k_port(1), k_type(0x1234)],
    "l3 mpls": [k_port(1), k_type(0x8847), k_mpls(lse(1))],
    "l3 mpls 2": [k_port(1), k_type(0x8847), k_mpls(lse(1, 0), lse(2))],
    "l3 nsh": [k_port(1), k_type(0x894f), nest(KEY.NSH, nsh_base(), MD1)],
}
WHOLE = []


def lists(label, key, *acts, later=False, mask=()):
    r = s.flow(NEW, DP0, nest(FLOW.KEY, *KEYS[key]), *([nest(FLOW.MASK, *mask)] if mask else []), nest(FLOW.ACTIONS, *acts), flags=NLM_F_CREATE)
    value = r.error
    if not r.errno:
        r = s.flow(GET, DP0, nest(FLOW.KEY, *KEYS[key]))
        value += " " + show(ACTION, r.messages[0].get(FLOW.ACTIONS)) if not r.errno else " GET " + r.error
        s.flow(DEL, DP0)
    label = "%s: %s" % (key, label)
    if later:
        g.later.add(label)
    g.say(label, value)


OUT = a_output(2)
POP, PUSH = a_pop_vlan(), a_push_vlan(TAG)

# CHECK_PKT_LEN
def cpl(*inner):
    return nest(ACTION.CHECK_PKT_LEN, *inner)


LEN, FITS, GREATER = attr(1, u16(100)), nest(3, OUT), nest(2, a_output(3))
for label, a in {
    "check_pkt_len": a_check_pkt_len(100, [OUT], [POP]), "cpl empty": a_check_pkt_len(1), "cpl 65535": a_check_pkt_len(65535, [OUT]),
    "cpl 0": a_check_pkt_len(0, [OUT], [OUT]), "cpl nothing": cpl(), "cpl no length": cpl(FITS, GREATER), "cpl no fits": cpl(LEN, GREATER),
    "cpl no greater": cpl(LEN, FITS), "cpl other order": cpl(GREATER, FITS, LEN), "cpl unknown": cpl(LEN, FITS, GREATER, attr(4)),
    "cpl type 0": cpl(LEN, FITS, GREATER, attr(0)), "cpl trailing": cpl(LEN, FITS, GREATER, b"\1\2"), "cpl short length": cpl(attr(1, b"\1"), FITS, GREATER),
    "cpl long length": cpl(attr(1, u32(5)), FITS, GREATER), "cpl list of 3": cpl(LEN, attr(3, b"\1\2\3"), GREATER), "cpl greater list of 1": cpl(LEN, FITS, attr(2, b"\1")),
    "cpl twice": cpl(LEN, FITS, GREATER, nest(3, POP), attr(1, u16(7)), nest(2)), "cpl bad in fits": a_check_pkt_len(5, [a_output(65535)]),
    "cpl bad in greater": a_check_pkt_len(5, [], [a_output(65535)]), "cpl in cpl": a_check_pkt_len(5, [a_check_pkt_len(6, [OUT])], [a_check_pkt_len(7, [], [OUT])]),
    "cpl flagged": attr(ACTION.CHECK_PKT_LEN | NLA_F_NESTED, LEN + FITS + GREATER), "cpl in clone in cpl": a_check_pkt_len(5, [a_clone(a_check_pkt_len(6))]),
}.items():
    lists(label, "v4", a, a_output(9))
lists("cpl starts alike", "v4", a_check_pkt_len(5, [PUSH], [a_pop_eth()]))
lists("cpl inherits", "v4", PUSH, a_check_pkt_len(5, [], [a_pop_eth()]))
lists("cpl keeps inside", "v4", a_check_pkt_len(5, [PUSH], [PUSH]), a_pop_eth())

# DEC_TTL
for label, a in {
    "dec_ttl": a_dec_ttl(OUT), "dec_ttl empty": a_dec_ttl(), "dec_ttl nothing": nest(ACTION.DEC_TTL), "dec_ttl unknown": nest(ACTION.DEC_TTL, nest(1, OUT), attr(2)),
    "dec_ttl only unknown": nest(ACTION.DEC_TTL, attr(2)), "dec_ttl twice": nest(ACTION.DEC_TTL, nest(1, OUT), nest(1)),
    "dec_ttl type 0": nest(ACTION.DEC_TTL, nest(1, OUT), attr(0)), "dec_ttl trailing": nest(ACTION.DEC_TTL, nest(1, OUT), b"\1"),
    "dec_ttl list of 3": nest(ACTION.DEC_TTL, attr(1, b"\1\2\3")), "dec_ttl bad list": a_dec_ttl(a_output(65535)), "dec_ttl in dec_ttl": a_dec_ttl(a_dec_ttl(OUT)),
    "dec_ttl drop": a_dec_ttl(a_drop(0)), "dec_ttl drop, more": a_dec_ttl(a_drop(0), OUT),
}.items():
    lists(label, "v4", a, a_output(9))
lists("dec_ttl", "arp", a_dec_ttl(OUT))
for depth in (15, 16, 17):
    a = OUT
    for i in range(depth):
        a = a_check_pkt_len(5, [a], []) if i % 2 else a_dec_ttl(a)
    lists("depth %d" % depth, "v4", a)

# MPLS
for key in KEYS:
    lists("push_mpls", key, a_push_mpls(lse(5)))
    lists("push_mpls multicast", key, a_push_mpls(lse(5), 0x8848))
    lists("add_mpls", key, a_add_mpls(lse(5)))
    lists("add_mpls l3", key, a_add_mpls(lse(5), l3=True))
    lists("pop_mpls to v4", key, a_pop_mpls(0x800))
    lists("pop_mpls to teb", key, a_pop_mpls(0x6558))
    lists("pop_mpls to mpls", key, a_pop_mpls(0x8847))
    lists("set mpls", key, a_set(k_mpls(lse(9))))
    lists("set_masked mpls", key, a_set_masked(KEY.MPLS, lse(9, 0, 0), be32(0xfffff000)))
    lists("push, set mpls", key, a_push_mpls(lse(5)), a_set(k_mpls(lse(9))))
    lists("push, pop, set v4", key, a_push_mpls(lse(5)), a_pop_mpls(0x800), a_set(k_ipv4()))
    lists("push twice, pop twice", key, *[a_push_mpls(lse(5))] * 2, a_pop_mpls(0x8847), a_pop_mpls(0x800))
    lists("pop, set mpls", key, a_pop_mpls(0x8847), a_set(k_mpls(lse(9))))
    lists("pop 3", key, *[a_pop_mpls(0x8847)] * 3)
    lists("add, pop to teb, set eth", key, a_add_mpls(lse(5)), a_pop_mpls(0x6558), a_set(k_eth()))
    lists("add, set eth", key, a_add_mpls(lse(5)), a_set(k_eth()))
    lists("add, push_eth, set eth", key, a_add_mpls(lse(5)), a_push_eth(), a_set(k_eth()))
    lists("add, add, pop, pop, set mpls", key, *[a_add_mpls(lse(5))] * 2, *[a_pop_mpls(0x8847)] * 2, a_set(k_mpls(lse(1))))
for label, a in {
    "push_mpls type v4": a_push_mpls(lse(5), 0x800), "push_mpls type 0": a_push_mpls(lse(5), 0), "push_mpls 6 bytes": attr(ACTION.PUSH_MPLS, lse(5) + be16(0x8847)),
    "push_mpls padding": attr(ACTION.PUSH_MPLS, lse(5) + be16(0x8847) + b"\1\2"), "push_mpls 12 bytes": attr(ACTION.PUSH_MPLS, lse(5) * 3),
    "push_mpls bits": a_push_mpls(b"\xff" * 4), "add_mpls type v4": a_add_mpls(lse(5), 0x800), "add_mpls flags": attr(ACTION.ADD_MPLS, lse(5) + be16(0x8847) + u16(0xfffe)),
    "add_mpls flags l3": attr(ACTION.ADD_MPLS, lse(5) + be16(0x8847) + u16(0xffff)), "add_mpls 4 bytes": attr(ACTION.ADD_MPLS, lse(5)),
    "pop_mpls 0 bytes": attr(ACTION.POP_MPLS), "pop_mpls 4 bytes": attr(ACTION.POP_MPLS, u32(0x800)), "pop_mpls to 0": a_pop_mpls(0),
    "set mpls 0": a_set(k_mpls()), "set mpls 3": a_set(attr(KEY.MPLS, b"\1\1\1")), "set mpls 8": a_set(k_mpls(lse(1), lse(2))), "set mpls 12": a_set(k_mpls(*[lse(1)] * 3)),
    "masked mpls 4": nest(ACTION.SET_MASKED, attr(KEY.MPLS, b"\0" * 4)), "masked mpls 16": a_set_masked(KEY.MPLS, b"\0" * 8, b"\0" * 8),
    "masked mpls bits": a_set_masked(KEY.MPLS, b"\1" * 4, b"\2" * 4), "pop_mpls, vlan": PUSH + a_pop_mpls(0x800),
    "push_vlan, push_mpls": PUSH + a_push_mpls(lse(5)), "push_mpls, push_vlan, pop_mpls": a_push_mpls(lse(5)) + PUSH + a_pop_mpls(0x800),
    "push_vlan, add_mpls": PUSH + a_add_mpls(lse(5)), "clone keeps labels": a_clone(a_pop_mpls(0x800)) + a_pop_mpls(0x800) + a_set(k_mpls(lse(1))),
    "clone inherits labels": a_push_mpls(lse(1)) + a_clone(a_pop_mpls(0x8847), a_pop_mpls(0x8847), a_set(k_mpls(lse(1)))),
}.items():
    for key in ("mpls", "v4"):
        lists(label, key, a)
lists("masked out labels, pop, set", "mpls 2", a_pop_mpls(0x8847), a_set(k_mpls(lse(1))), mask=[k_port(0xffffffff), k_type(0xffff), k_mpls(b"\0" * 4, b"\0" * 4)])

# NSH and Ethernet
for key in KEYS:
    lists("push_nsh", key, a_push_nsh(nsh_base(), MD1))
    lists("pop_nsh", key, a_pop_nsh())
    lists("push_eth", key, a_push_eth())
    lists("pop_eth", key, a_pop_eth())
    lists("push_nsh, pop_nsh", key, a_push_nsh(nsh_base(), MD1), a_pop_nsh())
    lists("push_nsh, push_eth", key, a_push_nsh(nsh_base(), MD1), a_push_eth(), a_set(k_eth()))
    lists("push_nsh, set eth", key, a_push_nsh(nsh_base(), MD1), a_set(k_eth()))
    lists("push_nsh, push_vlan", key, a_push_nsh(nsh_base(), MD1), PUSH)
    lists("pop_nsh, set eth", key, a_pop_nsh(), a_set(k_eth()))
    lists("pop_nsh twice", key, a_pop_nsh(), a_pop_nsh())
    lists("pop_eth, pop_nsh", key, a_pop_eth(), a_pop_nsh())
    lists("pop_eth, push_eth", key, a_pop_eth(), a_push_eth())
    lists("pop_eth, push_nsh", key, a_pop_eth(), a_push_nsh(nsh_base(), MD1))
    lists("pop_vlan, pop_eth", key, POP, a_pop_eth())
    lists("set nsh", key, a_set(nest(KEY.NSH, nsh_base(), MD1)))
    lists("set_masked nsh", key, nest(ACTION.SET_MASKED, nest(KEY.NSH, nsh_base(), MD1, nsh_base(), MD1)))
# C of 6.12.95 takes a context of 248 bytes that it then cannot encode; 252 is the most elsewhere.
for n in (0, 1, 3, 4, 5, 240, 244):
    lists("push_nsh md2 %d" % n, "v4", a_push_nsh(nsh_base(mdtype=2), attr(3, b"\7" * n)))
for n in (252, 253, 1000):
    lists("push_nsh md2 %d" % n, "v4", a_push_nsh(nsh_base(mdtype=2), attr(3, b"\7" * n)))
BASE = nsh_base()
for label, a in {
    "nothing": nest(ACTION.PUSH_NSH), "empty": a_push_nsh(), "no base": a_push_nsh(MD1), "no md": a_push_nsh(BASE), "md1 short": a_push_nsh(BASE, attr(2, b"\1" * 15)),
    "md1 long": a_push_nsh(BASE, attr(2, b"\1" * 17)), "md1 of type 2": a_push_nsh(nsh_base(mdtype=2), MD1), "md2 of type 1": a_push_nsh(BASE, attr(3, b"\1" * 4)),
    "md1 and md2": a_push_nsh(BASE, MD1, attr(3, b"\1" * 4)), "base short": a_push_nsh(attr(1, b"\1" * 7), MD1), "base long": a_push_nsh(attr(1, b"\1" * 9), MD1),
    "type 0": a_push_nsh(BASE, MD1, attr(0)), "type 4": a_push_nsh(BASE, MD1, attr(4)), "trailing": a_push_nsh(BASE, MD1, b"\1\2"), "type 3": a_push_nsh(nsh_base(mdtype=3), MD1),
    "md1 twice": a_push_nsh(BASE, MD1, attr(2, b"\1" * 16)), "base twice": a_push_nsh(nsh_base(mdtype=2), BASE, MD1), "order": a_push_nsh(MD1, BASE),
    "two": nest(ACTION.PUSH_NSH, nest(KEY.NSH, BASE, MD1), nest(KEY.NSH, BASE, MD1)), "another key": nest(ACTION.PUSH_NSH, k_eth()),
    "key type 0": nest(ACTION.PUSH_NSH, attr(0, BASE + MD1)), "trailing outside": nest(ACTION.PUSH_NSH, nest(KEY.NSH, BASE, MD1), b"\1\2\3\4"),
    "flags": a_push_nsh(nsh_base(flags=0xff, ttl=0xff), MD1), "key flagged": nest(ACTION.PUSH_NSH, nest(KEY.NSH | NLA_F_NESTED, BASE, MD1)),
    "key longer than the action": nest(ACTION.PUSH_NSH, attr(KEY.NSH, BASE + MD1, 200)), "np 0": a_push_nsh(nsh_base(0), MD1),
}.items():
    lists("push_nsh " + label, "v4", a)
lists("clone(push_nsh), pop_eth", "v4", a_clone(a_push_nsh(BASE, MD1)), a_pop_eth())
lists("push_nsh, clone(pop_eth)", "v4", a_push_nsh(BASE, MD1), a_clone(a_pop_eth()))
lists("push_eth 8 bytes", "l3 v4", attr(ACTION.PUSH_ETH, b"\1" * 8))
lists("pop_eth 4 bytes", "v4", attr(ACTION.POP_ETH, b"\1" * 4))
lists("pop_nsh 4 bytes", "nsh", attr(ACTION.POP_NSH, b"\1" * 4))

# SET(TUNNEL)
T = TUNNEL
ID, DST, DST6, TTL = attr(T.ID, b"\0" * 7 + b"\7"), attr(T.IPV4_DST, ip4("10.1.1.1")), attr(T.IPV6_DST, ip6("fd00::9")), attr(T.TTL, b"\x40")
OPT = bytes.fromhex("0102030101020304")
ALL = [attr(T.IPV4_SRC, ip4("10.1.1.2")), attr(T.TOS, b"\4"), attr(T.DF), attr(T.CSUM), attr(T.OAM), attr(T.TP_SRC, be16(5)), attr(T.TP_DST, be16(6))]


def opts(b, kind=T.GENEVE_OPTS):
    return attr(kind, b)


for label, t in {
    "v4": [ID, DST, TTL], "v6": [ID, DST6, TTL], "all": [TTL, DST, ID] + ALL, "no id": [DST, TTL], "no ttl": [ID, DST], "no dst": [ID, TTL], "nothing": [], "both": [ID, DST, DST6, TTL],
    "dst 0": [ID, attr(T.IPV4_DST, b"\0" * 4), TTL], "dst6 0": [ID, attr(T.IPV6_DST, b"\0" * 16), TTL], "src6": [ID, DST6, TTL, attr(T.IPV6_SRC, ip6("fd00::8"))],
    "info bridge": [ID, attr(T.INFO_BRIDGE)], "info bridge, dst": [ID, attr(T.INFO_BRIDGE), DST], "info bridge, ttl": [ID, attr(T.INFO_BRIDGE), TTL], "info bridge only": [attr(T.INFO_BRIDGE)],
    "geneve": [ID, DST, TTL, opts(OPT)], "geneve twice": [ID, DST, TTL, opts(OPT), opts(OPT)], "geneve 0": [ID, DST, TTL, opts(b"")], "geneve 3": [ID, DST, TTL, opts(OPT[:3])],
    "geneve cut": [ID, DST, TTL, opts(OPT[:4])], "geneve long": [ID, DST, TTL, opts(bytes.fromhex("01020305") + bytes(4))], "geneve two": [ID, DST, TTL, opts(OPT + OPT)],
    "geneve reserved bits": [ID, DST, TTL, opts(bytes.fromhex("010203e101020304"))], "geneve two, cut": [ID, DST, TTL, opts(OPT + OPT[:4])],
    "geneve zeros": [ID, DST, TTL, opts(bytes(8))], "geneve critical": [ID, DST, TTL, opts(bytes.fromhex("01028301") + bytes(4))],
    "geneve 252": [ID, DST, TTL, opts((bytes.fromhex("01020303") + bytes(12)) * 15 + bytes.fromhex("01020302") + bytes(8))], "geneve 256": [ID, DST, TTL, opts(bytes(256))],
    "gbp": [ID, DST, TTL, nest(T.VXLAN_OPTS, attr(1, u32(0x77)))], "gbp empty": [ID, DST, TTL, nest(T.VXLAN_OPTS)], "gbp short": [ID, DST, TTL, nest(T.VXLAN_OPTS, attr(1, b"\1"))],
    "gbp and geneve": [ID, DST, TTL, nest(T.VXLAN_OPTS, attr(1, u32(0x77))), opts(OPT)], "erspan": [ID, DST, TTL, opts(bytes(range(12)), T.ERSPAN_OPTS)],
    "unknown": [ID, DST, TTL, attr(17)], "short id": [attr(T.ID, b"\1"), DST, TTL], "trailing": [ID, DST, TTL, b"\1\2"], "pad": [ID, DST, TTL, attr(T.PAD)],
    "dst twice": [ID, DST, attr(T.IPV4_DST, ip4("10.1.1.9")), TTL], "v6 all": [ID, DST6, TTL] + ALL[1:], "geneve v6": [ID, DST6, TTL, opts(OPT)],
}.items():
    for key in ("v4", "l3 v4"):
        lists("tunnel " + label, key, a_set(nest(KEY.TUNNEL, *t)), OUT)
lists("tunnel masked", "v4", nest(ACTION.SET_MASKED, nest(KEY.TUNNEL, ID, DST, TTL)))
lists("tunnel and more", "v4", nest(ACTION.SET, nest(KEY.TUNNEL, ID, DST, TTL), k_eth()))
lists("tunnels in lists", "v4", a_clone(a_set(nest(KEY.TUNNEL, ID, DST, TTL)), OUT), a_check_pkt_len(5, [a_set(nest(KEY.TUNNEL, ID, DST6, TTL))], [a_set(nest(KEY.TUNNEL, ID, DST, TTL, opts(OPT)))]), OUT)
lists("tunnel, then an error", "v4", a_clone(a_set(nest(KEY.TUNNEL, ID, DST, TTL))), a_set(nest(KEY.TUNNEL, ID, DST6, TTL)), a_output(65535))

# The last attribute's padding is missing: where that is trailing bytes, and where not
def unpadded(a):
    return a[:struct.unpack_from("=H", a)[0]]


POP8 = unpadded(a_pop_mpls(0x800))
lists("unpadded tunnel", "v4", a_set(nest(KEY.TUNNEL, DST, unpadded(TTL))), OUT)
lists("unpadded tunnel port", "v4", a_set(nest(KEY.TUNNEL, DST, TTL, unpadded(attr(T.TP_DST, be16(5))))), OUT)
for n in range(1, 8):
    lists("unpadded md2 %d" % n, "v4", a_push_nsh(nsh_base(mdtype=2), unpadded(attr(3, b"\7" * n))))
for label, a in {
    "dec_ttl": nest(ACTION.DEC_TTL, unpadded(nest(1, POP8))), "dec_ttl list": nest(ACTION.DEC_TTL, nest(1, POP8)), "sample": nest(ACTION.SAMPLE, attr(1, u32(5)), unpadded(nest(2, POP8))),
    "sample list": nest(ACTION.SAMPLE, attr(1, u32(5)), nest(2, POP8)), "clone": nest(ACTION.CLONE, POP8), "list": POP8,
    "cpl": nest(ACTION.CHECK_PKT_LEN, nest(2), nest(3), unpadded(attr(1, u16(5)))), "cpl list": nest(ACTION.CHECK_PKT_LEN, attr(1, u16(5)), nest(2), unpadded(nest(3, POP8))),
    "userspace": nest(ACTION.USERSPACE, attr(1, u32(5)), unpadded(attr(2, b"abcde"))),
}.items():
    lists("unpadded " + label, "mpls", a, *[] if label == "list" else [OUT])
lists("unpadded ct", "v4", nest(ACTION.CT, attr(CT.COMMIT), unpadded(attr(CT.ZONE, u16(5)))), OUT)
lists("unpadded nat", "v4", a_ct(c_nat(attr(NAT.SRC), attr(NAT.IP_MIN, ip4("1.2.3.4")), unpadded(attr(NAT.PROTO_MIN, u16(5)))), commit=True), OUT)
for n, a in {"no such": [a_user(1, attr(3, u32(99)))], "short": [a_user(1, attr(3, b"\1"))], "twice": [a_user(1, attr(3, u32(1)), attr(3, u32(2)))], "data": [a_user(1, attr(2, b"abcde"), attr(3, u32(1)), attr(4))]}.items():
    lists("egress port " + n, "v4", *a)
g.finish()
