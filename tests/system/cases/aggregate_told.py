# SPDX-License-Identifier: GPL-2.0
# title: an aggregate that userspace is told of goes on as it came, with its tunnel's headers (U11, Q17)
# module: ours
import subprocess
import sys

from frames import *
from ovsnl import *
from underlay import ip
from wire import *

# The stock module cuts up the packet itself, and sends on what is left of it: the inner frame.
s = Sock()
up = Sock(pid=5555)
up.family("ovs_packet")
DP0 = s.new_dp("dp0", 1000, pid=5555, features=UNALIGNED)
veth("p1", "q1")
s.new_port(DP0, "p1", 1, NETDEV, 5555)
subprocess.run("ethtool -K p1 tso off gso off tx off".split(), check=True, stdout=subprocess.DEVNULL)
with open("/proc/sys/net/ipv6/conf/dp0/disable_ipv6", "w") as f:
    f.write("1")
ip("addr add 172.31.0.1/24 dev dp0")
ip("link set dp0 up")
ip("neigh add 172.31.0.2 lladdr 02:00:00:00:31:02 dev dp0")
ip("link add vx0 mtu 9000 type vxlan id 7 remote 172.31.0.2 dstport 4789 noudpcsum")
with open("/proc/sys/net/ipv6/conf/vx0/disable_ipv6", "w") as f:
    f.write("1")
ip("link set vx0 up")
s.new_flow(DP0, [k_port(0), k_eth(), k_type(0x800), k_ipv4(proto=17), k_udp()], [a_user(5555), a_output(1)],
           [k_port(0xffffffff), k_type(0xffff)])
w = Wire("q1")
INNER = eth(0x800, ipv4(6, tcp(bytes(range(256)) * 8, flags=0x18, partial=True)))
Wire("vx0").send(INNER, NEEDS_CSUM, GSO_TCPV4, 54, 1000, 34, 16)
got = []
while len(got) < 3:
    more = w.recv(1)
    if more is None:
        break
    got.append(more[0])
told = up.notifications("ovs_packet", 0.5)
bad = [f for f in got if f[12:14] != b"\x08\0" or f[23] != 17 or f[36:38] != b"\x12\xb5"]
if len(got) != 3 or len(told) != 3 or bad:
    sys.exit("%d frames, %d of them without the tunnel; %d upcalls" % (len(got), len(bad), len(told)))
data = b"".join(f[50 + 54:] for f in got)
if data != bytes(range(256)) * 8:
    sys.exit("other data")
