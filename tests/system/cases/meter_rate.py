# SPDX-License-Identifier: GPL-2.0
# title: packets through a meter in real time, alone and from two CPUs at once: rate, burst, counters (M6, B62)
# smp: 2
# timeout: 120
import os
import struct
import sys
import time

from ovsnl import *
from wire import *

s = Sock()
DP0 = s.new_dp("dp0", 1000)
for n in (1, 2):
    veth("p%d" % n, "q%d" % n)
    s.new_port(DP0, "p%d" % n, n)
FRAME = MAC2 + MAC1 + b"\x12\x34" + b"\0" * 486  # 4000 bits
r = s.new_flow(DP0, [k_port(1), k_eth(), k_type(0x1234)], [a_meter(1), a_output(2)])
if r.errno:
    sys.exit("flow: " + r.error)
failed = False


def limit(kbps, rate, burst):
    band = nest(0, attr(BAND.TYPE, u32(1)), attr(BAND.RATE, u32(rate)), attr(BAND.BURST, u32(burst)))
    r = s.meter(METER_SET, DP0, attr(METER.ID, u32(1)), attr(METER.CLEAR), nest(METER.BANDS, band), *[attr(METER.KBPS)] * kbps)
    if r.errno:
        sys.exit("meter: " + r.error)


def counted():
    """Packets and bytes of the meter, and those that exceeded its band."""
    m = s.meter(METER_GET, DP0, attr(METER.ID, u32(1))).messages[0]
    inner = parse(parse(m.get(METER.BANDS))[0][1])
    return struct.unpack("=QQ", m.get(METER.STATS)) + struct.unpack("=QQ", first(inner, BAND.STATS))


def sent():
    with open("/sys/class/net/p2/statistics/tx_packets") as f:
        return int(f.read())


def check(what, ok, *details):
    global failed
    failed = failed or not ok
    print("%s %s: %s" % ("ok" if ok else "WRONG", what, " ".join(map(str, details))))


def flood(seconds):
    """As fast as this process can; when each packet left."""
    wire, times, end = Wire("q1"), [], time.monotonic() + seconds
    while not times or times[-1] < end:
        wire.send(FRAME)
        times.append(time.monotonic())
    return times


def should_pass(times, rate, burst, each):
    """A bucket in real numbers. An emulated machine stalls longer than a bucket takes to fill: so packet by packet."""
    level, last, n = burst, times[0], 0
    for t in sorted(times):
        level, last = min(burst, level + rate * max(0, t - last)), t
        if level >= each:
            level, n = level - each, n + 1
    return n


def measure(what, kbps, rate, burst, each, send):
    limit(kbps, rate, burst)
    before, times = sent(), send()
    time.sleep(0.2)
    n, passed, want = len(times), sent() - before, should_pass(times, rate, burst, each)
    most = (burst + rate * (max(times) - min(times) + 0.1)) / each
    check(what, 0.9 * want - 2 <= passed <= min(1.1 * want + 2, most) and n > 2 * passed, n, "sent,", passed, "passed, wanted", want, "at most", round(most))
    packets, octets, over, over_octets = counted()
    check("counters", (packets, octets, over, over_octets) == (n, 500 * n, n - passed, 500 * (n - passed)), packets, octets, over, over_octets)


def two_cpus():
    pipes = []
    for cpu in (0, 1):
        r, w = os.pipe()
        if os.fork() == 0:
            os.sched_setaffinity(0, {cpu})
            with open(w, "wb") as f:
                f.write(b"".join(struct.pack("=d", t) for t in flood(3)))
            os._exit(0)
        os.close(w)
        pipes.append(open(r, "rb"))
    return [t for p in pipes for t, in struct.iter_unpack("=d", p.read())]


measure("100 packets/s, 20 at once", 0, 100, 20, 1, lambda: flood(3))
measure("400 kbit/s, 80 kbit at once", 1, 400, 80, 4, lambda: flood(3))
# Every packet is counted once, and the rate is that of one.
measure("200 packets/s, 50 at once, two CPUs", 0, 200, 50, 1, two_cpus)
sys.exit(failed)
