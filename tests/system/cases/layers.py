# SPDX-License-Identifier: GPL-2.0
# title: what leaves the port: lengths and TTLs, MPLS, NSH and Ethernet headers, by EXECUTE and by a flow, with offloads (A9, A15, A24, A30, B44, B45, B56, B57)
# timeout: 180
# allow: field-spanning write.*net/openvswitch/flow_netlink
from golden import Golden
from frames import *
from ovsnl import *
from wire import *

g, s = Golden(), Sock()
DP0 = s.new_dp("dp0", 1000)
for n in (1, 2, 3):
    veth("p%d" % n, "q%d" % n, 2000)
    s.new_port(DP0, "p%d" % n, n)
w1, w2, w3 = Wire("q1"), Wire("q2"), Wire("q3")
up = Sock(pid=5555)
up.family("ovs_packet")
F = frames()
OUT2, OUT3 = a_output(2), a_output(3)
NEW_ETH = a_set(k_eth(b"\2\0\0\0\0\x0a", b"\2\0\0\0\0\x0b"))
UP = a_user(5555)
TCP4 = eth(0x800, ipv4(6, tcp(b"abcdef", partial=True)))
PART = dict(flags=NEEDS_CSUM, start=34, offset=16)
BIG = eth(0x800, ipv4(6, tcp(bytes(range(256)) * 8, flags=0x18, partial=True)))
GSO = dict(gso=GSO_TCPV4, header=54, size=1000, **PART)


def seen(label, error="OK", same=lambda f: f):
    out = []
    for w, name in ((w2, "2"), (w3, "3"), (w1, "1")):
        out += ["%s:%s%s" % (name, same(f).hex(), " " + o if o else "") for f, o in w.drain(0.02)]
    for m in up.notifications("ovs_packet", 0.01):
        out.append("up:" + show(PACKET, m.data, ("HASH",)))
    g.say(label, " ".join([error] + [" | ".join(out)] * bool(out)))


def execute(label, frame, *actions, key=(), more=()):
    r = s.execute(DP0, frame, list(key) or [k_port(1)], list(actions), *more)
    seen(label, r.error)


def through(label, frame, *actions, **offload):
    """By a flow for all TCP."""
    v6 = frame[12:14] == b"\x86\xdd"
    key = [k_type(0x86dd), k_ipv6(proto=6), k_tcp(), k_tcp_flags(2)] if v6 else [k_type(0x800), k_ipv4(proto=6), k_tcp(), k_tcp_flags(2)]
    mask = attr(KEY.IPV6, b"\0" * 36 + b"\xff\0\0\0") if v6 else attr(KEY.IPV4, b"\0" * 8 + b"\xff\0\0\0")
    r = s.new_flow(DP0, [k_port(1), k_eth()] + key, list(actions), [k_port(0xffffffff), k_type(0xffff), mask])
    if r.errno:
        raise SystemExit(label + ": " + r.error)
    w1.send(frame, **offload)
    seen(label)
    s.flow(DEL, DP0)


# ---- CHECK_PKT_LEN, DEC_TTL

for n in (57, 58, 59):
    execute("cpl %d" % n, F["udp"], a_check_pkt_len(n, [OUT2], [OUT3]))
    execute("cpl %d, more" % n, F["udp"], a_check_pkt_len(n, [NEW_ETH, OUT2], [NEW_ETH, OUT3]), OUT2)
    execute("cpl %d, empty" % n, F["udp"], a_check_pkt_len(n), OUT2)
execute("cpl nested", F["udp"], a_check_pkt_len(100, [a_check_pkt_len(50, [OUT2], [NEW_ETH, OUT3]), OUT2], [OUT3]), OUT3)
execute("cpl with a tag", F["vlan"], a_check_pkt_len(58, [OUT2], [OUT3]))
execute("cpl recirc", F["udp"], a_check_pkt_len(58, [a_recirc(5)], []), OUT2)
for n in (1013, 1014):
    execute("cpl mru %d" % n, F["1500 bytes"], a_check_pkt_len(n, [UP, a_drop(0)], [OUT3]), more=[attr(PACKET.MRU, u16(1000))])
for n in (1053, 1054, 3000):
    through("cpl gso %d" % n, BIG, a_check_pkt_len(n, [OUT2], [OUT3]), **GSO)
