# SPDX-License-Identifier: GPL-2.0
# title: no tag is put into what has no Ethernet header, or less than one: NSH may say that it has, a nested list is not asked (A4, A15)
# module: ours
# timeout: 120
import sys

from frames import *
from ovsnl import *

# Kernels without a check of their own move what stands behind the packet, skb_shared_info, and the stock module with it.
s = Sock()
dp = s.new_dp("dp0", 1000)
TAGS = [a_pop_eth(), a_pop_nsh(), a_push_vlan(0x1fff), a_push_vlan(0x1ffe)]


# A nested list is checked as if the flow's key still said what the packet begins with (A4).
NESTED = a_clone(a_push_vlan(0x1fff), a_push_vlan(0x1ffe))


def nsh(total, inner, np=3):
    """A frame of `total` bytes, the last `inner` of them behind the service header; None if that cannot be."""
    n = total - 14 - inner
    if n % 4 or not 8 <= n <= 252:
        return None
    return eth(0x894f, bytes([0x0f, 0xc0 | n // 4, 2, np, 0, 0, 1, 0xff]) + bytes(n - 8) + b"\x5a" * inner)


# With 254 bytes the packet ends where the buffer does on some of the kernels.
for inner in range(0, 14):
    for total in range(230, 266):
        frame = nsh(total, inner)
        if frame:
            r = s.execute(dp, frame, [k_port(0)], TAGS)
            if r.error != "EINVAL":
                sys.exit("%d bytes, %d of them the frame: %s" % (total, inner, r.error))
            frame = nsh(total, inner, np=1)
            r = s.execute(dp, frame, [k_port(0)], [a_pop_eth(), a_pop_nsh(), NESTED])
            if r.error != "EPROTO":
                sys.exit("%d bytes, %d of them no frame: %s" % (total, inner, r.error))
if s.execute(dp, nsh(254, 16), [k_port(0)], TAGS).errno:
    sys.exit("a whole header is not enough")
# Nothing beside the packet is shown to userspace.
up = Sock(pid=5555)
up.family("ovs_packet")
for total in (15, 20, 27, 28, 60):
    r = s.execute(dp, eth(0x1234, b"\x5a" * (total - 14)), [k_port(0)], [a_pop_eth(), a_clone(a_push_vlan(0x1fff), a_user(5555))])
    for m in up.notifications("ovs_packet", 0.02):
        sys.exit("%d bytes: userspace is told of %s" % (total, m.get(PACKET.PACKET).hex()))
s.dp(DEL, dp)
