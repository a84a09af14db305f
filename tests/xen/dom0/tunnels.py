# SPDX-License-Identifier: GPL-2.0
"""Cross-server private networks: a guest's bridge has a tunnel to another host, here a namespace with the kernel's own device."""

import os

from lab import Sink, check, digest, listen, push, received, transfer

HERE, FAR = "172.16.0.1", "172.16.0.2"
# The far end's device. GRE: DF is not set, so that frames of 1500 bytes go through an underlay of 1500, in two fragments. Linux's
# VXLAN device rather tells the guest by ICMP to send less, so the underlay has the usual 1600.
DEVICE = {"gre": ["type", "gretap", "local", FAR, "remote", HERE, "key", "7", "nopmtudisc", "ignore-df"],
          "vxlan": ["type", "vxlan", "id", "7", "local", FAR, "remote", HERE, "dstport", "4789"]}


def snmp(field):
    """A counter of dom0's IP."""
    with open("/proc/net/snmp") as f:
        names, values = [line.split() for line in f if line.startswith("Ip:")]
    return int(values[names.index(field)])


def underlay(lane, mtu):
    lane.run("ip", "netns", "add", "far")
    lane.run("ip", "link", "add", "ul", "type", "veth", "peer", "name", "ul", "netns", "far")
    lane.run("ip", "addr", "add", HERE + "/24", "dev", "ul")
    lane.run("ip", "link", "set", "ul", "mtu", mtu, "up")
    for words in ("link set lo up", "addr add %s/24 dev ul" % FAR, "link set ul mtu %d up" % mtu):
        lane.run("ip", "-n", "far", *words.split())


def through(lane, kind, address, mtu):
    g1 = lane.guests["g1"]
    underlay(lane, mtu)
    try:
        lane.run("ip", "-n", "far", "link", "add", "tn", *DEVICE[kind])
        lane.run("ip", "-n", "far", "link", "set", "tn", "mtu", "1500", "up")
        lane.run("ip", "-n", "far", "addr", "add", address + "/24", "dev", "tn")
        lane.vsctl("add-port", "xenbr0", "tun0", "--", "set", "Interface", "tun0", "type=" + kind, "options:remote_ip=" + FAR,
                   "options:key=7", "options:df_default=false")
        check(lane.vsctl("get", "Interface", "tun0", "error") == "[]", lane.vsctl("get", "Interface", "tun0", "error"))
        lane.wait("the tunnel", lambda: "1 packets received" in g1.run("ping -c 1 -W 2 %s || true" % address))
        trip = lane.ping(g1, address)
        made, joined = snmp("FragCreates"), snmp("ReasmOKs")
        lane.ping(g1, address, "-s", "1472")  # 1500 bytes of IP
        made, joined = snmp("FragCreates") - made, snmp("ReasmOKs") - joined
        check((made >= 6 and joined >= 3) == (mtu == 1500), "with an underlay of %d %d fragments were made, %d frames joined" % (
            mtu, made, joined))
        if not g1.has_file:
            transfer(lane, "dom0", g1, g1.address, 5000)
        sink = Sink(5041, "far", 60 * lane.slow)
        g1.run("nc %s 5041 < /tmp/f" % address, seconds=60)
        got = sink.result()
        check(got == digest(lane.data), "g1 to the far end: sent %s, received %s" % (digest(lane.data), got))
        flows = lane.run("ovs-appctl", "dpctl/dump-flows")
        check("set(tunnel(" in flows and "tunnel(tun_id=0x7" in flows, "no flow into or out of the tunnel:\n" + flows)
        listen(g1, 5042)
        push(g1.address, 5042, lane.data, "far", 60 * lane.slow)
        got = received(g1)
        check(got == digest(lane.data), "far end to g1: sent %s, received %s" % (digest(lane.data), got))
        return "round trip %s; frames of 1500 bytes%s; 4 MB each way, equal checksums" % (trip, ", in fragments" if made else "")
    finally:
        lane.run("ovs-vsctl", "--if-exists", "del-port", "tun0")
        lane.run("ip", "netns", "del", "far")
        lane.wait("the underlay's end", lambda: not os.path.exists("/sys/class/net/ul"))


def case_gre(lane):
    """GRE from a guest's bridge to another host through an underlay of 1500, frames of 1500 bytes included"""
    return through(lane, "gre", "10.0.0.98", 1500)


def case_vxlan(lane):
    """VXLAN from a guest's bridge to another host through an underlay of 1600, frames of 1500 bytes included"""
    return through(lane, "vxlan", "10.0.0.97", 1600)


CASES = [case_gre, case_vxlan]