for ttl in (255, 65, 2, 1, 0):
    execute("dec_ttl %d" % ttl, eth(0x800, ipv4(17, udp(), ttl=ttl)), a_dec_ttl(OUT3), OUT2)
    execute("dec_ttl %d, empty" % ttl, eth(0x800, ipv4(17, udp(), ttl=ttl)), a_dec_ttl(), OUT2)
    execute("dec_ttl ipv6 %d" % ttl, eth(0x86dd, ipv6(17, U6, hlimit=ttl)), a_dec_ttl(UP), OUT2)
execute("dec_ttl twice", F["udp"], a_dec_ttl(), a_dec_ttl(), OUT2)
execute("dec_ttl in a clone", F["tos ttl"], a_clone(a_dec_ttl(OUT3), OUT3), OUT2)
execute("dec_ttl sets the key", F["udp"], a_dec_ttl(), UP)
for name in ("arp request", "vlan", "qinq", "802.2", "ethernet only", "ipv4 header cut", "ipv4 nothing", "ipv6 header cut", "ipv4 ihl 4", "frag later"):
    execute("dec_ttl " + name, F[name], a_dec_ttl(OUT3), OUT2)
execute("dec_ttl after push_vlan", F["udp"], a_push_vlan(0x1005), a_dec_ttl(OUT3), OUT2)
through("flow: dec_ttl partial", TCP4, a_dec_ttl(), OUT2, **PART)

# ---- MPLS

LABELS = lse(1, 0, 9, 3) + lse(2, 1, 8)
MPLS = {"mpls": eth(0x8847, lse(7) + ipv4(17, udp())), "mpls 2": eth(0x8847, LABELS + ipv4(17, udp())), "mpls v6": eth(0x8847, lse(7) + ipv6(17, U6)),
        "mpls multicast": eth(0x8848, lse(7) + ipv4(17, udp())), "mpls 5": eth(0x8847, lse(1, 0) * 4 + LABELS[4:] + ipv4(17, udp())),
        "mpls no end": eth(0x8847, lse(1, 0) * 3), "mpls cut": eth(0x8847, b"\0\1"), "mpls nothing": eth(0x8847, b""), "mpls ethernet": eth(0x8847, lse(7) + F["udp"]),
        "mpls in vlan": eth(0x8100, vlan(5, 0x8847, lse(7) + ipv4(17, udp())))}
for name in ("udp", "ipv6 udp", "arp request", "rarp", "ipv4 nothing", "ipv4 header cut", "1500 bytes"):
    f = F[name]
    execute("push_mpls " + name, f, a_push_mpls(lse(5)), OUT2)
    execute("push_mpls multicast " + name, f, a_push_mpls(lse(5), 0x8848), OUT2)
    execute("push_mpls twice " + name, f, a_push_mpls(lse(5)), a_push_mpls(lse(6, 0)), OUT2)
    execute("push pop " + name, f, a_push_mpls(lse(5)), a_pop_mpls(int.from_bytes(f[12:14], "big")), OUT2)
    execute("push set pop push " + name, f, a_push_mpls(lse(5)), a_set(k_mpls(lse(6, 1, 1))), a_push_mpls(lse(7, 0)), a_pop_mpls(0x8847), OUT2)
    execute("push_mpls user " + name, f, a_push_mpls(lse(5)), UP)
    execute("push_mpls set eth " + name, f, a_push_mpls(lse(5)), NEW_ETH, OUT2)
    execute("add_mpls l3 " + name, f, a_add_mpls(lse(5), l3=True), OUT2)
    execute("add_mpls push_eth " + name, f, a_add_mpls(lse(5)), a_push_eth(), OUT2)
    execute("add_mpls " + name, f, a_add_mpls(lse(5)), OUT2)
    execute("add_mpls twice push_eth " + name, f, a_add_mpls(lse(5)), a_add_mpls(lse(6, 0)), a_push_eth(), OUT2)
    execute("add_mpls pop teb " + name, f, a_add_mpls(lse(5)), a_pop_mpls(0x6558), OUT2)
    execute("push_mpls then tag " + name, f, a_push_mpls(lse(5)), a_push_vlan(0x1005), OUT2)
