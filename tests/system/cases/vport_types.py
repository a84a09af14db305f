# SPDX-License-Identifier: GPL-2.0
# title: vport types gre, vxlan and geneve: OPTIONS, devices, lifetimes, and traffic with plain tunnels over IPv4 and IPv6 (V1, V6, W19-W24)
# timeout: 180
# allow: field-spanning write.*include/net/(ip_tunnels|dst_metadata)|WARNING.* (dev_fill_metadata_dst|geneve_udp_encap_recv|validate_and_copy_set_tun)\+|Call Trace:
import atexit
import ctypes
import json
import os
import re
import subprocess
import time

from golden import Golden
from frames import *
from ovsnl import *
from rtnl import Rtnl
from underlay import *
from wire import *

STOCK = os.environ["MODULE"] == "stock"
GRE, VXLAN, GENEVE = 3, 4, 5
TYPES = {"gre": GRE, "vxlan": VXLAN, "geneve": GENEVE}
g, s = Golden(), Sock(pid=4242)
other = Sock(pid=4243)
other.join("ovs_vport")
libc = ctypes.CDLL(None, use_errno=True)
T = VPORT_TUNNEL


@atexit.register
def leave():
    """C's types are modules of their own, which keep it loaded."""
    if STOCK:
        sh("rmmod vport_gre vport_vxlan vport_geneve")


