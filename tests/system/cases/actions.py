# SPDX-License-Identifier: GPL-2.0
# title: what leaves the port: every action on a corpus of frames, by EXECUTE and by a flow, with offloads (A8-A35)
# timeout: 180
from golden import Golden
from frames import *
from ovsnl import *
from wire import *

g, s = Golden(), Sock()
DP0 = s.new_dp("dp0", 1000)
for n in (1, 2, 3):
    veth("p%d" % n, "q%d" % n)
    s.new_port(DP0, "p%d" % n, n)
w1, w2, w3 = Wire("q1"), Wire("q2"), Wire("q3")
label_now = ""
up = Sock(pid=5555)
up.family("ovs_packet")


def same(frame):
    """IPv6 fragments carry a random identification."""
    if frame[12:14] == b"\x86\xdd" and frame[20] == FRAG and "mru" in label_now:
        return frame[:58] + b"\0\0\0\0" + frame[62:]
    return frame


def seen(label, at=(w2, w3), error="OK"):
    """Everything that came out, port by port."""
    global label_now
    label_now = label
    out = []
    for w, name in ((w2, "2"), (w3, "3"), (w1, "1")):
        if w in at:
            out += ["%s:%s%s" % (name, same(f).hex(), " " + o if o else "") for f, o in w.drain(0.02)]
    for m in up.notifications("ovs_packet", 0.01):
        out.append("up:" + show(PACKET, m.data, ("HASH",)))
    g.say(label, error + " " + " | ".join(out))


def execute(label, frame, *actions, key=()):
    r = s.execute(DP0, frame, list(key) or [k_port(1)], list(actions))
    seen(label, error=r.error)


F = frames()
OUT2 = a_output(2)
NEW_ETH = a_set(k_eth(b"\2\0\0\0\0\x0a", b"\2\0\0\0\0\x0b"))
V4 = dict(src="192.168.7.1", dst="192.168.7.2", tos=0x2e, ttl=9)
# A18 (Q): a later fragment has no ports; the stock module writes into its payload.
for label in ("ports middle fragment", "one port middle fragment"):
    g.ours[label] = "OK 2:" + F["middle fragment"].hex()
for name in ("udp", "udp no checksum", "tcp options", "sctp", "icmp echo", "first fragment", "middle fragment", "udp options", "tos ttl", "udp padded",
             "ipv4 no payload", "udp header cut", "vlan", "qinq"):
    proto = {"t": 6, "s": 132, "i": 1}.get(name[0], 17)
    proto = 17 if name in ("tos ttl", "ipv4 no payload") else proto
    execute("eth " + name, F[name], NEW_ETH, OUT2)
    execute("ipv4 " + name, F[name], a_set(k_ipv4(proto=proto, frag={"f": 1, "m": 2}.get(name[0], 0), **V4)), OUT2)
    execute("ipv4 ttl " + name, F[name], a_set_masked(KEY.IPV4, b"\0" * 10 + b"\x05\0", b"\0" * 10 + b"\xff\0"), OUT2)
    execute("ipv4 dscp " + name, F[name], a_set_masked(KEY.IPV4, b"\0" * 9 + b"\x28\0\0", b"\0" * 9 + b"\xfc\0\0"), OUT2)
    execute("ipv4 dst host " + name, F[name], a_set_masked(KEY.IPV4, b"\0" * 7 + b"\x63" + b"\0" * 4, b"\0" * 7 + b"\xff" + b"\0" * 4), OUT2)
    if proto in (17, 6, 132):
        k = {17: k_udp, 6: k_tcp, 132: k_sctp}[proto]
        execute("ports " + name, F[name], a_set(k(5353, 8080)), OUT2)
        execute("one port " + name, F[name], a_set_masked({17: KEY.UDP, 6: KEY.TCP, 132: KEY.SCTP}[proto], b"\0\0\0\x07", b"\0\0\0\xff"), OUT2)
