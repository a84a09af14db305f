# SPDX-License-Identifier: GPL-2.0
# title: packets of no bytes at all, as root and from an unprivileged namespace (the stock module panics: BUG in skb_zerocopy)
# module: ours
# append: slub_debug=FZP
# timeout: 120
import ctypes
import fcntl
import os
import sys

from frames import *
from ovsnl import *
from wire import *

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
EMPTY = eth(0x800, b"")  # 14 bytes, none after pop_eth
PUSH_ETH = attr(ACTION.PUSH_ETH, b"\2\0\0\0\0\1\2\0\0\0\0\2")
POP_ETH = attr(ACTION.POP_ETH)


def packets(up):
    """Payload of the upcalls' PACKET attributes."""
    return [m.get(PACKET.PACKET, None) for m in up.notifications("ovs_packet", 0.1)]


def check(what, got, want):
    if got != want:
        sys.exit("%s: %r instead of %r" % (what, got, want))
    print(what, "ok")


def others(s, dp, pid):
    """Everything else that may meet no bytes, or just a header's: what it answers is the same as for any short packet."""
    key4 = [k_port(0), k_type(0x800)]
    ipv4_key, udp_key, ipv6_key = a_set(k_ipv4(proto=0)), a_set(k_udp()), a_set(k_ipv6(proto=0))
    tag, untag, out = a_push_vlan(0x1001), a_pop_vlan(), [a_output(n) for n in range(7)]
    lists = [
        [ipv4_key, pid], [udp_key, pid], [pid], out, [a_trunc(14), *out], [a_hash(0, 1), a_hash(1, 1), a_recirc(9)],
        [a_clone(tag, *out)], [a_clone(tag, tag, *out), pid], [a_clone(tag, untag, pid)], [a_clone(untag, pid)], [a_clone(POP_ETH, pid)],
        [a_clone(a_set(k_eth()), pid)], [a_clone(tag, a_recirc(9))], [a_clone(tag, tag, a_recirc(9))],
        [a_sample(0x80000000, *out), pid], [a_sample(0xffffffff, a_trunc(14), a_hash(1, 0), *out)],
        [PUSH_ETH, tag, *out], [PUSH_ETH, tag, tag, *out], [PUSH_ETH, tag, tag, untag, untag, pid], [PUSH_ETH, a_set(k_eth()), *out],
        [PUSH_ETH, POP_ETH, PUSH_ETH, POP_ETH, *out, pid], [PUSH_ETH, ipv4_key, *out], [PUSH_ETH, a_recirc(9)], [PUSH_ETH, a_trunc(14), *out],
        [a_set(k_prio(1)), a_set(k_mark(2)), a_recirc(9)], [a_drop(0)],
    ]
    for kind in (0x800, 0x86dd, 0x806, 0x8100, 0x1234):
        frame = EMPTY[:12] + be16(kind)
        for acts in lists + [[ipv6_key, pid], [PUSH_ETH, ipv6_key, *out]]:
            for mru in (0, 1, 100):
                more = [attr(PACKET.MRU, u16(mru))] if mru else []
                s.execute(dp, frame, [k_port(0)], [POP_ETH] + acts, *more)
                s.execute(dp, frame, [k_port(0)], acts, *more)
                s.execute(dp, frame, key4, acts, *more)


def ports(s, dp):
    """A port of each kind of device that packets can leave through."""
    subprocess.run(["modprobe", "tun"], check=True)
    veth("v0", "v1")
    subprocess.run(["ip", "link", "add", "dm0", "type", "dummy"], check=True)
    subprocess.run(["ip", "link", "set", "dm0", "up"], check=True)
    fds = []
    for name, mode in (("tun0", 1), ("tap0", 2)):
        fds.append(os.open("/dev/net/tun", os.O_RDWR))
        fcntl.ioctl(fds[-1], 0x400454ca, struct.pack("16sH22x", name.encode(), mode))
        subprocess.run(["ip", "link", "set", name, "up"], check=True)
    s.new_port(dp, "in0", 1, INTERNAL)
    subprocess.run(["ip", "link", "set", "in0", "up"], check=True)
    for n, name in enumerate(("v0", "dm0", "tun0", "tap0"), 2):
        s.new_port(dp, name, n, NETDEV, 0)
    subprocess.run(["ip", "link", "set", "dp0", "up"], check=True)
    return fds