def sh(*words):
    return subprocess.run(" ".join(words).split(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def ip(*words):
    p = sh("ip", *words)
    if p.returncode:
        raise SystemExit("ip %s: %s" % (" ".join(words), p.stdout))


def say(label, r):
    return g.reply(label, "ovs_vport", r, star=("USED", "IFINDEX", "STATS"))


def options(*inner):
    return nest(VPORT.OPTIONS, *inner)


def dst(n):
    return attr(T.DST_PORT, u16(n))


def ext(*inner):
    return nest(T.EXTENSION, *inner)


GBP = attr(1)


def new(label, kind, name, *more, dp=1000, pid=u32(0), flags=NLM_F_ECHO):
    return say(label, s.vport(NEW, dp, attr(VPORT.NAME, name.encode() + b"\0"), attr(VPORT.TYPE, u32(kind)), attr(VPORT.UPCALL_PID, pid), *more, flags=flags))


def named(n):
    return attr(VPORT.NAME, n.encode() + b"\0")


def heard(label, timeout=0.2):
    g.say(label, " ; ".join(text("ovs_vport", m, ("IFINDEX", "STATS")) for m in other.notifications("ovs_vport", timeout)) or "nothing")


def link(name, ns=None):
    p = sh("ip", *(["-n", ns] if ns else []), "-j -d link show", name)
    return (json.loads(p.stdout) if p.stdout.startswith("[") else [{}])[0]


def brief(label, name):
    """What anybody sees of a device."""
    d = link(name)
    info = d.get("linkinfo", {})
    data = info.get("info_data", {})
    g.say(label, " ".join(str(x) for x in ("+".join(f for f in d.get("flags", []) if f not in ("LOWER_UP",)), "mtu", d.get("mtu"), "master", d.get("master"), "kind",
          info.get("info_kind"), "slave", info.get("info_slave_kind"), "promisc", d.get("promiscuity"), *("%s=%s" % (k, data.get(k)) for k in sorted(data)))))


def devices(label):
    """Without what is there by itself, or as soon as a driver is loaded."""
    own = "lo", "gre0", "gretap0", "erspan0", "dummy0", "ip6gre0", "ip6tnl0", "sit0", "tunl0"
    g.say(label, " ".join(sorted(n for n in os.listdir("/sys/class/net") if n not in own)))


def until(what):
    for _ in range(100):
        if what():
            return True
        time.sleep(0.05)
    return False


def is_device(name):
    return os.path.isdir("/sys/class/net/" + name)


for d in ("default", "all"):
    with open("/proc/sys/net/ipv6/conf/%s/disable_ipv6" % d, "w") as f:
        f.write("1" if d == "default" else "0")
DRIVERS = ("ip_gre", "vxlan", "geneve")
if built_in("vxlan"):
    print("this kernel has the drivers built in")
    raise SystemExit(77)
sh("modprobe -r", *DRIVERS)  # an earlier case's
if any(os.path.isdir("/sys/module/" + m) for m in DRIVERS):
    raise SystemExit("the module, loaded, needs drivers of tunnels (W22)")
s.new_dp("dp0", 1000)
ip("link add d2 type dummy")
s.new_port(1000, "d2", 7)
for want, dp, number in (("ENODEV", 4711, 8), ("EBUSY", 1000, 7)):
    r = s.vport(NEW, dp, named("t0"), attr(VPORT.TYPE, u32(VXLAN)), attr(VPORT.UPCALL_PID, u32(0)), attr(VPORT.PORT_NO, u32(number)), options(dst(4789)))
    if r.error != want or os.path.isdir("/sys/module/vxlan"):
        raise SystemExit("%s, and the driver is %sloaded (W22)" % (r.error, "" if os.path.isdir("/sys/module/vxlan") else "not "))
ip("link del d2")
if s.vport(NEW, 1000, named("t0"), attr(VPORT.TYPE, u32(GRE)), attr(VPORT.UPCALL_PID, u32(0))).error == "EAFNOSUPPORT":
    for kind in (GRE, VXLAN, GENEVE):  # a kernel whose drivers make no devices for others
        new("0.1 type %d" % kind, kind, "t0", options(dst(4789)))
        new("0.1 type %d, pid bad, no options" % kind, kind, "t0", pid=b"abc")
        new("0.1 type %d, unknown datapath" % kind, kind, "t0", dp=4711)
    g.finish()
s.vport(DEL, 1000, named("t0"))
ip("link add d1 type dummy")
other.notifications("ovs_vport", 0.05)

# What OPTIONS may be. None of these makes a device.
for name, kind in (("vxlan", VXLAN), ("geneve", GENEVE)):
    def bad(label, *more, **kw):
        new("W21 %s, %s" % (name, label), kind, "t0", *more, **kw)
    bad("no options")
    bad("options empty", options())
    for n in (1, 2, 3):
        bad("options of %d bytes" % n, attr(VPORT.OPTIONS, b"\0" * n))
    bad("options of 4 zeros", attr(VPORT.OPTIONS, bytes(4)))
    bad("no port", options(ext(GBP)))
    bad("unknown options", options(attr(3, u16(1)), attr(200), attr(0, u16(5))))
    for n in (0, 1, 3, 4, 8):
        bad("port of %d bytes" % n, options(attr(T.DST_PORT, bytes(n))))
    bad("port twice, the first bad", options(attr(T.DST_PORT, b"\0"), dst(4790)))
    bad("an attribute cut short before the port", options(attr(9, b"", length=40), dst(4790)))
    bad("an attribute without length before the port", options(attr(9, b"", length=0), dst(4790)))
    bad("pid of 3 bytes", options(dst(4790)), pid=b"abc")
    bad("pid and port bad", options(), pid=b"abc")
    bad("ifindex", options(dst(4790)), attr(VPORT.IFINDEX, u32(77)))
    bad("unknown datapath", dp=4711)
    bad("port number busy", attr(VPORT.PORT_NO, u32(65535)))
    for label, n in (("name in use", "d1"), ("invalid name", "a/b"), ("empty name", ""), ("name of the datapath", "dp0")):
        new("W21 %s, %s" % (name, label), kind, n, options(dst(4790)))
for label, more in (("extension empty", ext()), ("extension of 3 bytes", attr(T.EXTENSION, bytes(3))), ("gbp with a payload", ext(attr(1, b"\1"))),
                    ("gbp twice, the second with a payload", ext(GBP, attr(1, u32(0)))), ("extension twice, the first empty", ext() + ext(GBP))):
    new("W21 vxlan, " + label, VXLAN, "t0", options(dst(4790), more))
new("W21 vxlan, pid and extension bad", VXLAN, "t0", options(dst(4790), ext(attr(1, b"\1"))), pid=b"abc")
new("W21 gre, pid bad", GRE, "t0", pid=b"abc")
new("W21 gre, name in use", GRE, "d1")
devices("W21 nothing was made")
heard("W21 nothing was said")
g.say("V1 a template is no name", s.vport(NEW, 1000, named("t%d"), attr(VPORT.TYPE, u32(GRE)), attr(VPORT.UPCALL_PID, u32(0))).error)
if STOCK and is_device("t0"):  # C leaves it behind
    ip("link del t0")
g.say("B35 nothing is left of it", str(not is_device("t0")))

# Good ones.
GOOD = {
    "gre": (GRE,), "gre, options": (GRE, options(dst(1), ext(GBP))), "gre, bad options": (GRE, attr(VPORT.OPTIONS, bytes(4))),
    "vxlan": (VXLAN, options(dst(4789))), "vxlan, gbp": (VXLAN, options(dst(4789), ext(GBP))), "vxlan, gbp twice": (VXLAN, options(dst(4789), ext(GBP, GBP))),
    "vxlan, port 0": (VXLAN, options(dst(0))), "vxlan, port 65535": (VXLAN, options(dst(65535))), "vxlan, extension unknown": (VXLAN, options(dst(4789), ext(attr(2, u32(1)), attr(0)))),
    "vxlan, extension of 4 zeros": (VXLAN, options(dst(4789), attr(T.EXTENSION, bytes(4)))), "vxlan, extension first": (VXLAN, options(ext(GBP), dst(4789))),
    "vxlan, port twice": (VXLAN, options(dst(4790), dst(1))), "vxlan, port twice, the second bad": (VXLAN, options(dst(4790), attr(T.DST_PORT, b"\0"))),
    "vxlan, flagged": (VXLAN, attr(VPORT.OPTIONS | NLA_F_NESTED, attr(T.DST_PORT | NLA_F_NET_BYTEORDER, u16(4791)))), "vxlan, trailing bytes": (VXLAN, attr(VPORT.OPTIONS, dst(4789) + b"xy")),
    "vxlan, extension twice": (VXLAN, options(dst(4789), ext(attr(9)), ext(GBP))),
    "geneve": (GENEVE, options(dst(6081))), "geneve, port 0": (GENEVE, options(dst(0))), "geneve, extension ignored": (GENEVE, options(dst(6081), ext(attr(1, u32(1))))),
}
for label, (kind, *more) in GOOD.items():
    new("W21 " + label, kind, "t0", *more)
    if "," not in label or label in ("vxlan, gbp", "vxlan, port 0"):
        brief("W21 %s, the device" % label, "t0")
    say("W21 %s, get" % label, s.vport(GET, 1000, named("t0")))
    g.say("W21 %s, delete" % label, s.vport(DEL, 1000, named("t0")).error)
    g.say("W21 %s, gone" % label, str(not is_device("t0")))
heard("W21 notifications")

# A name of 15 bytes; the same again; what is in use; what nobody may change.
for label, kind, n, more in (("gre", GRE, "gre_sys-1234567", ()), ("vxlan", VXLAN, "vxlan_sys_4789", (options(dst(4789), ext(GBP)),)), ("geneve", GENEVE, "genev_sys_6081", (options(dst(6081)),))):
    new("W20 as ovs-vswitchd asks, " + label, kind, n, *more)
for label, kind, more in (("gre", GRE, ()), ("vxlan", VXLAN, (options(dst(4789)),)), ("geneve", GENEVE, (options(dst(6081)),))):
    new("W21 one more " + label, kind, "again", *more)
    new("W21 the same name, " + label, kind, "vxlan_sys_4789", *more)
r = s.dump("ovs_vport", 1000)
r.messages.sort(key=lambda m: m.u32(VPORT.PORT_NO))
say("W21 dump", r)
say("V6 set options", s.vport(SET, 1000, named("vxlan_sys_4789"), options(dst(4790))))
say("V6 set another type", s.vport(SET, 1000, named("vxlan_sys_4789"), attr(VPORT.TYPE, u32(NETDEV))))
say("V6 set pid", s.vport(SET, 1000, named("vxlan_sys_4789"), attr(VPORT.TYPE, u32(VXLAN)), attr(VPORT.UPCALL_PID, u32(9)), flags=NLM_F_ECHO))
new("W1 it is a port already", NETDEV, "genev_sys_6081")
in_use = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
in_use.bind(("::", 4790))
for label, kind in (("vxlan", VXLAN), ("geneve", GENEVE)):
    new("W21 UDP port in use, " + label, kind, "t0", options(dst(4790)))
in_use.close()
devices("W21 devices")
g.say("W21 the drivers stay", " ".join(str(sh("rmmod", m).returncode != 0) for m in DRIVERS))
g.say("X8 the module stays", str(sh("rmmod openvswitch").returncode != 0))
other.notifications("ovs_vport", 0.05)

# Devices that leave, ports that leave.
ip("link del vxlan_sys_4789")
heard("V12 ip link del", 0.5)
say("V12 the port is gone", s.vport(GET, 1000, named("vxlan_sys_4789")))
ip("link set genev_sys_6081 down")
ip("link set genev_sys_6081 name renamed")
say("V5 renamed", s.vport(GET, 1000, attr(VPORT.PORT_NO, u32(3))))
g.say("V7 delete the renamed", s.vport(DEL, 1000, attr(VPORT.PORT_NO, u32(3))).error)
g.say("V7 its device is gone", str(not is_device("renamed")))
new("W7 one to move", VXLAN, "t1", options(dst(4789)))
ip("netns add away")
other.notifications("ovs_vport", 0.05)
ip("link set t1 netns away")
# C tells before the device has left, if it is fast enough, and has no NETNSID then.
g.say("W7 moved", " ; ".join(re.sub(" NETNSID=[0-9a-f]*", "", text("ovs_vport", m, ("IFINDEX", "STATS"))) for m in other.notifications("ovs_vport", 0.5)))
g.say("W7 moved, the device is gone", str(until(lambda: not link("t1", "away"))))
ip("netns del away")
new("W21 vxlan again", VXLAN, "vxlan_sys_4789", options(dst(4789)))
g.say("W2 nomaster", sh("ip link set gre_sys-1234567 nomaster").stdout.strip())
s.dp(DEL, 1000)
g.say("D6 devices are gone", str(not any(map(is_device, ("vxlan_sys_4789", "gre_sys-1234567")))))

# Alternating: rtnetlink's devices, then the types', on the same ports, with datapaths that come and go.
for turn in range(3):
    s.new_dp("dp0", 1000)
    ip("link add vxlan_sys_4789 type vxlan external dstport 4789")
    a = s.vport(NEW, 1000, named("vxlan_sys_4789"), attr(VPORT.TYPE, u32(NETDEV)), attr(VPORT.UPCALL_PID, u32(0))).error
    b = s.vport(NEW, 1000, named("t2"), attr(VPORT.TYPE, u32(VXLAN)), attr(VPORT.UPCALL_PID, u32(0)), options(dst(4789))).error
    ip("link del vxlan_sys_4789")
    c = s.vport(NEW, 1000, named("t2"), attr(VPORT.TYPE, u32(VXLAN)), attr(VPORT.UPCALL_PID, u32(0)), options(dst(4789))).error
    s.dp(DEL, 1000)
    g.say("W20 turn %d" % turn, "%s %s %s %s" % (a, b, c, is_device("t2")))

# A namespace ends with its datapath, and with ports of all types.
home = os.open("/proc/self/ns/net", os.O_RDONLY)


def within(ns, make):
    with open("/run/netns/" + ns) as there:
        libc.setns(there.fileno(), 0x40000000)
        try:
            return make()
        finally:
            libc.setns(home, 0x40000000)


for turn in range(3):
    ip("netns add n1")
    t = within("n1", Sock)
    t.new_dp("dpn", 1000)
    said = [t.vport(NEW, 1000, named(n), attr(VPORT.TYPE, u32(kind)), attr(VPORT.UPCALL_PID, u32(0)), options(dst(4789 + kind))).error for n, kind in TYPES.items()]
    if turn == 1:
        ip("-n n1 link del vxlan")
    t.close()
    ip("netns del n1")
    g.say("W17 turn %d" % turn, " ".join(said))

# Two at once delete a device and its port.
s.new_dp("dp0", 1000)
for turn in range(24):
    kind = (GRE, VXLAN, GENEVE)[turn % 3]
    no = s.new_port(1000, "race", 0, kind, 0, options(dst(4789)))
    child = os.fork()
    if not child:
        os._exit(Rtnl().delete("race") not in (0, 19))
    time.sleep(turn % 8 / 2000)
    error = s.vport(DEL, 1000, attr(VPORT.PORT_NO, u32(no))).error
    if os.waitpid(child, 0)[1] or error not in ("OK", "ENODEV") or not until(lambda: s.vport(GET, 1000, attr(VPORT.PORT_NO, u32(no))).errno) or is_device("race"):
        raise SystemExit("turn %d: %s" % (turn, error))
s.dp(DEL, 1000)

# Traffic: each type with a plain tunnel in another namespace.
s.new_dp("dp0", 1000)
veth("p1", "q1", 2000)
underlay()
PLAIN = {"vx4": "vxlan id 7 local 172.31.0.2 remote 172.31.0.1 dstport 4789 dev u1 gbp", "vx6": "vxlan id 8 local fd31::2 remote fd31::1 dstport 4789 dev u1 gbp udp6zerocsumrx",
         "gn4": "geneve id 7 remote 172.31.0.1", "gn6": "geneve id 8 remote fd31::1 udp6zerocsumrx",
         "gr4": "gretap local 172.31.0.2 remote 172.31.0.1 key 7"}


def quiet(device):
    with open("/proc/sys/net/ipv6/conf/%s/disable_ipv6" % device, "w") as f:
        f.write("1")


for name, kind in PLAIN.items():
    ip("-n far link add", name, "type", kind)
    within("far", lambda: quiet(name))
    ip("-n far link set", name, "up")
s.new_port(1000, "p1", 1)
PORT = {"vx": s.new_port(1000, "vx", 11, VXLAN, 0, options(dst(4789), ext(GBP))), "gn": s.new_port(1000, "gn", 12, GENEVE, 0, options(dst(6081))),
        "gr": s.new_port(1000, "gr", 13, GRE)}
q1 = Wire("q1")
wires = {name: within("far", lambda: Wire(name)) for name in PLAIN}
F = frames()
up = Sock(pid=5555)
up.family("ovs_packet")
K = TUNNEL
TTL = attr(K.TTL, b"\x40")
for wire, n in (("vx4", 7), ("vx6", 8), ("gn4", 7), ("gn6", 8), ("gr4", 7)):
    no, four = PORT[wire[:2]], wire[2] == "4"
    ident = attr(K.ID, b"\0" * 7 + bytes([n]))
    there = attr(K.IPV4_DST, ip4("172.31.0.2")) if four else attr(K.IPV6_DST, ip6("fd31::2"))
    came = [attr(K.IPV4_SRC, ip4("172.31.0.2")), attr(K.IPV4_DST, ip4("172.31.0.1"))] if four else [attr(K.IPV6_SRC, ip6("fd31::2")), attr(K.IPV6_DST, ip6("fd31::1"))]
    a = s.new_flow(1000, [k_port(1), k_eth(), k_type(0x800), k_ipv4(), k_udp()], [a_set(nest(KEY.TUNNEL, ident, there, TTL)), a_output(no)], [k_port(0xffffffff)])
    b = s.new_flow(1000, [k_port(no), nest(KEY.TUNNEL, ident, *came, TTL), k_eth(), k_type(0x800), k_ipv4(), k_udp()], [a_output(1), a_user(5555)],
                   [k_port(0xffffffff), nest(KEY.TUNNEL, attr(K.ID, b"\xff" * 8))])
    for w in (q1, *wires.values()):
        w.drain(0)
    for f in ("udp", "tcp syn"):
        q1.send(F[f])
    out = [got in (F["udp"], F["tcp syn"]) for got, _ in wires[wire].drain(0.2)]
    wires[wire].send(F["udp"])
    back = [got == F["udp"] for got, _ in q1.drain(0.2)]
    said = [show(PACKET, m.data, ("HASH", "TP_SRC")) for m in up.notifications("ovs_packet", 0.2)]
    g.say("W19 traffic " + wire, "%s %s out %s in %s %s" % (a.error, b.error, out, back, " | ".join(said)))
    s.flow(DEL, 1000)
gbp = attr(K.ID, b"\0" * 7 + b"\7"), attr(K.IPV4_DST, ip4("172.31.0.2")), TTL, nest(K.VXLAN_OPTS, attr(1, u32(0x1234)))
outer = within("far", lambda: Wire("u1"))
outer.drain(0)
a = s.execute(1000, F["udp"], [k_port(1)], [a_set(nest(KEY.TUNNEL, *gbp)), a_output(PORT["vx"])])
g.say("W21 gbp on the wire", "%s %s" % (a.error, [f[42:50].hex() for f, _ in outer.drain(0.2) if f[23] == 17]))

# A frame of 1514 bytes does not fit through a link of 1500. What becomes of it is the driver's and the stack's affair, and with XenServer's is another.
BIG = eth(0x800, ipv4(17, udp(b"x" * 1472)))
for label, wire, more in (("gre", "gr4", ()), ("gre, DF", "gr4", (attr(K.DF),)), ("vxlan, DF", "vx4", (attr(K.DF),)), ("geneve, DF", "gn4", (attr(K.DF),))):
    for w in (outer, wires[wire]):
        w.drain(0)
    a = s.execute(1000, BIG, [k_port(1)], [a_set(nest(KEY.TUNNEL, gbp[0], gbp[1], TTL, *more)), a_output(PORT[wire[:2]])])
    inner = [got == BIG for got, _ in wires[wire].drain(0.2)]
    g.say("W21 too large, " + label, "%s inner %s outer %s" % (a.error, inner, ["%d/%s" % (int.from_bytes(f[16:18], "big"), f[20:22].hex()) for f, _ in outer.drain(0.2) if f[23] in (17, 47)]))
r = s.dump("ovs_vport", 1000)
g.say("V13 statistics", " ".join(sorted("%d:%s" % (m.u32(VPORT.PORT_NO), struct.unpack("=2Q", m.get(VPORT.STATS)[:16])) for m in r.messages if m.u32(VPORT.PORT_NO) > 10)))
for w in (q1, outer, *wires.values()):
    w.s.close()

# The drivers and the underlay can go, with a port still there and without.
ip("link del u0")
g.say("W21 the underlay leaves", " ".join(s.vport(DEL, 1000, attr(VPORT.PORT_NO, u32(n))).error for n in (11, 12)))
s.dp(DEL, 1000)
ip("netns del far")
leave()
g.say("W21 the drivers go", str(until(lambda: all(sh("rmmod", m).returncode == 0 or not os.path.isdir("/sys/module/" + m) for m in DRIVERS))))
g.finish()