for name in ("ipv6 udp", "ipv6 tcp", "ipv6 sctp", "ipv6 echo", "ipv6 label tclass", "route", "hop", "nd solicitation sll", "frag first", "ipv6 no payload"):
    proto = {"ipv6 tcp": 6, "ipv6 sctp": 132, "ipv6 echo": 58, "nd solicitation sll": 58}.get(name, 17)
    frag = 1 if name == "frag first" else 0
    execute("ipv6 " + name, F[name], a_set(k_ipv6("fd11::1", "fd11::2", 0x54321, proto, 0x2e, 9, frag)), OUT2)
    execute("ipv6 dst " + name, F[name], a_set_masked(KEY.IPV6, b"\0" * 31 + b"\x63" + b"\0" * 8, b"\0" * 31 + b"\xff" + b"\0" * 8), OUT2)
    execute("ipv6 label " + name, F[name], a_set_masked(KEY.IPV6, b"\0" * 32 + be32(0x11) + b"\0" * 4, b"\0" * 32 + be32(0xff) + b"\0" * 4), OUT2)
    execute("ipv6 tclass hlimit " + name, F[name], a_set_masked(KEY.IPV6, b"\0" * 37 + b"\x40\7\0", b"\0" * 37 + b"\xf0\xff\0"), OUT2)
    if proto in (17, 6, 132):
        execute("ports " + name, F[name], a_set({17: k_udp, 6: k_tcp, 132: k_sctp}[proto](5353, 8080)), OUT2)
bad = F["udp"][:40] + b"\xde\xad" + F["udp"][42:]
execute("a wrong checksum stays as wrong", bad, a_set(k_ipv4(proto=17, **V4)), OUT2)
execute("a wrong SCTP checksum stays as wrong", F["sctp"][:42] + b"\1\2\3\4" + F["sctp"][46:], a_set(k_sctp(7, 8)), OUT2)
execute("same values: nothing changes", F["udp"], a_set(k_eth()), a_set(k_ipv4()), a_set(k_udp()), OUT2)

for name in ("udp", "vlan", "qinq", "vlan vlan", "arp request", "802.2", "vlan 0", "ethernet only", "vlan cut"):
    execute("push " + name, F[name], a_push_vlan(0x7005), OUT2)
    execute("push 88a8 " + name, F[name], a_push_vlan(0x7005, 0x88a8), OUT2)
    execute("push twice " + name, F[name], a_push_vlan(0x1001), a_push_vlan(0x1002, 0x88a8), OUT2)
    execute("pop " + name, F[name], a_pop_vlan(), OUT2)
    execute("pop twice " + name, F[name], a_pop_vlan(), a_pop_vlan(), OUT2)
    execute("push pop " + name, F[name], a_push_vlan(0x1001), a_pop_vlan(), OUT2)
    execute("push set eth pop " + name, F[name], a_push_vlan(0x1001), NEW_ETH, a_pop_vlan(), OUT2)
execute("push then userspace", F["udp"], a_push_vlan(0x1001), a_user(5555), OUT2)

execute("output order", F["udp"], OUT2, a_set(k_udp(1, 2)), a_output(3), a_set(k_udp(3, 4)), OUT2)
execute("output to the input port", F["udp"], a_output(1), OUT2)
execute("output to none, then one", F["udp"], a_output(99), OUT2)
execute("output nothing", F["udp"])
execute("trunc", F["1500 bytes"], a_trunc(100), OUT2, a_output(3))
execute("trunc 14", F["1500 bytes"], a_trunc(14), OUT2)
execute("trunc longer", F["udp"], a_trunc(100), OUT2)
execute("trunc of a VLAN frame", F["vlan"], a_trunc(30), OUT2)
execute("trunc survives a set", F["udp"], a_trunc(50), NEW_ETH, OUT2)
execute("trunc in a clone", F["1500 bytes"], a_clone(a_trunc(60), OUT2), a_output(3))
execute("trunc into a clone", F["1500 bytes"], a_trunc(60), a_clone(OUT2), a_output(3))
execute("drop", F["udp"], OUT2, a_drop(0))
execute("drop with an error", F["udp"], OUT2, a_drop(7))
execute("clone", F["udp"], a_clone(NEW_ETH, a_push_vlan(0x1001), OUT2), a_output(3))
execute("clone last", F["udp"], a_output(3), a_clone(NEW_ETH, OUT2))
execute("clones nested", F["udp"], a_clone(a_set(k_udp(1, 1)), a_clone(a_set(k_udp(2, 2)), a_clone(a_set(k_udp(3, 3)), OUT2), OUT2), OUT2), OUT2)
execute("clones deep", F["udp"], a_clone(NEW_ETH, a_clone(NEW_ETH, a_clone(NEW_ETH, a_clone(a_set(k_udp(4, 4)), OUT2, NEW_ETH), OUT2), OUT2), OUT2), a_output(3))
execute("sample always", F["udp"], a_sample(0xffffffff, NEW_ETH, OUT2), a_output(3))
execute("sample never", F["udp"], a_sample(0, NEW_ETH, OUT2), a_output(3))
execute("sample last", F["udp"], a_output(3), a_sample(0xffffffff, NEW_ETH, OUT2))
execute("userspace between", F["udp"], OUT2, a_user(5555), a_output(3))
execute("an error stops the list: set on what is not there", F["arp request"], OUT2, a_recirc(77), a_output(3))
execute("L3 frame to an Ethernet port", F["udp"][14:], OUT2, key=(k_type(0x800),))

