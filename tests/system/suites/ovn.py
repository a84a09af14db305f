# SPDX-License-Identifier: GPL-2.0
"""OVN's own `make check-kernel`: tests/system-kmod-testsuite of Debian's ovn source package, with OVS's beside it.

Most of its titles come twice, with ovn-controller watching all of the database or a part; a kernel module sees no difference.
`all` means both.
"""

from . import image, ovs, trees

# Three kinds of changes. OVN's programs warn of slowness where tests want no output: the limits are 60 s. OVN 26.03 was
# written against an OVS a little older than 4.0: what its functions are called with now. There is no TLS here, and with it the
# suite would leave out the southbound database's TCP port.
BUILD = r"""
cd /suite/ovs
sed -i 's/interval >= 1000 \&\&/interval >= 60000 \&\&/' lib/timeval.c
sed -i 's/elapsed > 1000)/elapsed > 60000)/' lib/cooperative-multitasking.c
sed -i 's/duration > 2000)/duration > 60000)/' ofproto/ofproto-dpif-upcall.c
autoreconf -fi
%(configure)s
make -s %(static)s
cd /suite/ovn
sed -i 's/compose_nd_ns(&packet, eth, local/compose_nd_ns(\&packet, true, eth, eth_addr_zero, local/' controller/pinctrl.c
sed -i 's/compose_nd_ns(&packet, ip_flow->dl_src,/compose_nd_ns(\&packet, true, ip_flow->dl_src, eth_addr_zero,/' controller/pinctrl.c
sed -i 's/route_table_dump_one_table(table_id, /&AF_UNSPEC, /' controller/route-exchange-netlink.c
sed -i '/^ *service_start(&argc, &argv);$/d; /^ *service_stop();$/d; s/should_service_stop()/false/' \
    utilities/*.c ic/*.c controller-vtep/*.c br-controller/*.c controller/*.c northd/*.c
sed -i 's/^OVS_CTL_TIMEOUT=.*/OVS_CTL_TIMEOUT=60/' tests/atlocal.in
autoreconf -fi
%(configure)s --with-ovs-source=/suite/ovs
make -s %(static)s
make -s tests/system-kmod-testsuite tests/atconfig tests/atlocal
export ovs_srcdir=/suite/ovs ovs_builddir=/suite/ovs
sh tests/system-kmod-testsuite -C tests -l > /suite/list
sed -i 's/^    local remote_in_db=$/&; test "X$1" != Xovn-sb || remote_in_db=--remote=db:OVN_Southbound,SB_Global,connections/' \
    tests/system-kmod-testsuite
%(smaller)s
cd /suite/ovs
%(smaller)s
""" % {"configure": ovs.CONFIGURE, "static": ovs.STATIC, "smaller": ovs.SMALLER}

SETUP = ovs.SETUP + """
ln -sf ncat /usr/bin/nc  # the suite uses options that only ncat has
touch /var/lib/dhcp/dhcpd.leases /var/lib/dhcp/dhcpd6.leases
"""

# One for every feature that OVN asks of a datapath: about eight minutes in two VMs on an idle machine.
SUBSET = """
2 LRs connected via LS, gateway router, SNAT and DNAT
2 LRs connected via LS, gateway router, easy SNAT
load balancing in gateway router
load balancing in router with gateway router port
DNAT and SNAT on distributed router - E/W
conntrack zone flush after port binding release
Load Balancer LS hairpin IPv4
ACL after lb - reject
conntrack TCP reset
egress qos
ovn -- Floating IP outside router subnet IPv4
ACL label - conntrack ct_label
ACL log_related
East-West traffic with gateway router if DNAT configured
load-balancer template IPv4
IP buffering
ACL and committing to conntrack
ovn mirroring
ct_flush on logical router load balancer
load balancing affinity sessions - auto clear learnt flows
LB with first packet buffered
ovn -- ACL Sampling
ACLs - persistent sessions
conntrack on pass ACLs
LB correctly handles fragmented traffic
Router reroute policies - output port
Distributed gw port CT zone allocation
NAT with only dnat_and_snat NAT configured: IPv4
ACL CT translation - UDP fragmentation
Unsupported protocol message
ACL - ICMP unreachable heap overread
SNAT in separate zone from DNAT
LR with SNAT fragmentation needed for external server
Load Balancer LS hairpin IPv4 UDP - larger than MTU
Commit all - UDN
""".strip().splitlines()


class Ovn(ovs.Ovs):
    """One release of OVN."""

    guess = 40.0
    at_once = 6
    setup = SETUP

    def __init__(self, version, suite):
        self.name = "ovn-" + version
        self.parts = [("ovs", "openvswitch", suite), ("ovn", "ovn", suite)]
        self.packages = ["ovn", "openvswitch"]

    def make(self, given, log):
        self.tree = trees.Tree(self.name, self.parts, BUILD, given, log)
        self.disk = image.tree(self.tree)
        self.tests = ovs.autotest_list(self.tree.read("list"))
        self.subset = first_of_each(self.tests, SUBSET)

    def batch(self, tests):
        path = ":".join("/suite/ovs/" + d for d in ("utilities", "vswitchd", "ovsdb", "vtep"))
        path += ":tests:::controller-vtep:northd:utilities:controller:ic:br-controller"
        return {
            "cwd": "/suite/ovn", "pattern": ovs.LINE, "env": {"ovs_srcdir": "/suite/ovs", "ovs_builddir": "/suite/ovs"},
            "command": ["sh", "tests/system-kmod-testsuite", "-C", "tests", "AUTOTEST_PATH=" + path, "-j1", *tests],
            "keep": ["/suite/ovn/tests/system-kmod-testsuite.dir/%TEST%/*"],
        }

    def reason(self, result):
        return ovs.autotest_reason(self.tree.dir + "/ovn/tests", result)


def first_of_each(tests, titles):
    """Numbers of the first test of each title, whatever variant its own title goes on to name."""
    found = (next((n for n, t in tests.items() if t == title or t.startswith(title + " -- ")), None) for title in titles)
    return [n for n in found if n]


SUITES = [Ovn("26.03", "sid")]
