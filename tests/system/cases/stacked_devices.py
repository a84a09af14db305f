# SPDX-License-Identifier: GPL-2.0
# title: VLANs, macvlans, bonds, bridges and tunnels on internal ports that are ports, VLANs on tunnels: all ways to delete end (W6, W7, W16, W17)
# timeout: 200
# smp: 2
#
# Whoever unregisters an internal device waits for what is stacked on it. If that is a port, the switch must let go of it
# meanwhile. Each deletion runs in a process of its own under a watchdog; another one asks the switch and the RTNL, and
# both must be answered.
import os
import socket
import sys
import time

from ovsnl import *
from rtnl import *

LIMIT = 15  # "waiting for … to become free" comes after 10 s


def references():
    with open("/proc/modules") as f:
        return next(int(l.split()[2]) for l in f if l.startswith("openvswitch "))


def check(errno, what):
    if errno:
        raise OSError(errno, os.strerror(errno), what)


def index(name):
    return socket.if_nametoindex(name)


class Net:
    """A socket of each kind in the namespace that is current now."""

    def __init__(self):
        self.s, self.r = Sock(timeout=60), Rtnl()
        self.r.s.settimeout(60)

    def dp(self, name="dp0"):
        check(self.s.dp(NEW, 0, attr(DP.NAME, name.encode() + b"\0"), attr(DP.UPCALL_PID, u32(0))).errno, "new " + name)
        check(self.r.up(name), "up " + name)
        return index(name)

    def port(self, dp, name, kind=NETDEV):
        self.s.new_port(dp, name, 0, kind)
        check(self.r.up(name), "up " + name)
        return index(name)

    def internal(self, dp, name):
        return self.port(dp, name, INTERNAL)

    def vlan(self, name, lower, tag):
        check(self.r.vlan(name, index(lower), tag), "vlan " + name)
        check(self.r.up(name), "up " + name)

    def del_dp(self, name="dp0"):
        check(self.s.dp(DEL, 0, attr(DP.NAME, name.encode() + b"\0")).errno, "delete " + name)

    def del_port(self, name):
        check(self.s.vport(DEL, 0, attr(VPORT.NAME, name.encode() + b"\0")).errno, "delete port " + name)


n = Net()
# Loads what is needed, so that the time for it is not the deletions'.
for kind in ("dummy", "bridge"):
    n.r.add(kind, "x0")
    n.r.delete("x0")
n.r.add("dummy", "x0")
for make in (lambda: n.r.vlan("x1", index("x0"), 1), lambda: n.r.macvlan("x2", index("x0")), lambda: n.r.bond("x3"),
             lambda: n.r.vxlan("x4", index("x0"), 1), lambda: n.r.gretap("x5", index("x0"))):
    check(make(), "link")
for i in (5, 4, 3, 2, 1, 0):
    n.r.delete("x%d" % i)
devices = set(os.listdir("/sys/class/net"))


def child(act):
    pid = os.fork()
    if pid:
        return pid
    try:
        act()
    except Exception as e:
        print("%s: %r" % (act.__name__, e), flush=True)
        os._exit(1)
    os._exit(0)


def ask():
    """Something that needs the switch's mutex, and something that needs the RTNL."""
    mine = Net()
    for _ in range(3):
        check(mine.s.dump("ovs_datapath").errno, "dump")
        check(mine.r.up("lo"), "RTNL")
        time.sleep(0.05)


def watch(label, pids):
    end = time.monotonic() + LIMIT
    ok, left = True, list(pids)
    while left:
        for pid in left[:]:
            got, status = os.waitpid(pid, os.WNOHANG)
            if got:
                left.remove(pid)
                ok &= status == 0
        if time.monotonic() > end:
            print(":: %s: hangs" % label, flush=True)
            os.system("echo w > /proc/sysrq-trigger; dmesg | tail -60")
            time.sleep(2)
            # Nothing more can be asked of this kernel: not even the module could be removed.
            os.system("echo b > /proc/sysrq-trigger")
            time.sleep(60)
        time.sleep(0.01)
    if not ok:
        sys.exit("%s: failed" % label)


def settle(label):
    """Everything is given back."""
    end = time.monotonic() + LIMIT
    while references() or set(os.listdir("/sys/class/net")) != devices:
        if time.monotonic() > end:
            print(":: %s: references %d, devices %s" % (label, references(), sorted(set(os.listdir("/sys/class/net")) - devices)))
            watch(label, [child(lambda: time.sleep(60))])
        time.sleep(0.02)


count = 0


def case(label, *acts, after=lambda: None):
    """Runs `acts` at the same time, each in a process, while another one asks; then `after`."""
    global count
    watch(label, [child(a) for a in acts] + [child(ask)])
    after()
    settle(label)
    count += 1
    print("ok %s" % label, flush=True)


# ---- one datapath ----

def one(*stack):
    """dp0 with the internal port br1, and ports on what `stack` makes of br1."""
    dp = n.dp()
    n.internal(dp, "br1")
    for make in stack:
        make(dp)


