# SPDX-License-Identifier: GPL-2.0
# title: bad input: every attribute of the four families missing, short, long, twice, nested or flat
# timeout: 180
import struct
import subprocess

from golden import Golden
from ovsnl import *

g, s = Golden(), Sock(pid=4242)
DP0 = s.new_dp("dp0", 1000)
subprocess.run(["ip", "link", "add", "d1", "index", "2001", "type", "dummy"], check=True)
subprocess.run(["ip", "link", "add", "d2", "index", "2002", "type", "dummy"], check=True)
s.new_port(DP0, "d1", 1)
KEYS = {
    "PRIORITY": u32(1), "IN_PORT": u32(1), "ETHERNET": MAC1 + MAC2, "ETHERTYPE": be16(0x800),
    "IPV4": ip4("10.0.0.1") + ip4("10.0.0.2") + b"\x11\0\x40\0", "UDP": be16(1) + be16(2), "SKB_MARK": u32(0),
    "DP_HASH": u32(0), "RECIRC_ID": u32(0),
}
OTHER = {  # keys that need other companions: (companions, payload)
    "IPV6": ({"ETHERTYPE": be16(0x86dd), "UDP": b"\0\1\0\2"}, b"\1" * 32 + b"\0\0\0\0\x11\0\x40\0"),
    "ARP": ({"ETHERTYPE": be16(0x806)}, b"\1" * 8 + b"\0\1" + b"\2" * 12 + b"\0\0"),
    "TCP": ({"ETHERTYPE": be16(0x800), "IPV4": b"\1" * 8 + b"\6\0\x40\0", "TCP_FLAGS": b"\0\2"}, b"\0\1\0\2"),
    "TCP_FLAGS": ({"ETHERTYPE": be16(0x800), "IPV4": b"\1" * 8 + b"\6\0\x40\0", "TCP": b"\0\1\0\2"}, b"\0\2"),
    "SCTP": ({"ETHERTYPE": be16(0x800), "IPV4": b"\1" * 8 + b"\x84\0\x40\0"}, b"\0\1\0\2"),
    "ICMP": ({"ETHERTYPE": be16(0x800), "IPV4": b"\1" * 8 + b"\1\0\x40\0"}, b"\x08\0"),
    "ICMPV6": ({"ETHERTYPE": be16(0x86dd), "IPV6": b"\1" * 32 + b"\0\0\0\0\x3a\0\x40\0"}, b"\x80\0"),
    "ND": ({"ETHERTYPE": be16(0x86dd), "IPV6": b"\1" * 32 + b"\0\0\0\0\x3a\0\x40\0", "ICMPV6": b"\x87\0"}, b"\1" * 28),
    "IPV6_EXTHDRS": ({"ETHERTYPE": be16(0x86dd), "IPV6": b"\1" * 32 + b"\0\0\0\0\x3b\0\x40\0"}, u16(8)),
    "VLAN": ({"ETHERTYPE": be16(0x8100), "ENCAP": attr(KEY.ETHERTYPE, be16(0x1234))}, be16(0x1005)),
    "ENCAP": ({"ETHERTYPE": be16(0x8100), "VLAN": be16(0x1005)}, attr(KEY.ETHERTYPE, be16(0x1234))),
}
COMMON = {"IN_PORT": u32(1), "ETHERNET": MAC1 + MAC2}


