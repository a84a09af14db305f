# SPDX-License-Identifier: GPL-2.0
# title: 60 s of traffic while two processes add and delete flows, ports, devices, namespaces, datapaths
# group: stress
# timeout: 240
# smp: 2
import os
import random
import socket
import subprocess
import sys
import time

from ovsnl import *
from rtnl import Namespace, Rtnl

SECONDS = int(os.environ.get("CHURN", 60))
FRAME = MAC2 + MAC1 + bytes.fromhex("0800 4500002e000000004011 0000 0a000001 0a000002 03e807d0 001a0000".replace(" ", "")) + b"\0" * 18


def references():
    with open("/proc/modules") as f:
        return next(int(l.split()[2]) for l in f if l.startswith("openvswitch "))


def slabs():
    with open("/proc/slabinfo") as f:
        return {r[0]: int(r[1]) * int(r[3]) for r in (l.split() for l in f.readlines()[2:])}


def flow_parts(rng):
    port, n = rng.randrange(1, 6), rng.randrange(60)
    key = [k_port(port), k_eth(), k_type(0x800), k_ipv4("10.0.0.%d" % (n % 8)), k_udp(1000 + n)]
    cut = rng.randrange(33)
    mask = [k_port(0xffffffff), k_type(0xffff), attr(KEY.IPV4, be32(0xffffffff << cut & 0xffffffff) + b"\0" * 4 + b"\xff\0\0\xff"),
            attr(KEY.UDP, be16(0xffff << rng.randrange(16) & 0xffff) + b"\0\0")]
    acts = rng.choice([[a_output(rng.randrange(1, 6))], [a_output(n) for n in range(6)], [a_recirc(1), a_output(2)],
                       [a_clone(a_push_vlan(0x1001), a_output(2)), a_user(4242), a_output(3)], [],
                       [a_sample(0x80000000, a_set(k_eth(MAC2, MAC1)), a_output(2)), a_hash(0, 1), a_output(3)],
                       [a_set(k_ipv4("10.9.9.9", "10.8.8.8", 17, 0, 63)), a_set(k_udp(7, 8)), a_trunc(20), a_output(2)]])
    return key, mask, acts


def changer(me, end, report):
    """Random changes until `end`; every errno is fine, the kernel staying sane is the test."""
    rng = random.Random(me)
    s, links = Sock(), Rtnl()
    done = dict.fromkeys(("flow", "port", "device", "namespace", "datapath", "dump"), 0)
    own = "dp%d" % me
    while time.monotonic() < end:
        dp = 1000 + rng.randrange(3)  # 1000 is shared and rarely dies, 1001 and 1002 come and go
        what = rng.choices(list(done), (60, 15, 4, 2, 4, 8))[0]
        done[what] += 1
        if what == "flow":
            key, mask, acts = flow_parts(rng)
            op = rng.randrange(10)
            ufid = attr(FLOW.UFID, struct.pack("=4I", rng.randrange(40), 0, 0, 1))
            if op < 5:
                s.new_flow(dp, key, acts, mask, *([ufid] if op < 2 else []), flags=rng.choice([0, NLM_F_CREATE, NLM_F_ECHO]))
            elif op < 8:
                s.flow(DEL, dp, ufid if op < 6 else nest(FLOW.KEY, *key), flags=rng.choice([0, NLM_F_ECHO]))
            elif op == 8:
                s.flow(SET, dp, nest(FLOW.KEY, *key), nest(FLOW.ACTIONS, *acts))
            elif rng.random() < 0.1:
                s.flow(DEL, dp)
        elif what == "port":
            n = rng.randrange(1, 6)
            if rng.random() < 0.5:
                s.vport(DEL, dp, attr(VPORT.PORT_NO, u32(n)))
            else:
                name, kind = rng.choice([("p%d" % n, NETDEV), ("in%d" % n, INTERNAL)])
                s.vport(NEW, dp, attr(VPORT.NAME, name.encode() + b"\0"), attr(VPORT.TYPE, u32(kind)), attr(VPORT.UPCALL_PID, u32(4242)),
                        attr(VPORT.PORT_NO, u32(n)))
                if kind == INTERNAL and rng.random() < 0.5:
                    links.up(name)
        elif what == "device":
            n = rng.randrange(1, 5)
            if links.delete("p%d" % n) or rng.random() < 0.9:
                links.veth("p%d" % n, "q%d" % n)
        elif what == "namespace":
            ns = Namespace()
            links.move(rng.choice(["in1", "in2", "q3", "p4"]), ns.fd)
            with ns:
                t = Sock()
                t.dp(NEW, 0, attr(DP.NAME, b"dpx\0"), attr(DP.UPCALL_PID, u32(0)), attr(DP.IFINDEX, u32(1009)))
                if rng.random() < 0.5:
                    t.vport(NEW, 1009, attr(VPORT.NAME, b"p4\0"), attr(VPORT.TYPE, u32(NETDEV)), attr(VPORT.UPCALL_PID, u32(0)))
                    t.new_flow(1009, *flow_parts(rng)[::2])
                t.close()
            ns.close()
        elif what == "datapath":
            if rng.random() < 0.5 and dp != 1000:
                s.dp(DEL, dp)
            else:
                n = 1001 + rng.randrange(2)
                s.dp(NEW, 0, attr(DP.NAME, b"dp%d\0" % (n - 1000)), attr(DP.UPCALL_PID, u32(0)), attr(DP.IFINDEX, u32(n)))
                s.dp(SET, dp, attr(DP.USER_FEATURES, u32(rng.choice([0, 1, 3]))), attr(DP.MASKS_CACHE_SIZE, u32(rng.choice([0, 256, 1024]))))
        else:
            s.dump(rng.choice(["ovs_datapath", "ovs_vport", "ovs_flow"]), dp)
    with open(report, "w") as f:
        f.write(" ".join("%s %d" % x for x in done.items()))


