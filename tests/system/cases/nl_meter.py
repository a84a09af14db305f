# SPDX-License-Identifier: GPL-2.0
# title: ovs_meter family and the METER action: every command, attribute, length and error; what passes (M1-M9, A1, B19, B26)
# timeout: 180
import os

from golden import Golden
from ovsnl import *

g, s = Golden(), Sock(pid=4242)
member = Sock(pid=4243)
member.join("ovs_meter")
up = Sock(pid=5555)
up.family("ovs_packet")
MOST = 0xffffffff
FRAME = MAC2 + MAC1 + b"\x12\x34"


def meter(label, cmd, dp=1000, *attrs, star=("USED",), **kw):
    r = s.meter(cmd, dp, *attrs, **kw)
    return g.reply(label, "ovs_meter", r, star=star)


def ident(n):
    return attr(METER.ID, u32(n))


def band(rate=1, burst=1, kind=1, element=0):
    return nest(element, attr(BAND.TYPE, u32(kind)), attr(BAND.RATE, u32(rate)), attr(BAND.BURST, u32(burst)))


def bands(*list_of):
    return nest(METER.BANDS, *list_of)


def stats(packets, octets):
    return attr(METER.STATS, u64(packets) + u64(octets))


KBPS, CLEAR = attr(METER.KBPS), attr(METER.CLEAR)

s.family("ovs_meter")
g.say("family ovs_meter", "version=%s hdrsize=%s ops=%s groups=%s" % (
    first(s.info, 3).hex(), first(s.info, 4).hex(), first(s.info, 6, b"").hex(), [n for fam, n in s.groups if fam == "ovs_meter"]))

# ---- no datapath ----
meter("M1 features, no datapath", METER_FEATURES)
meter("M5 get, no datapath", METER_GET, 1000, ident(1))
meter("M5 get, no datapath, no id", METER_GET)
meter("M2 set, no datapath", METER_SET, 1000, ident(1), bands(band()))
meter("M2 set, no datapath, no bands", METER_SET, 1000, ident(1))
meter("M5 del, no datapath", METER_DEL, 1000, ident(1))
s.new_dp("dp0", 1000)
s.new_dp("dp1", 1001)

# ---- commands ----
r = meter("M1 features", METER_FEATURES, star=("MAX_METERS",))
g.say("M1 some meters, 200000 at most", str(r.messages[0].u32(METER.MAX_METERS) in range(1, 200001)))
meter("M1 features by another datapath", METER_FEATURES, 1001, star=("MAX_METERS",))
meter("M1 features with attributes", METER_FEATURES, 1000, ident(3), bands(band(), band()), star=("MAX_METERS",))
meter("M1 features of lo", METER_FEATURES, 1)
for cmd in (0, 5, 255):
    meter("N6 command %d" % cmd, cmd, 1000, ident(1))
for cmd, name in ((METER_FEATURES, "features"), (METER_SET, "set"), (METER_DEL, "del"), (METER_GET, "get")):
    g.reply("N6 dump of " + name, "ovs_meter", s.dump("ovs_meter", 1000, ident(1), cmd=cmd))

# As vswitchd probes at its start: before 3.7, and since.
for one, two in ((54545401, 54545402), (1021, 1022)):
    for n in (one, two):
        meter("E probe: get %d" % n, METER_GET, 1000, ident(n))
        meter("E probe: set %d" % n, METER_SET, 1000, ident(n), KBPS, CLEAR, bands(band()))
    for n in (one, two):
        meter("E probe: get %d again" % n, METER_GET, 1000, ident(n))
    for n in (one, two):
        meter("E probe: delete %d" % n, METER_DEL, 1000, ident(n))
