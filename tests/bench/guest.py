# SPDX-License-Identifier: GPL-2.0
"""What the VM does in a benchmark: each `window` is one counted stretch, named on a line of its own.

Packets: pktgen puts 64-byte UDP frames into a dummy port; one megaflow sends them to another. Then the rows of rows.py.
Flows: megaflows that match five fields each, installed in batches, dumped once, deleted in batches.
Masks: the tables of masks.py, with random packets, with packets for each mask in turn, and what they cost the packets of another port.
"""

import ctypes
import fcntl
import os
import select
import shutil
import socket
import subprocess
import sys
import time

import masks
import rows
from ovsnl import *

mark = ctypes.CDLL("/guest/bench/mark.so")
PACKETS = [int(n) for n in os.environ["PACKETS"].split(",")]
ROW_PACKETS = [int(n) for n in os.environ["ROW_PACKETS"].split(",")]
FLOWS = [int(n) for n in os.environ["FLOWS"].split(",") if n]
MASKS = [int(n) for n in os.environ["MASKS"].split(",") if n]


def window(name, work):
    mark.mark_start()
    result = work()
    mark.mark_stop()
    print("window %s" % name)
    return result


def write(path, line):
    with open(path, "w") as f:
        f.write(line + "\n")


def memory():
    """Objects of every slab cache, and bytes of pages that the kernel itself holds."""
    write("/proc/sys/vm/drop_caches", "3")
    slab = {}
    with open("/proc/slabinfo") as f:
        for line in f.readlines()[2:]:
            w = line.split()
            slab[w[0]] = (int(w[1]), int(w[3]))
    with open("/proc/meminfo") as f:
        info = {l.split(":")[0]: int(l.split()[1]) * 1024 for l in f}
    with open("/proc/zoneinfo") as f:  # free pages that a CPU keeps at hand are not in MemFree
        info["MemFree"] += sum(int(l.split()[1]) * 4096 for l in f if l.split()[:1] == ["count:"])
    own = info["MemTotal"] - sum(info[f] for f in ("MemFree", "Buffers", "Cached", "AnonPages", "PageTables", "KernelStack",
                                                   "SReclaimable"))
    return slab, own


def tx_packets(device):
    with open("/sys/class/net/%s/statistics/tx_packets" % device) as f:
        return int(f.read())


def check(what, reply):
    if reply.errno:
        sys.exit("%s: %s %s" % (what, reply.error, reply.note))


def forwarding(s, dp):
    """Plain forwarding: pktgen puts frames into one dummy, they leave by another."""
    key = [k_port(1), k_eth(), k_type(0x800), k_ipv4(), k_udp()]
    mask = [k_port(0xffffffff), k_type(0xffff), attr(KEY.IPV4, b"\0" * 11 + b"\xff")]
    check("flow", s.new_flow(dp, key, [a_output(2)], mask))
    pg = "/proc/net/pktgen/"
    write(pg + "kpktgend_0", "rem_device_all")
    write(pg + "kpktgend_0", "add_device p1")
    for line in ("xmit_mode netif_receive", "pkt_size 64", "dst 10.0.0.2", "dst_mac 02:00:00:00:00:02", "src_min 10.0.0.1",
                 "src_max 10.0.0.1", "udp_src_min 9", "udp_src_max 9", "flag NO_TIMESTAMP", "delay 0"):
        write(pg + "p1", line)

    def send(count):
        write(pg + "p1", "count %d" % count)
        before = tx_packets("p2")
        window("forward %d" % count, lambda: write(pg + "pgctrl", "start"))
        passed = tx_packets("p2") - before
        if passed != count:
            sys.exit("%d packets sent, %d forwarded" % (count, passed))

    for count in [PACKETS[0]] + PACKETS:  # the first window warms caches up and is thrown away
        send(count)
    s.flow(DEL, dp)


def tap(name):
    """A device that has in its receive path what is written to the file."""
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, 0x400454ca, struct.pack("16sH22x", name.encode(), 0x1002))  # TUNSETIFF: IFF_TAP | IFF_NO_PI
    return fd


