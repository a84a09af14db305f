# SPDX-License-Identifier: GPL-2.0
"""What the VM does in a benchmark: each `window` is one counted stretch, named on a line of its own.

Packets: pktgen puts 64-byte UDP frames into a dummy port; one megaflow sends them to another.
Flows: 10,000 megaflows that match five fields each, installed in batches and dumped once.
"""

import ctypes
import os
import shutil
import subprocess
import sys

from ovsnl import *

mark = ctypes.CDLL("/guest/bench/mark.so")
PACKETS = [int(n) for n in os.environ["PACKETS"].split(",")]
FLOWS = int(os.environ["FLOWS"])
CALLS = []


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


def main():
    print("uname", os.uname().release)
    subprocess.run(["modprobe", "pktgen"], check=True)
    s = Sock()
    dp = s.new_dp("dp0")
    for i in (1, 2):
        subprocess.run(["ip", "link", "add", "p%d" % i, "type", "dummy"], check=True)
        write("/proc/sys/net/ipv6/conf/p%d/disable_ipv6" % i, "1")
        subprocess.run(["ip", "link", "set", "p%d" % i, "up"], check=True)
        s.new_port(dp, "p%d" % i, i)
    key = [k_port(1), k_eth(), k_type(0x800), k_ipv4(), k_udp()]
    mask = [k_port(0xffffffff), k_type(0xffff), attr(KEY.IPV4, b"\0" * 11 + b"\xff")]
    r = s.new_flow(dp, key, [a_output(2)], mask)
    if r.errno:
        sys.exit("flow: " + r.error)

    pg = "/proc/net/pktgen/"
    write(pg + "kpktgend_0", "rem_device_all")
    write(pg + "kpktgend_0", "add_device p1")
    for line in ("xmit_mode netif_receive", "pkt_size 64", "dst 10.0.0.2", "dst_mac 02:00:00:00:00:02", "src_min 10.0.0.1",
                 "src_max 10.0.0.1", "udp_src_min 9", "udp_src_max 9", "flag NO_TIMESTAMP", "delay 0"):
        write(pg + "p1", line)

    def send(count):
        write(pg + "p1", "count %d" % count)
        before = s.flow(GET, dp, nest(FLOW.KEY, *key)).messages[0].get(FLOW.STATS, b"\0" * 16)
        window("packets %d" % count, lambda: write(pg + "pgctrl", "start"))
        after = s.flow(GET, dp, nest(FLOW.KEY, *key)).messages[0].get(FLOW.STATS, b"\0" * 16)
        passed = struct.unpack("=Q", after[:8])[0] - struct.unpack("=Q", before[:8])[0]
        if passed != count:
            sys.exit("%d packets sent, %d forwarded by the flow" % (count, passed))

    for count in [PACKETS[0]] + PACKETS:  # the first window warms caches up and is thrown away
        send(count)
    s.flow(DEL, dp)

    # Requests of one batch go in one send, with no ACK: what is counted is the work on flows.
    family, exact = s.family("ovs_flow"), [k_port(0xffffffff), k_type(0xffff),
                                         attr(KEY.IPV4, b"\xff" * 9 + b"\0\0\xff"), attr(KEY.UDP, b"\xff" * 4)]
    batches, batch = [], b""
    for n in range(FLOWS + 100):
        k = [k_port(1), k_eth(), k_type(0x800), k_ipv4("10.%d.%d.%d" % (n >> 16, n >> 8 & 255, n & 255)), k_udp(1024 + n % 5000, 53)]
        body = struct.pack("=BBHi", NEW, 1, 0, dp) + attr(FLOW.UFID, struct.pack("=4I", n, 1, 2, 3)) + nest(
            FLOW.KEY, *k) + nest(FLOW.MASK, *exact) + nest(FLOW.ACTIONS, a_output(2))
        batch += struct.pack("=IHHII", 16 + len(body), family, NLM_F_REQUEST | NLM_F_CREATE, 1, 0) + body
        if n == 99 or len(batch) > 20000:
            batches.append(batch)
            batch = b""
    batches.append(batch)
    s.s.send(batches[0])  # the first 100 flows bring the mask and the slab caches to life
    before = memory()

    def install():
        for b in batches[1:]:
            s.s.send(b)
    window("install", install)
    after = memory()
    flows = struct.unpack("=4Q", s.dp(GET, dp).messages[0].get(DP.STATS))[3]
    if flows != FLOWS + 100:
        sys.exit("%d flows installed" % flows)
    total = 0
    for name, (count, size) in sorted(after[0].items()):
        d = (count - before[0].get(name, (0, 0))[0]) * size
        total += d
        if abs(d) >= FLOWS * 4:
            print("slab %s %d" % (name, d))
    print("memory slab %d" % total)
    print("memory pages %d" % (after[1] - before[1]))

    request = struct.pack("=IHHII", 24, family, NLM_F_REQUEST | NLM_F_DUMP, 2, 0) + struct.pack("=BBHi", GET, 1, 0, dp)

    def dump():
        s.s.send(request)
        got = 0
        buf = bytearray(1 << 16)
        while True:
            n, at = s.s.recv_into(buf), 0
            while at + 16 <= n:
                length, kind = struct.unpack_from("=IH", buf, at)
                if kind == NLMSG_DONE:
                    return got
                got += 1
                at += (length + 3) & ~3
    dump()
    got = window("dump", dump)
    if got != FLOWS + 100:
        sys.exit("%d flows dumped" % got)
    shutil.copyfile("/proc/kallsyms", os.environ["OUT"] + "/kallsyms")


main()
