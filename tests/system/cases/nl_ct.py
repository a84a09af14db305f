# SPDX-License-Identifier: GPL-2.0
# title: CT and CT_CLEAR as actions, ovs_ct_limit: what is refused, and what comes back (A6, C1-C5, C15, L1-L6)
# timeout: 180
from golden import Golden
from ovsnl import *

g, s = Golden(), Sock(pid=4242)
DP0 = s.new_dp("dp0", 1000)
V4 = [k_port(1), k_eth(), k_type(0x800), k_ipv4(proto=6), k_tcp(), k_tcp_flags(0)]
V6 = [k_port(1), k_eth(), k_type(0x86dd), k_ipv6(), k_udp()]
ARP = [k_port(1), k_eth(), k_type(0x806), k_arp()]
OTHER = [k_port(1), k_eth(), k_type(0x1234)]


def acts(label, *actions, key=V4):
    """The errno, and if it is accepted the list as it is told."""
    r = s.new_flow(DP0, key, list(actions), None, attr(FLOW.PROBE))
    if r.note:
        print("note", label, r.error, repr(r.note), r.note_offset)
    if r.errno:
        return g.say(label, r.error)
    told = s.flow(GET, DP0, nest(FLOW.KEY, *key)).messages[0].get(FLOW.ACTIONS)
    g.say(label, "OK " + show(ACTION, told))
    s.flow(DEL, DP0, nest(FLOW.KEY, *key))


def ct(label, *args, key=V4):
    acts(label, nest(ACTION.CT, *args), key=key)


COMMIT, FORCE = attr(CT.COMMIT), attr(CT.FORCE)
ZONE = attr(CT.ZONE, u16(7))
SRC, DST = attr(NAT.SRC), attr(NAT.DST)
MIN4, MAX4 = attr(NAT.IP_MIN, ip4("10.1.1.1")), attr(NAT.IP_MAX, ip4("10.1.1.9"))
MIN6, MAX6 = attr(NAT.IP_MIN, ip6("fd01::1")), attr(NAT.IP_MAX, ip6("fd01::9"))
PMIN, PMAX = attr(NAT.PROTO_MIN, u16(1000)), attr(NAT.PROTO_MAX, u16(2000))

# C1
for name, key in (("v4", V4), ("v6", V6), ("arp", ARP), ("other", OTHER)):
    ct("C1 empty " + name, key=key)
    ct("C1 commit " + name, COMMIT, ZONE, key=key)
    acts("ct_clear " + name, a_ct_clear(), key=key)
for n in (1, 2, 4):
    acts("ct_clear with %d bytes" % n, attr(ACTION.CT_CLEAR, b"\0" * n))
# C2: lengths, duplicates, unknown types
for name, kind in CT.by_name.items():
    for n in (0, 1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33):
        ct("C2 %s of %d" % (name, n), COMMIT, attr(kind, b"\1" * n))
        if name in ("HELPER", "TIMEOUT") and n:
            ct("C2 %s of %d with NUL" % (name, n), COMMIT, attr(kind, b"x" * (n - 1) + b"\0"))
for kind in (10, 11, 31, 32, 33, 64, 255, 256, 0x3fff, CT.ZONE | NLA_F_NESTED, CT.COMMIT | NLA_F_NET_BYTEORDER):
    ct("B12 type %#x" % kind, attr(kind))
    ct("B12 type %#x of 2" % kind, attr(kind, b"\1\0"))
