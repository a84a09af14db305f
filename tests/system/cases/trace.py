# SPDX-License-Identifier: GPL-2.0
# title: the tracepoints openvswitch:*: their formats, and a line for each action and upcall, as the stock module's (X3)
# kernels: 6.1 6.12 7.3
import os
import re
import subprocess

from frames import *
from golden import Golden
from ovsnl import *

TRACING = "/sys/kernel/tracing"
EVENTS = TRACING + "/events/openvswitch"


def write(path, text):
    with open(path, "w") as f:
        f.write(text)


def lines():
    """What the events showed in this process since the last time; addresses and memory sizes are left out, and of CT the length of C's own structure."""
    with open(TRACING + "/trace") as f:
        mine = [line for line in f if re.match(r"\s*\S*-%d\s" % os.getpid(), line) and " ovs_" in line]
    write(TRACING + "/trace", "")
    out = []
    for line in mine:
        line = re.sub(r"\b(dpaddr|skbaddr|keyaddr|action_data|truesize)=\w+", r"\1=*", re.sub(r".*?: (ovs_\w+: )", r"\1", line.strip()))
        line = re.sub(r"(ovs_flow_hash=0x)(?!00000000|00000007)\w+", r"\1*", line)  # another one after each boot
        out.append(re.sub(r"(action_type=12 action_len=)\d+", r"\1*", line))
    return out


if not os.path.isdir(TRACING + "/events"):
    subprocess.run(["mount", "-t", "tracefs", "none", TRACING], check=True)
g = Golden()
for name in sorted(os.listdir(EVENTS)):
    if os.path.isdir(EVENTS + "/" + name):
        with open(EVENTS + "/%s/format" % name) as f:
            own = f.read().split("\n\n", 1)[1]  # what every event has comes before
        g.either.add("format " + name)  # whether char has a sign is the kernel's choice
        g.say("format " + name, " / ".join(own.split("\n")))

s = Sock()
up = Sock(pid=5555)
DP0 = s.new_dp("dp0", 1000, pid=5555)
F = frames()
UDP = F["udp"]
ONE, HASH, OUT9 = [k_port(0)], a_hash(0, 0), a_output(9)
MASK = [k_port(0xffffffff), k_recirc(0xffffffff), k_type(0xffff)]
s.new_flow(DP0, [k_port(65534), k_recirc(1), k_eth(), k_type(0x800), k_ipv4(), k_udp()], [OUT9], MASK)
s.meter(METER_SET, DP0, attr(METER.ID, u32(1)), attr(METER.KBPS), nest(METER.BANDS, nest(0, attr(BAND.TYPE, u32(1)), attr(BAND.RATE, u32(1)))))


def execute(label, *actions, frame=UDP, more=(), key=()):
    r = s.execute(DP0, frame, list(key), list(actions), *more)
    got = lines()
    if not got:
        g.say(label, r.error + " none")
    for n, line in enumerate(got):
        name = "%s %d" % (label, n)
        if " action_type=" in line and "SET" in label:
            g.either.add(name)  # an internal number, which grows with the ABI
        g.say(name, line)


s.execute(DP0, UDP, [], [OUT9])
g.say("nobody listens", str(lines()))
for name in ("ovs_do_execute_action", "ovs_dp_upcall"):
    write(EVENTS + "/%s/enable" % name, "1")
lines()
execute("output", OUT9)
execute("two outputs", OUT9, a_output(8))
execute("nothing")
execute("SET", a_set(k_udp(1, 2)), OUT9)
execute("SET of ipv4", a_set(k_ipv4(ttl=7)), OUT9)
execute("SET masked", a_set_masked(KEY.UDP, be16(0) + be16(7), be16(0) + be16(0xff)), OUT9)
execute("tags", a_push_vlan(0x1005), a_pop_vlan(), OUT9)
execute("hash", HASH, a_recirc(1))
execute("recirc", a_recirc(1), OUT9)
execute("trunc", a_trunc(20), OUT9)
execute("clone", a_clone(OUT9, HASH, a_clone(OUT9)), OUT9)
execute("last clone", a_clone(a_set_masked(KEY.UDP, b"\0" * 4, b"\0" * 4), OUT9))
execute("sample", a_sample(0xffffffff, HASH, OUT9), a_sample(0, OUT9), OUT9)
execute("deferred", a_clone(HASH, a_clone(HASH, a_clone(HASH, a_clone(HASH, OUT9), HASH), HASH), HASH), HASH)
execute("push_eth", a_pop_eth(), a_push_eth(), OUT9)
execute("mpls", a_push_mpls(lse(5)), a_pop_mpls(0x800), OUT9)
execute("last pop_mpls", a_push_mpls(lse(5)), a_pop_mpls(0x800))
execute("check_pkt_len", a_check_pkt_len(100, [OUT9, HASH], [a_output(8)]), OUT9)
execute("dec_ttl", a_dec_ttl(OUT9), OUT9)
execute("meter", a_meter(1), OUT9)
execute("ct", a_ct(zone=5), OUT9)
execute("ct_clear", a_ct(), a_ct_clear(), OUT9)
execute("ct, recirc", a_ct(commit=True, zone=6), a_recirc(1))
execute("userspace", a_user(5555))
execute("userspace to nobody", a_user(4444), OUT9)
execute("userdata", a_user(5555, attr(USERSPACE.USERDATA, b"12345")), OUT9)
execute("invalid key", a_push_vlan(0x1005), a_user(5555), OUT9)
execute("miss", a_recirc(77))
execute("mru", a_user(5555), more=[attr(PACKET.MRU, u16(1000))])
execute("IPv6", a_user(5555), OUT9, frame=F["udp6"] if "udp6" in F else eth(0x86dd, b"\x60" + b"\0" * 50))
execute("key", HASH, OUT9, key=[k_recirc(5), k_hash(7)])
write(EVENTS + "/ovs_do_execute_action/enable", "0")
execute("upcalls only", a_user(5555), OUT9)
write(EVENTS + "/ovs_dp_upcall/enable", "0")
execute("no more", a_user(5555), OUT9)
g.finish()
