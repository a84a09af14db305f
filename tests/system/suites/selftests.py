# SPDX-License-Identifier: GPL-2.0
"""The kernel's selftests tools/testing/selftests/net/openvswitch, of Debian's linux-source packages."""

import re

from . import image, trees
from .ovs import SETUP

IN = "tools/testing/selftests"
FILES = [IN + "/" + p for p in ("net/*.sh", "net/lib/*", "net/openvswitch/*", "lib.sh", "kselftest/*")]


class Selftests:
    """Those of one kernel release; they run on any kernel that boots here."""

    smp = 2  # with one CPU the upcall tests wait for ever
    timeout = 600
    guess = 60.0
    at_once = 1  # each by itself: the script stops at nothing and says little

    def __init__(self, version):
        self.version, self.name = version, "selftests-" + version
        self.packages = ["linux-source-" + version]
        self.subset = ["arp_ping", "netlink_checks"]

    def make(self, given, log):
        self.tree = trees.KernelTree(self.name, self.version, FILES, [], given, log)
        self.disk = image.tree(self.tree)
        self.tests = selftest_list(self.tree.read(IN + "/net/openvswitch/openvswitch.sh"))

    setup = SETUP

    def batch(self, tests):
        test, = tests
        return {
            "cwd": "/suite/%s/net/openvswitch" % IN, "command": ["bash", "./openvswitch.sh", test],
            "env": {"KSFT_MACHINE_SLOW": "yes"},
            "keep": ["/suite/%s/net/openvswitch/*%%TEST%%*/%s" % (IN, n) for n in ("debug.log", "stdout", "stderr", "*.err", "*.out")],
        }

    def reason(self, result):
        return ""


def selftest_list(script):
    """{name: what it says it tests} from the script's variable `tests`."""
    m = re.search(r'^tests="\n(.*?)"$', script, re.M | re.S)
    return dict(line.strip().split(None, 1) for line in m.group(1).splitlines() if line.strip())


SUITES = [Selftests("6.12"), Selftests("7.3")]
