# SPDX-License-Identifier: GPL-2.0
"""ynl_test.py TEST: the kernel's Python library for netlink, told what to say by its own descriptions of the families."""

import copy
import subprocess
import sys

sys.path[:0] = ["/suite/tools/net/ynl", "/suite/python"]
from pyynl.lib import NlError, YnlFamily  # noqa: E402

SPECS = "/suite/Documentation/netlink/specs/ovs_%s.yaml"
ZERO = {"n-hit": 0, "n-missed": 0, "n-lost": 0, "n-flows": 0}


class Family(YnlFamily):
    """The library takes apart what it is given; this one a copy."""

    def __init__(self, name):
        super().__init__(SPECS % name, schema="")

    def do(self, op, attrs, flags=None):
        return super().do(op, copy.deepcopy(attrs), flags)

    def dump(self, op, attrs):
        return super().dump(op, copy.deepcopy(attrs))


def same(what, got, wanted):
    """`wanted`: what must be in `got`, which may have more."""
    if isinstance(wanted, dict):
        got = {k: got.get(k) for k in wanted}
    if got != wanted:
        sys.exit("%s: %r instead of %r" % (what, got, wanted))


def refused(what, errno, call, *args, **kw):
    try:
        answer = call(*args, **kw)
    except NlError as e:
        same(what, e.error, errno)
    else:
        sys.exit("%s: not refused: %r" % (what, answer))


def datapath():
    """A datapath, and its ifindex."""
    dps = Family("datapath")
    dps.do("new", {"dp-ifindex": 0, "name": "ynl0", "upcall-pid": 0, "user-features": {"unaligned", "vport-pids"}})
    one, = dps.dump("get", {"dp-ifindex": 0})
    return dps, one


def test_datapaths():
    """datapath: new, get, dump, del"""
    dps, one = datapath()
    same("the dump", one, {"name": "ynl0", "user-features": {"unaligned", "vport-pids"}, "stats": ZERO})
    same("the answer", dps.do("get", {"dp-ifindex": 0, "name": "ynl0"}), one)
    if one["megaflow-stats"]["n-masks"] or one["masks-cache-size"] != 256:
        sys.exit("%r" % one)
    refused("a second of the name", 17, dps.do, "new", {"dp-ifindex": 0, "name": "ynl0", "upcall-pid": 0})
    dps.do("del", {"dp-ifindex": one["dp-ifindex"]})
    same("the end", dps.dump("get", {"dp-ifindex": 0}), [])
    refused("what is gone", 19, dps.do, "get", {"dp-ifindex": 0, "name": "ynl0"})


def test_vports():
    """vport: new, get, dump, del"""
    _, dp = datapath()
    at, ports = {"dp-ifindex": dp["dp-ifindex"]}, Family("vport")
    ports.do("new", {**at, "name": "ynl1", "type": "internal", "upcall-pid": (7).to_bytes(4, "little")})
    both = ports.dump("get", at)
    same("the dump", [(p["name"], p["port-no"], p["type"]) for p in both], [("ynl0", 0, "internal"), ("ynl1", 1, "internal")])
    got = ports.do("get", {**at, "name": "ynl1"})
    same("the answer", got, {k: both[1][k] for k in ("name", "port-no", "type", "upcall-pid", "ifindex", "stats")})
    same("its statistics", got["stats"], {"rx-packets": 0, "tx-errors": 0})
    same("its upcalls", got.get("upcall-stats", {"success": 0, "fail": 0}), {"success": 0, "fail": 0})
    refused("no such type", 97, ports.do, "new", {**at, "name": "ynl2", "type": 99, "upcall-pid": bytes(4)})
    ports.do("del", {**at, "name": "ynl1"})
    same("what is left", [p["name"] for p in ports.dump("get", at)], ["ynl0"])


def test_flows():
    """flow: new with a key of IPv4 and UDP, a mask and actions; get and dump tell the same"""
    _, dp = datapath()
    at, flows = {"dp-ifindex": dp["dp-ifindex"]}, Family("flow")
    mac = {"eth-src": "020000000001", "eth-dst": "020000000002"}
    ip = {"ipv4-src": 0x0a000001, "ipv4-dst": 0x0a000002, "ipv4-proto": 17, "ipv4-tos": 0, "ipv4-ttl": 64, "ipv4-frag": 0}
    key = {"in-port": 0, "ethernet": mac, "ethertype": 0x800, "ipv4": ip, "udp": {"udp-src": 53, "udp-dst": 5353}}
    mask = {"in-port": 0xffffffff, "ethertype": 0xffff, "ipv4": {"ipv4-proto": 0xff}, "udp": {"udp-src": 0xffff, "udp-dst": 0}}
    flows.do("new", {**at, "key": key, "mask": mask, "actions": {"output": 0}}, flags=[0x400])
    one, = flows.dump("get", at)
    same("the key", one["key"], {"in-port": 0, "udp": {"udp-src": 53, "udp-dst": 5353}})
    same("the mask", one["mask"], {"in-port": 0xffffffff, "udp": {"udp-src": 0xffff, "udp-dst": 0}})
    same("the actions", one["actions"], {"output": 0})
    refused("the same again", 17, flows.do, "new", {**at, "key": key, "mask": mask, "actions": {"output": 0}}, flags=[0x600])
    same("the answer", flows.do("get", {**at, "key": key})["actions"], {"output": 0})


def test_packets():
    """packet: execute; what is not one is refused"""
    _, dp = datapath()
    at, packets = {"dp-ifindex": dp["dp-ifindex"]}, Family("packet")
    key = bytes.fromhex("0800030000000000")  # IN_PORT 0
    output = bytes.fromhex("0800010000000000")  # OUTPUT 0
    packets.do("execute", {**at, "packet": bytes(60), "key": key, "actions": output})
    refused("no Ethernet header", 34, packets.do, "execute", {**at, "packet": bytes(13), "key": key, "actions": output})
    refused("no actions", 22, packets.do, "execute", {**at, "packet": bytes(60), "key": key})


subprocess.run(["modprobe", "openvswitch"], check=True)
globals()["test_" + sys.argv[1]]()
