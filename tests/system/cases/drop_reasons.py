# SPDX-License-Identifier: GPL-2.0
# title: what drop monitors see: the reason of every drop, and no drop where a packet is only used up (X1, X2)
# allow: recursion limit reached|deferred action limit reached|exceeds conntrack limit
import os
import re
import subprocess
import sys
import time

from frames import *
from ovsnl import *

# Two views of skb:kfree_skb: the tracepoint, which shows reasons of a subsystem as numbers, and drop_monitor, by name.
TRACING = "/sys/kernel/tracing"
STOCK = os.environ["MODULE"] == "stock"
with open("/proc/kallsyms") as f:
    SUBSYSTEMS = any(line.split()[2] == "drop_reasons_register_subsys" for line in f)
LAST_ACTION, ACTION_ERROR, EXPLICIT, EXPLICIT_WITH_ERROR, METERED, RECURSION_LIMIT, DEFERRED_LIMIT, L2_TOO_LONG, INVALID_PROTO, CONNTRACK, IP_TTL = range(1, 12)
NAMES = ("", "LAST_ACTION", "ACTION_ERROR", "EXPLICIT", "EXPLICIT_WITH_ERROR", "METER", "RECURSION_LIMIT", "DEFERRED_LIMIT", "FRAG_L2_TOO_LONG",
         "FRAG_INVALID_PROTO", "CONNTRACK", "IP_TTL")
failed, seen = [], set()


def write(path, text):
    with open(TRACING + path, "w") as f:
        f.write(text)


def traced():
    """Reasons of the drops in this process since the last time: an index of ours, or the name of one of the core's."""
    with open(TRACING + "/trace") as f:
        mine = [line for line in f if re.match(r"\s*\S*-%d\s" % os.getpid(), line) and " kfree_skb: " in line]
    write("/trace", "")
    found = []
    for line in mine:
        reason = re.search(r"reason: (\S+)", line).group(1)
        number = int(reason, 0) if reason[0].isdigit() else None
        found.append(reason if number is None else number & 0xffff if number >> 16 in OVS else hex(number))
    return found


class Monitor:
    """drop_monitor in packet mode; None of it if the kernel has no such module."""

    def __init__(self):
        self.s = None
        if subprocess.run(["modprobe", "drop_monitor"]).returncode:
            return
        self.s = Sock()
        self.family = self.s.family("NET_DM")
        self.s.s.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, self.s.groups["NET_DM", "events"])
        self.ask(2, attr(1, b"\1"))  # NET_DM_CMD_CONFIG, ALERT_MODE: one alert for each packet
        self.ask(3)

    def ask(self, cmd, *attrs):
        r = self.s.raw(self.family, NLM_F_REQUEST | NLM_F_ACK, struct.pack("=BBH", cmd, 2, 0) + b"".join(attrs))
        if r.errno:
            sys.exit("drop_monitor %d: %s" % (cmd, r.error))

    def names(self, n):
        """`NET_DM_ATTR_REASON` of the next `n` drops; alerts come a moment later."""
        found, until = [], time.monotonic() + 3
        while len(found) < n and time.monotonic() < until:
            self.s.s.settimeout(0.1)
            try:
                self.s.early += self.s._recv()
            except OSError:
                pass
            alerts, self.s.early = self.s.early, []
            found += [first(parse(m[5][4:]), 23, b"?").rstrip(b"\0").decode() for m in alerts if m[5][0] == 5]
        return found

    def close(self):
        if self.s:
            self.ask(4)
            self.s.close()
            if not built_in("drop_monitor"):
                subprocess.run(["modprobe", "-r", "drop_monitor"], check=True)


def check(what, wanted, reply=None):
    """`wanted`: the reasons on kernels that have ours; others know no reason of this module."""
    got = traced()
    if reply is not None and reply.errno and not {ACTION_ERROR, RECURSION_LIMIT, CONNTRACK} & set(wanted):
        failed.append("%s: %s %s" % (what, reply.error, reply.note))
    want = wanted if SUBSYSTEMS else ["NOT_SPECIFIED"] * len(wanted)
    ok = got == want
    seen.update(w for w in wanted if isinstance(w, int))
    names = [NAMES[w] if isinstance(w, int) else w for w in want]
    if monitor.s and wanted:
        said = monitor.names(len(want))
        ok = ok and said == ["OVS_DROP_" + n if isinstance(w, int) else n for n, w in zip(names, want)]
        got = got + said
    if not ok:
        failed.append("%s: %s instead of %s" % (what, got, names))
    print(what, got, "" if ok else "WRONG")


def device(name, kind="dummy", *more):
    subprocess.run(["ip", "link", "add", *(["link", more[0]] if more else []), "name", name, "type", kind, *more[1:]], check=True)
    with open("/proc/sys/net/ipv6/conf/%s/disable_ipv6" % name, "w") as f:
        f.write("1")
    subprocess.run(["ip", "link", "set", name, "up"], check=True)


