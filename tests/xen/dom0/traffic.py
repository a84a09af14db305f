# SPDX-License-Identifier: GPL-2.0
"""Guests talk: with one another, with dom0, through VLANs."""

import re
import threading

from lab import FromGuest, check, transfer


def pair(lane):
    return lane.guests["g1"], lane.guests["g2"]


def lookups(lane):
    """(hit, missed, lost) of the datapath."""
    said = lane.run("ovs-appctl", "dpctl/show")
    return [int(n) for n in re.search(r"hit:(\d+) missed:(\d+) lost:(\d+)", said).groups()]


def case_ping(lane):
    """ping: guest to guest, both to dom0 and back, IPv6, 4000 bytes in fragments"""
    g1, g2 = pair(lane)
    trip = lane.ping(g1, "10.0.0.12")
    lane.ping(g1, "10.0.0.1")
    lane.ping("dom0", "10.0.0.11")
    lane.ping("dom0", "10.0.0.12")
    lane.ping(g1, "fe80::216:3eff:fe00:12", device="eth0")
    lane.ping(g1, "10.0.0.12", "-s", "4000")
    return "round trip between guests " + trip


def case_tcp(lane):
    """TCP, 4 MB, equal checksums: dom0, g1, g2, dom0, and the way back"""
    g1, g2 = pair(lane)
    legs = [("dom0", g1, "10.0.0.11"), (g1, g2, "10.0.0.12"), (g2, "dom0", "10.0.0.1"),
            ("dom0", g2, "10.0.0.12"), (g2, g1, "10.0.0.11"), (g1, "dom0", "10.0.0.1")]
    seconds = [transfer(lane, *leg, 5001 + i) for i, leg in enumerate(legs)]
    return "six times, %s s" % " ".join("%.1f" % s for s in seconds)


def case_netback(lane):
    """what netback makes of a guest's TCP: GSO, paged, checksum left open; all of it is forwarded"""
    g1, g2 = pair(lane)
    if not g1.has_file:
        transfer(lane, "dom0", g1, g1.address, 5000)
    eyes = FromGuest(g1.vif())
    transfer(lane, g1, g2, "10.0.0.12", 5011)
    eyes.end()
    facts = "of %d packets %d GSO, the longest %d bytes, %d of them paged with a linear part from %s bytes on; %d with CHECKSUM_PARTIAL" % (
        eyes.packets, eyes.gso, eyes.longest, eyes.paged, eyes.linear, eyes.partial)
    check(eyes.gso and eyes.paged and eyes.partial and eyes.longest > 1514, facts)
    return facts


def case_misses(lane):
    """TCP while all flows are deleted again and again: GSO packets go to userspace and come back"""
    g1, g2 = pair(lane)
    _, missed, lost = lookups(lane)
    stop = threading.Event()

    def purge():
        while not stop.wait(0.05):
            lane.run("ovs-appctl", "revalidator/purge")
    t = threading.Thread(target=purge)
    t.start()
    try:
        transfer(lane, g1, g2, "10.0.0.12", 5021)
        transfer(lane, g2, "dom0", "10.0.0.1", 5022)
        transfer(lane, "dom0", g1, "10.0.0.11", 5023)
    finally:
        stop.set()
        t.join()
    _, missed2, lost2 = lookups(lane)
    facts = "%d packets missed, %d lost" % (missed2 - missed, lost2 - lost)
    check(missed2 - missed > 10 and lost2 == lost, facts)
    return facts


def case_vlan(lane):
    """VLAN 5: g1 on a trunk, g2 and dom0 on xapi's VLAN bridge; VLAN 6 does not reach them"""
    g1, g2 = pair(lane)
    lane.vsctl("set", "Port", g1.vif(1), "trunks=5,6")
    g2.run("ip addr add 10.5.0.12/24 dev eth1; sysctl -w net.ipv4.conf.all.arp_ignore=1")
    g1.run("sysctl -w net.ipv4.conf.all.arp_ignore=1; for v in 5 6; do ip link add link eth1 name eth1.$v type vlan id $v; "
           "ip link set eth1.$v up; done; ip addr add 10.5.0.11/24 dev eth1.6")
    g1.run("ping -c 2 -W 1 10.5.0.12", fails=True)
    g1.run("ip addr del 10.5.0.11/24 dev eth1.6; ip addr add 10.5.0.11/24 dev eth1.5")
    lane.ping(g1, "10.5.0.12")
    lane.ping(g1, "10.5.0.1")
    there = transfer(lane, g1, g2, "10.5.0.12", 5031)
    flows = lane.run("ovs-appctl", "dpctl/dump-flows")
    back = transfer(lane, g2, g1, "10.5.0.11", 5032)
    flows += lane.run("ovs-appctl", "dpctl/dump-flows")
    check("pop_vlan" in flows and "push_vlan(vid=5" in flows, "no flow pops or pushes a tag")
    transfer(lane, g1, "dom0", "10.5.0.1", 5033)
    transfer(lane, "dom0", g1, "10.5.0.11", 5034)
    return "pop_vlan %.1f s, push_vlan %.1f s for 4 MB" % (there, back)


CASES = [case_ping, case_tcp, case_netback, case_misses, case_vlan]
