# SPDX-License-Identifier: GPL-2.0
# title: connection tracking: states, zones, marks, labels, NAT, fragments, helpers, limits (C6-C17, K34, K36, P3, L5)
# timeout: 240
import os
import subprocess
import sys

from ctnl import Table, count, word
from frames import *
from golden import Golden
from ovsnl import *
from wire import *

for m in ("nf_conntrack_netlink", "nf_conntrack_ftp", "nf_nat_ftp", "nfnetlink_cttimeout"):
    subprocess.run(["modprobe", m], check=True)
g, s, table = Golden(), Sock(), Table()
DP0 = s.new_dp("dp0", 1000)
for n in (1, 2):
    veth("p%d" % n, "q%d" % n)
    s.new_port(DP0, "p%d" % n, n)
w1, w2 = Wire("q1"), Wire("q2")
up = Sock(pid=5555)
up.family("ovs_packet")
ME, OUT2 = a_user(5555), a_output(2)
A, B, N = "10.0.0.1", "10.0.0.2", "192.0.2.1"
SIX = dict(src="fd00::1", dst="fd00::2")
XIS = dict(src="fd00::2", dst="fd00::1")


def seen(label, error="OK", want_key=True):
    """The keys of the upcalls, and what came out."""
    out = []
    for m in up.notifications("ovs_packet", 0.02):
        if want_key:
            out.append("key:" + show(KEY, m.get(PACKET.KEY)))
        if m.get(PACKET.MRU):
            out.append("mru:" + m.get(PACKET.MRU).hex())
    out += ["2:" + f.hex() for f, _ in w2.drain(0.02)]
    g.say(label, error + " " + " | ".join(out))


def run(label, frame, *actions, key=()):
    r = s.execute(DP0, frame, list(key) or [k_port(1)], list(actions))
    seen(label, r.error)


def told(label, star=("timeout",)):
    """The connections in the table, without what is not the module's business."""
    lines = []
    for c in table.dump():
        ends = []
        for end in ("orig", "reply"):
            t = dict(c[end])
            ip, proto = dict(t[1]), dict(t[2])
            a = [v for k, v in sorted(ip.items())]
            p = " ".join("%d=%s" % (k, v.hex()) for k, v in sorted(proto.items()))
            ends.append("%s>%s %s" % (a[0].hex(), a[1].hex(), p))
        lines.append("%s | %s zone=%s mark=%s labels=%s help=%s status=%x" % (
            ends[0], ends[1], c.get("zone", b"").hex(), c.get("mark", b"").hex(), c.get("labels", b"").hex(),
            dict(c["help"]).get(1, b"").hex() if "help" in c else "", word(c["status"]) & ~0x4200))
    g.say(label, " ; ".join(sorted(lines)) or "none")


def clean():
    if table.flush():
        sys.exit("flush")


def u(data=b"x", sp=1000, dp=53, src=A, dst=B):
    return eth(0x800, ipv4(17, udp(data, sp, dp, src, dst), src, dst))


def t(flags, seq, ack, data=b"", sp=1000, dp=80, src=A, dst=B, fam=4):
    seg = tcp(data, sp, dp, flags, src, dst, seq=seq, ack=ack)
    return eth(0x800, ipv4(6, seg, src, dst)) if fam == 4 else eth(0x86dd, ipv6(6, seg, src, dst))


SYN, ACK, FIN, RST, PSH = 2, 16, 1, 4, 8