ct("C2 zone twice", attr(CT.ZONE, u16(1)), ZONE)
ct("C2 commit and force", COMMIT, FORCE)
ct("C2 force and commit", FORCE, COMMIT)
ct("C2 mark without commit", c_mark(1))
ct("C2 labels without commit", c_labels(b"\1" * 16))
ct("C2 mark before commit", c_mark(1), COMMIT)
ct("C2 labels before force", c_labels(b"\1" * 16), FORCE)
ct("C2 mark mask 0", COMMIT, c_mark(1, 0))
ct("C2 labels mask 0", COMMIT, c_labels(b"\1" * 16, b"\0" * 16))
ct("C2 mark outside of its mask", COMMIT, c_mark(0xff00, 0xff))
ct("C2 mark twice", COMMIT, c_mark(1), c_mark(2, 3))
ct("C2 event mask", COMMIT, attr(CT.EVENTMASK, u32(0x706)))
ct("C2 event mask 0", attr(CT.EVENTMASK, u32(0)))
ct("C2 trailing bytes", ZONE, b"\0\0\0")
ct("C2 trailing header", ZONE, attr(CT.ZONE, length=3))
ct("C2 longer than the action", attr(CT.ZONE, u16(1), length=20))
# C5
ct("C5 no such timeout", c_name(CT.TIMEOUT, "nobody"))
ct("C5 empty timeout", c_name(CT.TIMEOUT, ""))
ct("C5 timeout and more", attr(CT.TIMEOUT, b"some\0body\0"))
ct("C5 no such helper", COMMIT, c_name(CT.HELPER, "nobody"))
ct("C5 empty helper", COMMIT, c_name(CT.HELPER, ""))
for helper in ("ftp", "tftp"):
    for name, key in (("tcp", V4), ("udp6", V6)):
        ct("C5 %s for %s" % (helper, name), COMMIT, c_name(CT.HELPER, helper), key=key)
        ct("C5 %s for %s with NAT" % (helper, name), COMMIT, c_name(CT.HELPER, helper), c_nat(), key=key)
        ct("C5 %s for %s, no commit" % (helper, name), c_name(CT.HELPER, helper), key=key)
# C3
for fam, key, low, high in (("v4", V4, MIN4, MAX4), ("v6", V6, MIN6, MAX6)):
    def nat(label, *args, key=key, before=(COMMIT,), after=()):
        ct("C3 %s %s" % (fam, label), *before, c_nat(*args), *after, key=key)

    nat("empty")
    nat("empty, no commit", before=())
    nat("src", SRC)
    nat("dst", DST)
    nat("src dst", SRC, DST)
    nat("dst src", DST, SRC)
    nat("src src", SRC, SRC)
    nat("no commit", SRC, before=())
    nat("commit after", SRC, before=(), after=(COMMIT,))
    nat("force before", DST, before=(FORCE,))
    nat("address", SRC, low)
    nat("addresses", SRC, low, high)
    nat("addresses, the same", DST, high, attr(NAT.IP_MAX, high[4:]), )
    nat("last address alone", SRC, high)
    nat("range before the type", low, high, SRC)
    nat("port", DST, low, PMIN)
    nat("ports", DST, low, PMIN, PMAX)
    nat("last port alone", DST, PMAX)
    nat("flags", SRC, low, attr(NAT.PERSISTENT), attr(NAT.HASH), attr(NAT.RANDOM))
    nat("random alone", SRC, attr(NAT.RANDOM))
    for name, a in (("address", low), ("last address", high), ("port", PMIN), ("last port", PMAX), ("persistent", attr(NAT.PERSISTENT)),
                    ("hash", attr(NAT.HASH)), ("random", attr(NAT.RANDOM))):
        nat("%s without a type" % name, a)
    for name, kind in NAT.by_name.items():
        for n in (0, 1, 2, 3, 4, 8, 16, 20):
            nat("%s of %d" % (name, n), *([] if name in ("SRC", "DST") else [SRC]), attr(kind, b"\1" * n))
    for kind in (10, 31, 32, 64, 300):
        nat("type %d" % kind, SRC, attr(kind))
    nat("trailing bytes", SRC, b"\0\0\0")
    ct("C3 %s NAT twice" % fam, COMMIT, c_nat(), c_nat(SRC), key=key)
    ct("C3 %s NAT twice, empty second" % fam, COMMIT, c_nat(SRC, low), c_nat(), key=key)
    ct("C3 %s NAT twice, both empty" % fam, COMMIT, c_nat(), c_nat(), key=key)
    ct("C3 %s other family's address" % fam, COMMIT, c_nat(SRC, MIN6 if fam == "v4" else MIN4), key=key)
# C15, A6, B22
everything = [COMMIT, ZONE, c_mark(1, 3), c_labels(b"\2" * 16, b"\3" * 16), c_name(CT.HELPER, "ftp"), attr(CT.EVENTMASK, u32(5)),
              c_name(CT.TIMEOUT, "slow"), c_nat(SRC, MIN4, MAX4, PMIN, PMAX, attr(NAT.PERSISTENT), attr(NAT.RANDOM))]
