# SPDX-License-Identifier: GPL-2.0
# title: 60 s of traffic while 8192 masks come and go on another CPU: each flow that stays counts every packet sent for it
# group: stress
# timeout: 400
# smp: 2
import fcntl
import os
import random
import struct
import subprocess
import sys
import time

from frames import eth, ipv4, udp
from ovsnl import *

SECONDS = int(os.environ.get("CHURN", 60))
LENGTHS = (32, 16, 16)  # of prefixes of the source, the destination port and the source port
ALLOWED = (0x0a010203, 80, 4242)
STAY = 64
IN, OUT = 1, 2


def flows():
    """Every combination of prefixes that the allowed packet fails in its last bit: values and masks."""
    all_of = []
    for a in range(1, LENGTHS[0] + 1):
        for b in range(1, LENGTHS[1] + 1):
            for c in range(1, LENGTHS[2] + 1):
                lengths = ((32, a), (16, b), (16, c))
                values = [v ^ 1 << (w - n) for v, (w, n) in zip(ALLOWED, lengths)]
                masks = [(1 << w) - (1 << (w - n)) for w, n in lengths]
                all_of.append(([v & m for v, m in zip(values, masks)], masks))
    random.Random(1).shuffle(all_of)
    return all_of


def request(family, dp, n, flow):
    """NEW of flow `n`, or DEL without `flow`."""
    attrs = attr(FLOW.UFID, struct.pack("=4I", n, 1, 2, 3))
    if flow:
        (src, dport, sport), (src_mask, dport_mask, sport_mask) = flow
        key = [k_port(IN), k_eth(), k_type(0x800), attr(KEY.IPV4, be32(src) + ip4("10.0.0.2") + b"\x11\0\x40\0"), k_udp(sport, dport)]
        mask = [k_port(0xffffffff), k_type(0xffff), attr(KEY.IPV4, be32(src_mask) + b"\0" * 4 + b"\xff\0\0\xff"),
                attr(KEY.UDP, be16(sport_mask) + be16(dport_mask))]
        attrs += nest(FLOW.KEY, *key) + nest(FLOW.MASK, *mask) + nest(FLOW.ACTIONS, a_output(OUT))
    body = struct.pack("=BBHi", NEW if flow else DEL, 1, 0, dp) + attrs
    return struct.pack("=IHHII", 16 + len(body), family, NLM_F_REQUEST | (NLM_F_CREATE if flow else 0), 1, 0) + body


def send(s, requests):
    for at in range(0, len(requests), 64):
        s.s.send(b"".join(requests[at:at + 64]))


def counts(s, dp):
    reply = s.dp(GET, dp).messages[0]
    hit, missed, lost, n = struct.unpack("=4Q", reply.get(DP.STATS))
    return n, missed, struct.unpack_from("=QI", reply.get(DP.MEGAFLOW_STATS))[1]


def churn(dp, some, until):
    """Installs and deletes the others, in another order each time."""
    s = Sock()
    family = s.family("ovs_flow")
    rng = random.Random(2)
    rounds = 0
    while time.monotonic() < until:
        for make in (True, False):
            rng.shuffle(some)
            send(s, [request(family, dp, n, flow if make else None) for n, flow in some])
            n, _, masks = counts(s, dp)
            want = STAY + (len(some) if make else 0)
            if (n, masks) != (want, want):
                sys.exit("%d flows and %d masks, not %d" % (n, masks, want))
        rounds += 1
    print("%d rounds" % rounds)


subprocess.run(["modprobe", "tun"], check=True)
fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
fcntl.ioctl(fd, 0x400454ca, struct.pack("16sH22x", b"t1", 0x1002))  # TUNSETIFF: IFF_TAP | IFF_NO_PI
subprocess.run("ip link add p2 type dummy".split(), check=True)
s = Sock()
dp = s.new_dp("dp0")
for name, number in (("t1", IN), ("p2", OUT)):
    with open("/proc/sys/net/ipv6/conf/%s/disable_ipv6" % name, "w") as f:
        f.write("1")
    subprocess.run(["ip", "link", "set", name, "up"], check=True)
    s.new_port(dp, name, number)
every = list(enumerate(flows()))
stay, others = every[:STAY], every[STAY:]
family = s.family("ovs_flow")
send(s, [request(family, dp, n, flow) for n, flow in stay])
text = lambda n: ".".join(str(b) for b in n.to_bytes(4, "big"))  # noqa: E731
frames = []
for _, ((src, dport, sport), _) in stay:
    frames.append(eth(0x800, ipv4(17, udp(b"\0" * 18, sport, dport, text(src)), text(src))))
until = time.monotonic() + SECONDS
child = os.fork()
if not child:
    try:
        churn(dp, others, until)
        sys.stdout.flush()
        os._exit(0)
    except BaseException as e:
        print("churn: %r" % e, flush=True)
        os._exit(1)
sent = 0
while time.monotonic() < until:
    for frame in frames:
        os.write(fd, frame)
    sent += 1
if os.waitpid(child, 0)[1]:
    sys.exit("churn failed")
time.sleep(1)
for n, _ in stay:
    reply = s.flow(GET, dp, attr(FLOW.UFID, struct.pack("=4I", n, 1, 2, 3)))
    seen = struct.unpack_from("=Q", reply.messages[0].get(FLOW.STATS, b"\0" * 16))[0]
    if seen != sent:
        sys.exit("flow %d: %d packets sent, %d counted" % (n, sent, seen))
n, missed, masks = counts(s, dp)
print("each of %d flows counted %s packets; %d missed" % (STAY, "all" if sent > 100 else "few", missed))
if (n, masks, missed) != (STAY, STAY, 0):
    sys.exit("%d flows, %d masks, %d packets missed" % (n, masks, missed))
