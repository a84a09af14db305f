# SPDX-License-Identifier: GPL-2.0
# title: ovs_vport family: every command, attribute and error (V1-V13, W items seen by netlink)
import os
import subprocess

from golden import Golden
from ovsnl import *

g, s = Golden(), Sock(pid=4242)
other = Sock(pid=4243)
other.join("ovs_vport")


def sh(*cmd):
    subprocess.run(cmd, check=True)


def dummy(name, ifindex, mtu=1500):
    sh("ip", "link", "add", name, "index", str(ifindex), "address", "02:00:00:00:10:%02x" % (ifindex & 255), "mtu",
       str(mtu), "type", "dummy")


def vport(label, cmd, ifindex=1000, *attrs, **kw):
    return g.reply(label, "ovs_vport", s.vport(cmd, ifindex, *attrs, **kw))


def dump(label, ifindex=1000):
    r = s.dump("ovs_vport", ifindex)
    r.messages.sort(key=lambda m: m.u32(VPORT.PORT_NO))  # the hash order is nobody's business
    g.reply(label, "ovs_vport", r)


def heard(label):
    g.say(label, " ; ".join(text("ovs_vport", m) for m in other.notifications("ovs_vport")) or "nothing")


def name(n):
    return attr(VPORT.NAME, n.encode() + b"\0")


def kind(n):
    return attr(VPORT.TYPE, u32(n))


def pid(*n):
    return attr(VPORT.UPCALL_PID, b"".join(u32(i) for i in n))


def no(n):
    return attr(VPORT.PORT_NO, u32(n))


def at(n):
    return attr(VPORT.IFINDEX, u32(n & 0xffffffff))


