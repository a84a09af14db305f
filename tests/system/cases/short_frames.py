# SPDX-License-Identifier: GPL-2.0
# title: what NSH says is an Ethernet frame, and is shorter than its header, is dropped before a tag is put into it (A15)
# module: ours
# timeout: 120
import sys

from frames import *
from ovsnl import *

# Kernels without a check of their own move what stands behind the packet, skb_shared_info, and the stock module with it.
s = Sock()
dp = s.new_dp("dp0", 1000)
TAGS = [a_pop_eth(), a_pop_nsh(), a_push_vlan(0x1fff), a_push_vlan(0x1ffe)]


def nsh(total, inner):
    """A frame of `total` bytes, the last `inner` of them behind the service header; None if that cannot be."""
    n = total - 14 - inner
    if n % 4 or not 8 <= n <= 252:
        return None
    return eth(0x894f, bytes([0x0f, 0xc0 | n // 4, 2, 3, 0, 0, 1, 0xff]) + bytes(n - 8) + b"\x5a" * inner)


# With 254 bytes the packet ends where the buffer does on some of the kernels.
for inner in range(0, 14):
    for total in range(230, 266):
        frame = nsh(total, inner)
        if frame:
            r = s.execute(dp, frame, [k_port(0)], TAGS)
            if r.error != "EINVAL":
                sys.exit("%d bytes, %d of them the frame: %s" % (total, inner, r.error))
if s.execute(dp, nsh(254, 16), [k_port(0)], TAGS).errno:
    sys.exit("a whole header is not enough")
s.dp(DEL, dp)