def ports(s, dp):
    """The ports of rows.py, and what is around the switch. Returns the taps by name."""
    taps = {name: tap(name) for name in ("t1", "w0")}
    run = lambda words: subprocess.run(["ip", *words.split()], check=True)  # noqa: E731
    run("link add u0 type dummy")
    run("link add vx type vxlan external dstport 4789")
    run("link add gn type geneve external")
    run("link set w0 address 02:00:00:00:32:01")
    for name in ("t1", "w0", "u0", "vx", "gn"):
        write("/proc/sys/net/ipv6/conf/%s/disable_ipv6" % name, "1")
        run("link set %s up" % name)
    run("addr add 172.31.0.1/24 dev u0")
    run("addr add 172.32.0.1/24 dev w0")
    for name, number in (("t1", rows.IN), ("vx", rows.VXLAN), ("gn", rows.GENEVE)):
        s.new_port(dp, name, number)
    band = nest(0, attr(BAND.TYPE, u32(1)), attr(BAND.RATE, u32(1 << 31)), attr(BAND.BURST, u32(1 << 31)))
    check("meter", s.meter(METER_SET, dp, attr(METER.ID, u32(rows.METER_ID)), attr(METER.KBPS), nest(METER.BANDS, band)))
    for frame, action in rows.CONNECTIONS:
        check("connection", s.execute(dp, frame, [k_port(rows.IN)], [action, a_output(rows.OUT)]))
    return taps


def row(s, dp, r, fd):
    """Write frames, count what comes out and what each flow has seen."""
    for f in r.flows:
        check(r.name, s.new_flow(dp, f.key, f.actions, f.mask))
    device, copies = r.out
    reader, buf = Sock(pid=rows.READER), bytearray(4096)
    sent = 0

    def send(count):
        for _ in range(count):
            os.write(fd, r.frame)
            for _ in range(r.upcalls):
                reader.s.recv_into(buf, 0, socket.MSG_DONTWAIT)

    for count in [ROW_PACKETS[0]] + ROW_PACKETS:
        before = tx_packets(device)
        window("%s %d" % (r.name, count), lambda: send(count))
        passed = tx_packets(device) - before
        if passed != count * copies:
            sys.exit("%s: %d packets sent, %d came out of %s" % (r.name, count, passed, device))
        if r.upcalls and (r.frame not in buf or select.select([reader.s], [], [], 0)[0]):
            sys.exit("%s: not one upcall for each packet, with the packet in it" % r.name)
        sent += count
    reader.close()
    for f in r.flows:
        reply = s.flow(GET, dp, nest(FLOW.KEY, *f.key))
        check(r.name, reply)
        seen = struct.unpack_from("=Q", reply.messages[0].get(FLOW.STATS, b"\0" * 16))[0]
        if seen != sent:
            sys.exit("%s: %d packets sent, %d met a flow" % (r.name, sent, seen))
    check(r.name, s.flow(DEL, dp))


