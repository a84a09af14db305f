#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""seeds.py DIR: first inputs for the fuzz targets, DIR/extract from tests/vectors/keys.txt and DIR/nl_flow."""
import os
import struct
import sys

top = sys.argv[1]
for d in 'extract', 'nl_flow':
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
    inner = b''.join(attr(t, ones(p) if mask else p) for t, p in attrs)
    for i in range(tags):
        tpid, tci = (b'\xff\xff', b'\xff\xff') if mask else (b'\x81\0', b'\x10\5')
        inner = attr(6, tpid) + attr(5, tci) + attr(1, inner)
    return out + inner


n = 0
for upper in UPPER:
    for tags in range(3):
        key, mask = nest(upper, tags, False), nest(upper, tags, True)
        write('nl_flow', n, bytes([min(len(key), 255)]) + key + mask)
        n += 1