def vlan(dp):
    n.vlan("br1.10", "br1", 10)
    n.port(dp, "br1.10")


def vlan_on_vlan(dp):
    n.vlan("br1.20", "br1", 20)
    n.vlan("br1.20.30", "br1.20", 30)
    n.port(dp, "br1.20.30")


def macvlan(dp):
    check(n.r.macvlan("mv1", index("br1")), "macvlan")
    n.port(dp, "mv1")


def vxlan(dp):
    check(n.r.vxlan("vx1", index("br1"), 7), "vxlan")
    n.port(dp, "vx1")


def gretap(dp):
    check(n.r.gretap("gt1", index("br1")), "gretap")
    n.port(dp, "gt1")


def bond(dp):
    check(n.r.bond("bond9"), "bond")
    n.r.up("br1", False)
    check(n.r.enslave("br1", index("bond9")), "enslave")
    n.port(dp, "bond9")


def bridge(dp):
    check(n.r.add("bridge", "lb9"), "bridge")
    check(n.r.enslave("br1", index("lb9")), "enslave")
    n.port(dp, "lb9")


def del_dp():
    n2.del_dp()


def del_br1():
    n2.del_port("br1")


n2 = Net()  # the children's sockets; one child at a time uses each
n3 = Net()
gone = {bond: "bond9", bridge: "lb9", gretap: "gt1"}  # what does not go with the device below
for stack in (vlan, vlan_on_vlan, macvlan, vxlan, gretap, bond, bridge):
    rest = (lambda: check(n.r.delete(gone[stack]), "delete")) if stack in gone else (lambda: None)
    one(stack)
    case("%s, datapath deleted" % stack.__name__, del_dp, after=rest)
    one(stack)
    case("%s, port below deleted" % stack.__name__, del_br1, after=lambda: (n.del_dp(), rest()))
    one(stack)
    upper = gone.get(stack) or {vlan: "br1.10", vlan_on_vlan: "br1.20.30", macvlan: "mv1", vxlan: "vx1"}[stack]
    case("%s, deleted while the datapath is" % stack.__name__, del_dp, lambda: n3.r.delete(upper), after=lambda: n.r.delete(upper))
one(vlan, vlan_on_vlan, macvlan, vxlan)
case("all on one, datapath deleted", del_dp)
one(vlan, vlan_on_vlan, macvlan, vxlan)
case("all on one, port below deleted", del_br1, after=n.del_dp)


# ---- two datapaths, each with a port on the other's internal device ----

def two():
    a, b = n.dp("dp0"), n.dp("dp2")
    n.internal(a, "br1")
    n.internal(b, "br2")
    n.vlan("br1.10", "br1", 10)
    n.vlan("br2.10", "br2", 10)
    n.port(b, "br1.10")
    n.port(a, "br2.10")
    n.vlan("br1.10.5", "br1.10", 5)
    n.port(a, "br1.10.5")
    n.vlan("dp0.7", "dp0", 7)
    n.port(b, "dp0.7")


def first():
    n2.del_dp("dp0")


def second():
    n3.del_dp("dp2")


two()
case("two datapaths, one deleted", first, after=lambda: n.del_dp("dp2"))
two()
case("two datapaths, the other deleted", second, after=lambda: n.del_dp("dp0"))
two()
case("two datapaths, both deleted at once", first, second)
two()
case("two datapaths, port below deleted", del_br1, after=lambda: (n.del_dp("dp0"), n.del_dp("dp2")))


# ---- namespaces ----

def ended(*spaces):
    for ns in spaces:
        ns.close()


def inside(stack):
    """The stack in a namespace of its own, which ends with the last descriptor."""
    global n
    ns, outer = Namespace(), n
    with ns:
        n = Net()
        n.r.up("lo")
        one(*stack)
        n.s.close()
        n.r.s.close()
    n = outer
    return ns


for stack in ((vlan,), (macvlan,), (vxlan,), (bond,), (bridge,), (vlan, vlan_on_vlan, macvlan, vxlan)):
    ended(inside(stack))
    case("namespace with %s ends" % "+".join(s.__name__ for s in stack))


def across(move_internal):
    """dp0 with br1 here, a datapath with a port on br1 there."""
    ns = Namespace()
    dp = n.dp()
    n.internal(dp, "br1")
    n.vlan("br1.10", "br1", 10)
    check(n.r.move("br1" if move_internal else "br1.10", ns.fd), "move")
    with ns:
        there = Net()
        if move_internal:
            there.r.up("br1")
            there.vlan("br1.11", "br1", 11)
        there.port(there.dp("dpn"), "br1.11" if move_internal else "br1.10")
        there.s.close()
        there.r.s.close()
    return ns


for moved in (False, True):
    what = "internal port" if moved else "VLAN"
    ns = across(moved)
    case("%s in another namespace, datapath deleted" % what, del_dp, after=lambda: ended(ns))
    ns = across(moved)
    case("%s in another namespace, port below deleted" % what, del_br1, after=lambda: (ended(ns), n.del_dp()))
    ns = across(moved)
    ended(ns)
    case("%s in another namespace, which ends" % what, after=n.del_dp)
    ns = across(moved)
    ended(ns)
    case("%s in another namespace, which ends while the datapath is deleted" % what, del_dp)

