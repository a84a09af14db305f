# SPDX-License-Identifier: GPL-2.0
"""Links and namespaces without starting a process: a fork costs more than the work when emulated."""

import ctypes
import os
import socket
import struct

from ovsnl import NLM_F_CREATE, NLM_F_EXCL, attr, be16, nest, u8, u16, u32

RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK = 16, 17, 18
IFLA_IFNAME, IFLA_LINK, IFLA_MASTER, IFLA_LINKINFO, IFLA_NET_NS_FD = 3, 5, 10, 18, 28
INFO_KIND, INFO_DATA, VETH_INFO_PEER = 1, 2, 1
CLONE_NEWNET = 0x40000000
IFF_UP = 1

libc = ctypes.CDLL(None, use_errno=True)


class Rtnl:
    def __init__(self):
        self.s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
        self.s.bind((0, 0))
        self.s.settimeout(30)
        self.seq = 0

    def request(self, kind, flags, body):
        """0 or the errno."""
        self.seq += 1
        self.s.send(struct.pack("=IHHII", 16 + len(body), kind, 1 | 4 | flags, self.seq, 0) + body)
        while True:
            data = self.s.recv(65536)
            if struct.unpack_from("=H", data, 4)[0] == 2 and struct.unpack_from("=I", data, 8)[0] == self.seq:
                return -struct.unpack_from("=i", data, 16)[0]

    @staticmethod
    def link(flags=0, change=0):
        return struct.pack("=BxHiII", 0, 0, 0, flags, change)

    def veth(self, name, peer):
        """A pair, both ends up (an end without its peer refuses to come up)."""
        inner = self.link() + attr(IFLA_IFNAME, peer.encode() + b"\0")
        return self.request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, self.link() + attr(IFLA_IFNAME, name.encode() + b"\0") + nest(
            IFLA_LINKINFO, attr(INFO_KIND, b"veth"), nest(INFO_DATA, attr(VETH_INFO_PEER, inner)))) or self.up(name) or self.up(peer)

    def add(self, kind, name, lower=None, *data):
        """A link of some kind, `data` its own attributes, on the device with ifindex `lower`."""
        info = nest(IFLA_LINKINFO, attr(INFO_KIND, kind.encode()), *([nest(INFO_DATA, *data)] if data else []))
        return self.request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, self.link() + attr(IFLA_IFNAME, name.encode() + b"\0") + (
            attr(IFLA_LINK, u32(lower)) if lower else b"") + info)

    def vlan(self, name, lower, tag):
        return self.add("vlan", name, lower, attr(1, u16(tag)))

    def macvlan(self, name, lower):
        return self.add("macvlan", name, lower, attr(1, u32(4)))  # bridge mode

    def bond(self, name):
        return self.add("bond", name, None, attr(1, u8(1)))  # active-backup

    def vxlan(self, name, lower, vni):
        return self.add("vxlan", name, None, attr(1, u32(vni)), attr(2, bytes([10, 9, 9, 9])), attr(3, u32(lower)), attr(15, be16(4789)))

    def gretap(self, name, lower):
        return self.add("gretap", name, None, attr(1, u32(lower)), attr(6, bytes([10, 9, 9, 8])), attr(7, bytes([10, 9, 9, 9])))

    def enslave(self, name, master):
        """`master`: an ifindex, 0 for none."""
        return self.request(RTM_NEWLINK, 0, self.link() + attr(IFLA_IFNAME, name.encode() + b"\0") + attr(IFLA_MASTER, u32(master)))

    def delete(self, name):
        return self.request(RTM_DELLINK, 0, self.link() + attr(IFLA_IFNAME, name.encode() + b"\0"))

    def up(self, name, up=True):
        return self.request(RTM_NEWLINK, 0, self.link(IFF_UP if up else 0, IFF_UP) + attr(IFLA_IFNAME, name.encode() + b"\0"))

    def move(self, name, ns):
        return self.request(RTM_NEWLINK, 0, self.link() + attr(IFLA_IFNAME, name.encode() + b"\0") + attr(IFLA_NET_NS_FD, u32(ns)))


class Namespace:
    """A network namespace that lives until `close`; use `inside()` as a context."""

    def __init__(self):
        self.home = os.open("/proc/self/ns/net", os.O_RDONLY)
        if libc.unshare(CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "unshare")
        self.fd = os.open("/proc/self/ns/net", os.O_RDONLY)
        libc.setns(self.home, CLONE_NEWNET)

    def __enter__(self):
        libc.setns(self.fd, CLONE_NEWNET)

    def __exit__(self, *_):
        libc.setns(self.home, CLONE_NEWNET)

    def close(self):
        os.close(self.fd)
        os.close(self.home)
