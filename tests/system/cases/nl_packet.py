# SPDX-License-Identifier: GPL-2.0
# title: ovs_packet EXECUTE: required attributes, errors before the datapath, probes, key from packet (P1-P7)
from golden import Golden
from ovsnl import *

g, s = Golden(), Sock(pid=4242)
DP0 = s.new_dp("dp0", 1000)
listen = Sock(pid=5555)
listen.family("ovs_packet")
s.new_port(DP0, "in1", 1, INTERNAL, 0, attr(VPORT.IFINDEX, u32(1001)))

ETH = MAC2 + MAC1
UDP = ETH + bytes.fromhex("0800 4500001c000000004011d3ce 7f000001 7fffffff 03e807d0 00080000".replace(" ", ""))
PROBE = ETH[:12] + b"\x12\x34" + b"\0" * 46


def execute(label, packet=UDP, key=(), actions=(), more=(), dp=DP0, later=False):
    r = g.reply(label, "ovs_packet", s.execute(dp, packet, list(key), list(actions), *more), later=later)
    heard = listen.notifications("ovs_packet", 0.02)
    if heard and not later:
        g.say(label + ": upcall", " ; ".join(text("ovs_packet", m, star=("HASH",)) for m in heard))
    return r


def raw(label, *attrs, dp=DP0):
    g.reply(label, "ovs_packet", s.request("ovs_packet", EXECUTE, dp, *attrs))


P, K, A = attr(PACKET.PACKET, UDP), nest(PACKET.KEY), nest(PACKET.ACTIONS)
raw("P1 nothing")
raw("P1 no packet", K, A)
raw("P1 no key", P, A)
raw("P1 no actions", P, K)
raw("P1 all", P, K, A)
raw("P1 unknown dp", P, K, A, dp=4711)
raw("P1 bad key, unknown dp", P, nest(PACKET.KEY, attr(99)), A, dp=4711)
raw("P1 bad actions, unknown dp", P, K, nest(PACKET.ACTIONS, attr(99)), dp=4711)
for n in (0, 1, 13, 14, 15, 20):
    raw("P1 packet of %d bytes" % n, attr(PACKET.PACKET, UDP[:n]), K, A)
raw("HASH of 4", P, K, A, attr(PACKET.HASH, u32(0)))
raw("HASH of 8", P, K, A, attr(PACKET.HASH, u64(0x300001234)))
raw("MRU of 1", P, K, A, attr(PACKET.MRU, b"\1"))
raw("MRU 1500", P, K, A, attr(PACKET.MRU, u16(1500)))
raw("PROBE with payload", P, K, A, attr(PACKET.PROBE, b"abcd"))
raw("PROBE", P, K, A, attr(PACKET.PROBE))
raw("unknown attribute", P, K, A, attr(99, b"abc"))
raw("attribute 6", P, K, A, attr(6, b"abc"))
g.reply("N6 GET", "ovs_packet", s.request("ovs_packet", GET, DP0))
g.reply("N6 MISS", "ovs_packet", s.request("ovs_packet", MISS, DP0, P, K, A))
g.reply("N6 command 4", "ovs_packet", s.request("ovs_packet", 4, DP0, P, K, A))
g.reply("N6 dump", "ovs_packet", s.dump("ovs_packet", DP0, cmd=EXECUTE))