# Two namespaces with stacks into each other end at once.
a, b = Namespace(), Namespace()
with a:
    na = Net()
    dpa = na.dp("dpa")
    na.internal(dpa, "bra")
    na.vlan("bra.10", "bra", 10)
    check(na.r.move("bra.10", b.fd), "move")
with b:
    nb = Net()
    dpb = nb.dp("dpb")
    nb.port(dpb, "bra.10")
    nb.internal(dpb, "brb")
    nb.vlan("brb.10", "brb", 10)
    check(nb.r.move("brb.10", a.fd), "move")
with a:
    na.port(dpa, "brb.10")
for s in (na, nb):
    s.s.close()
    s.r.s.close()
ended(a, b)
case("two namespaces with ports on each other end at once")

# ---- a tunnel that moves, which the work that follows deletes (W7), below a port that the work may have passed by then ----

VXLAN = 4


def tunnel(below, above):
    """vx9, a port of `below` that the switch has made, and a VLAN on it that is a port of `above`; None if there are no such ports."""
    dps = {name: n.dp(name) for name in ("dp0", "dp2")}
    said = n.s.vport(NEW, dps[below], attr(VPORT.NAME, b"vx9\0"), attr(VPORT.TYPE, u32(VXLAN)), attr(VPORT.UPCALL_PID, u32(0)),
                     nest(VPORT.OPTIONS, attr(VPORT_TUNNEL.DST_PORT, u16(4799))))
    if said.error == "EAFNOSUPPORT":
        return None
    check(said.errno, "vx9")
    n.vlan("vx9.10", "vx9", 10)
    n.port(dps[above], "vx9.10")
    return Namespace()


def move():
    n2.r.move("vx9", ns.fd)


def only_local_ports():
    """Before anybody but the work could let go of the port."""
    end = time.monotonic() + LIMIT
    while references() != 2:
        if time.monotonic() > end:
            watch("moved tunnel", [child(lambda: time.sleep(60))])
        time.sleep(0.02)


def both_dps_and_ns():
    n.del_dp("dp0")
    n.del_dp("dp2")
    ended(ns)


for below, above in ("dp2", "dp0"), ("dp0", "dp2"), ("dp0", "dp0"):
    ns = tunnel(below, above)
    if not ns:  # a kernel whose drivers make no devices for others
        n.del_dp("dp0")
        n.del_dp("dp2")
        break
    case("tunnel of %s below a port of %s moves" % (below, above), move, after=lambda: (only_local_ports(), both_dps_and_ns()))
    ns = tunnel(below, above)
    case("tunnel of %s below a port of %s moves while dp0 is deleted" % (below, above), move, first, after=lambda: (n.del_dp("dp2"), ended(ns)))

# ---- with packets, and requests that want to add ports meanwhile ----

FRAME = MAC2 + MAC1 + bytes.fromhex("0800 4500002e000000004011 0000 0a000001 0a000002 03e807d0 001a0000".replace(" ", "")) + b"\0" * 18


def packets():
    """Out of the datapath's own device, to all ports."""
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    try:
        sock.bind(("dp0", 0))
        end = time.monotonic() + 1.2
        while time.monotonic() < end:
            sock.send(FRAME)
    except OSError:
        pass  # the device is gone


def add_ports():
    """Ends with ENODEV once the datapath is gone."""
    mine = Net()
    end = time.monotonic() + 1.5
    while time.monotonic() < end:
        for name, kind in (("br1.10", NETDEV), ("extra", INTERNAL)):
            mine.s.vport(NEW, 0, attr(VPORT.NAME, name.encode() + b"\0"), attr(VPORT.TYPE, u32(kind)), attr(VPORT.UPCALL_PID, u32(0)),
                         header=u32(DPX))
            mine.s.vport(DEL, 0, attr(VPORT.NAME, name.encode() + b"\0"))
        if mine.s.dp(GET, DPX).errno:
            return


def later(act):
    def wait():
        time.sleep(0.4)
        act()
    return wait


for deletion, rest in ((del_dp, lambda: None), (del_br1, n.del_dp)):
    one(vlan, vlan_on_vlan, macvlan, vxlan)
    DPX = index("dp0")
    for number in range(6):
        key, mask = [k_port(number), k_eth(), k_type(0x800), k_ipv4(), k_udp()], [k_port(0xffffffff)]
        check(n.s.new_flow(DPX, key, [a_output(p) for p in range(6) if p != number], mask).errno, "flow")
    case("packets, %s" % deletion.__name__, packets, packets, later(deletion), after=rest)
    one(vlan, vlan_on_vlan)
    DPX = index("dp0")
    case("ports added, %s" % deletion.__name__, add_ports, later(deletion), after=lambda: n.s.dp(DEL, DPX))
print(":: %d deletions" % count)
