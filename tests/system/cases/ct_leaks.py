# SPDX-License-Identifier: GPL-2.0
# title: connection tracking gives everything back: lists that go, namespaces that end with traffic (A5, B22, B23, B27, B28, B51)
# timeout: 240
# smp: 2
import glob
import os
import subprocess
import sys
import threading
import time

from ctnl import Table, count
from frames import *
from ovsnl import *
from rtnl import *
from wire import *

subprocess.run(["modprobe", "-qr", "nf_nat_ftp"])  # from another case
for m in ("nf_conntrack_netlink", "nf_conntrack_ftp", "nfnetlink_cttimeout"):
    subprocess.run(["modprobe", m], check=True)


def references(module):
    with open("/sys/module/%s/refcnt" % module) as f:
        return int(f.read())


def held():
    return [references(m) for m in ("nf_conntrack_ftp", "nf_nat_ftp", "nfnetlink_cttimeout")]


def holds_nat():
    """As if for kernels that cannot hold a helper's NAT half (WITHOUT=nat_helper_get), the module imports nothing to do it with."""
    for path in glob.glob("/lib/modules/%s/updates/openvswitch.ko" % os.uname().release):
        with open(path, "rb") as f:
            ko = f.read()
        return b"nf_nat_helper_try_module_get\0" in ko or b"nf_ct_add_helper\0" in ko
    return True


def soon(what, is_so):
    deadline = time.monotonic() + 20
    while not is_so():
        if time.monotonic() > deadline:
            sys.exit("not soon: " + what)
        time.sleep(0.1)


if built_in("nf_nat_ftp"):
    print("this kernel has the helpers built in")
    sys.exit(77)

# ---- lists: helpers, their NAT halves and timeout policies are held while a flow has them ----
s, table = Sock(), Table()
if table.timeout_policy("slow", 6, 7777):
    sys.exit("no timeout policy")
dp = s.new_dp("dp0", 1000)
KEY4 = [k_port(1), k_eth(), k_type(0x800), k_ipv4(proto=6), k_tcp(), k_tcp_flags(0)]
for nat in [], [c_nat(attr(NAT.SRC))]:
    r = s.new_flow(dp, KEY4, [a_ct(c_name(CT.HELPER, "ftp"), *nat, zone=5, commit=True)])
    if r.errno or os.path.exists("/sys/module/nf_nat_ftp") != bool(nat):
        sys.exit("with NAT its half of the helper is loaded, without not: %s %s" % (nat, r.error))
    s.flow(DEL, dp, nest(FLOW.KEY, *KEY4))
soon("both given back", lambda: held()[:2] == [1, 0])  # one half holds the other
none = held()
FULL = a_ct(c_name(CT.HELPER, "ftp"), c_name(CT.TIMEOUT, "slow"), c_nat(attr(NAT.SRC)), zone=5, commit=True)
NESTED = [a_clone(FULL, a_sample(5, FULL, a_clone(FULL))), FULL]
for n in range(300 if holds_nat() else 6):  # what cannot be held is asked of modprobe each time
    r = s.new_flow(dp, KEY4, NESTED)
    if r.errno:
        sys.exit("flow: " + r.error)
    if n == 0:
        got = [b - a for a, b in zip(none, held())]
        if got[:2] != [4, 4 if holds_nat() else 0]:
            sys.exit("held by four actions: %s" % got)
    if n % 3 == 0:
        s.flow(SET, dp, nest(FLOW.KEY, *KEY4), nest(FLOW.ACTIONS, *NESTED[:1]))
    s.flow(DEL, dp, nest(FLOW.KEY, *KEY4))
    if s.new_flow(dp, KEY4, NESTED + [a_output(65535)]).error != "EINVAL":
        sys.exit("a bad list")
    s.execute(dp, eth(0x800, ipv4(6, tcp())), [k_port(1)], NESTED)
soon("all given back", lambda: held() == none)
s.new_flow(dp, KEY4, NESTED)
s.dp(DEL, dp)
soon("all given back with the datapath", lambda: held() == none)
table.flush()
if table.delete_policy("slow"):
    sys.exit("the timeout policy is still in use")
s.close()
print("lists ok")

# ---- namespaces: they end while packets are tracked, fragments wait and limits are asked for ----
F = [eth(0x800, ipv4(17, udp(b"x" * 64, 1000 + n, 53))) for n in range(64)]
PART = eth(0x800, ipv4(17, udp(b"y" * 256)[:104], frag=0x2000))


def life(round_):
    ns = Namespace()
    with ns:
        s, table = Sock(), Table()
        dp = s.new_dp("dp0", 1000)
        for n in (1, 2):
            veth("p%d" % n, "q%d" % n)
            s.new_port(dp, "p%d" % n, n)
        meta = [k_port(0xffffffff), k_recirc(0xffffffff), k_type(0xffff)]

        def flow(recirc, state, *actions):
            key = [k_port(1), k_recirc(recirc), attr(KEY.CT_STATE, u32(state)), k_eth(), k_type(0x800), k_ipv4(), k_udp()]
            r = s.new_flow(dp, key, list(actions), meta + [attr(KEY.CT_STATE, u32(0x23 if recirc else 0))])
            if r.errno:
                sys.exit("flow: " + r.error)

        flow(0, 0, a_ct(zone=1), a_clone(a_ct(zone=2, commit=True)), a_recirc(1))
        flow(1, 0x21, a_ct(c_nat(attr(NAT.SRC), attr(NAT.IP_MIN, ip4("192.0.2.1"))), c_labels(b"\7" * 16), zone=1, commit=True), a_output(2))
        flow(1, 0x22, a_ct(c_nat(), zone=1), a_output(2))
        w = Wire("q1")
        stop = threading.Event()

    def asking():
        """SET and GET until the end; the socket keeps the namespace, as it does in C."""
        with ns:
            t = Sock()
            limits = [struct.pack("=iII", z, 1000, 0) for z in range(20)]
            n = 0
            while not stop.is_set() or n == 0:
                t.request("ovs_ct_limit", 1, 0, attr(CT_LIMIT.ZONE_LIMIT, b"".join(limits)))
                r = t.request("ovs_ct_limit", 3, 0)
                if r.errno:
                    os._exit(9)
                t.request("ovs_ct_limit", 2, 0, attr(CT_LIMIT.ZONE_LIMIT, b"".join(limits[n % 20:])))
                n += 1
            t.close()

    def sending():
        n = 0
        while not stop.is_set():
            try:
                w.send(PART if n % 9 == 0 else F[n % 64])
            except OSError:
                pass
            n += 1

    threads = [threading.Thread(target=asking), threading.Thread(target=sending)]
    for t in threads:
        t.start()
    time.sleep(0.4)
    with ns:
        if not count():
            sys.exit("nothing was tracked")
        if round_ % 2:
            s.dp(DEL, dp)
            time.sleep(0.05)
    stop.set()
    for t in threads:
        t.join()
    for sock in (s, table.s, w.s):
        (sock.close if hasattr(sock, "close") else sock.s.close)()
    ns.close()


def namespaces():
    with open("/sys/kernel/slab/net_namespace/shrink", "w") as f:
        f.write("1")  # or free objects of CPUs' own slabs count
    with open("/proc/slabinfo") as f:
        return next(int(l.split()[1]) for l in f if l.startswith("net_namespace "))


for round_ in range(8):
    life(round_)
soon("namespaces gone", lambda: namespaces() <= 3)  # their slab counts a few that are free, with any module
print("namespaces ok")
