# SPDX-License-Identifier: GPL-2.0
"""Frames between an FTP client, A, and a server, B; the kernel's helper and what ctnl.py asks are loaded."""

import subprocess

from frames import eth, ipv4, tcp

for m in ("nf_conntrack_netlink", "nf_conntrack_ftp"):
    subprocess.run(["modprobe", m], check=True)
A, B = "10.0.0.1", "10.0.0.2"
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
TRK, REL, NEW = 0x20, 4, 1  # of ct_state


def t(flags, seq, ack, data=b"", sp=3000, dp=21, src=A, dst=B):
    """One of the control connection, from the client unless it says otherwise."""
    return eth(0x800, ipv4(6, tcp(data, sp, dp, flags, src, dst, seq=seq, ack=ack), src, dst))
