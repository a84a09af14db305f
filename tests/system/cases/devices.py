# SPDX-License-Identifier: GPL-2.0
# title: devices: masters, namespaces, statistics, renames, removal, MTU, module references and aliases (W, X)
# timeout: 120
import json
import os
import subprocess
import time

from golden import Golden
from frames import *
from ovsnl import *
from wire import *

g, s = Golden(), Sock(pid=4242)
other = Sock(pid=4243)
other.join("ovs_vport")


def sh(*cmd):
    return subprocess.run(cmd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def can(label, *cmd):
    p = sh(*cmd)
    g.say(label, "ok" if p.returncode == 0 else "refused: " + p.stdout.strip().split("\n")[-1].split(": ")[-1])


def link(name, ns=None):
    p = sh("ip", *(["-n", ns] if ns else []), "-j", "-d", "-s", "link", "show", name)
    return (json.loads(p.stdout) if p.stdout.startswith("[") else [{}])[0]


def brief(label, name, ns=None):
    d = link(name, ns)
    g.say(label, " ".join(str(x) for x in (
        "+".join(f for f in d.get("flags", []) if f not in ("LOWER_UP",)), "mtu", d.get("mtu"), d.get("min_mtu"), d.get("max_mtu"), "master", d.get("master"),
        "kind", d.get("linkinfo", {}).get("info_kind"), "slave", d.get("linkinfo", {}).get("info_slave_kind"), "promisc", d.get("promiscuity"))))


def counts(label, name, ns=None):
    st = link(name, ns).get("stats64", {})
    g.say(label, "rx %d/%d drop %d err %d tx %d/%d drop %d err %d" % tuple(
        st.get(d, {}).get(k, -1) for d in ("rx", "tx") for k in ("packets", "bytes", "dropped", "errors")))


def ports(label, dp=1000):
    g.say(label, " ".join(sorted("%d:%s" % (m.u32(VPORT.PORT_NO), m.get(VPORT.NAME)[:-1].decode()) for m in s.dump("ovs_vport", dp).messages)))


def heard(label, order=list):
    g.say(label, " ; ".join(order("cmd=%d %d:%s pid=%d seq=%d" % (m.cmd, m.u32(VPORT.PORT_NO), m.get(VPORT.NAME)[:-1].decode(), m.pid, m.seq)
                                  for m in other.notifications("ovs_vport", 0.4))) or "nothing")


def port(label, name, kind=NETDEV, dp=1000, number=0, *more):
    r = s.vport(NEW, dp, attr(VPORT.NAME, name.encode() + b"\0"), attr(VPORT.TYPE, u32(kind)), attr(VPORT.UPCALL_PID, u32(0)),
                attr(VPORT.PORT_NO, u32(number)), *more)
    g.say(label, r.error)
    return r


def gone(number, dp=1000):
    for _ in range(100):
        if s.vport(GET, dp, attr(VPORT.PORT_NO, u32(number))).errno:
            return
        time.sleep(0.05)


def references():
    with open("/proc/modules") as f:
        return next(int(l.split()[2]) for l in f if l.startswith("openvswitch "))


with open("/proc/sys/net/ipv6/conf/default/disable_ipv6", "w") as f:
    f.write("1")
out = sh("modinfo", "-F", "alias", "openvswitch").stdout.split()
g.say("X5 aliases", " ".join(sorted(a for a in out if not a.endswith(("ovs_meter", "ovs_ct_limit")))))
g.say("X5 licence", sh("modinfo", "-F", "license", "openvswitch").stdout.strip())
g.say("X8 no datapath", "references %d" % references())
s.new_dp("dp0", 1000)
g.say("X8 a datapath", "references %s" % (references() > 0))
if references() > 0:
    can("X8 rmmod", "rmmod", "openvswitch")
else:  # the stock module of 7.3 would go, with its datapaths; ours stays
    g.say("X8 rmmod", "would succeed")
g.either |= {"X8 a datapath", "X8 rmmod"}
brief("W13 the local device", "dp0")
can("W10 ip link add", "ip", "link", "add", "x0", "type", "openvswitch")
can("W10 ip link delete", "ip", "link", "delete", "dp0")
can("W12 local port to another namespace", "sh", "-c", "ip netns add n1; ip link set dp0 netns n1")
for mtu in (67, 68, 1400, 9000, 65535, 65536):
    can("W10 mtu %d" % mtu, "ip", "link", "set", "dp0", "mtu", str(mtu))
can("W10 address", "ip", "link", "set", "dp0", "address", "02:00:00:00:00:aa")
can("W10 rename", "sh", "-c", "ip link set dp0 name dpx && ip link set dpx name dp0")
ports("after rename")
can("W10 up", "ip", "link", "set", "dp0", "up")
can("W10 address while up", "ip", "link", "set", "dp0", "address", "02:00:00:00:00:ab")

# What can be a port.
for n in (1, 2, 3, 4):
    veth("p%d" % n, "q%d" % n)
sh("ip", "link", "add", "b0", "type", "bridge")
sh("ip", "link", "add", "m0", "link", "q4", "type", "macvlan")
sh("ip", "link", "add", "v5", "link", "p3", "type", "vlan", "id", "5")
sh("ip", "link", "set", "p2", "master", "b0")
port("W2 a bridge's port", "p2")
port("W1 a bridge", "b0")
port("W1 a VLAN device", "v5")
port("W2 lower of a macvlan", "q4")
port("W1 a macvlan", "m0")
port("W1 a veth", "p1", number=11)
brief("W2 the veth as port", "p1")
can("W2 enslave a port to a bridge", "ip", "link", "set", "p1", "master", "b0")
can("W2 release by nomaster", "ip", "link", "set", "p1", "nomaster")
g.say("W2 upper link in sysfs", " ".join(sorted(f for f in os.listdir("/sys/class/net/p1") if f.startswith(("upper", "master")))))
sh("ip", "link", "set", "p2", "nomaster")
port("W1 p2 after the bridge", "p2", number=12)
for d in ("b0", "m0"):
    sh("ip", "link", "delete", d)
ports("ports")
heard("notifications")

# Statistics, both directions, of both kinds of device.
port("internal", "in1", INTERNAL, 1000, 21, attr(VPORT.IFINDEX, u32(3001)))
brief("W13 internal device", "in1")
w = Wire("q1")
F = frames()["udp"]
DST = [k_port(11), k_eth(), k_type(0x800), k_ipv4(), k_udp()]
s.new_flow(1000, DST, [a_output(21), a_output(12)], [k_port(0xffffffff)])
w.send(F)
time.sleep(0.1)
counts("W15 to an internal device that is down", "in1")
sh("ip", "link", "set", "in1", "up")
w.send(F)
w.send(F)
time.sleep(0.1)
counts("W15 up", "in1")
counts("V13 p1", "p1")
counts("V13 p2", "p2")
s.new_flow(1000, [k_port(21), k_eth(), k_type(0x800), k_ipv4(), k_udp()], [a_output(11)], [k_port(0xffffffff)])
wi = Wire("in1")
wi.send(F)
time.sleep(0.1)
counts("W14 from an internal device", "in1")
got = [f for f, _ in w.drain(0.1)]
g.say("W14 the frame at the veth", " ".join(f.hex() for f in got))
wi.s.close()
m = s.vport(GET, 1000, attr(VPORT.PORT_NO, u32(21))).messages[0]
g.say("V13 vport statistics", " ".join(str(x) for x in struct.unpack("=8Q", m.get(VPORT.STATS)[:64])))

# Namespaces.
other.notifications("ovs_vport", 0.05)
can("W12 internal port to another namespace", "ip", "link", "set", "in1", "netns", "n1")
ports("W12 it stays a port")
heard("W12 nothing is said")
sh("ip", "-n", "n1", "link", "set", "in1", "up")
w.send(F)
time.sleep(0.1)
g.say("W4 frames cross", str(link("in1", "n1").get("stats64", {}).get("rx")))
home, ns = os.open("/proc/self/ns/net", os.O_RDONLY), os.open("/run/netns/n1", os.O_RDONLY)
setns = __import__("ctypes").CDLL(None).setns
setns(ns, 0x40000000)
t = Sock(pid=4244)
setns(home, 0x40000000)


def fragmented():
    """Packets cut up and their fragments, as a namespace has counted them."""
    with open("/proc/thread-self/net/snmp") as f:
        names, values = [line.split() for line in f if line.startswith("Ip:")]
    return [int(values[names.index(n)]) for n in ("FragOKs", "FragCreates")]


before = fragmented()
s.execute(1000, eth(0x800, ipv4(17, udp(bytes(1000)))), [k_port(11)], [a_output(21)], attr(PACKET.MRU, u16(576)))
g.say("A30 fragments, here", "%d in %d" % tuple(now - then for now, then in zip(fragmented(), before)))
setns(ns, 0x40000000)
g.say("A30 fragments, where the port's device is", "%d in %d" % tuple(fragmented()))
setns(home, 0x40000000)
label = "W18 another namespace's datapath through a port that lives here"
g.say(label, t.dp(GET, 3001).error)
g.ours[label] = "ENODEV"
label = "W18 its vports"
g.say(label, t.vport(GET, 3001, attr(VPORT.PORT_NO, u32(11))).error)
g.ours[label] = "ENODEV"
g.say("W18 by name of the port", t.vport(GET, 0, attr(VPORT.NAME, b"in1\0")).error)
g.say("its own datapath there", t.dp(NEW, 0, attr(DP.NAME, b"dpn\0"), attr(DP.UPCALL_PID, u32(0))).error)
can("W7 a veth port to another namespace", "ip", "link", "set", "p2", "netns", "n1")
gone(12)
heard("W7 notification")
ports("W7 port is gone")
os.close(ns)
t.close()
sh("ip", "netns", "delete", "n1")
gone(21)
heard("W17 namespace with an internal port deleted")
ports("W17 ports")

# Devices that vanish.
port("p3", "p3", number=13)
other.notifications("ovs_vport", 0.05)
sh("ip", "link", "delete", "q3")
gone(13)
heard("W6 peer deleted", sorted)  # both leave in one sweep over a hash table
ports("W6 ports")
w.send(F)
sh("ip", "link", "delete", "p1")
gone(11)
heard("W6 port deleted")
w.s.close()
sh("ip", "link", "add", "p1", "type", "dummy")
port("W6 same name again", "p1", number=11)
port("X a second datapath's name", "in7", INTERNAL, 1000, 77)
g.say("D6 delete", s.dp(DEL, 1000).error)
g.say("D6 devices left", " ".join(sorted(n for n in os.listdir("/sys/class/net") if n not in ("lo", "q4", "p4", "dummy0"))))
brief("D6 the port is free", "p1")
time.sleep(0.3)
g.say("X8 no datapath again", "references %d" % references())
g.finish()
