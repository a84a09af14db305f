# SPDX-License-Identifier: GPL-2.0
# title: what leaves the port: lengths and TTLs, by EXECUTE and by a flow, with offloads (A9, A15, A24, A30, B44, B45, B56, B57)
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
g.finish()
