#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""seeds.py DIR: first inputs for the fuzz targets, DIR/extract from tests/vectors/keys.txt, DIR/nl_flow, DIR/nl_actions, DIR/requests."""
import os
import struct
import sys

top = sys.argv[1]
for d in 'extract', 'nl_flow', 'nl_actions', 'requests':
    os.makedirs(f'{top}/{d}', exist_ok=True)


def write(target, n, data):
    with open(f'{top}/{target}/seed-{n}', 'wb') as f:
        f.write(data)


here = os.path.dirname(os.path.abspath(__file__))
for n, paragraph in enumerate(open(f'{here}/../../tests/vectors/keys.txt').read().split('\n\n')):
    v = dict(line.split(' ', 1) for line in paragraph.splitlines() if not line.startswith('#'))
    if 'frame' in v:
        flags = ('l3' in v) | ('tag' in v) << 1
        head = bytes([flags, 20]) + int(v.get('l3', '0'), 16).to_bytes(2, 'big')
        write('extract', n, head + bytes.fromhex(v['frame']))


def attr(ty, payload):
    return struct.pack('=HH', len(payload) + 4, ty) + payload + bytes(-len(payload) % 4)


def ones(b):
    return b'\xff' * len(b)


ETH = [(4, bytes(range(12)))]
META = [(20, b'\1\0\0\0'), (19, b'\2\0\0\0'), (2, b'\3\0\0\0'), (3, b'\4\0\0\0'), (15, b'\5\0\0\0')]


def ty(t):
    return (6, struct.pack('>H', t))


def ip4(proto, frag=0):
    return [ty(0x800), (7, bytes([10, 0, 0, 1, 10, 0, 0, 2, proto, 0, 64, frag]))]


def ip6(proto):
    return [ty(0x86dd), (8, b'\7' * 32 + bytes(4) + bytes([proto, 0, 64, 0])), (32, b'\1\0')]


PORTS = b'\3\xe8\0\x50'
UPPER = [
    [], [ty(0x1234)], ip4(47), ip4(17, 2), ip4(6) + [(9, PORTS), (18, b'\0\2')], ip4(17) + [(10, PORTS)],
    ip4(132) + [(17, PORTS)], ip4(1) + [(11, b'\x08\0')], ip6(6) + [(9, PORTS), (18, b'\0\2')],
    ip6(58) + [(12, b'\x80\0')], ip6(58) + [(12, b'\x87\0'), (14, b'\7' * 28)], [ty(0x806), (13, b'\1' * 9 + b'\1' + bytes(14))]]


def nest(attrs, tags, mask):
    out = b''
    for t, p in META + ETH:
        out += attr(t, ones(p) if mask else p)
    inner = b''.join(attr(t, filled(t, p) if mask else p) for t, p in attrs)
    for i in range(tags):
        tpid, tci = (b'\xff\xff', b'\xff\xff') if mask else (b'\x81\0', b'\x10\5')
        inner = attr(6, tpid) + attr(5, tci) + attr(1, inner)
    return out + inner


def tunnel(*attrs):
    return [(16, b''.join(attr(t, p) for t, p in attrs))]


T4 = [(0, bytes(7) + b'\5'), (1, b'\1' * 4), (2, b'\2' * 4), (3, b'\4'), (4, b'\x40'), (5, b''), (6, b''), (7, b''), (9, b'\0\1'), (10, b'\x12\xb5')]
T6 = [(12, b'\1' * 16), (13, b'\2' * 16), (4, b'\x40')]
UPPER += [tunnel(*T4) + ip4(47), tunnel(*T4, (8, b'\5' * 8)) + [ty(0x1234)], tunnel(*T4, (11, attr(1, b'\7' * 4))) + [ty(0x1234)],
          tunnel(*T6, (15, b'\6' * 12)) + [ty(0x1234)], tunnel(*T6, (8, b'\5' * 64)) + [ty(0x1234)], tunnel((16, b'')) + [ty(0x1234)],
          [ty(0x8847), (21, b'\0\0\1\x40')], [ty(0x8848), (21, b'\0\0\1\x40' * 3)],
          [ty(0x894f), (28, attr(1, b'\0\x3f\1\3\0\0\1\xff') + attr(2, b'\7' * 16))], [ty(0x894f), (28, attr(1, b'\0\x3f\2\3\0\0\1\xff'))]]
CT = [(22, b'\x22\0\0\0'), (23, b'\1\0'), (24, b'\2\0\0\0'), (25, b'\3' * 16)]
UPPER += [CT + ip4(17) + [(10, PORTS)], CT + [(26, b'\1' * 12 + b'\x06\0\0\0')] + ip4(17) + [(10, PORTS)],
          CT + [(27, b'\1' * 36 + b'\x06\0\0\0')] + ip6(17) + [(10, PORTS)]]


def filled(t, p):
    """The mask of an attribute: what is nested keeps its headers."""
    if t not in (16, 28):
        return ones(p)
    out, at = b'', 0
    while at < len(p):
        size, inner = struct.unpack_from('=HH', p, at)
        body = p[at + 4:at + size]
        out += attr(inner, attr(1, ones(body[4:])) if (t, inner) == (16, 11) else ones(body))
        at += size + 3 & ~3
    return out


