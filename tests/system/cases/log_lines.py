# SPDX-License-Identifier: GPL-2.0
# title: lines of the kernel's log that are not refusals: the stock module's text, under its limit, and none for a probe (N11, X6)
# allow: deferred action limit reached|exceeds conntrack limit|dropped over-mtu|Dropping previously announced|recursion limit
import os
import subprocess
import sys
import time

from ctnl import Table
from frames import *
from golden import Golden
from ovsnl import *
from wire import *

for module in "nf_conntrack_netlink", "nfnetlink_cttimeout":  # without the second, the kernel says that there are no policies at all
    subprocess.run(["modprobe", module], check=True)
MARK = "log_lines has read so far"
g = Golden()
s = Sock()


def sysctl(name, value):
    with open("/proc/sys/net/core/" + name, "w") as f:
        f.write(str(value))


def log():
    """The log's lines since the last time, without the module's name, which some files of the stock module leave out."""
    lines = subprocess.run(["dmesg", "--notime"], stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
    marks = [n for n, line in enumerate(lines) if line.endswith(MARK)]
    with open("/dev/kmsg", "w") as f:
        f.write(MARK + "\n")
    lines = [line.removeprefix("openvswitch: ").removeprefix("openvswitch: ") for line in lines[marks[-1] + 1 if marks else 0:]]
    # What was suppressed is told some seconds later, by whoever logs next.
    noise = "promiscuous mode", "link becomes ready", "net_ratelimit: "
    return [line for line in lines if not any(word in line for word in noise)]


def say(label, only=""):
    lines = log()
    said = sorted({line for line in lines if only in line})
    g.say(label, " | ".join("%d x %s" % (lines.count(line), line) for line in said) or "nothing")


g.say("X6 loaded", str("Open vSwitch switching datapath" in log()))
sysctl("message_cost", 0)  # no limit; what an earlier case, or the stock module a moment ago, has used up of it would count
log()
DP0 = s.new_dp("dp0", 1000)
for n in (1, 2):
    veth("p%d" % n, "q%d" % n)
    s.new_port(DP0, "p%d" % n, n)
F = frames()
UDP, HASH, OUT2 = F["udp"], a_hash(0, 0), a_output(2)
MASK = [k_port(0xffffffff), k_recirc(0xffffffff), k_type(0xffff)]
KEY4 = [k_port(1), k_recirc(5), k_eth(), k_type(0x800), k_ipv4(), k_udp()]
say("set up")

# Packets.
s.new_flow(DP0, KEY4, [a_recirc(5)], MASK)
s.execute(DP0, UDP, [k_port(1)], [a_recirc(5)])
say("A10 recirculated for ever")
many = [a_clone(HASH) for _ in range(12)] + [HASH]
s.execute(DP0, UDP, [k_port(1)], [a_clone(a_clone(a_clone(*many), HASH), HASH), HASH])
say("A10 lists put off")
subprocess.run(["ip", "link", "set", "p2", "mtu", "600"], check=True)
log()
s.execute(DP0, F["1500 bytes"], [k_port(1)], [OUT2])
say("A31 longer than the MTU")
s.execute(DP0, eth(0x86dd, ipv6(17, udp(bytes(1400), src="fd00::1", dst="fd00::2"))), [k_port(1)], [OUT2], attr(PACKET.MRU, u16(576)))
say("A31 a fragment longer than the MTU")
subprocess.run(["ip", "link", "set", "p2", "down"], check=True)
log()
s.execute(DP0, F["1500 bytes"], [k_port(1)], [OUT2])
say("A27 down")
subprocess.run(["ip", "link", "set", "p2", "mtu", "1500", "up"], check=True)
log()
LABELS = [a_push_mpls(lse(n, n == 0)) for n in range(5)]
s.execute(DP0, F["1500 bytes"], [k_port(1)], LABELS + [OUT2], attr(PACKET.MRU, u16(576)))
say("A30 an L2 header of 34 bytes")
subprocess.run(["ip", "link", "set", "dp0", "name", "br9"], check=True)
log()
s.execute(DP0, UDP, [k_port(1)], [a_recirc(5)])
say("A10 of a datapath with another name")
subprocess.run(["ip", "link", "set", "br9", "name", "dp0"], check=True)
log()

# Limits of connections.
LIMIT = struct.Struct("=iII").pack


def limits(cmd, *zones, more=b""):
    s.request("ovs_ct_limit", cmd, 0, attr(CT_LIMIT.ZONE_LIMIT, b"".join(zones) + more))


for cmd, name in ((1, "set"), (2, "del"), (3, "get")):
    limits(cmd, LIMIT(9, 1, 0), more=b"\0" * 8)
    say("L1 %s with a rest" % name)
    limits(cmd, LIMIT(70000, 1, 0), LIMIT(9, 1, 0), LIMIT(-2, 1, 0))
    say("L1 %s of zones that are none" % name)
Table().flush()  # zone 9 has none, whoever ran before
limits(1, LIMIT(9, 1, 0))
s.execute(DP0, UDP, [k_port(1)], [a_ct(commit=True, zone=9)])
s.execute(DP0, UDP, [k_port(1)], [a_set(k_udp(7, 8)), a_ct(commit=True, zone=9)])
say("C12 a zone's limit")
limits(2, LIMIT(9, 1, 0))

# What is accepted, or refused, for want of something.
PROBE = attr(FLOW.PROBE)
for probe in ([], [PROBE]):
    how = " by a probe" if probe else ""
    s.new_flow(DP0, KEY4, [a_ct(c_name(CT.TIMEOUT, "nobody"))], MASK, *probe)
    say("C5 no such timeout" + how)
    s.new_flow(DP0, KEY4, [a_ct(c_name(CT.HELPER, "nobody"), commit=True)], MASK, *probe)
    say("C5 no such helper" + how, "Failed to add")  # of 6.12; ours logs its refusal, too
    s.new_flow(DP0, KEY4, [a_output(70000)], MASK, *probe)
    say("N11 actions" + how, "may not be safe")

# A userspace that knows no features.
s.dp(SET, DP0, attr(DP.USER_FEATURES, u32(UNALIGNED)))
say("features")
s.request("ovs_datapath", NEW, 0, attr(DP.NAME, b"dp0\0"), attr(DP.UPCALL_PID, u32(0)), version=1)
say("D10 an old userspace")

# The limit: ten in five seconds; 7.3 counts from the last five on.
sysctl("message_cost", 5)
time.sleep(5.2)
for _ in range(100):
    s.new_flow(DP0, KEY4, [a_output(70000)], MASK)
lines = [line for line in log() if "may not be safe" in line]
g.say("N11 a hundred", "fewer" if len(lines) < 100 else "all")
time.sleep(5.2)
log()
for _ in range(100):
    s.request("ovs_datapath", NEW, 0, attr(DP.NAME, b"dp0\0"), attr(DP.UPCALL_PID, u32(0)), version=1)
lines = [line for line in log() if "previously announced" in line]
if os.environ["MODULE"] == "ours" and not 0 < len(lines) < 100:  # the stock module has no limit for it
    sys.exit("D3 a hundred: %d" % len(lines))
g.finish()