ct("C15 everything", *everything)
ct("C15 everything, backwards", *[everything[0]] + everything[:0:-1])
acts("A6 nested", a_clone(nest(ACTION.CT, *everything), a_sample(5, a_ct(zone=3), a_ct_clear())), a_ct(force=True), a_recirc(1))
acts("A5 an error after them", a_clone(nest(ACTION.CT, *everything)), a_output(65535))
acts("A5 an error inside", a_clone(nest(ACTION.CT, *everything), a_ct(c_mark(1))))
g.ours["set of ct_mark"] = "EINVAL"  # Q7: it would drop every packet
acts("set of ct_mark", a_set(attr(KEY.CT_MARK, u32(5))))
# Keys (K19, K9)
for label, a in (("state", attr(KEY.CT_STATE, u32(0x22))), ("state 0", attr(KEY.CT_STATE, u32(0))), ("state 0x100", attr(KEY.CT_STATE, u32(0x100))),
                 ("zone", attr(KEY.CT_ZONE, u16(5))), ("mark", attr(KEY.CT_MARK, u32(5))), ("labels", attr(KEY.CT_LABELS, b"\5" * 16))):
    r = s.new_flow(DP0, V4 + [a], [])
    g.reply("K19 " + label, "ovs_flow", r)
    if not r.errno:
        g.reply("K19 %s, told" % label, "ovs_flow", s.flow(GET, DP0, nest(FLOW.KEY, *V4, a)))
        s.flow(DEL, DP0, nest(FLOW.KEY, *V4, a))

# ---- ovs_ct_limit ----

SET_L, DEL_L, GET_L = 1, 2, 3


def zones(*list_of):
    return attr(CT_LIMIT.ZONE_LIMIT, b"".join(struct.pack("=iII", z, l, 0xffffffff) for z, l in list_of))


def limit(label, cmd, *attrs, dp=0):
    g.reply(label, "ovs_ct_limit", s.request("ovs_ct_limit", cmd, dp, *attrs))


s.family("ovs_ct_limit")
limit("L2 get all at first", GET_L)
limit("L2 set nothing", SET_L)
limit("L2 del nothing", DEL_L)
limit("L2 get of none", GET_L, zones())
limit("L2 set of none", SET_L, zones())
limit("L2 get zones without limits", GET_L, zones((3, 0), (-1, 0), (65535, 0)))
limit("L1 set", SET_L, zones((7, 70), (-1, 5), (1, 10), (65535, 1)), dp=DP0)
limit("L2 get all", GET_L, dp=4711)
limit("L1 out of range", SET_L, zones((65536, 1), (-2, 2), (2**31 - 1, 3), (2, 4)))
limit("L2 get some", GET_L, zones((2, 0), (7, 0), (65536, 0), (-1, 0), (9, 0)))
limit("L1 replace", SET_L, zones((7, 71), (7, 72)))
limit("L1 del", DEL_L, zones((1, 0), (3, 0), (70000, 0)))
limit("L2 get after del", GET_L)
limit("L1 del default", DEL_L, zones((-1, 0)))
limit("L2 get after del of the default", GET_L)
for n in (1, 2, 3, 4, 8, 12, 13, 14, 24, 25):
    limit("B18 set of %d bytes" % n, SET_L, attr(CT_LIMIT.ZONE_LIMIT, b"\0" * n))
    limit("B18 get of %d bytes" % n, GET_L, attr(CT_LIMIT.ZONE_LIMIT, b"\0" * n))
limit("unknown attribute", GET_L, attr(9, b"abc"))
limit("command 4", 4)
limit("command 0", 0)
g.reply("N6 dump", "ovs_ct_limit", s.dump("ovs_ct_limit", DP0, cmd=GET_L))
many = zones(*((z, 1) for z in range(2000)))
limit("L4 set 2000", SET_L, many)
r = s.request("ovs_ct_limit", GET_L, 0)
g.ours["L4 get 2000"] = "OK"
g.say("L4 get 2000", r.error)
if r.messages and len(r.messages[0].get(CT_LIMIT.ZONE_LIMIT)) != 2002 * 12:  # the default, and one of before
    raise SystemExit("%d limits" % (len(r.messages[0].get(CT_LIMIT.ZONE_LIMIT)) // 12))
limit("L1 del 2000", DEL_L, many)
limit("L2 get at the end", GET_L)
g.finish()