s.new_dp("dp0", 1000)
s.new_dp("dp1", 1001)
dummy("d1", 2001)
dummy("d2", 2002)
dummy("d3", 2003, 9000)
heard("notifications of new datapaths")
dump("dump of a new datapath")
vport("get port 0", GET, 1000, no(0))
vport("V1 new with nothing", NEW)
vport("V1 no name", NEW, 1000, kind(1), pid(0))
vport("V1 no type", NEW, 1000, name("d1"), pid(0))
vport("V1 no pid", NEW, 1000, name("d1"), kind(1))
vport("V1 ifindex with netdev", NEW, 1000, name("d1"), kind(1), pid(0), at(5))
vport("V1 ifindex negative", NEW, 1000, name("in9"), kind(2), pid(0), at(-1))
vport("V1 port 65535", NEW, 1000, name("d1"), kind(1), pid(0), no(65535))
vport("V1 port 4294967295", NEW, 1000, name("d1"), kind(1), pid(0), no(0xffffffff))
vport("V1 unknown dp", NEW, 4711, name("d1"), kind(1), pid(0))
vport("V1 dp 0", NEW, 0, name("d1"), kind(1), pid(0))
vport("V1 pid empty", NEW, 1000, name("d1"), kind(1), pid())
vport("V1 pid 3 bytes", NEW, 1000, name("d1"), kind(1), attr(VPORT.UPCALL_PID, b"abc"))
vport("V1 type 0", NEW, 1000, name("d1"), kind(0), pid(0))
vport("V1 type 6", NEW, 1000, name("d1"), kind(6), pid(0))
vport("V1 type 99", NEW, 1000, name("d1"), kind(99), pid(0))
vport("W no such device", NEW, 1000, name("nope"), kind(1), pid(0))
vport("W loopback", NEW, 1000, name("lo"), kind(1), pid(0))
vport("W an internal device", NEW, 1000, name("dp1"), kind(1), pid(0))
vport("W the datapath itself", NEW, 1000, name("dp0"), kind(1), pid(0))
vport("V1 first port", NEW, 1000, name("d1"), kind(1), pid(31), flags=NLM_F_ECHO)
heard("V3 notification")
vport("W device already a port", NEW, 1000, name("d1"), kind(1), pid(0))
vport("W device port of another datapath", NEW, 1001, name("d1"), kind(1), pid(0))
vport("V1 number busy", NEW, 1000, name("d2"), kind(1), pid(0), no(1))
vport("V1 number 0 means any", NEW, 1000, name("d2"), kind(1), pid(0), no(0), flags=NLM_F_ECHO)
vport("V1 number 65534", NEW, 1000, name("d3"), kind(1), pid(0), no(65534), flags=NLM_F_ECHO)
vport("V1 internal", NEW, 1000, name("in1"), kind(2), pid(32), at(3001), flags=NLM_F_ECHO)
vport("V1 internal, name in use", NEW, 1000, name("d1"), kind(2), pid(0))
vport("V1 internal, invalid name", NEW, 1000, name("a/b"), kind(2), pid(0))
vport("V1 internal, ifindex in use", NEW, 1000, name("in2"), kind(2), pid(0), at(3001))
vport("V1 internal, number 7", NEW, 1000, name("in2"), kind(2), pid(0), at(3002), no(7), flags=NLM_F_ECHO)
vport("V1 next free number", NEW, 1000, name("in3"), kind(2), pid(0), at(3003), flags=NLM_F_ECHO)
dump("V8 dump")
vport("V8 dump of unknown datapath: get", GET, 4711, no(1))
g.reply("V8 dump of unknown datapath", "ovs_vport", s.dump("ovs_vport", 4711))
vport("N7 get through another internal port's ifindex", GET, 3001, no(1))
vport("V4 get by ifindex", GET, 1000, at(2001))
vport("V4 get by name", GET, 1000, name("d1"))
vport("V4 get by name, dp 0", GET, 0, name("d1"))
vport("V4 get by name, other dp", GET, 1001, name("d1"))
vport("V4 get by name, unknown", GET, 1000, name("nope"))
vport("V4 get by name of no port", GET, 1000, name("lo"))
vport("V4 get by number", GET, 1000, no(2))
vport("V4 get by number, dp 0", GET, 0, no(2))
vport("V4 get unknown number", GET, 1000, no(99))
vport("V4 get number 65535", GET, 1000, no(65535))
vport("V4 get by neither", GET, 1000)
vport("V4 name beats number", GET, 1000, name("d1"), no(99))
vport("V6 set other type", SET, 1000, name("d1"), kind(2))
vport("V6 set same type", SET, 1000, name("d1"), kind(1), flags=NLM_F_ECHO)
vport("V6 set options", SET, 1000, name("d1"), attr(VPORT.OPTIONS))
vport("V6 set options of 4", SET, 1000, name("d1"), attr(VPORT.OPTIONS, u32(0)))
vport("V6 set pid", SET, 1000, name("d1"), pid(77), flags=NLM_F_ECHO)
vport("V6 set pid by number", SET, 1000, no(2), pid(78), flags=NLM_F_ECHO)
vport("V6 set pid empty", SET, 1000, name("d1"), pid())
vport("V6 set pid 6 bytes", SET, 1000, name("d1"), attr(VPORT.UPCALL_PID, b"abcdef"))
vport("V6 set two pids on one CPU", SET, 1000, name("d1"), pid(1, 2))
vport("V6 set by ifindex", SET, 1000, at(2001), pid(1))
vport("V6 set unknown", SET, 1000, name("nope"), pid(1))
vport("V6 set ignores number", SET, 1000, name("d1"), no(9), flags=NLM_F_ECHO)
heard("V6 notifications")
s.dp(SET, 1000, attr(DP.USER_FEATURES, u32(VPORT_PIDS)))
vport("V10 get with VPORT_PIDS", GET, 1000, name("d1"))
vport("V7 delete port 0", DEL, 1000, no(0))
vport("V7 delete port 0 by name", DEL, 1000, name("dp0"))
vport("V7 delete unknown", DEL, 1000, no(99))
vport("V7 delete by ifindex", DEL, 1000, at(2001))
vport("V7 delete by neither", DEL, 1000)
vport("V7 delete d2", DEL, 1000, name("d2"), flags=NLM_F_ECHO)
vport("V7 delete d2 again", DEL, 1000, name("d2"))
vport("V7 delete in2 by number", DEL, 1000, no(7), flags=NLM_F_ECHO)
heard("V7 notifications")
vport("number 2 is free again", NEW, 1000, name("d2"), kind(1), pid(0), flags=NLM_F_ECHO)
heard("one more")