execute("P7 probe: 14 bytes of type 0x1234", PROBE, [k_eth()], [a_output(1)])
execute("P7 probe: masked set", UDP, [], [a_set_masked(KEY.ETHERNET, MAC1 + MAC2, b"\xff" * 12)])
execute("P7 probe: trunc", UDP, [], [a_trunc(14)])
execute("P7 probe: clone empty", UDP, [], [a_clone()])
execute("P7 probe: set nd extensions", UDP, [], [a_set(attr(KEY.ND_EXTENSIONS, b"\0" * 8))])
execute("P7 probe: set on another protocol", PROBE, [], [a_set(k_ipv4())])
execute("P7 probe: ct eventmask", UDP, [], [nest(ACTION.CT, attr(1), attr(8, u32(1)))])
execute("P5 output to no port", UDP, [], [a_output(77)])
execute("P5 output then error: recirc with no flow", UDP, [], [a_recirc(9)])
execute("userspace", UDP, [], [a_user(5555)])
execute("userspace, no listener", UDP, [], [a_user(5556)])
execute("userspace with userdata", UDP, [], [a_user(5555, attr(USERSPACE.USERDATA, b"12345"))])
execute("userspace with actions", UDP, [], [a_output(9), a_user(5555, attr(USERSPACE.ACTIONS)), a_set(k_prio(3))])
execute("P3 metadata", UDP, [k_prio(3), k_port(1), k_mark(4), k_recirc(5), k_hash(6)], [a_user(5555)])
execute("P3 the packet beats the key", UDP, [k_eth(b"\1" * 6, b"\2" * 6), k_type(0x806), k_arp()], [a_user(5555)])
execute("P3 in_port 65535", UDP, [k_port(65535)], [a_user(5555)])
execute("P3 in_port that is not", UDP, [k_port(9)], [a_user(5555)])
execute("P3 duplicate key attribute", UDP, [k_prio(3), k_prio(3)], [a_user(5555)])
execute("P3 incomplete key is fine", UDP, [k_type(0x800)], [a_user(5555)])
execute("P3 EtherType without Ethernet: L3", UDP[14:], [k_type(0x800)], [a_user(5555)])
execute("P3 L3 with a VLAN type", UDP[14:], [k_type(0x8100)], [a_user(5555)])
execute("P3 L3, actions for L2", UDP[14:], [k_type(0x800)], [a_push_vlan(0x1001)])
execute("P3 L2, type 802.2", ETH + b"\0\x20" + b"\x42\x42\x03" + b"\0" * 40, [], [a_user(5555)])
execute("P3 SNAP", ETH + b"\0\x20" + b"\xaa\xaa\x03\0\0\0\x08\0" + UDP[14:] + b"\0" * 8, [], [a_user(5555)])
execute("P3 hash", UDP, [], [a_hash(0, 1), a_user(5555)], [attr(PACKET.HASH, u64(0x300001234))])
execute("P3 hash given, upcall", UDP, [], [a_user(5555)], [attr(PACKET.HASH, u64(0x300001234))])
execute("P2 mru in the upcall", UDP, [], [a_user(5555)], [attr(PACKET.MRU, u16(1400))])
execute("U4 truncated", UDP, [], [a_trunc(20), a_user(5555)])
execute("U4 truncated to more than there is", UDP, [], [a_trunc(2000), a_user(5555)])
execute("trunc applies once", UDP, [], [a_trunc(20), a_user(5555), a_user(5555)])
execute("U8 key after set", UDP, [], [a_set(k_eth(b"\x0a" * 6, b"\x0b" * 6)), a_set(k_ipv4("9.9.9.9", "8.8.8.8", 17, 4, 3)), a_set(k_udp(5, 6)), a_user(5555)])
execute("U8 key after push_vlan", UDP, [], [a_push_vlan(0x2005), a_user(5555)])
execute("U8 key after two push_vlan", UDP, [], [a_push_vlan(0x2005), a_push_vlan(0x3006, 0x88a8), a_user(5555)])
execute("U8 key after push and pop", UDP, [], [a_push_vlan(0x2005), a_pop_vlan(), a_user(5555)])
execute("U5 vlan in the packet", ETH + b"\x81\x00\x20\x05" + UDP[12:], [], [a_user(5555)])
execute("pop_vlan of it", ETH + b"\x81\x00\x20\x05" + UDP[12:], [], [a_pop_vlan(), a_user(5555)])
execute("clone restores", UDP, [], [a_clone(a_set(k_eth(b"\x0a" * 6, b"\x0b" * 6)), a_user(5555)), a_user(5555)])
execute("sample all", UDP, [], [a_sample(0xffffffff, a_set(k_prio(7)), a_user(5555)), a_user(5555)])
execute("sample none", UDP, [], [a_sample(0, a_user(5555)), a_user(5555)])
execute("U4 HASH always there", PROBE, [], [a_user(5555)])
s.new_flow(DP0, [k_recirc(9), k_port(1), k_eth(), k_type(0x800), k_ipv4(), k_udp()], [a_user(5555)],
           [k_recirc(0xffffffff)])
execute("recirc to a flow", UDP, [k_port(1)], [a_set(k_prio(5)), a_recirc(9)])
execute("recirc in the middle", UDP, [k_port(1)], [a_recirc(9), a_set(k_prio(6)), a_user(5555)])
m = s.flow(GET, DP0, nest(FLOW.KEY, k_recirc(9), k_port(1), k_eth(), k_type(0x800), k_ipv4(), k_udp()))
g.reply("statistics of that flow", "ovs_flow", m)
g.finish()
