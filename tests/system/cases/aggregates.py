# SPDX-License-Identifier: GPL-2.0
# title: what one aggregate may cost: service headers without end, upcalls, copies and fragments (A10, A31, U11)
# module: ours
# timeout: 240
import atexit
import fcntl
import os
import struct
import subprocess
import sys
import time

from frames import *
from ovsnl import *
from wire import *

# The stock module answers the first with a kernel stack that overflows, the others with minutes in which this CPU does
# nothing else. All of them can be sent by a user in a namespace of his own, the first by a guest.
s = Sock()
up = Sock(pid=5555)
up.family("ovs_packet")
dp = s.new_dp("dp0", 1000)
veth("p1", "q1")
veth("p2", "q2")
subprocess.run("ip link add d3 type dummy".split(), check=True)
subprocess.run("ip link set d3 mtu 65535 up".split(), check=True)
subprocess.run("ethtool -K d3 tso off gso off".split(), check=True, stdout=subprocess.DEVNULL)
subprocess.run(["modprobe", "tun"], check=True)
subprocess.run(["modprobe", "mpls_gso"])  # if there is one
atexit.register(subprocess.run, ["modprobe", "-r", "mpls_gso"])  # other cases have it that labels are not cut up
tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
fcntl.ioctl(tap, 0x400454ca, struct.pack("16sH22x", b"t4", 0x5002))  # TUNSETIFF: IFF_TAP | IFF_NO_PI | IFF_VNET_HDR
subprocess.run("ip link set t4 up".split(), check=True)
for n, name in enumerate(("p1", "p2", "d3", "t4"), 1):
    s.new_port(dp, name, n)
w1, w2 = Wire("q1"), Wire("q2")
TCP_KEY = [k_port(1), k_eth(), k_type(0x800), k_ipv4(proto=6), k_tcp(), k_tcp_flags(0x10)]
MASK = [k_type(0xffff)]


def aggregate(length, size):
    w1.send(eth(0x800, ipv4(6, tcp(bytes(length), flags=0x10, partial=True))), NEEDS_CSUM, GSO_TCPV4, 54, size, 34, 16)


def flow(*actions, key=TCP_KEY):
    s.flow(DEL, dp)
    r = s.new_flow(dp, key, list(actions), MASK)
    if r.errno:
        sys.exit("flow: %s %s" % (r.error, r.note))


def sent_by(name):
    with open("/sys/class/net/%s/statistics/tx_packets" % name) as f:
        return int(f.read())


def timed(label, what, most=60):
    """Emulated, and slow; what has no bound takes many minutes."""
    began = time.monotonic()
    result = what()
    took = time.monotonic() - began
    print("%-40s %.1f s" % (label, took), flush=True)
    if took > most:
        sys.exit("%s takes too long" % label)
    return result


NSH = a_push_nsh(nsh_base(mdtype=2), attr(3, b"\0"))
for n, told, sent in ((1, 3, 3), (300, 0, 0)):
    flow(*[NSH] * n, a_user(5555), a_push_eth(), a_output(2))
    aggregate(2500, 1000)
    got = len(up.notifications("ovs_packet", 0.3)), len(w2.drain())
    print("%d service headers: %d upcalls, %d sent" % ((n,) + got), flush=True)
    if got != (told, sent):
        sys.exit("%d and %d are right" % (told, sent))
# The same as a frame that comes in so, from a guest. (From a packet socket the kernel cuts it up itself, and is gone.)
flow(a_user(5555), a_output(2), key=[k_port(1), k_eth(), k_type(0x894f), nest(KEY.NSH, attr(1, b"\0\x3f\2\1\0\0\1\1"))])
INNER = ipv4(6, tcp(bytes(2500), flags=0x10, partial=True))
for n, told, sent in ((1, 3, 3), (200, 0, 0)):
    l3 = 14 + n * 8
    headers = b"\0\2\2\4\0\0\0\0" * (n - 1) + b"\0\2\2\1\0\0\0\0"
    os.write(tap, struct.pack("=BBHHHH", NEEDS_CSUM, GSO_TCPV4, l3 + 40, 1000, l3 + 20, 16) + eth(0x894f, headers + INNER))
    got = len(up.notifications("ovs_packet", 0.3)), len(w2.drain())
    print("a frame with %d service headers: %d upcalls, %d sent" % ((n,) + got), flush=True)
    if got != (told, sent):
        sys.exit("%d and %d are right" % (told, sent))

# Behind labels the kernel takes a frame for service headers from its first byte on, if its type says so.
base = b"\0\2\2\4\0\0\0\0"
odd = base + base[:4] + b"\x89\x4f\0\0" + base * 200
s.flow(DEL, dp)
r = s.new_flow(dp, [k_port(4), k_eth(), k_type(0x894f), nest(KEY.NSH, attr(1, b"\0\x3f\2\3\0\0\1\1"))],
               [a_pop_eth(), a_pop_nsh(), a_add_mpls(lse(5), 0x8847, 0), a_user(5555)], [k_port(0xffffffff), k_type(0xffff), nest(KEY.NSH, attr(1, b"\0\0\0\xff\0\0\0\0"))])
if r.errno:
    sys.exit("flow: %s %s" % (r.error, r.note))
os.write(tap, struct.pack("=BBHHHH", NEEDS_CSUM, GSO_TCPV4, 1700, 1000, 1600, 16) + eth(0x894f, b"\0\2\2\3\0\0\0\0" + odd + bytes(2500)))
print("a frame behind labels: %d upcalls" % len(up.notifications("ovs_packet", 0.3)))

# What is usual is not bounded.
before = sent_by("p2")
flow(*[a_output(2)] * 100)
aggregate(60000, 1448)
if sent_by("p2") - before != 100:
    sys.exit("an aggregate of 42 packets leaves %d times, not 100" % (sent_by("p2") - before))

flow(*[a_user(1)] * 5000)
timed("upcalls of an aggregate", lambda: aggregate(60000, 8))
flow(*[a_output(3)] * 5000)
timed("outputs of an aggregate", lambda: aggregate(60000, 8))
flow(*[a_clone(a_set(k_eth(src=bytes(6))), a_output(3))] * 1000)
timed("clones of an aggregate", lambda: aggregate(60000, 8))
r = timed("fragments of 8 bytes", lambda: s.execute(dp, eth(0x800, ipv4(17, bytes(60000))), [k_port(1)], [a_output(3)] * 8000, attr(PACKET.MRU, u16(28))))
print("errno", r.error)
log = subprocess.run(["dmesg"], stdout=subprocess.PIPE, text=True).stdout
if "limit of segments" not in log:
    sys.exit("nothing is logged")
s.dp(DEL, dp)