# V5: the port's name is that of the time it was attached; the message shows the device's.
sh("ip", "link", "set", "d2", "name", "renamed")
vport("V5 after rename: by new name", GET, 1000, name("renamed"))
vport("V5 after rename: by old name", GET, 1000, name("d2"))
vport("V5 after rename: by number", GET, 1000, no(2))
sh("ip", "link", "set", "renamed", "name", "d2")

# V12: the kernel takes the device away.
sh("ip", "link", "delete", "d3")
heard("V12 notification")
vport("V12 port is gone", GET, 1000, no(65534))
p = subprocess.run(["ip", "link", "delete", "in1"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
g.say("W ip link delete of an internal port", "%d" % p.returncode)
heard("W its notification")
p = subprocess.run(["ip", "link", "delete", "dp0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
g.say("W ip link delete of the datapath", "%d" % p.returncode)
p = subprocess.run(["ip", "link", "set", "d1", "nomaster"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
g.say("W ip link set nomaster", "%d" % p.returncode)
out = subprocess.run(["ip", "-d", "-o", "link", "show", "d1"], stdout=subprocess.PIPE, text=True).stdout
g.say("W master of d1", " ".join(w for w in ("ovs-system", "master dp0", "openvswitch_slave", "promiscuity 1") if w in out))
out = subprocess.run(["ip", "-d", "-o", "link", "show", "dp0"], stdout=subprocess.PIPE, text=True).stdout
g.say("W kind of dp0", " ".join(w for w in ("openvswitch", "BROADCAST", "MULTICAST", "mtu 1500", "qlen 1000") if w in out))
out = subprocess.run(["ethtool", "-i", "dp0"], stdout=subprocess.PIPE, text=True).stdout
g.say("W ethtool driver", out.splitlines()[0])
out = subprocess.run(["ethtool", "-k", "dp0"], stdout=subprocess.PIPE, text=True).stdout
g.say("W ethtool features on", " ".join(l.split(":")[0].strip() for l in out.splitlines()
                                           if ": on" in l and "tx-lockless" not in l and "netns-local" not in l))

# V8, V9: NETNSID appears when the device lives in another namespace than the requester.
sh("ip", "netns", "add", "n1")
vport("internal port to move", NEW, 1000, name("mv1"), kind(2), pid(0), at(3009), no(9))
sh("ip", "link", "set", "mv1", "netns", "n1")
r = s.vport(GET, 1000, no(9))
g.say("V9 netnsid", "%s %s" % (r.error, "NETNSID" in text("ovs_vport", r.messages[0])))
sh("ip", "netns", "delete", "n1")
for _ in range(50):
    if s.vport(GET, 1000, no(9)).errno:
        break
    __import__("time").sleep(0.1)
vport("W port leaves with its namespace", GET, 1000, no(9))
other.notifications("ovs_vport")

vport("N6 unknown command", 9, 1000)
vport("N5 trailing junk", GET, 1000, no(1), b"\x03\0\0\0")
vport("N5 duplicate: last wins", GET, 1000, no(99), no(1))
s.dp(DEL, 1000)
heard("delete of the datapath")
vport("get after delete", GET, 1000, no(1))
out = subprocess.run(["ip", "-d", "-o", "link", "show", "d1"], stdout=subprocess.PIPE, text=True).stdout
g.say("W d1 is free again", " ".join(w for w in ("master", "openvswitch_slave", "promiscuity 0") if w in out))
g.finish()
