# SPDX-License-Identifier: GPL-2.0
"""What tunnels of tests run over: a link to namespace `far`, by IPv4 and IPv6, whose ends know each other."""

import subprocess


def ip(*words):
    subprocess.run(["ip", *" ".join(words).split()], check=True)


def underlay():
    """u0 here, with 172.31.0.1 and fd31::1; u1 there, with 172.31.0.2 and fd31::2."""
    ip("netns add far")
    ip("link add u0 address 02:00:00:00:31:01 type veth peer name u1 address 02:00:00:00:31:02 netns far")
    with open("/proc/sys/net/ipv6/conf/u0/disable_ipv6", "w") as f:
        f.write("0")  # whatever new devices begin with
    for net, dev, n in (("", "u0", 1), ("-n far", "u1", 2)):
        ip(net, "addr add 172.31.0.%d/24 dev %s" % (n, dev))
        ip(net, "addr add fd31::%d/64 dev %s nodad" % (n, dev))
        ip(net, "link set", dev, "up")
    ip("neigh add 172.31.0.2 lladdr 02:00:00:00:31:02 dev u0")
    ip("neigh add fd31::2 lladdr 02:00:00:00:31:02 dev u0")
    ip("-n far neigh add 172.31.0.1 lladdr 02:00:00:00:31:01 dev u1")
    ip("-n far neigh add fd31::1 lladdr 02:00:00:00:31:01 dev u1")
