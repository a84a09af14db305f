# SPDX-License-Identifier: GPL-2.0
# title: ovs_datapath family: every command, attribute and error (N1-N10, D1-D13)
import os
import subprocess

from golden import Golden
from ovsnl import *

g, s = Golden(), Sock(pid=4242)
other = Sock(pid=4243)
other.join("ovs_datapath")


def dp(label, cmd, ifindex=0, *attrs, **kw):
    return g.reply(label, "ovs_datapath", s.dp(cmd, ifindex, *attrs, **kw))


def dump(label):
    g.reply(label, "ovs_datapath", s.dump("ovs_datapath"))


def heard(label):
    g.say(label, " ; ".join(text("ovs_datapath", m) for m in other.notifications("ovs_datapath")) or "nothing")


def name(n):
    return attr(DP.NAME, n.encode() + b"\0")


def pid(n=0):
    return attr(DP.UPCALL_PID, u32(n))


def features(n):
    return attr(DP.USER_FEATURES, u32(n))


def at(n):
    return attr(DP.IFINDEX, u32(n & 0xffffffff))


def cache(n):
    return attr(DP.MASKS_CACHE_SIZE, u32(n))


def link(label):
    out = subprocess.run(["ip", "-o", "link"], stdout=subprocess.PIPE, text=True).stdout
    g.say(label, " ".join(sorted(l.split(":")[1].strip() for l in out.splitlines())))


for f in ("ovs_datapath", "ovs_vport", "ovs_flow", "ovs_packet"):
    s.family(f)
    i = s.info
    g.say("family " + f, "version=%s hdrsize=%s ops=%s groups=%s" % (
        first(i, 3).hex(), first(i, 4).hex(), first(i, 6, b"").hex(),
        [n for fam, n in s.groups if fam == f]))

dump("dump with no datapath")
dp("get by unknown name", GET, 0, name("nope"))
dp("get by unknown ifindex", GET, 4711)
dp("get by lo's ifindex", GET, 1)
dp("D1 new without pid", NEW, 0, name("dp0"))
dp("D1 new without name", NEW, 0, pid())
dp("D1 new with nothing", NEW)
dp("D4 invalid name", NEW, 0, name("a/b"), pid())
dp("D4 dot", NEW, 0, name("."), pid())
dp("D4 empty name", NEW, 0, name(""), pid())
dp("D4 name of 15", NEW, 0, name("abcdefghijklmno"), pid(), at(1099))
dp("delete name of 15", DEL, 0, name("abcdefghijklmno"))
dp("D4 name of 16", NEW, 0, name("abcdefghijklmnop"), pid())
heard("notifications so far")
dp("D2 new", NEW, 0, name("dp0"), pid(7), at(1000), features(0), flags=NLM_F_ECHO)
heard("D2 notification, other socket")
link("devices with dp0")
dp("get by name", GET, 0, name("dp0"))
dp("get by ifindex", GET, 1000)
dp("get by name beats ifindex", GET, 4711, name("dp0"))
dp("D3 same name again", NEW, 0, name("dp0"), pid())
dp("D3 name of lo", NEW, 0, name("lo"), pid())
dp("D4 ifindex in use", NEW, 0, name("dp9"), pid(), at(1000))
dp("D4 ifindex of lo", NEW, 0, name("dp9"), pid(), at(1))
dp("D13 ifindex negative", NEW, 0, name("dp9"), pid(), at(-1))
dp("D8 set features 1", SET, 1000, features(UNALIGNED), flags=NLM_F_ECHO)
dp("D3 same name, header version 1", NEW, 0, name("dp0"), pid(), version=1)
dp("D3 then features", GET, 1000)
dp("D8 set features 3", SET, 1000, features(UNALIGNED | VPORT_PIDS), flags=NLM_F_ECHO)
dp("D8 unknown bit", SET, 1000, features(1 << 31))
dp("D8 unknown bit with known", SET, 1000, features(1 << 31 | 1))
dp("D8 unknown bit 16", SET, 1000, features(16))
dp("D8b tc recirc", SET, 1000, features(TC_RECIRC))
dp("D8 features after the errors", GET, 1000)
dp("D8 cache 0", SET, 1000, cache(0), features(3), flags=NLM_F_ECHO)
dp("D8 cache 1", SET, 1000, cache(1), features(3), flags=NLM_F_ECHO)
dp("D8 cache 3", SET, 1000, cache(3), features(3))
dp("D8 cache 4096", SET, 1000, cache(4096), features(3), flags=NLM_F_ECHO)
dp("D8 cache 4095", SET, 1000, cache(4095), features(3))
dp("D8 cache 4097", SET, 1000, cache(4097), features(3))
dp("D8 cache 8192", SET, 1000, cache(8192), features(3))
dp("D8 cache 256", SET, 1000, cache(256), features(3), flags=NLM_F_ECHO)
dp("D8d features absent", SET, 1000, flags=NLM_F_ECHO)
dp("D8e pids without the feature", SET, 1000, features(0), attr(DP.PER_CPU_PIDS, u32(5) * 2), flags=NLM_F_ECHO)
dp("D8e pids empty", SET, 1000, features(PER_CPU), attr(DP.PER_CPU_PIDS))
dp("D8e pids 3 bytes", SET, 1000, features(PER_CPU), attr(DP.PER_CPU_PIDS, b"abc"))
dp("D8e pids 6 bytes", SET, 1000, features(PER_CPU), attr(DP.PER_CPU_PIDS, b"abcdef"))
dp("reset features", SET, 1000, features(0))
dp("D8e pids 1", SET, 1000, features(PER_CPU), attr(DP.PER_CPU_PIDS, u32(11)), flags=NLM_F_ECHO)
dp("D11 pids 4 on one CPU", SET, 1000, features(PER_CPU), attr(DP.PER_CPU_PIDS, u32(11) + u32(12) + u32(13) + u32(14)),
   flags=NLM_F_ECHO)
