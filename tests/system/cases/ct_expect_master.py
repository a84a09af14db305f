# SPDX-License-Identifier: GPL-2.0
# title: an expectation that its own master's packets meet: what is told of the master is not read after it is freed (C4)
# timeout: 120
# append: slub_debug=FZP
import sys

from ctnl import Table, count
from ftp import *
from ovsnl import *

s, table = Sock(), Table()
up = Sock(pid=5555)
up.family("ovs_packet")
dp = s.new_dp("dp0", 1000)
ME = a_user(5555)
LABELS = bytes(range(0xa0, 0xb0))


def run(label, frame, *actions):
    r = s.execute(dp, frame, [k_port(1)], list(actions) + [ME])
    keys = [m.get(PACKET.KEY) for m in up.notifications("ovs_packet", 0.05)]
    print(label, r.error, " | ".join(show(KEY, k) for k in keys), flush=True)
    return keys


run("syn", t(SYN, 1000, 0), a_ct(c_name(CT.HELPER, "ftp"), c_labels(LABELS), commit=True))
run("syn ack", t(SYN | ACK, 5000, 1001, sp=21, dp=3000, src=B, dst=A), a_ct())
run("ack", t(ACK, 1001, 5001), a_ct())
run("user", t(ACK | PSH, 1001, 5001, b"USER x\r\n"), a_ct())
# The port that the control connection itself has: 3000 is 11, 184.
run("port", t(ACK | PSH, 1009, 5001, b"PORT 10,0,0,1,11,184\r\n"), a_ct())
print(count(), "connections")
keys = run("answer", t(ACK | PSH, 5001, 1031, b"200 OK\r\n", sp=21, dp=3000, src=B, dst=A), a_ct())
print(count(), "connections")
s.dp(DEL, dp)
key = parse(keys[0])
labels = first(key, KEY.CT_LABELS)
if labels != LABELS:
    sys.exit("labels of the master: %s" % labels.hex())