# ---- states ----
run("C14 udp new", u(), a_ct(), ME)
told("C14 nothing is committed")
run("C14 udp commit", u(), a_ct(commit=True), ME, OUT2)
run("C14 udp again", u(), a_ct(), ME)
run("C14 udp reply", u(sp=53, dp=1000, src=B, dst=A), a_ct(), ME, OUT2)
run("C14 udp established", u(), a_ct(), ME, OUT2)
run("C14 another zone", u(), a_ct(zone=7), ME)
run("C7 both zones", u(), a_ct(), a_ct(zone=7, commit=True), ME)
told("C7 two zones")
run("C17 ct_clear", u(), a_ct(), a_ct_clear(), ME, OUT2)
run("C17 ct_clear of nothing", u(), a_ct_clear(), ME)
run("C14 padded", u() + b"\xee" * 17, a_ct(), ME, OUT2)
clean()
run("C14 tcp syn", t(SYN, 100, 0), a_ct(commit=True), ME)
run("C14 tcp syn ack", t(SYN | ACK, 500, 101, sp=80, dp=1000, src=B, dst=A), a_ct(), ME)
run("C14 tcp ack", t(ACK, 101, 501), a_ct(), ME)
run("C14 tcp data", t(ACK | PSH, 101, 501, b"GET"), a_ct(), ME, OUT2)
run("C14 tcp wrong window", t(ACK, 0x7000000, 501, b"GET"), a_ct(), ME)
run("C14 tcp no flags", t(0, 1, 1, sp=3000), a_ct(commit=True), ME)
run("C14 tcp rst", t(RST, 104, 0), a_ct(), ME)
told("C14 tcp")
clean()
run("C14 tcp6", t(SYN, 1, 0, src="fd00::1", dst="fd00::2", fam=6), a_ct(commit=True), ME, OUT2)
run("C14 tcp6 reply", t(SYN | ACK, 1, 2, sp=80, dp=1000, src="fd00::2", dst="fd00::1", fam=6), a_ct(), ME)
run("C14 ping", eth(0x800, ipv4(1, icmp())), a_ct(commit=True), ME)
run("C14 pong", eth(0x800, ipv4(1, icmp(0), B, A)), a_ct(), ME)
run("C14 ping6", eth(0x86dd, ipv6(58, icmpv6(), **SIX)), a_ct(commit=True), ME)
run("C14 pong6", eth(0x86dd, ipv6(58, icmpv6(129, **XIS), **XIS)), a_ct(), ME)
run("C14 sctp", eth(0x800, ipv4(132, sctp())), a_ct(commit=True), ME)
run("C14 gre", eth(0x800, ipv4(47, b"\0\0\x08\0" + b"\0" * 20)), a_ct(commit=True), ME)
run("B50 nd", nd(135, opt(1)), a_ct(commit=True), ME, OUT2)
run("C8 udp cut", eth(0x800, ipv4(17, udp()[:7])), a_ct(zone=9, commit=True), ME)
run("C8 ip cut", eth(0x800, ipv4(17, b"")[:19]), a_ct(zone=9), ME)
run("C8 ip nothing", eth(0x800, b""), a_ct(zone=9), ME)
run("C8 ip6 cut", eth(0x86dd, ipv6(17, b"")[:39]), a_ct(zone=9), ME)
run("C8 ihl beyond", eth(0x800, ipv4(17, udp(b""), ihl=15)), a_ct(zone=9), ME)
told("C14 many protocols")
clean()
run("icmp error: before", u(), a_ct(commit=True))
run("C14 icmp error", eth(0x800, ipv4(1, icmp(3, 1, b"\0" * 4 + u()[14:42]), B, A)), a_ct(), ME, OUT2)
run("C14 icmp error about nothing", eth(0x800, ipv4(1, icmp(3, 1, b"\0" * 4 + u(sp=9)[14:42]), B, A)), a_ct(), ME)
clean()
# In a tag, and beside the data.
for label, f in (("vlan", eth(0x8100, vlan(5, 0x800, u()[14:]))), ("qinq", eth(0x88a8, vlan(6, 0x8100, vlan(5, 0x800, u()[14:]))))):
    run("C13 " + label, f, a_ct(commit=True), ME, OUT2)
    clean()
