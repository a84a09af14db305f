# SPDX-License-Identifier: GPL-2.0
"""vifs come and go: hot plug, pause, save and restore, a PVH guest, destruction under traffic."""

import os
import time

from host import up
from lab import Guest, check, transfer
from traffic import pair


def gone(lane, vif):
    lane.wait(vif + " is gone", lambda: not os.path.exists("/sys/class/net/" + vif))
    lane.wait(vif + " off its bridge", lambda: not lane.bridge_of(vif))


def case_hotplug(lane):
    """hot plug: a vif on a private network comes, works, and goes"""
    _, g2 = pair(lane)
    vif = g2.vif(2)
    lane.run("xl", "network-attach", "g2", "mac=00:16:3e:00:00:32", "bridge=xapi7", "script=/guest/vif-xapi", seconds=60)
    lane.wait(vif + " on xapi7", lambda: lane.bridge_of(vif) == "xapi7")
    g2.run("for i in 1 2 3 4 5 6 7 8 9 10; do [ -e /sys/class/net/eth2 ] && break; sleep 0.5; done; ip link set eth2 up; "
           "ip addr add 10.7.0.12/24 dev eth2")
    lane.wait(vif + " is up", lambda: up(vif))
    trip = lane.ping(g2, "10.7.0.1")
    lane.run("xl", "network-detach", "g2", "2", seconds=60)
    gone(lane, vif)
    return "round trip " + trip


def case_pause(lane):
    """pause and unpause under traffic"""
    g1, _ = pair(lane)
    g1.run("(ping -i 0.1 10.0.0.12 >/dev/null 2>&1) & sleep 1")
    lane.run("xl", "pause", "g2")
    time.sleep(3)
    lane.run("xl", "unpause", "g2")
    g1.run("killall ping")
    lane.ping(g1, "10.0.0.12")


def case_save(lane):
    """save and restore: the same guest, with new vifs"""
    g1, g2 = pair(lane)
    old = [g2.vif(0), g2.vif(1)]
    start = time.monotonic()
    lane.run("xl", "save", "g2", "/run/g2.save", seconds=120)
    saved = time.monotonic() - start
    for vif in old:
        gone(lane, vif)
    lane.run("xl", "restore", "/run/g2.save", seconds=120)
    restored = time.monotonic() - start - saved
    os.unlink("/run/g2.save")
    g2.open_console()
    for n in (0, 1):
        lane.wait(g2.vif(n) + " is up", lambda: up(g2.vif(n)))
    check(lane.bridge_of(g2.vif(1)) == "xapi5", g2.vif(1) + " is not on xapi5")
    lane.wait("g2 hears g1", lambda: "1 packets received" in g1.run("ping -c 1 -W 2 10.0.0.12 || true"))
    transfer(lane, g1, g2, "10.0.0.12", 5061)
    return "%s is %s; %.0f s and %.0f s" % (old[0], g2.vif(), saved, restored)


def case_pvh(lane):
    """a PVH guest: ping, TCP both ways"""
    g3 = Guest(lane, "g3", "10.0.0.13", [(0x13, "xenbr0")], kind="pvh")
    g3.create()
    said = g3.up(120)
    lane.wait(g3.vif() + " is up", lambda: up(g3.vif()))
    trip = lane.ping("dom0", "10.0.0.13")
    transfer(lane, "dom0", g3, "10.0.0.13", 5071)
    transfer(lane, g3, "dom0", "10.0.0.1", 5072)
    g3.destroy()
    return "%s; round trip %s" % (said, trip)


def case_destroy(lane):
    """xl destroy of the receiver and then of the sender while they talk"""
    g1, g2 = pair(lane)
    g2.run("(sleep 1000 | nc -l -p 5081 > /dev/null) & sleep 1")
    g1.run("(nc 10.0.0.12 5081 < /dev/zero >/dev/null 2>&1) & sleep 3")
    for g in (g2, g1):
        vifs = [g.vif(0), g.vif(1)]
        g.destroy()
        for vif in vifs:
            gone(lane, vif)
        if g is g2:
            time.sleep(1)


CASES = [case_hotplug, case_pause, case_save, case_pvh, case_destroy]
