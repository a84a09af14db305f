# SPDX-License-Identifier: GPL-2.0
# asks: yes
# title: what the host's own stack sends shows the state of its connection, where loading limits has it tracked (L5)
import os
import socket
import subprocess
import sys

from frames import *
from golden import Golden
from ovsnl import *
from rtnl import Namespace

g = Golden()
if subprocess.run(["modprobe", "-a", "nf_conntrack", "nf_conncount"]).returncode:
    print("this kernel does not count connections")
    sys.exit(77)


def ip(*args):
    subprocess.run(["ip", *" ".join(args).split()], check=True)


def upcalls(label, up):
    """Of UDP datagrams among the upcalls, what conntrack knows."""
    got = []
    for m in up.notifications("ovs_packet", 0.2):
        key = parse(m.get(PACKET.KEY))
        if first(key, KEY.UDP):
            got.append("ct_state %#x zone %d" % (int.from_bytes(first(key, KEY.CT_STATE), sys.byteorder), int.from_bytes(first(key, KEY.CT_ZONE), sys.byteorder)))
    g.say(label, " ; ".join(got) or "none")
    return got


def there(label, port):
    """A namespace with a datapath whose local port is an interface of the host's. What was seen of the first datagram from `port`."""
    seen = []
    s, up = Sock(), Sock(pid=5555)
    up.family("ovs_packet")
    dp = s.new_dp("dp0", 1000, pid=5555)
    ip("link set dp0 address 02:00:00:00:00:0b up")
    for address, neighbour in (("10.0.0.1/24", "10.0.0.2"), ("fd00::1/64 nodad", "fd00::2")):
        ip("addr add", address, "dev dp0")
        ip("neigh add", neighbour, "lladdr 02:00:00:00:00:0c dev dp0 nud permanent")
    for family, to in ((socket.AF_INET, "10.0.0.2"), (socket.AF_INET6, "fd00::2")):
        with socket.socket(family, socket.SOCK_DGRAM) as u:
            u.bind(("10.0.0.1" if family == socket.AF_INET else "fd00::1", port))
            u.sendto(b"question", (to, 6000))
            seen += upcalls("%s, %s: first" % (label, to), up)
            if family == socket.AF_INET:
                frame = eth(0x800, ipv4(17, udp(b"answer", 6000, port), to, "10.0.0.1"), dst=bytes.fromhex("02000000000b"))
                g.say("%s: answered" % label, s.execute(dp, frame, [k_port(1)], [a_output(0)]).error)
                u.settimeout(5)
                g.say("%s: the answer came" % label, str(u.recv(100)))
                u.sendto(b"thanks", (to, 6000))
                upcalls("%s: thanks" % label, up)
    return s, dp, seen


one = Namespace()
with one:
    s, dp, seen = there("first datapath", 5000)
    if len(seen) != 2:
        sys.exit("a datagram that nobody saw")
    if os.uname().release.startswith("6.1.") and seen != ["ct_state 0x21 zone 0"] * 2:
        sys.exit("6.1 has the namespace's own stack tracked")
    g.say("a datapath that exists", s.dp(NEW, 0, attr(DP.NAME, b"dp0\0"), attr(DP.UPCALL_PID, u32(0))).error)
    g.say("deleted", s.dp(DEL, dp).error)
    s, dp, _ = there("second datapath", 5001)
    g.say("deleted, too", s.dp(DEL, dp).error)
one.close()
g.finish()