# Recirculation: flows by recirc_id, hash, many at once.
RMASK = [k_recirc(0xffffffff), k_type(0xffff), attr(KEY.IPV4, b"\0" * 8 + b"\xff\0\0\0")]


def recirc_flow(n, *actions):
    r = s.new_flow(DP0, [k_recirc(n), k_port(1), k_eth(), k_type(0x800), k_ipv4(), k_udp()], list(actions), RMASK)
    if r.errno:
        raise SystemExit("flow %d: %s" % (n, r.error))


recirc_flow(1, NEW_ETH, OUT2)
execute("recirc", F["udp"], a_recirc(1))
execute("recirc and go on", F["udp"], a_recirc(1), a_output(3))
execute("set, recirc", F["udp"], a_set(k_udp(9, 9)), a_push_vlan(0x1003), a_recirc(1), a_output(3))
recirc_flow(2, a_recirc(3), a_output(3))
recirc_flow(3, a_recirc(4), OUT2)
recirc_flow(4, a_set(k_udp(4, 4)), OUT2)
execute("recirc chain", F["udp"], a_recirc(2))
recirc_flow(5, a_recirc(5))
execute("A10 recirc for ever", F["udp"], a_recirc(5), OUT2)
recirc_flow(6, a_recirc(6), OUT2)
execute("A10 recirc for ever with output", F["udp"], a_recirc(6), a_output(3))
execute("A10 more recircs than the queue takes", F["udp"], *[a_recirc(4)] * 14, OUT2)
execute("clone recirc", F["udp"], a_clone(a_recirc(1), OUT2), a_output(3))
execute("sample recirc last", F["udp"], a_sample(0xffffffff, a_recirc(1)))
s.new_flow(DP0, [k_recirc(8), k_hash(1), k_port(1), k_eth(), k_type(0x800), k_ipv4(), k_udp()], [OUT2], RMASK)
execute("hash, recirc", F["udp"], a_hash(0, 1), a_recirc(8))
s.flow(DEL, DP0)

# By a flow, with offload state; what leaves must be as if hardware had done its part.
def through(label, frame, *actions, **offload):
    r = s.new_flow(DP0, [k_port(1), k_eth(), k_type(0x800), k_ipv4(), k_udp()] if frame[12:14] == b"\x08\0" and frame[23] == 17 else
                   [k_port(1), k_eth(), k_type(0x800), k_ipv4(proto=6), k_tcp(), k_tcp_flags(2)] if frame[12:14] == b"\x08\0" else
                   [k_port(1), k_eth(), k_type(0x86dd), k_ipv6(proto=6), k_tcp(), k_tcp_flags(2)],
                   list(actions), [k_port(0xffffffff), k_type(0xffff), attr(KEY.IPV4, b"\0" * 8 + b"\xff\0\0\0") if frame[12:14] == b"\x08\0" else
                                   attr(KEY.IPV6, b"\0" * 36 + b"\xff\0\0\0")])
    if r.errno:
        raise SystemExit(label + ": " + r.error)
    w1.send(frame, **offload)
    seen(label)
    s.flow(DEL, DP0)