class Flows:
    """Requests about flows of five fields, by UFID. They go in batches, with no ACK: what is counted is the work on flows."""

    WARM = 100  # the first flows bring the mask and the slab caches to life

    def __init__(self, s, dp, count):
        self.s, self.dp, self.count, self.family = s, dp, count, s.family("ovs_flow")
        exact = [k_port(0xffffffff), k_type(0xffff), attr(KEY.IPV4, b"\xff" * 9 + b"\0\0\xff"), attr(KEY.UDP, b"\xff" * 4)]
        # In the template the first word of the UFID and source address and port have places, which each flow fills.
        key = [k_port(1), k_eth(), k_type(0x800), k_ipv4("1.2.3.4"), k_udp(0x5678, 53)]
        self.template = self.message(NEW, NLM_F_CREATE, nest(FLOW.KEY, *key) + nest(FLOW.MASK, *exact) + nest(FLOW.ACTIONS, a_output(2)))
        self.at = [self.template.index(b) for b in (b"UFID", b"\1\2\3\4", b"\x56\x78")]

    def message(self, cmd, flags, attrs):
        body = struct.pack("=BBHi", cmd, 1, 0, self.dp) + attr(FLOW.UFID, b"UFID" + struct.pack("=3I", 1, 2, 3)) + attrs
        return struct.pack("=IHHII", 16 + len(body), self.family, NLM_F_REQUEST | flags, 1, 0) + body

    def news(self, first, end):
        ufid, ip, port = self.at

        def one(n):
            b = bytearray(self.template)
            b[ufid:ufid + 4] = u32(n)
            b[ip:ip + 4] = be32(0x0a000000 + n)
            b[port:port + 2] = be16(1024 + n % 5000)
            return b
        return batches([one(n) for n in range(first, end)])

    def dels(self, first, end):
        b = self.message(DEL, 0, b"")
        at = b.index(b"UFID")
        return batches([b[:at] + u32(n) + b[at + 4:] for n in range(first, end)])

    def send(self, requests):
        for b in requests:
            self.s.s.send(b)

    def dump(self):
        request = struct.pack("=IHHII", 24, self.family, NLM_F_REQUEST | NLM_F_DUMP, 2, 0) + struct.pack("=BBHi", GET, 1, 0, self.dp)
        self.s.s.send(request)
        got = 0
        buf = bytearray(1 << 16)
        while True:
            n, at = self.s.s.recv_into(buf), 0
            while at + 16 <= n:
                length, kind = struct.unpack_from("=IH", buf, at)
                if kind == NLMSG_DONE:
                    return got
                got += 1
                at += (length + 3) & ~3

    def expect(self, n):
        flows = struct.unpack("=4Q", self.s.dp(GET, self.dp).messages[0].get(DP.STATS))[3]
        if flows != n:
            sys.exit("%d flows in the table, not %d" % (flows, n))

    def measure(self):
        end = self.WARM + self.count
        self.send(self.news(0, self.WARM))
        news, dels = self.news(self.WARM, end), self.dels(self.WARM, end)
        before = memory()
        window("install %d" % self.count, lambda: self.send(news))
        after = memory()
        self.expect(end)
        total = 0
        for name, (count, size) in sorted(after[0].items()):
            more = count - before[0].get(name, (0, 0))[0]
            if more >= self.count // 2:  # one object each, or every second; what files and processes take comes and goes
                total += more * size
                print("slab %d %s %d" % (self.count, name, more * size))
        print("memory %d slab %d" % (self.count, total))
        print("memory %d pages %d" % (self.count, after[1] - before[1]))
        self.dump()
        got = window("dump %d" % self.count, self.dump)
        if got != end:
            sys.exit("%d flows dumped" % got)

        def delete():
            self.send(dels)
            time.sleep(1)  # grace periods end: what is freed then belongs to the price
        window("delete %d" % self.count, delete)
        self.expect(self.WARM)
        check("flush", self.s.flow(DEL, self.dp))


