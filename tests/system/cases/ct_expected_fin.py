# SPDX-License-Identifier: GPL-2.0
# title: every packet that is looked up and meets an expectation is related, a FIN that tracking alone calls invalid, too (C4)
# timeout: 60
import sys

from ctnl import count
from ftp import *
from ovsnl import *

s, up = Sock(), Sock(pid=5555)
up.family("ovs_packet")
dp = s.new_dp("dp0", 1000)
ME = a_user(5555)
MARK = 0x6d61726b


def look(label, frame, *actions):
    """The packet's ct_state and ct_mark, when the actions have been done."""
    r = s.execute(dp, frame, [k_port(1)], list(actions) + [ME])
    key = parse(up.notifications("ovs_packet", 0.05)[0].get(PACKET.KEY))
    state, mark = (int.from_bytes(first(key, k), sys.byteorder) for k in (KEY.CT_STATE, KEY.CT_MARK))
    print("%-24s errno %s ct_state %#x ct_mark %#x" % (label, r.error, state, mark), flush=True)
    return state, mark


def from_server(flags, seq):
    return t(flags, seq, 9001, sp=20, dp=5120, src=B, dst=A)


look("syn", t(SYN, 1000, 0), a_ct(c_name(CT.HELPER, "ftp"), c_mark(MARK), commit=True))
look("syn ack", t(SYN | ACK, 5000, 1001, sp=21, dp=3000, src=B, dst=A), a_ct())
look("ack", t(ACK, 1001, 5001), a_ct())
if look("no port yet", from_server(FIN | ACK, 1))[0] & REL:
    sys.exit("related to nothing")
look("user", t(ACK | PSH, 1001, 5001, b"USER x\r\n"), a_ct())
look("port", t(ACK | PSH, 1009, 5001, b"PORT 10,0,0,1,20,0\r\n"), a_ct())
# Nobody commits the connection for data, as in OVS's own test of FTP: each packet meets the expectation.
wanted = TRK | NEW | REL, MARK
for label, frame in (("data's syn", from_server(SYN, 7000)), ("data's ack", from_server(ACK, 7001)), ("data's fin", from_server(FIN | ACK, 7001)),
                     ("data's rst", from_server(RST | ACK, 7001)), ("data's syn once more", from_server(SYN, 7000))):
    if look(label, frame, a_ct()) != wanted:
        sys.exit("%s is not related" % label)
if look("in another zone", from_server(FIN | ACK, 7001), a_ct(zone=9))[0] & REL:
    sys.exit("an expectation of another zone")
if look("committed", from_server(SYN, 7000), a_ct(commit=True)) != wanted:
    sys.exit("not related when committed")
if look("used up", from_server(FIN | ACK, 7001), a_ct())[0] & NEW:
    sys.exit("its connection is not found")
print(count(), "connections")
s.dp(DEL, dp)
