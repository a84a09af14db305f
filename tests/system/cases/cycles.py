# SPDX-License-Identifier: GPL-2.0
# title: 200 times: load, datapath, ports, flows, traffic, delete, unload; rmmod refused in between
# group: stress
# timeout: 300
# keep-module: yes
import ctypes
import errno
import os
import socket
import subprocess
import sys
import time

from ovsnl import *

CYCLES = int(os.environ.get("CYCLES", 200))
FRAME = MAC2 + MAC1 + bytes.fromhex("0800 4500002e000000004011 0000 0a000001 0a000002 03e807d0 001a0000".replace(" ", "")) + b"\0" * 18


def sh(*cmd, ok=True):
    p = subprocess.run(cmd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if ok and p.returncode:
        sys.exit("%s: %s" % (" ".join(cmd), p.stdout))
    return p


libc = ctypes.CDLL(None, use_errno=True)
SYS_DELETE_MODULE, SYS_FINIT_MODULE = 176, 313


def insmod():
    """Without a process: a fork costs more than the load when emulated."""
    fd = os.open(FILE, os.O_RDONLY)
    if libc.syscall(SYS_FINIT_MODULE, fd, b"", 0):
        sys.exit("insmod: " + os.strerror(ctypes.get_errno()))
    os.close(fd)


def rmmod():
    return 0 if libc.syscall(SYS_DELETE_MODULE, b"openvswitch", os.O_NONBLOCK) == 0 else ctypes.get_errno()


def slabs():
    """Bytes of objects in every slab cache."""
    with open("/proc/slabinfo") as f:
        rows = [l.split() for l in f.readlines()[2:]]
    return {r[0]: int(r[1]) * int(r[3]) for r in rows}


def references():
    with open("/proc/modules") as f:
        return next((int(l.split()[2]) for l in f if l.startswith("openvswitch ")), None)


# Two veth pairs: p1 and p2 become ports, frames go in at q1 and are counted at q2.
for i in (1, 2):
    sh("ip", "link", "add", "p%d" % i, "type", "veth", "peer", "name", "q%d" % i)
    for d in ("p", "q"):
        with open("/proc/sys/net/ipv6/conf/%s%d/disable_ipv6" % (d, i), "w") as f:
            f.write("1")
        sh("ip", "link", "set", "%s%d" % (d, i), "up")
tx = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
tx.bind(("q1", 0))
rx = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
rx.bind(("q2", 0x0800))
rx.settimeout(2)

sh("modprobe", "openvswitch")  # what it depends on stays loaded
FILE = sh("modinfo", "-F", "filename", "openvswitch").stdout.strip()
if rmmod():
    sys.exit("first rmmod")
middle = None
for cycle in range(CYCLES):
    insmod()
    s = Sock()
    dp = s.new_dp("dp0")
    s.new_port(dp, "p1", 1)
    s.new_port(dp, "p2", 2)
    s.new_port(dp, "in1", 3, INTERNAL)
    if rmmod() not in (errno.EBUSY, errno.EAGAIN):
        sys.exit("cycle %d: rmmod went through while a datapath lives" % cycle)
    for n in range(20):
        key = [k_port(1), k_eth(), k_type(0x800), k_ipv4("10.0.0.1"), k_udp(1000 + n)]
        mask = [k_port(0xffffffff), k_type(0xffff), attr(KEY.IPV4, b"\xff" * 9 + b"\0" * 3), attr(KEY.UDP, b"\xff\xff\0\0" if n % 2 else b"\xff" * 4)]
        r = s.new_flow(dp, key, [a_output(3), a_push_vlan(0x1001), a_pop_vlan(), a_clone(a_set(k_prio(1)), a_output(3)), a_output(2)], mask)
        if r.errno:
            sys.exit("cycle %d: flow %d: %s" % (cycle, n, r.error))
    for n in range(10):
        tx.send(FRAME)
    for n in range(10):
        if rx.recv(2000)[:12] != FRAME[:12]:
            sys.exit("cycle %d: not the frame" % cycle)
    if cycle % 3 == 0:
        s.flow(DEL, dp)
    if cycle % 3 == 1:
        s.vport(DEL, dp, attr(VPORT.PORT_NO, u32(2)))
    if s.dp(DEL, dp).errno:
        sys.exit("cycle %d: datapath" % cycle)
    s.close()
    for _ in range(100):
        if rmmod() == 0:
            break
        time.sleep(0.05)
    else:
        sys.exit("cycle %d: rmmod: %d references" % (cycle, references()))
    if any(n.startswith("sw_flow") for n in slabs()):
        sys.exit("cycle %d: slab caches left" % cycle)
    if cycle % 50 == 49:
        print(":: %d cycles" % (cycle + 1))
    if cycle == CYCLES // 4:
        middle = slabs()

end = slabs()
grown = {n: end[n] - middle.get(n, 0) for n in end if abs(end[n] - middle.get(n, 0)) > 65536}
print("slab bytes since cycle %d: %+d %s" % (CYCLES // 4, sum(end.values()) - sum(middle.values()), grown))
if sum(end.values()) - sum(middle.values()) > 1500 * CYCLES:
    sys.exit("memory grows")