meter("M5 get without id", METER_GET)
meter("M5 delete without id", METER_DEL)
meter("M5 delete what is not there", METER_DEL, 1000, ident(1))
meter("M5 get, unknown datapath", METER_GET, 4711, ident(1))
meter("M5 delete, unknown datapath", METER_DEL, 4711, ident(1))
meter("M5 get, datapath 0", METER_GET, 0, ident(1))
meter("M2 set with nothing", METER_SET)
meter("M2 set without id", METER_SET, 1000, bands(band()))
meter("M2 set without bands", METER_SET, 1000, ident(1))
meter("M2 set, unknown datapath", METER_SET, 4711, ident(1), bands(band()))
meter("M2 set, unknown datapath, bad bands", METER_SET, 4711, ident(1), bands(band(0)))
meter("M5 not there yet", METER_GET, 1000, ident(1))
meter("M2 set", METER_SET, 1000, ident(1), bands(band()))
meter("M5 get", METER_GET, 1000, ident(1))
meter("M8 not in the other datapath", METER_GET, 1001, ident(1))
meter("M2 set again", METER_SET, 1000, ident(1), KBPS, bands(band(100, 200)), flags=NLM_F_ECHO)
meter("M2 set with statistics", METER_SET, 1000, ident(1), stats(7, 700), bands(band()))
meter("M5 get: goes on from there", METER_GET, 1000, ident(1))
meter("M2 clear, with statistics", METER_SET, 1000, ident(1), stats(8, 800), CLEAR, bands(band()))
meter("M5 get: not taken", METER_GET, 1000, ident(1))
meter("M2 set after clear: tells nothing of it", METER_SET, 1000, ident(1), stats(MOST << 32 | MOST, 1), bands(band()))
meter("M5 delete tells", METER_DEL, 1000, ident(1), flags=NLM_F_ECHO)
meter("M5 delete again", METER_DEL, 1000, ident(1))
meter("M2 clear", METER_SET, 1000, ident(1), CLEAR, bands(band()))
meter("M5 delete after clear tells", METER_DEL, 1000, ident(1))
for n in (0, 1, 1023, 1024, 0x7fffffff, 0x80000000, MOST):
    meter("M3 set id %d" % n, METER_SET, 1001, ident(n), bands(band()))
    meter("M3 delete id %d" % n, METER_DEL, 1001, ident(n))
# Ids that C's array of 1024 keeps in the same place (Q3).
meter("M3 set 5", METER_SET, 1001, ident(5), bands(band()))
g.ours["M3 set 5 + 1024"] = "OK ; cmd=2 dp=1001 ID=" + u32(1029).hex()
meter("M3 set 5 + 1024", METER_SET, 1001, ident(1029), bands(band()))
meter("M3 5 is still there", METER_GET, 1001, ident(5))
for n in (5, 1029):
    s.meter(METER_DEL, 1001, ident(n))
# The array of C does not find its meters again when it has grown, unless their ids are small and without gaps.
for n in range(1100):
    if s.meter(METER_SET, 1001, ident(n), stats(n, n), bands(band())).errno:
        raise SystemExit("meter %d of 1100" % n)
g.say("M3 1100 meters", str(all(s.meter(METER_DEL, 1001, ident(n)).messages[0].get(METER.STATS) == u64(n) * 2 for n in range(1100))))
g.say("N3 nobody is notified", str(len(member.notifications("ovs_meter"))))

# ---- bands ----
def with_bands(label, whole):
    """SET; what it made is shown and removed."""
    meter("M2 " + label, METER_SET, 1000, ident(9), whole)
    r = s.meter(METER_DEL, 1000, ident(9))
    g.say("M2 %s: then" % label, " ".join(text("ovs_meter", m) for m in r.messages))


with_bands("no band", bands())
with_bands("two bands", bands(band(), band()))
with_bands("two bands, the second bad", bands(band(), band(0)))
with_bands("a hundred bands", bands(*[band()] * 100))
for kind in (0, 2, 3, MOST):
    with_bands("band of type %d" % kind, bands(band(kind=kind)))