dp("D11 get", GET, 1000)
dp("E2 per-CPU and unaligned, as vswitchd", SET, 1000, features(PER_CPU | UNALIGNED | VPORT_PIDS),
   attr(DP.PER_CPU_PIDS, u32(21)), flags=NLM_F_ECHO)
dp("E2 without pids keeps them", SET, 1000, features(PER_CPU), flags=NLM_F_ECHO)
dp("set by unknown name", SET, 0, name("nope"), features(0))
dp("set unknown ifindex", SET, 4711, features(0))
dp("D13 set ignores ifindex", SET, 1000, at(1234), features(0), flags=NLM_F_ECHO)
heard("notifications of sets")
dp("second datapath", NEW, 0, name("dp1"), pid(), at(1001), features(UNALIGNED))
dump("D7 dump in creation order")
s.new_port(1000, "in0", 5, INTERNAL, 0, attr(VPORT.IFINDEX, u32(1005)))
dp("N7 get by another internal port's ifindex", GET, 1005)
dp("D5 get by another internal port's name", GET, 0, name("in0"))
dp("N6 unknown command 5", 5, 1000)
dp("N6 unknown command 0", 0, 1000)
dp("N6 unknown command 200", 200, 1000)
g.reply("N6 dump of NEW", "ovs_datapath", s.dump("ovs_datapath", cmd=NEW))
g.reply("N1 short header", "ovs_datapath", s.dp(GET, header=b""))
g.reply("N1 header of 2", "ovs_datapath", s.dp(GET, header=b"\0\0"))
dp("N5 unknown attribute", GET, 1000, attr(77, b"x"))
dp("N5 duplicate: last wins", GET, 0, name("nope"), name("dp0"))
dp("N5 nested flag on a flat attribute", GET, 0, attr(DP.NAME | NLA_F_NESTED, b"dp0\0"))
dp("N5 name without NUL", GET, 0, attr(DP.NAME, b"dp0"))
dp("N5 trailing junk", GET, 1000, b"\x02\x00\x00\x00")
dp("D6 delete unknown", DEL, 0, name("nope"))
dp("D6 delete dp1", DEL, 0, name("dp1"), flags=NLM_F_ECHO)
heard("D6 notification")
dp("D6 delete dp0 by another internal port's ifindex", DEL, 1005, flags=NLM_F_ECHO)
dp("D6 delete again", DEL, 1000)
heard("D6 notification of dp0")
dump("dump after all")
link("devices at the end")

# Without the capability, and in another namespace.
s.new_dp("dp2", 1002)
os.chmod("/run/work", 0o777)
if os.fork() == 0:
    os.setgid(65534)
    os.setuid(65534)
    t, h = Sock(), Golden("unprivileged")
    for label, r in (("get", t.dp(GET, 1002)), ("dump", t.dump("ovs_datapath")),
                     ("set", t.dp(SET, 1002, features(0))), ("del", t.dp(DEL, 1002)),
                     ("new", t.dp(NEW, 0, name("dp3"), pid()))):
        h.reply(label, "ovs_datapath", r)
    with open("/run/work/unprivileged", "w") as f:
        f.write("\n".join("%s\t%s" % x for x in h.lines))
    os._exit(0)
os.wait()
with open("/run/work/unprivileged") as f:
    for line in f:
        label, value = line.rstrip("\n").split("\t", 1)
        g.say("N6 unprivileged " + label, value)

subprocess.run(["ip", "netns", "add", "n1"], check=True)
home = os.open("/proc/self/ns/net", os.O_RDONLY)
ns = os.open("/run/netns/n1", os.O_RDONLY)
os.setns = getattr(os, "setns", None) or __import__("ctypes").CDLL(None).setns
os.setns(ns, 0x40000000)
t = Sock(pid=4244)
os.setns(home, 0x40000000)
g.reply("N7 other namespace: dump", "ovs_datapath", t.dump("ovs_datapath"))
g.reply("N7 other namespace: get by name", "ovs_datapath", t.dp(GET, 0, name("dp2")))
g.reply("N7 other namespace: get by ifindex", "ovs_datapath", t.dp(GET, 1002))
g.reply("N7 other namespace: same name is free", "ovs_datapath", t.dp(NEW, 0, name("dp2"), pid(), at(1002)))
g.reply("N7 other namespace: delete", "ovs_datapath", t.dp(DEL, 1002))
dump("N7 ours is still there")
g.finish()
