# SPDX-License-Identifier: GPL-2.0
# title: upcalls: key, packet and their bytes for a corpus of frames; who gets them; GSO; counters (K20-K31, U)
# timeout: 120
from golden import Golden
from frames import *
from ovsnl import *
from wire import *

g, s = Golden(), Sock()
up, up2 = Sock(pid=5555), Sock(pid=5556)
for x in (up, up2):
    x.family("ovs_packet")
DP0 = s.new_dp("dp0", 1000, pid=5555, features=UNALIGNED)
veth("p1", "q1")
veth("p2", "q2")
s.new_port(DP0, "p1", 1, NETDEV, 5555)
s.new_port(DP0, "p2", 2, NETDEV, 5556)
w1, w2 = Wire("q1"), Wire("q2")


def heard(label, sock=up, star=("HASH",)):
    got = sock.notifications("ovs_packet", 0.03)
    g.say(label, " ; ".join(text("ovs_packet", m, star) for m in got) or "nothing")
    return got


def counters(label):
    m = s.dp(GET, DP0).messages[0]
    hit, missed, lost, flows = struct.unpack("=4Q", m.get(DP.STATS))
    line = "hit=%d missed=%d lost=%d" % (hit, missed, lost)
    for n in (0, 1, 2):
        v = s.vport(GET, DP0, attr(VPORT.PORT_NO, u32(n))).messages
        u = v and v[0].get(VPORT.UPCALL_STATS)
        if u:
            a = parse(u)
            line += " port%d=%d/%d" % (n, struct.unpack("=Q", first(a, 0))[0], struct.unpack("=Q", first(a, 1))[0])
    g.say("counters: " + label, line)


g.either.add("frame frag cut")  # 6.1.192 wants the whole fragment header, 6.12.95 half of it
for name, frame in frames().items():
    if len(frame) < 15:
        continue
    try:
        w1.send(frame)
    except OSError as e:
        g.say("frame " + name, "not sent: " + errno.errorcode[e.errno])
        continue
    heard("frame " + name)
for name, frame in frames_ipsec().items():
    w1.send(frame)
    got = up.notifications("ovs_packet", 0.03)
    exthdrs = [show(KEY, m.get(PACKET.KEY)) for m in got]
    print("ipsec", name, exthdrs)
counters("after the corpus")

# A message that is not UNALIGNED is padded, and its end is the end of the datagram.
for features in (0, UNALIGNED):
    s.dp(SET, DP0, attr(DP.USER_FEATURES, u32(features)))
    for extra in range(4):
        w1.send(eth(0x1234, b"x" * (46 + extra)))
        got = up._recv()
        g.say("U6 features %d, %d bytes: message length" % (features, 60 + extra), ",".join("%d of %d" % (
            m[0] - hidden(KEY, first(parse(m[5][8:]), PACKET.KEY)), len(m[5]) + 16 - hidden(KEY, first(parse(m[5][8:]), PACKET.KEY)))
            for m in got))

# Who hears it.
UDPF = frames()["udp"]
w2.send(UDPF)
heard("U2 vport pid of port 2", up2)
heard("U2 and not the other", up)
s.vport(SET, DP0, attr(VPORT.PORT_NO, u32(2)), attr(VPORT.UPCALL_PID, u32(0)))
w2.send(UDPF)
heard("U3 pid 0", up2)
counters("U3 pid 0")
s.vport(SET, DP0, attr(VPORT.PORT_NO, u32(2)), attr(VPORT.UPCALL_PID, u32(7777)))
w2.send(UDPF)
heard("nobody listens", up2)
counters("nobody listens")
s.dp(SET, DP0, attr(DP.USER_FEATURES, u32(UNALIGNED | PER_CPU)), attr(DP.PER_CPU_PIDS, u32(5556)))
w1.send(UDPF)
heard("U2 per CPU", up2)
heard("U2 per CPU, not the port's", up)
s.dp(SET, DP0, attr(DP.USER_FEATURES, u32(UNALIGNED | PER_CPU)), attr(DP.PER_CPU_PIDS, u32(0)))
w1.send(UDPF)
heard("U3 per CPU, pid 0", up2)
counters("U3 per CPU, pid 0")
s.dp(SET, DP0, attr(DP.USER_FEATURES, u32(UNALIGNED | PER_CPU)), attr(DP.PER_CPU_PIDS, u32(5556)))
KEYU = [k_port(1), k_eth(), k_type(0x800), k_ipv4(), k_udp()]
s.new_flow(DP0, KEYU, [a_user(5555, attr(USERSPACE.USERDATA, b"me")), a_output(2)])
w1.send(UDPF)
heard("U2 per CPU beats the action's pid", up2)
heard("U2 action pid unused", up)
s.dp(SET, DP0, attr(DP.USER_FEATURES, u32(UNALIGNED)))
w1.send(UDPF)
heard("U2 action's pid", up)
s.flow(SET, DP0, nest(FLOW.KEY, *KEYU), nest(FLOW.ACTIONS, a_user(5555, attr(USERSPACE.ACTIONS)), a_output(2)))
w1.send(UDPF)
heard("A34 actions in the upcall", up)
s.flow(SET, DP0, nest(FLOW.KEY, *KEYU), nest(FLOW.ACTIONS, a_user(5555, attr(USERSPACE.EGRESS_TUN_PORT, u32(2)))))
w1.send(UDPF)
heard("A33 egress port that is no tunnel", up)
w2.drain()
counters("actions")
s.flow(DEL, DP0)

# Offloads: a checksum to be completed, a GSO frame in segments.
CS = eth(0x800, ipv4(6, tcp(b"abc", partial=True)))
w1.send(CS, NEEDS_CSUM, start=34, offset=16)
heard("U5 checksum completed")
BIG = eth(0x800, ipv4(6, tcp(bytes(range(256)) * 8, flags=0x18, partial=True)))
w1.send(BIG, NEEDS_CSUM, GSO_TCPV4, 54, 1000, 34, 16)
heard("U11 GSO, three segments")
w1.send(eth(0x8100, vlan(0x2005, 0x800, BIG[14:])), NEEDS_CSUM, GSO_TCPV4, 58, 1000, 38, 16)
heard("U11 GSO with a VLAN tag")
BIG6 = eth(0x86dd, ipv6(6, tcp(b"y" * 2500, src="fd00::1", dst="fd00::2", flags=0x18, partial=True)))
w1.send(BIG6, NEEDS_CSUM, GSO_TCPV6, 74, 1000, 54, 16)
heard("U11 GSO over IPv6")
counters("at the end")

# Not what this case is about, but it hears it first: the local port sends too.
s.flow(DEL, DP0)
subprocess.run(["ip", "link", "set", "dp0", "address", "02:00:00:00:00:aa", "up"], check=True)
subprocess.run(["ip", "addr", "add", "10.0.0.1/24", "dev", "dp0"], check=True)
up.notifications("ovs_packet", 0.3)
subprocess.run(["ping", "-c", "1", "-W", "1", "10.0.0.2"], stdout=subprocess.DEVNULL)
got = [m for m in up.notifications("ovs_packet", 0.1) if m.get(PACKET.PACKET)[12:14] == b"\x08\x06"]
g.say("local port: ARP", text("ovs_packet", got[0], ("HASH",)) if got else "nothing")
g.finish()