# Actions after it see the key as it is, and the other way round.
run("A9 key made anew", eth(0x8100, vlan(5, 0x8100, vlan(6, 0x800, u()[14:]))), a_pop_vlan(), a_ct(commit=True), ME, OUT2)
clean()

# ---- mark, labels, events ----
L1, L2 = bytes(range(16)), b"\xf0" * 16
run("C12 mark and labels", u(), a_ct(c_mark(0x12345678, 0xffff), c_labels(L1, b"\x0f" * 16), commit=True), ME)
run("C12 seen by the next", u(), a_ct(), ME)
run("C12 more of both", u(), a_ct(c_mark(0xab0000, 0xff0000), c_labels(L2, b"\xf0" + b"\0" * 14 + b"\xff"), commit=True), ME)
run("C12 the same again", u(), a_ct(c_mark(0xab0000, 0xff0000), commit=True), ME)
run("C12 value outside of the mask", u(), a_ct(c_mark(0xf, 0x1), commit=True), ME)
told("C12 mark and labels in the table")
run("B32 labels later", u(sp=7), a_ct(commit=True), a_ct(c_labels(L1), commit=True), ME)
run("C12 event mask", u(sp=8), a_ct(attr(CT.EVENTMASK, u32(0x6)), commit=True), ME)
clean()

# ---- force, clones ----
run("B29 there", u(), a_ct(commit=True))
run("B29 force, same direction", u(), a_ct(force=True), ME)
told("B29 unchanged")
run("B29 force, other direction", u(sp=53, dp=1000, src=B, dst=A), a_ct(force=True), ME)
told("B29 turned round")
run("B29 and back", u(), a_ct(force=True), ME)
run("B29 twice in a list", u(), a_ct(force=True), a_ct(force=True), ME)
told("B29 turned round again")
clean()
run("B30 clones", u(), a_ct(), a_clone(a_ct(c_mark(1), commit=True)), a_ct(c_mark(2), commit=True), ME)
clean()
run("B30 clone first", u(), a_clone(a_ct(c_mark(1), commit=True), ME), a_ct(), ME)
told("B30 one connection")
clean()

# ---- upcall and EXECUTE: the connection is lost and found (P3, C7) ----
CTKEY = [k_port(1), attr(KEY.CT_STATE, u32(0x22)), attr(KEY.CT_ZONE, u16(0))]
run("P3 there", u(), a_ct(commit=True))
run("P3 and back", u(sp=53, dp=1000, src=B, dst=A), a_ct())
run("P3 state in the key", u(), ME, key=CTKEY + [attr(KEY.CT_MARK, u32(5)), attr(KEY.CT_LABELS, L1)])
run("P3 found again", u(), a_ct(c_mark(9), commit=True), ME, key=CTKEY)
run("P3 not found", u(sp=77), a_ct(), ME, key=CTKEY)
run("P3 other zone", u(), a_ct(zone=3), ME, key=CTKEY)
ORIG4 = attr(KEY.CT_ORIG_TUPLE_IPV4, ip4(A) + ip4(B) + be16(1000) + be16(53) + b"\x11\0\0\0")
run("P3 tuple", u(), ME, key=CTKEY + [ORIG4])
run("P3 tuple of an ARP packet", eth(0x806, arp()), ME, key=CTKEY + [ORIG4])
clean()

# ---- B58: set between two ----
run("B58 set ip between", u(), a_ct(commit=True), a_set(k_ipv4(A, "10.0.0.77")), a_ct(commit=True), ME, OUT2)
run("B58 set port between", u(sp=5), a_ct(commit=True), a_set(k_udp(6, 53)), a_ct(commit=True), ME, OUT2)
told("B58 as many as tuples")
clean()

