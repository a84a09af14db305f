# SPDX-License-Identifier: GPL-2.0
"""What `make bench` measures of packets, beside the plain forwarding of guest.py: one `Row` each, in the order of the table.

A row is a frame that is written to the tap device of its port, the flows that it meets in turn, and how many frames come out
for each that goes in. The guest (guest.py) has made the ports:

    2   a dummy, takes what comes out          11  vxlan, external, 4789
    3   a tap, where frames come in            12  geneve, external
        outside of the switch: the dummy `u0`, 172.31.0.1/24, to 172.31.0.2, and the tap `w0`, 172.32.0.1, from 172.32.0.2

and a netlink socket with the port id READER, which takes each upcall before the next frame is written.
"""

from frames import eth, ipv4, udp, vlan
from ovsnl import *

T = TUNNEL
OUT, IN, VXLAN, GENEVE = 2, 3, 11, 12
UDP = udp(b"\0" * 18)  # 60 bytes with all headers
PLAIN = eth(0x800, ipv4(17, UDP))
REPLY = eth(0x800, ipv4(17, udp(b"\0" * 18, 2000, 1000, "10.0.0.2", "10.0.0.1"), "10.0.0.2", "10.0.0.1"))
NAT_REPLY = eth(0x800, ipv4(17, udp(b"\0" * 18, 2000, 1000, "10.0.0.2", "10.9.0.1"), "10.0.0.2", "10.9.0.1"))
METER_ID, ZONE, NAT_ZONE = 1, 5, 6
READER = 4000
OPTIONS = bytes.fromhex("0102800201020304deadbeef")  # class 0x102, type 0x80, 8 bytes


class Flow:
    """What a packet from port `port` meets: exact in the port, the recirculation id, the type and the fragment bits, and in `match`."""

    def __init__(self, *actions, port=IN, recirc=0, match=(), mask=(), inner=None, inner_mask=None):
        ip = [k_type(0x800), k_ipv4(), k_udp()]
        self.key = [k_port(port), k_recirc(recirc), *match, k_eth(), *(ip if inner is None else inner)]
        ip = [k_type(0xffff), attr(KEY.IPV4, b"\0" * 11 + b"\xff")]
        self.mask = [k_port(0xffffffff), k_recirc(0xffffffff), *mask, *(ip if inner_mask is None else inner_mask)]
        self.actions = list(actions)


class Row:
    def __init__(self, name, title, *flows, frame=PLAIN, tap="t1", out=("p2", 1), upcalls=0):
        self.name, self.title, self.flows, self.frame, self.tap, self.out, self.upcalls = name, title, flows, frame, tap, out, upcalls


def tunnel(*more, dst="172.31.0.2"):
    return attr(T.ID, b"\0" * 7 + b"\7") + attr(T.IPV4_DST, ip4(dst)) + attr(T.TTL, b"\x40") + b"".join(more)


def received(*options, mask=()):
    """Key and mask of a tunnel that packets came through."""
    key = nest(KEY.TUNNEL, tunnel(attr(T.IPV4_SRC, ip4("172.32.0.2")), *options, dst="172.32.0.1"))
    return {"match": [key], "mask": [nest(KEY.TUNNEL, attr(T.ID, b"\xff" * 8), attr(T.IPV4_SRC, b"\xff" * 4), attr(T.IPV4_DST, b"\xff" * 4), *mask)]}


def outer(port, header):
    """A frame from 172.32.0.2 with the plain one in it; no UDP checksum, as tunnels send by default."""
    a, b = "172.32.0.2", "172.32.0.1"
    return eth(0x800, ipv4(17, udp(header + PLAIN, 50000, port, a, b, check=False), a, b), dst=b"\2\0\0\0\x32\1")


def a_tunnel(*options):
    return a_set(nest(KEY.TUNNEL, tunnel(*options)))


CT_STATE = [attr(KEY.CT_STATE, u32(0x22))]  # tracked, established
TAGGED = [k_type(0x8100), k_vlan(0x1005), k_encap(k_type(0x800), k_ipv4(), k_udp())]
LABELLED = [k_type(0x8847), k_mpls(lse(5))]
OUTPUT = a_output(OUT)

