# SPDX-License-Identifier: GPL-2.0
# title: ports of other types than Ethernet and none, and ports whose type changes (K20, K39)
# module: ours
import fcntl
import os
import sys

from frames import *
from ovsnl import *
from wire import *

# A TAP that is down becomes whatever TUNSETLINK says, port or not. The stock module gives the same answers, and warns
# of the first packet that then comes, which is a failure here.
TUNSETIFF, TUNSETLINK, IFF_TUN, IFF_TAP, IFF_NO_PI = 0x400454ca, 0x400454cd, 1, 2, 0x1000
ETHER, PPP, IEEE802154, NONE = 1, 512, 804, 0xfffe
UDP = frames()["udp"]


def tap(name, mode):
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), mode | IFF_NO_PI))
    with open("/proc/sys/net/ipv6/conf/%s/disable_ipv6" % name, "w") as f:
        f.write("1")
    return fd


def link(name, up):
    subprocess.run(["ip", "link", "set", name, "up" if up else "down"], check=True)


def read(fd):
    try:
        return os.read(fd, 2000)
    except BlockingIOError:
        return None


def expect(what, got, want):
    if got != want:
        sys.exit("%s: %r instead of %r" % (what, got, want))
    print(what, "ok")


subprocess.run(["modprobe", "tun"], check=True)
s, up = Sock(), Sock(pid=5555)
up.family("ovs_packet")
DP0 = s.new_dp("dp0", 1000, pid=5555)
t, o = tap("t0", IFF_TAP), tap("o0", IFF_TAP)
for kind in (PPP, IEEE802154):
    fcntl.ioctl(t, TUNSETLINK, kind)
    r = s.vport(NEW, DP0, attr(VPORT.NAME, b"t0\0"), attr(VPORT.TYPE, u32(NETDEV)), attr(VPORT.UPCALL_PID, u32(0)))
    expect("a port of type %d" % kind, r.error, "EINVAL")
fcntl.ioctl(t, TUNSETLINK, ETHER)
link("t0", True)
link("o0", True)
s.new_port(DP0, "t0", 1, NETDEV, 5555)
s.new_port(DP0, "o0", 2, NETDEV, 5555)
s.new_flow(DP0, [k_port(1), k_eth(), k_type(0x800), k_ipv4(), k_udp()], [a_output(2)], [k_port(0xffffffff), k_type(0xffff)])
for kind in (ETHER, PPP, ETHER, NONE, IEEE802154, ETHER):
    link("t0", False)
    fcntl.ioctl(t, TUNSETLINK, kind)
    link("t0", True)
    os.write(t, UDP)
    expect("type %d: in" % kind, read(o), UDP if kind == ETHER else None)
    up.notifications("ovs_packet", 0.05)
    s.execute(DP0, UDP, [k_port(2)], [a_output(1)])
    expect("type %d: out" % kind, read(t), UDP if kind in (ETHER, NONE) else None)
    s.execute(DP0, UDP[14:], [k_port(2), k_type(0x800)], [a_output(1)])
    expect("type %d: out without a header" % kind, read(t), UDP[14:] if kind == NONE else None)
    s.execute(DP0, eth(0x800, ipv4(17, udp(bytes(600)))), [k_port(2)], [a_output(1)], attr(PACKET.MRU, u16(300)))
    got = read(t)
    expect("type %d: in fragments" % kind, got is not None and len(got), {ETHER: 314, NONE: 314}.get(kind, False))
    while read(t):
        pass
os.close(t)
expect("the port is gone with its device", [m.get(VPORT.NAME) for m in s.dump("ovs_vport", DP0).messages], [b"dp0\0", b"o0\0"])
