# SPDX-License-Identifier: GPL-2.0
# title: tunnel devices as ports, by collected metadata: SET(TUNNEL) out, keys in, EGRESS_TUN_PORT, over IPv4 and IPv6 (A26, A33, K13-K17)
# needs: vxlan geneve ip_gre ip6_gre
# timeout: 120
# allow: field-spanning write.*include/net/(ip_tunnels|dst_metadata)|WARNING.* (dev_fill_metadata_dst|geneve_udp_encap_recv|validate_and_copy_set_tun)\+|Call Trace:
import ctypes
import os

from golden import Golden
from frames import *
from ovsnl import *
from underlay import *
from wire import *

g, s = Golden(), Sock()
libc = ctypes.CDLL(None, use_errno=True)


def quiet(device):
    with open("/proc/sys/net/ipv6/conf/%s/disable_ipv6" % device, "w") as f:
        f.write("1")


def far(make):
    """What `make` opens, in the namespace at the other end."""
    with open("/proc/self/ns/net") as here, open("/run/netns/far") as there:
        libc.setns(there.fileno(), 0x40000000)
        try:
            return make()
        finally:
            libc.setns(here.fileno(), 0x40000000)


DP0 = s.new_dp("dp0", 1000)
veth("p1", "q1", 2000)
underlay()
PLAIN = {"vx4": "vxlan id 7 local 172.31.0.2 remote 172.31.0.1 dstport 4789 dev u1", "vx6": "vxlan id 8 local fd31::2 remote fd31::1 dstport 4789 dev u1",
         "gn4": "geneve id 7 remote 172.31.0.1", "gn6": "geneve id 8 remote fd31::1 udp6zerocsumrx",
         "gr4": "gretap local 172.31.0.2 remote 172.31.0.1 key 7", "gr6": "ip6gretap local fd31::2 remote fd31::1 key 8 encaplimit none"}
for name, kind in PLAIN.items():
    ip("-n far link add", name, "type", kind)
    far(lambda: quiet(name))
    ip("-n far link set", name, "up")
# Where a device with `gbp` is not told a policy, Linux 5.10's driver sends what its stack holds.
NEAR = {"vx": "vxlan external dstport 4789 udp6zerocsumrx", "gn": "geneve external udp6zerocsumrx", "gr": "gretap external", "gq": "ip6gretap external",
        "vg": "vxlan external dstport 4790 gbp"}
s.new_port(DP0, "p1", 1)
PORT = {}
for n, (name, kind) in enumerate(NEAR.items(), 11):
    ip("link add", name, "type", kind)
    quiet(name)
    ip("link set", name, "up")
    s.new_port(DP0, name, n)
    PORT[name] = n
q1 = Wire("q1")
wires = {name: far(lambda: Wire(name)) for name in PLAIN}
outer = far(lambda: Wire("u1"))
T = TUNNEL
TO = {"4": attr(T.IPV4_DST, ip4("172.31.0.2")), "6": attr(T.IPV6_DST, ip6("fd31::2"))}
up = Sock(pid=5555)
up.family("ovs_packet")
F = frames()


def ident(n):
    return attr(T.ID, b"\0" * 7 + bytes([n]))


def a_tunnel(*inner):
    return a_set(nest(KEY.TUNNEL, *inner))


TTL = attr(T.TTL, b"\x40")


def masked(f):
    """An outer frame without what is chance: identification and sums, the ports that a hash chose."""
    f = bytearray(f)
    if f[12:14] == b"\x08\0":
        l4, proto = 34, f[23]
        f[18:20] = f[24:26] = b"\0\0"
    elif f[12:14] == b"\x86\xdd":
        l4, proto = 54, f[20]
        f[15:18] = bytes([f[15] & 0xf0, 0, 0])
    else:
        return ""
    if proto == 17:
        f[l4:l4 + 2] = b"\0\0"
        f[l4 + 6:l4 + 8] = b"\0\0" if f[l4 + 6:l4 + 8] == b"\0\0" else b"\xff\xff"
    elif proto != 47:
        return ""
    return f.hex()


def out(label, actions, wire=None):
    for w in (outer, *wires.values()):
        w.drain(0)
    r = s.execute(DP0, F["udp"], [k_port(1)], actions)
    said = [masked(f) for f, _ in outer.drain(0.05)]
    got = [f == F["udp"] for f, _ in wires[wire].drain(0.05)] if wire else []
    g.say(label, "%s outer %s inner %s" % (r.error, [x for x in said if x], got))


def upcall(label):
    said = [show(PACKET, m.data, ("HASH", "TP_SRC")) for m in up.notifications("ovs_packet", 0.2)]
    g.say(label, " | ".join(said))


# Out
KINDS = {"vx4": ("vx", "4", 7), "vx6": ("vx", "6", 8), "gn4": ("gn", "4", 7), "gn6": ("gn", "6", 8), "gr4": ("gr", "4", 7), "gr6": ("gq", "6", 8)}
for wire, (dev, family, n) in KINDS.items():
    t, to = [ident(n), TO[family], TTL], a_output(PORT[dev])
    out("out " + wire, [a_tunnel(*t), to], wire)
    out("out twice " + wire, [a_tunnel(*t), to, to], wire)
    out("out tos csum df " + wire, [a_tunnel(*t, attr(T.TOS, b"\xb8"), attr(T.CSUM), attr(T.DF)), to], wire)
    out("out source " + wire, [a_tunnel(*t, attr(T.IPV4_SRC, ip4("172.31.0.1")) if family == "4" else attr(T.IPV6_SRC, ip6("fd31::1"))), to], wire)
    out("out in a clone " + wire, [a_clone(a_tunnel(*t), to), a_output(1)], wire)
    out("out after another " + wire, [a_tunnel(ident(99), TO[family], TTL), a_tunnel(*t), to], wire)
    out("out, pushed " + wire, [a_push_vlan(0x1005), a_tunnel(*t), a_pop_vlan(), to], wire)
