# SPDX-License-Identifier: GPL-2.0
"""The kernel's own netlink client, `ynl`, of Debian's linux-source package, with its descriptions ovs_*.yaml.

The program and the descriptions are others'; what it is asked, and what it must print, is in guest/ynl_test.py.
"""

import re

from . import image, trees
from .ovs import SETUP

GUEST = "guest/ynl_test.py"
FILES = ["tools/net/ynl/pyynl", "Documentation/netlink/specs/ovs_*.yaml"]


class Ynl:
    """That of one kernel release; it runs on any kernel that boots here."""

    smp = 1
    timeout = 120
    guess = 10.0
    at_once = 1

    def __init__(self, version):
        self.version, self.name = version, "ynl-" + version
        self.packages = ["linux-source-" + version]

    def make(self, given, log):
        self.tree = trees.KernelTree(self.name, self.version, FILES, ["pyyaml"], given, log)
        self.disk = image.tree(self.tree)
        with open(trees.here(GUEST)) as f:
            self.tests = dict(re.findall(r'^def test_(\w+)\(\):\n    """(.*?)"""$', f.read(), re.M))
        self.subset = list(self.tests)

    setup = SETUP

    def batch(self, tests):
        test, = tests
        return {"cwd": "/suite", "command": ["python3", "/guest/ynl_test.py", test], "env": {}, "keep": []}

    def reason(self, result):
        return ""


SUITES = [Ynl("7.3")]