for name, f in MPLS.items():
    execute("pop_mpls " + name, f, a_pop_mpls(0x800), OUT2)
    execute("pop_mpls to mpls " + name, f, a_pop_mpls(0x8847), OUT2)
    execute("pop_mpls set " + name, f, a_pop_mpls(0x8847), a_set(k_mpls(lse(9))), OUT2)
    execute("set mpls " + name, f, a_set(k_mpls(lse(9, 0, 7))), OUT2)
    execute("set_masked mpls " + name, f, a_set_masked(KEY.MPLS, lse(9, 0, 0), be32(0xfffff000)), OUT2)
    execute("set mpls user " + name, f, a_set(k_mpls(lse(9, 1, 7))), UP)
    execute("push_mpls " + name, f, a_push_mpls(lse(5, 0)), OUT2)
    execute("add_mpls " + name, f, a_add_mpls(lse(5)), a_push_eth(), OUT2)
    execute("pop_mpls user " + name, f, a_pop_mpls(0x800), UP)
    execute("pop_vlan pop_mpls " + name, f, a_pop_vlan(), a_pop_mpls(0x800), OUT2)
execute("pop_mpls of what is none any more", MPLS["mpls"], a_pop_mpls(0x800), a_pop_mpls(0x800), OUT2)
execute("B44 a stack of 400", eth(0x8847, lse(1, 0) * 400), a_pop_mpls(0x8847), UP)
s.new_flow(DP0, [k_recirc(3), k_port(1), k_eth(), k_type(0x800), k_ipv4(), k_udp()], [OUT3], [k_recirc(0xffffffff), k_type(0xffff)])
execute("pop_mpls recirc", MPLS["mpls"], a_pop_mpls(0x800), a_recirc(3), OUT2)
execute("push pop recirc", F["udp"], a_push_mpls(lse(5)), a_pop_mpls(0x800), a_recirc(3))
execute("push recirc", F["udp"], a_push_mpls(lse(5)), a_recirc(3), OUT2)
execute("clone(push), output", F["udp"], a_clone(a_push_mpls(lse(5)), OUT2), OUT3)
s.flow(DEL, DP0)
through("flow: push_mpls partial", TCP4, a_push_mpls(lse(5)), OUT2, **PART)
through("flow: push_mpls gso", BIG, a_push_mpls(lse(5)), OUT2, **GSO)
through("flow: push pop gso", BIG, a_push_mpls(lse(5)), a_pop_mpls(0x800), OUT2, **GSO)

# A30

for mru in (576, 1400):
    for label, acts in {"mpls": [a_push_mpls(lse(5))], "mpls 2": [a_push_mpls(lse(5)), a_push_mpls(lse(6, 0))], "mpls 4": [a_push_mpls(lse(5))] * 4,
                        "mpls 5": [a_push_mpls(lse(5))] * 5, "mpls, tag": [a_push_mpls(lse(5)), a_push_vlan(0x1005)], "l3 tunnel": [a_add_mpls(lse(5), l3=True)]}.items():
        execute("A30 %s mru %d" % (label, mru), F["1500 bytes"], *acts, OUT2, more=[attr(PACKET.MRU, u16(mru))])

# ---- NSH

MD1 = attr(2, bytes(range(0x10, 0x20)))
NSH_UDP = bytes.fromhex("0fc60101000001ff") + bytes(range(16)) + ipv4(17, udp())
NSH = {"nsh": eth(0x894f, NSH_UDP), "nsh ethernet": eth(0x894f, bytes.fromhex("0fc60103000001ff") + bytes(16) + F["udp"]),
       "nsh md2": eth(0x894f, bytes.fromhex("0fc30201000001ff") + b"\1\2\3\4" + ipv4(17, udp())), "nsh nsh": eth(0x894f, bytes.fromhex("0fc60104000001ff") + bytes(16) + NSH_UDP)}