def traffic(end, report):
    """Frames into every q device, whatever exists at the moment; upcalls are read and dropped."""
    sent, sock = 0, {}
    up = Sock(pid=4242)
    up.s.setblocking(False)
    while time.monotonic() < end:
        for n in range(1, 5):
            try:
                if n not in sock:
                    t = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
                    t.bind(("q%d" % n, 0))
                    sock[n] = t
                for k in range(8):
                    sock[n].send(FRAME[:26] + bytes([10, 0, 0, sent & 7]) + FRAME[30:34] + be16(1000 + sent % 60) + FRAME[36:])
                    sent += 1
            except OSError:
                if n in sock:
                    sock.pop(n).close()
        try:
            while True:
                up.s.recv(65536)
        except OSError:
            pass
    with open(report, "w") as f:
        f.write("%d frames" % sent)


def write(path, line):
    with open("/proc/net/pktgen/" + path, "w") as f:
        f.write(line + "\n")


def generator():
    """The kernel's own generator feeds p5, which stays, without end."""
    subprocess.run(["modprobe", "pktgen"], check=True)
    subprocess.run(["ip", "link", "add", "p5", "type", "dummy"], check=True)
    Rtnl().up("p5")
    write("kpktgend_1", "rem_device_all")
    write("kpktgend_1", "add_device p5")
    for line in ("xmit_mode netif_receive", "pkt_size 60", "dst 10.0.0.2", "dst_mac 02:00:00:00:00:02", "src_min 10.0.0.0", "src_max 10.0.0.7",
                 "src_mac 02:00:00:00:00:01", "udp_src_min 1000", "udp_src_max 1059", "flag IPSRC_RND", "flag UDPSRC_RND", "count 0", "delay 50000"):
        write("p5", line)


def everything():
    s = Sock()
    links = Rtnl()
    for n in range(1, 5):
        links.veth("p%d" % n, "q%d" % n)
    s.new_dp("dp0", 1000)
    for n in range(1, 6):
        s.new_port(1000, "p%d" % n, n, NETDEV, 4242)
    s.close()


def nothing():
    s = Sock()
    for m in s.dump("ovs_datapath").messages:
        s.dp(DEL, m.dp_ifindex)
    s.close()
    links = Rtnl()
    for n in range(1, 5):
        links.delete("p%d" % n)
        links.delete("q%d" % n)
    for _ in range(100):  # devices leave their namespaces in the background
        if references() == 0:
            break
        time.sleep(0.1)
    time.sleep(1)


def spell(seconds):
    everything()
    end = time.monotonic() + seconds
    children = []
    for i, (work, arg) in enumerate(((changer, 1), (changer, 2), (traffic, None))):
        pid = os.fork()
        if pid == 0:
            try:
                os.sched_setaffinity(0, {i} if i < 2 else {0, 1})
                work(*([arg] if arg else []), end, "/run/work/report%d" % i)
            except BaseException as e:
                print("process %d: %r" % (i, e))
                os._exit(1)
            os._exit(0)
        children.append(pid)
    storm = os.fork()
    if storm == 0:
        write("pgctrl", "start")  # until stopped
        os._exit(0)
    bad = 0
    while children:
        pid, status = os.wait()
        children.remove(pid)
        bad |= status
    write("pgctrl", "stop")
    os.waitpid(storm, 0)
    with open("/proc/net/pktgen/p5") as f:
        generated = next((l.split()[1] for l in f if "pkts-sofar" in l), "?")
    reports = []
    for i in range(3):
        with open("/run/work/report%d" % i) as f:
            reports.append(f.read())
    print(":: %s; %s generated" % ("; ".join(reports), generated))
    nothing()
    if bad:
        sys.exit("a process failed")


generator()
base = references()
spell(5)  # fills what the kernel keeps for later: its memory is the measure
before = slabs()
spell(SECONDS)
if references() != base:
    sys.exit("module references: %d, at the start %d" % (references(), base))
after = slabs()
left = {n: v for n, v in after.items() if n.startswith("sw_flow") and v > before.get(n, 0) + 32768}
grown = {n: after[n] - before.get(n, 0) for n in after if after[n] - before.get(n, 0) > 100000}
total = sum(after.values()) - sum(before.values())
print("slab bytes since the first spell: %+d %s" % (total, grown))
if left:
    sys.exit("flows left: %s" % left)
if total > 3 << 20:
    sys.exit("memory grows")
