# SPDX-License-Identifier: GPL-2.0
# asks: yes
# title: packets of which tc's rules know something, on kernels where they can tell the switch (D8, K21)
import os
import subprocess
import sys

from frames import *
from golden import Golden
from ovsnl import *
from wire import *

with open("/guest/config") as f:
    config = f.read()
if "CONFIG_NET_TC_SKB_EXT=y" not in config or "CONFIG_NET_ACT_CT" not in config:
    print("this kernel's tc cannot tell the switch anything, or has no connections")
    sys.exit(77)

SHARES = 4
g, s, up = Golden(), Sock(), Sock(pid=5555)
up.family("ovs_packet")
DP0 = s.new_dp("dp0", 1000, pid=5555, features=UNALIGNED)
veth("p1", "q1")
s.new_port(DP0, "p1", 1, NETDEV, 5555)
q1 = Wire("q1")
FRAMES = frames()


def tc(*args):
    subprocess.run(["tc", *" ".join(args).split()], check=True)


def rules(*filters):
    """p1's rules, new ones."""
    subprocess.run(["tc", "qdisc", "del", "dev", "p1", "clsact"], stderr=subprocess.DEVNULL)
    tc("qdisc add dev p1 clsact")
    for f in filters:
        tc("filter add dev p1 ingress", f)


def come(label, frame="udp"):
    q1.send(FRAMES[frame])
    got = up.notifications("ovs_packet", 0.1)
    g.say(label, " ; ".join(text("ovs_packet", m, ("HASH",)) for m in got) or "nothing")


def features(label, bits):
    g.say(label, s.dp(SET, DP0, attr(DP.USER_FEATURES, u32(bits))).error or "OK")


rules("proto ip chain 0 flower ip_proto udp action goto chain 7", "proto ip chain 7 flower ip_proto tcp action drop")
come("nobody asks: chain 7")
features("D8 shares", SHARES | UNALIGNED)
come("K21 chain 7, where no rule is for it")
come("K21 another protocol, chain 0", "tcp syn")
# A flow of the chain is no flow of others.
KEY4 = [k_port(1), k_recirc(7), k_eth(), k_type(0x800), k_ipv4(), k_udp()]
s.new_flow(DP0, KEY4, [a_output(0)], [k_port(0xffffffff), k_recirc(0xffffffff), k_type(0xffff)])
come("K21 a flow for chain 7")
s.flow(DEL, DP0)

# Connections: looked for, and committed, with and without translation.
rules("proto ip chain 0 flower ip_proto udp ct_state -trk action ct zone 4 pipe action goto chain 8")
come("K21 after ct, a new connection in zone 4")
rules("proto ip chain 0 flower ip_proto udp ct_state -trk action ct commit zone 5 nat src addr 10.9.9.9 pipe action goto chain 9")
come("K21 after ct with commit and NAT in zone 5")
come("K21 again")
rules("proto ip chain 0 flower ip_proto udp action ct clear pipe action goto chain 3")
come("K21 after ct clear")
rules("proto all chain 0 matchall action ct zone 6 pipe action goto chain 10")
come("K21 after ct, which does not know ARP", "arp request")

# It ends with the feature, with the datapath.
features("D8 no longer", UNALIGNED)
rules("proto ip chain 0 flower ip_proto udp action goto chain 7")
come("nobody asks any more")
features("D8 shares again", SHARES)
s.dp(DEL, DP0)
DP0 = s.new_dp("dp0", 1000, pid=5555, features=UNALIGNED)
s.new_port(DP0, "p1", 1, NETDEV, 5555)
come("nobody asks of a datapath that is gone")
subprocess.run(["tc", "qdisc", "del", "dev", "p1", "clsact"], check=True)
g.finish()