ROWS = [
    Row("out1", "one output, as the rows below begin", Flow(OUTPUT)),
    Row("out3", "three outputs", Flow(OUTPUT, OUTPUT, OUTPUT), out=("p2", 3)),
    Row("set_eth_ttl", "SET of both Ethernet addresses and the TTL",
        Flow(a_set_masked(KEY.ETHERNET, MAC2 + MAC1, b"\xff" * 12), a_set_masked(KEY.IPV4, b"\0" * 10 + b"\x3f\0", b"\0" * 10 + b"\xff\0"), OUTPUT)),
    Row("set_ipv4", "SET of an IPv4 address", Flow(a_set_masked(KEY.IPV4, ip4("10.7.7.7") + b"\0" * 8, b"\xff" * 4 + b"\0" * 8), OUTPUT)),
    Row("push_vlan", "PUSH_VLAN", Flow(a_push_vlan(0x1005), OUTPUT)),
    Row("pop_vlan", "POP_VLAN", Flow(a_pop_vlan(), OUTPUT, inner=TAGGED, inner_mask=[k_type(0xffff), k_vlan(0xffff), k_encap(k_type(0xffff))]),
        frame=eth(0x8100, vlan(5, 0x800, ipv4(17, UDP)))),
    Row("push_mpls", "PUSH_MPLS", Flow(a_push_mpls(lse(5)), OUTPUT)),
    Row("pop_mpls", "POP_MPLS", Flow(a_pop_mpls(0x800), OUTPUT, inner=LABELLED, inner_mask=[k_type(0xffff), k_mpls(b"\xff" * 4)]),
        frame=eth(0x8847, lse(5) + ipv4(17, UDP))),
    Row("recirc", "two recirculations", Flow(a_recirc(1)), Flow(a_recirc(2), recirc=1), Flow(OUTPUT, recirc=2)),
    Row("meter", "METER", Flow(attr(ACTION.METER, u32(METER_ID)), OUTPUT)),
    Row("userspace", "USERSPACE, read by a socket, and output", Flow(a_user(READER), OUTPUT), upcalls=1),
    Row("ct", "CT of an established connection", Flow(a_ct(zone=ZONE), a_recirc(3)), Flow(OUTPUT, recirc=3, match=CT_STATE, mask=CT_STATE)),
    Row("ct_nat", "CT of an established connection, NAT", Flow(a_ct(c_nat(), zone=NAT_ZONE), a_recirc(4)), Flow(OUTPUT, recirc=4, match=CT_STATE, mask=CT_STATE)),
    Row("vxlan_out", "into VXLAN", Flow(a_tunnel(), a_output(VXLAN)), out=("u0", 1)),
    Row("vxlan_in", "out of VXLAN", Flow(OUTPUT, port=VXLAN, **received()), frame=outer(4789, b"\x08\0\0\0\0\0\7\0"), tap="w0"),
    Row("geneve_out", "into Geneve, with an option", Flow(a_tunnel(attr(T.GENEVE_OPTS, OPTIONS)), a_output(GENEVE)), out=("u0", 1)),
    Row("geneve_in", "out of Geneve, with an option",
        Flow(OUTPUT, port=GENEVE, **received(attr(T.GENEVE_OPTS, OPTIONS), mask=[attr(T.GENEVE_OPTS, OPTIONS[:4] + b"\xff" * 8)])),
        frame=outer(6081, b"\3\x40\x65\x58\0\0\7\0" + OPTIONS), tap="w0"),
]

# What connections the rows of CT need: packets with their actions, both directions.
CONNECTIONS = [
    (PLAIN, a_ct(commit=True, zone=ZONE)), (REPLY, a_ct(zone=ZONE)),
    (PLAIN, a_ct(c_nat(attr(NAT.SRC), attr(NAT.IP_MIN, ip4("10.9.0.1"))), commit=True, zone=NAT_ZONE)), (NAT_REPLY, a_ct(c_nat(), zone=NAT_ZONE)),
]
