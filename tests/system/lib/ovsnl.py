# SPDX-License-Identifier: GPL-2.0
"""Speak Open vSwitch's generic netlink families from Python: raw sockets, standard library only.

Three layers: bytes (`attr`, `nest`, `parse`), names (`DP`, `VPORT`, `FLOW`, `PACKET`, `METER`,
`KEY`, `ACTION` and the builders of keys and actions), and the socket (`Sock`). `text` turns a message into
one line in the order and with the bytes that the kernel sent, which is what golden files compare.
Encoding and decoding need no Linux; only `Sock` does.
"""

import errno
import os
import socket
import struct

# ---- netlink ----------------------------------------------------------------------------------

NLM_F_REQUEST, NLM_F_MULTI, NLM_F_ACK, NLM_F_ECHO = 0x1, 0x2, 0x4, 0x8
NLM_F_DUMP, NLM_F_REPLACE, NLM_F_EXCL, NLM_F_CREATE = 0x300, 0x100, 0x200, 0x400
NLMSG_ERROR, NLMSG_DONE = 2, 3
NLA_F_NESTED, NLA_F_NET_BYTEORDER = 0x8000, 0x4000
SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, NETLINK_CAP_ACK, NETLINK_EXT_ACK = 270, 1, 10, 11
NETLINK_GENERIC, GENL_ID_CTRL = 16, 16

u8 = struct.Struct("=B").pack
u16 = struct.Struct("=H").pack
u32 = struct.Struct("=I").pack
u64 = struct.Struct("=Q").pack
be16 = struct.Struct(">H").pack
be32 = struct.Struct(">I").pack


def built_in(module):
    """Whether it is part of this kernel, so that it cannot be loaded or unloaded."""
    with open("/lib/modules/%s/modules.builtin" % os.uname().release) as f:
        return "/%s.ko\n" % module in f.read()


def attr(kind, payload=b"", length=None):
    """One attribute, padded; `length` lies about its length."""
    n = 4 + len(payload) if length is None else length
    return struct.pack("=HH", n, kind) + payload + b"\0" * (-len(payload) % 4)


def nest(kind, *attrs):
    return attr(kind, b"".join(attrs))


def parse(data):
    """[(type, payload)] of an attribute stream; a malformed tail is ("?", bytes)."""
    out, at = [], 0
    while at + 4 <= len(data):
        n, kind = struct.unpack_from("=HH", data, at)
        if n < 4 or at + n > len(data):
            break
        out.append((kind, data[at + 4:at + n]))
        at += (n + 3) & ~3
    if at < len(data):
        out.append(("?", data[at:]))
    return out


def first(attrs, kind, default=None):
    return next((v for k, v in attrs if k == kind), default)


# ---- names ------------------------------------------------------------------------------------

class Names:
    """Attribute numbers by name, the nested ones' own tables, and how to print a value."""

    def __init__(self, table, nested=None, strings=(), hide=()):
        self.by_name = table
        self.by_number = {v: k for k, v in table.items()}
        self.nested, self.strings, self.hide = nested or {}, strings, hide
        for k, v in table.items():
            setattr(self, k, v)


TUNNEL = Names({n: i for i, n in enumerate(
    "ID IPV4_SRC IPV4_DST TOS TTL DF CSUM OAM GENEVE_OPTS TP_SRC TP_DST VXLAN_OPTS IPV6_SRC IPV6_DST PAD "
    "ERSPAN_OPTS INFO_BRIDGE".split())})
KEY = Names({n: i for i, n in enumerate(
    "UNSPEC ENCAP PRIORITY IN_PORT ETHERNET VLAN ETHERTYPE IPV4 IPV6 TCP UDP ICMP ICMPV6 ARP ND SKB_MARK TUNNEL "
    "SCTP TCP_FLAGS DP_HASH RECIRC_ID MPLS CT_STATE CT_ZONE CT_MARK CT_LABELS CT_ORIG_TUPLE_IPV4 "
    "CT_ORIG_TUPLE_IPV6 NSH PACKET_TYPE ND_EXTENSIONS TUNNEL_INFO IPV6_EXTHDRS".split())})