for rate in (0, 1, 0x80000000, MOST):
    for burst in (0, 1, 4294968, 0x80000000, MOST):
        with_bands("rate %d burst %d" % (rate, burst), bands(band(rate, burst)))
for element in (1, 4, 7, 0x3fff, NLA_F_NESTED, NLA_F_NET_BYTEORDER):
    with_bands("element of type %d" % element, bands(band(element=element)))
with_bands("empty element", bands(attr(0)))
with_bands("two empty elements", bands(attr(0), attr(0)))
with_bands("element of 1", bands(attr(0, b"\1")))
with_bands("element cut", attr(METER.BANDS, band()[:-4]))
with_bands("trailing bytes in the list", attr(METER.BANDS, band() + b"\1\2\3"))
with_bands("trailing bytes in the band", bands(attr(0, band()[4:] + b"\1\2\3")))
with_bands("unknown attribute in the band", bands(attr(0, band()[4:] + attr(77, b"abc"))))
with_bands("statistics in the band", bands(attr(0, band()[4:] + attr(BAND.STATS, u64(5) * 2))))
with_bands("statistics in the band, short", bands(attr(0, band()[4:] + attr(BAND.STATS, b"\0" * 15))))
with_bands("rate twice", bands(attr(0, band()[4:] + attr(BAND.RATE, u32(0)))))

# ---- lengths ----
GOOD = [("ID", METER, u32(9)), ("KBPS", METER, b""), ("STATS", METER, b"\1" * 16), ("BANDS", METER, band()), ("USED", METER, u64(1)),
        ("CLEAR", METER, b""), ("MAX_METERS", METER, u32(1)), ("MAX_BANDS", METER, u32(1)), ("PAD", METER, b"")]
PARTS = [("TYPE", BAND, u32(1)), ("RATE", BAND, u32(1)), ("BURST", BAND, u32(1)), ("STATS", BAND, b"\1" * 16)]


def spoilt(kind, payload):
    """The attribute missing, twice, lying about its length, and with every length up to four more than it should have."""
    yield "missing", b""
    yield "twice", attr(kind, payload) * 2
    yield "length 3", attr(kind, payload, length=3)
    yield "length beyond the message", attr(kind, payload, length=4 + len(payload) + 400)
    yield "flagged as nested", attr(kind | NLA_F_NESTED, payload)
    yield "of ones", attr(kind, b"\xff" * len(payload))
    yield "long by 60000", attr(kind, payload + b"\0" * 60000)
    for n in range(len(payload) + 5):
        yield "of %d" % n, attr(kind, (payload + b"\0" * 4)[:n])


def trial(label, cmd, *attrs):
    r = s.meter(cmd, 1000, *attrs)
    value = r.error
    there = s.meter(METER_DEL, 1000, ident(9)).messages[0].attrs
    if cmd == METER_SET and r.errno and there:
        value += " BUT MADE"
    g.say("N5 " + label, value)


for cmd, name in ((METER_SET, "set"), (METER_GET, "get"), (METER_DEL, "del"), (METER_FEATURES, "features")):
    for i, (which, names, payload) in enumerate(GOOD):
        for what, bad in spoilt(names.by_name[which], payload):
            attrs = [attr(k.by_name[n], p) for n, k, p in GOOD]
            attrs[i] = bad
            trial("%s: %s %s" % (name, which, what), cmd, *attrs)
for i, (which, names, payload) in enumerate(PARTS):
    for what, bad in spoilt(names.by_name[which], payload):
        attrs = [attr(k.by_name[n], p) for n, k, p in PARTS]
        attrs[i] = bad
        trial("set: band %s %s" % (which, what), METER_SET, ident(9), bands(nest(0, *attrs)))
for kind in range(0, 16):
    for n in (0, 1, 3, 4, 8, 16, 40):
        trial("set: attribute %d of %d" % (kind, n), METER_SET, attr(kind, b"\1" * n))
trial("set: no attribute, 3 bytes", METER_SET, b"\1\2\3")