for name in ("udp", "ipv6 udp", "arp request", "ethernet only", "802.2"):
    f = F[name]
    execute("push_nsh " + name, f, a_push_nsh(nsh_base(), MD1), a_push_eth(), OUT2)
    execute("push_nsh no eth " + name, f, a_push_nsh(nsh_base(), MD1), OUT2)
    execute("push_nsh user " + name, f, a_push_nsh(nsh_base(np=5, flags=1, ttl=5), MD1), UP)
    execute("push_nsh md2 " + name, f, a_push_nsh(nsh_base(mdtype=2), attr(3, b"\7" * 20)), a_push_eth(), OUT2)
    execute("push_nsh md2 odd " + name, f, a_push_nsh(nsh_base(mdtype=2), attr(3, b"\7" * 7)), a_push_eth(), OUT2)
    execute("push_nsh twice " + name, f, a_push_nsh(nsh_base(), MD1), a_push_eth(), a_push_nsh(nsh_base(), MD1), a_push_eth(), OUT2)
    execute("pop_eth push_nsh " + name, f, a_pop_eth(), a_push_nsh(nsh_base(), MD1), a_push_eth(), OUT2)
    execute("push_nsh tag " + name, f, a_push_nsh(nsh_base(), MD1), a_push_eth(), a_push_vlan(0x1005), OUT2)
execute("push_nsh of a tagged frame", F["vlan"], a_push_nsh(nsh_base(), MD1), a_push_eth(), OUT2)
execute("A15 push_nsh, set ipv4", F["udp"], a_push_nsh(nsh_base(), MD1), a_set(k_ipv4(ttl=3)), a_push_eth(), OUT2)
execute("A15 push_nsh, set udp", F["udp"], a_push_nsh(nsh_base(), MD1), a_set(k_udp(7, 8)), a_push_eth(), OUT2)
execute("push_nsh 244", F["udp"], a_push_nsh(nsh_base(mdtype=2), attr(3, bytes(range(244)))), a_push_eth(), OUT2)
for name, f in NSH.items():
    execute("pop_eth pop_nsh " + name, f, a_pop_eth(), a_pop_nsh(), UP)
    execute("pop_eth pop_nsh push_eth " + name, f, a_pop_eth(), a_pop_nsh(), *([] if "ethernet" in name else [a_push_eth()]), OUT2)
    execute("pop_nsh " + name, f, a_pop_nsh(), UP)
    execute("pop_nsh twice " + name, f, a_pop_eth(), a_pop_nsh(), a_pop_nsh(), UP)
    execute("pop_nsh set eth " + name, f, a_pop_eth(), a_pop_nsh(), *([NEW_ETH] if "ethernet" in name else []), UP)
    execute("dec_ttl " + name, f, a_dec_ttl(OUT3), OUT2)
execute("push_nsh push_eth pop_eth pop_nsh", F["udp"], a_push_nsh(nsh_base(), MD1), a_push_eth(), a_pop_eth(), a_recirc(9), OUT2)
through("flow: push_nsh partial", TCP4, a_push_nsh(nsh_base(), MD1), a_push_eth(), OUT2, **PART)
through("flow: push_nsh gso", BIG, a_push_nsh(nsh_base(), MD1), a_push_eth(), OUT2, **GSO)

# ---- Ethernet

for name in ("udp", "arp request", "ethernet only", "802.2", "vlan", "qinq"):
    execute("pop_eth " + name, F[name], a_pop_eth(), OUT2)
    execute("pop_eth push_eth " + name, F[name], a_pop_eth(), a_push_eth(), OUT2)
    execute("pop_vlan pop_eth push_eth " + name, F[name], a_pop_vlan(), a_pop_eth(), a_push_eth(), OUT2)
    if name != "ethernet only":  # a packet of no bytes is too little for the stock module's upcall: the kernel ends
        execute("pop_eth user " + name, F[name], a_pop_eth(), UP)
    execute("clone(push_vlan), pop_eth " + name, F[name], a_clone(a_push_vlan(0x1005), OUT3), a_pop_eth(), a_push_eth(), OUT2)
execute("push_eth L3", F["udp"][14:], a_push_eth(), OUT2, key=(k_type(0x800),))
execute("push_eth push_vlan L3", F["udp"][14:], a_push_eth(), a_push_vlan(0x1005), OUT2, key=(k_type(0x800),))
execute("push_nsh L3", F["udp"][14:], a_push_nsh(nsh_base(), MD1), a_push_eth(), OUT2, key=(k_type(0x800),))
execute("pop_eth in a clone after push_nsh", F["udp"], a_push_nsh(nsh_base(), MD1), a_clone(a_pop_eth(), UP), UP)
execute("push_eth on top", F["udp"], a_pop_eth(), a_push_eth(), a_clone(a_pop_eth(), UP), OUT2)
through("flow: pop_eth push_eth gso", BIG, a_pop_eth(), a_push_eth(), OUT2, **GSO)
g.finish()