KEY.nested = {"ENCAP": KEY, "TUNNEL": TUNNEL}
ACTION = Names({n: i for i, n in enumerate(
    "UNSPEC OUTPUT USERSPACE SET PUSH_VLAN POP_VLAN SAMPLE RECIRC HASH PUSH_MPLS POP_MPLS SET_MASKED CT TRUNC "
    "PUSH_ETH POP_ETH CT_CLEAR PUSH_NSH POP_NSH METER CLONE CHECK_PKT_LEN ADD_MPLS DEC_TTL DROP PSAMPLE".split())})
NAT = Names({n: i for i, n in enumerate("UNSPEC SRC DST IP_MIN IP_MAX PROTO_MIN PROTO_MAX PERSISTENT HASH RANDOM".split())})
CT = Names({n: i for i, n in enumerate("UNSPEC COMMIT ZONE MARK LABELS HELPER NAT FORCE EVENTMASK TIMEOUT".split())},
           {"NAT": NAT}, strings=("HELPER", "TIMEOUT"))
CT_LIMIT = Names({"ZONE_LIMIT": 1})
SAMPLE = Names({"PROBABILITY": 1, "ACTIONS": 2}, {"ACTIONS": ACTION})
USERSPACE = Names({"PID": 1, "USERDATA": 2, "EGRESS_TUN_PORT": 3, "ACTIONS": 4})
CHECK_PKT_LEN = Names({"PKT_LEN": 1, "IF_GREATER": 2, "IF_LESS_EQUAL": 3}, {"IF_GREATER": ACTION, "IF_LESS_EQUAL": ACTION})
DEC_TTL = Names({"ACTION": 1}, {"ACTION": ACTION})
PSAMPLE = Names({"GROUP": 1, "COOKIE": 2})
ACTION.nested = {"SET": KEY, "SAMPLE": SAMPLE, "CLONE": ACTION, "USERSPACE": USERSPACE, "CHECK_PKT_LEN": CHECK_PKT_LEN, "DEC_TTL": DEC_TTL, "CT": CT}
DP = Names({"NAME": 1, "UPCALL_PID": 2, "STATS": 3, "MEGAFLOW_STATS": 4, "USER_FEATURES": 5, "PAD": 6,
            "MASKS_CACHE_SIZE": 7, "PER_CPU_PIDS": 8, "IFINDEX": 9}, strings=("NAME",))
UPCALL_STATS = Names({"SUCCESS": 0, "FAIL": 1})
VXLAN_EXT = Names({"GBP": 1})
VPORT_TUNNEL = Names({"DST_PORT": 1, "EXTENSION": 2}, {"EXTENSION": VXLAN_EXT})
VPORT = Names({"PORT_NO": 1, "TYPE": 2, "NAME": 3, "OPTIONS": 4, "UPCALL_PID": 5, "STATS": 6, "PAD": 7, "IFINDEX": 8,
               "NETNSID": 9, "UPCALL_STATS": 10}, {"UPCALL_STATS": UPCALL_STATS, "OPTIONS": VPORT_TUNNEL}, strings=("NAME",))
FLOW = Names({"KEY": 1, "ACTIONS": 2, "STATS": 3, "TCP_FLAGS": 4, "USED": 5, "CLEAR": 6, "MASK": 7, "PROBE": 8,
              "UFID": 9, "UFID_FLAGS": 10, "PAD": 11}, {"KEY": KEY, "MASK": KEY, "ACTIONS": ACTION})
PACKET = Names({"PACKET": 1, "KEY": 2, "ACTIONS": 3, "USERDATA": 4, "EGRESS_TUN_KEY": 5, "PROBE": 8, "MRU": 9,
                "LEN": 10, "HASH": 11, "UPCALL_PID": 12}, {"KEY": KEY, "ACTIONS": ACTION, "EGRESS_TUN_KEY": TUNNEL})
BAND = Names({"UNSPEC": 0, "TYPE": 1, "RATE": 2, "BURST": 3, "STATS": 4})
BANDS = Names({"BAND": 0}, {"BAND": BAND})
METER = Names({"ID": 1, "KBPS": 2, "STATS": 3, "BANDS": 4, "USED": 5, "CLEAR": 6, "MAX_METERS": 7, "MAX_BANDS": 8, "PAD": 9},
              {"BANDS": BANDS})