if not os.path.isdir(TRACING + "/events"):
    subprocess.run(["mount", "-t", "tracefs", "none", TRACING], check=True)
with open(TRACING + "/events/skb/kfree_skb/format") as f:
    known = f.read()
if "reason" not in known:
    print("this kernel's drops have no reasons")
    sys.exit(77)
for name in ("NOT_SPECIFIED", "NOMEM", "PKT_TOO_BIG", "DEV_READY"):
    if name not in known:
        sys.exit("the tracepoint does not know %s: %s" % (name, known))
OVS = 2, 3  # SKB_DROP_REASON_SUBSYS_OPENVSWITCH, after the core and one or two of mac80211

s, up = Sock(), Sock(pid=5555)
up.family("ovs_packet")
DP0 = s.new_dp("dp0", 1000, pid=5555)
for n in (1, 2):
    device("d%d" % n)
    s.new_port(DP0, "d%d" % n, n, NETDEV, 5555)
F = frames()
UDP, OUT2, HASH = F["udp"], a_output(2), a_hash(0, 0)
MASK = [k_port(0xffffffff), k_recirc(0xffffffff), k_type(0xffff)]


def flow(recirc, *actions):
    r = s.new_flow(DP0, [k_port(1), k_recirc(recirc), k_eth(), k_type(0x800), k_ipv4(), k_udp()], list(actions), MASK)
    if r.errno:
        sys.exit("flow %d: %s" % (recirc, r.error))


def execute(what, frame, wanted, *actions, mru=0, key=()):
    more = [attr(PACKET.MRU, u16(mru))] if mru else []
    check(what, wanted, s.execute(DP0, frame, list(key) or [k_port(1)], list(actions), *more))


write("/trace", "")
write("/events/skb/kfree_skb/enable", "1")
monitor = Monitor()
traced()

# Used up: no drop.
flow(1, OUT2)
flow(5, a_recirc(5))
for what, actions in {
    "output": [OUT2], "two outputs": [OUT2, OUT2], "set and output": [a_set(k_udp(1, 2)), OUT2], "truncated": [a_trunc(20), OUT2],
    "userspace": [a_user(5555)], "userspace between": [OUT2, a_user(5555), OUT2], "clone": [a_clone(OUT2), OUT2], "clone last": [OUT2, a_clone(HASH, OUT2)],
    "sample last": [a_sample(0xffffffff, OUT2)], "recirc": [a_recirc(1)], "recirc and output": [a_recirc(1), OUT2], "miss": [a_recirc(77)],
    "deferred": [a_clone(HASH, a_clone(HASH, a_clone(HASH, a_clone(HASH, OUT2), OUT2), OUT2), OUT2), OUT2],
}.items():
    execute(what, UDP, [], *actions)
execute("fragments", F["1500 bytes"], [], OUT2, mru=576)
if len(up.notifications("ovs_packet", 0.2)) != 3:
    failed.append("upcalls are missing")

# Refused: a packet that there was is dropped (P5).
for what, dp, frame, key, actions in (
    ("no such action", DP0, UDP, [k_port(1)], [attr(99)]),
    ("another family's tuple", DP0, UDP, [attr(KEY.CT_ORIG_TUPLE_IPV6, b"\0" * 40)], [OUT2]), ("a service header that is none", DP0, eth(0x894f, b"\xff" * 8), [k_port(1)], [OUT2]),
    ("an L3 packet that is a tag", DP0, UDP, [k_type(0x8100)], [OUT2]), ("no such datapath", 77, UDP, [k_port(1)], [OUT2]),
):
    if not s.execute(dp, frame, key, actions).errno:
        failed.append(what + " is accepted")
    check(what, ["NOT_SPECIFIED"])
if not s.execute(DP0, UDP[:13], [k_port(1)], [OUT2]).errno:
    failed.append("13 bytes are accepted")
check("13 bytes", [])
# Without a MAC header, which drop_monitor asks for.
if not s.execute(DP0, UDP, [attr(KEY.IN_PORT, u32(70000))], [OUT2]).errno or traced() != ["NOT_SPECIFIED"]:
    failed.append("a key that is none")

# Dropped.
execute("no action", UDP, [LAST_ACTION])
execute("a set only", UDP, [LAST_ACTION], a_set(k_udp(1, 2)))
execute("an empty clone", UDP, [LAST_ACTION], a_clone())
execute("no sample", UDP, [LAST_ACTION], a_sample(0, OUT2))
execute("nothing in a clone", UDP, [LAST_ACTION], a_clone(HASH), OUT2)
execute("set of what is cut", F["udp header cut"], [ACTION_ERROR], a_set(k_udp(1, 2)), OUT2)
if not STOCK or SUBSYSTEMS:  # the action came later
    execute("drop", UDP, [EXPLICIT], OUT2, a_drop(0))
    execute("drop with an error", UDP, [EXPLICIT_WITH_ERROR], a_drop(7))
