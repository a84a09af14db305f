# SPDX-License-Identifier: GPL-2.0
# title: what is put off inside of a packet that comes back is done at once, and in its own datapath (A10)
# module: ours
import os
import sys

from frames import *
from ovsnl import *
from rtnl import *
from wire import *

# A VLAN device on an internal port hands what it sends right back to the switch. The stock module runs lists that
# were put off in the outermost list's datapath.
ANY = [k_port(0xffffffff), k_recirc(0xffffffff)]
UDP = frames()["udp"]


def quiet(device):
    with open("/proc/sys/net/ipv6/conf/%s/disable_ipv6" % device, "w") as f:
        f.write("1")


def ip(*words):
    subprocess.run(["ip"] + list(words), check=True)


def flow(s, dp, port, recirc, *actions):
    r = s.new_flow(dp, [k_port(port), k_recirc(recirc), k_eth(), k_type(0x800), k_ipv4(), k_udp()], list(actions), ANY + [k_type(0xffff)])
    if r.errno:
        sys.exit("flow of port %d, recirculation %d: %s %r" % (port, recirc, r.error, r.note))


def tagged_flow(s, dp, port, *actions):
    """As the packet comes out of the VLAN device: with its tag."""
    key = [k_port(port), k_recirc(0), k_eth(), k_type(0x8100), attr(KEY.VLAN, be16(0x100a)), nest(KEY.ENCAP, k_type(0x800), k_ipv4(), k_udp())]
    mask = ANY + [k_type(0xffff), attr(KEY.VLAN, be16(0xffff)), nest(KEY.ENCAP, k_type(0xffff))]
    r = s.new_flow(dp, key, list(actions), mask)
    if r.errno:
        sys.exit("flow of port %d with a tag: %s %r" % (port, r.error, r.note))


def waiting_list(out):
    """Three lists inside each other run at once, the fourth waits."""
    h, o = a_hash(0, 1), a_output(out)
    return [a_pop_vlan(), a_clone(a_clone(a_clone(a_clone(h, o), h), h), h), h]


def inner(s, dp, port, out, how):
    """The inner datapath: what comes in through `port` leaves through `out`, after it had to wait."""
    if how == "list":
        tagged_flow(s, dp, port, *waiting_list(out))
    else:
        tagged_flow(s, dp, port, a_pop_vlan(), a_recirc(1))
        for n in (1, 2, 3, 4):
            flow(s, dp, port, n, a_recirc(n + 1))
        flow(s, dp, port, 5, a_output(out))


def expect(what, wire, n):
    got = wire.drain(0.2)
    if len(got) != n or any(f != UDP for f, _ in got):
        sys.exit("%s: %d packets instead of %d: %s" % (what, len(got), n, [f.hex() for f, _ in got]))
    print(what, "ok")


def lost(s, dp):
    return struct.unpack("=4Q", s.dp(GET, dp).messages[0].get(DP.STATS))[1]


def one_datapath(how):
    s = Sock()
    dp = s.new_dp("dp0", 1000)
    s.new_port(dp, "i1", 3, INTERNAL)
    quiet("i1")
    ip("link", "set", "i1", "up")
    ip("link", "add", "link", "i1", "name", "i1.10", "type", "vlan", "id", "10")
    quiet("i1.10")
    ip("link", "set", "i1.10", "up")
    s.new_port(dp, "p1", 1)
    s.new_port(dp, "p2", 2)
    s.new_port(dp, "i1.10", 4)
    flow(s, dp, 1, 0, a_output(4))
    inner(s, dp, 3, 2, how)
    w1, w2 = Wire("q1"), Wire("q2")
    for n in range(3):
        w1.send(UDP)
        expect("%s, single output, packet %d" % (how, n), w2, 1)
    # The devices go while nothing may wait on any CPU; the next packet of any datapath would find it.
    w1.send(UDP)
    s.vport(DEL, dp, attr(VPORT.PORT_NO, u32(4)))
    ip("link", "del", "i1.10")
    s.dp(DEL, dp)
    dp = s.new_dp("dp1", 1001)
    s.new_port(dp, "p1", 1)
    s.new_port(dp, "p2", 2)
    flow(s, dp, 1, 0, a_clone(a_output(2)), a_hash(0, 0), a_output(2))
    w2.drain(0.1)
    w1.send(UDP)
    expect("%s, afterwards in another datapath" % how, w2, 2)
    s.dp(DEL, dp)
    s.s.close()


def two_datapaths(how, apart):
    """The outer datapath's list goes on after the output that comes back in through the inner one."""
    inside = Namespace() if apart else None
    s = Sock()
    outer = s.new_dp("outer", 1000, pid=5555)
    with inside or open("/dev/null"):
        i = Sock()
        dp = i.new_dp("inner", 2000, pid=5556)
        i.new_port(dp, "i1", 3, INTERNAL)
        quiet("i1")
        ip("link", "set", "i1", "up")
        ip("link", "add", "link", "i1", "name", "i1.10", "type", "vlan", "id", "10")
        if apart:
            veth("r1", "t1")
            ip("link", "set", "i1.10", "netns", "1")
        i.new_port(dp, "r1", 2)
        wr = Wire("t1")
        inner(i, dp, 3, 2, how)
    quiet("i1.10")
    ip("link", "set", "i1.10", "up")
    for n, name in ((1, "p1"), (2, "p2"), (4, "i1.10")):
        s.new_port(outer, name, n, NETDEV, 5555)
    flow(s, outer, 1, 0, a_output(4), a_output(2))
    for n in range(1, 6):  # what must not be looked up here would leave here
        flow(s, outer, 3, n, a_output(2))
    w1, w2 = Wire("q1"), Wire("q2")
    where = "%s, two datapaths%s" % (how, " apart" if apart else "")
    before = lost(s, outer)
    for n in range(3):
        w1.send(UDP)
        expect("%s: inner, packet %d" % (where, n), wr, 1)
        expect("%s: outer, packet %d" % (where, n), w2, 1)
    if lost(s, outer) != before:
        sys.exit(where + ": the outer datapath missed a flow")
    s.vport(DEL, outer, attr(VPORT.PORT_NO, u32(4)))
    ip("link", "del", "i1.10")
    s.dp(DEL, outer)
    i.dp(DEL, dp)
    s.s.close()
    i.s.close()
    if apart:
        inside.close()


for n in (1, 2):
    veth("p%d" % n, "q%d" % n)
veth("r1", "t1")
for how in ("list", "recirculation"):
    one_datapath(how)
    two_datapaths(how, False)
    two_datapaths(how, True)
