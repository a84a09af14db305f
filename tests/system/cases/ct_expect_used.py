# SPDX-License-Identifier: GPL-2.0
# title: an expectation lets one connection in, also when that is looked up and committed without leaving the switch (C4)
# timeout: 60
import sys

from ftp import *
from ovsnl import *

s, up = Sock(), Sock(pid=5555)
up.family("ovs_packet")
dp = s.new_dp("dp0", 1000)
ME = a_user(5555)


def state(label, frame, *actions):
    """The packet's ct_state when the actions have been done."""
    r = s.execute(dp, frame, [k_port(1)], list(actions) + [ME])
    key = parse(up.notifications("ovs_packet", 0.05)[0].get(PACKET.KEY))
    word = int.from_bytes(first(key, KEY.CT_STATE), sys.byteorder)
    print("%-24s errno %s ct_state %#x" % (label, r.error, word), flush=True)
    return word


def from_server(sp, to):
    return t(SYN, 7000, 0, sp=sp, dp=to, src=B, dst=A)


FTP = a_ct(c_name(CT.HELPER, "ftp"), commit=True)
state("syn", t(SYN, 1000, 0), FTP)
state("syn ack", t(SYN | ACK, 5000, 1001, sp=21, dp=3000, src=B, dst=A), a_ct())
state("ack", t(ACK, 1001, 5001), a_ct())
state("user", t(ACK | PSH, 1001, 5001, b"USER x\r\n"), a_ct())
seq = 1009
for commits, to in ((True, 5120), (False, 5121)):
    command = b"PORT 10,0,0,1,%d,%d\r\n" % (to >> 8, to & 255)
    state("port %d" % to, t(ACK | PSH, seq, 5001, command), a_ct())
    seq += len(command)
    if commits:
        one = state("looked up, committed", from_server(20, to), a_ct(), a_ct(commit=True))
    else:
        one = state("looked up", from_server(20, to), a_ct())
    two = state("another", from_server(21, to), a_ct())
    if one != TRK | NEW | REL:
        sys.exit("not related to what expects it")
    if two != (TRK | NEW if commits else TRK | NEW | REL):
        sys.exit("the expectation was %s" % ("left" if commits else "used up"))
s.dp(DEL, dp)
