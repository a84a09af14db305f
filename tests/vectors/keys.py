#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Makes keys.txt: frames, and the flow key that each must give. Run it after a change: ./keys.py > keys.txt

Every vector is a paragraph: its name, the frame, how it arrives if not as an Ethernet frame without a tag beside it,
and the fields of the key that are not zero, named as in datapath/flow/key.rs. Numbers are hexadecimal in host order,
addresses are bytes. Expectations are stated by hand here, next to the frame that they belong to.
"""
import struct

SRC, DST = '020000000001', '020000000002'
OUT = []


def h(fmt, *v):
    return struct.pack('>' + fmt, *v).hex()


def case(name, frame, _l3=None, _tag=None, **key):
    lines = [f'name {name}', f'frame {frame}']
    if _l3 is not None:
        lines.append(f'l3 {_l3:x}')
    else:
        key = dict(mac_proto=1, eth_src=SRC, eth_dst=DST, **key)
    if _tag:
        lines.append('tag %x %x' % _tag)
    fields = ' '.join(f'{k}={v if isinstance(v, str) else format(v, "x")}' for k, v in key.items() if v)
    OUT.append('\n'.join(lines + [f'key {fields}']))


def eth(ty, payload, tags=()):
    return DST + SRC + ''.join(h('HH', *t) for t in tags) + h('H', ty) + payload


A4, B4 = '0a000001', '0a000002'
A6, B6 = 'fd00' + '00' * 13 + '01', 'fd00' + '00' * 13 + '02'


def ip4(proto, payload, tos=0, ttl=64, frag=0, options='', ihl=None, version=4):
    words = 5 + len(options) // 8 if ihl is None else ihl
    return h('BBHHHBBH', version << 4 | words, tos, 20 + len(options + payload) // 2, 7, frag, ttl, proto, 0) + \
        A4 + B4 + options + payload


def k4(proto, **more):
    return dict(dict(eth_type=0x800, ip_proto=proto, ip_ttl=64, ipv4_src=A4, ipv4_dst=B4), **more)


def ip6(nxt, payload, tc=0, label=0, hops=64):
    return h('IHBB', 6 << 28 | tc << 20 | label, len(payload) // 2, nxt, hops) + A6 + B6 + payload


def k6(proto, **more):
    return dict(dict(eth_type=0x86dd, ip_proto=proto, ip_ttl=64, ipv6_src=A6, ipv6_dst=B6), **more)


def tcp(flags=0x02, doff=5, src=1000, dst=80):
    return h('HHIIHHHH', src, dst, 1, 2, doff << 12 | flags, 8192, 0, 0)


def udp(src=1000, dst=53):
    return h('HHHH', src, dst, 8, 0)


TCP = dict(tp_src=1000, tp_dst=80)
UDP = dict(tp_src=1000, tp_dst=53)

# Ethernet, L3
case('unknown type', eth(0x1234, '00' * 46), eth_type=0x1234)
case('exactly an Ethernet header', eth(0x1234, ''), eth_type=0x1234)
case('length 802.3 LLC', eth(0x0026, '4242' + '03' + '00' * 40), eth_type=4)
case('SNAP with OUI 0', eth(0x0040, 'aaaa03000000' + '0800' + ip4(17, udp())), **k4(17, **UDP))
case('SNAP with another OUI', eth(0x0040, 'aaaa0300000c' + '0800' + ip4(17, udp())), eth_type=4)
case('SNAP with a length inside', eth(0x0040, 'aaaa03000000' + '0040' + ip4(17, udp())), eth_type=4)
case('SNAP cut short', eth(0x0007, 'aaaa0300000008'), eth_type=4)
case('type 0x5ff is a length', eth(0x05ff, 'ff' * 46), eth_type=4)
case('type 0x600 is a type', eth(0x0600, 'ff' * 46), eth_type=0x600)
case('L3 IPv4', ip4(17, udp()), _l3=0x800, **k4(17, **UDP))
case('L3 IPv6', ip6(17, udp()), _l3=0x86dd, **k6(17, **UDP))
case('L3 of another protocol', '00' * 20, _l3=0x1234, eth_type=0x1234)

# IPv4
case('tcp4 syn', eth(0x800, ip4(6, tcp())), **k4(6, tcp_flags=2, **TCP))
case('tcp4 all flag bits', eth(0x800, ip4(6, tcp(0xfff))), **k4(6, tcp_flags=0xfff, **TCP))
case('tcp4 short data offset', eth(0x800, ip4(6, tcp(doff=4))), **k4(6))
case('tcp4 options missing', eth(0x800, ip4(6, tcp(doff=6))), **k4(6))
case('udp4 tos', eth(0x800, ip4(17, udp(), tos=0xb9, ttl=1)), **k4(17, ip_tos=0xb9, **dict(UDP, ip_ttl=1)))
case('udp4 header cut short', eth(0x800, ip4(17, '03e8003500')), **k4(17))
case('udp4 with options', eth(0x800, ip4(17, udp(), options='01010101')), **k4(17, **UDP))
case('sctp4', eth(0x800, ip4(132, h('HHII', 5000, 6000, 1, 2))), **k4(132, tp_src=5000, tp_dst=6000))
case('sctp4 cut short', eth(0x800, ip4(132, h('HHI', 5000, 6000, 1))), **k4(132))
case('icmp4 echo', eth(0x800, ip4(1, h('BBHI', 8, 0, 0, 1))), **k4(1, tp_src=8))
case('icmp4 unreachable', eth(0x800, ip4(1, h('BBHI', 3, 13, 0, 0))), **k4(1, tp_src=3, tp_dst=13))
case('icmp4 cut short', eth(0x800, ip4(1, h('BBH', 3, 13, 0))), **k4(1))
case('icmp6 number over IPv4', eth(0x800, ip4(58, h('BBHI', 135, 0, 0, 1))), **k4(58))
case('gre4', eth(0x800, ip4(47, '00' * 8)), **k4(47))
case('ip4 first fragment', eth(0x800, ip4(17, udp(), frag=0x2000)), **k4(17, ip_frag=1, **UDP))
case('ip4 later fragment', eth(0x800, ip4(17, udp(), frag=0x2001)), **k4(17, ip_frag=2))
case('ip4 last fragment', eth(0x800, ip4(17, udp(), frag=0x1fff)), **k4(17, ip_frag=2))
case('ip4 do not fragment', eth(0x800, ip4(17, udp(), frag=0x4000)), **k4(17, **UDP))
case('ip4 header length 4', eth(0x800, ip4(17, udp(), ihl=4)), eth_type=0x800)
case('ip4 header longer than packet', eth(0x800, ip4(17, udp(), ihl=15)), eth_type=0x800)
case('ip4 cut short', eth(0x800, ip4(17, '')[:38]), eth_type=0x800)
case('ip4 version is not looked at', eth(0x800, ip4(17, udp(), version=5)), **k4(17, **UDP))

# ARP
ARP = dict(eth_type=0x806, ipv4_src=A4, ipv4_dst=B4, hw_src=SRC, hw_dst='0' * 11 + '9')


def arp(op=1, head='0001080006' + '04'):
    return head + h('H', op) + SRC + A4 + '0' * 11 + '9' + B4


case('arp request', eth(0x806, arp()), ip_proto=1, **ARP)
case('arp padded', eth(0x806, arp(2) + '00' * 18), ip_proto=2, **ARP)
case('rarp', eth(0x8035, arp(3)), ip_proto=3, **dict(ARP, eth_type=0x8035))
case('arp opcode 255', eth(0x806, arp(255)), ip_proto=255, **ARP)
case('arp opcode 256', eth(0x806, arp(256)), **ARP)
for i in range(6):
    b = bytearray.fromhex('000108000604')
    b[i] ^= 0x10
    case(f'arp not Ethernet and IPv4, byte {i}', eth(0x806, arp(head=b.hex())), eth_type=0x806)
case('arp cut short', eth(0x806, arp()[:-2]), eth_type=0x806)

# IPv6
case('tcp6', eth(0x86dd, ip6(6, tcp(0x12))), **k6(6, tcp_flags=0x12, **TCP))
case('udp6 class and label', eth(0x86dd, ip6(17, udp(), tc=0xb9, label=0xabcde, hops=255)),
     **dict(k6(17, ip_tos=0xb9, ipv6_label=0xabcde, **UDP), ip_ttl=255))
case('sctp6', eth(0x86dd, ip6(132, h('HHII', 5000, 6000, 1, 2))), **k6(132, tp_src=5000, tp_dst=6000))
case('icmp6 echo', eth(0x86dd, ip6(58, h('BBHI', 128, 0, 0, 1))), **k6(58, tp_src=128))
case('icmp4 number over IPv6', eth(0x86dd, ip6(1, h('BBHI', 8, 0, 0, 1))), **k6(1))
case('ip6 cut short', eth(0x86dd, ip6(17, '')[:78]), eth_type=0x86dd)
case('ip6 nothing after the header', eth(0x86dd, ip6(17, '')), **k6(17))
case('ip6 no next header', eth(0x86dd, ip6(59, '')), **k6(59, ipv6_exthdrs=1))
case('esp6 is no extension header', eth(0x86dd, ip6(50, '00' * 16)), **k6(50))

# IPv6 extension headers. Bits: none 1, auth 4, dest 8, frag 10, router 20, hop 40, repeated 80, out of order 100.
HOP, RT, FR, AH, NO, DO = 0, 43, 44, 51, 59, 60


def chain(types, last=17, payload=None, frag=0):
    out, nxt = '', list(types[1:]) + [last]
    for t, n in zip(types, nxt):
        # AUTH of 8 bytes, which is 8 in its own units of 4 and in the others' units of 8.
        out += h('BBHI', n, 0, frag if t == FR else 0, 0) if t in (FR, AH) else h('BBHIII', n, 1, 0, 0, 0, 0)
    return eth(0x86dd, ip6(types[0], out + (udp() if payload is None else payload)))


for types, bits in [
        ([HOP], 0x40), ([DO], 8), ([RT], 0x20), ([FR], 0x10), ([AH], 4),
        ([HOP, DO, RT, FR, AH, DO], 0x7c), ([HOP, RT, FR], 0x70), ([DO, DO], 8), ([DO, RT, DO], 0x28),
        ([DO, HOP], 0x108), ([HOP, HOP], 0x1c0), ([RT, DO], 0x128), ([FR, RT], 0x130), ([FR, DO, RT], 0x138),
        ([DO, DO, DO], 0x88), ([DO, DO, RT], 0x128), ([RT, RT], 0x1a0), ([FR, FR], 0x190), ([FR, HOP], 0x110),
        ([DO, RT, FR], 0x38), ([RT, HOP], 0x120)]:
    first = dict(ip_frag=1) if FR in types else {}
    case('ip6 extensions ' + ' '.join(map(str, types)), chain(types), **k6(17, ipv6_exthdrs=bits, **first, **UDP))
# This walk takes AUTH's length in units of 8, so it reads on 8 bytes further than the real header ends.
case('ip6 auth of 16 bytes then dest', eth(0x86dd, ip6(AH, h('BBHIII', DO, 2, 0, 0, 0, 0) +
     h('BBHIII', 17, 1, 0, 0, 0, 0) + udp())), **k6(17, ipv6_exthdrs=0x10c, **UDP))
case('ip6 none after dest', chain([DO], last=NO, payload=''), **k6(59, ipv6_exthdrs=9))
case('ip6 later fragment', chain([FR], frag=8), **k6(44, ipv6_exthdrs=0x10, ip_frag=2))
case('ip6 more fragments', chain([FR], frag=1), **k6(17, ipv6_exthdrs=0x10, ip_frag=1, **UDP))
case('ip6 later fragment after hop', chain([HOP, FR], frag=0x100), **k6(44, ipv6_exthdrs=0x50, ip_frag=2))
case('ip6 later fragment before an extension', chain([FR, RT], frag=8),
     **k6(59, ipv6_exthdrs=0x130, ip_frag=1))
case('ip6 later fragment before none', chain([FR], last=NO, frag=8, payload=''),
     **k6(44, ipv6_exthdrs=0x11, ip_frag=2))
case('ip6 extension missing', eth(0x86dd, ip6(DO, '')), **k6(59, ipv6_exthdrs=8))
case('ip6 extension cut short', eth(0x86dd, ip6(DO, '1100')), **k6(59, ipv6_exthdrs=8))
case('ip6 extension longer than packet', eth(0x86dd, ip6(HOP, '11ff' + '00' * 14)), **k6(59, ipv6_exthdrs=0x40))
case('ip6 routing header of 3 bytes', eth(0x86dd, ip6(RT, '110000')), **k6(59, ipv6_exthdrs=0x20))
case('ip6 fragment header of 3 bytes', eth(0x86dd, ip6(FR, '110000')), **k6(59, ipv6_exthdrs=0x10, ip_frag=1))
case('ip6 fragment header of 4 bytes', eth(0x86dd, ip6(FR, '11000000')), **k6(59, ipv6_exthdrs=0x10, ip_frag=1))

# Neighbour discovery
T6, LL1, LL2 = 'fe80' + '00' * 13 + '77', '02aaaaaaaaaa', '02bbbbbbbbbb'


def nd(options='', ty=135, code=0):
    return eth(0x86dd, ip6(58, h('BBHI', ty, code, 0, 0) + T6 + options))


def knd(ty=135, **more):
    return k6(58, tp_src=ty, **more)


SLL, TLL = '0101' + LL1, '0201' + LL2
case('nd solicitation', nd(SLL), **knd(nd_target=T6, hw_src=LL1))
case('nd advertisement', nd(TLL, 136), **knd(136, nd_target=T6, hw_dst=LL2))
case('nd no option', nd(), **knd(nd_target=T6))
case('nd both options', nd(SLL + TLL), **knd(nd_target=T6, hw_src=LL1, hw_dst=LL2))
case('nd code 1', nd(SLL, code=1), **knd(tp_dst=1))
case('nd other type', nd(SLL, ty=137), **knd(137))
case('nd option twice', nd(SLL + SLL), **knd())
case('nd option twice after the other', nd(SLL + TLL + TLL), **knd())
case('nd unknown option before', nd('0e01' + '00' * 6 + SLL), **knd(nd_target=T6, hw_src=LL1))
case('nd long link layer address is skipped', nd('0102' + 'ff' * 14 + TLL), **knd(nd_target=T6, hw_dst=LL2))
case('nd option of length 0 stops', nd(SLL + '0200' + LL2 + TLL), **knd(nd_target=T6, hw_src=LL1))
case('nd option past the end stops', nd(SLL + '02ff' + LL2), **knd(nd_target=T6, hw_src=LL1))
case('nd option of 7 bytes stops', nd(SLL + TLL[:14]), **knd(nd_target=T6, hw_src=LL1))
case('nd all-zero address twice is not noticed', nd('0101' + '00' * 6 + SLL), **knd(nd_target=T6, hw_src=LL1))
case('nd target cut short', nd()[:-2], **knd())

# Tags. The key has CFI set whatever the tag says.
case('one tag', eth(0x800, ip4(17, udp()), [(0x8100, 0x2005)]), vlan_tpid=0x8100, vlan_tci=0x3005, **k4(17, **UDP))
case('one provider tag', eth(0x800, ip4(17, udp()), [(0x88a8, 0xf005)]), vlan_tpid=0x88a8, vlan_tci=0xf005,
     **k4(17, **UDP))
case('two tags', eth(0x800, ip4(17, udp()), [(0x88a8, 5), (0x8100, 6)]), vlan_tpid=0x88a8, vlan_tci=0x1005,
     cvlan_tpid=0x8100, cvlan_tci=0x1006, **k4(17, **UDP))
case('three tags', eth(0x800, ip4(17, udp()), [(0x88a8, 5), (0x8100, 6), (0x8100, 7)]), vlan_tpid=0x88a8,
     vlan_tci=0x1005, cvlan_tpid=0x8100, cvlan_tci=0x1006, eth_type=0x8100)
case('tag beside the data', eth(0x800, ip4(17, udp())), _tag=(0x8100, 9), vlan_tpid=0x8100, vlan_tci=0x1009,
     **k4(17, **UDP))
case('tag beside the data and one inside', eth(0x800, ip4(17, udp()), [(0x8100, 6)]), _tag=(0x88a8, 9),
     vlan_tpid=0x88a8, vlan_tci=0x1009, cvlan_tpid=0x8100, cvlan_tci=0x1006, **k4(17, **UDP))
case('tag without a type after it', DST + SRC + '81000005', eth_type=0x8100)
case('tag with nothing but a type', eth(0x1234, '', [(0x8100, 5)]), vlan_tpid=0x8100, vlan_tci=0x1005,
     eth_type=0x1234)
case('inner tag without a type after it', DST + SRC + '88a80005' + '81000006', vlan_tpid=0x88a8, vlan_tci=0x1005,
     eth_type=0x8100)
case('tag then length', eth(0x0026, '4242' + '03' * 41, [(0x8100, 5)]), vlan_tpid=0x8100, vlan_tci=0x1005, eth_type=4)
case('two tags then SNAP', eth(0x0040, 'aaaa030000000806' + arp(), [(0x8100, 5), (0x8100, 6)]), vlan_tpid=0x8100,
     vlan_tci=0x1005, cvlan_tpid=0x8100, cvlan_tci=0x1006, ip_proto=1, **ARP)

print('# SPDX-License-Identifier: GPL-2.0')
print('# Made by keys.py, which also explains the format.\n')
# MPLS (K32): entries up to the bottom of the stack; the key keeps three. Bit 0 of the third byte marks the bottom.
def stack(*entries):
    return ''.join(entries)


LSE = ['00001040', '00002040', '00003040', '00004040']
BOS = ['00001140', '00002140', '00003140', '00004140']
for ty in (0x8847, 0x8848):
    case(f'mpls {ty:x} one label', eth(ty, stack(BOS[0]) + ip4(17, udp())), eth_type=ty, mpls=BOS[0])
case('mpls two labels', eth(0x8847, stack(LSE[0], BOS[1]) + ip4(17, udp())), eth_type=0x8847, mpls=LSE[0] + BOS[1])
case('mpls three labels', eth(0x8847, stack(LSE[0], LSE[1], BOS[2])), eth_type=0x8847, mpls=LSE[0] + LSE[1] + BOS[2])
case('mpls four labels', eth(0x8847, stack(LSE[0], LSE[1], LSE[2], BOS[3])), eth_type=0x8847, mpls=LSE[0] + LSE[1] + LSE[2])
case('mpls without bottom', eth(0x8847, stack(LSE[0], LSE[1])), eth_type=0x8847, mpls_cut=LSE[0] + LSE[1])
case('mpls cut short', eth(0x8847, stack(LSE[0])[:6]), eth_type=0x8847)
case('mpls in a tag', eth(0x8100, h('HH', 0x0005, 0x8847) + BOS[0]), eth_type=0x8847, vlan_tpid=0x8100, vlan_tci=0x1005, mpls=BOS[0])
case('L3 mpls', BOS[0], _l3=0x8847, eth_type=0x8847, mpls=BOS[0])


# NSH (K33): version, flags, TTL and length in 16 bits; then MD type, next protocol, path.
def nsh(md=1, words=6, ver=0, flags=2, ttl=33, np=3, context='01' * 16):
    return h('HBBI', ver << 14 | flags << 12 | ttl << 6 | words, md, np, 0x0000aaff) + context


BASE = '0221%02x030000aaff'
case('nsh type 1', eth(0x894f, nsh()), eth_type=0x894f, nsh=BASE % 1 + '01' * 16)
case('nsh type 1, a frame inside', eth(0x894f, nsh() + eth(0x1234, '')), eth_type=0x894f, nsh=BASE % 1 + '01' * 16)
case('nsh type 2', eth(0x894f, nsh(2)), eth_type=0x894f, nsh=BASE % 2 + '00' * 16)
case('nsh type 2, no context', eth(0x894f, nsh(2, 2, context='')), eth_type=0x894f, nsh=BASE % 2 + '00' * 16)
case('L3 nsh', nsh(), _l3=0x894f, eth_type=0x894f, nsh=BASE % 1 + '01' * 16)

print('\n\n'.join(OUT))
