# SPDX-License-Identifier: GPL-2.0
"""Put frames on a device and take them off, with offload state: AF_PACKET with a virtio-net header."""

import errno
import socket
import struct
import subprocess

SOL_PACKET, PACKET_AUXDATA, PACKET_VNET_HDR = 263, 8, 15
NEEDS_CSUM, GSO_TCPV4, GSO_TCPV6, GSO_UDP = 1, 1, 4, 3


def veth(name, peer, mtu=1500):
    """A veth pair that says nothing by itself: no IPv6, so no neighbour discovery."""
    subprocess.run(["ip", "link", "add", name, "mtu", str(mtu), "type", "veth", "peer", "name", peer, "mtu", str(mtu)], check=True)
    for d in (name, peer):
        with open("/proc/sys/net/ipv6/conf/%s/disable_ipv6" % d, "w") as f:
            f.write("1")
        subprocess.run(["ip", "link", "set", d, "up"], check=True)


class Wire:
    def __init__(self, device, timeout=0.5):
        self.s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.s.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
        self.s.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        self.s.bind((device, 3))
        self.s.settimeout(timeout)

    def send(self, frame, flags=0, gso=0, header=0, size=0, start=0, offset=0):
        self.s.send(struct.pack("=BBHHHH", flags, gso, header, size, start, offset) + frame)

    def recv(self, timeout=None):
        """(frame with its VLAN tag in place, offload as text), or None."""
        if timeout is not None:
            self.s.settimeout(timeout)
        while True:
            try:
                data, control, _, address = self.s.recvmsg(1 << 17, 256)
            except (socket.timeout, BlockingIOError):
                return None
            except OSError as e:
                if e.errno != errno.ENETDOWN:  # said once when the device goes down
                    raise
                continue
            if address[2] == 4:  # our own transmission, seen by the tap
                continue
            break
        flags, gso, header, size, start, offset = struct.unpack_from("=BBHHHH", data)
        frame = data[10:]
        for level, kind, value in control:
            if level == SOL_PACKET and kind == PACKET_AUXDATA:
                status, _, _, _, _, tci, tpid = struct.unpack_from("=IIIHHHH", value)
                if status & 0x10:
                    frame = frame[:12] + struct.pack(">HH", tpid if status & 0x40 else 0x8100, tci) + frame[12:]
        what = []
        if flags & NEEDS_CSUM:
            what.append("csum(%d,%d)" % (start, offset))
        if gso:
            what.append("gso(%d,%d,%d)" % (gso, size, header))
        return frame, " ".join(what)

    def drain(self, timeout=0.15):
        out = []
        while True:
            got = self.recv(timeout)
            if got is None:
                return out
            out.append(got)