PART = dict(flags=NEEDS_CSUM, start=34, offset=16)
TCP4 = eth(0x800, ipv4(6, tcp(b"abcdef", partial=True)))
through("flow: plain", F["udp"], OUT2)
through("flow: partial checksum", TCP4, OUT2, **PART)
through("flow: partial, set ipv4", TCP4, a_set(k_ipv4(proto=6, **V4)), OUT2, **PART)
through("flow: partial, set tcp", TCP4, a_set(k_tcp(7, 8)), OUT2, **PART)
through("flow: partial, push_vlan", TCP4, a_push_vlan(0x1009), OUT2, **PART)
g.ours["flow: partial, trunc"] = "OK 2:" + TCP4[:40].hex()  # Q18: where the sum would go is cut off
through("flow: partial, trunc", TCP4, a_trunc(40), OUT2, **PART)
UDP4 = eth(0x800, ipv4(17, udp(b"abcdef")[:6] + be16(~csum(pseudo("10.0.0.1", "10.0.0.2", 17, 14)) & 0xffff) + b"abcdef"))
through("flow: partial udp, set ipv4 and ports", UDP4, a_set(k_ipv4(proto=17, **V4)), a_set(k_udp(7, 8)), OUT2, flags=NEEDS_CSUM, start=34, offset=6)
TCP6 = eth(0x86dd, ipv6(6, tcp(b"abcdef", src="fd00::1", dst="fd00::2", partial=True)))
PART6 = dict(flags=NEEDS_CSUM, start=54, offset=16)
through("flow: partial ipv6, set ipv6", TCP6, a_set(k_ipv6("fd11::1", "fd11::2", 5, 6, 4, 3)), OUT2, **PART6)
BIG = eth(0x800, ipv4(6, tcp(bytes(range(256)) * 8, flags=0x18, partial=True)))
GSO = dict(gso=GSO_TCPV4, header=54, size=1000, **PART)
through("flow: gso", BIG, OUT2, **GSO)
through("flow: gso, set ipv4 and tcp, push_vlan", BIG, a_set(k_ipv4(proto=6, **V4)), a_set(k_tcp(7, 8)), a_push_vlan(0x1009), OUT2, **GSO)
through("flow: 1514 bytes", F["1500 bytes"], OUT2)
subprocess.run(["ip", "link", "set", "p2", "mtu", "600"], check=True)
through("A31 longer than the MTU", F["1500 bytes"], OUT2)
through("A31 gso passes", BIG, OUT2, **dict(GSO, size=500))
execute("A29 mru fits, fragmented to it", F["1500 bytes"], OUT2)
r = s.execute(DP0, F["1500 bytes"], [k_port(1)], [OUT2], attr(PACKET.MRU, u16(576)))
seen("A29 mru 576", error=r.error)
r = s.execute(DP0, F["1500 bytes"], [k_port(1)], [a_push_vlan(0x1005), OUT2], attr(PACKET.MRU, u16(576)))
seen("A29 mru 576 with a VLAN", error=r.error)
r = s.execute(DP0, F["1500 bytes"], [k_port(1)], [OUT2], attr(PACKET.MRU, u16(1400)))
seen("A29 mru longer than the MTU", error=r.error)
BIG6 = eth(0x86dd, ipv6(17, udp(bytes(range(256)) * 5, src="fd00::1", dst="fd00::2")))
r = s.execute(DP0, BIG6, [k_port(1)], [a_output(3)], attr(PACKET.MRU, u16(1280)))
seen("A29 ipv6 mru 1280", error=r.error)
subprocess.run(["ip", "link", "set", "p3", "down"], check=True)
execute("A27 port is down", F["udp"], a_output(3), OUT2)
subprocess.run(["ip", "link", "set", "q2", "down"], check=True)
execute("A27 no carrier", F["udp"], OUT2, a_user(5555))
g.finish()