# ---- NAT ----
ONE = attr(NAT.IP_MIN, ip4(N))
PORT = attr(NAT.PROTO_MIN, u16(4000))
SRC, DST = attr(NAT.SRC), attr(NAT.DST)
run("C9 nat without type, new", u(), a_ct(c_nat()), ME, OUT2)
run("C9 snat", u(), a_ct(c_nat(SRC, ONE, PORT), commit=True), ME, OUT2)
run("C9 snat reply", u(sp=53, dp=4000, src=B, dst=N), a_ct(c_nat()), ME, OUT2)
run("C9 snat again", u(), a_ct(c_nat()), ME, OUT2)
run("C9 snat, no nat", u(), a_ct(), ME, OUT2)
run("C9 snat, nat twice", u(), a_ct(c_nat()), a_ct(c_nat()), ME, OUT2)
run("C9 icmp error under nat", eth(0x800, ipv4(1, icmp(3, 1, b"\0" * 4 + u(sp=4000, src=N)[14:42]), B, N)), a_ct(c_nat()), ME, OUT2)
told("C9 snat in the table")
clean()
run("C9 dnat", u(), a_ct(c_nat(DST, ONE, PORT), commit=True), ME, OUT2)
run("C9 dnat reply", u(sp=4000, dp=1000, src=N, dst=A), a_ct(c_nat()), ME, OUT2)
run("C9 dnat without commit", u(sp=2), a_ct(c_nat()), ME, OUT2)
told("C9 dnat in the table")
clean()
run("C9 hairpin, dnat", u(), a_ct(c_nat(DST, ONE), zone=1, commit=True), ME, OUT2)
run("C9 hairpin, then snat", u(), a_ct(c_nat(DST, ONE), zone=2, commit=True), a_ct(c_nat(SRC, ONE, PORT), zone=3, commit=True), ME, OUT2)
told("C9 hairpin in the table")
clean()
run("C9 both in one zone", u(), a_ct(c_nat(SRC, ONE, PORT), commit=True), a_ct(c_nat(DST, ONE), commit=True), ME, OUT2)
clean()
run("C9 no address", u(), a_ct(c_nat(SRC), commit=True), ME, OUT2)
clean()
run("C9 a port that is taken", u(sp=1), a_ct(c_nat(SRC, ONE, PORT), commit=True))
run("C9 a port that is taken, again", u(sp=2), a_ct(c_nat(SRC, ONE, PORT), commit=True), ME, OUT2)
clean()
S6 = attr(NAT.IP_MIN, ip6("fd99::1"))
run("C9 snat6", eth(0x86dd, ipv6(17, udp(b"x", 1000, 53, "fd00::1", "fd00::2"), **SIX)), a_ct(c_nat(SRC, S6, PORT), commit=True), ME, OUT2)
run("C9 snat6 reply", eth(0x86dd, ipv6(17, udp(b"x", 53, 4000, "fd00::2", "fd99::1"), "fd00::2", "fd99::1")), a_ct(c_nat()), ME, OUT2)
clean()
run("C9 tcp snat", t(SYN, 1, 0), a_ct(c_nat(SRC, ONE, PORT), commit=True), ME, OUT2)
run("C9 ping snat", eth(0x800, ipv4(1, icmp())), a_ct(c_nat(SRC, ONE), commit=True), ME, OUT2)
run("C9 pong snat", eth(0x800, ipv4(1, icmp(0), B, N)), a_ct(c_nat()), ME, OUT2)
clean()

# ---- fragments ----
whole = udp(bytes(range(200)), 1000, 53)
parts = [(0, whole[:104], True), (104, whole[104:160], True), (160, whole[160:], False)]