def every_device():
    """The same with something behind the outputs."""
    s, up = Sock(), Sock(pid=5555)
    up.family("ovs_packet")
    dp = s.new_dp("dp0", 1000, pid=5555)
    fds = ports(s, dp)
    others(s, dp, a_user(5555))
    packets(up)
    s.dp(DEL, dp)
    for fd in fds:
        os.close(fd)
    s.s.close()
    up.s.close()
    print("every device ok")


def execute(features):
    """EXECUTE of a frame that is nothing but its Ethernet header, with everything that may meet the empty rest."""
    s, up = Sock(), Sock(pid=5555)
    up.family("ovs_packet")
    dp = s.new_dp("dp0", 1000, pid=5555, features=features)
    pid = a_user(5555)
    lists = {
        "userspace": [pid],
        "with actions": [a_user(5555, attr(USERSPACE.ACTIONS), attr(USERSPACE.USERDATA, b""))],
        "truncated": [a_trunc(14), pid],
        "hashed": [a_hash(0, 7), pid],
        "cloned": [a_clone(pid), a_sample(0xffffffff, pid)],
        "recirculated": [a_recirc(9)],
        "sent": [a_output(0), pid],
        "a header again": [PUSH_ETH, a_output(0), pid],
    }
    for name, acts in lists.items():
        r = s.execute(dp, EMPTY, [k_port(0)], [POP_ETH] + acts)
        want = {"a header again": [EMPTY[:12] + b"\x08\0"], "cloned": [b"", b""]}.get(name, [b""])
        got = packets(up)
        if name == "a header again":
            got = [len(p) for p in got]
            want = [14]
        check("features %d, %s: %s" % (features, name, r.error), got, want)
    others(s, dp, pid)
    packets(up)
    s.dp(DEL, dp)
    s.s.close()
    up.s.close()


def tun():
    """A write of four bytes to a TUN that is a port: the packet information, and no packet."""
    subprocess.run(["modprobe", "tun"], check=True)
    s, up = Sock(), Sock(pid=5555)
    up.family("ovs_packet")
    dp = s.new_dp("dp0", 1000, pid=5555, features=UNALIGNED)
    fd = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(fd, 0x400454ca, struct.pack("16sH22x", b"t0", 1))  # TUNSETIFF, IFF_TUN with struct tun_pi
    with open("/proc/sys/net/ipv6/conf/t0/disable_ipv6", "w") as f:
        f.write("1")
    subprocess.run(["ip", "link", "set", "t0", "up"], check=True)
    r = s.new_port(dp, "t0", 1, NETDEV, 5555)
    for proto in (0x800, 0x86dd, 0x806, 0x8100, 0x1234):
        try:
            os.write(fd, struct.pack(">HH", 0, proto))
        except OSError as e:
            print("write: %s" % e)
        print("a miss of an empty packet, %#x:" % proto, packets(up))
    # A flow sends what is empty back to the TUN: nothing may leave.
    s.new_flow(dp, [k_port(1), k_type(0x1234)], [a_output(1), a_user(5555)], [k_port(0xffffffff)])
    os.set_blocking(fd, False)
    os.write(fd, struct.pack(">HH", 0, 0x1234))
    check("sent and told", packets(up), [b""])
    try:
        sys.exit("%d bytes left through the TUN" % len(os.read(fd, 100)))
    except BlockingIOError:
        pass
    os.write(fd, struct.pack(">HH", 0, 0x1234) + b"x")
    check("one byte is told", packets(up), [b"x"])
    check("and sent", os.read(fd, 100)[4:], b"x")
    os.close(fd)
    s.dp(DEL, dp)
    s.s.close()
    up.s.close()


def unprivileged():
    child = os.fork()
    if child == 0:
        os.setgid(1000)
        os.setuid(1000)
        if ctypes.CDLL(None).unshare(CLONE_NEWUSER | CLONE_NEWNET):
            print("no user namespaces here")
            os._exit(77)
        execute(UNALIGNED)
        sys.stdout.flush()
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if status not in (0, 77 << 8):
        sys.exit("the unprivileged part failed")


for features in (0, UNALIGNED):
    execute(features)
tun()
every_device()
unprivileged()
