# SPDX-License-Identifier: GPL-2.0
# title: the module goes after policy dumps (B40), fragments have a whole route (B43), ports go and lose their carrier in a flood (B55)
# module: ours
# append: slub_debug=FZP
# keep-module: yes
# smp: 2
# timeout: 240
import itertools
import sys
import threading
import time

from frames import *
from ovsnl import *
from rtnl import Rtnl
from wire import *


def modprobe(*args):
    return subprocess.run(["modprobe", *args], stderr=subprocess.DEVNULL).returncode


# ---- B40: the module goes after policy dumps, whole ones and such as nobody reads to the end; their families name it as owner.

CTRL_GETPOLICY, CTRL_FAMILY_ID = 10, 1


def policy_dump(s, family, whole):
    """Starts a dump of the family's policy; reads all of it, or one message. Returns the bytes read."""
    body = struct.pack("=BBH", CTRL_GETPOLICY, 2, 0) + attr(CTRL_FAMILY_ID, u16(s.family(family)))
    if whole:
        r = s.raw(GENL_ID_CTRL, NLM_F_REQUEST | NLM_F_DUMP, body)
        if r.errno:
            sys.exit("policy of %s: %s" % (family, r.error))
        return b"".join(m[4] for m in r.messages)
    s.seq += 1
    s.s.send(struct.pack("=IHHII", 16 + len(body), GENL_ID_CTRL, NLM_F_REQUEST | NLM_F_DUMP, s.seq, s.pid) + body)
    return s.s.recv(64)


def references():
    with open("/proc/modules") as f:
        return next(int(line.split()[2]) for line in f if line.startswith("openvswitch "))


for n in range(6):
    modprobe("openvswitch")
    s = Sock()
    if any(len(policy_dump(s, f, True)) < 40 for f in FAMILIES):
        sys.exit("B40 a policy without attributes")
    # A dump that is left pins the module at most as long as its socket lives.
    for f in FAMILIES:
        left = Sock()
        policy_dump(left, f, False)
        left.close()
    s.close()
    if references() != 0:
        sys.exit("B40 %d references after policy dumps" % references())
    if modprobe("-r", "openvswitch"):
        sys.exit("B40 the module does not go")
print("B40 ok")

modprobe("openvswitch")
s, rt = Sock(), Rtnl()
DP0 = s.new_dp("dp0", 1000)
for n in (1, 2):
    veth("p%d" % n, "q%d" % n, 2000)
    s.new_port(DP0, "p%d" % n, n)
w1, w2 = Wire("q1"), Wire("q2")

# A dump of ours that is not read to the end pins the module itself.
for n in range(300):
    r = s.new_flow(DP0, [k_port(1), k_eth(), k_type(0x800), k_ipv4(), k_udp(n)], [])
    if r.errno:
        sys.exit("flow %d: %s" % (n, r.error))
idle = references()
left = Sock()
left.s.send(struct.pack("=IHHIIBBHi", 24, left.family("ovs_flow"), NLM_F_REQUEST | NLM_F_DUMP, 1, left.pid, GET, 1, 0, DP0))
left.s.recv(64)
if references() != idle + 1 or modprobe("-r", "openvswitch") == 0:
    sys.exit("B40 a dump does not pin the module")
left.close()
if references() != idle:
    sys.exit("B40 a dump that is gone pins the module")
s.flow(DEL, DP0)
print("B40 ok: dumps pin")

# ---- B43: the stack cuts with a route that lies on our stack. Everything comes out again, whatever stands before the IP header.

DATA = udp(bytes(range(256)) * 5)
V6 = udp(bytes(range(256)) * 6, src="fd00::1", dst="fd00::2")
L2 = {"plain": ([], 14), "a tag": ([a_push_vlan(0x1001)], 18), "two tags": ([a_push_vlan(0x1001), a_push_vlan(0x1002, 0x88a8)], 22),
      "a label": ([a_push_mpls(lse(5))], 18), "labels": ([a_push_mpls(lse(5)), a_push_mpls(lse(6, 0))], 22),
      "a label and a tag": ([a_push_mpls(lse(5)), a_push_vlan(0x1001)], 22)}
for (label, (acts, l2)), mru in itertools.product(L2.items(), (1280, 1300)):
    for frame, v6 in ((eth(0x800, ipv4(17, DATA)), False), (eth(0x86dd, ipv6(17, V6)), True)):
        what = "B43 %s, %s, MRU %d" % (label, "IPv6" if v6 else "IPv4", mru)
        whole = V6 if v6 else DATA
        r = s.execute(DP0, frame, [k_port(1)], acts + [a_output(2)], attr(PACKET.MRU, u16(mru)))
        if r.errno:
            sys.exit("%s: %s" % (what, r.error))
        got, header = b"", l2 + (48 if v6 else 20)
        parts = []
        while len(got) < len(whole):
            more = w2.recv(2)
            if more is None:
                sys.exit("%s: %d bytes of %d" % (what, len(got), len(whole)))
            parts.append(len(more[0]))
            got += more[0][header:]
        if (got != whole) if len(whole) + header - l2 > mru else len(parts) != 1:
            sys.exit("%s: other bytes, in %s" % (what, parts))
print("B43 ok")

# ---- B55: devices go, and lose their carrier, under a flood that all of them are to send.

stop = threading.Event()
sent = [0]
PORTS = range(3, 9)


def flood():
    wire = Wire("q1")
    frame = eth(0x800, ipv4(17, udp()))
    while not stop.is_set():
        try:
            for _ in range(50):
                wire.send(frame)
            sent[0] += 50
        except OSError as e:
            if e.errno not in (errno.ENOBUFS, errno.ENETDOWN):
                raise


r = s.new_flow(DP0, [k_port(1), k_eth(), k_type(0x800), k_ipv4(), k_udp()], [a_output(n) for n in PORTS] + [a_clone(a_hash(), a_output(3))] + [a_output(2)],
               [k_port(0xffffffff), k_type(0xffff)])
if r.errno:
    sys.exit("B55 flow: " + r.error)
thread = threading.Thread(target=flood)
thread.start()
end = time.monotonic() + 15
rounds = 0
while rounds < 3 or time.monotonic() < end and rounds < 60:
    for n in PORTS:
        if rt.veth("v%d" % n, "u%d" % n):
            sys.exit("B55 no device")
        s.new_port(DP0, "v%d" % n, n)
    for n in PORTS:
        # The peer goes, which takes the carrier and then the device; or the device; or it is set down first.
        if n % 3 == 0:
            rt.up("v%d" % n, False)
        if n % 3 == 1:
            rt.up("u%d" % n, False)
        if rt.delete(("u%d" if n % 2 else "v%d") % n):
            sys.exit("B55 a device does not go")
    rounds += 1
stop.set()
thread.join(20)
if thread.is_alive() or sent[0] < 100:
    sys.exit("B55 locked up: %d rounds, %d packets" % (rounds, sent[0]))
w2.drain(0.2)
w1.send(eth(0x800, ipv4(17, udp())))
if not w2.recv(5):
    sys.exit("B55 nothing goes through any more")
print("B55 ok: %d rounds" % rounds)
s.flow(DEL, DP0)