class Masks:
    """Tables of many masks. Packets come from pktgen into port 1, random in what an attack's flows match, of which most then
    match the shortest prefixes; those for each flow in turn, and those of other ports, are written to a tap."""

    def __init__(self, s, dp, fd):
        self.s, self.dp, self.fd, self.family = s, dp, fd, s.family("ovs_flow")

    def install(self, name, flows):
        tag = name[:4].encode().ljust(4)

        def request(n, key, mask, actions):
            ufid = attr(FLOW.UFID, tag + struct.pack("=3I", n, 2, 3))
            attrs = ufid + nest(FLOW.KEY, *key) + nest(FLOW.MASK, *mask) + nest(FLOW.ACTIONS, *actions)
            body = struct.pack("=BBHi", NEW, 1, 0, self.dp) + attrs
            return struct.pack("=IHHII", 16 + len(body), self.family, NLM_F_REQUEST | NLM_F_CREATE, 1, 0) + body
        requests = batches([request(n, *f) for n, f in enumerate(flows)])
        before = self.flows()

        def send():
            for b in requests:
                self.s.s.send(b)
        window(name, send)
        time.sleep(5)  # the periodic work comes by, and grace periods end: packets do not pay for what is freed then
        if self.flows() - before != len(flows):
            sys.exit("%s: %d flows of %d" % (name, self.flows() - before, len(flows)))

    def flows(self):
        return struct.unpack("=4Q", self.s.dp(GET, self.dp).messages[0].get(DP.STATS))[3]

    def uniform(self, name):
        pg = "/proc/net/pktgen/"
        for line in ("src_min 1.0.0.0", "src_max 223.255.255.255", "udp_src_min 0", "udp_src_max 65535", "udp_dst_min 0",
                     "udp_dst_max 65535", "flag IPSRC_RND", "flag UDPSRC_RND", "flag UDPDST_RND"):
            write(pg + "p1", line)
        # The first window warms up slowly, for eight seconds: the C module puts the masks that are hit most first every four.
        for delay, count in [(8 * 10**9 // PACKETS[0], PACKETS[0])] + [(0, n) for n in PACKETS]:
            write(pg + "p1", "delay %d" % delay)
            write(pg + "p1", "count %d" % count)
            before = tx_packets("p2")
            window("%s %d" % (name, count), lambda: write(pg + "pgctrl", "start"))
            passed = tx_packets("p2") - before
            if passed < count * 0.98:  # what is allowed has no flow
                sys.exit("%s: %d packets sent, %d forwarded" % (name, count, passed))

    def written(self, name, frames):
        """`frames`: makes so many."""
        for count in [ROW_PACKETS[0]] + ROW_PACKETS:
            some, before = frames(count), tx_packets("p2")

            def send():
                for frame in some:
                    os.write(self.fd, frame)
            window("%s %d" % (name, count), send)
            passed = tx_packets("p2") - before
            if passed != count:
                sys.exit("%s: %d packets sent, %d forwarded" % (name, count, passed))

    def measure(self):
        flush = lambda: check("flush", self.s.flow(DEL, self.dp))  # noqa: E731
        plain, frames = masks.victims(rows.IN)
        some = lambda n: (frames * (n // len(frames) + 1))[:n]  # noqa: E731
        for n in MASKS:
            for order in masks.ORDERS:
                self.install("attack %d %s" % (n, order), masks.attack(n, order))
                if order == masks.ORDERS[0] or n in masks.largest(MASKS):
                    self.uniform("masks %d %s" % (n, order))
                flush()
        for n in MASKS:
            flows, frames_of_all = masks.attack(n, masks.ORDERS[0], rows.IN), masks.in_turn(n)
            self.install("turn", flows)
            self.written("turn %d" % n, frames_of_all)
            flush()
        self.install("victims", plain)
        self.written("before", some)
        flush()
        for n in masks.largest(MASKS):
            self.install("attack", masks.attack(n, "random"))
            self.install("victims", plain)
            self.written("during %d" % n, some)
            flush()
        flows, _, zipf = masks.mix(rows.IN)
        self.install("mix", flows)
        self.written("mix", zipf)
        flush()


def batches(requests):
    """Requests put together for one send each."""
    n = max(1, 20000 // len(requests[0]))
    return [b"".join(requests[i:i + n]) for i in range(0, len(requests), n)]


def main():
    print("uname", os.uname().release)
    subprocess.run(["modprobe", "-a", "pktgen", "tun"], check=True)
    s = Sock()
    dp = s.new_dp("dp0")
    for i in (1, 2):
        subprocess.run(["ip", "link", "add", "p%d" % i, "type", "dummy"], check=True)
        write("/proc/sys/net/ipv6/conf/p%d/disable_ipv6" % i, "1")
        subprocess.run(["ip", "link", "set", "p%d" % i, "up"], check=True)
        s.new_port(dp, "p%d" % i, i)
    forwarding(s, dp)
    wanted = [r for r in rows.ROWS if r.name in os.environ["ROWS"].split(",")]
    if wanted or MASKS:
        taps = ports(s, dp)
        for r in wanted:
            row(s, dp, r, taps[r.tap])
    if MASKS:
        Masks(s, dp, taps["t1"]).measure()
    for count in FLOWS:
        Flows(s, dp, count).measure()
    shutil.copyfile("/proc/kallsyms", os.environ["OUT"] + "/kallsyms")


main()
