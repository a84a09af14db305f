# SPDX-License-Identifier: GPL-2.0
"""force-reload-kmod under traffic: the module is replaced while guests talk; ports and flows are kept."""

import time

from host import install, modinfo, version
from lab import SERVICE, Outage, Sink, check, digest
from traffic import pair

FLOW = "table=7,priority=77,icmp,nw_dst=10.99.0.1,actions=NORMAL"


CHUNK = 65536


def ports(lane):
    return {bridge: set(lane.vsctl("list-ports", bridge).split()) for bridge in ("xenbr0", "xapi5", "xapi7")}


def reload(lane, after):
    """One force-reload-kmod while g1 pings g2 ten times a second and sends to dom0. Returns what was lost, in words."""
    g1, g2 = pair(lane)
    before = ports(lane)
    eyes = Outage(g1.vif(), g2.vif())
    g1.run("(ping -i 0.1 10.0.0.12 >/dev/null 2>&1) & sleep 2")
    # 64 KB twice a second for as long as it takes, through one connection.
    sink = Sink(5051, seconds=200 * lane.slow)
    g1.run("dd if=/dev/zero bs=%d count=1 2>/dev/null | tr '\\0' x > /tmp/chunk; rm -f /tmp/stop; "
           "(while [ ! -e /tmp/stop ]; do cat /tmp/chunk; sleep 0.5; done | nc 10.0.0.1 5051) >/dev/null 2>&1 & sleep 1" % CHUNK)
    start, said = time.monotonic(), lane.run(SERVICE, "force-reload-kmod", seconds=200)
    took = time.monotonic() - start
    check(version() == after, "loaded is version '%s', not '%s'\n%s" % (version(), after, said))
    lane.wait("g2 hears g1", lambda: eyes.came and max(list(eyes.came.values())) > time.time() - 1)
    time.sleep(3)
    g1.run("killall ping; touch /tmp/stop")
    got = sink.result()
    sent, lost, gap = eyes.end()
    want = digest(b"x" * sink.size)
    check(got == want and sink.size % CHUNK == 0 and sink.size > 2 * CHUNK, "the connection that was open: %s, not %s" % (got, want))
    check(ports(lane) == before, "ports were\n%s\nand are\n%s" % (before, ports(lane)))
    check("nw_dst=10.99.0.1" in lane.run("ovs-ofctl", "dump-flows", "xenbr0", "table=7"), "the OpenFlow rule is gone")
    check("10.0.0.1/24" in lane.run("ip", "addr", "show", "xenbr0"), "xenbr0 has lost its address")
    lane.ping("dom0", "10.0.0.11")
    lane.ping(g1, "10.0.0.12")
    return "%.1f s without a packet, %d of %d requests lost (force-reload-kmod took %.1f s)" % (gap, lost, sent, took)


def case_reload(lane):
    """force-reload-kmod under traffic, to the C module and back to ours; ports, rules, addresses and an open TCP connection stay"""
    lane.run("ovs-ofctl", "add-flow", "xenbr0", FLOW)
    if not lane.ours:
        lane.say("C to C: " + reload(lane, ""))
        return
    ours = version()
    name, = (n for n in lane.run("rpm", "-qa").split() if n.startswith("openvswitch-modules"))
    lane.run("rpm", "-e", name)
    check("kernel/net/openvswitch" in modinfo(lane, "filename"), "after rpm -e it is " + modinfo(lane, "filename"))
    lane.say("ours to C: " + reload(lane, ""))
    install(lane)
    lane.say("C to ours: " + reload(lane, ours))


CASES = [case_reload]