NEW, DEL, GET, SET = 1, 2, 3, 4
METER_FEATURES, METER_SET, METER_DEL, METER_GET = 1, 2, 3, 4
MISS, ACTION_UPCALL, EXECUTE = 1, 2, 3
FAMILIES = {"ovs_datapath": (DP, 2), "ovs_vport": (VPORT, 1), "ovs_flow": (FLOW, 1), "ovs_packet": (PACKET, 1),
            "ovs_meter": (METER, 1), "ovs_ct_limit": (CT_LIMIT, 1)}
NETDEV, INTERNAL = 1, 2
UNALIGNED, VPORT_PIDS, TC_RECIRC, PER_CPU = 1, 2, 4, 8


def hidden(names, data):
    """Bytes of `data` that `show` leaves out."""
    return sum((4 + len(p) + 3) & ~3 for k, p in parse(data) if names.by_number.get(k) in names.hide)


def show(names, data, star=()):
    """Attributes as text, in the order and with the bytes of `data`; values of `star` as `*`."""
    out = []
    for kind, payload in parse(data):
        if kind == "?":
            out.append("TRAIL=" + payload.hex())
            continue
        name = names.by_number.get(kind & 0x3fff, "%d" % (kind & 0x3fff))
        if kind & 0xc000:
            name += "!%x" % (kind >> 14)  # no message of this module carries the flags (N10)
        if name in names.hide:
            continue
        if name in star:
            out.append(name + "=*")
        elif name in names.nested:
            out.append("%s{%s}" % (name, show(names.nested[name], payload, star)))
        elif name in names.strings:
            out.append("%s=%r" % (name, payload[:-1].decode("latin1") if payload[-1:] == b"\0" else payload))
        elif len(payload) > 8 and not any(payload):
            out.append("%s=00*%d" % (name, len(payload)))
        else:
            out.append("%s=%s" % (name, payload.hex()))
    return " ".join(out)


# ---- builders: keys and actions ------------------------------------------------------------------

def mac(s):
    return bytes.fromhex(s.replace(":", ""))


def ip4(s):
    return socket.inet_pton(socket.AF_INET, s)


def ip6(s):
    return socket.inet_pton(socket.AF_INET6, s)


MAC1, MAC2 = mac("020000000001"), mac("020000000002")


def k_eth(src=MAC1, dst=MAC2):
    return attr(KEY.ETHERNET, src + dst)


def k_type(t):
    return attr(KEY.ETHERTYPE, be16(t))


def k_port(n):
    return attr(KEY.IN_PORT, u32(n))


def k_vlan(tci):
    return attr(KEY.VLAN, be16(tci))


def k_ipv4(src="10.0.0.1", dst="10.0.0.2", proto=17, tos=0, ttl=64, frag=0):
    return attr(KEY.IPV4, ip4(src) + ip4(dst) + bytes([proto, tos, ttl, frag]))


def k_ipv6(src="fd00::1", dst="fd00::2", label=0, proto=17, tclass=0, hlimit=64, frag=0):
    return attr(KEY.IPV6, ip6(src) + ip6(dst) + be32(label) + bytes([proto, tclass, hlimit, frag]))


def k_udp(s=1000, d=2000):
    return attr(KEY.UDP, be16(s) + be16(d))


def k_tcp(s=1000, d=2000):
    return attr(KEY.TCP, be16(s) + be16(d))


def k_tcp_flags(f):
    return attr(KEY.TCP_FLAGS, be16(f))


def k_sctp(s=1000, d=2000):
    return attr(KEY.SCTP, be16(s) + be16(d))


def k_icmp(t=8, c=0):
    return attr(KEY.ICMP, bytes([t, c]))


def k_icmpv6(t=128, c=0):
    return attr(KEY.ICMPV6, bytes([t, c]))


def k_arp(sip="10.0.0.1", tip="10.0.0.2", op=1, sha=MAC1, tha=b"\0" * 6):
    return attr(KEY.ARP, ip4(sip) + ip4(tip) + be16(op) + sha + tha + b"\0\0")


def k_nd(target="fd00::2", sll=MAC1, tll=b"\0" * 6):
    return attr(KEY.ND, ip6(target) + sll + tll)


def k_encap(*a):
    return nest(KEY.ENCAP, *a)