def variants(kind, payload):
    """What can be wrong with one attribute: (name, bytes to put in its place)."""
    yield "missing", b""
    yield "empty", attr(kind)
    for n in sorted({1, len(payload) - 1, len(payload) // 2}):
        if 0 < n < len(payload):
            yield "short by %d" % (len(payload) - n), attr(kind, payload[:n])
    yield "long by 1", attr(kind, payload + b"\0")
    yield "long by 4", attr(kind, payload + b"\0\0\0\0")
    yield "long by 64", attr(kind, payload + b"\0" * 64)
    yield "twice", attr(kind, payload) * 2
    yield "nested flag", attr(kind | NLA_F_NESTED, payload)
    yield "byte order flag", attr(kind | NLA_F_NET_BYTEORDER, payload)
    yield "nested inside itself", attr(kind, attr(kind, payload))
    yield "flat garbage", attr(kind, b"\xff\xff\xff\xff\xff")
    yield "length 3", attr(kind, payload, length=3)
    yield "length beyond the message", attr(kind, payload, length=4 + len(payload) + 400)


def state(family):
    """What a request of this family could have changed. Nothing is up, so no counter moves."""
    out = []
    for f, dp in (("ovs_datapath", 0), ("ovs_vport", DP0), ("ovs_flow", DP0)):
        if f == family or family in ("ovs_datapath", "ovs_vport") and f != "ovs_flow":
            out += sorted(m.data for m in s.dump(f, dp).messages)
    return out


def trial(label, family, cmd, attrs, undo, flags=0, dp=DP0):
    """Send, record the errno; on an error nothing may have changed, on success `undo` puts it back."""
    r = s.request(family, cmd, dp, *attrs, flags=flags)
    value = r.error
    if not r.errno:
        undo()
    elif family != "ovs_packet" and state(family) != before[family]:
        value += " BUT CHANGED"
        undo()
    g.say(label, value)


def each(label, family, cmd, parts, undo, flags=0, dp=DP0):
    """`parts`: [(name, type, payload)] of a good request; each in turn is spoilt."""
    r = s.request(family, cmd, dp, *[attr(k, p) for _, k, p in parts], flags=flags)
    g.say(label + ": good", r.error)
    undo()
    for i, (name, kind, payload) in enumerate(parts):
        for what, bad in variants(kind, payload):
            attrs = [attr(k, p) for _, k, p in parts]
            attrs[i] = bad
            trial("%s: %s %s" % (label, name, what), family, cmd, attrs, undo, flags, dp)


def key(fields):
    return b"".join(attr(KEY.by_name[n], p) for n, p in fields.items())


# Where ours follows the specification and the stock module is lax.
for name in list(KEYS) + list(OTHER):
    g.ours["set_masked %s long by 1" % name] = "EINVAL"  # A16: exactly twice the field
for label in ("USERSPACE short by 12", "USERSPACE short by 1", "USERSPACE long by 1", "USERSPACE long by 4", "USERSPACE long by 64"):
    g.ours["action " + label] = "EINVAL"  # spec 0.4: as from 7.3, trailing bytes are refused
for name in ("USERDATA", "EGRESS_TUN_PORT", "ACTIONS"):
    for what in ("length 3", "length beyond the message"):
        g.ours["USERSPACE.%s %s" % (name, what)] = "EINVAL"
before = {f: state(f) for f in ("ovs_datapath", "ovs_vport", "ovs_flow")}

# ---- ovs_datapath ----
def drop_dp1():
    for m in s.dump("ovs_datapath").messages:
        if m.dp_ifindex != DP0:
            s.dp(DEL, m.dp_ifindex)


def reset_dp():
    s.dp(SET, DP0, attr(DP.USER_FEATURES, u32(0)), attr(DP.MASKS_CACHE_SIZE, u32(256)))


def nothing():
    pass


each("dp new", "ovs_datapath", NEW, [("NAME", 1, b"dp1\0"), ("UPCALL_PID", 2, u32(7)), ("USER_FEATURES", 5, u32(3)),
                                     ("MASKS_CACHE_SIZE", 7, u32(256)), ("IFINDEX", 9, u32(1001))], drop_dp1)
each("dp set", "ovs_datapath", SET, [("USER_FEATURES", 5, u32(1)), ("MASKS_CACHE_SIZE", 7, u32(512))], reset_dp)
each("dp get", "ovs_datapath", GET, [("NAME", 1, b"dp0\0"), ("STATS", 3, b"\0" * 32), ("MEGAFLOW_STATS", 4, b"\0" * 32),
                                     ("PAD", 6, b"\0" * 4)], nothing)
each("dp del", "ovs_datapath", DEL, [("NAME", 1, b"nope\0")], nothing, dp=0)

# ---- ovs_vport ----
def drop_port():
    for m in s.dump("ovs_vport", DP0).messages:
        if m.u32(VPORT.PORT_NO) > 1:
            s.vport(DEL, DP0, attr(VPORT.PORT_NO, u32(m.u32(VPORT.PORT_NO))))


def reset_port():
    s.vport(SET, DP0, attr(VPORT.PORT_NO, u32(1)), attr(VPORT.UPCALL_PID, u32(0)))


each("vport new", "ovs_vport", NEW, [("PORT_NO", 1, u32(9)), ("TYPE", 2, u32(1)), ("NAME", 3, b"d2\0"), ("OPTIONS", 4, b""),
                                     ("UPCALL_PID", 5, u32(7))], drop_port)
each("vport new internal", "ovs_vport", NEW, [("TYPE", 2, u32(2)), ("NAME", 3, b"in1\0"), ("UPCALL_PID", 5, u32(7)),
                                              ("IFINDEX", 8, u32(3001))], drop_port)
each("vport set", "ovs_vport", SET, [("PORT_NO", 1, u32(1)), ("TYPE", 2, u32(1)), ("UPCALL_PID", 5, u32(9))], reset_port)
each("vport get", "ovs_vport", GET, [("NAME", 3, b"d1\0"), ("STATS", 6, b"\0" * 64), ("PAD", 7, b"\0" * 4), ("NETNSID", 9, u32(0)),
                                     ("UPCALL_STATS", 10, attr(0, u64(0)))], nothing)
each("vport del", "ovs_vport", DEL, [("PORT_NO", 1, u32(50)), ("NAME", 3, b"nope\0")], nothing)

# ---- ovs_flow ----
def flush():
    s.flow(DEL, DP0)


GOOD, ACT = key(KEYS), a_output(2)
MASK = key({"IN_PORT": u32(0xffffffff), "ETHERTYPE": b"\xff\xff"})
each("flow new", "ovs_flow", NEW, [("KEY", 1, GOOD), ("ACTIONS", 2, ACT), ("MASK", 7, MASK), ("PROBE", 8, b""),
                                   ("UFID", 9, b"u" * 16), ("UFID_FLAGS", 10, u32(0))], flush, NLM_F_CREATE)
each("flow get", "ovs_flow", GET, [("KEY", 1, GOOD), ("UFID_FLAGS", 10, u32(0)), ("STATS", 3, b"\0" * 16), ("TCP_FLAGS", 4, b"\0"),
                                   ("USED", 5, b"\0" * 8), ("PAD", 11, b"")], nothing)
each("flow set", "ovs_flow", SET, [("KEY", 1, GOOD), ("ACTIONS", 2, ACT), ("CLEAR", 6, b""), ("UFID", 9, b"u" * 16)], nothing)
each("flow del", "ovs_flow", DEL, [("KEY", 1, GOOD), ("UFID", 9, b"u" * 16), ("UFID_FLAGS", 10, u32(0))], flush)

# ---- values out of range ----
LONGEST = b"a" * 15
for what, value in (("-1", -1), ("the least", -1 << 31), ("0", 0)):
    number = struct.pack("=i", value)
    trial("dp new: IFINDEX " + what, "ovs_datapath", NEW, [attr(1, b"dp1\0"), attr(2, u32(7)), attr(9, number)], drop_dp1, dp=0)
    trial("dp get: IFINDEX " + what, "ovs_datapath", GET, [attr(9, number)], nothing)
    trial("vport new: IFINDEX " + what, "ovs_vport", NEW, [attr(2, u32(2)), attr(3, b"in1\0"), attr(5, u32(7)), attr(8, number)], drop_port)
    trial("vport get: IFINDEX " + what, "ovs_vport", GET, [attr(1, u32(1)), attr(8, number)], nothing)
for size in (0, 1, 3, 4095, 4096, 4097, 8192, 0x7fffffff, 0x80000000, 0xffffffff):
    trial("dp set: MASKS_CACHE_SIZE %d" % size, "ovs_datapath", SET, [attr(7, u32(size))], reset_dp)
for what, name in (("15", LONGEST + b"\0"), ("16", LONGEST + b"a\0"), ("15 without NUL", LONGEST), ("16 without NUL", LONGEST + b"a"),
                   ("15 and more", LONGEST + b"\0a"), ("0", b"\0"), ("0 and more", b"\0" * 15 + b"a")):
    trial("dp new: NAME of " + what, "ovs_datapath", NEW, [attr(1, name), attr(2, u32(7))], drop_dp1, dp=0)
    trial("vport new: NAME of " + what, "ovs_vport", NEW, [attr(2, u32(2)), attr(3, name), attr(5, u32(7))], drop_port)
    trial("vport get: NAME of " + what, "ovs_vport", GET, [attr(3, name)], nothing)

# ---- dumps: attributes count for flows only ----
def dumps(label, family, parts):
    for i, (name, kind, payload) in enumerate(parts):
        for what, bad in variants(kind, payload):
            attrs = [attr(k, p) for _, k, p in parts]
            attrs[i] = bad
            r = s.dump(family, DP0, *attrs)
            g.say("%s: %s %s" % (label, name, what), "%s %d" % (r.error, len(r.messages)))


s.flow(NEW, DP0, attr(FLOW.KEY, GOOD), attr(FLOW.ACTIONS, ACT), flags=NLM_F_CREATE)
dumps("dp dump", "ovs_datapath", [("NAME", 1, b"dp0\0"), ("MASKS_CACHE_SIZE", 7, u32(1)), ("IFINDEX", 9, u32(1))])
dumps("vport dump", "ovs_vport", [("PORT_NO", 1, u32(1)), ("NAME", 3, b"d1\0"), ("OPTIONS", 4, b""), ("IFINDEX", 8, u32(1))])
dumps("flow dump", "ovs_flow", [("KEY", 1, GOOD), ("ACTIONS", 2, ACT), ("STATS", 3, b"\0" * 16), ("CLEAR", 6, b""), ("MASK", 7, MASK),
                                ("PROBE", 8, b""), ("UFID", 9, b"u" * 16), ("UFID_FLAGS", 10, u32(0)), ("PAD", 11, b"")])
flush()

# Every attribute of the key, in KEY, in MASK, and as SET and SET_MASKED.
for name, payload in list(KEYS.items()) + [(n, p) for n, (_, p) in OTHER.items()]:
    fields = dict(KEYS) if name in KEYS else {**COMMON, **OTHER[name][0], name: payload}
    kind = KEY.by_name[name]
    for what, bad in variants(kind, payload):
        k = b"".join(bad if n == name else attr(KEY.by_name[n], p) for n, p in fields.items())
        trial("key %s %s" % (name, what), "ovs_flow", NEW, [attr(FLOW.KEY, k), attr(FLOW.ACTIONS, ACT)], flush, NLM_F_CREATE)
    ones = {n: (attr(KEY.ETHERTYPE, b"\xff\xff") if n == "ENCAP" else b"\xff\xff" if n in ("VLAN", "ETHERTYPE") else
                b"\0" * 32 + b"\0\x0f\xff\xff" + b"\xff" * 4 if n == "IPV6" else b"\xff" * len(p)) for n, p in fields.items()}
    for what, bad in variants(kind, ones[name]):
        m = b"".join(bad if n == name else attr(KEY.by_name[n], p) for n, p in ones.items())
        trial("mask %s %s" % (name, what), "ovs_flow", NEW, [attr(FLOW.KEY, key(fields)), attr(FLOW.MASK, m),
                                                           attr(FLOW.ACTIONS, ACT)], flush, NLM_F_CREATE)
    for what, bad in variants(kind, payload):
        trial("set %s %s" % (name, what), "ovs_flow", NEW, [attr(FLOW.KEY, key(fields)), attr(FLOW.ACTIONS, attr(ACTION.SET, bad))], flush, NLM_F_CREATE)
    double = payload + b"\xff" * len(payload)
    for what, bad in variants(kind, double):
        trial("set_masked %s %s" % (name, what), "ovs_flow", NEW, [attr(FLOW.KEY, key(fields)), attr(FLOW.ACTIONS, attr(ACTION.SET_MASKED, bad))], flush, NLM_F_CREATE)

# Every attribute number in key, mask, actions, with payloads of every small size.
for kind in range(0, 40):
    for n in (0, 1, 2, 4, 8, 12, 16, 28, 40):
        trial("key number %d of %d" % (kind, n), "ovs_flow", NEW, [attr(FLOW.KEY, GOOD + attr(kind, b"\1" * n)), attr(FLOW.ACTIONS, ACT)], flush, NLM_F_CREATE)
        trial("mask number %d of %d" % (kind, n), "ovs_flow", NEW, [attr(FLOW.KEY, GOOD), attr(FLOW.MASK, attr(kind, b"\1" * n)), attr(FLOW.ACTIONS, ACT)], flush, NLM_F_CREATE)
LATER_ACTIONS = {9, 10, 14, 15, 17, 18, 19, 21, 22, 23, 25}
for kind in range(0, 32):
    for n in (0, 1, 2, 3, 4, 5, 8, 12, 16):
        if kind in LATER_ACTIONS:
            continue
        trial("action number %d of %d" % (kind, n), "ovs_flow", NEW, [attr(FLOW.KEY, GOOD), attr(FLOW.ACTIONS, attr(kind, b"\1" * n))], flush, NLM_F_CREATE)

# Every action's own attribute.
ACTS = {
    "OUTPUT": u32(1), "USERSPACE": attr(1, u32(7)) + attr(2, b"abcd") + attr(3, u32(1)), "PUSH_VLAN": b"\x81\0\x10\1", "POP_VLAN": b"",
    "SAMPLE": attr(1, u32(9)) + nest(2, a_output(1)), "RECIRC": u32(1), "HASH": u32(0) * 2, "TRUNC": u32(64), "CLONE": a_output(1), "DROP": u32(0),
    "CT": attr(1) + attr(2, u16(5)) + attr(3, u32(1) * 2) + attr(4, b"\1" * 32) + attr(8, u32(6)), "CT_CLEAR": b"",
}
for name, payload in ACTS.items():
    for what, bad in variants(ACTION.by_name[name], payload):
        if what == "missing":
            continue
        trial("action %s %s" % (name, what), "ovs_flow", NEW, [attr(FLOW.KEY, GOOD), attr(FLOW.ACTIONS, bad)], flush, NLM_F_CREATE)
for outer, names, inner in (("USERSPACE", USERSPACE, {"PID": u32(7), "USERDATA": b"abcd", "EGRESS_TUN_PORT": u32(1), "ACTIONS": b""}),
                            ("SAMPLE", SAMPLE, {"PROBABILITY": u32(9), "ACTIONS": a_output(1)})):
    for name in inner:
        for what, bad in variants(names.by_name[name], inner[name]):
            body = b"".join(bad if n == name else attr(names.by_name[n], p) for n, p in inner.items())
            trial("%s.%s %s" % (outer, name, what), "ovs_flow", NEW, [attr(FLOW.KEY, GOOD), attr(FLOW.ACTIONS, attr(ACTION.by_name[outer], body))], flush, NLM_F_CREATE)

# ---- ovs_packet ----
FRAME = MAC2 + MAC1 + b"\x12\x34" + b"\0" * 46
each("execute", "ovs_packet", EXECUTE, [("PACKET", 1, FRAME), ("KEY", 2, key({"IN_PORT": u32(1)})), ("ACTIONS", 3, a_output(9)),
                                        ("USERDATA", 4, b""), ("EGRESS_TUN_KEY", 5, b""), ("PROBE", 8, b""), ("MRU", 9, u16(0)), ("LEN", 10, u32(0)),
                                        ("HASH", 11, u64(0))], nothing)
for name, payload in KEYS.items():
    for what, bad in variants(KEY.by_name[name], payload):
        trial("execute key %s %s" % (name, what), "ovs_packet", EXECUTE, [attr(1, FRAME), attr(2, b"".join(
            bad if n == name else attr(KEY.by_name[n], p) for n, p in KEYS.items())), attr(3, a_output(9))], nothing)
for f in before:
    g.say("at the end: " + f, str(state(f) == before[f]))
if any("CHANGED" in v for _, v in g.lines):
    print([l for l, v in g.lines if "CHANGED" in v])
g.finish()