# ---- the action ----
KEY1 = [k_port(1), k_eth(), k_type(0x1234)]
for what, a in [("of %d" % n, attr(ACTION.METER, b"\1" * n)) for n in range(9)] + [
        ("id 0", a_meter(0)), ("id most", a_meter(MOST)), ("twice", a_meter(1) * 2), ("flagged as nested", attr(ACTION.METER | NLA_F_NESTED, u32(1))),
        ("in a clone", a_clone(a_meter(1), a_output(2))), ("in a sample", a_sample(5, a_meter(1)))]:
    r = s.new_flow(1000, KEY1, [a, a_output(2)], None, flags=NLM_F_CREATE | NLM_F_ECHO)
    same = [m.get(FLOW.ACTIONS) == a + a_output(2) for m in r.messages]
    g.say("A1 meter " + what, "%s %s" % (r.error, same))
    s.flow(DEL, 1000)


def passed():
    """How many packets came through the meter, which send what passes to userspace."""
    return len(up.notifications("ovs_packet", 0.05))


def send(label, n, octets, *actions):
    """`n` packets of so many bytes; how many passed, and what the meter has counted."""
    for _ in range(n):
        r = s.execute(1000, FRAME + b"\0" * (octets - 14), [k_port(1)], list(actions) or [a_meter(1), a_user(5555)])
        if r.errno:
            raise SystemExit("%s: %s" % (label, r.error))
    g.say("M6 " + label, "%d passed" % passed())
    meter("M6 %s: counted" % label, METER_GET, 1000, ident(1))


def limit(label, *attrs):
    meter("M6 " + label, METER_SET, 1000, ident(1), CLEAR, *attrs)


# One more packet would need a second and more, or seconds.
send("no such meter", 3, 100)
limit("3 packets", bands(band(1, 3)))
send("5 packets through 3", 5, 100)
limit("2 packets of 500 bytes", KBPS, bands(band(1, 8)))
send("3 packets of 500 bytes", 3, 500)
limit("the last bit", KBPS, bands(band(1, 4)))
send("500 bytes", 1, 500)
send("and once more", 1, 500)
limit("one bit too few", KBPS, bands(band(1, 4)))
send("501 bytes", 1, 501)
send("then 500 bytes", 1, 500)
limit("nothing at all", KBPS, bands(band(1, 0)))
send("through nothing", 2, 14)
limit("no band", bands())
send("through no band", 3, 100)
limit("a band of another type", bands(band(1, 1, 2)))
send("through another type: counted only", 3, 100)
limit("everything", KBPS, bands(band(MOST, MOST)))
send("through everything", 20, 1500)
limit("3 packets, twice", bands(band(1, 3)))
send("each counts twice", 3, 100, a_meter(1), a_meter(1), a_user(5555))
limit("in a clone", bands(band(1, 1)))
send("a clone is dropped alone", 2, 100, a_clone(a_meter(1), a_user(5555)), a_user(5555))
limit("replaced", bands(band(1, 1)))
limit("replaced: full again", bands(band(1, 1)))
send("a full bucket", 2, 100)

# M8: what is left goes with the datapath.
for n in range(100):
    s.meter(METER_SET, 1000, ident(n), bands(band()))
s.dp(DEL, 1000)
s.new_dp("dp0", 1000)
meter("M8 a new datapath has none", METER_GET, 1000, ident(1))
s.meter(METER_SET, 1000, ident(5), bands(band()))

# What changes needs the capability, what asks does not (N6).
os.chmod("/run/work", 0o777)
os.seteuid(65534)
meter("N6 nobody: features", METER_FEATURES, star=("MAX_METERS",))
meter("N6 nobody: get", METER_GET, 1000, ident(5))
meter("N6 nobody: set", METER_SET, 1000, ident(5), bands(band()))
meter("N6 nobody: delete", METER_DEL, 1000, ident(5))
os.seteuid(0)
g.finish()