def k_recirc(n):
    return attr(KEY.RECIRC_ID, u32(n))


def k_hash(n):
    return attr(KEY.DP_HASH, u32(n))


def k_prio(n):
    return attr(KEY.PRIORITY, u32(n))


def k_mark(n):
    return attr(KEY.SKB_MARK, u32(n))


def a_output(n):
    return attr(ACTION.OUTPUT, u32(n))


def a_user(pid, *more):
    return nest(ACTION.USERSPACE, attr(USERSPACE.PID, u32(pid)), *more)


def a_set(k):
    return nest(ACTION.SET, k)


def a_set_masked(kind, value, mask):
    return nest(ACTION.SET_MASKED, attr(kind, value + mask))


def a_push_vlan(tci, tpid=0x8100):
    return attr(ACTION.PUSH_VLAN, be16(tpid) + be16(tci))


def a_pop_vlan():
    return attr(ACTION.POP_VLAN)


def a_recirc(n):
    return attr(ACTION.RECIRC, u32(n))


def a_hash(alg=0, basis=0):
    return attr(ACTION.HASH, u32(alg) + u32(basis))


def a_sample(prob, *acts):
    return nest(ACTION.SAMPLE, attr(SAMPLE.PROBABILITY, u32(prob)), nest(SAMPLE.ACTIONS, *acts))


def a_clone(*acts):
    return nest(ACTION.CLONE, *acts)


def a_trunc(n):
    return attr(ACTION.TRUNC, u32(n))


def a_meter(n):
    return attr(ACTION.METER, u32(n))


def a_check_pkt_len(n, fits=(), greater=()):
    return nest(ACTION.CHECK_PKT_LEN, attr(CHECK_PKT_LEN.PKT_LEN, u16(n)), nest(CHECK_PKT_LEN.IF_LESS_EQUAL, *fits),
                nest(CHECK_PKT_LEN.IF_GREATER, *greater))


def a_dec_ttl(*acts):
    return nest(ACTION.DEC_TTL, nest(DEC_TTL.ACTION, *acts))


def lse(label, bottom=1, ttl=64, tc=0):
    return be32(label << 12 | tc << 9 | bottom << 8 | ttl)


def a_push_mpls(entry, kind=0x8847):
    return attr(ACTION.PUSH_MPLS, entry + be16(kind) + b"\0\0")


def a_add_mpls(entry, kind=0x8847, l3=False):
    return attr(ACTION.ADD_MPLS, entry + be16(kind) + u16(l3))


def a_pop_mpls(kind):
    return attr(ACTION.POP_MPLS, be16(kind))


def k_mpls(*entries):
    return attr(KEY.MPLS, b"".join(entries))


def a_push_eth(src=MAC1, dst=MAC2):
    return attr(ACTION.PUSH_ETH, src + dst)


def a_pop_eth():
    return attr(ACTION.POP_ETH)


def nsh_base(np=3, mdtype=1, ttl=63, flags=0, path=b"\0\0\1\xff"):
    return attr(1, bytes([flags, ttl, mdtype, np]) + path)


def a_push_nsh(*inner):
    return nest(ACTION.PUSH_NSH, nest(KEY.NSH, *inner))


def a_pop_nsh():
    return attr(ACTION.POP_NSH)


def a_drop(code=0):
    return attr(ACTION.DROP, u32(code))


def c_mark(value, mask=0xffffffff):
    return attr(CT.MARK, u32(value) + u32(mask))


def c_labels(value, mask=b"\xff" * 16):
    return attr(CT.LABELS, value + mask)


def c_name(kind, name):
    return attr(kind, name.encode() + b"\0")


def c_nat(*args):
    return nest(CT.NAT, *args)


def a_ct(*args, zone=None, commit=False, force=False):
    """CT; NAT, which must come after COMMIT, among `args`."""
    flags = [attr(CT.COMMIT)] * commit + [attr(CT.FORCE)] * force + ([] if zone is None else [attr(CT.ZONE, u16(zone))])
    return nest(ACTION.CT, *flags, *args)


def a_ct_clear():
    return attr(ACTION.CT_CLEAR)


# ---- socket -----------------------------------------------------------------------------------