n = 0
for upper in UPPER:
    for tags in range(3):
        key, mask = nest(upper, tags, False), nest(upper, tags, True)
        write('nl_flow', n, bytes([min(len(key) // 4, 255)]) + key + mask)
        n += 1

# Action lists: kind of frame, allocation that fails, the list.
OUT = attr(1, b'\2\0\0\0')
SETS = [(2, bytes(4)), (15, bytes(4)), (4, bytes(range(12))), (9, PORTS), (10, PORTS), (17, PORTS),
        (7, bytes([1, 2, 3, 4, 5, 6, 7, 8, 17, 1, 9, 0])), (8, b'\3' * 32 + bytes([0, 1, 2, 3, 17, 5, 6, 0]))]
ACTS = [attr(3, attr(t, v)) + OUT for t, v in SETS]
ACTS += [attr(11, attr(t, (v if len(v) == 4 else bytes(len(v))) + (ones(v) if len(v) == 4 else bytes(len(v))))) + OUT for t, v in SETS]
ACTS += [attr(4, b'\x81\0\x10\5') + OUT + attr(5, b'') + OUT, attr(13, b'\x14\0\0\0') + OUT + OUT, attr(24, bytes(4)),
         attr(8, bytes(8)) + attr(7, b'\5\0\0\0') + OUT, attr(15, b'') + attr(14, bytes(12)) + OUT,
         attr(2, attr(1, b'\x09\0\0\0') + attr(2, b'12345') + attr(4, b'')) + OUT]
PSAMPLE = attr(25 | 0x8000, attr(1, b'\5\0\0\0') + attr(2, b'cookie'))
ACTS += [PSAMPLE, attr(13, b'\x14\0\0\0') + PSAMPLE + OUT, attr(6, attr(1, b'\xff' * 4) + attr(2, PSAMPLE)) + PSAMPLE]
ACTS += [attr(20, a) + OUT for a in ACTS[-6:]] + [attr(6, attr(1, b'\xff' * 4) + attr(2, a)) + a for a in ACTS[-6:]]
for n, a in enumerate(ACTS):
    for kind in 1, 9, 17, 0, 2:
        write('nl_actions', n * 5 + kind % 5, bytes([kind, n]) + a)

# Rows of requests: family and flags, command, allocation that fails, words of attributes, attributes.
DATAPATH, VPORT, FLOW, PACKET, METER, CT_LIMIT = range(6)
CREATE, ECHO = 8, 16


def request(head, cmd, attrs, fail=0):
    return bytes([head, cmd, fail, len(attrs) // 4]) + attrs


def u32(n):
    return struct.pack('=I', n)


def port(name, kind, *more):
    return attr(3, name + b'\0') + attr(2, u32(kind)) + attr(5, u32(7)) + b''.join(more)


FLOW_KEY = nest(ip4(17) + [(10, PORTS)], 0, False)
FLOW_ATTRS = attr(1, FLOW_KEY) + attr(2, OUT) + attr(7, nest(ip4(17) + [(10, PORTS)], 0, True)) + attr(9, b'\7' * 16)
BAND = attr(0, attr(1, u32(1)) + attr(2, u32(10)) + attr(3, u32(5)))
METERS = attr(1, u32(1)) + attr(2, b'') + attr(4, BAND)
LIMITS = attr(1, struct.pack('=iII', -1, 5, 0) + struct.pack('=iII', 3, 9, 0))
ROWS = [request(DATAPATH, 1, attr(1, b'br1\0') + attr(2, u32(0)) + attr(5, u32(0x1f)) + attr(7, u32(64))),
        request(DATAPATH, 4, attr(1, b'br0\0') + attr(5, u32(8)) + attr(8, u32(1) + u32(2))), request(DATAPATH, 2, b''), request(DATAPATH, 3, b'')]
ROWS += [request(VPORT, 1, port(b'i1', 2, attr(1, u32(9)))), request(VPORT, 1, port(b'p3', 1)), request(VPORT, 1, port(b'g1', 3)),
         request(VPORT, 1, port(b'v1', 4, attr(4, attr(1, b'\xb5\x12') + attr(2, attr(1, b''))))), request(VPORT, 1, port(b'n1', 5, attr(4, attr(1, b'\xc1\x17')))),
         request(VPORT, 4, attr(3, b'p1\0') + attr(5, u32(1) + u32(2))), request(VPORT, 3, attr(1, u32(1))), request(VPORT, 2, attr(1, u32(1)))]
ROWS += [request(FLOW | CREATE, 1, FLOW_ATTRS), request(FLOW | ECHO, 4, FLOW_ATTRS), request(FLOW, 3, attr(9, b'\7' * 16)), request(FLOW | ECHO, 2, attr(9, b'\7' * 16)), request(FLOW, 2, b'')]
ROWS += [request(PACKET, 3, attr(1, bytes(60)) + attr(2, FLOW_KEY) + attr(3, OUT))]
ROWS += [request(METER, cmd, METERS) for cmd in (1, 2, 4, 3)] + [request(CT_LIMIT, cmd, LIMITS) for cmd in (1, 3, 2)]
for n, row in enumerate(ROWS):
    write('requests', n, row)
    write('requests', 100 + n, row[:2] + b'\2' + row[3:] + row)
    write('requests', 200 + n, b''.join(ROWS[n:n + 6]))
write('requests', 99, b''.join(ROWS[4:] + ROWS[:3]))