band = nest(0, attr(BAND.TYPE, u32(1)), attr(BAND.RATE, u32(1)), attr(BAND.BURST, u32(1)))
r = s.meter(METER_SET, DP0, attr(METER.ID, u32(1)), attr(METER.KBPS), nest(METER.BANDS, band))
if r.errno:
    sys.exit("meter: %s %s" % (r.error, r.note))
execute("as much as a meter's bucket holds", UDP, [], a_meter(1), OUT2)
execute("more than a meter's bucket holds", F["1500 bytes"], [METERED], a_meter(1), OUT2)
execute("no life left", UDP, [IP_TTL], a_set(k_ipv4(ttl=1)), a_dec_ttl(), OUT2)
s.request("ovs_ct_limit", 1, 0, attr(CT_LIMIT.ZONE_LIMIT, struct.pack("=iII", 9, 1, 0)))
execute("a zone's limit kept", UDP, [], a_ct(commit=True, zone=9), OUT2)
execute("a zone's limit exceeded", UDP, [CONNTRACK], a_set(k_udp(7, 8)), a_ct(commit=True, zone=9), OUT2)
s.request("ovs_ct_limit", 2, 0, attr(CT_LIMIT.ZONE_LIMIT, struct.pack("=iII", 9, 1, 0)))
execute("recirculated for ever", UDP, [DEFERRED_LIMIT], a_recirc(5))
execute("no port", UDP, ["DEV_READY"], a_output(99))
execute("no port, and one", UDP, ["DEV_READY"], a_output(99), OUT2)
execute("no Ethernet header", UDP[14:], ["NOT_SPECIFIED"], OUT2, key=[k_type(0x800)])
if not STOCK:  # it warns, finds no tags (6.12), and does not come back (6.12.95)
    execute("an L2 header too long", F["1500 bytes"], [L2_TOO_LONG], *[a_push_vlan(0x1001)] * 6, OUT2, mru=576)
    execute("no fragments of this", eth(0x1234, b"\0" * 900), [INVALID_PROTO], OUT2, mru=576)
    execute("room for no fragment", F["1500 bytes"], ["NOT_SPECIFIED"], OUT2, mru=27)
subprocess.run(["ip", "link", "set", "d2", "mtu", "600"], check=True)
execute("MRU above the MTU", F["1500 bytes"], ["PKT_TOO_BIG"], OUT2, mru=1400)
execute("longer than the MTU", F["1500 bytes"], ["NOT_SPECIFIED"], OUT2)
subprocess.run(["ip", "link", "set", "d2", "down"], check=True)
traced()
execute("a port that is down", UDP, ["DEV_READY"], OUT2)


def circle():
    """What leaves through i1.10 comes back with a tag through i1, and out again: until the lists are too many."""
    s.new_port(DP0, "i1", 3, INTERNAL)
    with open("/proc/sys/net/ipv6/conf/i1/disable_ipv6", "w") as f:
        f.write("1")
    subprocess.run(["ip", "link", "set", "i1", "up"], check=True)
    device("i1.10", "vlan", "i1", "id", "10")
    s.new_port(DP0, "i1.10", 4)
    key = [k_port(3), k_recirc(0), k_eth(), k_type(0x8100), attr(KEY.VLAN, be16(0x100a)), nest(KEY.ENCAP, k_type(0x800), k_ipv4(), k_udp())]
    r = s.new_flow(DP0, key, [a_pop_vlan(), a_output(4)], MASK[:2] + [k_type(0xffff), attr(KEY.VLAN, be16(0xffff)), nest(KEY.ENCAP, k_type(0xffff))])
    if r.errno:
        sys.exit("flow of i1: %s" % r.error)
    execute("in a circle", UDP, [RECURSION_LIMIT, LAST_ACTION, LAST_ACTION, LAST_ACTION], a_clone(HASH, a_clone(HASH, a_output(4), HASH), HASH), HASH)


if not STOCK:  # which leaves packets behind and does not get rid of such devices (A10, W6)
    circle()

# Nobody to tell.
s.vport(SET, DP0, attr(VPORT.PORT_NO, u32(1)), attr(VPORT.UPCALL_PID, u32(0)))
execute("a miss that nobody wants", UDP, ["NOT_SPECIFIED"], a_recirc(77))
monitor.close()
write("/events/skb/kfree_skb/enable", "0")
if not STOCK and seen != set(range(1, 12)):
    failed.append("reasons that nothing was dropped for: %s" % [NAMES[n] for n in range(1, 12) if n not in seen])
print("drop reasons of a subsystem:", "yes" if SUBSYSTEMS else "no")
if failed:
    sys.exit("\n".join(failed))
