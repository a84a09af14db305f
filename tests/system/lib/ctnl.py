# SPDX-License-Identifier: GPL-2.0
"""nfnetlink, as far as cases about connection tracking need it: the table, and timeout policies."""

import os
import socket
import struct

from ovsnl import NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_REQUEST, attr, be16, be32, nest, parse

NETLINK_NETFILTER, CTNETLINK, CTTIMEOUT = 12, 1, 8
CT_NEW, CT_GET, CT_DELETE = 0, 1, 2
NESTED = 0x8000
CTA = {1: "orig", 2: "reply", 3: "status", 5: "help", 7: "timeout", 8: "mark", 14: "master", 18: "zone", 22: "labels"}


class Table:
    """The connections of this thread's namespace."""

    def __init__(self):
        self.s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
        self.s.bind((0, 0))
        self.s.settimeout(10)
        self.seq = 0

    def request(self, subsystem, kind, flags, body=b"", family=0):
        """(errno, [attribute bytes])."""
        self.seq += 1
        head = struct.pack("=BBH", family, 0, 0)
        self.s.send(struct.pack("=IHHII", 20 + len(body), subsystem << 8 | kind, NLM_F_REQUEST | flags, self.seq, 0) + head + body)
        out = []
        while True:
            buf, at = self.s.recv(1 << 20), 0
            while at + 16 <= len(buf):
                n, mtype, _, seq, _ = struct.unpack_from("=IHHII", buf, at)
                data = buf[at + 16:at + n]
                at += (n + 3) & ~3
                if seq != self.seq:
                    continue
                if mtype == 3:
                    return 0, out
                if mtype == 2:
                    return -struct.unpack_from("=i", data)[0], out
                out.append(data[4:])

    def dump(self):
        """Every connection as {name: bytes}, nested attributes parsed."""
        def tree(data, depth):
            return [(k & 0x3fff, tree(v, depth - 1) if depth and k & NESTED else v) for k, v in parse(data)]
        err, found = self.request(CTNETLINK, CT_GET, NLM_F_DUMP)
        if err:
            raise OSError(err, os.strerror(err))
        return [{CTA[k & 0x3fff]: v for k, v in tree(d, 4) if k & 0x3fff in CTA} for d in found]

    def flush(self):
        return self.request(CTNETLINK, CT_DELETE, NLM_F_ACK)[0]

    def timeout_policy(self, name, l4proto, seconds):
        """A policy in which an IPv4 connection of this protocol lasts so long in its first two states. The errno."""
        data = nest(4 | NESTED, attr(1, be32(seconds)), attr(2, be32(seconds)))
        body = attr(1, name.encode() + b"\0") + attr(2, be16(2)) + attr(3, bytes([l4proto])) + data
        return self.request(CTTIMEOUT, 0, NLM_F_ACK | NLM_F_CREATE, body)[0]

    def delete_policy(self, name):
        return self.request(CTTIMEOUT, 2, NLM_F_ACK, attr(1, name.encode() + b"\0"))[0]


def count():
    with open("/proc/sys/net/netfilter/nf_conntrack_count") as f:
        return int(f.read())


def word(v):
    return struct.unpack(">I", v)[0] if v else 0
