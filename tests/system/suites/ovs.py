# SPDX-License-Identifier: GPL-2.0
"""OVS's own `make check-kernel`: tests/system-kmod-testsuite of Debian's openvswitch source packages."""

import re

from . import image, trees

CONFIGURE = (
    "./configure -q --disable-ssl --prefix=/usr --localstatedir=/var --sysconfdir=/etc"
    " ac_cv_lib_unbound_ub_ctx_create=no ac_cv_lib_cap_ng_capng_clear=no CFLAGS='-O2 -g0' LDFLAGS=-no-pie"
)
STATIC = "LDFLAGS='-no-pie -all-static'"
SMALLER = "find . -name '*.o' -delete; find . -name '*.lo' -delete; find . -name '*.a' -delete; rm -rf debian Documentation .pc"

# The only change to the suite: control tools may wait 60 s for a daemon, not 30, because everything is emulated.
BUILD = """
cd ovs
autoreconf -fi
sed -i 's/^OVS_CTL_TIMEOUT=.*/OVS_CTL_TIMEOUT=60/' tests/atlocal.in
%s
make -s %s
make -s tests/system-kmod-testsuite tests/atconfig tests/atlocal
sh tests/system-kmod-testsuite -C tests -l > /suite/list
%s
""" % (CONFIGURE, STATIC, SMALLER)

# Every suite's VM: device nodes that tests open, and the kernel's configuration, which tests look at.
SETUP = """
modprobe tun
cp /guest/config /boot/config-$(uname -r)
echo '4 4 1 7' > /proc/sys/kernel/printk
"""

# A line of autotest's: number, title (not kept), result.
LINE = r"\s*(\d+): .*?\s+(ok|skipped \(.*\)|FAILED \(.*\)|expected failure \(.*\)|UNEXPECTED PASS)\s*$"


def autotest_list(text):
    """{number: title} of what `testsuite -l` prints."""
    return dict(re.findall(r"^ *(\d+): \S+ +(.*?) *$", text, re.M))


def subset():
    """{title: feature} of subset.txt."""
    with open(trees.here("subset.txt")) as f:
        pairs = [line.strip().split(" | ") for line in f if line.strip() and not line.startswith("#")]
    return {title: feature for feature, title in pairs}


class Ovs:
    """One release of OVS."""

    smp = 1
    timeout = 300  # seconds a test may take; the slowest takes 100 on an idle machine
    guess = 12.0  # seconds of a test that was never timed
    at_once = 40  # tests in one run of the suite, whose start takes ten seconds

    def __init__(self, version, suite):
        self.name = "ovs-" + version
        self.parts = [("ovs", "openvswitch", suite)]
        self.packages = ["openvswitch"]  # that --source can stand in for, the suite's own first

    def make(self, given, log):
        self.tree = trees.Tree(self.name, self.parts, BUILD, given, log)
        self.disk = image.tree(self.tree)
        self.tests = autotest_list(self.tree.read("list"))
        wanted = subset()
        self.subset = [number for number, title in self.tests.items() if title in wanted]

    setup = SETUP

    def batch(self, tests):
        path = "utilities:vswitchd:ovsdb:vtep:tests:ipsec::"
        return {
            "cwd": "/suite/ovs", "pattern": LINE,
            "command": ["sh", "tests/system-kmod-testsuite", "-C", "tests", "AUTOTEST_PATH=" + path, "-j1", *tests],
            "keep": ["/suite/ovs/tests/system-kmod-testsuite.dir/%TEST%/*"],
        }

    def reason(self, result):
        """The source line that a result such as "skipped (system-traffic.at:12)" points at."""
        return autotest_reason(self.tree.dir + "/ovs/tests", result)


def autotest_reason(directory, result):
    m = re.search(r"\(([\w.-]+\.at):(\d+)\)", result)
    if not m:
        return ""
    try:
        with open("%s/%s" % (directory, m.group(1)), errors="replace") as f:
            return f.read().split("\n")[int(m.group(2)) - 1].strip()
    except (OSError, IndexError):
        return ""


SUITES = [Ovs("3.1", "bookworm"), Ovs("4.0", "sid")]
