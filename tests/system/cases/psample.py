# SPDX-License-Identifier: GPL-2.0
# title: PSAMPLE: what is refused, what comes back, and what listeners of psample get, as from the stock module (A14)
# kernels: 6.12 7.3
import subprocess

from frames import *
from golden import Golden
from ovsnl import *
from wire import *

# include/uapi/linux/psample.h; the time of a sample is not shown.
SAMPLED = Names({n: i for i, n in enumerate(
    "IIFINDEX OIFINDEX ORIGSIZE GROUP SEQ RATE DATA REFCOUNT TUNNEL PAD OUT_TC OUT_TC_OCC LATENCY TIMESTAMP PROTO COOKIE PROBABILITY".split())},
    hide=("TIMESTAMP", "IIFINDEX"))

subprocess.run(["modprobe", "psample"], check=True)
g = Golden()
s, listener = Sock(), Sock()
listener.family("psample")
listener.s.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, listener.groups["psample", "packets"])
DP0 = s.new_dp("dp0", 1000)
INDEX = {}
for n in (1, 2):
    veth("p%d" % n, "q%d" % n)
    s.new_port(DP0, "p%d" % n, n)
    with open("/sys/class/net/p%d/ifindex" % n) as f:
        INDEX[int(f.read())] = "p%d" % n
INDEX[1000] = "dp0"
UDP = frames()["udp"]


def a_psample(*attrs, flags=NLA_F_NESTED):
    return attr(ACTION.PSAMPLE | flags, b"".join(attrs))


def group(n):
    return attr(PSAMPLE.GROUP, u32(n))


def cookie(b):
    return attr(PSAMPLE.COOKIE, b)


G5 = group(5)
for label, action in {
    "group": a_psample(G5), "cookie": a_psample(G5, cookie(b"\1\2\3")), "cookie first": a_psample(cookie(b"\1\2\3"), G5),
    "no flag": a_psample(G5, flags=0), "the other flag": a_psample(G5, flags=NLA_F_NET_BYTEORDER), "both flags": a_psample(G5, flags=0xc000),
    "nothing": a_psample(), "no group": a_psample(cookie(b"1")), "cookie of 16": a_psample(G5, cookie(b"1" * 16)), "cookie of 17": a_psample(G5, cookie(b"1" * 17)),
    "cookie of 0": a_psample(G5, cookie(b"")), "group of 2": a_psample(attr(1, u16(5))), "group of 8": a_psample(attr(1, u64(5))), "group of 0": a_psample(attr(1)),
    "nested group": a_psample(attr(1 | NLA_F_NESTED, u32(5))), "nested cookie": a_psample(G5, attr(2 | NLA_F_NESTED, b"1")),
    "long nested cookie": a_psample(G5, attr(2 | NLA_F_NESTED, b"1" * 17)), "group in network order": a_psample(attr(1 | NLA_F_NET_BYTEORDER, u32(5))),
    "unknown": a_psample(G5, attr(3, u32(1))), "type 0": a_psample(attr(0), G5), "type 16383": a_psample(G5, attr(0x3fff)),
    "two groups": a_psample(G5, group(6)), "two cookies": a_psample(G5, cookie(b"12345"), cookie(b"678")),
    "trailing byte": a_psample(G5, b"\1"), "trailing header": a_psample(G5, struct.pack("=HH", 8, 2)), "header too short": a_psample(G5, struct.pack("=HH", 3, 2)),
    "unpadded cookie": attr(ACTION.PSAMPLE | NLA_F_NESTED, G5 + struct.pack("=HH", 7, 2) + b"123"),
    "sampled": a_sample(5, a_psample(G5)), "cloned": a_clone(a_psample(G5)), "bad in a sample": a_sample(5, a_psample()),
}.items():
    r = s.flow(NEW, DP0, nest(FLOW.KEY, k_port(1), k_eth(), k_type(0x1234)), nest(FLOW.ACTIONS, action, a_output(2)), flags=NLM_F_ECHO | NLM_F_CREATE)
    g.say("A14 " + label, " ".join([r.error] + [show(ACTION, m.get(FLOW.ACTIONS)) for m in r.messages]))
    s.flow(DEL, DP0)


def samples():
    out = []
    for m in listener.notifications("psample", 0.1):
        # A generic netlink header of psample's is 4 bytes; ours 8.
        data = struct.pack("=i", m.dp_ifindex) + m.data
        index = struct.unpack("=H", first(parse(data), 0, b"\0\0")[:2])[0]
        out.append("%s %s" % (INDEX.get(index, "?"), show(SAMPLED, data)))
    return out


def execute(label, *actions, key=(k_port(1),)):
    r = s.execute(DP0, UDP, list(key), list(actions))
    g.say("run " + label, " | ".join([r.error] + samples()))


P = a_psample(G5, cookie(b"cook"))
ALWAYS, HARDLY_NEVER = 0xffffffff, 0xfffffff0
s.new_flow(DP0, [k_port(1), k_recirc(7), k_eth(), k_type(0x800), k_ipv4(), k_udp()], [a_psample(group(8)), a_output(2)],
           [k_port(0xffffffff), k_recirc(0xffffffff), k_type(0xffff)])
execute("alone", P)
execute("no cookie", a_psample(G5))
execute("no port", P, key=())
execute("port 2", P, key=(k_port(2),))
execute("twice", P, a_psample(group(6)), a_output(2))
execute("truncated", a_trunc(20), P, P)
execute("truncated to more", a_trunc(2000), P)
execute("truncated for the output before", a_trunc(20), a_output(2), P)
execute("truncation used up", a_trunc(20), P, a_output(2))
execute("in a sample", a_sample(HARDLY_NEVER, P), a_output(2))
execute("in the last sample", a_output(2), a_sample(HARDLY_NEVER, P))
execute("in a sample of all", a_sample(ALWAYS, P), a_output(2))
execute("in none", a_sample(0, P), a_output(2))
execute("behind a sample", a_sample(HARDLY_NEVER, a_output(2)), P)
execute("in two samples", a_sample(HARDLY_NEVER, a_sample(HARDLY_NEVER + 1, P), P), P)
execute("in a clone in a sample", a_sample(HARDLY_NEVER, a_clone(P), a_output(2)), P)
execute("recirculated in a sample", a_sample(HARDLY_NEVER, a_recirc(7)), P)
execute("behind a set", a_set(k_udp(1, 2)), P, a_output(2))
execute("tagged", a_push_vlan(0x1005), P, a_output(2))
s.new_flow(DP0, [k_port(1), k_eth(), k_type(0x1234)], [a_sample(HARDLY_NEVER, P), a_output(2)])
Wire("q1").send(MAC2 + MAC1 + b"\x12\x34" + b"\5" * 50)
g.say("run from the wire", " | ".join(samples()))
g.finish()