def frag4(n):
    at, data, more = parts[n]
    return eth(0x800, ipv4(17, data, frag=at // 8 | more << 13))


def frag6_(n):
    at, data, more = parts6[n]
    return eth(0x86dd, ipv6(FRAG, frag6(17, at // 8, more) + data, **SIX))


whole6 = udp(bytes(range(200)), 1000, 53, "fd00::1", "fd00::2")
parts6 = [(0, whole6[:104], True), (104, whole6[104:160], True), (160, whole6[160:], False)]
for order in ((0, 1, 2), (2, 1, 0), (1, 0, 2)):
    for i, n in enumerate(order):
        run("C6 fragments %s, %d" % (order, i), frag4(n), a_ct(commit=True), ME, OUT2)
    clean()
# These wait for half a minute: in zones that no other run of this case in this VM has.
ALONE = 1000 + 2 * os.getpid() % 60000
run("C6 first alone", frag4(0), a_ct(zone=ALONE), ME)
run("C6 the others in another zone", frag4(1), a_ct(zone=ALONE + 1), ME)
run("C6 the others in another zone, last", frag4(2), a_ct(zone=ALONE + 1), ME)
for n in (0, 1, 2):
    run("C6 nat of fragments, %d" % n, frag4(n), a_ct(c_nat(SRC, ONE, PORT), commit=True), ME, OUT2)
clean()
for n in (0, 1, 2):
    s.execute(DP0, frag6_(n), [k_port(1)], [a_ct(commit=True), ME, OUT2])
got = [m for m in up.notifications("ovs_packet", 0.05)]
keys = [show(KEY, m.get(PACKET.KEY)) for m in got]
g.say("C6 fragments of IPv6", " | ".join(keys + ["%d bytes" % len(f) for f, _ in w2.drain(0.05)]))
clean()

# ---- helper ----
run("C10 control", t(SYN, 1000, 0, sp=3000, dp=21), a_ct(c_name(CT.HELPER, "ftp"), commit=True), ME)
run("C10 control reply", t(SYN | ACK, 5000, 1001, sp=21, dp=3000, src=B, dst=A), a_ct(c_name(CT.HELPER, "ftp")), ME)
run("C10 control ack", t(ACK, 1001, 5001, sp=3000, dp=21), a_ct(), ME)
told("C10 has its helper")
run("C10 a line", t(ACK | PSH, 1001, 5001, b"USER x\r\n", sp=3000, dp=21), a_ct(), ME)
run("C10 port", t(ACK | PSH, 1009, 5001, b"PORT 10,0,0,1,4,1\r\n", sp=3000, dp=21), a_ct(), ME)
run("C10 data, looked up", t(SYN, 1, 0, sp=20, dp=1025, src=B, dst=A), a_ct(), ME)
run("C10 data, looked up again", t(SYN, 1, 0, sp=20, dp=1025, src=B, dst=A), a_ct(), ME)
run("C10 data, committed", t(SYN, 1, 0, sp=20, dp=1025, src=B, dst=A), a_ct(commit=True), ME)
run("C14 data reply", t(SYN | ACK, 7, 2, sp=1025, dp=20), a_ct(), ME)
clean()
run("C10 nat control", t(SYN, 1000, 0, sp=3000, dp=21), a_ct(c_name(CT.HELPER, "ftp"), c_nat(SRC, ONE), c_labels(L1), commit=True), ME, OUT2)
run("C10 nat control reply", t(SYN | ACK, 5000, 1001, sp=21, dp=3000, src=B, dst=N), a_ct(c_nat()), ME, OUT2)
run("C10 nat control ack", t(ACK, 1001, 5001, sp=3000, dp=21), a_ct(c_nat()), ME, OUT2)
run("C10 nat a line", t(ACK | PSH, 1001, 5001, b"USER x\r\n", sp=3000, dp=21), a_ct(c_nat()), ME, OUT2)
run("C10 nat port", t(ACK | PSH, 1009, 5001, b"PORT 10,0,0,1,4,1\r\n", sp=3000, dp=21), a_ct(c_nat()), ME, OUT2)
run("C10 nat after it", t(ACK | PSH, 1028, 5001, b"NOOP\r\n", sp=3000, dp=21), a_ct(c_nat()), ME, OUT2)
run("C10 nat answer", t(ACK | PSH, 5001, 1028, b"200 OK\r\n", sp=21, dp=3000, src=B, dst=N), a_ct(c_nat()), ME, OUT2)
run("C10 nat data, looked up", t(SYN, 1, 0, sp=20, dp=1025, src=B, dst=N), a_ct(c_nat()), ME, OUT2)
run("C10 nat data, committed", t(SYN, 1, 0, sp=20, dp=1025, src=B, dst=N), a_ct(c_nat(), commit=True), ME, OUT2)
run("C10 nat data reply", t(SYN | ACK, 7, 2, sp=1025, dp=20), a_ct(c_nat()), ME, OUT2)
g.either.add("C10 nat, master's labels")  # whether it has its master's helper is the kernel's business
told("C10 nat, master's labels")
clean()

# ---- timeout policy ----
g.say("C5 policy made", str(table.timeout_policy("slow", 17, 7777)))
run("C5 with the policy", u(), a_ct(c_name(CT.TIMEOUT, "slow"), commit=True), ME)
run("C5 without it, another connection", u(sp=9), a_ct(commit=True), ME)
g.say("C5 seconds", " ".join(sorted("long" if word(c["timeout"]) > 7000 else "short" for c in table.dump())))
run("B58 another policy", u(), a_ct(), ME)
run("B58 the policy on a connection without", u(sp=9), a_ct(c_name(CT.TIMEOUT, "slow")), ME)
clean()
g.say("C5 policy gone", str(table.delete_policy("slow")))

# ---- limits ----
SET_L, DEL_L, GET_L = 1, 2, 3


def zones(*list_of):
    return attr(CT_LIMIT.ZONE_LIMIT, b"".join(struct.pack("=iII", z, l, 0) for z, l in list_of))


s.request("ovs_ct_limit", SET_L, 0, zones((4, 2), (-1, 1)))
for i, sp in enumerate((1, 2, 3, 1)):
    run("L5 zone 4, packet %d" % i, u(sp=sp), a_ct(zone=4, commit=True), ME)
for sp in (1, 2):
    run("L5 default, port %d" % sp, u(sp=sp), a_ct(zone=6, commit=True), ME)
run("L5 only looked up", u(sp=3), a_ct(zone=4), ME)
g.reply("L5 counts", "ovs_ct_limit", s.request("ovs_ct_limit", GET_L, 0, zones((4, 0), (6, 0), (8, 0))))
clean()
s.request("ovs_ct_limit", DEL_L, 0, zones((4, 0), (-1, 0)))
run("L5 no limit", u(sp=3), a_ct(zone=4, commit=True), ME)
clean()

# ---- through flows: recirculation, and a match on the state ----
META = [k_port(0xffffffff), k_recirc(0xffffffff), k_type(0xffff)]


def flow(recirc, ct_state, mask, *actions, port=1):
    key = [k_port(port), k_recirc(recirc), attr(KEY.CT_STATE, u32(ct_state)), k_eth(), k_type(0x800), k_ipv4(), k_udp()]
    r = s.new_flow(DP0, key, list(actions), META + [attr(KEY.CT_STATE, u32(mask))])
    g.say("flow %d %#x/%#x" % (recirc, ct_state, mask), r.error)


flow(0, 0, 0, a_ct(zone=1), a_recirc(1))
flow(1, 0x21, 0x23, a_ct(c_nat(SRC, ONE, PORT), zone=1, commit=True), OUT2)
flow(1, 0x22, 0x23, a_ct(c_nat(), zone=1), OUT2)
for n in range(3):
    w1.send(u())
    seen("recirculated, packet %d" % n)
    if n == 1:
        run("the reply between", u(sp=53, dp=4000, src=B, dst=N), a_ct(c_nat(), zone=1), ME)
told("recirculated")
# Nothing is left but what the switch committed.
clean()
if count():
    sys.exit("%d connections left" % count())
s.flow(DEL, DP0)
s.dp(DEL, DP0)
g.finish()