class Message:
    """One generic netlink message: cmd, version, dp_ifindex, attribute bytes."""

    def __init__(self, data, flags=0, seq=0, pid=0):
        self.flags, self.seq, self.pid = flags, seq, pid
        self.cmd, self.version = data[0], data[1]
        self.dp_ifindex = struct.unpack_from("=i", data, 4)[0]
        self.data = data[8:]
        self.attrs = parse(self.data)

    def get(self, kind, default=None):
        return first(self.attrs, kind, default)

    def u32(self, kind):
        v = self.get(kind)
        return None if v is None else struct.unpack_from("=I", v)[0]


class Reply:
    """What a request brought: errno (0 for success), messages, and the kernel's extended ack."""

    def __init__(self):
        self.errno, self.messages, self.note, self.note_offset = 0, [], "", None

    @property
    def error(self):
        if self.errno == errno.EOPNOTSUPP:
            return "EOPNOTSUPP"
        return errno.errorcode.get(self.errno, str(self.errno)) if self.errno else "OK"


class Sock:
    """A netlink socket with the families resolved. `pid` fixes its port id."""

    def __init__(self, pid=0, timeout=10):
        self.s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_GENERIC)
        self.s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.s.setsockopt(SOL_NETLINK, NETLINK_EXT_ACK, 1)
        self.s.setsockopt(SOL_NETLINK, NETLINK_CAP_ACK, 1)
        self.s.bind((pid, 0))
        self.s.settimeout(timeout)
        self.pid = self.s.getsockname()[0]
        self.seq, self.ids, self.groups = 100, {}, {}
        self.early = []

    def close(self):
        self.s.close()

    def family(self, name):
        if name not in self.ids:
            body = struct.pack("=BBH", 3, 2, 0) + attr(2, name.encode() + b"\0")
            r = self.raw(GENL_ID_CTRL, NLM_F_REQUEST | NLM_F_ACK, body)
            if r.errno:
                raise OSError(r.errno, os.strerror(r.errno), name)
            attrs = parse(r.messages[0][4][4:])
            self.ids[name] = struct.unpack("=H", first(attrs, 1))[0]
            self.info = attrs
            for _, g in parse(first(attrs, 7, b"")):
                g = parse(g)
                self.groups[name, first(g, 1).rstrip(b"\0").decode()] = struct.unpack("=I", first(g, 2))[0]
        return self.ids[name]

    def join(self, family):
        self.family(family)
        self.s.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, self.groups[family, family])

    def raw(self, kind, flags, body, length=None):
        """Send, then collect until the ACK, the error or the end of the dump."""
        self.seq += 1
        n = 16 + len(body) if length is None else length
        self.s.send(struct.pack("=IHHII", n, kind, flags, self.seq, self.pid) + body)
        r = Reply()
        while True:
            for m in self._recv():
                mlen, mtype, mflags, seq, pid, data = m
                if seq != self.seq or pid != self.pid:
                    self.early.append(m)
                elif mtype == NLMSG_ERROR or mtype == NLMSG_DONE:
                    r.errno = -struct.unpack_from("=i", data)[0]
                    self._ext_ack(r, mtype, mflags, data)
                    return r
                else:
                    r.messages.append((mtype, mflags, seq, pid, data))

    def _recv(self):
        buf = self.s.recv(1 << 20)
        out, at = [], 0
        while at + 16 <= len(buf):
            mlen, mtype, mflags, seq, pid = struct.unpack_from("=IHHII", buf, at)
            out.append((mlen, mtype, mflags, seq, pid, buf[at + 16:at + mlen]))
            at += (mlen + 3) & ~3
        return out

    @staticmethod
    def _ext_ack(r, mtype, mflags, data):
        if mtype == NLMSG_ERROR and mflags & 0x200:  # NLM_F_ACK_TLVS; the request is capped (0x100)
            at = 4 + 16 if mflags & 0x100 else 4 + struct.unpack_from("=I", data, 4)[0]
            for kind, v in parse(data[at:]):
                if kind == 1:
                    r.note = v.rstrip(b"\0").decode()
                elif kind == 2:
                    r.note_offset = struct.unpack("=I", v)[0]

    def request(self, family, cmd, dp_ifindex=0, *attrs, flags=0, version=None, header=None):
        """Send one request with an ACK asked for; replies and echoes come as `Message`s."""
        names, ver = FAMILIES[family]
        head = struct.pack("=BBH", cmd, ver if version is None else version, 0)
        head += struct.pack("=i", dp_ifindex) if header is None else header
        r = self.raw(self.family(family), NLM_F_REQUEST | NLM_F_ACK | flags, head + b"".join(attrs))
        r.messages = [Message(m[4], m[1], m[2], m[3]) for m in r.messages]
        return r

    def dump(self, family, dp_ifindex=0, *attrs, cmd=GET):
        r = Reply()
        names, ver = FAMILIES[family]
        body = struct.pack("=BBHi", cmd, ver, 0, dp_ifindex) + b"".join(attrs)
        raw = self.raw(self.family(family), NLM_F_REQUEST | NLM_F_DUMP, body)
        r.errno, r.note = raw.errno, raw.note
        r.messages = [Message(m[4], m[1], m[2], m[3]) for m in raw.messages]
        return r

    def notifications(self, family, timeout=0.2):
        """Messages of the family that came unasked (multicast, upcalls)."""
        self.s.settimeout(timeout)
        try:
            while True:
                self.early += self._recv()
        except (socket.timeout, BlockingIOError):
            pass
        except OSError as e:
            if e.errno != errno.ENOBUFS:
                raise
        self.s.settimeout(10)
        kind = self.family(family)
        mine = [m for m in self.early if m[1] == kind]
        self.early = [m for m in self.early if m[1] != kind]
        return [Message(m[5], m[2], m[3], m[4]) for m in mine]

    # Short names for what the cases do most.

    def dp(self, cmd, dp_ifindex=0, *attrs, **kw):
        return self.request("ovs_datapath", cmd, dp_ifindex, *attrs, **kw)

    def vport(self, cmd, dp_ifindex=0, *attrs, **kw):
        return self.request("ovs_vport", cmd, dp_ifindex, *attrs, **kw)

    def flow(self, cmd, dp_ifindex=0, *attrs, **kw):
        return self.request("ovs_flow", cmd, dp_ifindex, *attrs, **kw)

    def meter(self, cmd, dp_ifindex=0, *attrs, **kw):
        return self.request("ovs_meter", cmd, dp_ifindex, *attrs, **kw)

    def execute(self, dp_ifindex, packet, key, actions, *more):
        return self.request("ovs_packet", EXECUTE, dp_ifindex, attr(PACKET.PACKET, packet), nest(PACKET.KEY, *key),
                            nest(PACKET.ACTIONS, *actions), *more)

    def new_dp(self, name="dp0", ifindex=1000, pid=0, features=0):
        r = self.dp(NEW, 0, attr(DP.NAME, name.encode() + b"\0"), attr(DP.UPCALL_PID, u32(pid)),
                    attr(DP.USER_FEATURES, u32(features)), attr(DP.IFINDEX, u32(ifindex)), flags=NLM_F_ECHO)
        if r.errno:
            raise OSError(r.errno, os.strerror(r.errno), "new datapath " + name)
        return r.messages[0].dp_ifindex  # Linux 5.10's module does not know the attribute

    def new_port(self, dp, name, number=0, kind=NETDEV, pid=0, *more):
        r = self.vport(NEW, dp, attr(VPORT.NAME, name.encode() + b"\0"), attr(VPORT.TYPE, u32(kind)),
                       attr(VPORT.UPCALL_PID, u32(pid)), attr(VPORT.PORT_NO, u32(number)), *more, flags=NLM_F_ECHO)
        if r.errno:
            raise OSError(r.errno, os.strerror(r.errno), "new port " + name)
        return r.messages[0].u32(VPORT.PORT_NO)

    def new_flow(self, dp, key, actions, mask=None, *more, flags=NLM_F_CREATE):
        attrs = [nest(FLOW.KEY, *key), nest(FLOW.ACTIONS, *actions)]
        if mask is not None:
            attrs.append(nest(FLOW.MASK, *mask))
        return self.flow(NEW, dp, *attrs, *more, flags=flags)


def text(family, message, star=("USED",)):
    """A message as one line."""
    return "cmd=%d dp=%d %s" % (message.cmd, message.dp_ifindex, show(FAMILIES[family][0], message.data, star))