out("out without a tunnel", [a_output(PORT["vx"])], "vx4")
OPTS = bytes.fromhex("0102030201020304deadbeef" "0102830141424344")
out("out geneve options", [a_tunnel(ident(7), TO["4"], TTL, attr(T.GENEVE_OPTS, OPTS)), a_output(PORT["gn"])], "gn4")
out("out vxlan gbp", [a_tunnel(ident(7), TO["4"], TTL, nest(T.VXLAN_OPTS, attr(1, u32(0x1234)))), a_output(PORT["vg"])])
out("out geneve oam", [a_tunnel(ident(7), TO["4"], TTL, attr(T.OAM)), a_output(PORT["gn"])])
out("out nowhere", [a_tunnel(ident(7), attr(T.IPV4_DST, ip4("10.99.0.1")), TTL), a_output(PORT["vx"])])

# EGRESS_TUN_PORT
for wire, (dev, family, n) in KINDS.items():
    s.execute(DP0, F["udp"], [k_port(1)], [a_tunnel(ident(n), TO[family], TTL), a_user(5555, attr(USERSPACE.EGRESS_TUN_PORT, u32(PORT[dev])))])
    upcall("egress " + wire)
for label, port, t in (("a port that is no tunnel", 1, [ident(7), TO["4"], TTL]), ("no such port", 99, [ident(7), TO["4"], TTL]), ("port 65536", 65536, [ident(7), TO["4"], TTL]),
                       ("options", PORT["gn"], [ident(7), TO["4"], TTL, attr(T.GENEVE_OPTS, OPTS), attr(T.CSUM)])):
    s.execute(DP0, F["udp"], [k_port(1)], [a_tunnel(*t), a_user(5555, attr(USERSPACE.EGRESS_TUN_PORT, u32(port)))])
    upcall("egress, " + label)
s.execute(DP0, F["udp"], [k_port(1)], [a_user(5555, attr(USERSPACE.EGRESS_TUN_PORT, u32(PORT["vx"])))])
upcall("egress without a tunnel")

# In
MASK = [k_port(0xffffffff), nest(KEY.TUNNEL, attr(T.ID, b"\xff" * 8))]
for wire, (dev, family, n) in KINDS.items():
    tunnel = [ident(n), *([attr(T.IPV4_SRC, ip4("172.31.0.2")), attr(T.IPV4_DST, ip4("172.31.0.1"))] if family == "4" else
                          [attr(T.IPV6_SRC, ip6("fd31::2")), attr(T.IPV6_DST, ip6("fd31::1"))]), TTL]
    r = s.new_flow(DP0, [k_port(PORT[dev]), nest(KEY.TUNNEL, *tunnel), k_eth(), k_type(0x800), k_ipv4(), k_udp()], [a_output(1), a_user(5555)], MASK)
    q1.drain(0)
    wires[wire].send(F["udp"])
    got = [f == F["udp"] for f, _ in q1.drain(0.1)]
    said = [show(PACKET, m.data, ("HASH", "TP_SRC")) for m in up.notifications("ovs_packet", 0.2)]
    g.say("in " + wire, "%s %s %s" % (r.error, got, " | ".join(said)))
    s.flow(DEL, DP0)


def geneve(options, ver=0, flags=0, kind=0x6558, payload=F["udp"]):
    return bytes([ver << 6 | len(options) // 4, flags]) + be16(kind) + b"\0\0\7\0" + options + payload


sender = far(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
sender.bind(("172.31.0.2", 5000))
r = s.new_flow(DP0, [k_port(PORT["gn"]), nest(KEY.TUNNEL, ident(7), attr(T.IPV4_SRC, ip4("172.31.0.2")), attr(T.IPV4_DST, ip4("172.31.0.1")), TTL), k_eth(), k_type(0x800), k_ipv4(), k_udp()],
               [a_user(5555)], [k_port(0xffffffff)])
for label, packet in {"options": geneve(OPTS), "no options": geneve(b""), "oam": geneve(b"", flags=0x80), "critical": geneve(OPTS, flags=0x40),
                      "252 bytes": geneve(bytes.fromhex("010203" "1e") + bytes(120) + bytes.fromhex("010203" "1f") + bytes(124))}.items():
    sender.sendto(packet, ("172.31.0.1", 6081))
    upcall("in geneve, " + label)
s.flow(DEL, DP0)
# What tc attached counts, too.
subprocess.run(["tc", "qdisc", "add", "dev", "p1", "clsact"], check=True)
subprocess.run("tc filter add dev p1 ingress matchall action tunnel_key set src_ip 1.1.1.1 dst_ip 2.2.2.2 id 5 dst_port 4789".split(), check=True)
s.new_flow(DP0, [k_port(1), k_eth(), k_type(0x800), k_ipv4(), k_udp()], [a_user(5555)], [k_port(0xffffffff)])
q1.send(F["udp"])
upcall("K17 in, tunnel_key")
subprocess.run(["tc", "qdisc", "del", "dev", "p1", "clsact"], check=True)
s.flow(DEL, DP0)
for name in NEAR:  # what the actions kept lives until here
    ip("link del", name)
g.finish()
